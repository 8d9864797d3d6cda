//! What cannot be accepted gets a clear answer, and nothing is lost or given away.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::engine::code_notebook;
use crate::support::server::{TestServer, json_of, part};

#[tokio::test(flavor = "multi_thread")]
async fn only_sound_notebooks_become_templates() {
    let server = TestServer::start_with(|config| config.max_notebook_size = 100_000, None).await;
    let sound = code_notebook(&["1"]);
    let mut faulty = sound.clone();
    faulty["cells"][0]["outputs"] = json!([{"output_type": "poem"}]);
    let old = json!({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": 1});
    let large = code_notebook(&["x"; 2000]).to_string();
    for (text, status, told) in [
        ("this is not JSON".to_owned(), 415, "not valid JSON"),
        (String::new(), 415, ""),
        ("{\"a\": 1}".to_owned(), 415, "nbformat"),
        ("[1, 2]".to_owned(), 415, "not an object"),
        (old.to_string(), 422, "worksheets"),
        (faulty.to_string(), 422, "cells[0].outputs[0]"),
        (large, 413, "100000"),
    ] {
        let problem = server.problem(server.upload("a.ipynb", text.as_bytes(), &[]).await, status).await;
        assert!(problem.to_string().contains(told), "{problem}");
    }
    assert_eq!(json_of(server.get("/minio/list-templates").await, 200).await["templates"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_far_beyond_the_limit_gets_an_answer_and_not_a_broken_connection() {
    let server = TestServer::start_with(|_| {}, None).await;
    let sixty_megabytes = vec![b' '; 60_000_000];
    let problem = server.problem(server.upload("a.ipynb", &sixty_megabytes, &[]).await, 413).await;
    assert!(problem["detail"].as_str().unwrap().contains("50000000"), "{problem}");
    let body = json!({"notebook_path": " ".repeat(13_000_000), "username": "ada"});
    server.problem(server.post("/execute-notebook", body).await, 413).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_its_parts_is_refused() {
    let server = TestServer::start_with(|_| {}, None).await;
    let sound = code_notebook(&["1"]).to_string();
    let file = part("name=\"file\"; filename=\"a.ipynb\"", sound.as_bytes());
    let twice = [file.clone(), file.clone()].concat();
    let overwrite = [part("name=\"overwrite\"", b"perhaps"), file.clone()].concat();
    let latin = [part("name=\"description\"", b"\xff"), file].concat();
    for (form, field) in [
        (Vec::new(), "file"),
        (part("name=\"category\"", b"ml"), "file"),
        (part("name=\"file\"", sound.as_bytes()), "file"),
        (twice, "file"),
        (overwrite, "overwrite"),
        (latin, "description"),
    ] {
        let problem = server.problem(server.send_form(form).await, 422).await;
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    let long = "x".repeat(70_000);
    let long = server.upload("a.ipynb", sound.as_bytes(), &[("description", &long)]).await;
    server.problem(long, 413).await;
    server.problem(server.post("/minio/upload-template", json!({})).await, 415).await;
    let broken = server.request(Method::POST, "/minio/upload-template");
    let broken = broken.header("content-type", "multipart/form-data; boundary=b").body("--b\r\nConte");
    server.problem(broken.send().await.unwrap(), 400).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_could_lead_elsewhere_are_refused() {
    let server = TestServer::start_with(|_| {}, None).await;
    let sound = code_notebook(&["1"]).to_string();
    for name in [
        "../a.ipynb",
        "a/b.ipynb",
        "a\\b.ipynb",
        ".a.ipynb",
        "a.txt",
        "ａ.ipynb",
        "a\u{202e}.ipynb",
        "..ipynb",
    ] {
        server.problem(server.upload(name, sound.as_bytes(), &[]).await, 400).await;
    }
    for category in ["..", "../x", "/etc", "a//b", "a/../b", "a\0b", "a\u{200b}", "ｍｌ", ".hidden", "a\nb"]
    {
        let answer = server.upload("a.ipynb", sound.as_bytes(), &[("category", category)]).await;
        server.problem(answer, 400).await;
    }
    for name in [
        "..%2F..%2Fetc%2Fpasswd.ipynb",
        "ml/%00.ipynb",
        "ml%2F..%2Fa.ipynb",
        "a.ipynb",
        "ml/a",
        "ml/%FF.ipynb",
    ] {
        for path in ["get-template", "download-url"] {
            server.problem(server.get(&format!("/minio/{path}/{name}")).await, 400).await;
        }
        server.problem(server.delete(&format!("/minio/delete-template/{name}")).await, 400).await;
    }
    server.problem(server.get("/minio/get-template/ml/missing.ipynb").await, 404).await;
    for query in ["limit=0", "limit=x", "limit=-1", "limit=99999", "cursor=%25", "category=.."] {
        server.problem(server.get(&format!("/minio/list-templates?{query}")).await, 400).await;
    }
    for expires in ["0", "-1", "x", "999999999", "1e400"] {
        json_of(server.upload("a.ipynb", sound.as_bytes(), &[("overwrite", "1")]).await, 200).await;
        let answer = server.get(&format!("/minio/download-url/general/a.ipynb?expires={expires}")).await;
        server.problem(answer, 400).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notebooks_are_made_inside_the_root_only() {
    let server = TestServer::start_with(|_| {}, None).await;
    let sound = code_notebook(&["1"]).to_string();
    json_of(server.upload("t.ipynb", sound.as_bytes(), &[]).await, 200).await;
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), server.root().join("link")).unwrap();
    let create = |change: Value| {
        let mut body = json!({"template_name": "general/t.ipynb", "target_directory": "ada", "parameters": {}, "new_name": "n"});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        server.post("/create-from-template", body)
    };
    for directory in
        ["..", "a/../..", "/etc", "link", "link/deeper", "a\0b", "a\u{ff0f}b", "a\\b", "a\u{202e}b"]
    {
        let problem = server.problem(create(json!({"target_directory": directory})).await, 400).await;
        assert_eq!(problem["errors"][0]["field"], "target_directory", "{problem}");
    }
    for name in ["a/b", "../n", "", ".n", "n\0", "n\u{200b}"] {
        let problem = server.problem(create(json!({"new_name": name})).await, 400).await;
        assert_eq!(problem["errors"][0]["field"], "new_name", "{problem}");
    }
    for (parameters, field) in [
        (json!([1]), "parameters"),
        (json!("a=1"), "parameters"),
        (json!(3), "parameters"),
        (json!({"not an identifier": 1}), "parameters.not an identifier"),
        (json!({"class": 1}), "parameters.class"),
        (json!({"x;import os": 1}), "parameters.x;import os"),
    ] {
        let problem = server.problem(create(json!({"parameters": parameters})).await, 422).await;
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    server.problem(create(json!({"template_name": "general/missing.ipynb"})).await, 404).await;
    server.problem(create(json!({"username": ".."})).await, 422).await;
    json_of(create(json!({})).await, 200).await;
    server.problem(create(json!({})).await, 409).await;
    json_of(create(json!({"overwrite": true, "parameters": null})).await, 200).await;
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_can_run_is_accepted() {
    let server = TestServer::start_with(|_| {}, None).await;
    server.put_notebook("a.ipynb", &["1"]);
    std::fs::write(server.root().join("text.ipynb"), "no JSON").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("x.ipynb"), code_notebook(&["1"]).to_string()).unwrap();
    std::os::unix::fs::symlink(elsewhere.path().join("x.ipynb"), server.root().join("link.ipynb")).unwrap();
    let body = |change: Value| {
        let mut body = json!({"notebook_path": "a.ipynb", "username": "ada"});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        body
    };
    for (change, status, field) in [
        (json!({"notebook_path": "../a.ipynb"}), 400, "notebook_path"),
        (json!({"notebook_path": "/etc/passwd"}), 400, "notebook_path"),
        (json!({"notebook_path": "link.ipynb"}), 400, "notebook_path"),
        (json!({"notebook_path": "s3://bucket/a.ipynb"}), 400, "notebook_path"),
        (json!({"notebook_path": "http://127.0.0.1:1/a.ipynb"}), 400, "notebook_path"),
        (json!({"output_path": "gs://bucket/a.ipynb"}), 400, "output_path"),
        (json!({"notebook_path": "a\0.ipynb"}), 400, "notebook_path"),
        (json!({"output_path": "../b.ipynb"}), 400, "output_path"),
        (json!({"notebook_path": 7}), 422, "notebook_path"),
        (json!({"parameters": [1]}), 422, "parameters"),
        (json!({"parameters": {"a b": 1}}), 422, "parameters.a b"),
        (json!({"timeout": 0}), 422, "timeout"),
        (json!({"timeout": -5}), 422, "timeout"),
        (json!({"timeout": 1e300}), 422, "timeout"),
        (json!({"timeout": "5m"}), 422, "timeout"),
        (json!({"cell_timeout": -0.1}), 422, "cell_timeout"),
        (json!({"username": ""}), 422, "username"),
        (json!({"username": null}), 422, "username"),
    ] {
        for route in ["/execute-notebook", "/execute"] {
            let problem = server.problem(server.post(route, body(change.clone())).await, status).await;
            assert_eq!(problem["errors"][0]["field"], field, "{problem}");
        }
    }
    server.problem(server.post("/execute", body(json!({"notebook_path": "no.ipynb"}))).await, 404).await;
    server.problem(server.post("/execute", body(json!({"notebook_path": "text.ipynb"}))).await, 415).await;
    for (kernel, told) in
        [("mlflow_kernel", "bindery kernels install mlflow_kernel"), ("nope", "ipykernel install")]
    {
        let problem =
            server.problem(server.post("/execute", body(json!({"kernel_name": kernel}))).await, 422).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("python3") && detail.contains(told), "{detail}");
        assert_eq!(problem["errors"][0]["field"], "kernel_name");
    }
    assert_eq!(json_of(server.get("/api/v1/executions").await, 200).await["executions"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_json_object_are_refused() {
    let server = TestServer::start_with(|_| {}, None).await;
    let send = |content_type: &'static str, body: &'static str| {
        let request = server.request(Method::POST, "/execute-notebook");
        request.header("content-type", content_type).body(body).send()
    };
    for (content_type, body, status) in [
        ("text/plain", "{}", 415),
        ("application/x-www-form-urlencoded", "a=1", 415),
        ("application/json", "", 400),
        ("application/json", "{", 400),
        ("application/json", "{\"notebook_path\": \"a.ipynb\", \"username\": \"a\"} {}", 400),
        ("application/json", "{\"notebook_path\": NaN}", 400),
        ("application/json", "[]", 422),
        ("application/json", "null", 422),
        ("application/json", "{}", 422),
    ] {
        let problem = server.problem(send(content_type, body).await.unwrap(), status).await;
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{body}: {problem}");
    }
    let problem = server.problem(send("application/json", "{}").await.unwrap(), 422).await;
    assert_eq!(problem["errors"], json!([{"field": "notebook_path", "message": "is missing"}]));
    // In JSON's words, not in ours.
    for body in ["[]", "null", "5"] {
        let problem = server.problem(send("application/json", body).await.unwrap(), 422).await;
        assert_eq!(problem["detail"], "the body must be a JSON object");
    }
    let timeout = r#"{"notebook_path": "a.ipynb", "username": "a", "timeout": "5"}"#;
    let problem = server.problem(send("application/json", timeout).await.unwrap(), 422).await;
    assert_eq!(
        problem["errors"],
        json!([{"field": "timeout", "message": "invalid type: string \"5\", expected a number"}])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_cannot_be_taken_says_what_would_be_right() {
    let server = TestServer::start_with(|_| {}, None).await;
    for (path, field, told) in [
        ("/notebooks?limit=-1", "limit", "`-1` is not a whole number that can be used here"),
        ("/minio/list-templates?limit=99999999999999999999", "limit", "whole number"),
        ("/execute-notebook?wait=never", "wait", "`never` must be `none` or `first-cell`"),
        ("/api/v1/executions?status=lost", "status", "`lost` is not an execution status"),
        ("/minio/download/a/b.ipynb", "expires", "is missing"),
    ] {
        let answer = match path.starts_with("/execute") {
            true => server.post(path, json!({})).await,
            false => server.get(path).await,
        };
        let problem = server.problem(answer, 400).await;
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
        let message = problem["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(told), "{problem}");
        assert_eq!(message.matches("lost").count(), usize::from(field == "status"), "said once: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_write_about_a_notebook_stays_small() {
    let server = TestServer::start_with(|_| {}, None).await;
    server.put_notebook("a.ipynb", &["1"]);
    for (field, value) in [
        ("title", json!("x".repeat(256))),
        ("description", json!("x".repeat(10_001))),
        ("tags", json!(vec!["x"; 101])),
        ("tags[1]", json!(["x", "x".repeat(256)])),
    ] {
        let name = field.split('[').next().unwrap();
        let body = json!({"notebook_path": "a.ipynb", name: value});
        let problem = server.problem(server.post("/submit-notebook", body).await, 422).await;
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_notebooks_are_kept_and_what_is_missing_is_said_to_be() {
    let server = TestServer::start_with(|_| {}, None).await;
    server.put_notebook("ada/a.ipynb", &["1"]);
    server.put_notebook("ada/b.ipynb", &["1"]);
    let body = json!({"notebook_path": "ada/a.ipynb", "username": "ada", "tags": ["x"]});
    let submitted = json_of(server.post("/submit-notebook", body).await, 200).await;
    assert_eq!((&submitted["status"], &submitted["title"]), (&json!("success"), &json!("a")));
    let path = format!("/notebook/{}", submitted["notebook_id"]);
    let change = server.request(Method::PUT, &path).header("content-type", "application/json");
    let changed = change.body(json!({"title": "A", "tags": []}).to_string()).send().await.unwrap();
    let changed = json_of(changed, 200).await;
    assert_eq!(
        (&changed["title"], &changed["tags"], &changed["username"]),
        (&json!("A"), &json!([]), &json!("ada"))
    );
    json_of(server.post("/submit-notebook", json!({"notebook_path": "ada/b.ipynb"})).await, 200).await;
    let page = json_of(server.get("/notebooks?limit=1&username=").await, 200).await;
    assert_eq!(page["notebooks"], json!([changed]));
    let cursor = page["next_cursor"].as_str().unwrap();
    let page = json_of(server.get(&format!("/notebooks?limit=1&cursor={cursor}")).await, 200).await;
    assert_eq!(
        (&page["notebooks"][0]["notebook_path"], &page["next_cursor"]),
        (&json!("ada/b.ipynb"), &json!(null))
    );

    json_of(server.delete(&path).await, 200).await;
    assert!(server.root().join("ada/a.ipynb").is_file());
    for path in [&path, "/notebook/0", "/notebook/-1", "/execution-status/1", "/api/v1/executions/9/notebook"]
    {
        server.problem(server.get(path).await, 404).await;
    }
    for path in [
        "/notebook/x",
        "/notebook/99999999999999999999",
        "/execution-status/1%00",
        "/notebooks?limit=0",
        "/notebooks?cursor=x",
        "/api/v1/executions?status=done",
        "/api/v1/executions?limit=1001",
    ] {
        server.problem(server.get(path).await, 400).await;
    }
    let missing = server.post("/submit-notebook", json!({"notebook_path": "no.ipynb"})).await;
    server.problem(missing, 404).await;
}
