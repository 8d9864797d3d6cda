//! The run that stands for an execution: made before the kernel starts, completed after it has exited.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::MlflowClient;
use super::address::Authorization;
use super::parameters::{Fitted, Rules, batches, cut, fitted};
use super::rest::{Fault, Repeat};
use crate::error::Result;

/// `MAX_TAG_VAL_LENGTH` of MLflow 2.8, the smaller one.
const MAX_TAG: usize = 5000;
/// The execution's id, on its run and on every run that the notebook makes.
const EXECUTION_TAG: &str = "bindery.execution_id";
/// The id of the execution's run, on every run that the notebook makes. Execution ids are small numbers and
/// two Bindery services may share one MLflow; this tag is theirs alone, and unlike `mlflow.parentRunId` it
/// stays on runs that the notebook nests below its own.
pub(super) const RUN_TAG: &str = "bindery.run_id";

/// Variables that must not reach a kernel from Bindery's own environment, because they contradict those of
/// [`MlflowClient::kernel_environment`]: remove them first, then set those.
pub const VARIABLES_TO_CLEAR: [&str; 8] = [
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_EXPERIMENT_ID",
    // With both, MLflow compares them and raises; it does not take an empty one for an absent one.
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_RUN_ID",
    "MLFLOW_RUN_CONTEXT",
];

/// MLflow's `mlflow.source.type`, as far as it concerns us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SourceType {
    /// Somebody runs a notebook.
    #[default]
    Notebook,
    /// A schedule or workflow runs it.
    Job,
}

impl SourceType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Notebook => "NOTEBOOK",
            Self::Job => "JOB",
        }
    }
}

/// What a run is started with.
#[derive(Debug, Clone, Default)]
pub struct RunStart {
    /// The experiment, made when it does not exist; the template's or notebook's name.
    pub experiment_name: String,
    /// What the run is called in MLflow's lists.
    pub run_name: String,
    /// `mlflow.source.name`: the notebook's path as the user gave it.
    pub source_name: String,
    /// `mlflow.source.type`.
    pub source_type: SourceType,
    /// `mlflow.user`, when known.
    pub user: Option<String>,
    /// The execution's id; empty for a run that stands for several.
    pub execution_id: String,
    /// When the execution started; now, when absent.
    pub start_time: Option<Timestamp>,
    /// Name and value as text, in order.
    pub parameters: Vec<(String, String)>,
    /// Further tags.
    pub tags: Vec<(String, String)>,
}

/// A run on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MlflowRun {
    /// The experiment's id (digits, as text).
    pub experiment_id: String,
    /// The run's id (32 hexadecimal digits).
    pub run_id: String,
    /// Where a person sees it; never with credentials.
    pub url: String,
    /// Where its artifacts belong, as the server says it.
    pub artifact_uri: String,
    /// What was not done as asked, in words for the execution's record: parameters that were refused, an
    /// experiment that had to be restored.
    pub notes: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// Every cell ran.
    Finished,
    /// A cell failed, or the kernel died.
    Failed,
    /// Cancelled, or out of time.
    Killed,
}

impl RunOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }
}

/// What the notebook's own runs should carry beside their parent.
#[derive(Debug, Clone, Default)]
pub struct RunContext {
    /// The execution's id.
    pub execution_id: String,
    /// `mlflow.source.name`; without it MLflow names the kernel's launcher.
    pub source_name: Option<String>,
    /// `mlflow.user`; without it MLflow names the account that the kernel runs under.
    pub user: Option<String>,
    /// Also hand over `MLFLOW_RUN_ID`, so that the first `mlflow.start_run()` continues the execution's run
    /// instead of making a child. A second `start_run` then fails on older MLflow: only when asked for.
    pub continue_run: bool,
}

#[derive(Deserialize)]
struct RunAnswer {
    run: RunFields,
}

#[derive(Deserialize)]
struct RunFields {
    info: RunInfo,
}

#[derive(Deserialize)]
struct RunInfo {
    run_id: String,
    #[serde(deserialize_with = "text")]
    experiment_id: String,
    #[serde(default)]
    artifact_uri: String,
}

