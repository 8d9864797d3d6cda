//! The use cases: the only place where database, store, queue, kernels and MLflow meet. One file per noun.

mod begin;
mod catching_up;
mod cells;
mod coordination;
mod deliver;
pub mod events;
pub mod execute;
pub mod executions;
mod files;
mod finish;
pub mod flows;
mod gateways;
mod journal;
mod kept_kernels;
mod kernel_end;
pub mod kernels;
mod leftovers;
mod messages;
pub mod notebooks;
mod object_output;
mod output_file;
mod output_limit;
mod over_limit;
mod paths;
mod recording;
pub mod remote;
mod retention;
mod root;
mod run;
mod run_output;
mod runnable;
pub mod schedules;
mod scratch;
mod secrets;
mod settle;
mod shipping;
mod shown_errors;
mod stopping;
mod take_over;
pub mod templates;
mod tracking;
mod watch;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::{Notify, Semaphore, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, TemplateStoreConfig, WarmKernels};
use crate::db::Database;
use crate::error::{Error, Result};
use crate::execution::ExecutionId;
use crate::kernel::warm::{KernelPool, PoolOptions};
use crate::mlflow::{MlflowClient, MlflowCredentials, MlflowOptions};
use crate::queue::Wakeup;
use crate::store::{Environment, FolderStore, S3Config, S3Store, TemplateStore};
use root::NotebooksRoot;

/// Everything that Bindery can do; clones share one engine.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    database: Database,
    store: Arc<dyn TemplateStore>,
    root: NotebooksRoot,
    mlflow: Option<MlflowClient>,
    wakeup: Wakeup,
    pool: KernelPool,
    /// This process as an owner of leases; unique, so that a restarted process is another owner.
    owner: String,
    /// Told when an execution's first code cell is done, and when it has ended.
    milestones: broadcast::Sender<(ExecutionId, Milestone)>,
    /// Told when something was asked of an execution in this process, so that it is heard before the next heartbeat.
    asks: broadcast::Sender<ExecutionId>,
    /// Told when a schedule may have an earlier tick than before.
    schedules: Notify,
    /// Whether executions are run in this process.
    works: AtomicBool,
    /// A place for each kernel that is ending, as many as there are workers.
    endings: Arc<Semaphore>,
    /// A place for each kernel that is kept for a person, as many as there are workers.
    keeping: Arc<Semaphore>,
    /// Runs of other workers that are gone on with here.
    taken_over: TaskTracker,
    /// Cancelled when no kernel is kept any more.
    stop_keeping: CancellationToken,
}

/// What those who wait for an execution wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Milestone {
    FirstCodeCell,
    Ended,
    /// Of [`ANY_EXECUTION`]: something has changed in another process.
    Unknown,
}

/// Stands for every execution: it was not heard which.
const ANY_EXECUTION: ExecutionId = ExecutionId(0);

/// The state of one system that Bindery needs.
#[derive(Debug)]
pub struct Readiness {
    /// Its name: `database`, `template_store`, `notebooks_root`.
    pub name: &'static str,
    /// Whether it can be used now.
    pub state: Result<()>,
}

impl Engine {
    /// Opens database, store and folders, made when absent.
    ///
    /// # Errors
    /// `BadInput` for a configuration that cannot be, `Unavailable` when the data dir cannot be written or the
    /// database not opened. An S3 store that is down now is no error: it may come back.
    pub async fn open(config: Config) -> Result<Self> {
        Self::open_with_environment(config, &remote::process_environment()).await
    }

