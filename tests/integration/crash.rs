//! `kill -9` of the service in the middle of a run.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bindery::config::{Config, DataSettings, Settings};
use bindery::engine::Engine;
use bindery::execution::{ExecutionId, ExecutionStatus};
use bindery::notebook::Notebook;
use serde_json::json;

use crate::support::engine::{code_notebook, data_dir, in_place, processes_of, until};

/// `bindery serve` on a data dir and a free port; killed with its end.
struct Service(Child);

impl Service {
    fn start(data_dir: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bindery"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--workers", "2", "--data-dir"])
            .arg(data_dir)
            .current_dir(data_dir);
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// SIGKILL, as the system does when memory runs out.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An engine without a worker on the same data dir: it submits and looks.
async fn onlooker(data_dir: &Path) -> Engine {
    let settings =
        Settings { data: DataSettings { data_dir: Some(data_dir.to_owned()) }, ..Settings::default() };
    Engine::open(Config::resolve(settings).unwrap()).await.unwrap()
}

async fn final_status(engine: &Engine, id: ExecutionId) -> ExecutionStatus {
    until("the execution has a final status", async || {
        let status = engine.execution(id).await.unwrap().status;
        status.is_final().then_some(status)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_service_loses_no_output_and_leaves_nothing_running() {
    let folder = data_dir();
    let engine = onlooker(folder.path()).await;
    let root = engine.config().notebooks_root.folder().unwrap().to_owned();
    // The second lines come too quickly after the first to be saved with the notebook: only the journal has them.
    // The mark is written when they are on their way for good.
    let cell = "import subprocess, time\nprint('first', flush=True)\ntime.sleep(2)\nfor i in range(50): print('second', i, flush=True)\n\
                subprocess.Popen(['sleep', '300'], start_new_session=True)\ntime.sleep(0.3)\nopen('mark', 'w').close()\ntime.sleep(300)";
    std::fs::write(root.join("long.ipynb"), code_notebook(&["print('before')", cell, "'never'"]).to_string())
        .unwrap();
    std::fs::write(root.join("next.ipynb"), code_notebook(&["print('ran')"]).to_string()).unwrap();

    let sleeper = code_notebook(&["print('kept')", "import time; time.sleep(300)"]);
    std::fs::write(root.join("edited.ipynb"), sleeper.to_string()).unwrap();

    let service = Service::start(folder.path());
    let id = engine.submit(in_place("long.ipynb")).await.unwrap();
    let edited = engine.submit(in_place("edited.ipynb")).await.unwrap();
    until("the mark", async || root.join("mark").exists().then_some(())).await;
    until("the other one runs", async || {
        engine.execution(edited).await.unwrap().progress.current_cell.filter(|it| *it == 1)
    })
    .await;
    assert_eq!(processes_of(id, &root).len(), 2, "the kernel and what it started");
    service.kill();
    assert_eq!(engine.execution(id).await.unwrap().status, ExecutionStatus::Running);

    // Before the service is up again, a person opens one of the notebooks and saves it.
    let theirs = code_notebook(&["'what a person wrote meanwhile'"]).to_string();
    std::fs::write(root.join("edited.ipynb"), &theirs).unwrap();
    let restarted = Instant::now();
    let _service = Service::start(folder.path());
    // An execution that is submitted meanwhile need not wait for the dead one's lease.
    let next = engine.submit(in_place("next.ipynb")).await.unwrap();
    assert_eq!(final_status(&engine, next).await, ExecutionStatus::Success);
    assert_eq!(final_status(&engine, id).await, ExecutionStatus::Failed);
    assert!(restarted.elapsed() < Duration::from_secs(25), "{:?}", restarted.elapsed());

    let execution = engine.execution(id).await.unwrap();
    let error = execution.error.unwrap();
    assert_eq!((error.ename.as_str(), error.cell_index), ("WorkerLost", Some(1)));
    assert_eq!(execution.attempts, 1, "a notebook is never run twice unasked");
    let notebook = Notebook::parse(&std::fs::read(root.join("long.ipynb")).unwrap()).unwrap();
    notebook.validate().unwrap();
    // One mark on top, one before the cell that was running.
    assert_eq!(notebook.cells()[1].outputs()[0]["text"], json!(["before\n"]));
    let mut lines = vec!["first\n".to_owned()];
    lines.extend((0..50).map(|i| format!("second {i}\n")));
    assert_eq!(notebook.cells()[3].outputs()[0]["text"], json!(lines));
    assert_eq!(notebook.cells()[3].metadata().unwrap()["papermill"]["status"], "failed");
    assert!(processes_of(id, &root).is_empty(), "what the notebook had started is gone");

    assert_eq!(final_status(&engine, edited).await, ExecutionStatus::Failed);
    assert_eq!(std::fs::read_to_string(root.join("edited.ipynb")).unwrap(), theirs);
    let beside = engine.execution(edited).await.unwrap().request.output_path;
    assert_eq!(beside, format!("edited.execution-{edited}.ipynb"));
    let notebook = Notebook::parse(&std::fs::read(root.join(beside)).unwrap()).unwrap();
    assert_eq!(notebook.cells()[1].outputs()[0]["text"], json!(["kept\n"]));
    until("no journal is left", async || {
        std::fs::read_dir(folder.path().join("journal")).unwrap().next().is_none().then_some(())
    })
    .await;
}
