//! What is shown of a flow, over HTTP and on the command line alike.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Flow, FlowId, FlowStep, FlowTask, StepStatus};
use crate::execution::{
    CellError, ExecutionId, ExecutionStatus, MlflowLink, Parent, ParentKind, human_duration,
};
use crate::workflow::graph::{Graph, graph};
use crate::workflow::sweep::SweepPlan;

/// A workflow's run, or a sweep.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Flow, example = json!({"id": 3, "kind": "workflow", "name": "nightly", "status": "running", "username": "ann",
    "parameters": {"day": "2026-05-04"}, "progress": {"total": 6, "pending": 2, "running": 2, "success": 2, "failed": 0,
    "cancelled": 0}, "steps": [{"name": "prepare", "status": "success", "needs": [], "fans_out": false, "progress":
    {"total": 1, "pending": 0, "running": 0, "success": 1, "failed": 0, "cancelled": 0}, "start_time":
    "2026-05-04T03:00:00Z", "end_time": "2026-05-04T03:00:09Z", "duration": "9.0s", "error": null, "execution_id": 41,
    "output_path": "workflows/3-nightly/prepare.ipynb", "results": {"folds": [1, 2, 3, 4, 5]}}], "sweep": null,
    "output_directory": "workflows/3-nightly", "submitted_at": "2026-05-04T03:00:00Z", "end_time": null,
    "deadline": null, "duration": "12s", "error": null, "warnings": [], "mlflow": null, "parent": null}))]
pub struct FlowView {
    /// Its id.
    pub id: FlowId,
    /// `workflow` or `sweep`.
    pub kind: ParentKind,
    /// What people call it.
    pub name: String,
    /// `running → success | failed | cancelled`.
    pub status: ExecutionStatus,
    /// For whom its notebooks run.
    pub username: Option<String>,
    /// The values of a workflow's own parameters.
    #[schema(value_type = Object)]
    pub parameters: Map<String, Value>,
    /// How many executions are where, all steps together, as far as it is known how many there will be.
    pub progress: FlowProgress,
    /// Its steps in the order in which they are written. A sweep has one, `sweep`.
    pub steps: Vec<StepView>,
    /// How a sweep came to its points.
    #[schema(nullable)]
    pub sweep: Option<SweepPlan>,
    /// Where the executed notebooks go, relative to the notebooks root, unless a step says otherwise.
    pub output_directory: String,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    pub submitted_at: Timestamp,
    /// When its final status was written.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub end_time: Option<Timestamp>,
    /// When it has to have ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deadline: Option<Timestamp>,
    /// From when it was accepted to its end, or until now.
    pub duration: String,
    /// Why it failed; the first of its steps that did, when it is a step's fault.
    #[schema(nullable)]
    pub error: Option<CellError>,
    /// What you should know though it stopped nothing.
    pub warnings: Vec<String>,
    /// Its run in MLflow, whose children the runs of its executions are; null when MLflow is not in use.
    #[schema(nullable)]
    pub mlflow: Option<MlflowLink>,
    /// What started it, when that was no client: a schedule, and the time at which it was due.
    #[schema(nullable)]
    pub parent: Option<Parent>,
}

/// How many executions are where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct FlowProgress {
    /// All that are known of.
    pub total: u64,
    /// That wait for room, or to be tried again.
    pub pending: u64,
    /// That are in the queue or run.
    pub running: u64,
    /// That ended well.
    pub success: u64,
    /// That failed for good.
    pub failed: u64,
    /// That were stopped, or never began because others failed.
    pub cancelled: u64,
}

impl FlowProgress {
    /// Of one step.
    pub fn of(step: &FlowStep) -> Self {
        Self {
            total: step.items,
            pending: step.pending(),
            running: step.running,
            success: step.success,
            failed: step.failed,
            cancelled: step.cancelled,
        }
    }

    /// How many have ended.
    pub fn done(&self) -> u64 {
        self.success + self.failed + self.cancelled
    }
}

