//! `kill -9` while a workflow runs: whatever dies, each of its steps is done, and what was done is not done again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bindery::config::{Config, DataSettings, NotebooksRootConfig, Settings};
use bindery::engine::Engine;
use bindery::execution::ExecutionStatus;
use bindery::flow::FlowId;
use bindery::workflow::Step;
use serde_json::json;

use super::{children, for_each, given, start, step, workflow};
use crate::support::engine::{code_cell, data_dir, notebook, prepared_data_dir, until};
use crate::support::postgres;

/// How often something is killed.
const KILLS: usize = 10;

/// Programs that are killed and started again.
struct Fleet {
    commands: Vec<Command>,
    running: Vec<Child>,
}

impl Fleet {
    fn start(mut commands: Vec<Command>) -> Self {
        let running = commands.iter_mut().map(|command| command.spawn().unwrap()).collect();
        Self { commands, running }
    }

    /// SIGKILL for one, which is started again at once.
    fn kill(&mut self, which: usize) {
        self.running[which].kill().unwrap();
        self.running[which].wait().unwrap();
        self.running[which] = self.commands[which].spawn().unwrap();
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn bindery(subcommand: &[&str], data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bindery"));
    command.args(subcommand).arg("--data-dir").arg(data_dir).current_dir(data_dir);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Three notebooks that write down when they begin and end.
fn put_notebooks(root: &Path) {
    let parameters = code_cell(0, "name = 'first'\nseen = None", &["parameters"]);
    let write = |word: &str| format!("with open('log.txt', 'a') as f: f.write(f'{word} {{name}}\\n')");
    let cells = [
        write("start"),
        "import time; time.sleep(0.4)".into(),
        "display({'application/json': list(range(5))}, raw=True, metadata={'bindery': {'result': 'items'}})"
            .into(),
        // The last of all: what a kernel has done and nobody has heard of is done again.
        write("end"),
    ];
    let cells = cells.iter().enumerate().map(|(index, source)| code_cell(index + 1, source, &[]));
    let notebook = notebook(std::iter::once(parameters).chain(cells).collect());
    for name in ["first", "each", "last"] {
        std::fs::write(root.join(format!("{name}.ipynb")), notebook.to_string()).unwrap();
    }
}

async fn start_three_steps(engine: &Engine) -> FlowId {
    // A run that its worker's death has cut short begins anew, as often as that takes.
    let patient = |step: Step| Step { max_attempts: Some(100), ..step };
    let each = for_each(step("each", &["first"]), json!("${{ steps.first.results.items }}"));
    start(
        engine,
        workflow(vec![
            patient(step("first", &[])),
            patient(given(each, json!({"name": "each-${{ item }}"}))),
            patient(given(
                step("last", &["each"]),
                json!({"name": "last", "seen": "${{ steps.each.results }}"}),
            )),
        ]),
    )
    .await
}

/// Kills one after the other at random moments in which something runs, then waits for the end and looks.
async fn kill_ten_times(engine: &Engine, root: &Path, mut fleet: Fleet) {
    put_notebooks(root);
    let mut id = start_three_steps(engine).await;
    let mut flows = vec![id];
    for round in 0..KILLS {
        until_long("something runs", async || {
            // Ten are more than one workflow may live for: then it is the next one's turn.
            if engine.flow(bindery::execution::ParentKind::Workflow, id).await.unwrap().status.is_final() {
                id = start_three_steps(engine).await;
                flows.push(id);
            }
            children(engine, id).await.iter().any(|it| it.status == ExecutionStatus::Running).then_some(())
        })
        .await;
        let random = u64::from(
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos(),
        );
        tokio::time::sleep(Duration::from_millis(random / 1000 % 1500)).await;
        fleet.kill(round % fleet.running.len());
    }
    for id in &flows {
        let flow = until_long("the workflow has ended", async || {
            let flow = engine.flow(bindery::execution::ParentKind::Workflow, *id).await.unwrap();
            flow.status.is_final().then_some(flow)
        })
        .await;
        assert_eq!((flow.status, flow.error), (ExecutionStatus::Success, None));
        let children = children(engine, *id).await;
        let mut names: Vec<_> = children.iter().map(|it| it.request.parent.clone().unwrap().child).collect();
        names.sort_unstable();
        let each = (0..5).map(|item| format!("each[{item}]#1"));
        assert_eq!(names, each.chain(["first#1".into(), "last#1".into()]).collect::<Vec<_>>());
        assert!(children.iter().all(|it| it.status == ExecutionStatus::Success));
    }
    // What the notebooks themselves wrote: each came to its end once in each workflow, and none began again after that.
    let log = std::fs::read_to_string(root.join("log.txt")).unwrap();
    for name in ["first", "last", "each-0", "each-1", "each-2", "each-3", "each-4"] {
        let count = |word: &str| log.lines().filter(|line| *line == format!("{word} {name}")).count();
        assert_eq!(count("end"), flows.len(), "{name}: {log}");
        assert!(count("start") >= flows.len(), "{name}: {log}");
        let last = log.lines().rfind(|line| line.ends_with(&format!(" {name}")));
        assert_eq!(last, Some(format!("end {name}").as_str()), "{log}");
    }
}

/// As [`until`], for what waits for leases to run out.
async fn until_long<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..4 {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(25);
        while tokio::time::Instant::now() < deadline {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    until(what, look).await
}

fn config(data_dir: PathBuf, change: impl FnOnce(&mut Config)) -> Config {
    let data = DataSettings { data_dir: Some(data_dir) };
    let mut config = Config::resolve(Settings { data, ..Settings::default() }).unwrap();
    change(&mut config);
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_outlives_ten_kills_of_the_service() {
    let folder = data_dir();
    let engine = Engine::open(config(folder.path().to_owned(), |_| {})).await.unwrap();
    let serve = bindery(&["serve", "--listen", "127.0.0.1:0", "--workers", "2", "--warm", ""], folder.path());
    let root = engine.config().notebooks_root.folder().unwrap().to_owned();
    kill_ten_times(&engine, &root, Fleet::start(vec![serve])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_outlives_ten_kills_of_two_workers_on_postgresql() {
    let Some(database) = postgres::database().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("notebooks");
    std::fs::create_dir(&root).unwrap();
    let change = |config: &mut Config| {
        config.database_url = database.url();
        config.notebooks_root = NotebooksRootConfig::Folder(root.clone());
    };
    let engine = Engine::open(config(folder.path().join("server"), change)).await.unwrap();
    let worker = |name: &str| {
        let data_dir = folder.path().join(name);
        std::fs::create_dir(&data_dir).unwrap();
        std::os::unix::fs::symlink(prepared_data_dir().join("kernels"), data_dir.join("kernels")).unwrap();
        let mut command = bindery(&["worker", "--concurrency", "2", "--warm", ""], &data_dir);
        command.env("BINDERY_DATABASE_URL", database.url()).env("BINDERY_NOTEBOOKS_ROOT", &root);
        command
    };
    kill_ten_times(&engine, &root, Fleet::start(vec![worker("one"), worker("two")])).await;
}
