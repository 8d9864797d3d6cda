//! Gateways that are down, slow, or answer nonsense: told at once, with place and reason, and nothing starts.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use bindery::config::{KernelGatewayConfig, TokenSource};
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::engine::code_notebook;
use crate::support::gateways::GatewayServer;
use crate::support::server::TestServer;

/// A server that gives this answer to everything; its address.
async fn answers(status: u16, content_type: &'static str, body: &'static str) -> String {
    let answer = move || async move {
        let status = StatusCode::from_u16(status).unwrap();
        (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
    };
    serve(Router::new().fallback(answer)).await
}

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

/// A gateway that lists a kernel and starts it, and has no websocket.
async fn without_websocket() -> String {
    let specs = r#"{"default": "python3", "kernelspecs": {"python3": {"spec": {"language": "python"}}}}"#;
    serve(
        Router::new()
            .route("/api/kernelspecs", get(move || async move { specs }))
            .route("/api/kernels", post(|| async { (StatusCode::CREATED, r#"{"id": "k1"}"#) }))
            .route(
                "/api/kernels/k1",
                get(|| async { r#"{"id": "k1"}"# }).delete(|| async { StatusCode::NO_CONTENT }),
            ),
    )
    .await
}

/// `bindery execute` against a gateway.
async fn execute(folder: &std::path::Path, url: &str, token: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bindery"));
    command.args(["execute", "in.ipynb", "out.ipynb", "--kernel-gateway", url]).current_dir(folder);
    command.env("BINDERY_KERNEL_GATEWAY_TOKEN", token).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_down_slow_or_answers_nonsense_is_told_and_nothing_starts() {
    let down = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    // The system accepts; nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slow = format!("http://{}", silent.local_addr().unwrap());
    let cases = [
        (down, "the connection was refused"),
        (slow, "it did not answer within 5 s"),
        (answers(200, "text/html", "<html>hello</html>").await, "its answer is not that of a Jupyter server"),
        (answers(200, "application/json", "{}").await, "its answer is not that of a Jupyter server"),
        (answers(500, "text/plain", "no").await, "it answered 500 Internal Server Error: look into its log"),
        (
            answers(401, "application/json", r#"{"message": "Unauthorized"}"#).await,
            "(401 Unauthorized): check the token",
        ),
        (answers(403, "application/json", r#"{"reason": "no quota"}"#).await, "(403 Forbidden, no quota)"),
        (answers(302, "text/html", "").await, "it answered 302 Found: check the address"),
    ];
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("in.ipynb"), code_notebook(&["1"]).to_string()).unwrap();
    let gateways = |config: &mut bindery::config::Config| {
        let gateway = |(index, (url, _)): (usize, &(String, &str))| KernelGatewayConfig {
            name: index.to_string(),
            url: url.clone(),
            token: TokenSource::File(folder.path().join("token")),
        };
        std::fs::write(folder.path().join("token"), "hush-hush").unwrap();
        config.kernel_gateways = cases.iter().enumerate().map(gateway).collect();
    };
    let server = TestServer::start_with(gateways, None).await;
    server.put_notebook("a.ipynb", &["1"]);
    for (index, (url, what)) in cases.iter().enumerate() {
        let body =
            json!({"notebook_path": "a.ipynb", "username": "ada", "kernel_gateway": index.to_string()});
        let begun = Instant::now();
        let (answer, ended) =
            tokio::join!(server.post("/execute-notebook", body), execute(folder.path(), url, "hush-hush"));
        assert!(begun.elapsed() < Duration::from_secs(12));
        let problem = server.problem(answer, 503).await;
        let detail = problem["errors"][0]["message"].as_str().unwrap();
        assert_eq!(problem["errors"][0]["field"], "kernel_gateway");
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        for text in [detail, &told] {
            let place = format!("the kernel gateway at {url} could not list its kernelspecs");
            assert!(text.contains(&place) && text.contains(what), "{text}");
            assert!(!text.contains("hush"), "{text}");
        }
        assert_eq!(ended.status.code(), Some(2), "{told}");
        assert!(!folder.path().join("out.ipynb").exists(), "nothing is written");
    }
    let listed = server.get("/api/v1/executions").await;
    let listed: serde_json::Value = serde_json::from_str(&listed.text().await.unwrap()).unwrap();
    assert_eq!(listed["executions"], json!([]), "nothing was accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_in_an_address_are_refused_and_a_gateway_without_a_websocket_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("in.ipynb"), code_notebook(&["1"]).to_string()).unwrap();
    let told = |ended: &Output| String::from_utf8_lossy(&ended.stderr).into_owned();
    for url in ["http://u:hush@127.0.0.1:1", "http://127.0.0.1:1/?token=hush"] {
        let ended = execute(folder.path(), url, "").await;
        assert_eq!(ended.status.code(), Some(1));
        assert!(told(&ended).contains("BINDERY_KERNEL_GATEWAY_TOKEN"), "{}", told(&ended));
        assert!(!told(&ended).contains("hush"), "{}", told(&ended));
    }
    let ended = execute(folder.path(), &without_websocket().await, "hush").await;
    assert_eq!(ended.status.code(), Some(2));
    assert!(told(&ended).contains("KernelStartError"), "{}", told(&ended));
    assert!(told(&ended).contains("it gives no websocket (404 Not Found)"), "{}", told(&ended));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notebook_is_executed_on_a_gateway_and_a_wrong_token_is_told() {
    let Some(gateway) = GatewayServer::kernel_gateway().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let cells = ["import os\nprint('KERNEL_GATEWAY' in os.environ)", "1 / 0"];
    std::fs::write(folder.path().join("in.ipynb"), code_notebook(&cells).to_string()).unwrap();
    let wrong = execute(folder.path(), &gateway.url, "another").await;
    let told = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(told.contains("401 Unauthorized") && told.contains("check the token"), "{told}");

    let right = execute(folder.path(), &gateway.url, crate::support::gateways::TOKEN).await;
    let told = String::from_utf8_lossy(&right.stderr).into_owned();
    assert_eq!(right.status.code(), Some(1), "{told}");
    assert!(told.contains("ZeroDivisionError in cell 1"), "{told}");
    let output = std::fs::read_to_string(folder.path().join("out.ipynb")).unwrap();
    assert!(output.contains("True\\n") && !output.contains(crate::support::gateways::TOKEN));
    assert_eq!(gateway.kernels().await, 0, "its kernel is gone");
}
