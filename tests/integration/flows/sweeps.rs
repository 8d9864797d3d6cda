//! Many executions of one notebook: never more at once than asked for, a table of what they came to, an early stop, and
//! their runs in MLflow.

use std::time::Duration;

use bindery::config::{Config, DataSettings, Settings};
use bindery::engine::Engine;
use bindery::engine::flows::StartFlow;
use bindery::execution::{ExecutionStatus, ParentKind};
use bindery::flow::FlowId;
use bindery::flow::StepStatus::{Cancelled, Failed, Success};
use bindery::workflow::{ForEach, Step, StepSource, Workflow};
use serde_json::{Value, json};

use super::workflow;
use crate::support::engine::{TestEngine, code_cell, data_dir, notebook, until};
use crate::support::mlflow::MlflowServer;

/// A sweep of `point.ipynb` over these points.
fn sweep(points: Vec<Value>, change: impl FnOnce(&mut Step)) -> StartFlow {
    let mut step = Step {
        for_each: Some(ForEach::List(points)),
        literal_parameters: true,
        ..Step::new("sweep", StepSource::Notebook("point.ipynb".into()))
    };
    change(&mut step);
    StartFlow {
        kind: ParentKind::Sweep,
        request: json!({}),
        workflow: Workflow { name: "point".into(), ..workflow(vec![step]) },
        parameters: Default::default(),
        username: Some("ada".into()),
        output_directory: None,
        idempotency_key: None,
    }
}

fn point_notebook(cells: &[&str]) -> Value {
    let parameters = code_cell(0, "alpha = 0.0\nname = ''", &["parameters"]);
    let cells = cells.iter().enumerate().map(|(index, source)| code_cell(index + 1, source, &[]));
    notebook(std::iter::once(parameters).chain(cells).collect())
}

