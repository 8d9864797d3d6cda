//! Experiments by name: found, made, or brought back.

use serde::Deserialize;
use serde_json::{Value, json};

use super::MlflowClient;
use super::parameters::cut;
use super::rest::Repeat;
use super::runs::text;
use crate::error::{Error, Result};

/// `MAX_EXPERIMENT_NAME_LENGTH` of MLflow 3.
const MAX_EXPERIMENT_NAME: usize = 500;

#[derive(Deserialize)]
struct ExperimentAnswer {
    experiment: ExperimentFields,
}

#[derive(Deserialize)]
struct ExperimentFields {
    #[serde(deserialize_with = "text")]
    experiment_id: String,
    #[serde(default)]
    lifecycle_stage: String,
}

#[derive(Deserialize)]
struct CreatedExperiment {
    #[serde(deserialize_with = "text")]
    experiment_id: String,
}

impl MlflowClient {
    /// The id of the experiment called `name`, made or restored if need be.
    pub(super) async fn experiment(&self, name: &str, notes: &mut Vec<String>) -> Result<String> {
        let name = cut(name.trim(), MAX_EXPERIMENT_NAME);
        if name.is_empty() {
            return Err(Error::bad_input("the MLflow experiment needs a name; give one"));
        }
        let experiment = match self.experiment_by_name(&name).await? {
            Some(experiment) => experiment,
            None => {
                let call = "experiments/create";
                // Safe to repeat: the second time, the experiment exists and is found below.
                match self.post::<CreatedExperiment>(call, Repeat::Safe, &json!({"name": name})).await {
                    Ok(created) => return Ok(created.experiment_id),
                    Err(fault) if fault.has_code("RESOURCE_ALREADY_EXISTS") => {
                        self.experiment_by_name(&name).await?.ok_or_else(|| fault.into_error(call))?
                    }
                    Err(fault) => return Err(fault.into_error(call)),
                }
            }
        };
        if experiment.lifecycle_stage != "deleted" {
            return Ok(experiment.experiment_id);
        }
        // The name stays taken until somebody purges it, so the choice is between the old experiment and
        // no record at all; what was deleted is one click away, a lost record is not.
        let call = "experiments/restore";
        let body = json!({"experiment_id": experiment.experiment_id});
        if let Err(fault) = self.post::<Value>(call, Repeat::Safe, &body).await {
            // Somebody else may have restored it in between.
            let now = self.experiment_by_name(&name).await?;
            if now.is_none_or(|now| now.lifecycle_stage == "deleted") {
                return Err(fault.into_error(call));
            }
        }
        notes.push(format!("the MLflow experiment {name:?} had been deleted and was restored"));
        Ok(experiment.experiment_id)
    }

    async fn experiment_by_name(&self, name: &str) -> Result<Option<ExperimentFields>> {
        let call = "experiments/get-by-name";
        match self.get::<ExperimentAnswer>(call, &[("experiment_name", name)]).await {
            Ok(answer) => Ok(Some(answer.experiment)),
            Err(fault) if fault.has_code("RESOURCE_DOES_NOT_EXIST") => Ok(None),
            Err(fault) => Err(fault.into_error(call)),
        }
    }
}
