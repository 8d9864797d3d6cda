//! Workflows and sweeps on real kernels.

mod crash;
mod sweeps;
mod workflows;

use std::time::Duration;

use bindery::engine::Engine;
use bindery::engine::executions::ExecutionFilter;
use bindery::engine::flows::StartFlow;
use bindery::execution::{Execution, ParentId, ParentKind};
use bindery::flow::{Flow, FlowId, StepStatus};
use bindery::workflow::{ForEach, Step, StepParameters, StepSource, Workflow};
use serde_json::{Value, json};

/// How long a flow may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A workflow of these steps.
fn workflow(steps: Vec<Step>) -> Workflow {
    Workflow { name: "nightly".into(), steps, username: Some("ada".into()), ..Workflow::default() }
}

/// A step that runs `NAME.ipynb` after others.
fn step(name: &str, needs: &[&str]) -> Step {
    Step {
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        ..Step::new(name, StepSource::Notebook(format!("{name}.ipynb")))
    }
}

/// The step with parameters.
fn given(step: Step, parameters: Value) -> Step {
    let Value::Object(parameters) = parameters else { panic!("{parameters}") };
    Step { parameters: StepParameters::Map(parameters), ..step }
}

/// The step for each item of a list.
fn for_each(step: Step, items: Value) -> Step {
    let items = match items {
        Value::String(text) => ForEach::Expression(text),
        Value::Array(items) => ForEach::List(items),
        other => panic!("{other}"),
    };
    Step { for_each: Some(items), ..step }
}

/// Starts a workflow.
async fn start(engine: &Engine, workflow: Workflow) -> FlowId {
    let start = StartFlow {
        kind: ParentKind::Workflow,
        request: json!({}),
        workflow,
        parameters: Default::default(),
        username: None,
        output_directory: None,
        idempotency_key: None,
    };
    engine.start_flow(start).await.unwrap()
}

/// Waits for a workflow's end.
async fn end(engine: &Engine, id: FlowId) -> Flow {
    let waiting = engine.wait_for_flow(ParentKind::Workflow, id);
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(flow) => flow.unwrap(),
        Err(_) => panic!("{:#?}", engine.flow_steps(id).await.unwrap()),
    }
}

/// The statuses of its steps.
async fn statuses(engine: &Engine, id: FlowId) -> Vec<StepStatus> {
    engine.flow_steps(id).await.unwrap().into_iter().map(|step| step.status).collect()
}

/// Its executions, oldest first.
async fn children(engine: &Engine, id: FlowId) -> Vec<Execution> {
    let parent = Some(ParentId { kind: ParentKind::Workflow, id: id.0 });
    let filter = ExecutionFilter { parent, limit: 1000, ..ExecutionFilter::default() };
    let mut executions = engine.list_executions(&filter).await.unwrap();
    executions.reverse();
    executions
}

/// What its executions are called, in the order in which they were begun.
async fn names(engine: &Engine, id: FlowId) -> Vec<String> {
    children(engine, id).await.into_iter().map(|it| it.request.parent.unwrap().child).collect()
}