async fn end(test: &TestEngine, id: FlowId) -> ExecutionStatus {
    let waiting = test.engine.wait_for_flow(ParentKind::Sweep, id);
    tokio::time::timeout(Duration::from_secs(170), waiting).await.unwrap().unwrap().status
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_points_run_four_at_a_time_and_their_table_is_right() {
    let test = TestEngine::start_with(|settings| settings.service.workers = Some(8)).await;
    // What runs at the same time is counted by the notebooks themselves, in a file that they share.
    let counted = "import fcntl, os, time\n\
        def change(by):\n    with open('running', 'a+') as f:\n        fcntl.flock(f, fcntl.LOCK_EX)\n        f.seek(0)\n        \
        now = int(f.read() or 0) + by\n        f.truncate(0)\n        f.write(str(now))\n    return now\n\
        most = change(1)\ntime.sleep(0.05)\n";
    let last = "change(-1)\ndisplay(alpha * 2, metadata={'bindery': {'result': 'score'}})\n\
        display(most, metadata={'bindery': {'result': 'most'}})\nassert name != 'n17', 'seventeen'";
    test.put("point.ipynb", &point_notebook(&[counted, last]));
    // What looks like an expression is a value like any other.
    let points: Vec<_> = (0..60)
        .map(|n| json!({"alpha": n, "name": if n == 5 { "${{ index }}".into() } else { format!("n{n}") }}))
        .collect();
    let id = test.engine.start_flow(sweep(points, |step| step.max_parallel = Some(4))).await.unwrap();
    assert_eq!(end(&test, id).await, ExecutionStatus::Failed, "one point fails");
    let step = test.engine.flow_steps(id).await.unwrap().remove(0);
    assert_eq!((step.items, step.success, step.failed, step.cancelled), (60, 59, 1, 0));
    let table = test.engine.flow_table(ParentKind::Sweep, id, None).await.unwrap();
    let rows = table.rows();
    assert_eq!(rows.len(), 60);
    let result = |row: usize, name: &str| {
        rows[row].task.results.as_ref().and_then(|it| it.get(name)).and_then(Value::as_i64)
    };
    for (row, recorded) in rows.iter().enumerate() {
        assert_eq!(recorded.parameters["alpha"], row);
        // The one that failed had recorded it before.
        assert_eq!(result(row, "score"), Some(2 * row as i64));
    }
    let most = (0..60).filter_map(|row| result(row, "most")).max();
    assert!((2..=4).contains(&most.unwrap()), "{most:?} at the same time");
    let csv = table.to_csv();
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines.len(), 61);
    assert!(lines[0].starts_with(
        "index,alpha,name,score,most,status,duration_seconds,attempts,execution_id,output_path,error"
    ));
    assert!(lines[6].starts_with("5,5,${{ index }},10,"), "{}", lines[6]);
    assert!(lines[18].starts_with("17,17,n17,34,") && lines[18].contains(",failed,"), "{}", lines[18]);
    assert!(lines[18].ends_with("AssertionError in cell 3: seventeen"), "{}", lines[18]);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_points_are_queued_and_given_up_in_good_time() {
    let folder = data_dir();
    let data = DataSettings { data_dir: Some(folder.path().to_owned()) };
    // Nothing runs here.
    let engine =
        Engine::open(Config::resolve(Settings { data, ..Settings::default() }).unwrap()).await.unwrap();
    let notebook = engine.config().notebooks_root.folder().unwrap().join("point.ipynb");
    std::fs::write(notebook, point_notebook(&["alpha"]).to_string()).unwrap();
    let points = (0..1200).map(|n| json!({"alpha": n})).collect();
    let id = engine.start_flow(sweep(points, |_| {})).await.unwrap();
    let step = engine.flow_steps(id).await.unwrap().remove(0);
    assert_eq!((step.items, step.running, step.pending()), (1200, 1200, 0));
    assert_eq!(engine.count_executions().await.unwrap(), [(ExecutionStatus::Pending, 1200)]);
    let flow = engine.cancel_flow(ParentKind::Sweep, id).await.unwrap();
    assert_eq!(flow.status, ExecutionStatus::Cancelled);
    assert_eq!(engine.count_executions().await.unwrap(), [(ExecutionStatus::Cancelled, 1200)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_failure_stops_a_sweep_that_asked_for_that() {
    let test = TestEngine::start().await;
    // The third begins when the first has ended: there is room for two.
    let cell = "import os, time\nif alpha == 2: open('third', 'w').close()\n\
        while alpha == 1 and not os.path.exists('third'): time.sleep(0.02)\n\
        if alpha == 1: raise ValueError('one')\ntime.sleep(0 if alpha == 0 else 300)";
    test.put("point.ipynb", &point_notebook(&[cell]));
    let points = (0..20).map(|n| json!({"alpha": n})).collect();
    let start = sweep(points, |step| (step.max_parallel, step.fail_fast) = (Some(2), true));
    let id = test.engine.start_flow(start).await.unwrap();
    assert_eq!(end(&test, id).await, ExecutionStatus::Failed);
    let table = test.engine.flow_table(ParentKind::Sweep, id, None).await.unwrap();
    let statuses: Vec<_> = table.rows().iter().map(|row| row.task.status).collect();
    assert_eq!(statuses[..2], [Success, Failed]);
    assert!(statuses[2..].iter().all(|status| *status == Cancelled), "{statuses:?}");
    let begun = table.rows().iter().filter(|row| row.task.execution_id.is_some()).count();
    assert_eq!(begun, 3, "of 20");
    // Taken up again, it does the rest: it fails once more, and what ended well is not done again.
    let first = table.rows()[0].task.execution_id;
    test.engine.resume_flow(ParentKind::Sweep, id).await.unwrap();
    assert_eq!(end(&test, id).await, ExecutionStatus::Failed);
    let table = test.engine.flow_table(ParentKind::Sweep, id, None).await.unwrap();
    assert_eq!(table.rows()[0].task.execution_id, first);
    assert_eq!(table.rows()[1].task.attempts, 2);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mlflow_shows_the_points_below_the_sweep() {
    let mlflow = MlflowServer::start().await;
    let uri = mlflow.uri().to_owned();
    let test = TestEngine::start_with(|settings| settings.service.mlflow_tracking_uri = Some(uri)).await;
    test.put(
        "point.ipynb",
        &point_notebook(&["display(alpha, metadata={'bindery': {'result': 'score'}})\nassert alpha < 2"]),
    );
    let points = (0..3).map(|n| json!({"alpha": n})).collect();
    let id = test.engine.start_flow(sweep(points, |_| {})).await.unwrap();
    assert_eq!(end(&test, id).await, ExecutionStatus::Failed);
    let parent = until("the sweep's run has ended", async || {
        let link = test.engine.flow(ParentKind::Sweep, id).await.unwrap().mlflow.unwrap();
        let run_id = link.run_id.unwrap();
        let run = mlflow.get(&format!("mlflow/runs/get?run_id={run_id}")).await["run"].clone();
        (run["info"]["status"] == "FAILED").then_some(run)
    })
    .await;
    let tag = |run: &Value, key: &str| {
        let tags = run["data"]["tags"].as_array().unwrap();
        tags.iter().find(|tag| tag["key"] == key).map(|tag| tag["value"].as_str().unwrap().to_owned())
    };
    assert_eq!(tag(&parent, "bindery.sweep_id"), Some(id.to_string()));
    let parent_id = parent["info"]["run_id"].as_str().unwrap().to_owned();
    let experiment = parent["info"]["experiment_id"].as_str().unwrap();
    let runs = mlflow.post("mlflow/runs/search", &json!({"experiment_ids": [experiment]})).await;
    let runs = runs["runs"].as_array().unwrap();
    let children: Vec<_> =
        runs.iter().filter(|run| tag(run, "mlflow.parentRunId").as_ref() == Some(&parent_id)).collect();
    assert_eq!(children.len(), 3, "{runs:#?}");
    let mut ends: Vec<_> = children.iter().map(|run| run["info"]["status"].as_str().unwrap()).collect();
    ends.sort_unstable();
    assert_eq!(ends, ["FAILED", "FINISHED", "FINISHED"]);
    let artifacts = mlflow.get(&format!("mlflow/artifacts/list?run_id={parent_id}")).await;
    assert_eq!(artifacts["files"][0]["path"], "results.csv", "{artifacts}");
    test.stop().await;
}
