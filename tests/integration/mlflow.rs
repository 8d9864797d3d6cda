//! The MLflow client against a real tracking server and a real Python process.

use std::time::{Duration, Instant};

use bindery::ErrorKind;
use bindery::mlflow::{
    MlflowClient, MlflowCredentials, MlflowRun, RunContext, RunOutcome, RunStart, VARIABLES_TO_CLEAR,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::mlflow::{MlflowServer, command};

fn client(tracking_uri: &str) -> MlflowClient {
    MlflowClient::new(tracking_uri, MlflowCredentials::default()).unwrap()
}

fn start(experiment_name: &str) -> RunStart {
    RunStart {
        experiment_name: experiment_name.into(),
        run_name: "execution 7".into(),
        source_name: "ann/churn.ipynb".into(),
        user: Some("ann".into()),
        execution_id: "7".into(),
        ..RunStart::default()
    }
}

/// Parameters or tags of a run, as the server has them.
async fn recorded(server: &MlflowServer, run: &MlflowRun, what: &str) -> Vec<(String, String)> {
    let answer = server.get(&format!("mlflow/runs/get?run_id={}", run.run_id)).await;
    let text = |item: &Value, field: &str| item[field].as_str().unwrap().to_owned();
    let items = answer["run"]["data"][what].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| (text(item, "key"), text(item, "value"))).collect()
}

fn value<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

async fn status(server: &MlflowServer, run: &MlflowRun) -> (String, i64) {
    let answer = server.get(&format!("mlflow/runs/get?run_id={}", run.run_id)).await;
    let info = &answer["run"]["info"];
    (info["status"].as_str().unwrap().to_owned(), info["end_time"].as_i64().unwrap_or_default())
}

#[tokio::test]
async fn an_execution_is_recorded_with_its_parameters_files_and_end() {
    let server = MlflowServer::start().await;
    let client = client(&format!("{}/", server.uri()));

    // The experiment is made once, also when two executions want it at the same moment.
    let (one, two) =
        tokio::join!(client.start_run(start("ml/churn.ipynb")), client.start_run(start("ml/churn.ipynb")));
    let (run, other) = (one.unwrap(), two.unwrap());
    assert_eq!(run.experiment_id, other.experiment_id);
    assert_ne!(run.run_id, other.run_id);
    assert_eq!(run.notes, Vec::<String>::new());
    assert_eq!(run.url, format!("{}/#/experiments/{}/runs/{}", server.uri(), run.experiment_id, run.run_id));
    let tags = recorded(&server, &run, "tags").await;
    for (key, expected) in [
        ("mlflow.runName", "execution 7"),
        ("mlflow.source.name", "ann/churn.ipynb"),
        ("mlflow.source.type", "NOTEBOOK"),
        ("mlflow.user", "ann"),
        ("bindery.execution_id", "7"),
    ] {
        assert_eq!(value(&tags, key), Some(expected), "{key}");
    }
    assert_eq!(client.run(&run.run_id).await.unwrap(), run);

    parameters_of_every_kind(&server, &client).await;
    files(&server, &client, &run).await;

    let end = Timestamp::now();
    for (outcome, expected) in
        [(RunOutcome::Failed, "FAILED"), (RunOutcome::Killed, "KILLED"), (RunOutcome::Finished, "FINISHED")]
    {
        client.finish_run(&run, outcome, end).await.unwrap();
        assert_eq!(status(&server, &run).await, (expected.to_owned(), end.as_millisecond()));
    }
    let missing = MlflowRun { run_id: "0".repeat(32), ..run.clone() };
    let error = client.finish_run(&missing, RunOutcome::Finished, end).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.message().contains("runs/update: RESOURCE_DOES_NOT_EXIST"), "{error}");

    // An experiment that was deleted holds its name; the run is recorded in it all the same.
    server.post("mlflow/experiments/delete", &json!({"experiment_id": run.experiment_id})).await;
    let after = client.start_run(start("ml/churn.ipynb")).await.unwrap();
    assert_eq!(after.experiment_id, run.experiment_id);
    assert!(after.notes[0].contains("was restored"), "{:?}", after.notes);

    let error = client.start_run(start("  ")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadInput);
    let long = client.start_run(start(&"x".repeat(900))).await.unwrap();
    assert_eq!(long.notes, Vec::<String>::new());
}

