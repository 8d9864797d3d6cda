//! A disk that is full in the middle of a run, with the database, the journals and the notebooks on it.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bindery::notebook::Notebook;
use serde_json::{Value, json};

use crate::support::engine::{code_notebook, prepared_data_dir, until};

/// `bindery serve` on a small disk of its own, which only it and its children see.
struct Service {
    process: Child,
    base: String,
}

impl Service {
    /// `None` where nothing can be mounted.
    async fn start(folder: &Path) -> Option<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let script = "mount -t tmpfs -o size=6m tmpfs \"$0\" || exit 77; ln -s \"$1\" \"$0/kernels\"; shift; exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).arg(folder).arg(prepared_data_dir().join("kernels"));
        command.arg(env!("CARGO_BIN_EXE_bindery")).args(["serve", "--warm", "", "--listen"]);
        command.arg(format!("127.0.0.1:{port}")).arg("--data-dir").arg(folder).current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().ok()?;
        let base = format!("http://127.0.0.1:{port}");
        let is_ready = until("the service answers", async || {
            if process.try_wait().unwrap().is_some() {
                return Some(false);
            }
            reqwest::get(format!("{base}/health")).await.is_ok().then_some(true)
        });
        if !is_ready.await {
            eprintln!("skipped: no disk can be mounted here");
            return None;
        }
        Some(Self { process, base })
    }

    /// A folder of this machine as the service sees it.
    fn seen(&self, folder: &Path) -> std::path::PathBuf {
        Path::new("/proc")
            .join(self.process.id().to_string())
            .join("root")
            .join(folder.strip_prefix("/").unwrap())
    }

    async fn status(&self, id: i64) -> Option<Value> {
        let answer = reqwest::get(format!("{}/execution-status/{id}", self.base)).await.ok()?;
        serde_json::from_slice(&answer.bytes().await.ok()?).ok()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_disk_refuses_is_saved_when_there_is_room_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let Some(service) = Service::start(folder.path()).await else { return };
    let disk = service.seen(folder.path());
    let cell = "import os, time
while os.statvfs('.').f_bavail: time.sleep(0.05)
for i in range(2000): print('while it is full', i)
";
    let notebook = code_notebook(&["print('before')", cell, "print('after')"]);
    std::fs::write(disk.join("notebooks/full.ipynb"), notebook.to_string()).unwrap();
    let client = reqwest::Client::new();
    let submit =
        client.post(format!("{}/execute-notebook", service.base)).header("content-type", "application/json");
    let body = json!({"notebook_path": "full.ipynb", "username": "ada"}).to_string();
    let started = submit.body(body).send().await.unwrap().bytes().await.unwrap();
    let id = serde_json::from_slice::<Value>(&started).unwrap()["execution_id"].as_i64().unwrap();

    let ballast = disk.join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    // Long enough for the run to come to its end, and to find no room.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let meanwhile = service.status(id).await.unwrap();
    assert_eq!(meanwhile["status"], "running", "not done before it is saved: {meanwhile:#}");
    std::fs::remove_file(&ballast).unwrap();

    let ended =
        until("it ends", async || service.status(id).await.filter(|it| it["end_time"].is_string())).await;
    assert_eq!(ended["status"], "success", "{ended:#}");
    let notebook = Notebook::parse(&std::fs::read(disk.join("notebooks/full.ipynb")).unwrap()).unwrap();
    notebook.validate().unwrap();
    assert_eq!(notebook.cells()[1].outputs()[0]["text"].as_array().unwrap().len(), 2000);
    assert_eq!(notebook.cells()[2].outputs()[0]["text"], json!(["after\n"]));
    assert_eq!(std::fs::read_dir(disk.join("journal")).unwrap().count(), 0);
}
