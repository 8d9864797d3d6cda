//! Workflows and sweeps: accepted, looked at, stopped, taken up again. How they go on is in `advance.rs`.

mod advance;
mod begin;
mod check;
mod running;
mod shown;
pub(in crate::engine) mod sweeps;
mod tracking;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Engine, Milestone};
pub use crate::db::FlowFilter;
use crate::db::Transaction;
use crate::error::{Error, Result};
use crate::execution::ParentKind;
use crate::flow::table::Table;
use crate::flow::{Definition, Flow, FlowId, FlowStep, FlowTask, NewFlow, plan};
use crate::workflow::definition::SWEEP_STEP;
use crate::workflow::fault::{self, Fault};
use crate::workflow::{Places, Workflow};
pub use check::{CheckedWorkflow, ReadWorkflow};

/// How often those who wait look, should word of an end get lost.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A workflow or a sweep to be accepted.
#[derive(Debug, Clone)]
pub struct StartFlow {
    /// A workflow or a sweep.
    pub kind: ParentKind,
    /// The steps.
    pub workflow: Workflow,
    /// What was asked for, in its own words; kept for people.
    pub request: Value,
    /// In place of the values that the workflow's own parameters have.
    pub parameters: Map<String, Value>,
    /// For whom, when the workflow does not say.
    pub username: Option<String>,
    /// Where the executed notebooks go; a folder of its own when not given.
    pub output_directory: Option<String>,
    /// What the client calls this request: with the same name it is the same request.
    pub idempotency_key: Option<String>,
}

impl Engine {
    /// Accepts a workflow or a sweep: checks its notebooks and parameters, records it, and puts what can begin into the
    /// queue. A request that has the idempotency key of an earlier one gives that one, however far it has come.
    ///
    /// # Errors
    /// `Invalid` with a field for each fault, `BadInput` for a path, `Invalid` too when the idempotency key stands for
    /// another request: then nothing has begun.
    pub async fn start_flow(&self, start: StartFlow) -> Result<FlowId> {
        if let Some(first) = self.flow_asked_before(&start).await? {
            return Ok(first);
        }
        let new = self.prepare_flow(&start).await?;
        let new = self.track_flow(new).await;
        let mut transaction = self.database().begin().await?;
        let Some(id) = insert_flow(&mut transaction, &new, self.database().now()).await? else {
            drop(transaction);
            self.drop_flow_tracking(new.mlflow.as_ref()).await;
            let first = self.flow_asked_before(&start).await?;
            return first.ok_or_else(|| Error::internal("the database gave a flow no id"));
        };
        transaction.commit().await?;
        self.begin_flow(id, &new).await;
        Ok(id)
    }

    /// Makes the run in MLflow of a flow that is about to be recorded.
    pub(in crate::engine) async fn track_flow(&self, new: NewFlow) -> NewFlow {
        let mut new = NewFlow { mlflow: self.start_flow_tracking(&new).await, ..new };
        new.warnings.extend(new.mlflow.as_ref().and_then(|link| link.error.clone()));
        new
    }

    /// Lets a flow begin that has just been recorded.
    pub(in crate::engine) async fn begin_flow(&self, id: FlowId, new: &NewFlow) {
        let kind = new.kind;
        tracing::info!(flow.id = %id, flow.kind = %kind, "a {kind} was accepted");
        // It is accepted; what fails from here on is done by whoever coordinates.
        if let Err(error) = self.advance_flow(id).await {
            tracing::warn!(flow.id = %id, %error, "a {kind} cannot begin now");
        }
        self.name_flow_run(kind, id, new.mlflow.as_ref()).await;
    }

    /// A flow that could be accepted, with what is known of its notebooks.
    ///
    /// # Errors
    /// As [`Engine::start_flow`].
    pub(in crate::engine) async fn prepare_flow(&self, start: &StartFlow) -> Result<NewFlow> {
        let CheckedWorkflow { declared, warnings, faults } =
            self.check_workflow(&start.workflow, &Places::default()).await?;
        let faults: Vec<_> = faults.into_iter().map(|fault| as_asked(start.kind, fault)).collect();
        if !faults.is_empty() {
            return Err(fault::error(&format!("the {}", start.kind), &faults));
        }
        let mut parameters = start.workflow.parameters.clone();
        for (name, value) in &start.parameters {
            match parameters.get_mut(name) {
                Some(old) => *old = value.clone(),
                None => {
                    let known: Vec<_> =
                        start.workflow.parameters.keys().map(|name| format!("`{name}`")).collect();
                    let what = match known.is_empty() {
                        true => "is unknown: the workflow declares no parameters".to_owned(),
                        false => format!("is unknown: the workflow declares {}", known.join(", ")),
                    };
                    return Err(Error::invalid(format!("parameter `{name}` {what}"))
                        .with_field(format!("parameters.{name}"), what));
                }
            }
        }
        let output_directory = match start.output_directory.as_deref().map(|it| it.trim_matches('/')) {
            None | Some("") => None,
            Some(directory) => Some(self.root().resolve("output_directory", directory)?.relative),
        };
        Ok(NewFlow {
            kind: start.kind,
            username: start.username.clone().or_else(|| start.workflow.username.clone()),
            definition: Definition { workflow: start.workflow.clone(), declared },
            request: start.request.clone(),
            parameters,
            output_directory,
            warnings: warnings.iter().map(ToString::to_string).collect(),
            mlflow: None,
            idempotency_key: start.idempotency_key.clone(),
            parent: None,
        })
    }

