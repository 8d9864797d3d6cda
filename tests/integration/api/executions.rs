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

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_again_is_the_same_execution() {
    let server = TestServer::start().await;
    server.put_notebook("a.ipynb", &["open('runs', 'a').write('x')", WAIT_FOR_GO]);
    server.put_notebook("b.ipynb", &["1"]);
    let post = async |path: &str, key: &'static [u8], body: Value| {
        let request = server.request(Method::POST, path).header("content-type", "application/json");
        request.header("idempotency-key", key).body(body.to_string()).send().await.unwrap()
    };
    let with =
        |parameters: Value| json!({"notebook_path": "a.ipynb", "username": "ada", "parameters": parameters});
    let asked = with(json!({"x": 1, "y": 2}));
    // Several at once, as a client does that thinks its first request lost.
    let answers =
        futures::future::join_all((0..5).map(|_| post("/execute-notebook?wait=none", b"may", asked.clone())))
            .await;
    let mut ids = Vec::new();
    for answer in answers {
        ids.push(id_of(&json_of(answer, 202).await));
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    std::fs::write(server.root().join("go"), "").unwrap();
    // The same in other words; the answer is that of the first.
    let again = json!({"username": "ada", "parameters": {"x": 1, "y": 2}, "notebook_path": "./a.ipynb"});
    let ended = json_of(post("/execute", b"may", again).await, 200).await;
    assert_eq!((&ended["execution_id"], &ended["status"]), (&json!(ids[0]), &json!("success")));
    assert_eq!(std::fs::read_to_string(server.root().join("runs")).unwrap(), "x");
    // Also when its notebook has gone.
    std::fs::remove_file(server.root().join("a.ipynb")).unwrap();
    let ended = json_of(post("/execute", b"may", asked).await, 200).await;
    assert_eq!(ended["execution_id"], json!(ids[0]));

    let problem = server.problem(post("/execute", b"may", with(json!({"x": 2, "y": 2}))).await, 422).await;
    assert_eq!(problem["errors"][0]["field"], "Idempotency-Key", "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains(&format!("execution {}", ids[0])), "{problem}");
    for key in [b"".as_slice(), b"caf\xc3\xa9", &[b'x'; 256]] {
        server.problem(post("/execute", key, execute("b.ipynb")).await, 400).await;
    }
    let other = json_of(post("/execute", b"june", execute("b.ipynb")).await, 200).await;
    assert_ne!(other["execution_id"], json!(ids[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_execution_is_retried_with_other_parameters() {
    let server = TestServer::start().await;
    server.put_notebook("a.ipynb", &["print(x, y)\nif x == 1:\n    raise ValueError('one')"]);
    let body = json!({"notebook_path": "a.ipynb", "username": "ada", "output_path": "out.ipynb",
        "parameters": {"x": 1, "y": 12345678901234567890123_u128 as f64}, "timeout": 60});
    let failed = json_of(server.post("/execute", body).await, 200).await;
    assert_eq!(failed["status"], "failed", "{failed:#}");
    let path = format!("/api/v1/executions/{}/retry", id_of(&failed));
    let again = server.post(&path, json!({"parameters": {"x": 2}})).await;
    let location = again.headers()["location"].to_str().unwrap().to_owned();
    let started = json_of(again, 202).await;
    assert_eq!(started["status_url"], location.as_str());
    assert_ne!(id_of(&started), id_of(&failed));
    let ended = server.poll_to_end(id_of(&started)).await;
    assert_eq!((&ended["status"], &ended["output_path"]), (&json!("success"), &json!("out.ipynb")));
    let output = server.read_notebook("out.ipynb");
    let cells = output["cells"].as_array().unwrap();
    assert!(
        cells.last().unwrap()["outputs"][0]["text"][0].as_str().unwrap().starts_with("2 1.2345"),
        "{output:#}"
    );

    // Unchanged it fails as before; and the one that failed first is still there to be asked for.
    let same = json_of(server.post(&path, json!({})).await, 202).await;
    assert_eq!(server.poll_to_end(id_of(&same)).await["error"]["evalue"], "one");
    server.problem(server.post(&path, json!({"parameters": [1]})).await, 422).await;
    server.problem(server.post("/api/v1/executions/999/retry", json!({})).await, 404).await;
    server.put_notebook("b.ipynb", &["1", WAIT_FOR_GO]);
    let running = json_of(server.post("/execute-notebook", execute("b.ipynb")).await, 200).await;
    let path = format!("/api/v1/executions/{}/retry", id_of(&running));
    let problem = server.problem(server.post(&path, json!({})).await, 409).await;
    assert!(problem["detail"].as_str().unwrap().contains("has not ended, it is running"), "{problem}");
    std::fs::write(server.root().join("go"), "").unwrap();
    server.poll_to_end(id_of(&running)).await;
}