async fn parameters_of_every_kind(server: &MlflowServer, client: &MlflowClient) {
    let mut parameters: Vec<_> = (0..250).map(|index| (format!("p{index:03}"), index.to_string())).collect();
    for (name, value) in [
        ("learning rate/α", "0.1"),
        ("a:b", "colon"),
        ("a#b", "hash"),
        ("a?b", "question mark"),
        ("../../etc/passwd", "dots"),
        ("", "no name"),
        ("empty", ""),
        ("line\nbreak", "two\nlines"),
        ("quote", "\"'`\\ 𝄞 \u{1}"),
        ("p000", "given again"),
    ] {
        parameters.push((name.to_owned(), value.to_owned()));
    }
    parameters.push(("long".to_owned(), "€".repeat(7000)));
    let run = client.start_run(RunStart { parameters, ..start("parameters") }).await.unwrap();
    assert_eq!(run.notes, Vec::<String>::new());

    let logged = recorded(server, &run, "params").await;
    assert_eq!(logged.len(), 260);
    for (key, expected) in [
        ("p249", "249"),
        ("p000", "given again"),
        ("a_b", "hash"),
        ("a_b_2", "question mark"),
        ("_._.._etc_passwd", "dots"),
        ("_", "no name"),
        ("empty", ""),
        ("line_break", "two\nlines"),
        ("quote", "\"'`\\ 𝄞 \u{1}"),
    ] {
        assert_eq!(value(&logged, key), Some(expected), "{key}");
    }
    // 2.8 takes no colon, and refuses the whole batch for it: there the strict names are used.
    let exact = (value(&logged, "a:b"), value(&logged, "learning rate/α"));
    let strict = (value(&logged, "a_b_3"), value(&logged, "learning rate/_"));
    assert!([exact, strict].contains(&(Some("colon"), Some("0.1"))), "{exact:?} {strict:?}");
    let long = value(&logged, "long").unwrap();
    assert!([500, 6000].contains(&long.chars().count()) && long.ends_with('…'), "{}", long.len());
}

async fn files(server: &MlflowServer, client: &MlflowClient, run: &MlflowRun) {
    let notebook = bytes::Bytes::from(vec![b'x'; 20 << 20]);
    client.log_artifact(run, "executed.ipynb", notebook.clone(), "application/x-ipynb+json").await.unwrap();
    client.log_artifact(run, "html/größe 50%?#.html", "<p>".into(), "text/html").await.unwrap();
    // A retry overwrites.
    client.log_artifact(run, "html/größe 50%?#.html", "<b>".into(), "text/html").await.unwrap();

    let listed = server.get(&format!("mlflow/artifacts/list?run_id={}&path=html", run.run_id)).await;
    assert_eq!(listed["files"][0]["path"], "html/größe 50_?_.html");
    let path = |path: &str| {
        format!("mlflow-artifacts/artifacts/{}/{}/artifacts/{path}", run.experiment_id, run.run_id)
    };
    assert_eq!(server.get_bytes(&path("executed.ipynb")).await, notebook);
    assert_eq!(server.get_bytes(&path("html/gr%C3%B6%C3%9Fe%2050_%3F_.html")).await, b"<b>");
}

