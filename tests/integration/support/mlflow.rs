//! A real MLflow tracking server, from the kernel environment `mlflow_kernel`.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a server may take: its first start makes a database by dozens of migrations.
const START: Duration = Duration::from_secs(120);

/// A tracking server with a database and an artifact folder of its own; it dies, with every process that it
/// started, when this is dropped.
pub struct MlflowServer {
    process: Child,
    folder: tempfile::TempDir,
    uri: String,
}

impl MlflowServer {
    /// Starts a server on a free port and waits until it is healthy.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with more flags of `mlflow server`; `{folder}` in them is the server's temporary folder.
    pub async fn start_with(flags: &[&str]) -> Self {
        let mut said = String::new();
        // Between finding a free port and using it somebody else may take it: then the server ends.
        for _ in 0..3 {
            let folder = tempfile::tempdir().unwrap();
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let process = spawn(folder.path(), port, flags);
            let mut server = Self { process, folder, uri: format!("http://127.0.0.1:{port}") };
            if server.is_up().await {
                return server;
            }
            said = log(server.folder());
        }
        panic!("mlflow server does not start:\n{said}");
    }

    /// Its address.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Its folder: database, artifacts, log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the server itself says, past the client under test: GET `path` below `/api/2.0/`.
    pub async fn get(&self, path: &str) -> Value {
        serde_json::from_slice(&self.get_bytes(path).await).unwrap()
    }

    /// The same for something that is not JSON.
    pub async fn get_bytes(&self, path: &str) -> Vec<u8> {
        let response = reqwest::get(format!("{}/api/2.0/{path}", self.uri)).await.unwrap();
        assert!(response.status().is_success(), "{path}: {}", response.status());
        response.bytes().await.unwrap().to_vec()
    }

    /// POST `path` below `/api/2.0/`.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let request = reqwest::Client::new().post(format!("{}/api/2.0/{path}", self.uri));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let response = request.send().await.unwrap();
        assert!(response.status().is_success(), "{path}: {}", response.status());
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
    }

    async fn is_up(&mut self) -> bool {
        let health = format!("{}/health", self.uri);
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let start = Instant::now();
        while start.elapsed() < START {
            if client.get(&health).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return true;
            }
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            tick.tick().await;
        }
        panic!("mlflow server is not healthy after {START:?}:\n{}", log(self.folder.path()));
    }
}

impl Drop for MlflowServer {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.process.wait();
    }
}

fn spawn(folder: &Path, port: u16, flags: &[&str]) -> Child {
    let log = File::create(folder.join("server.log")).unwrap();
    let mut command = command("mlflow");
    command
        .arg("server")
        .args(["--host", "127.0.0.1", "--workers", "1", "--port", &port.to_string()])
        .args(["--backend-store-uri", &format!("sqlite:///{}/mlflow.db", folder.display())])
        .args(["--artifacts-destination", &folder.join("artifacts").display().to_string()])
        .args(flags.iter().map(|flag| flag.replace("{folder}", &folder.display().to_string())))
        .current_dir(folder)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    command.spawn().unwrap()
}

/// A program of the environment `mlflow_kernel`, free of whatever MLflow settings the tests run under.
pub fn command(program: &str) -> Command {
    let bin = environment().join("bin");
    let mut command = Command::new(bin.join(program));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MLFLOW_") {
            command.env_remove(name);
        }
    }
    // MLflow 2 starts gunicorn by its bare name.
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&inherited))).unwrap();
    command
        .env("PATH", path)
        .env("MLFLOW_DISABLE_TELEMETRY", "true")
        .env("DO_NOT_TRACK", "true")
        .env("GIT_PYTHON_REFRESH", "quiet");
    command
}

fn environment() -> PathBuf {
    let data_dir = std::env::var_os("BINDERY_TEST_DATA_DIR").expect(
        "BINDERY_TEST_DATA_DIR must name a data folder in which mlflow_kernel is installed: `cargo xtask test` \
         sets it, or run `bindery kernels install mlflow_kernel --data-dir D`",
    );
    let environment = Path::new(&data_dir).join("kernels/envs/mlflow_kernel");
    assert!(environment.join("bin/mlflow").exists(), "no MLflow in {}", environment.display());
    environment
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("server.log")).unwrap_or_default()
}