impl std::iter::Sum for FlowProgress {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, it| Self {
            total: sum.total + it.total,
            pending: sum.pending + it.pending,
            running: sum.running + it.running,
            success: sum.success + it.success,
            failed: sum.failed + it.failed,
            cancelled: sum.cancelled + it.cancelled,
        })
    }
}

/// A step of a flow.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = FlowStep)]
pub struct StepView {
    /// Its name.
    pub name: String,
    /// `pending → running → success | failed | cancelled`, or `skipped`.
    pub status: StepStatus,
    /// The steps that must end before it.
    pub needs: Vec<String>,
    /// Whether it is executed once for each item of a list.
    pub fans_out: bool,
    /// How many of its executions are where.
    pub progress: FlowProgress,
    /// When it began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub start_time: Option<Timestamp>,
    /// When all of it had ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub end_time: Option<Timestamp>,
    /// From its begin to its end, or until now.
    pub duration: Option<String>,
    /// Why it failed: the first failure.
    #[schema(nullable)]
    pub error: Option<CellError>,
    /// Its last execution; of a step that fans out, see its results.
    pub execution_id: Option<ExecutionId>,
    /// Where its result goes; of a step that fans out, see its results.
    pub output_path: Option<String>,
    /// What its notebook recorded; of a step that fans out, see its results.
    #[schema(value_type = Option<Object>)]
    pub results: Option<Map<String, Value>>,
}

impl FlowView {
    /// What is shown of a flow at a time. `tasks` are of those steps that do not fan out, as far as they are at hand.
    pub fn new(flow: Flow, steps: Vec<FlowStep>, tasks: Vec<FlowTask>, now: Timestamp) -> Self {
        let elapsed = |from: Timestamp, to: Option<Timestamp>| {
            let span = from.duration_until(to.unwrap_or(now));
            human_duration(std::time::Duration::try_from(span).unwrap_or_default())
        };
        let workflow = &flow.definition.workflow;
        let progress = steps.iter().map(FlowProgress::of).sum();
        let failed = steps.iter().find(|step| step.status == StepStatus::Failed && step.error.is_some());
        let failed = failed.filter(|_| flow.status == ExecutionStatus::Failed);
        let error = flow.error.clone().or_else(|| failed.and_then(|step| step.error.clone()));
        let steps = steps.into_iter().zip(&workflow.steps).map(|(step, definition)| {
            let fans_out = definition.for_each.is_some();
            let task = tasks.iter().find(|task| task.step == step.position && !fans_out);
            StepView {
                progress: FlowProgress::of(&step),
                needs: definition.needs.clone(),
                fans_out,
                duration: step.start_time.map(|start| elapsed(start, step.end_time)),
                execution_id: task.and_then(|task| task.execution_id),
                output_path: task.map(|task| task.output_path.clone()),
                results: task.and_then(|task| task.results.clone()),
                name: step.name,
                status: step.status,
                start_time: step.start_time,
                end_time: step.end_time,
                error: step.error,
            }
        });
        Self {
            steps: steps.collect(),
            id: flow.id,
            kind: flow.kind,
            name: flow.name,
            status: flow.status,
            username: flow.username,
            parameters: flow.parameters,
            progress,
            sweep: workflow.sweep.clone(),
            output_directory: flow.output_directory,
            submitted_at: flow.submitted_at,
            end_time: flow.end_time,
            deadline: flow.deadline,
            duration: elapsed(flow.submitted_at, flow.end_time),
            error,
            warnings: flow.warnings,
            mlflow: flow.mlflow,
            parent: flow.parent,
        }
    }
}

/// The graph of a flow, with where each step stands.
pub fn graph_of(flow: &Flow, steps: &[FlowStep]) -> Graph {
    let mut graph = graph(&flow.definition.workflow);
    for (node, step) in graph.nodes.iter_mut().zip(steps) {
        node.status = Some(step.status.to_string());
        node.done = Some(FlowProgress::of(step).done());
        node.total = Some(step.items);
    }
    graph
}
