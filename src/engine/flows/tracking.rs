//! A flow in MLflow: a run of its own, whose children the runs of its executions are. A dead or refusing MLflow never fails
//! it: what was refused is noted.

use bytes::Bytes;
use serde_json::Value;

use super::super::Engine;
use super::super::notebooks::file_stem;
use crate::error::Result;
use crate::execution::{ExecutionStatus, MlflowLink, MlflowParent, ParentKind};
use crate::flow::table::Table;
use crate::flow::{Flow, FlowId, NewFlow};
use crate::mlflow::{RunOutcome, RunStart, SourceType};

/// What the runs of a flow's executions name as their parent.
pub(super) fn parent_of(flow: &Flow) -> Option<MlflowParent> {
    let run_id = flow.mlflow.as_ref()?.run_id.clone()?;
    Some(MlflowParent { run_id, experiment_name: experiment_name(flow.kind, &flow.definition.workflow) })
}

/// A sweep is recorded beside the single runs of its notebook, a workflow under its own name.
fn experiment_name(kind: ParentKind, workflow: &crate::workflow::Workflow) -> String {
    match (kind, workflow.steps.as_slice()) {
        (ParentKind::Sweep, [step]) => {
            let name = step.source.as_str();
            name.strip_suffix(".ipynb").unwrap_or(name).to_owned()
        }
        _ => workflow.name.clone(),
    }
}

impl Engine {
    /// Makes the run of a flow that is about to be recorded.
    pub(super) async fn start_flow_tracking(&self, flow: &NewFlow) -> Option<MlflowLink> {
        let client = self.mlflow()?;
        let workflow = &flow.definition.workflow;
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let source = match (flow.kind, workflow.steps.as_slice()) {
            (ParentKind::Sweep, [step]) => file_stem(step.source.as_str()).to_owned(),
            _ => workflow.name.clone(),
        };
        let start = RunStart {
            experiment_name: experiment_name(flow.kind, workflow),
            run_name: workflow.name.clone(),
            source_name: source,
            source_type: SourceType::Job,
            user: flow.username.clone(),
            parameters: flow.parameters.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
            ..RunStart::default()
        };
        Some(match client.start_run(start).await {
            Ok(run) => MlflowLink {
                experiment_id: Some(run.experiment_id),
                run_id: Some(run.run_id),
                url: Some(run.url),
                error: (!run.notes.is_empty()).then(|| run.notes.join("; ")),
                ..MlflowLink::default()
            },
            Err(error) => {
                tracing::warn!(%error, "MLflow does not record this {}", flow.kind);
                MlflowLink { error: Some(error.message().to_owned()), ..MlflowLink::default() }
            }
        })
    }

    /// Puts a flow's id on its run, which was made before there was an id.
    pub(super) async fn name_flow_run(&self, kind: ParentKind, id: FlowId, link: Option<&MlflowLink>) {
        let Some((client, run_id)) = self.mlflow().zip(link.and_then(|link| link.run_id.as_deref())) else {
            return;
        };
        let tag = format!("bindery.{kind}_id");
        if let Err(error) = client.set_tag(run_id, &tag, &id.to_string()).await {
            tracing::warn!(flow.id = %id, %error, "MLflow does not take all of this {kind}");
        }
    }

    /// Ends the run of a flow that was not recorded after all.
    pub(in crate::engine) async fn drop_flow_tracking(&self, link: Option<&MlflowLink>) {
        let Some((client, run_id)) = self.mlflow().zip(link.and_then(|link| link.run_id.as_deref())) else {
            return;
        };
        let ended = async {
            let run = client.run(run_id).await?;
            client.finish_run(&run, RunOutcome::Killed, jiff::Timestamp::now()).await
        };
        if let Err(error) = ended.await {
            tracing::warn!(%error, "a run in MLflow cannot be ended now");
        }
    }

    /// Ends the runs of flows that have ended; false when MLflow cannot take it all now.
    pub(super) async fn tell_of_ended_flows(&self) -> bool {
        let flows = match self.database().flows_to_tell().await {
            Ok(flows) => flows,
            Err(error) => {
                tracing::debug!(%error, "ended workflows and sweeps cannot be looked for now");
                return false;
            }
        };
        for flow in flows {
            if let Err(error) = self.tell_of_end(&flow).await {
                tracing::warn!(flow.id = %flow.id, %error, "MLflow cannot be told of an end now");
                return false;
            }
        }
        true
    }

    async fn tell_of_end(&self, flow: &Flow) -> Result<()> {
        let link = flow.mlflow.clone().unwrap_or_default();
        let Some((client, run_id)) = self.mlflow().zip(link.run_id.as_deref()) else { return Ok(()) };
        let outcome = match flow.status {
            ExecutionStatus::Success => RunOutcome::Finished,
            ExecutionStatus::Cancelled => RunOutcome::Killed,
            _ => RunOutcome::Failed,
        };
        let told = async {
            let run = client.run(run_id).await?;
            if flow.kind == ParentKind::Sweep {
                let table = Table::new(self.flow_tasks(flow.id, Some(0)).await?);
                client
                    .log_artifact(&run, "results.csv", Bytes::from(table.to_csv()), "text/csv; charset=utf-8")
                    .await?;
            }
            client.finish_run(&run, outcome, flow.end_time.unwrap_or_else(jiff::Timestamp::now)).await
        };
        let error = match told.await {
            Ok(()) => None,
            // It may come back.
            Err(error) if error.kind() == crate::ErrorKind::Unavailable && is_young(flow) => {
                return Err(error);
            }
            Err(error) => Some(error.message().to_owned()),
        };
        let error = link.error.clone().into_iter().chain(error).collect::<Vec<_>>().join("; ");
        let link = MlflowLink { error: Some(error).filter(|error| !error.is_empty()), ..link };
        self.database().close_flow_tracking(flow.id, &link).await
    }
}

/// Whether its end is so fresh that MLflow is told again.
fn is_young(flow: &Flow) -> bool {
    let age = flow.end_time.map(|end| end.duration_until(jiff::Timestamp::now()));
    age.is_none_or(|age| age < jiff::SignedDuration::from_hours(24))
}