    /// The flow that an earlier request with the same idempotency key has got.
    async fn flow_asked_before(&self, start: &StartFlow) -> Result<Option<FlowId>> {
        let Some(key) = start.idempotency_key.as_deref() else { return Ok(None) };
        let Some(first) = self.database().flow_by_key(key).await? else { return Ok(None) };
        if (first.kind, &first.request) != (start.kind, &start.request) {
            let what = format!("was given to another request, {} {}: take a new one", first.kind, first.id);
            return Err(
                Error::invalid(format!("`Idempotency-Key` {what}")).with_field("Idempotency-Key", what)
            );
        }
        Ok(Some(first.id))
    }

    /// One workflow's run, or one sweep.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn flow(&self, kind: ParentKind, id: FlowId) -> Result<Flow> {
        self.database().flow(kind, id).await
    }

    /// The steps of a flow in their order.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn flow_steps(&self, id: FlowId) -> Result<Vec<FlowStep>> {
        self.database().flow_steps(id).await
    }

    /// The tasks of a step, by its place, or of all steps.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn flow_tasks(&self, id: FlowId, step: Option<usize>) -> Result<Vec<FlowTask>> {
        self.database().flow_tasks(id, step).await
    }

    /// Workflows' runs or sweeps, newest first.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn list_flows(&self, filter: &FlowFilter) -> Result<Vec<Flow>> {
        self.database().list_flows(filter).await
    }

    /// What the tasks of a step came to; of the only step, or the only one that fans out, when none is named.
    ///
    /// # Errors
    /// `NotFound` for the flow or the step; `BadInput` when it has to be named.
    pub async fn flow_table(&self, kind: ParentKind, id: FlowId, step: Option<&str>) -> Result<Table> {
        let flow = self.flow(kind, id).await?;
        let steps = &flow.definition.workflow.steps;
        let names = || steps.iter().map(|step| format!("`{}`", step.name)).collect::<Vec<_>>().join(", ");
        let position = match step {
            Some(name) => steps.iter().position(|step| step.name == name).ok_or_else(|| {
                Error::not_found(format!("{kind} {id} has no step `{name}`; it has {}", names()))
            })?,
            None => {
                let mut fanned =
                    (0..steps.len()).filter(|at| steps.len() == 1 || steps[*at].for_each.is_some());
                match (fanned.next(), fanned.next()) {
                    (Some(only), None) => only,
                    _ => {
                        return Err(Error::bad_input(format!("say of which step, with `step`: {}", names())));
                    }
                }
            }
        };
        Ok(Table::new(self.flow_tasks(id, Some(position)).await?))
    }

    /// Stops a flow: what waits is given up, what runs is interrupted.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it has ended.
    pub async fn cancel_flow(&self, kind: ParentKind, id: FlowId) -> Result<Flow> {
        let flow = self.flow(kind, id).await?;
        if !self.database().request_flow_cancel(id).await? {
            let status = self.flow(kind, id).await?.status;
            return Err(Error::conflict(format!("{kind} {id} has already ended: {status}")));
        }
        tracing::info!(flow.id = %flow.id, flow.kind = %kind, "a {kind} was asked to stop");
        self.advance_flow(id).await?;
        self.flow(kind, id).await
    }

    /// Takes up a flow that failed or was cancelled: what ended well stays, all else is done once more.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it runs, or ended well.
    pub async fn resume_flow(&self, kind: ParentKind, id: FlowId) -> Result<Flow> {
        self.flow(kind, id).await?;
        let mut transaction = self.database().begin().await?;
        match transaction.reopen_flow(id, self.database().now()).await? {
            Some(_) => transaction.commit().await?,
            None => {
                drop(transaction);
                let status = self.flow(kind, id).await?.status;
                let why = match status.is_final() {
                    true => "it ended well, and nothing is left to do".to_owned(),
                    false => format!("it is {status}"),
                };
                return Err(Error::conflict(format!("{kind} {id} cannot be resumed: {why}")));
            }
        }
        tracing::info!(flow.id = %id, flow.kind = %kind, "a {kind} was resumed");
        self.advance_flow(id).await?;
        self.flow(kind, id).await
    }

    /// Waits until a flow has ended.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn wait_for_flow(&self, kind: ParentKind, id: FlowId) -> Result<Flow> {
        let mut milestones = self.inner.milestones.subscribe();
        loop {
            let flow = self.flow(kind, id).await?;
            if flow.status.is_final() {
                return Ok(flow);
            }
            let ended = async { while let Ok((_, Milestone::FirstCodeCell)) = milestones.recv().await {} };
            let _ = tokio::time::timeout(LOOK_INTERVAL, ended).await;
            // Other executions end much oftener than it does.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Records a flow; `None` when its idempotency key, or its place at its parent, is taken.
///
/// # Errors
/// `Unavailable` when the database cannot be used.
pub(in crate::engine) async fn insert_flow(
    transaction: &mut Transaction,
    new: &NewFlow,
    now: Timestamp,
) -> Result<Option<FlowId>> {
    let name = &new.definition.workflow.name;
    let directory = |id: FlowId| plan::output_directory(new.kind.as_str(), id.0, name);
    transaction.insert_flow(new, directory, now).await
}

/// A fault with the name that a field has in the request for a sweep, where there are no steps.
fn as_asked(kind: ParentKind, mut fault: Fault) -> Fault {
    let of_step = format!("steps.{SWEEP_STEP}.");
    if kind == ParentKind::Sweep
        && let Some(field) = fault.field.strip_prefix(&of_step)
    {
        fault.field = match field {
            "notebook" => "notebook_path".to_owned(),
            "template" => "template_name".to_owned(),
            other => other.to_owned(),
        };
    }
    fault
}
