//! The service about itself, its manners towards HTTP, and its end.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::engine::code_notebook;
use crate::support::s3::S3Server;
use crate::support::server::{TestServer, json_of};

#[tokio::test(flavor = "multi_thread")]
async fn it_says_how_it_is() {
    let server = TestServer::start_with(|_| {}, None).await;
    let health = json_of(server.get("/health").await, 200).await;
    assert_eq!(health, json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}));
    let ready = json_of(server.get("/readiness").await, 200).await;
    assert_eq!(ready["status"], "ready");
    let names: Vec<_> = ready["systems"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["database", "template_store", "notebooks_root"]);

    server.put_notebook("a.ipynb", &["1"]);
    let body = json!({"notebook_path": "a.ipynb", "username": "ada"});
    json_of(server.post("/execute-notebook?wait=none", body).await, 202).await;
    server.problem(server.get("/minio/download/a/b.ipynb?expires=1&signature=hidden").await, 403).await;
    let metrics = server.get("/metrics").await.text().await.unwrap();
    for line in [
        "bindery_executions{status=\"pending\"} 1",
        "bindery_executions{status=\"failed\"} 0",
        "# HELP bindery_http_request_seconds ",
        "route=\"/execute-notebook\",status=\"202\"",
        "bindery_http_request_seconds_bucket{method=\"GET\",route=\"/minio/download/{*name}\",le=\"0.05\"}",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(!metrics.contains("hidden"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_is_said_to_be_down() {
    let mut s3 = S3Server::start().await;
    let server = TestServer::start_on_s3(&s3).await;
    let hello = code_notebook(&["1"]).to_string();
    json_of(server.upload("a.ipynb", hello.as_bytes(), &[]).await, 200).await;
    json_of(server.get("/readiness").await, 200).await;
    s3.stop().await;
    server.problem(server.get("/minio/list-templates").await, 503).await;
    server.problem(server.get("/minio/get-template/general/a.ipynb").await, 503).await;
    server.problem(server.upload("b.ipynb", hello.as_bytes(), &[]).await, 503).await;
    let create = json!({"template_name": "general/a.ipynb", "target_directory": "x"});
    server.problem(server.post("/create-from-template", create).await, 503).await;
    let problem = server.problem(server.get("/readiness").await, 503).await;
    assert_eq!(problem["systems"][0]["status"], "ok");
    assert_eq!(problem["systems"][1]["status"], "unavailable");
    // What does not need the store goes on.
    json_of(server.get("/health").await, 200).await;
    json_of(server.get("/notebooks").await, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documentation_needs_nothing_from_elsewhere() {
    let server = TestServer::start_with(|_| {}, None).await;
    let document = json_of(server.get("/openapi.json").await, 200).await;
    assert!(document["paths"]["/execute-notebook"]["post"].is_object());
    let page = server.get("/docs").await;
    assert!(page.url().path() == "/docs/" && page.status() == 200);
    let html = page.text().await.unwrap();
    assert!(!html.contains("https://") && !html.contains("//cdn"), "{html}");
    let script = server.get("/docs/swagger-initializer.js").await.text().await.unwrap();
    assert!(script.contains("/openapi.json") && script.contains("\"validatorUrl\": \"none\""), "{script}");
    assert_eq!(server.get("/docs/swagger-ui-bundle.js").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_addresses_and_methods_are_problems() {
    let server = TestServer::start_with(|_| {}, None).await;
    for path in ["/", "/minio", "/api/v1", "/execution-status/", "/api/v2/executions"] {
        server.problem(server.get(path).await, 404).await;
    }
    for (method, path, allowed) in [
        (Method::GET, "/execute-notebook", "POST"),
        (Method::PUT, "/minio/list-templates", "GET,HEAD"),
        (Method::POST, "/notebook/1", "GET,HEAD,PUT,DELETE"),
        (Method::from_bytes(b"BREW").unwrap(), "/health", "GET,HEAD"),
    ] {
        let response = server.request(method, path).send().await.unwrap();
        let mut allow: Vec<_> = response.headers()["allow"].to_str().unwrap().split(',').collect();
        let mut allowed: Vec<_> = allowed.split(',').collect();
        allow.sort_unstable();
        allowed.sort_unstable();
        assert_eq!(allow, allowed, "{path}");
        server.problem(response, 405).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_of_another_origin_changes_nothing() {
    let server = TestServer::start_with(|_| {}, None).await;
    let cancel = |header: &'static str, value: String| {
        server.request(Method::POST, "/api/v1/executions/1/cancel").header(header, value).send()
    };
    for (header, value) in
        [("sec-fetch-site", "cross-site"), ("origin", "http://evil.example"), ("origin", "null")]
    {
        server.problem(cancel(header, value.into()).await.unwrap(), 403).await;
    }
    // Its own pages get through, to the fact that there is no such execution.
    for (header, value) in [("sec-fetch-site", "same-origin".to_owned()), ("origin", server.base.clone())] {
        server.problem(cancel(header, value).await.unwrap(), 404).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_waits_for_open_requests_but_not_for_idle_connections() {
    let mut server =
        TestServer::start_with(|config| config.shutdown_grace = Duration::from_secs(20), None).await;
    server.put_notebook("a.ipynb", &["1"]);
    let address = server.base.strip_prefix("http://").unwrap().to_owned();
    let _idle = TcpStream::connect(&address).await.unwrap();
    let request =
        server.request(Method::POST, "/execute-notebook").header("content-type", "application/json");
    let body = json!({"notebook_path": "a.ipynb", "username": "ada"}).to_string();
    let open = tokio::spawn(request.body(body).send());
    server.poll_listed("/api/v1/executions").await;
    let begin = Instant::now();
    server.shutdown.cancel();
    (&mut server.serving).await.unwrap().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    // Nobody worked on it, and still its client knows where to ask.
    let started: Value = json_of(open.await.unwrap().unwrap(), 200).await;
    assert!(started["execution_id"].is_i64(), "{started}");
    assert!(TcpStream::connect(&address).await.is_err());
}
