//! Kernels of failed runs that stay for a person to attach to.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bindery::engine::executions::SubmitExecution;
use bindery::execution::{Execution, ExecutionStatus};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::engine::{TestEngine, code_notebook, in_place, prepared_data_dir, processes_of, until};
use crate::support::server::{TestServer, json_of};

const FAILS: [&str; 2] = ["secret = 6 * 7", "import os\nos.environ['LEFT'] = '1'\n1 / 0"];

/// Runs a notebook to its end whose kernel is to be kept for this long when it fails.
async fn run(bindery: &TestEngine, path: &str, cells: &[&str], keep: Duration) -> Execution {
    bindery.put(path, &code_notebook(cells));
    let submit = SubmitExecution { keep_kernel_on_failure: Some(keep), ..in_place(path) };
    bindery.end(bindery.engine.submit(submit).await.unwrap()).await
}

/// What `code` prints when a client of Jupyter's own attaches to a kernel and executes it.
async fn attached(connection_file: &str, code: &str) -> String {
    const CLIENT: &str = "import sys
from jupyter_client import BlockingKernelClient
client = BlockingKernelClient(connection_file=sys.argv[1])
client.load_connection_file()
client.start_channels()
client.wait_for_ready(timeout=30)
client.execute_interactive(sys.argv[2], timeout=30)";
    let python = prepared_data_dir().join("kernels/envs/python3/bin/python");
    let mut client = Command::new(python);
    client.args(["-c", CLIENT, connection_file, code]);
    let output = tokio::task::spawn_blocking(move || client.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn is_gone(bindery: &TestEngine, execution: &Execution) {
    until("the kernel is gone", async || processes_of(execution.id, bindery.root()).is_empty().then_some(()))
        .await;
    let execution = bindery.engine.execution(execution.id).await.unwrap();
    assert_eq!(execution.kept_kernel(Timestamp::now()), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_attaches_to_the_kernel_of_a_failed_run_until_it_is_released() {
    let bindery = TestEngine::start().await;
    let execution = run(&bindery, "fails.ipynb", &FAILS, Duration::from_secs(600)).await;
    assert_eq!(execution.status, ExecutionStatus::Failed);
    assert_eq!(execution.error.as_ref().unwrap().ename, "ZeroDivisionError");
    let kept = execution.kept_kernel(Timestamp::now()).unwrap();
    let seconds = Timestamp::now().duration_until(kept.expires_at).as_secs();
    assert!((500..=600).contains(&seconds), "{seconds}");
    assert_eq!(attached(&kept.connection_file, "print(secret, os.environ['LEFT'])").await, "42 1\n");
    // Once more: it was left alone when the first client went.
    assert_eq!(attached(&kept.connection_file, "print(len('x' * 10), secret)").await, "10 42\n");

    assert!(bindery.engine.release_kernel(execution.id).await.unwrap());
    assert!(!bindery.engine.release_kernel(execution.id).await.unwrap(), "once is enough");
    is_gone(&bindery, &execution).await;
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_time_is_up_and_it_is_gone() {
    let bindery = TestEngine::start().await;
    let execution = run(&bindery, "fails.ipynb", &FAILS, Duration::from_secs(2)).await;
    let kept = execution.kept_kernel(Timestamp::now()).unwrap().clone();
    is_gone(&bindery, &execution).await;
    assert!(Timestamp::now() >= kept.expires_at, "it was there until then");
    until("its folder goes", async || (!Path::new(&kept.connection_file).exists()).then_some(())).await;
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_takes_no_workers_place_and_there_are_no_more_of_them_than_workers() {
    let bindery = TestEngine::start_with(|settings| settings.service.workers = Some(1)).await;
    let hour = Duration::from_secs(3600);
    let kept = run(&bindery, "kept.ipynb", &FAILS, hour).await;
    assert!(kept.kept_kernel(Timestamp::now()).is_some());
    let well = run(&bindery, "well.ipynb", &["1 + 1"], hour).await;
    assert_eq!((well.status, well.kept), (ExecutionStatus::Success, None));
    let second = run(&bindery, "second.ipynb", &FAILS, hour).await;
    assert_eq!((second.status, second.kept.clone()), (ExecutionStatus::Failed, None));
    assert!(second.warnings[0].starts_with("the kernel was not kept"), "{:?}", second.warnings);
    is_gone(&bindery, &second).await;
    // To run it again is to be done with the kernel of before.
    let again = bindery.engine.retry(kept.id, None, None).await.unwrap();
    is_gone(&bindery, &kept).await;
    bindery.end(again).await;

    let begun = Instant::now();
    let (folder, id) = (bindery.root().to_owned(), again);
    bindery.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(processes_of(id, &folder).is_empty(), "the service has ended, and its kernels with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_the_status_says_where_it_is() {
    let server = TestServer::start().await;
    server.put_notebook("fails.ipynb", &FAILS);
    let body = json!({"notebook_path": "fails.ipynb", "username": "ada", "keep_kernel_on_failure": 600});
    let answer = server.post("/execute", body).await;
    let status = json_of(answer, 200).await;
    assert_eq!(status["status"], "failed");
    let file = status["kernel"]["connection_file"].as_str().unwrap();
    assert_eq!(attached(file, "print(secret)").await, "42\n");
    let id = &status["execution_id"];
    let release = format!("/api/v1/executions/{id}/release-kernel");
    let released = json_of(server.post(&release, Value::Null).await, 200).await;
    assert_eq!(released, json!({"execution_id": id, "released": true}));
    let status = json_of(server.get(&format!("/execution-status/{id}")).await, 200).await;
    assert_eq!(status["kernel"], Value::Null);
    let body = json!({"notebook_path": "fails.ipynb", "username": "ada", "keep_kernel_on_failure": 90_000});
    let problem = server.problem(server.post("/execute", body).await, 422).await;
    assert_eq!(problem["errors"][0]["field"], "keep_kernel_on_failure", "{problem}");
}
