//! Servers and workers that share nothing but PostgreSQL and the notebooks: who runs what, who hears of it, and who takes
//! over.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bindery::execution::ExecutionId;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::engine::{code_notebook, prepared_data_dir, processes_of, until};
use crate::support::postgres::{self, TestDatabase};
use crate::support::server::TestServer;

/// A server without a worker, on a database of its own.
struct Cluster {
    server: TestServer,
    url: String,
    folder: tempfile::TempDir,
    _database: TestDatabase,
}

impl Cluster {
    async fn start() -> Option<Self> {
        let database = postgres::database().await?;
        let url = database.url();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("notebooks");
        std::fs::create_dir(&root).unwrap();
        let change = |config: &mut bindery::config::Config| {
            config.database_url.clone_from(&url);
            // A server that only accepts has no kernels.
            config.data_dir = folder.path().join("server");
            config.notebooks_root = bindery::config::NotebooksRootConfig::Folder(root.clone());
        };
        let server = TestServer::start_with(change, None).await;
        let (engine, shutdown) = (server.engine.clone(), server.shutdown.clone());
        tokio::spawn(async move { engine.watch(false, shutdown).await });
        Some(Self { server, url, folder, _database: database })
    }

    /// `bindery worker` with a data dir of its own, on the database at `url`.
    fn worker_at(&self, name: &str, url: &str, flags: &[&str]) -> Worker {
        let data_dir = self.folder.path().join(name);
        std::fs::create_dir_all(&data_dir).unwrap();
        let _ = std::os::unix::fs::symlink(prepared_data_dir().join("kernels"), data_dir.join("kernels"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_bindery"));
        command.args(["worker", "--warm", "", "--data-dir"]).arg(&data_dir).args(flags);
        command.env("BINDERY_DATABASE_URL", url).current_dir(&data_dir);
        command.env("BINDERY_NOTEBOOKS_ROOT", self.folder.path().join("notebooks"));
        Worker(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn worker(&self, name: &str) -> Worker {
        self.worker_at(name, &self.url, &["--concurrency", "2"])
    }

    async fn submit(&self, path: &str, cells: &[&str], more: Value) -> i64 {
        std::fs::write(self.root().join(path), code_notebook(cells).to_string()).unwrap();
        let mut body = json!({"notebook_path": path, "username": "ada"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.server.post("/execute-notebook?wait=none", body).await;
        assert_eq!(answer.status(), 202);
        let started: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        started["execution_id"].as_i64().unwrap()
    }

    fn root(&self) -> std::path::PathBuf {
        self.folder.path().join("notebooks")
    }

    async fn written(&self, name: &str) {
        let file = self.root().join(name);
        until(name, async || file.exists().then_some(())).await;
    }

    fn texts(&self, path: &str) -> Vec<String> {
        let notebook: Value =
            serde_json::from_slice(&std::fs::read(self.root().join(path)).unwrap()).unwrap();
        let outputs =
            notebook["cells"].as_array().unwrap().iter().flat_map(|cell| cell["outputs"].as_array());
        let lines = outputs.flatten().filter_map(|output| output["text"].as_array()).flatten();
        lines.map(|line| line.as_str().unwrap().to_owned()).collect()
    }
}

/// A worker's process; killed with its end.
struct Worker(Child);

impl Worker {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The events of a stream, as name, id and data, up to and with `end`.
async fn events_to_end(server: &TestServer, id: i64, after: Option<&str>) -> Vec<(String, String, Value)> {
    let mut request = server.request(reqwest::Method::GET, &format!("/api/v1/executions/{id}/events"));
    if let Some(after) = after {
        request = request.header("last-event-id", after);
    }
    let mut answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let (mut text, mut events) = (String::new(), Vec::new());
    while let Some(chunk) = answer.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
        while let Some((event, rest)) = text.split_once("\n\n") {
            let field = |name: &str| {
                event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
            };
            if !field("event:").is_empty() {
                events.push((field("event:"), field("id:"), field("data:").parse().unwrap()));
            }
            text = rest.to_owned();
        }
    }
    assert_eq!(events.last().unwrap().0, "end");
    events
}

fn printed(events: &[(String, String, Value)]) -> String {
    let texts = events.iter().filter(|event| event.0 == "output");
    texts.filter_map(|event| event.2["output"]["output"]["text"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_tells_what_happens_on_a_worker_elsewhere() {
    let Some(cluster) = Cluster::start().await else { return };
    let _worker = cluster.worker("one");
    let cells =
        ["for i in range(3): print('line', i, flush=True)", "import time; time.sleep(1); print('later')"];
    let id = cluster.submit("told.ipynb", &cells, json!({"priority": 3})).await;
    let events = events_to_end(&cluster.server, id, None).await;
    assert_eq!(printed(&events), "line 0\nline 1\nline 2\nlater\n");
    assert_eq!(events[0].0, "start");
    assert_eq!(events[0].2["notebook"]["cells"].as_array().unwrap().len(), 2);
    let end = &events.last().unwrap().2;
    assert_eq!(
        (&end["status"], &end["priority"], &end["attempts"]),
        (&json!("success"), &json!(3), &json!(1))
    );
    let names: Vec<_> = events.iter().map(|event| event.0.as_str()).collect();
    assert_eq!(names.iter().filter(|name| **name == "cell_finished").count(), 2);
    assert!(!names.contains(&"saved"), "{names:?}");

    // A reader that lost its connection goes on where it was, also after the end.
    let seen = events.iter().position(|event| event.0 == "cell_finished").unwrap();
    let rest = events_to_end(&cluster.server, id, Some(&events[seen].1)).await;
    assert_eq!(printed(&rest), "later\n");
    assert_eq!(rest.len(), events.len() - seen - 1);
    let bad = cluster.server.request(reqwest::Method::GET, &format!("/api/v1/executions/{id}/events"));
    assert_eq!(bad.header("last-event-id", "x").send().await.unwrap().status(), 400);
    assert_eq!(cluster.server.get("/api/v1/executions/99/events").await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_on_a_server_hears_at_once_of_the_end_on_a_worker() {
    let Some(cluster) = Cluster::start().await else { return };
    let _worker = cluster.worker("one");
    let cells = ["import os; print('BINDERY_DATABASE_URL' in os.environ)"];
    std::fs::write(cluster.root().join("short.ipynb"), code_notebook(&cells).to_string()).unwrap();
    let mut soonest = Duration::MAX;
    for _ in 0..3 {
        let body = json!({"notebook_path": "short.ipynb", "username": "ada"});
        let told: Value =
            serde_json::from_slice(&cluster.server.post("/execute", body).await.bytes().await.unwrap())
                .unwrap();
        let end: jiff::Timestamp = told["end_time"].as_str().unwrap().parse().unwrap();
        soonest = soonest.min(end.duration_until(jiff::Timestamp::now()).unsigned_abs());
    }
    // Without word of it, the server looks every two seconds.
    assert!(soonest < Duration::from_millis(500), "{soonest:?} after the end");
    assert_eq!(
        cluster.texts("short.ipynb"),
        ["False\n"],
        "the database's password is none of a notebook's business"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_worker_keeps_what_a_dead_one_had_and_begins_anew_only_when_it_may() {
    let Some(cluster) = Cluster::start().await else { return };
    let first = cluster.worker("first");
    let cell = "import os, time
open('begun-{name}', 'a').write('x')
print('kept', flush=True)
time.sleep(0.5)
open('mark-{name}', 'w').close()
time.sleep(300 if os.path.getsize('begun-{name}') == 1 else 0)";
    let once = cluster.submit("once.ipynb", &[&cell.replace("{name}", "once")], json!({})).await;
    let twice =
        cluster.submit("twice.ipynb", &[&cell.replace("{name}", "twice")], json!({"max_attempts": 2})).await;
    cluster.written("mark-once").await;
    cluster.written("mark-twice").await;
    drop(first);
    let killed = Instant::now();
    let _second = cluster.worker("second");
    let ended = cluster.server.poll_to_end(once).await;
    assert!(killed.elapsed() < Duration::from_secs(30), "{:?}", killed.elapsed());
    assert_eq!((&ended["status"], &ended["error"]["ename"]), (&json!("failed"), &json!("WorkerLost")));
    assert!(cluster.texts("once.ipynb").contains(&"kept\n".to_owned()), "{:?}", cluster.texts("once.ipynb"));
    let ended = cluster.server.poll_to_end(twice).await;
    assert_eq!((&ended["status"], &ended["attempts"]), (&json!("success"), &json!(2)));
    let starts = |name: &str| std::fs::read_to_string(cluster.root().join(name)).unwrap();
    assert_eq!((starts("begun-once").as_str(), starts("begun-twice").as_str()), ("x", "xx"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_stopped_past_its_lease_owns_nothing_when_it_goes_on() {
    let Some(cluster) = Cluster::start().await else { return };
    let first = cluster.worker("first");
    let cell = "import os, time
with open('writers', 'a') as file: file.write(f'{os.getpid()}\\n')
while len(set(open('writers').read().split())) < 2:
    with open('writers', 'a') as file: file.write(f'{os.getpid()}\\n')
    print('alive', flush=True)
    time.sleep(0.1)
time.sleep(8)
print('second')";
    let id = cluster.submit("stopped.ipynb", &[cell], json!({"max_attempts": 2})).await;
    cluster.written("writers").await;
    let kernel = until("its kernel", async || processes_of(ExecutionId(id), &cluster.root()).pop()).await;
    first.signal(Signal::STOP);
    let _second = cluster.worker("second");
    cluster.server.poll(id, |status| status["attempts"] == 2).await;
    // On the same machine, the kernel of a worker that cannot end it is ended by the one that takes over.
    until("the first kernel is gone", async || {
        (!processes_of(ExecutionId(id), &cluster.root()).contains(&kernel)).then_some(())
    })
    .await;
    first.signal(Signal::CONT);
    let ended = cluster.server.poll_to_end(id).await;
    assert_eq!((&ended["status"], &ended["attempts"]), (&json!("success"), &json!(2)), "{ended:#}");
    assert_eq!(cluster.texts("stopped.ipynb").last().unwrap(), "second\n");
    let writers = std::fs::read_to_string(cluster.root().join("writers")).unwrap();
    let mut pids: Vec<_> = writers.lines().collect();
    pids.dedup();
    assert_eq!(pids.len(), 2, "the first wrote nothing more once the second had begun: {pids:?}");
    assert_eq!(std::fs::read_dir(cluster.root()).unwrap().count(), 2, "and put nothing beside");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_outlives_a_database_that_is_away_for_longer_than_a_lease() {
    let Some(cluster) = Cluster::start().await else { return };
    let proxy = Proxy::start(&cluster.url).await;
    let _worker = cluster.worker_at("one", &proxy.url, &[]);
    let cell = "import time
open('begun', 'w').close()
begun = last = time.monotonic()
longest = 0
while last - begun < 36:
    time.sleep(0.05)
    now = time.monotonic()
    longest, last = max(longest, now - last), now
print('longest', longest)";
    let id = cluster.submit("away.ipynb", &["print('before')", cell], json!({})).await;
    cluster.written("begun").await;
    proxy.cut(true);
    tokio::time::sleep(Duration::from_secs(30)).await;
    proxy.cut(false);
    let ended = cluster.server.poll_to_end(id).await;
    assert_eq!(ended["status"], "success", "{ended:#}");
    let texts = cluster.texts("away.ipynb");
    let longest: f64 = texts[1].strip_prefix("longest ").unwrap().trim().parse().unwrap();
    assert!(longest > 15.0, "past its lease the kernel was held: {longest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stops_in_good_order_keeps_its_leases_and_hands_back_what_may_begin_anew() {
    let Some(cluster) = Cluster::start().await else { return };
    let patient =
        cluster.worker_at("patient", &cluster.url, &["--shutdown-grace", "60", "--concurrency", "1"]);
    let long = "import time\nopen('begun-long', 'w').close()\ntime.sleep(14)\nprint('done')";
    let kept = cluster.submit("kept.ipynb", &[long], json!({})).await;
    cluster.written("begun-long").await;
    patient.signal(Signal::TERM);
    let hasty = cluster.worker_at("hasty", &cluster.url, &["--shutdown-grace", "0", "--concurrency", "1"]);
    let cell = "import os, time
open('begun-back', 'a').write('x')
if os.path.getsize('begun-back') == 1: time.sleep(300)";
    let back = cluster.submit("back.ipynb", &[cell], json!({"max_attempts": 2})).await;
    cluster.written("begun-back").await;
    hasty.signal(Signal::TERM);
    let _third = cluster.worker("third");
    let ended = cluster.server.poll_to_end(back).await;
    assert_eq!((&ended["status"], &ended["attempts"]), (&json!("success"), &json!(2)));
    // It ran on for longer than a lease after its worker had been told to stop.
    let ended = cluster.server.poll_to_end(kept).await;
    assert_eq!((&ended["status"], &ended["attempts"]), (&json!("success"), &json!(1)));
    assert_eq!(cluster.texts("kept.ipynb"), ["done\n"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_reaches_a_run_on_another_machine() {
    let Some(cluster) = Cluster::start().await else { return };
    let _worker = cluster.worker("one");
    let cell = "import time\nopen('begun', 'w').close()\ntime.sleep(300)";
    let id = cluster.submit("sleeper.ipynb", &[cell], json!({})).await;
    cluster.written("begun").await;
    let asked = Instant::now();
    let answer = cluster.server.post(&format!("/api/v1/executions/{id}/cancel"), json!({})).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(cluster.server.poll_to_end(id).await["status"], "cancelled");
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    until("nothing is left", async || {
        processes_of(ExecutionId(id), &cluster.root()).is_empty().then_some(())
    })
    .await;
}

/// Passes a database's connections on, until it is cut.
struct Proxy {
    url: String,
    is_cut: watch::Sender<bool>,
}

impl Proxy {
    async fn start(url: &str) -> Self {
        let (before, rest) = url.rsplit_once('@').unwrap();
        let (address, name) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (is_cut, cut) = watch::channel(false);
        let address = address.to_owned();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (address, mut cut) = (address.clone(), cut.clone());
                tokio::spawn(async move {
                    if *cut.borrow() {
                        return;
                    }
                    let (mut client, mut server) = (client, TcpStream::connect(address).await.unwrap());
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = cut.wait_for(|cut| *cut) => {}
                    }
                    let _ = client.shutdown().await;
                });
            }
        });
        Self { url: format!("{before}@127.0.0.1:{port}/{name}"), is_cut }
    }

    fn cut(&self, cut: bool) {
        self.is_cut.send_replace(cut);
    }
}
