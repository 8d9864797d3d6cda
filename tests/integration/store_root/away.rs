//! The store goes away while notebooks run.

use std::time::Instant;

use bindery::execution::{ExecutionId, ExecutionStatus};
use serde_json::json;

use super::{PATIENCE, Person, wait_for};
use crate::support::engine::{code_notebook, until};
use crate::support::s3::{Away, S3Server};
use crate::support::server::{TestServer, json_of};

async fn submit(server: &TestServer, path: &str) -> ExecutionId {
    let request = json!({"notebook_path": path, "username": "ada"});
    let accepted = json_of(server.post("/execute-notebook?wait=none", request).await, 202).await;
    ExecutionId(accepted["execution_id"].as_i64().unwrap())
}

async fn reaches_cell(server: &TestServer, id: ExecutionId, cell: usize) {
    until("the cell runs", async || {
        let execution = server.engine.execution(id).await.unwrap();
        assert!(!execution.status.is_final(), "{execution:?}");
        execution.progress.current_cell.filter(|it| *it >= cell)
    })
    .await;
}

fn journal_is_there(server: &TestServer, id: ExecutionId) -> bool {
    server.data_dir().join(format!("journal/{id}.jsonl")).exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_cannot_be_saved_is_kept_and_saved_when_the_store_is_back() {
    let mut s3 = S3Server::start().await;
    let server = TestServer::start_on_store_root(&s3, |config| config.save_patience = PATIENCE).await;
    let person = Person::at(&s3);
    let go = server.data_dir().join("go");
    let cells = ["print('be' + 'fore')", &wait_for(&go), "print('mean' + 'while')", "1 + 41"];
    person.put("kept.ipynb", &code_notebook(&cells)).await;
    person.put("edited.ipynb", &code_notebook(&cells)).await;
    let (kept, edited) = (submit(&server, "kept.ipynb").await, submit(&server, "edited.ipynb").await);
    for path in ["kept.ipynb", "edited.ipynb"] {
        person.sees(path, "before").await;
    }
    let theirs = code_notebook(&["'what a person wrote meanwhile'"]);
    person.put("edited.ipynb", &theirs).await;

    s3.go_away(Away::Cutting).await;
    std::fs::write(&go, "").unwrap();
    for id in [kept, edited] {
        let ended = server.poll_to_end(id.0).await;
        assert_eq!(ended["status"], "failed", "{ended:#}");
        assert_eq!(ended["error"]["ename"], "NotebookNotSaved");
        let text = ended["error"]["evalue"].as_str().unwrap();
        assert!(text.contains("the S3 server cannot be reached") && !text.contains("books"), "{text}");
        assert_eq!(ended["progress"]["cells_done"], 4, "every cell has run");
        assert!(journal_is_there(&server, id));
    }
    let problem =
        server.post("/execute-notebook", json!({"notebook_path": "kept.ipynb", "username": "ada"})).await;
    server.problem(problem, 503).await;
    let ready = json_of(server.get("/readiness").await, 503).await;
    assert!(ready.to_string().contains("notebooks_root"), "{ready:#}");

    s3.come_back().await;
    for id in [kept, edited] {
        until("it is delivered", async || (!journal_is_there(&server, id)).then_some(())).await;
    }
    json_of(server.get("/readiness").await, 200).await;
    let status = server.engine.execution(kept).await.unwrap();
    assert_eq!(status.status, ExecutionStatus::Failed);
    assert_eq!(status.request.output_path, "kept.ipynb");
    assert!(status.warnings.iter().any(|it| it.contains("saved later as `kept.ipynb`")), "{status:?}");
    let beside = server.engine.execution(edited).await.unwrap().request.output_path;
    assert_eq!(beside, format!("edited.execution-{edited}.ipynb"));
    assert_eq!(person.text("edited.ipynb").await, theirs.to_string());
    for path in ["kept.ipynb", &beside] {
        let notebook = person.read(path).await;
        let outputs: Vec<_> = notebook.cells().iter().map(|cell| cell.outputs().to_vec()).collect();
        assert_eq!(outputs[0][0]["text"], json!(["before\n"]), "{path}");
        assert_eq!(outputs[2][0]["text"], json!(["meanwhile\n"]), "{path}");
        assert_eq!(outputs[3][0]["data"]["text/plain"], json!(["42"]), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cells_do_not_wait_for_a_store_that_says_nothing() {
    let mut s3 = S3Server::start().await;
    let (server, person) = (TestServer::start_on_store_root(&s3, |_| {}).await, Person::at(&s3));
    let gone = server.data_dir().join("gone");
    let go = server.data_dir().join("go");
    let mut cells = vec![wait_for(&gone)];
    cells.extend((1..40).map(|i| format!("print('cell', {i})")));
    cells.push(wait_for(&go));
    let cells: Vec<_> = cells.iter().map(String::as_str).collect();
    person.put("a.ipynb", &code_notebook(&cells)).await;
    let id = submit(&server, "a.ipynb").await;
    reaches_cell(&server, id, 0).await;
    s3.go_away(Away::Silent).await;
    let begun = Instant::now();
    std::fs::write(&gone, "").unwrap();
    reaches_cell(&server, id, 40).await;
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    s3.come_back().await;
    std::fs::write(&go, "").unwrap();
    let ended = server.poll_to_end(id.0).await;
    assert_eq!(
        (&ended["status"], &ended["output_path"]),
        (&json!("success"), &json!("a.ipynb")),
        "{ended:#}"
    );
    let notebook = person.read("a.ipynb").await;
    assert_eq!(notebook.cells()[39].outputs()[0]["text"], json!(["cell 39\n"]));
}
