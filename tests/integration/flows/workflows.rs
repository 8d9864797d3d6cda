//! How steps follow each other, fail, are tried again, stopped and taken up.

use std::time::Duration;

use bindery::ErrorKind;
use bindery::execution::{ExecutionStatus, ParentKind};
use bindery::flow::StepStatus::{Cancelled, Failed, Running, Skipped, Success};
use bindery::workflow::{Retries, Step, StepSource};
use serde_json::json;

use super::{children, end, for_each, given, names, start, statuses, step, workflow};
use crate::support::engine::{TestEngine, code_cell, code_notebook, notebook, until};

/// Records a result without an import.
fn record(name: &str, value: &str) -> String {
    format!(
        "display({{'application/json': {value}}}, raw=True, metadata={{'bindery': {{'result': '{name}'}}}})"
    )
}

fn with_parameters(defaults: &str, cells: &[&str]) -> serde_json::Value {
    let cells = cells.iter().enumerate().map(|(index, source)| code_cell(index + 1, source, &[]));
    notebook([code_cell(0, defaults, &["parameters"])].into_iter().chain(cells).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn results_of_a_step_are_the_items_and_parameters_of_the_next() {
    let test = TestEngine::start().await;
    test.put(
        "prepare.ipynb",
        &with_parameters("rows = 0", &[&record("folds", "[{'n': i * rows} for i in range(3)]")]),
    );
    test.put("train.ipynb", &with_parameters("fold = {}\nname = ''", &[
        "import os\nassert os.path.basename(os.getcwd()) == 'notebooks', os.getcwd()",
        "display(fold['n'] * 2, metadata={'bindery': {'result': 'score'}})\ndisplay(name, metadata={'bindery': {'result': 'name'}})",
    ]));
    test.put("report.ipynb", &with_parameters("models = []\nbest = 0", &[&record("seen", "[models, best]")]));
    let mut flow = workflow(vec![
        given(step("prepare", &[]), json!({"rows": "${{ parameters.rows }}"})),
        given(
            for_each(step("train", &["prepare"]), json!("${{ steps.prepare.results.folds }}")),
            json!({"fold": "${{ item }}", "name": "fold-${{ index }}"}),
        ),
        given(
            step("report", &["train"]),
            json!({"models": "${{ steps.train.results }}", "best": "${{ steps.train.results[2].score }}"}),
        ),
    ]);
    flow.parameters.insert("rows".into(), json!(5));
    let id = start(&test.engine, flow).await;
    let flow = end(&test.engine, id).await;
    assert_eq!((flow.status, flow.error), (ExecutionStatus::Success, None));
    assert_eq!(
        names(&test.engine, id).await,
        ["prepare#1", "train[0]#1", "train[1]#1", "train[2]#1", "report#1"]
    );
    let report = children(&test.engine, id).await.pop().unwrap();
    let models = json!([{"score": 0, "name": "fold-0"}, {"score": 10, "name": "fold-1"}, {"score": 20, "name": "fold-2"}]);
    assert_eq!(report.results.unwrap()["seen"], json!([models, 20]));
    assert_eq!(report.request.output_path, format!("workflows/{id}-nightly/report.ipynb"));
    assert!(test.root().join(format!("workflows/{id}-nightly/train-002.ipynb")).exists());
    let table = test.engine.flow_table(ParentKind::Workflow, id, None).await.unwrap();
    assert_eq!(table.rows().len(), 3);
    assert!(
        table.to_csv().contains("\r\n1,\"{\"\"n\"\":5}\",fold-1,10,fold-1,success,"),
        "{}",
        table.to_csv()
    );
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_stops_what_needs_it_and_a_resumed_workflow_does_only_that_again() {
    let test = TestEngine::start().await;
    let counted = |name: &str| format!("with open('{name}.count', 'a') as f: f.write('x')");
    for name in ["first", "after", "apart", "cleanup"] {
        test.put(&format!("{name}.ipynb"), &code_notebook(&[&counted(name)]));
    }
    test.put(
        "items.ipynb",
        &with_parameters(
            "item = 0",
            &["import os\nif item == 1 and not os.path.exists('mended'): raise ValueError('item')"],
        ),
    );
    let cleanup = Step { condition: Some("failure()".into()), ..step("cleanup", &["after"]) };
    let items = given(for_each(step("items", &["first"]), json!([0, 1, 2])), json!({"item": "${{ item }}"}));
    let id = start(
        &test.engine,
        workflow(vec![step("first", &[]), items, step("after", &["items"]), step("apart", &[]), cleanup]),
    )
    .await;
    let flow = end(&test.engine, id).await;
    assert_eq!(flow.status, ExecutionStatus::Failed);
    assert_eq!(statuses(&test.engine, id).await, [Success, Failed, Skipped, Success, Success]);
    let failed = test.engine.flow_steps(id).await.unwrap().remove(1);
    assert_eq!((failed.success, failed.failed), (2, 1));
    assert_eq!(failed.error.unwrap().evalue, "item");

    std::fs::write(test.root().join("mended"), "").unwrap();
    test.engine.resume_flow(ParentKind::Workflow, id).await.unwrap();
    let flow = end(&test.engine, id).await;
    assert_eq!(flow.status, ExecutionStatus::Success);
    assert_eq!(statuses(&test.engine, id).await, [Success, Success, Success, Success, Success]);
    let names = names(&test.engine, id).await;
    assert_eq!(
        names.iter().filter(|name| name.starts_with("items[1]")).collect::<Vec<_>>(),
        ["items[1]#1", "items[1]#2"]
    );
    assert_eq!(names.len(), 8, "{names:?}");
    for name in ["first", "after", "apart", "cleanup"] {
        assert_eq!(
            std::fs::read_to_string(test.root().join(format!("{name}.count"))).unwrap(),
            "x",
            "{name}"
        );
    }
    let refused = test.engine.resume_flow(ParentKind::Workflow, id).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_tried_again_after_a_while_and_not_for_ever() {
    let test = TestEngine::start().await;
    let count =
        "import os\nn = len(open('n').read()) if os.path.exists('n') else 0\nopen('n', 'a').write('x')";
    test.put("flaky.ipynb", &code_notebook(&[count, "assert n == 2, n"]));
    test.put("never.ipynb", &code_notebook(&["1 / 0"]));
    let retries = Retries {
        limit: 2,
        delay: Duration::from_millis(400),
        factor: 2.0,
        max_delay: Duration::from_secs(5),
    };
    let id = start(
        &test.engine,
        workflow(vec![Step { retries, ..step("flaky", &[]) }, Step { retries, ..step("never", &["flaky"]) }]),
    )
    .await;
    assert_eq!(end(&test.engine, id).await.status, ExecutionStatus::Failed);
    assert_eq!(statuses(&test.engine, id).await, [Success, Failed]);
    let children = children(&test.engine, id).await;
    let names: Vec<_> = children.iter().map(|it| it.request.parent.clone().unwrap().child).collect();
    assert_eq!(names, ["flaky#1", "flaky#2", "flaky#3", "never#1", "never#2", "never#3"]);
    for (at, delay) in [(0, 400), (1, 800), (3, 400), (4, 800)] {
        let waited = children[at].end_time.unwrap().duration_until(children[at + 1].submitted_at).as_millis();
        assert!(waited >= delay, "{at}: {waited} ms");
    }
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_workflow_leaves_nothing_running_and_begins_nothing() {
    let test = TestEngine::start().await;
    test.put("long.ipynb", &code_notebook(&["import time; time.sleep(300)"]));
    test.put("after.ipynb", &code_notebook(&["1"]));
    let long = for_each(step("long", &[]), json!([1, 2, 3, 4]));
    let id = start(&test.engine, workflow(vec![long, step("after", &["long"])])).await;
    until("two of them run", async || {
        let running =
            children(&test.engine, id).await.iter().filter(|it| it.progress.current_cell.is_some()).count();
        (running == 2).then_some(())
    })
    .await;
    test.engine.cancel_flow(ParentKind::Workflow, id).await.unwrap();
    assert_eq!(end(&test.engine, id).await.status, ExecutionStatus::Cancelled);
    assert_eq!(statuses(&test.engine, id).await, [Cancelled, Cancelled]);
    let children = children(&test.engine, id).await;
    assert!(children.iter().all(|it| it.status == ExecutionStatus::Cancelled), "{children:?}");
    let refused = test.engine.cancel_flow(ParentKind::Workflow, id).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_takes_too_long_fails() {
    let test = TestEngine::start().await;
    test.put("long.ipynb", &code_notebook(&["import time; time.sleep(300)"]));
    let mut flow = workflow(vec![step("long", &[])]);
    flow.timeout = Some(Duration::from_secs(2));
    let id = start(&test.engine, flow).await;
    assert_eq!(statuses(&test.engine, id).await, [Running]);
    let flow = end(&test.engine, id).await;
    assert_eq!(
        (flow.status, flow.error.unwrap().ename.as_str()),
        (ExecutionStatus::Failed, "WorkflowTimeoutError")
    );
    assert_eq!(statuses(&test.engine, id).await, [Cancelled]);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_that_come_to_nothing_fail_their_step_with_the_reason() {
    let test = TestEngine::start().await;
    test.put("first.ipynb", &code_notebook(&[&record("n", "3")]));
    test.put("next.ipynb", &code_notebook(&["1"]));
    let next = |items: &str| for_each(Step { name: "next".into(), ..step("next", &["first"]) }, json!(items));
    for (items, told) in
        [("${{ steps.first.results.n }}", "list"), ("${{ steps.first.results.missing }}", "missing")]
    {
        let id = start(&test.engine, workflow(vec![step("first", &[]), next(items)])).await;
        assert_eq!(end(&test.engine, id).await.status, ExecutionStatus::Failed);
        let failed = test.engine.flow_steps(id).await.unwrap().remove(1);
        assert_eq!(failed.status, Failed);
        let error = failed.error.unwrap();
        assert!(error.evalue.contains(told), "{error}");
    }
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_can_run_a_template_and_an_empty_list_is_no_failure() {
    let test = TestEngine::start().await;
    let template = std::fs::read("templates/quickstart/hello.ipynb").unwrap();
    let upload = bindery::engine::templates::TemplateUpload {
        file_name: "hello.ipynb".into(),
        category: Some("quickstart".into()),
        description: String::new(),
        overwrite: false,
        bytes: template.into(),
    };
    test.engine.upload_template(upload).await.unwrap();
    let hello = Step {
        source: StepSource::Template("quickstart/hello.ipynb".into()),
        ..given(step("hello", &["none"]), json!({"name": "Ada"}))
    };
    test.put("none.ipynb", &code_notebook(&["1 / 0"]));
    let id = start(&test.engine, workflow(vec![for_each(step("none", &[]), json!([])), hello])).await;
    assert_eq!(end(&test.engine, id).await.status, ExecutionStatus::Success);
    let hello = children(&test.engine, id).await.remove(0);
    assert_eq!(hello.request.template_name.as_deref(), Some("quickstart/hello.ipynb"));
    assert!(std::fs::read_to_string(test.root().join(hello.request.output_path)).unwrap().contains("Ada"));
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_begins_when_a_notebook_or_kernel_is_missing() {
    let test = TestEngine::start().await;
    test.put("there.ipynb", &code_notebook(&["1"]));
    let wrong_kernel = Step { kernel_name: Some("cobol".into()), ..step("there", &[]) };
    let flow = workflow(vec![wrong_kernel, step("missing", &["there"])]);
    let request = bindery::engine::flows::StartFlow {
        kind: ParentKind::Workflow,
        workflow: flow,
        request: json!({}),
        parameters: Default::default(),
        username: None,
        output_directory: None,
        idempotency_key: None,
    };
    let error = test.engine.start_flow(request).await.unwrap_err();
    let fields: Vec<_> = error.fields().iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["steps.there.kernel_name", "steps.missing.notebook"]);
    assert!(test.engine.list_flows(&Default::default()).await.unwrap().is_empty());
    assert!(test.engine.count_executions().await.unwrap().is_empty());
    test.stop().await;
}
