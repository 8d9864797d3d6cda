//! The command line as a user has it: the real binary, its exit codes, what it prints and what it leaves.

mod cells;
mod demo;
mod execute;
mod interruption;
mod papermill;
mod remote;
mod report;
mod resources;
mod schedule;
mod serve;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::support::engine::prepared_data_dir;

/// Long enough for a busy machine; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(90);

/// A folder to run in, with a data dir whose kernels are the ones that all tests share.
struct Place {
    folder: tempfile::TempDir,
}

/// How a command ended.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(place.path("data")).unwrap();
        std::os::unix::fs::symlink(prepared_data_dir().join("kernels"), place.path("data/kernels")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, notebook: &Value) {
        std::fs::write(self.path(name), notebook.to_string()).unwrap();
    }

    fn read(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// The binary in this folder, free of whatever settings and kernels the tests run under.
    fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bindery"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["BINDERY_", "JUPYTER", "MLFLOW_", "RUST_LOG", "VIRTUAL_ENV"]
                .iter()
                .any(|it| text.starts_with(it))
            {
                command.env_remove(&name);
            }
        }
        command
            .args(arguments)
            .env("BINDERY_DATA_DIR", "data")
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).spawn().unwrap()).await
    }

    /// Runs a command that must succeed and print JSON.
    async fn json(&self, arguments: &[&str]) -> Value {
        let ended = self.run(arguments).await;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        serde_json::from_str(&ended.stdout).unwrap()
    }

    /// A kernelspec that starts `script` in a shell, found through JUPYTER_PATH.
    fn add_kernel(&self, name: &str, script: &str) {
        let folder = self.path("jupyter/kernels").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let spec = json!({
            "argv": ["sh", "-c", script, "{connection_file}"], "display_name": name, "language": "python",
        });
        std::fs::write(folder.join("kernel.json"), spec.to_string()).unwrap();
    }
}

impl Ended {
    async fn of(child: Child) -> Self {
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it does not end");
        let output = output.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    fn check(&self, code: i32, told: &str) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        assert!(self.stderr.contains(told), "`{told}` is not in: {}", self.stderr);
    }
}

/// A running `bindery serve`.
struct Served {
    child: Child,
    stderr: tokio::io::Lines<BufReader<tokio::process::ChildStderr>>,
    url: String,
    /// What it has said so far.
    said: String,
}

impl Served {
    async fn start(place: &Place, flags: &[&str]) -> Self {
        let arguments = ["serve", "--listen", "127.0.0.1:0"].iter().chain(flags);
        let mut child = place.command(arguments).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut served = Self { child, stderr, url: String::new(), said: String::new() };
        served.says("bindery listening on ").await;
        let (_, address) = served.said.split_once("bindery listening on ").unwrap();
        served.url = address.split(' ').next().unwrap().to_owned();
        served
    }

    /// Waits until it says `text`.
    async fn says(&mut self, text: &str) {
        while !self.said.contains(text) {
            let line =
                tokio::time::timeout(PATIENCE, self.stderr.next_line()).await.expect("it says nothing");
            let line = line.unwrap().unwrap_or_else(|| panic!("it ended: {}", self.said));
            self.said.push_str(&line);
            self.said.push('\n');
        }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        send(&self.child, signal);
    }

    /// Its exit code and all that it said.
    async fn ended(mut self) -> (Option<i32>, String) {
        let ending = async {
            while let Some(line) = self.stderr.next_line().await.unwrap() {
                self.said.push_str(&line);
                self.said.push('\n');
            }
            self.child.wait().await.unwrap().code()
        };
        let code = tokio::time::timeout(PATIENCE, ending).await.expect("it does not end");
        (code, self.said)
    }
}

fn send(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// A line on which a notebook tells that it runs; it is cut when its kernel dies.
struct Line {
    listener: TcpListener,
}

impl Line {
    async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    /// Source that tells that it is being executed.
    fn tell(&self) -> String {
        let port = self.listener.local_addr().unwrap().port();
        format!("import socket\nline = socket.create_connection(('127.0.0.1', {port}))")
    }

    /// Waits until the notebook tells.
    async fn told(&self) -> TcpStream {
        let told = tokio::time::timeout(PATIENCE, self.listener.accept()).await;
        told.expect("the notebook does not get there").unwrap().0
    }
}

/// Waits until the kernel at the other end has died.
async fn is_cut(mut stream: TcpStream) {
    let mut bytes = Vec::new();
    // A reset is an end, too.
    let _ =
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the kernel lives on");
}

/// A notebook of code cells for python3; a source that begins with `# parameters` is tagged so.
fn notebook(sources: &[&str]) -> Value {
    let cell = |(index, source): (usize, &&str)| {
        let tags = if source.starts_with("# parameters") { json!(["parameters"]) } else { json!([]) };
        json!({
            "cell_type": "code", "id": format!("cell-{index}"), "metadata": {"tags": tags}, "source": source,
            "execution_count": null, "outputs": [],
        })
    };
    json!({
        "cells": sources.iter().enumerate().map(cell).collect::<Vec<_>>(),
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4, "nbformat_minor": 5,
    })
}

/// The text of all streams of a notebook.
fn streams(notebook: &Value) -> String {
    let outputs = notebook["cells"].as_array().unwrap().iter().flat_map(|cell| cell["outputs"].as_array());
    let texts = outputs.flatten().map(|output| match &output["text"] {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        text => text.as_str().unwrap_or_default().to_owned(),
    });
    texts.collect()
}
