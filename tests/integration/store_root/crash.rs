//! `kill -9` of a service whose notebooks are in an object store.

use std::path::Path;

use bindery::config::{Config, DataSettings, NotebooksRootConfig, Settings};
use bindery::engine::Engine;
use bindery::execution::{ExecutionId, ExecutionStatus};
use serde_json::json;

use super::{Person, Service, wait_for};
use crate::support::engine::{code_notebook, data_dir, in_place, until};
use crate::support::s3::S3Server;

async fn fails(engine: &Engine, id: ExecutionId) -> String {
    let execution = until("the execution has ended", async || {
        let execution = engine.execution(id).await.unwrap();
        execution.status.is_final().then_some(execution)
    })
    .await;
    assert_eq!(execution.status, ExecutionStatus::Failed);
    let error = execution.error.unwrap();
    assert_eq!((error.ename.as_str(), error.cell_index), ("WorkerLost", Some(1)), "{error:?}");
    execution.request.output_path
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_service_had_goes_into_the_store_and_over_nobodys_work() {
    let (s3, folder) = (S3Server::start().await, data_dir());
    let person = Person::at(&s3);
    let data = DataSettings { data_dir: Some(folder.path().to_owned()) };
    let mut config = Config::resolve(Settings { data, ..Settings::default() }).unwrap();
    config.s3_endpoint = Some(s3.endpoint.clone());
    config.notebooks_root = NotebooksRootConfig::Store("s3://books/team".into());
    let engine = Engine::open_with_environment(config, &s3.environment()).await.unwrap();

    let secret = "import os\nprint('fi' + 'rst', os.environ.get('AWS_SECRET_ACCESS_KEY'), \
                  os.environ.get('AWS_ACCESS_KEY_ID'), os.environ.get('BINDERY_NOTEBOOKS_ROOT'))";
    // The second text comes too quickly after the first to be saved: only the journal has it.
    let mark = folder.path().join("mark");
    let second = format!(
        "print('second', flush=True)\nimport time; time.sleep(0.3)\nopen({mark:?}, 'a').write('x')\n"
    );
    let cells = [secret, &format!("{second}{}", wait_for(Path::new("/never"))), "'never'"];
    for path in ["a/long.ipynb", "edited.ipynb"] {
        person.put(path, &code_notebook(&cells)).await;
    }
    let service = Service::start(folder.path(), "s3://books/team", Some(&s3.endpoint), &s3.environment());
    let id = engine.submit(in_place("a/long.ipynb")).await.unwrap();
    let edited = engine.submit(in_place("edited.ipynb")).await.unwrap();
    // The first cell's outputs are in the store; that the store has said so is not yet in the journal.
    for path in ["a/long.ipynb", "edited.ipynb"] {
        person.sees(path, "first None None None").await;
    }
    until("both marks", async || std::fs::read(&mark).is_ok_and(|text| text == b"xx").then_some(())).await;
    drop(service);
    let scratch = folder.path().join("scratch");
    assert!(scratch.join(format!("{id}-1")).exists());

    let theirs = code_notebook(&["'what a person wrote meanwhile'"]);
    person.put("edited.ipynb", &theirs).await;
    let _service = Service::start(folder.path(), "s3://books/team", Some(&s3.endpoint), &s3.environment());
    assert_eq!(fails(&engine, id).await, "a/long.ipynb");
    let beside = fails(&engine, edited).await;
    assert_eq!(beside, format!("edited.execution-{edited}.ipynb"));
    assert_eq!(person.text("edited.ipynb").await, theirs.to_string());
    for path in ["a/long.ipynb", &beside] {
        let notebook = person.read(path).await;
        // One mark on top, one before the cell that was running.
        assert_eq!(notebook.cells()[1].outputs()[0]["text"], json!(["first None None None\n"]), "{path}");
        assert_eq!(notebook.cells()[3].outputs()[0]["text"], json!(["second\n"]), "{path}");
    }
    assert!(!person.is_there(&format!("a/long.execution-{id}.ipynb")).await);
    until("no journal and no folder is left", async || {
        let is_empty = |name: &str| std::fs::read_dir(folder.path().join(name)).unwrap().next().is_none();
        (is_empty("journal") && is_empty("scratch")).then_some(())
    })
    .await;
}