#[tokio::test]
async fn runs_that_a_notebook_makes_are_children_of_its_execution() {
    const NOTEBOOK: &str = r#"
import os, mlflow
from sklearn.linear_model import LogisticRegression

with mlflow.start_run(run_name="first"):
    mlflow.log_metric("accuracy", 0.5)
with mlflow.start_run(run_name="second"):
    with mlflow.start_run(run_name="nested", nested=True):
        mlflow.log_param("depth", 2)

mlflow.sklearn.autolog(log_models=False)
LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
mlflow.sklearn.autolog(disable=True)

mlflow.set_experiment("chosen by the notebook")
with mlflow.start_run(run_name="elsewhere"):
    pass
mlflow.start_run(run_name="abandoned")
os._exit(3)
"#;
    let server = MlflowServer::start().await;
    let client = client(server.uri());
    let run = client.start_run(start("children")).await.unwrap();
    // Another Bindery on the same MLflow may have an execution 7 as well.
    let stranger = client.start_run(start("children")).await.unwrap();
    let context = RunContext {
        execution_id: "7".into(),
        source_name: Some("ann/churn.ipynb".into()),
        user: Some("ann".into()),
        continue_run: false,
    };
    let mut python = command("python");
    python.arg("-c").arg(NOTEBOOK).current_dir(server.folder());
    for name in VARIABLES_TO_CLEAR {
        python.env_remove(name);
    }
    python.envs(client.kernel_environment(&run, &context));
    let output = tokio::task::spawn_blocking(move || python.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");

    let children = client.children(&run).await.unwrap();
    let seen: Vec<_> = children.iter().map(|child| (child.name.as_str(), child.status.as_str())).collect();
    assert_eq!(seen.len(), 6, "{seen:?}\n{said}");
    for expected in [
        ("first", "FINISHED"),
        ("second", "FINISHED"),
        ("nested", "FINISHED"),
        ("elsewhere", "FINISHED"),
        ("abandoned", "RUNNING"),
    ] {
        assert!(seen.contains(&expected), "{expected:?} in {seen:?}");
    }
    let autologged = children
        .iter()
        .find(|child| !["first", "second", "nested", "elsewhere", "abandoned"].contains(&&*child.name))
        .unwrap();
    assert_eq!(autologged.status, "FINISHED");
    for child in &children {
        let as_run = client.run(&child.run_id).await.unwrap();
        assert_eq!(as_run.url, child.url);
        let tags = recorded(&server, &as_run, "tags").await;
        assert_eq!(value(&tags, "bindery.execution_id"), Some("7"), "{}", child.name);
        assert_eq!(value(&tags, "mlflow.source.name"), Some("ann/churn.ipynb"), "{}", child.name);
        assert_eq!(value(&tags, "mlflow.user"), Some("ann"), "{}", child.name);
        let nested = value(&tags, "mlflow.parentRunId") != Some(&run.run_id);
        assert_eq!(nested, child.name == "nested", "{tags:?}");
    }

    let closed = client.close_children(&run, RunOutcome::Failed, Timestamp::now()).await.unwrap();
    assert_eq!(closed.iter().map(|child| child.name.as_str()).collect::<Vec<_>>(), ["abandoned"]);
    let children = client.children(&run).await.unwrap();
    assert!(!children.iter().any(|child| child.is_open()), "{children:?}");
    assert_eq!(status(&server, &stranger).await.0, "RUNNING");
    assert_eq!(client.children(&stranger).await.unwrap(), []);

    more_children_than_fit_one_page(&server, &client, &run).await;
}

async fn more_children_than_fit_one_page(server: &MlflowServer, client: &MlflowClient, run: &MlflowRun) {
    let before = client.children(run).await.unwrap().len();
    let tags = json!([{"key": "bindery.run_id", "value": run.run_id}]);
    for _ in 0..205 {
        let body = json!({"experiment_id": run.experiment_id, "start_time": 1, "tags": tags});
        server.post("mlflow/runs/create", &body).await;
    }
    let children = client.children(run).await.unwrap();
    let distinct: std::collections::HashSet<_> = children.iter().map(|child| &child.run_id).collect();
    assert_eq!((children.len(), distinct.len()), (before + 205, before + 205));
}

#[tokio::test]
async fn a_notebook_may_continue_the_run_of_its_execution_when_asked_to() {
    let server = MlflowServer::start_with(&[
        "--no-serve-artifacts",
        "--default-artifact-root",
        "file://{folder}/artifact root",
    ])
    .await;
    let client = client(server.uri());
    let run = client.start_run(start("continued")).await.unwrap();
    let context = RunContext { execution_id: "7".into(), continue_run: true, ..RunContext::default() };
    let mut python = command("python");
    python.args(["-c", "import mlflow\nwith mlflow.start_run(): mlflow.log_param('seen', 'yes')"]);
    python.envs(client.kernel_environment(&run, &context)).current_dir(server.folder());
    let output = tokio::task::spawn_blocking(move || python.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(value(&recorded(&server, &run, "params").await, "seen"), Some("yes"));
    assert_eq!(client.children(&run).await.unwrap(), []);

    // This server leaves artifacts to its clients: the folder is on this machine, so it is written.
    client.log_artifact(&run, "html/a.html", "<p>".into(), "text/html").await.unwrap();
    let written = server.folder().join("artifact root").join(&run.experiment_id).join(&run.run_id);
    assert_eq!(std::fs::read(written.join("artifacts/html/a.html")).unwrap(), b"<p>");
    let listed = server.get(&format!("mlflow/artifacts/list?run_id={}&path=html", run.run_id)).await;
    assert_eq!(listed["files"][0]["path"], "html/a.html");

    let elsewhere = MlflowRun { artifact_uri: "s3://bucket/1/x/artifacts".into(), ..run.clone() };
    let error = client.log_artifact(&elsewhere, "a.html", "<p>".into(), "text/html").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("s3:") && error.message().contains("--serve-artifacts"), "{error}");

    let proxied = MlflowRun { artifact_uri: format!("mlflow-artifacts:/1/{}/artifacts", run.run_id), ..run };
    let error = client.log_artifact(&proxied, "a.html", "<p>".into(), "text/html").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("--serve-artifacts"), "{error}");
}

