//! Notebooks in an object store: the service beside a real S3 server, and other people who write there, too.

mod away;
mod clouds;
mod cluster;
mod crash;
mod flow;
mod objects;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bindery::notebook::Notebook;
use bindery::store::{Attempts, Condition, Environment, ObjectFolder};
use serde_json::Value;

use crate::support::engine::until;
use crate::support::s3::S3Server;

/// Somebody else who reads and writes the notebooks of the service.
pub(super) struct Person(ObjectFolder);

impl Person {
    pub(super) fn at(s3: &S3Server) -> Self {
        Self(ObjectFolder::open("s3://books/team", Some(&s3.endpoint), &s3.environment()).unwrap())
    }

    pub(super) async fn put(&self, path: &str, notebook: &Value) {
        let bytes = notebook.to_string().into_bytes().into();
        self.0.write(path, bytes, &Condition::Always, Attempts::Few).await.unwrap();
    }

    pub(super) async fn text(&self, path: &str) -> String {
        let (bytes, _) = self.0.read(path, u64::MAX).await.unwrap();
        String::from_utf8(bytes.into()).unwrap()
    }

    /// A notebook, which must be valid.
    pub(super) async fn read(&self, path: &str) -> Notebook {
        let notebook = Notebook::parse(self.text(path).await.as_bytes()).unwrap();
        notebook.validate().unwrap();
        notebook
    }

    pub(super) async fn is_there(&self, path: &str) -> bool {
        self.0.head(path, Attempts::Few).await.unwrap().is_some()
    }

    /// Waits until a notebook holds this text.
    pub(super) async fn sees(&self, path: &str, text: &str) {
        until(text, async || self.text(path).await.contains(text).then_some(())).await;
    }
}

/// `bindery` with notebooks at `root`.
pub(super) fn bindery(
    data_dir: &Path,
    root: &str,
    endpoint: Option<&str>,
    environment: &Environment,
) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bindery"));
    command.env("BINDERY_NOTEBOOKS_ROOT", root).env("BINDERY_DATA_DIR", data_dir);
    if let Some(endpoint) = endpoint {
        command.env("BINDERY_S3_ENDPOINT", endpoint);
    }
    command.envs(environment).current_dir(data_dir);
    command
}

/// `bindery serve`; killed with its end.
pub(super) struct Service(Child);

impl Service {
    pub(super) fn start(
        data_dir: &Path,
        root: &str,
        endpoint: Option<&str>,
        environment: &Environment,
    ) -> Self {
        let mut command = bindery(data_dir, root, endpoint, environment);
        command.args(["serve", "--listen", "127.0.0.1:0", "--workers", "2"]);
        Self::spawn(command)
    }

    pub(super) fn spawn(mut command: Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The source of a cell that waits until a file is there.
pub(super) fn wait_for(file: &Path) -> String {
    format!("import os, time\nwhile not os.path.exists({file:?}): time.sleep(0.02)")
}

/// A time that a save takes to be given up, for tests that wait for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