    /// The same with the variables of another environment for the stores of templates and of notebooks.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub async fn open_with_environment(config: Config, environment: &Environment) -> Result<Self> {
        prepare_data_dir(&config.data_dir)?;
        let store = open_store(&config.template_store, environment).await?;
        Self::assemble(config, store, environment).await
    }

    /// The same with a template store of the caller's own, such as one with credentials that are not in this
    /// process's environment.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub async fn open_with_store(config: Config, store: Arc<dyn TemplateStore>) -> Result<Self> {
        prepare_data_dir(&config.data_dir)?;
        Self::assemble(config, store, &remote::process_environment()).await
    }

    async fn assemble(
        config: Config,
        store: Arc<dyn TemplateStore>,
        environment: &Environment,
    ) -> Result<Self> {
        let root = NotebooksRoot::open(&config.notebooks_root, config.s3_endpoint.as_deref(), environment)?;
        let database = Database::open(&config.database_url).await?;
        let credentials = MlflowCredentials {
            username: variable("MLFLOW_TRACKING_USERNAME"),
            password: variable("MLFLOW_TRACKING_PASSWORD"),
            token: variable("MLFLOW_TRACKING_TOKEN"),
        };
        let options =
            MlflowOptions { public_uri: config.mlflow_public_uri.clone(), ..MlflowOptions::default() };
        let mlflow = config
            .mlflow_tracking_uri
            .as_deref()
            .map(|uri| MlflowClient::with_options(uri, credentials, options))
            .transpose()?;
        let mut hidden = secrets::hidden_variables(&config);
        if mlflow.is_some() {
            hidden.extend(crate::mlflow::VARIABLES_TO_CLEAR);
        }
        let pool = KernelPool::new(PoolOptions {
            data_dir: config.data_dir.clone(),
            warm: config.warm.clone(),
            hidden,
            max_memory: config.warm_memory,
        });
        Ok(Self {
            inner: Arc::new(Inner {
                pool,
                database,
                store,
                root,
                mlflow,
                wakeup: Wakeup::default(),
                owner: uuid::Uuid::new_v4().to_string(),
                milestones: broadcast::channel(1024).0,
                asks: broadcast::channel(1024).0,
                schedules: Notify::new(),
                works: AtomicBool::new(false),
                endings: Arc::new(Semaphore::new(config.workers)),
                keeping: Arc::new(Semaphore::new(config.workers)),
                taken_over: TaskTracker::new(),
                stop_keeping: CancellationToken::new(),
                config,
            }),
        })
    }

    /// What this process is called as an owner of executions.
    pub fn worker_name(&self) -> &str {
        &self.inner.owner
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Whether each system that Bindery needs can be used now.
    pub async fn readiness(&self) -> Vec<Readiness> {
        let (database, store, root) =
            tokio::join!(self.database().check(), self.store().check(), self.root().check());
        vec![
            Readiness { name: "database", state: database },
            Readiness { name: "template_store", state: store },
            Readiness { name: "notebooks_root", state: root },
        ]
    }

    /// Closes the database; to be called last.
    pub async fn close(&self) {
        self.database().close().await;
    }

    fn database(&self) -> &Database {
        &self.inner.database
    }

    fn store(&self) -> &dyn TemplateStore {
        &*self.inner.store
    }

    /// How many kernels of each kept kernelspec wait for an execution.
    pub fn ready_kernels(&self) -> Vec<WarmKernels> {
        self.pool().ready()
    }

    fn pool(&self) -> &KernelPool {
        &self.inner.pool
    }

    fn root(&self) -> &NotebooksRoot {
        &self.inner.root
    }

    fn mlflow(&self) -> Option<&MlflowClient> {
        self.inner.mlflow.as_ref()
    }

    fn journal_dir(&self) -> PathBuf {
        self.config().data_dir.join("journal")
    }
}

async fn open_store(
    config: &TemplateStoreConfig,
    environment: &Environment,
) -> Result<Arc<dyn TemplateStore>> {
    Ok(match config {
        TemplateStoreConfig::Folder(folder) => Arc::new(FolderStore::open(folder.clone()).await?),
        TemplateStoreConfig::S3 { bucket, endpoint, public_endpoint } => {
            let variable = |name: &str| environment.get(name).cloned();
            let mut s3 = S3Config::from_variables(bucket.clone(), endpoint.clone(), variable)?;
            s3.public_endpoint.clone_from(public_endpoint);
            Arc::new(S3Store::new(&s3)?)
        }
    })
}

/// A variable of our own environment; an empty one counts as absent.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn prepare_data_dir(data_dir: &Path) -> Result<()> {
    std::fs::create_dir_all(data_dir.join("journal"))
        .and_then(|()| tempfile::tempfile_in(data_dir))
        .map(drop)
        .map_err(|error| {
            let message = format!(
                "the data dir {} cannot be written ({}): choose another with --data-dir",
                data_dir.display(),
                error.kind()
            );
            Error::unavailable(message).with_source(error)
        })
}

/// Runs work that blocks (files, big JSON) where it holds up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| Err(Error::internal("a task of ours ended in a panic").with_source(panic)))
}

/// Does work that blocks and takes what it needs by reference, while other threads go on with the other tasks.
fn in_place<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::current().runtime_flavor() {
        // There is no other thread.
        RuntimeFlavor::CurrentThread => work(),
        _ => tokio::task::block_in_place(work),
    }
}

/// An id for a new cell, as Jupyter makes them: eight hexadecimal digits.
fn new_cell_id() -> String {
    let mut id = uuid::Uuid::new_v4().simple().to_string();
    id.truncate(8);
    id
}

/// Now, as papermill writes times into notebooks.
fn isoformat(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}
