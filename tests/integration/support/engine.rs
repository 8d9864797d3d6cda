//! An engine with its worker on folders of its own, and notebooks to run on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bindery::config::{Config, DataSettings, LimitSettings, Seconds, ServiceSettings, Settings};
use bindery::engine::Engine;
use bindery::engine::executions::SubmitExecution;
use bindery::execution::{Execution, ExecutionId};
use bindery::notebook::Notebook;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The data dir that the test runner has prepared: kernel environments for every test.
pub fn prepared_data_dir() -> PathBuf {
    std::env::var_os("BINDERY_TEST_DATA_DIR")
        .map(PathBuf::from)
        .expect("run the tests with `cargo xtask test`")
}

/// A data dir of its own in which the prepared kernels are found.
pub fn data_dir() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(prepared_data_dir().join("kernels"), folder.path().join("kernels")).unwrap();
    folder
}

/// An engine and its worker; both end with it.
pub struct TestEngine {
    pub engine: Engine,
    _folder: tempfile::TempDir,
    shutdown: CancellationToken,
    worker: JoinHandle<()>,
}

impl TestEngine {
    /// An engine with two workers.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// An engine with other settings.
    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = data_dir();
        let mut settings = Settings {
            config: None,
            data: DataSettings { data_dir: Some(folder.path().to_owned()) },
            service: ServiceSettings {
                workers: Some(2),
                shutdown_grace: Some(Seconds(Duration::ZERO)),
                ..ServiceSettings::default()
            },
            limits: LimitSettings {
                start_timeout: Some(Seconds(Duration::from_secs(60))),
                ..Default::default()
            },
            ..Settings::default()
        };
        change(&mut settings);
        let engine = Engine::open(Config::resolve(settings).unwrap()).await.unwrap();
        let shutdown = CancellationToken::new();
        let (working, until) = (engine.clone(), shutdown.clone());
        let worker = tokio::spawn(async move { working.work(until).await.unwrap() });
        Self { engine, _folder: folder, shutdown, worker }
    }

    /// Where user notebooks are.
    pub fn root(&self) -> &Path {
        self.engine.config().notebooks_root.folder().unwrap()
    }

    /// Puts a notebook into the root.
    pub fn put(&self, path: &str, notebook: &Value) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, notebook.to_string()).unwrap();
    }

    /// A notebook of the root.
    pub fn read(&self, path: &str) -> Notebook {
        let notebook = Notebook::parse(&std::fs::read(self.root().join(path)).unwrap()).unwrap();
        notebook.validate().unwrap();
        notebook
    }

    /// Submits a notebook of code cells to be run in place.
    pub async fn submit(&self, path: &str, cells: &[&str]) -> ExecutionId {
        self.put(path, &code_notebook(cells));
        self.engine.submit(in_place(path)).await.unwrap()
    }

    /// Runs a notebook of code cells in place, to its end.
    pub async fn run(&self, path: &str, cells: &[&str]) -> Execution {
        let id = self.submit(path, cells).await;
        self.end(id).await
    }

    /// Waits for an execution's end, for a minute at most.
    pub async fn end(&self, id: ExecutionId) -> Execution {
        tokio::time::timeout(Duration::from_secs(60), self.engine.wait_for_end(id)).await.unwrap().unwrap()
    }

    /// Ends the worker and waits for it.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.worker.await.unwrap();
    }
}

/// What runs a notebook in place.
pub fn in_place(path: &str) -> SubmitExecution {
    SubmitExecution { notebook_path: path.into(), username: Some("ada".into()), ..SubmitExecution::default() }
}

/// A notebook with a code cell for each source.
pub fn code_notebook(cells: &[&str]) -> Value {
    let cells: Vec<Value> =
        cells.iter().enumerate().map(|(index, source)| code_cell(index, source, &[])).collect();
    notebook(cells)
}

/// A code cell with tags.
pub fn code_cell(index: usize, source: &str, tags: &[&str]) -> Value {
    json!({"cell_type": "code", "execution_count": null, "id": format!("cell-{index}"),
           "metadata": {"tags": tags}, "outputs": [], "source": source})
}

/// A notebook for the kernel `python3`.
pub fn notebook(cells: Vec<Value>) -> Value {
    json!({"cells": cells, "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
           "nbformat": 4, "nbformat_minor": 5})
}

/// Awaits a condition, for 30 s at most.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The processes whose environment names this execution, as Linux tells.
pub fn processes_of(id: ExecutionId, folder: &Path) -> Vec<u32> {
    // A folder that has been removed is still named by its path.
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mark = format!("BINDERY_EXECUTION_ID={id}\0");
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let cwd = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(&mark) && cwd.starts_with(&folder)
        })
        .collect()
}