/// An id that some servers write as a number.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(serde::de::Error::custom(format!("an id is expected, found {other}"))),
    }
}

impl MlflowClient {
    /// Makes the run of an execution, in its experiment, with its parameters.
    ///
    /// Once the run exists, a parameter that MLflow refuses is a note on the run and no error: names are
    /// changed to what MLflow takes, values cut to 6000 characters (500 when the server refuses that).
    /// An experiment of that name that was deleted is restored, which is noted too.
    ///
    /// # Errors
    /// `BadInput` for an empty experiment name, `Unavailable` when MLflow cannot be reached or does not let
    /// us in, `Invalid` when it refuses the run.
    pub async fn start_run(&self, start: RunStart) -> Result<MlflowRun> {
        let mut notes = Vec::new();
        let experiment_id = self.experiment(&start.experiment_name, &mut notes).await?;

        let mut tags = Map::new();
        for (key, value) in &start.tags {
            tags.insert(key.clone(), json!(cut(value, MAX_TAG)));
        }
        tags.insert("mlflow.runName".into(), json!(cut(&start.run_name, MAX_TAG)));
        tags.insert("mlflow.source.name".into(), json!(cut(&start.source_name, MAX_TAG)));
        tags.insert("mlflow.source.type".into(), json!(start.source_type.as_str()));
        if !start.execution_id.is_empty() {
            tags.insert(EXECUTION_TAG.into(), json!(start.execution_id));
        }
        if let Some(user) = &start.user {
            tags.insert("mlflow.user".into(), json!(cut(user, MAX_TAG)));
        }
        let tags: Vec<_> = tags.into_iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        let body = json!({
            "experiment_id": experiment_id,
            "run_name": cut(&start.run_name, MAX_TAG),
            "start_time": start.start_time.unwrap_or_else(Timestamp::now).as_millisecond(),
            "tags": tags,
        });
        let call = "runs/create";
        let answer: RunAnswer =
            self.post(call, Repeat::Never, &body).await.map_err(|fault| fault.into_error(call))?;
        let mut run = self.run_from(answer);
        self.log_parameters(&run.run_id, &start.parameters, &mut notes).await;
        run.notes = notes;
        Ok(run)
    }

    /// A run that was made before, as after a restart of ours.
    ///
    /// # Errors
    /// `NotFound` when the server has no such run, otherwise as [`MlflowClient::start_run`].
    pub async fn run(&self, run_id: &str) -> Result<MlflowRun> {
        let call = "runs/get";
        let answer = self.get(call, &[("run_id", run_id)]).await.map_err(|fault| fault.into_error(call))?;
        Ok(self.run_from(answer))
    }

    /// Writes how the run ended. May be called again; the last call counts.
    ///
    /// # Errors
    /// `Unavailable` when MLflow cannot be reached, `NotFound` when the run is gone.
    pub async fn finish_run(&self, run: &MlflowRun, outcome: RunOutcome, end_time: Timestamp) -> Result<()> {
        self.update_run(&run.run_id, outcome, end_time).await
    }

    /// Sets a tag of a run.
    ///
    /// # Errors
    /// `Unavailable` when MLflow cannot be reached, `NotFound` when the run is gone.
    pub async fn set_tag(&self, run_id: &str, key: &str, value: &str) -> Result<()> {
        let call = "runs/set-tag";
        let body = json!({"run_id": run_id, "key": key, "value": cut(value, MAX_TAG)});
        let _: Value = self.post(call, Repeat::Safe, &body).await.map_err(|fault| fault.into_error(call))?;
        Ok(())
    }

