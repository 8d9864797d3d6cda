//! Schedules: each time once, however many servers there are and whatever dies; policies with real notebooks; the ways in.

mod fleet;
mod flows;
mod overlap;
mod runs;
mod ways_in;

use std::path::{Path, PathBuf};

use bindery::config::{Config, DataSettings, NotebooksRootConfig, Settings};
use bindery::engine::Engine;
use bindery::engine::executions::{ExecutionFilter, SubmitExecution};
use bindery::engine::schedules::{ExecutionTarget, NewSchedule, Target};
use bindery::execution::{Execution, ParentId, ParentKind};
use bindery::schedule::{CatchUp, Overlap, Schedule, ScheduleId, TickRecord};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::support::engine::{code_notebook, prepared_data_dir};
use crate::support::postgres::{self, TestDatabase};

/// A database of either kind and a notebooks root, for several engines and servers.
struct Site {
    folder: tempfile::TempDir,
    url: String,
    _database: Option<TestDatabase>,
}

impl Site {
    fn on_file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("bindery.db").display());
        Self::with_notebook(Self { folder, url, _database: None })
    }

    /// None where there is no PostgreSQL.
    async fn on_server() -> Option<Self> {
        let database = postgres::database().await?;
        let url = database.url();
        let site = Self { folder: tempfile::tempdir().unwrap(), url, _database: Some(database) };
        Some(Self::with_notebook(site))
    }

    async fn all() -> Vec<Self> {
        [Some(Self::on_file()), Self::on_server().await].into_iter().flatten().collect()
    }

    fn with_notebook(site: Self) -> Self {
        std::fs::create_dir(site.root()).unwrap();
        std::fs::write(site.root().join("a.ipynb"), code_notebook(&["1"]).to_string()).unwrap();
        site
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("notebooks")
    }

    /// A data dir in which the prepared kernels are found.
    fn data_dir(&self, name: &str) -> PathBuf {
        let data_dir = self.folder.path().join(name);
        std::fs::create_dir_all(&data_dir).unwrap();
        let _ = std::os::unix::fs::symlink(prepared_data_dir().join("kernels"), data_dir.join("kernels"));
        data_dir
    }

    /// An engine that does nothing by itself.
    async fn engine(&self, name: &str) -> Engine {
        let data = DataSettings { data_dir: Some(self.data_dir(name)) };
        let mut config = Config::resolve(Settings { data, ..Settings::default() }).unwrap();
        config.database_url.clone_from(&self.url);
        config.notebooks_root = NotebooksRootConfig::Folder(self.root());
        Engine::open(config).await.unwrap()
    }

    /// Makes a tick due at a time, as if it had been found when a server last looked.
    async fn make_due(&self, id: ScheduleId, at: Timestamp) {
        set_next_run(&self.url, id, at).await;
    }
}

async fn set_next_run(url: &str, id: ScheduleId, at: Timestamp) {
    let text = "UPDATE schedules SET next_run = $1, revision = revision + 1 WHERE id = $2";
    let done = match url.starts_with("sqlite:") {
        true => {
            let pool = sqlx::SqlitePool::connect(url).await.unwrap();
            let done = sqlx::query(text).bind(at.as_microsecond()).bind(id.0).execute(&pool).await.unwrap();
            pool.close().await;
            done.rows_affected()
        }
        false => {
            let pool = sqlx::PgPool::connect(url).await.unwrap();
            let done = sqlx::query(text).bind(at.as_microsecond()).bind(id.0).execute(&pool).await.unwrap();
            pool.close().await;
            done.rows_affected()
        }
    };
    assert_eq!(done, 1);
}

/// The URL of the database in a data dir.
fn database_in(data_dir: &Path) -> String {
    format!("sqlite:{}", data_dir.join("bindery.db").display())
}

/// Fires schedules, as `bindery serve --no-worker` does; ends with it.
struct Firing(CancellationToken);

impl Firing {
    fn start(engine: &Engine) -> Self {
        let shutdown = CancellationToken::new();
        let (engine, until) = (engine.clone(), shutdown.clone());
        tokio::spawn(
            async move { tokio::join!(engine.watch(false, until.clone()), engine.coordinate(until)) },
        );
        Self(shutdown)
    }
}

impl Drop for Firing {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What runs `a.ipynb` at the times of an expression.
fn new(cron: &str, catch_up: CatchUp, overlap: Overlap) -> NewSchedule {
    let submit = SubmitExecution { notebook_path: "a.ipynb".into(), ..SubmitExecution::default() };
    let target = ExecutionTarget { submit, scheduled_time_parameter: None };
    NewSchedule {
        name: "nightly".into(),
        cron: cron.into(),
        time_zone: None,
        catch_up,
        misfire_grace: None,
        overlap,
        target: Target::Execution(Box::new(target)),
    }
}

async fn create(engine: &Engine, new: NewSchedule) -> Schedule {
    let (schedule, is_new) = engine.create_schedule(new, false).await.unwrap();
    assert!(is_new);
    schedule
}

/// What it has started, the first at first.
async fn started(engine: &Engine, id: ScheduleId) -> Vec<Execution> {
    let parent = Some(ParentId { kind: ParentKind::Schedule, id: id.0 });
    let filter = ExecutionFilter { parent, limit: 1000, ..ExecutionFilter::default() };
    let mut executions = engine.list_executions(&filter).await.unwrap();
    executions.reverse();
    executions
}

/// When the runs were due that it has started.
async fn due_times(engine: &Engine, id: ScheduleId) -> Vec<Timestamp> {
    let due = |it: &Execution| it.request.parent.as_ref().unwrap().child.parse().unwrap();
    started(engine, id).await.iter().map(due).collect()
}

/// What became of its ticks, the first at first.
async fn outcomes(engine: &Engine, id: ScheduleId) -> Vec<TickRecord> {
    let mut runs = engine.schedule_runs(id, None, 1000).await.unwrap();
    runs.reverse();
    runs
}

/// An expression that fires every hour and does not within half an hour of now, and when it last did.
fn hourly_but_not_now() -> (String, Timestamp) {
    let last = this_minute() - minutes(30);
    (format!("{} * * * *", last.as_second() / 60 % 60), last)
}

/// The last whole minute.
fn this_minute() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second() / 60 * 60).unwrap()
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}
