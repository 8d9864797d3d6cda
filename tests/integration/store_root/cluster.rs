//! A server and workers with data dirs of their own: they share nothing but PostgreSQL and the object store.

use std::path::Path;

use serde_json::json;

use super::{Person, Service, bindery, wait_for};
use crate::support::engine::{code_notebook, data_dir, until};
use crate::support::postgres;
use crate::support::s3::S3Server;
use crate::support::server::{TestServer, json_of};

fn worker(data_dir: &Path, s3: &S3Server, database: &str) -> Service {
    let mut command = bindery(data_dir, "s3://books/team", Some(&s3.endpoint), &s3.environment());
    command.args(["worker", "--warm", "", "--concurrency", "2"]).env("BINDERY_DATABASE_URL", database);
    Service::spawn(command)
}

async fn submit(server: &TestServer, path: &str) -> i64 {
    let body = json!({"notebook_path": path, "username": "ada"});
    let accepted = json_of(server.post("/execute-notebook?wait=none", body).await, 202).await;
    accepted["execution_id"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_machine_saves_what_a_dead_worker_had() {
    let Some(database) = postgres::database().await else { return };
    let (s3, url) = (S3Server::start().await, database.url());
    let server =
        TestServer::start_idle_on_store_root(&s3, |config| config.database_url.clone_from(&url)).await;
    let person = Person::at(&s3);
    let (one, two) = (data_dir(), data_dir());
    let mark = one.path().join("mark");
    // The second text comes too quickly after the first to be saved: only the journal has it.
    let second = format!(
        "print('se' + 'cond', flush=True)\nimport time; time.sleep(0.8)\nopen({mark:?}, 'a').write('x')\n{}",
        wait_for(Path::new("/never"))
    );
    for path in ["lost.ipynb", "edited.ipynb"] {
        person.put(path, &code_notebook(&["print('fi' + 'rst')", &second])).await;
    }
    person.put("next.ipynb", &code_notebook(&["print('ran ' + 'here')"])).await;
    let killed = worker(one.path(), &s3, &url);
    let (lost, edited) = (submit(&server, "lost.ipynb").await, submit(&server, "edited.ipynb").await);
    for path in ["lost.ipynb", "edited.ipynb"] {
        person.sees(path, "first").await;
    }
    until("both marks", async || std::fs::read(&mark).is_ok_and(|text| text == b"xx").then_some(())).await;
    for id in [lost, edited] {
        server.poll(id, |status| status["progress"]["current_cell"] == 1).await;
    }
    let theirs = code_notebook(&["'what a person wrote meanwhile'"]);
    person.put("edited.ipynb", &theirs).await;
    // Of its machine nothing is left.
    drop(killed);
    drop(one);

    let _worker = worker(two.path(), &s3, &url);
    let next = submit(&server, "next.ipynb").await;
    assert_eq!(server.poll_to_end(next).await["status"], "success");
    person.sees("next.ipynb", "ran here").await;
    let beside = format!("edited.execution-{edited}.ipynb");
    for (id, path) in [(lost, "lost.ipynb"), (edited, beside.as_str())] {
        let ended = server.poll_to_end(id).await;
        assert_eq!(
            (&ended["error"]["ename"], &ended["output_path"]),
            (&json!("WorkerLost"), &json!(path)),
            "{ended:#}"
        );
        let text = person.text(path).await;
        assert!(text.contains("first\\n") && text.contains("second\\n"), "{text}");
        person.read(path).await;
    }
    assert_eq!(person.text("edited.ipynb").await, theirs.to_string());
    assert!(!server.root().exists() && !two.path().join("notebooks").exists());
}
