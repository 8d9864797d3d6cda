//! The five steps of the AutoML flow, with the field names that existing clients use.

use serde_json::json;

use super::fields;
use crate::support::engine::code_notebook;
use crate::support::s3::S3Server;
use crate::support::server::{TestServer, json_of};

const HELLO: &[u8] = include_bytes!("../../../templates/quickstart/hello.ipynb");

async fn upload_list_create_execute_poll(server: &TestServer) {
    let form = [("category", "quick start"), ("description", "Says hello — à tous")];
    let uploaded = json_of(server.upload("hello.ipynb", HELLO, &form).await, 200).await;
    assert_eq!(fields(&uploaded), ["etag", "parameters", "size", "status", "template_name"]);
    assert_eq!(uploaded["status"], "success");
    assert_eq!(uploaded["template_name"], "quick start/hello.ipynb");
    assert_eq!(uploaded["size"], HELLO.len());
    assert_eq!(
        uploaded["parameters"][0],
        json!({"name": "name", "inferred_type_name": "str", "default": "\"world\"", "help": "Who is greeted"})
    );

    let list = "/minio/list-templates?category=quick%20start&limit=&cursor=";
    let listed = json_of(server.get(list).await, 200).await;
    assert_eq!(fields(&listed), ["next_cursor", "templates"]);
    let template = &listed["templates"][0];
    assert_eq!(fields(template), ["category", "description", "last_modified", "name", "size"]);
    assert_eq!(template["name"], "quick start/hello.ipynb");
    assert_eq!(template["description"], "Says hello — à tous");
    template["last_modified"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();

    let create = json!({
        "template_name": "quick start/hello.ipynb", "target_directory": "ada/first steps",
        "parameters": {"name": "Ada \"the\" \\ Ünï", "count": 3, "verbose": false},
        "new_name": "greeting", "username": "ada"
    });
    let created = json_of(server.post("/create-from-template", create.clone()).await, 200).await;
    assert_eq!(created["status"], "success");
    assert_eq!(created["new_notebook_path"], "ada/first steps/greeting.ipynb");
    assert_eq!(created["parameters_applied"], create["parameters"]);
    assert_eq!(created["warnings"], json!([]));
    let record = json_of(server.get(&format!("/notebook/{}", created["notebook_id"])).await, 200).await;
    assert_eq!(record["template_name"], "quick start/hello.ipynb");

    let execute = json!({"notebook_path": created["new_notebook_path"], "username": "ada"});
    let started = json_of(server.post("/execute-notebook", execute).await, 200).await;
    assert_eq!(started["status"], "running");
    let url = "http://127.0.0.1:8000/user/ada/lab/tree/ada/first%20steps/greeting.ipynb";
    assert_eq!(started["notebook_url"], url);
    let id = started["execution_id"].as_i64().unwrap();
    assert_eq!(started["status_url"], format!("{}/execution-status/{id}", server.base));

    let ended = server.poll_to_end(id).await;
    let expected = [
        "attempts",
        "duration",
        "end_time",
        "error",
        "execution_id",
        "kernel",
        "kernel_gateway",
        "kernel_name",
        "max_attempts",
        "mlflow",
        "notebook_path",
        "notebook_url",
        "output_path",
        "parent",
        "priority",
        "progress",
        "queue_position",
        "results",
        "start_time",
        "status",
        "submitted_at",
        "username",
        "warnings",
    ];
    assert_eq!(fields(&ended), expected);
    assert_eq!(ended["status"], "success", "{ended:#}");
    assert_eq!(ended["notebook_path"], "ada/first steps/greeting.ipynb");
    assert_eq!(ended["progress"], json!({"cells_done": 8, "cells_total": 8, "current_cell": null}));
    assert_eq!(
        (&ended["error"], &ended["mlflow"], &ended["attempts"]),
        (&json!(null), &json!(null), &json!(1))
    );
    assert!(ended["duration"].as_str().unwrap().ends_with('s'));
    for field in ["submitted_at", "start_time", "end_time"] {
        assert!(ended[field].as_str().unwrap().ends_with('Z'), "{ended:#}");
    }

    let output = server.read_notebook("ada/first steps/greeting.ipynb");
    let injected = &output["cells"][2];
    assert_eq!(injected["metadata"]["tags"], json!(["injected-parameters"]));
    let last = output["cells"].as_array().unwrap().last().unwrap();
    let result = last["outputs"][0]["data"]["text/plain"].to_string();
    assert!(result.contains("Ada") && result.contains("Ünï"), "{result}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flow_works_on_a_folder_and_its_download_link_ends_with_its_signature() {
    let server = TestServer::start().await;
    upload_list_create_execute_poll(&server).await;

    let answer = server.get("/minio/download-url/quick%20start/hello.ipynb?expires=60").await;
    let download = json_of(answer, 200).await;
    assert_eq!(fields(&download), ["expires_at", "url"]);
    let url = download["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}/minio/download/quick%20start/hello.ipynb?", server.base)), "{url}");
    let response = reqwest::get(url).await.unwrap();
    let disposition = response.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert_eq!(disposition, "attachment; filename=\"hello.ipynb\"; filename*=UTF-8''hello.ipynb");
    assert!(!response.headers().contains_key("set-cookie"));
    assert_eq!(response.bytes().await.unwrap(), HELLO);

    for tampered in [url.replace("hello.ipynb", "other.ipynb"), url.replace("signature=", "signature=x")] {
        server.problem(reqwest::get(tampered).await.unwrap(), 403).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flow_works_on_s3_and_its_download_link_leads_there() {
    let s3 = S3Server::start().await;
    let server = TestServer::start_on_s3(&s3).await;
    upload_list_create_execute_poll(&server).await;

    let answer = server.get("/minio/download-url/quick%20start/hello.ipynb").await;
    let download = json_of(answer, 200).await;
    let url = download["url"].as_str().unwrap();
    assert!(url.starts_with(&s3.endpoint) && url.contains("X-Amz-Expires=3600"), "{url}");
    assert_eq!(reqwest::get(url).await.unwrap().bytes().await.unwrap(), HELLO);
    let own = server.get("/minio/download/quick%20start/hello.ipynb?expires=99999999999&signature=x").await;
    server.problem(own, 403).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_looked_into_replaced_and_deleted() {
    let server = TestServer::start_with(|_| {}, None).await;
    let form = [("category", "ml/deep")];
    json_of(server.upload("Übung (1).ipynb", HELLO, &form).await, 200).await;
    for name in ["ml/deep/%C3%9Cbung%20(1).ipynb", "ml%2Fdeep%2F%C3%9Cbung%20(1).ipynb"] {
        let details = json_of(server.get(&format!("/minio/get-template/{name}")).await, 200).await;
        let expected = [
            "category",
            "description",
            "etag",
            "kernel_name",
            "language",
            "last_modified",
            "name",
            "parameters",
            "size",
        ];
        assert_eq!(fields(&details), expected);
        assert_eq!(details["name"], "ml/deep/Übung (1).ipynb");
        assert_eq!((&details["kernel_name"], &details["language"]), (&json!("python3"), &json!("python")));
        assert_eq!(details["parameters"].as_array().unwrap().len(), 5);
    }

    let other = code_notebook(&["1"]).to_string();
    let problem = server.upload("Übung (1).ipynb", other.as_bytes(), &form).await;
    server.problem(problem, 409).await;
    let overwrite = [("category", "ml/deep"), ("overwrite", "True")];
    let replaced = json_of(server.upload("Übung (1).ipynb", other.as_bytes(), &overwrite).await, 200).await;
    assert_eq!(replaced["parameters"], json!([]));

    // A client that writes names beyond ASCII as RFC 5987 has them, and no category.
    let file = crate::support::server::part("name=\"file\"; filename*=UTF-8''%C3%A9t%C3%A9.ipynb", HELLO);
    let uploaded = json_of(server.send_form(file).await, 200).await;
    assert_eq!(uploaded["template_name"], "general/été.ipynb");

    let path = "/minio/delete-template/ml/deep/%C3%9Cbung%20(1).ipynb";
    let deleted = json_of(server.delete(path).await, 200).await;
    assert_eq!(deleted, json!({"status": "success", "template_name": "ml/deep/Übung (1).ipynb"}));
    server.problem(server.delete(path).await, 404).await;

    let page = json_of(server.get("/minio/list-templates?limit=1").await, 200).await;
    assert_eq!((page["templates"].as_array().unwrap().len(), &page["next_cursor"]), (1, &json!(null)));
}
