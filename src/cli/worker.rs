//! `bindery worker`: executes what servers have accepted, until it is asked to stop.

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::Exit;
use super::print::tell;
use super::serve::{ended_by_itself, hide_from_notebooks, warn_without_kernels};
use super::signals::Signals;
use crate::config::{Config, Settings};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::execution::human_duration;

/// Execute what is submitted to servers elsewhere, on this machine; as many machines as wanted
///
/// Servers and workers meet in the database: PostgreSQL when they are on several machines. They need the same notebooks
/// root, a folder that all of them have or a bucket, and the kernels that are asked for. SIGTERM or Ctrl-C stops taking new
/// executions and lets the running ones go on for --shutdown-grace; then they are interrupted, what they have produced is
/// saved, and those that may be begun once more are handed back. A second signal ends at once.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bindery worker --database-url postgres://bindery@db/bindery --notebooks-root /mnt/notebooks
  bindery worker --database-url postgres://bindery@db/bindery --notebooks-root s3://notebooks/team
  bindery worker --concurrency 8 --data-dir /srv/bindery")]
pub(super) struct WorkerArgs {
    /// Executions at the same time [default: --workers]
    #[arg(long, value_name = "N")]
    concurrency: Option<usize>,
    #[command(flatten)]
    settings: Settings,
}

pub(super) async fn run(args: WorkerArgs) -> Result<Exit> {
    hide_from_notebooks();
    // First of all, so that a request to stop is honoured from the start.
    let mut signals = Signals::listen()?;
    let mut settings = args.settings;
    if args.concurrency == Some(0) {
        return Err(Error::bad_input("`concurrency` must be at least 1"));
    }
    settings.service.workers = args.concurrency.or(settings.service.workers);
    let engine = Engine::open(Config::resolve(settings)?).await?;
    warn_without_kernels(engine.config().data_dir.clone());
    let shutdown = CancellationToken::new();
    let mut worker = tokio::spawn({
        let (engine, shutdown) = (engine.clone(), shutdown.clone());
        async move { engine.work(shutdown).await }
    });
    let places = engine.config().workers;
    tell!("bindery worker {} is ready for {places} executions at the same time", engine.worker_name());
    tokio::select! {
        _ = signals.next() => {}
        ended = &mut worker => return Err(ended_by_itself("worker", ended)),
    }
    shutdown.cancel();
    let grace = human_duration(engine.config().shutdown_grace);
    tell!("stopping: what runs may go on for {grace}; a second signal ends at once");
    tokio::select! {
        _ = worker => {}
        signal = signals.next() => {
            tell!("ending at once: another worker settles what was running");
            signal.exit_at_once()
        }
    }
    engine.close().await;
    Ok(Exit::Success)
}
