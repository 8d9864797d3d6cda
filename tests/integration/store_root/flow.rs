//! The flow of existing clients, and what they do wrong.

use bindery::config::NotebooksRootConfig;
use serde_json::{Value, json};

use super::{PATIENCE, Person, wait_for};
use crate::support::engine::{code_notebook, until};
use crate::support::s3::S3Server;
use crate::support::server::{TestServer, json_of};

const HELLO: &[u8] = include_bytes!("../../../templates/quickstart/hello.ipynb");

#[tokio::test(flavor = "multi_thread")]
async fn a_notebook_is_made_executed_and_fetched_in_an_object_store() {
    let s3 = S3Server::start().await;
    let (server, person) = (TestServer::start_on_store_root(&s3, |_| {}).await, Person::at(&s3));
    let ready = json_of(server.get("/readiness").await, 200).await;
    assert_eq!(ready["systems"][2], json!({"name": "notebooks_root", "status": "ok"}), "{ready:#}");
    json_of(server.upload("hello.ipynb", HELLO, &[("category", "quickstart")]).await, 200).await;

    let mut create = json!({
        "template_name": "quickstart/hello.ipynb", "target_directory": "ada/first steps",
        "parameters": {"name": "Ada"}, "new_name": "Grüße (1)", "username": "ada"
    });
    let created = json_of(server.post("/create-from-template", create.clone()).await, 200).await;
    let path = "ada/first steps/Grüße (1).ipynb";
    assert_eq!(created["new_notebook_path"], path);
    let made = person.text(path).await;
    assert!(made.contains("injected-parameters"), "{made}");
    let problem = server.post("/create-from-template", create.clone()).await;
    server.problem(problem, 409).await;
    create["overwrite"] = json!(true);
    json_of(server.post("/create-from-template", create).await, 200).await;

    let execute = json!({"notebook_path": path, "username": "ada"});
    let started = json_of(server.post("/execute-notebook", execute).await, 200).await;
    let url = "http://127.0.0.1:8000/user/ada/lab/tree/ada/first%20steps/Gr%C3%BC%C3%9Fe%20%281%29.ipynb";
    assert_eq!(started["notebook_url"], url);
    let id = started["execution_id"].as_i64().unwrap();
    let ended = server.poll_to_end(id).await;
    assert_eq!((&ended["status"], &ended["warnings"]), (&json!("success"), &json!([])), "{ended:#}");
    assert_eq!(ended["output_path"], path);
    let saved = person.text(path).await;
    person.read(path).await;
    let fetched = server.get(&format!("/api/v1/executions/{id}/notebook")).await;
    let disposition = fetched.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(disposition.contains("Gr%C3%BC%C3%9Fe%20%281%29.ipynb"), "{disposition}");
    assert_eq!(fetched.text().await.unwrap(), saved);
    assert!(saved.contains("Hello, Ada") || saved.contains("Ada"), "{saved}");
    let page = server.get(&format!("/api/v1/executions/{id}/notebook.html")).await;
    assert_eq!(page.status(), 200);
    assert!(!server.root().exists(), "nothing of it is in a folder of this machine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_works_in_a_folder_of_its_own_which_goes_with_it() {
    let s3 = S3Server::start().await;
    let server = TestServer::start_on_store_root(&s3, |config| config.save_patience = PATIENCE).await;
    let person = Person::at(&s3);
    let cells = ["import os\nprint(os.getcwd(), os.listdir())", "open('data', 'w').write('x')"];
    person.put("in/a.ipynb", &code_notebook(&cells)).await;
    let before = person.text("in/a.ipynb").await;
    let execute = json!({"notebook_path": "s3://books/team/in/a.ipynb", "output_path": "out/a.ipynb", "username": "ada"});
    let ended = json_of(server.post("/execute", execute).await, 200).await;
    assert_eq!((&ended["status"], &ended["output_path"]), (&json!("success"), &json!("out/a.ipynb")));
    assert_eq!(person.text("in/a.ipynb").await, before, "the input is as it was");
    let scratch = server.data_dir().canonicalize().unwrap().join("scratch");
    let name = format!("{}-1", ended["execution_id"]);
    let folder = scratch.join(&name);
    let output = person.read("out/a.ipynb").await;
    let text = output.cells()[0].outputs()[0]["text"].to_string();
    assert!(text.contains(&format!("{} []", folder.display())), "{text}");
    until("the folder is gone", async || (!folder.exists()).then_some(())).await;

    // What a worker that was killed has left, and what is none of ours.
    for name in [name.as_str(), "4711-1", "other"] {
        std::fs::create_dir_all(scratch.join(name)).unwrap();
    }
    until("it is gone, too", async || (!folder.exists()).then_some(())).await;
    assert!(scratch.join("4711-1").exists() && scratch.join("other").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_writes_while_the_notebook_runs_stays() {
    let s3 = S3Server::start().await;
    let (server, person) = (TestServer::start_on_store_root(&s3, |_| {}).await, Person::at(&s3));
    let go = server.data_dir().join("go");
    person.put("a.ipynb", &code_notebook(&["print('of the ' + 'run')", &wait_for(&go)])).await;
    let accepted = json_of(
        server
            .post("/execute-notebook?wait=none", json!({"notebook_path": "a.ipynb", "username": "ada"}))
            .await,
        202,
    )
    .await;
    let id = accepted["execution_id"].as_i64().unwrap();
    person.sees("a.ipynb", "of the run").await;
    let fetched = server.get(&format!("/api/v1/executions/{id}/notebook")).await;
    assert!(fetched.text().await.unwrap().contains("of the run"), "while it runs, too");
    let theirs = code_notebook(&["'what a person wrote meanwhile'"]);
    person.put("a.ipynb", &theirs).await;
    std::fs::write(&go, "").unwrap();
    let ended = server.poll_to_end(id).await;
    let beside = format!("a.execution-{id}.ipynb");
    assert_eq!((&ended["status"], &ended["output_path"]), (&json!("success"), &json!(beside)));
    assert_eq!(person.text("a.ipynb").await, theirs.to_string());
    assert_eq!(person.read(&beside).await.cells()[0].outputs()[0]["text"], json!(["of the run\n"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_does_wrong_is_said_without_the_bucket() {
    let s3 = S3Server::start().await;
    let server = TestServer::start_on_store_root(&s3, |config| config.max_notebook_size = 20_000).await;
    let person = Person::at(&s3);
    person.put("no.ipynb", &json!("no notebook")).await;
    person.put("large.ipynb", &code_notebook(&[&"x".repeat(20_000)])).await;
    let check = async |mut body: Value, status: u16| {
        body["username"] = json!("ada");
        let problem = server.problem(server.post("/execute-notebook", body.clone()).await, status).await;
        let text = problem.to_string();
        assert!(!text.contains("//books") && !text.contains("team"), "{body} {text}");
    };
    check(json!({"notebook_path": "absent.ipynb"}), 404).await;
    check(json!({"notebook_path": "no.ipynb/absent.ipynb"}), 404).await;
    check(json!({"notebook_path": "no.ipynb"}), 415).await;
    check(json!({"notebook_path": "large.ipynb"}), 413).await;
    for path in
        ["../x.ipynb", "/x.ipynb", "a\\b.ipynb", "a/.ipynb", "x.txt", "s3://other/x.ipynb", "a\u{0}.ipynb"]
    {
        check(json!({"notebook_path": path, "username": "ada"}), 400).await;
        check(json!({"notebook_path": "no.ipynb", "output_path": path}), 400).await;
    }
    let submitted = server.post("/submit-notebook", json!({"notebook_path": "absent.ipynb"})).await;
    server.problem(submitted, 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_cannot_be_is_refused_at_the_start() {
    let s3 = S3Server::start().await;
    for (url, expected) in [
        ("s3://", "no part of it may be empty"),
        ("s3://books/../x", "no part of it may be empty"),
        ("s3://id:hush@books/x", "from the environment"),
        ("abs://acc/c", "the form is"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let data = bindery::config::DataSettings { data_dir: Some(folder.path().to_owned()) };
        let settings = bindery::config::Settings { data, ..Default::default() };
        let mut config = bindery::config::Config::resolve(settings).unwrap();
        config.notebooks_root = NotebooksRootConfig::Store(url.into());
        let opened = bindery::engine::Engine::open_with_environment(config, &s3.environment()).await;
        let message = opened.err().unwrap().to_string();
        assert!(message.contains(expected) && !message.contains("hush"), "{url}: {message}");
    }
}
