//! `kill -9` of the service in the middle of a run on a real gateway.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bindery::config::{Config, DataSettings, Settings};
use bindery::engine::Engine;
use bindery::execution::{Execution, ExecutionId, ExecutionStatus};
use bindery::notebook::Notebook;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::at_grid;
use crate::support::engine::{code_notebook, data_dir, in_place, until};
use crate::support::gateways::{GatewayServer, TOKEN};

/// `bindery serve` on a data dir with its `bindery.toml`; its log is in `service.log`. Killed with its end.
struct Service(Child);

impl Service {
    fn start(data_dir: &Path) -> Self {
        let log = File::options().create(true).append(true).open(data_dir.join("service.log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_bindery"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--workers", "2", "--log-level", "debug"]);
        command.args(["--shutdown-grace", "100ms", "--data-dir"]).arg(data_dir).current_dir(data_dir);
        command.env("GRID_TOKEN", TOKEN);
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    /// Sends a signal and waits for the end.
    fn end(mut self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A data dir whose configuration names a gateway, and an engine without a worker on it: it submits and looks.
async fn place(gateway: &GatewayServer) -> (tempfile::TempDir, Engine) {
    let folder = data_dir();
    let file = folder.path().join("bindery.toml");
    let table = format!("[kernel-gateways.grid]\nurl = \"{}\"\ntoken-env = \"GRID_TOKEN\"\n", gateway.url);
    std::fs::write(&file, table).unwrap();
    let data = DataSettings { data_dir: Some(folder.path().to_owned()) };
    let mut config = Config::resolve(Settings { config: Some(file), data, ..Settings::default() }).unwrap();
    // The service has it in its environment; this process has not.
    config.kernel_gateways[0].token = bindery::config::TokenSource::File(gateway.token_file());
    let engine = Engine::open(config).await.unwrap();
    (folder, engine)
}

async fn ended(engine: &Engine, id: ExecutionId) -> Execution {
    until("the execution has ended", async || {
        let execution = engine.execution(id).await.unwrap();
        execution.status.is_final().then_some(execution)
    })
    .await
}

/// A cell that prints ten numbered lines a second, and says in a file when it is at it: between two lines, as what is on
/// its way at the instant of death is lost, and only counted.
fn steady(mark: &Path, lines: usize) -> String {
    format!(
        "import time\nfor i in range({lines}):\n    print('line', i, flush=True)\n    time.sleep(0.04)\n    \
         if i == 20: open({mark:?}, 'w').close()\n    time.sleep(0.06)"
    )
}

/// What a cell has printed.
fn printed(notebook: &Notebook, cell: usize) -> String {
    let texts = notebook.cells()[cell].outputs().iter().filter_map(|output| output["text"].as_array());
    texts.flatten().filter_map(Value::as_str).collect()
}

/// No file in `folder` has the token in it.
fn check_no_token(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        // The kernels' environments are a link.
        if entry.file_type().unwrap().is_dir() {
            check_no_token(&entry.path());
        } else if entry.file_type().unwrap().is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
            let has_token = bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
            assert!(!has_token, "the token is in {}", entry.path().display());
        }
    }
}

/// A run whose service ends by `signal` while a cell prints, and begins again.
async fn goes_on(gateway: GatewayServer, signal: Signal, lines: usize) {
    let (folder, engine) = place(&gateway).await;
    let root = engine.config().notebooks_root.folder().unwrap().to_owned();
    let (mark, ran) = (folder.path().join("mark"), folder.path().join("ran"));
    let each = format!("with open({ran:?}, 'a') as file: file.write('once')");
    let cells = ["print('before')", &steady(&mark, lines), &each, "print('after', i)"];
    std::fs::write(root.join("long.ipynb"), code_notebook(&cells).to_string()).unwrap();
    let curious = "import os; print(dict(os.environ)); print(open('/proc/self/environ').read())";
    std::fs::write(root.join("curious.ipynb"), code_notebook(&[curious]).to_string()).unwrap();

    let service = Service::start(folder.path());
    let id = engine.submit(at_grid("long.ipynb")).await.unwrap();
    until("the cell prints", async || mark.exists().then_some(())).await;
    service.end(signal);
    assert_eq!(engine.execution(id).await.unwrap().status, ExecutionStatus::Running);
    assert_eq!(gateway.kernels().await, 1, "the kernel goes on by itself");
    let _service = Service::start(folder.path());
    let here = engine.submit(in_place("curious.ipynb")).await.unwrap();
    let there = engine.submit(at_grid("curious.ipynb")).await.err();
    assert!(there.is_some(), "two executions write one notebook");

    let execution = ended(&engine, id).await;
    assert_eq!((execution.status, execution.error), (ExecutionStatus::Success, None));
    assert_eq!((execution.attempts, execution.warnings), (1, Vec::new()));
    let notebook = Notebook::parse(&std::fs::read(root.join("long.ipynb")).unwrap()).unwrap();
    notebook.validate().unwrap();
    let all: String = (0..lines).map(|line| format!("line {line}\n")).collect();
    assert_eq!(printed(&notebook, 1), all);
    assert_eq!(printed(&notebook, 3), format!("after {}\n", lines - 1));
    assert_eq!(std::fs::read_to_string(&ran).unwrap(), "once", "no cell runs twice");
    let counts: Vec<_> = notebook.cells().iter().map(|cell| cell.execution_count()).collect();
    assert_eq!(counts, [1, 2, 3, 4].map(Some));
    until("the kernel is gone", async || (gateway.kernels().await == 0).then_some(())).await;
    until("the kernel is forgotten", async || {
        engine.execution(id).await.unwrap().remote.is_none().then_some(())
    })
    .await;

    assert_eq!(ended(&engine, here).await.status, ExecutionStatus::Success);
    let seen = std::fs::read_to_string(root.join("curious.ipynb")).unwrap();
    assert!(seen.contains("BINDERY_EXECUTION_ID") && !seen.contains("GRID_TOKEN"), "{seen}");
    check_no_token(folder.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_a_kernel_gateway_goes_on_after_kill_9() {
    let Some(gateway) = GatewayServer::kernel_gateway().await else { return };
    // It prints still when the next service goes on with it.
    goes_on(gateway, Signal::KILL, 180).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_an_enterprise_gateway_goes_on_after_kill_9() {
    let Some(gateway) = GatewayServer::enterprise_gateway().await else { return };
    // It has ended by then.
    goes_on(gateway, Signal::KILL, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_told_to_stop_leaves_a_remote_run_to_the_next() {
    let Some(gateway) = GatewayServer::kernel_gateway().await else { return };
    goes_on(gateway, Signal::TERM, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_kernel_ends_while_nobody_listens_is_settled() {
    let Some(gateway) = GatewayServer::kernel_gateway().await else { return };
    let (folder, engine) = place(&gateway).await;
    let root = engine.config().notebooks_root.folder().unwrap().to_owned();
    let mark = folder.path().join("mark");
    let cells = ["print('before')", &steady(&mark, 1000), "print('never')"];
    std::fs::write(root.join("long.ipynb"), code_notebook(&cells).to_string()).unwrap();
    let service = Service::start(folder.path());
    let id = engine.submit(at_grid("long.ipynb")).await.unwrap();
    until("the cell prints", async || mark.exists().then_some(())).await;
    service.end(Signal::TERM);
    drop(gateway);
    let _service = {
        // Its patience with a gateway that is away is minutes.
        let file = folder.path().join("bindery.toml");
        let table = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("kernel-gateway-patience = \"1s\"\n{table}")).unwrap();
        Service::start(folder.path())
    };
    let execution = ended(&engine, id).await;
    let error = execution.error.unwrap();
    assert_eq!((error.ename.as_str(), error.cell_index), ("KernelGatewayError", Some(1)), "{error}");
    let notebook = Notebook::parse(&std::fs::read(root.join("long.ipynb")).unwrap()).unwrap();
    // One mark on top, one before the cell that was running.
    assert_eq!(notebook.cells()[1].outputs()[0]["text"], json!(["before\n"]));
    assert!(printed(&notebook, 3).starts_with("line 0\nline 1\n"));
}