#[tokio::test]
async fn a_dead_server_is_told_within_seconds() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // TEST-NET-1: no route, or packets that nobody answers.
    for address in
        [format!("http://ann:hunter2@127.0.0.1:{port}"), "http://ann:hunter2@192.0.2.1:5000".into()]
    {
        let client = client(&address);
        let begin = Instant::now();
        let error = client.start_run(start("x")).await.unwrap_err();
        assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.message().contains("cannot be reached for experiments/get-by-name"), "{error}");
        let everything = format!("{error} {error:?} {:?} {client:?}", error.cause());
        assert!(!everything.contains("hunter2"), "{everything}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_mlflow_is_told_apart() {
    use axum::http::{StatusCode, header};
    use axum::response::IntoResponse;
    use axum::routing::any;

    let calls = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = calls.clone();
    let router = axum::Router::new()
        .route("/page/{*rest}", any(|| async { ([(header::CONTENT_TYPE, "text/html")], "<html>hi</html>") }))
        .route(
            "/login/{*rest}",
            any(|| async {
                (StatusCode::FOUND, [(header::LOCATION, "https://sso.example.org/in?state=hunter2")])
            }),
        )
        .route(
            "/locked/{*rest}",
            any(|headers: axum::http::HeaderMap| async move {
                let sent =
                    headers.get(header::AUTHORIZATION).is_some_and(|value| value == "Basic YW5uOmh1bnRlcjI=");
                (StatusCode::UNAUTHORIZED, if sent { "not you, hunter2" } else { "who are you" })
            }),
        )
        .route("/odd/{*rest}", any(|| async { r#"{"experiment": [1, {"experiment_id": null}]}"# }))
        .route("/empty/{*rest}", any(|| async { StatusCode::OK }))
        .route(
            "/busy/{*rest}",
            any(move || {
                counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                async {
                    (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")], "overloaded").into_response()
                }
            }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });

    for (path, expected) in [
        ("page", "is not MLflow's"),
        ("login", "https://sso.example.org/in;"),
        ("locked", "401 Unauthorized: not you, ***"),
        ("odd", "is not MLflow's"),
        ("empty", "is not MLflow's"),
        ("nothing", "404 Not Found; check that the tracking URI"),
        ("busy", "503 Service Unavailable: overloaded"),
    ] {
        let error =
            client(&format!("http://ann:hunter2@{address}/{path}")).start_run(start("x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{path}: {error}");
        assert!(error.message().contains(expected), "{path}: {error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{path}: {error:?}");
    }
    assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), 3);
    server.abort();
}
