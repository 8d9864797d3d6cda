//! Executions over HTTP, on a real kernel.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{TestServer, json_of};

/// A cell that goes on once the file `go` is beside the notebook.
const WAIT_FOR_GO: &str =
    "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\nprint('gone')";

fn execute(path: &str) -> Value {
    json!({"notebook_path": path, "username": "ada"})
}

fn id_of(started: &Value) -> i64 {
    started["execution_id"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_comes_after_the_first_code_cell() {
    let server = TestServer::start().await;
    server.put_notebook("a.ipynb", &["print('first')", WAIT_FOR_GO]);
    let started = json_of(server.post("/execute-notebook", execute("a.ipynb")).await, 200).await;
    assert_eq!((&started["status"], &started["error"]), (&json!("running"), &json!(null)));
    let id = id_of(&started);
    let status = server.poll(id, |status| status["progress"]["current_cell"] == 1).await;
    assert_eq!((&status["status"], &status["end_time"]), (&json!("running"), &json!(null)));
    assert_eq!(status["progress"], json!({"cells_done": 1, "cells_total": 2, "current_cell": 1}));
    // A second run in the same place would spoil the first one's output.
    let conflict = server.post("/execute-notebook", execute("a.ipynb")).await;
    server.problem(conflict, 409).await;
    std::fs::write(server.root().join("go"), "").unwrap();
    assert_eq!(server.poll_to_end(id).await["status"], "success");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_wait_gets_202_at_once() {
    let server = TestServer::start_with(|_| {}, None).await;
    server.put_notebook("a.ipynb", &["1"]);
    server.put_notebook("b.ipynb", &["1"]);
    let response = server.post("/execute-notebook?wait=none", execute("a.ipynb")).await;
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let started = json_of(response, 202).await;
    assert_eq!((&started["status"], &started["status_url"]), (&json!("pending"), &json!(location)));
    let request =
        server.request(Method::POST, "/execute-notebook").header("prefer", "respond-async, wait=10");
    let request = request.header("content-type", "application/json; charset=utf-8");
    let response = request.body(execute("b.ipynb").to_string()).send().await.unwrap();
    assert_eq!(response.headers()["preference-applied"], "respond-async");
    json_of(response, 202).await;
    let wrong = server.post("/execute-notebook?wait=long", execute("a.ipynb")).await;
    assert_eq!(server.problem(wrong, 400).await["errors"][0]["field"], "wait");

    server.start_worker();
    let status = server.poll_to_end(id_of(&started)).await;
    assert_eq!(status["status"], "success", "{status:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_at_once_says_so() {
    let server = TestServer::start().await;
    server.put_notebook("a.ipynb", &["1 / 0", "print('never')"]);
    let ended = json_of(server.post("/execute", execute("a.ipynb")).await, 200).await;
    assert_eq!(ended["status"], "failed");
    assert_eq!(super::fields(&ended["error"]), ["cell_index", "ename", "evalue", "traceback"]);
    assert_eq!(ended["error"]["cell_index"], 0);
    assert_eq!(ended["error"]["ename"], "ZeroDivisionError");
    assert_eq!(ended["error"]["evalue"], "division by zero");
    assert!(!ended["error"]["traceback"].as_array().unwrap().is_empty());

    // Gone between the answer to whoever submitted it and its turn.
    let server = TestServer::start_with(|_| {}, None).await;
    server.put_notebook("gone.ipynb", &["1"]);
    let started = json_of(server.post("/execute-notebook?wait=none", execute("gone.ipynb")).await, 202).await;
    std::fs::remove_file(server.root().join("gone.ipynb")).unwrap();
    server.start_worker();
    let status = server.poll_to_end(id_of(&started)).await;
    assert_eq!(
        (&status["status"], &status["error"]["ename"]),
        (&json!("failed"), &json!("NotebookNotFound"))
    );
    assert!(!status.to_string().contains(server.data_dir().to_str().unwrap()), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_waited_for_nothing_tells_the_failure() {
    let server = TestServer::start_with(|_| {}, None).await;
    server.put_notebook("a.ipynb", &["1"]);
    let answer = {
        let request =
            server.request(Method::POST, "/execute-notebook").header("content-type", "application/json");
        tokio::spawn(request.body(execute("a.ipynb").to_string()).send())
    };
    server.poll_listed("/api/v1/executions?status=pending").await;
    std::fs::remove_file(server.root().join("a.ipynb")).unwrap();
    server.start_worker();
    let started = json_of(answer.await.unwrap().unwrap(), 200).await;
    assert_eq!(
        (&started["status"], &started["error"]["ename"]),
        (&json!("failed"), &json!("NotebookNotFound"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_when_its_client_goes_away() {
    let server = TestServer::start().await;
    server.put_notebook("a.ipynb", &[WAIT_FOR_GO]);
    let request = server.request(Method::POST, "/execute").header("content-type", "application/json");
    let client = tokio::spawn(request.body(execute("a.ipynb").to_string()).send());
    let running = server.poll_listed("/api/v1/executions?status=running&username=ada").await;
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    std::fs::write(server.root().join("go"), "").unwrap();
    let status = server.poll_to_end(id_of(&running)).await;
    assert_eq!(status["status"], "success", "{status:#}");
    assert_eq!(server.read_notebook("a.ipynb")["cells"][0]["outputs"][0]["text"], json!(["gone\n"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_is_cancelled_once() {
    let server = TestServer::start().await;
    server.put_notebook("a.ipynb", &["print('kept')", WAIT_FOR_GO]);
    let started = json_of(server.post("/execute-notebook", execute("a.ipynb")).await, 200).await;
    let id = id_of(&started);
    let path = format!("/api/v1/executions/{id}/cancel");
    let cancelled = json_of(server.post(&path, Value::Null).await, 200).await;
    assert_eq!(cancelled, json!({"execution_id": id, "status": "running"}));
    let status = server.poll_to_end(id).await;
    assert_eq!(status["status"], "cancelled", "{status:#}");
    server.problem(server.post(&path, Value::Null).await, 409).await;

    let download = server.get(&format!("/api/v1/executions/{id}/notebook")).await;
    assert_eq!(download.headers()["content-type"], "application/x-ipynb+json");
    let output = json_of(download, 200).await;
    assert_eq!(output["cells"][0]["outputs"][0]["text"], json!(["kept\n"]));
    let page = server.get(&format!("/api/v1/executions/{id}/notebook.html")).await;
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("sandbox"));
    assert!(page.text().await.unwrap().contains("kept"));
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_are_listed_newest_first_page_by_page() {
    let server = TestServer::start_with(|_| {}, None).await;
    for (path, username) in [("a.ipynb", "ada"), ("b.ipynb", "bob"), ("c.ipynb", "ada")] {
        server.put_notebook(path, &["1"]);
        let body = json!({"notebook_path": path, "username": username, "output_path": format!("out/{path}"),
            "timeout": 60, "cell_timeout": 1.5, "kernel_name": "python3", "unknown field": 1, "parameters": null});
        json_of(server.post("/execute-notebook?wait=none", body).await, 202).await;
    }
    let paths = |page: &Value| -> Vec<String> {
        let executions = page["executions"].as_array().unwrap().iter();
        executions.map(|it| it["notebook_path"].as_str().unwrap().to_owned()).collect()
    };
    let first = json_of(server.get("/api/v1/executions?limit=2").await, 200).await;
    assert_eq!(paths(&first), ["c.ipynb", "b.ipynb"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = json_of(server.get(&format!("/api/v1/executions?limit=2&cursor={cursor}")).await, 200).await;
    assert_eq!((paths(&second), &second["next_cursor"]), (vec!["a.ipynb".to_owned()], &json!(null)));
    assert_eq!(second["executions"][0]["output_path"], "out/a.ipynb");
    for (query, expected) in [
        ("username=ada", vec!["c.ipynb", "a.ipynb"]),
        ("username=bob&status=pending", vec!["b.ipynb"]),
        ("status=success", vec![]),
        ("notebook_path=a.ipynb", vec!["a.ipynb"]),
    ] {
        let page = json_of(server.get(&format!("/api/v1/executions?{query}")).await, 200).await;
        assert_eq!(paths(&page), expected, "{query}");
    }
}
