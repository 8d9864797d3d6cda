//! Executions as a real MLflow server shows them.

use bindery::engine::executions::SubmitExecution;
use bindery::engine::notebooks::CreateFromTemplate;
use bindery::engine::templates::TemplateUpload;
use bindery::execution::ExecutionStatus;
use bindery::notebook::Parameters;
use serde_json::json;

use crate::support::engine::{TestEngine, code_cell, in_place, notebook};
use crate::support::mlflow::MlflowServer;

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_is_a_run_and_the_notebooks_own_runs_are_its_children() {
    let mlflow = MlflowServer::start().await;
    let uri = mlflow.uri().to_owned();
    let bindery =
        TestEngine::start_with(|settings| settings.service.mlflow_tracking_uri = Some(uri.clone())).await;
    let cells = vec![
        code_cell(0, "alpha = 1", &["parameters"]),
        code_cell(
            1,
            "import mlflow\nwith mlflow.start_run(run_name='one'): mlflow.log_metric('m', alpha)",
            &[],
        ),
        code_cell(
            2,
            "with mlflow.start_run(run_name='two'): mlflow.log_param('p', 1)\nmlflow.start_run(run_name='left open')",
            &[],
        ),
        code_cell(3, "raise RuntimeError('after the runs')", &[]),
    ];
    // The way of the five steps: bound when the notebook is made, executed without parameters.
    let upload = TemplateUpload {
        file_name: "train.ipynb".into(),
        category: Some("ml".into()),
        description: String::new(),
        overwrite: false,
        bytes: notebook(cells).to_string().into(),
    };
    bindery.engine.upload_template(upload).await.unwrap();
    let create = CreateFromTemplate {
        template_name: "ml/train.ipynb".into(),
        target_directory: String::new(),
        parameters: Parameters::from_json(&json!({"alpha": 0.25, "tags": ["a"]})).unwrap(),
        new_name: None,
        overwrite: false,
        username: None,
    };
    bindery.engine.create_from_template(create).await.unwrap();
    let submit = SubmitExecution { kernel_name: Some("mlflow_kernel".into()), ..in_place("train.ipynb") };
    let id = bindery.engine.submit(submit).await.unwrap();
    let execution = bindery.end(id).await;
    assert_eq!(execution.status, ExecutionStatus::Failed);
    assert_eq!(execution.error.unwrap().ename, "RuntimeError");

    // MLflow is told after the final status: await what comes last.
    let link = crate::support::engine::until("the run is finished in MLflow", async || {
        let link = bindery.engine.execution(id).await.unwrap().mlflow?;
        (!link.children.is_empty()).then_some(link)
    })
    .await;
    assert_eq!(link.error, None);
    let (experiment, run) = (link.experiment_id.unwrap(), link.run_id.unwrap());
    assert_eq!(link.url.unwrap(), format!("{uri}/#/experiments/{experiment}/runs/{run}"));
    let mut names: Vec<_> = link.children.iter().map(|child| child.run_name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["left open", "one", "two"]);

    let run = mlflow.get(&format!("mlflow/runs/get?run_id={run}")).await["run"].clone();
    assert_eq!(run["info"]["status"], "FAILED");
    assert_eq!(
        mlflow.get(&format!("mlflow/experiments/get?experiment_id={experiment}")).await["experiment"]["name"],
        "ml/train"
    );
    let tag = |name: &str| {
        let tags = run["data"]["tags"].as_array().unwrap();
        tags.iter().find(|tag| tag["key"] == name).map(|tag| tag["value"].clone())
    };
    assert_eq!(tag("bindery.execution_id"), Some(json!(id.to_string())));
    assert_eq!(tag("mlflow.source.name"), Some(json!("train.ipynb")));
    assert_eq!(tag("mlflow.user"), Some(json!("ada")));
    let mut parameters: Vec<_> = run["data"]["params"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["key"].as_str().unwrap(), it["value"].as_str().unwrap()))
        .collect();
    parameters.sort_unstable();
    assert_eq!(parameters, [("alpha", "0.25"), ("tags", "[\"a\"]")]);
    for child in &link.children {
        let child = mlflow.get(&format!("mlflow/runs/get?run_id={}", child.run_id)).await["run"].clone();
        assert_ne!(child["info"]["status"], "RUNNING");
        let tags = child["data"]["tags"].as_array().unwrap();
        assert!(tags.contains(&json!({"key": "mlflow.parentRunId", "value": run["info"]["run_id"]})));
        assert!(tags.contains(&json!({"key": "bindery.execution_id", "value": id.to_string()})));
    }
    let run_id = run["info"]["run_id"].as_str().unwrap();
    let artifacts = mlflow.get(&format!("mlflow/artifacts/list?run_id={run_id}")).await;
    let mut files: Vec<_> =
        artifacts["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    files.sort_unstable();
    assert_eq!(files, ["train.html", "train.ipynb"]);
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_mlflow_is_noted_and_fails_nothing() {
    // A port that was free a moment ago: connections to it are refused.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let uri = format!("http://ada:secret@127.0.0.1:{port}");
    let bindery = TestEngine::start_with(|settings| settings.service.mlflow_tracking_uri = Some(uri)).await;
    let execution = bindery.run("plain.ipynb", &["print('ran')"]).await;
    assert_eq!(execution.status, ExecutionStatus::Success);
    let link = execution.mlflow.unwrap();
    assert_eq!(link.run_id, None);
    let error = link.error.unwrap();
    assert!(!error.is_empty() && !error.contains("secret"), "{error}");
    bindery.stop().await;
}
