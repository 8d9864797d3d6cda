//! Flows: workflows and sweeps on their way. The words for what is recorded of one, and what follows from that (`plan`).
//! A sweep is a workflow of one step.
//!
//! Pure: no I/O, no async. What is recorded is in `db/flows`, what is done with it in `engine/flows`.

pub mod plan;
pub mod table;
pub mod view;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::error::Error;
use crate::execution::{CellError, ExecutionId, ExecutionStatus, MlflowLink, Parent, ParentKind};
use crate::notebook::Parameter;
use crate::workflow::Workflow;

/// The id of a workflow's run or of a sweep, which share their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = i64, example = 3)]
pub struct FlowId(pub i64);

impl fmt::Display for FlowId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for FlowId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse()
            .map(Self)
            .map_err(|_| Error::bad_input(format!("`{text}` is not an id: it must be a whole number")))
    }
}

/// Where a step or one of its tasks stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StepStatus {
    /// It waits: a step for others, a task for room or for its next try.
    Pending,
    /// It has executions that wait or run.
    Running,
    /// All of it ended well.
    Success,
    /// Some of it failed for good.
    Failed,
    /// It was stopped before its end.
    Cancelled,
    /// Its condition did not hold: it never ran.
    Skipped,
}

impl StepStatus {
    /// Every status.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::Success, Self::Failed, Self::Cancelled, Self::Skipped];

    /// The word used in JSON and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }

    /// Whether nothing more will happen, unless the flow is resumed.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

impl fmt::Display for StepStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for StepStatus {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| Error::internal("a record in the database cannot be read"))
    }
}

/// What a flow runs, and what was known of its notebooks when it was accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// The steps.
    pub workflow: Workflow,
    /// What the notebook of each step declares, in the order of the steps; `None` where its language cannot be inspected.
    pub declared: Vec<Option<Vec<Parameter>>>,
}

/// A workflow's run or a sweep, without its steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// Its id.
    pub id: FlowId,
    /// A workflow or a sweep.
    pub kind: ParentKind,
    /// What people call it.
    pub name: String,
    /// For whom its notebooks run.
    pub username: Option<String>,
    /// `running`, then a final one.
    pub status: ExecutionStatus,
    /// What it runs. Items that were written out are recorded apart, with their steps: here they are none.
    pub definition: Definition,
    /// What was asked for, in its own words.
    pub request: Value,
    /// The values of the workflow's own parameters.
    pub parameters: Map<String, Value>,
    /// Where the executed notebooks go, relative to the notebooks root, unless a step says otherwise.
    pub output_directory: String,
    /// When it was accepted.
    pub submitted_at: Timestamp,
    /// When its final status was written.
    pub end_time: Option<Timestamp>,
    /// When it has to have ended.
    pub deadline: Option<Timestamp>,
    /// Whether somebody asked for it to stop.
    pub cancel_requested: bool,
    /// Why it failed, when that is not a step's fault.
    pub error: Option<CellError>,
    /// What a reader should know though it stopped nothing.
    pub warnings: Vec<String>,
    /// Its run in MLflow, whose children the runs of its executions are.
    pub mlflow: Option<MlflowLink>,
    /// What started it, when that was no client: a schedule.
    pub parent: Option<Parent>,
}

/// A flow that is to be recorded.
#[derive(Debug, Clone)]
pub struct NewFlow {
    /// A workflow or a sweep.
    pub kind: ParentKind,
    /// For whom its notebooks run.
    pub username: Option<String>,
    /// What it runs; its name is the workflow's.
    pub definition: Definition,
    /// What was asked for, in its own words.
    pub request: Value,
    /// The values of the workflow's own parameters.
    pub parameters: Map<String, Value>,
    /// Where the executed notebooks go; a folder of its own when not given.
    pub output_directory: Option<String>,
    /// What a reader should know.
    pub warnings: Vec<String>,
    /// Its run in MLflow.
    pub mlflow: Option<MlflowLink>,
    /// What the client calls this request.
    pub idempotency_key: Option<String>,
    /// What starts it, when that is no client: one flow for each child.
    pub parent: Option<Parent>,
}

/// A step of a flow, and how many of its tasks are where.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowStep {
    /// Its place in the workflow, from 0.
    pub position: usize,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub status: StepStatus,
    /// How many tasks it has; 0 until it begins.
    pub items: u64,
    /// How many have an execution that waits or runs.
    pub running: u64,
    /// How many ended well.
    pub success: u64,
    /// How many failed for good.
    pub failed: u64,
    /// How many were stopped, or never began because others failed.
    pub cancelled: u64,
    /// When it began.
    pub start_time: Option<Timestamp>,
    /// When all of it had ended.
    pub end_time: Option<Timestamp>,
    /// Why it failed, when that is not a task's fault, or the first failure of a task.
    pub error: Option<CellError>,
}

impl FlowStep {
    /// How many tasks wait for room, or for their next try.
    pub fn pending(&self) -> u64 {
        self.items.saturating_sub(self.running + self.success + self.failed + self.cancelled)
    }
}

/// One execution of a step, or one for each item; again, when it is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowTask {
    /// The step's place in the workflow.
    pub step: usize,
    /// Which item, from 0; 0 for a step without `for_each`.
    pub item: usize,
    /// Where it stands; never `skipped`.
    pub status: StepStatus,
    /// What its notebook is given: the text of a JSON object.
    pub parameters: String,
    /// Where its result goes, relative to the notebooks root.
    pub output_path: String,
    /// How many executions it has had.
    pub attempts: u32,
    /// Its last execution.
    pub execution_id: Option<ExecutionId>,
    /// When it is to be tried again.
    pub retry_at: Option<Timestamp>,
    /// What its notebook recorded.
    pub results: Option<Map<String, Value>>,
    /// Why it failed.
    pub error: Option<CellError>,
    /// When its last execution began.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
}