    /// What a notebook must find in its environment so that every run it starts or autologs becomes a child
    /// of `run`; see also [`VARIABLES_TO_CLEAR`]. The credentials are in it, in variables of their own.
    pub fn kernel_environment(&self, run: &MlflowRun, context: &RunContext) -> Vec<(String, String)> {
        let mut tags = Map::new();
        tags.insert("mlflow.parentRunId".into(), json!(run.run_id));
        tags.insert(RUN_TAG.into(), json!(run.run_id));
        tags.insert(EXECUTION_TAG.into(), json!(context.execution_id));
        if let Some(source_name) = &context.source_name {
            tags.insert("mlflow.source.name".into(), json!(cut(source_name, MAX_TAG)));
            tags.insert("mlflow.source.type".into(), json!(SourceType::Notebook.as_str()));
        }
        if let Some(user) = &context.user {
            tags.insert("mlflow.user".into(), json!(cut(user, MAX_TAG)));
        }
        let mut environment = vec![
            ("MLFLOW_TRACKING_URI", self.tracking_uri().to_owned()),
            ("MLFLOW_EXPERIMENT_ID", run.experiment_id.clone()),
            // Read by MLflow's SystemEnvironmentContext, the last of its providers, so these tags win over
            // what MLflow finds out by itself, and lose against those that the notebook sets.
            ("MLFLOW_RUN_CONTEXT", Value::Object(tags).to_string()),
        ];
        match &self.server.authorization {
            Authorization::None => {}
            Authorization::Basic { username, password } => {
                environment.push(("MLFLOW_TRACKING_USERNAME", username.clone()));
                environment.push(("MLFLOW_TRACKING_PASSWORD", password.clone()));
            }
            Authorization::Bearer(token) => environment.push(("MLFLOW_TRACKING_TOKEN", token.clone())),
        }
        if context.continue_run {
            environment.push(("MLFLOW_RUN_ID", run.run_id.clone()));
        }
        environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn run_from(&self, answer: RunAnswer) -> MlflowRun {
        let RunInfo { run_id, experiment_id, artifact_uri } = answer.run.info;
        let url = self.run_url(&experiment_id, &run_id);
        MlflowRun { experiment_id, run_id, url, artifact_uri, notes: Vec::new() }
    }

    pub(super) async fn update_run(
        &self,
        run_id: &str,
        outcome: RunOutcome,
        end_time: Timestamp,
    ) -> Result<()> {
        let call = "runs/update";
        let body =
            json!({"run_id": run_id, "status": outcome.as_str(), "end_time": end_time.as_millisecond()});
        let _: Value = self.post(call, Repeat::Safe, &body).await.map_err(|fault| fault.into_error(call))?;
        Ok(())
    }

    /// Logs what can be logged and notes the rest: a run without some parameters is better than none.
    async fn log_parameters(&self, run_id: &str, parameters: &[(String, String)], notes: &mut Vec<String>) {
        let parameters = fitted(parameters);
        let total = parameters.len();
        let mut done = 0;
        for batch in batches(&parameters) {
            let fault = match self.log_batch(run_id, batch, Rules::Faithful).await {
                Err(fault) if fault.has_code("INVALID_PARAMETER_VALUE") => {
                    self.log_batch(run_id, batch, Rules::Strict).await.err()
                }
                answer => answer.err(),
            };
            let (lost, why) = match fault {
                None => (0, String::new()),
                // MLflow's own message repeats the value, which may be a secret.
                Some(Fault::Refused { code, .. }) => {
                    (batch.len(), format!("MLflow refused runs/log-batch: {code}"))
                }
                // The server is away: the batches that remain would wait for it in vain.
                Some(Fault::Failed(error)) => (total - done, error.to_string()),
            };
            done += batch.len().max(lost);
            if lost > 0 {
                notes.push(format!("{lost} of {total} parameters were not recorded in MLflow: {why}"));
            }
            if done >= total {
                return;
            }
        }
    }

    async fn log_batch(&self, run_id: &str, parameters: &[Fitted], rules: Rules) -> Result<(), Fault> {
        let parameters: Vec<_> = parameters
            .iter()
            .map(|parameter| {
                let (key, value) = parameter.under(rules);
                json!({"key": key, "value": value})
            })
            .collect();
        // Logging the same value again is no conflict, so a repeat is safe.
        let body = json!({"run_id": run_id, "params": parameters});
        self.post::<Value>("runs/log-batch", Repeat::Safe, &body).await.map(|_| ())
    }
}
