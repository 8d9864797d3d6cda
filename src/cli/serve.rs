//! `bindery serve`: HTTP and a worker in one process, until it is asked to stop.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use super::Exit;
use super::print::tell;
use super::signals::{Signals, StopSignal};
use crate::api;
use crate::config::{Config, Settings};
use crate::engine::{Engine, kernels};
use crate::error::{Error, Result};
use crate::execution::{ExecutionStatus, human_duration};

/// How long requests that are in hand may go on once the worker has stopped.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// Serve the HTTP interface and execute what is submitted, in one process
///
/// Everything is kept in the data dir: nothing else has to be installed or running. SIGTERM or Ctrl-C stops taking new
/// executions and lets the running ones go on for --shutdown-grace; then they are interrupted and what they have
/// produced is saved. A second signal ends at once.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bindery serve
  bindery serve --listen 127.0.0.1:9000 --data-dir /srv/bindery
  bindery serve --template-store s3://notebook-templates --s3-endpoint http://127.0.0.1:9100
  bindery serve --mlflow-tracking-uri http://127.0.0.1:5000
  bindery serve --no-worker --database-url postgres://bindery@db/bindery --notebooks-root /mnt/notebooks")]
pub(super) struct ServeArgs {
    /// Execute nothing here: `bindery worker` on this or other machines does
    #[arg(long)]
    no_worker: bool,
    #[command(flatten)]
    settings: Settings,
}

pub(super) async fn run(args: ServeArgs) -> Result<Exit> {
    hide_from_notebooks();
    // First of all, so that a request to stop is honoured from the start.
    let signals = Signals::listen()?;
    let service = Service::start(Config::resolve(args.settings)?, !args.no_worker).await?;
    tell!("bindery listening on {url} (docs: {url}/docs)", url = service.url());
    service.until_stopped(signals).await
}

/// Notebooks run under the same account, and could read the variables that this process was started with, the
/// credentials of the template store among them, in `/proc`. Not for root, who can read everything.
pub(super) fn hide_from_notebooks() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
    {
        tracing::warn!(%error, "notebooks may be able to read the variables that the service was started with");
    }
}

/// A running service.
pub(super) struct Service {
    engine: Engine,
    address: SocketAddr,
    shutdown: CancellationToken,
    server: JoinHandle<Result<()>>,
    /// What executes, or only hears of what others execute.
    worker: JoinHandle<Result<()>>,
}

impl Service {
    /// Binds, opens the engine, serves, and `works` when asked to. Who connects before all is ready waits that long.
    ///
    /// # Errors
    /// `Conflict` when the port is taken, `BadInput` for another address that cannot be listened on, and as
    /// [`Engine::open`].
    pub(super) async fn start(config: Config, works: bool) -> Result<Self> {
        let listen = config.listen;
        let listener = TcpListener::bind(listen).await.map_err(|error| bind_fault(listen, error))?;
        let address = listener.local_addr().unwrap_or(listen);
        let engine = Engine::open(config).await?;
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(api::serve(engine.clone(), listener, shutdown.clone()));
        let worker = tokio::spawn({
            let (engine, shutdown) = (engine.clone(), shutdown.clone());
            async move {
                if works {
                    return engine.work(shutdown).await;
                }
                tokio::join!(engine.watch(false, shutdown.clone()), engine.coordinate(shutdown));
                Ok(())
            }
        });
        if !address.ip().is_loopback() {
            tracing::warn!(
                "{address} can be reached from other machines, and Bindery has no authentication yet: whoever reaches \
                 it runs code here; put a proxy that authenticates before it"
            );
        }
        if works {
            warn_without_kernels(engine.config().data_dir.clone());
        }
        Ok(Self { engine, address, shutdown, server, worker })
    }

    /// Its address as a URL that this machine can open, without a slash at the end.
    pub(super) fn url(&self) -> String {
        reachable_url(self.address)
    }

    /// Runs until a signal, or until a part of it ends by itself, which is a fault.
    ///
    /// # Errors
    /// `Internal` when a part ended by itself.
    pub(super) async fn until_stopped(mut self, mut signals: Signals) -> Result<Exit> {
        let fault = tokio::select! {
            signal = signals.next() => {
                self.say_what_goes_on(signal).await;
                None
            }
            ended = &mut self.worker => Some(ended_by_itself("worker", ended)),
            ended = &mut self.server => Some(ended_by_itself("HTTP server", ended)),
        };
        if let Some(fault) = &fault {
            tracing::error!(%fault, cause = fault.cause(), "the service cannot go on: stopping");
        }
        tokio::select! {
            () = self.stop() => {}
            signal = signals.next() => {
                tell!("ending at once: what was running is settled when the service starts again");
                signal.exit_at_once()
            }
        }
        fault.map_or(Ok(Exit::Success), Err)
    }

    /// Stops in good order: nothing new is taken, what runs may go on for the configured grace.
    pub(super) async fn stop(self) {
        let Self { engine, shutdown, mut server, worker, .. } = self;
        shutdown.cancel();
        if !worker.is_finished() {
            let _ = worker.await;
        }
        // Someone may be waiting for an execution that will not be taken up any more.
        if !server.is_finished() && tokio::time::timeout(LAST_ANSWERS, &mut server).await.is_err() {
            server.abort();
        }
        engine.close().await;
    }

    async fn say_what_goes_on(&self, signal: StopSignal) {
        let counts = self.engine.count_executions().await.unwrap_or_default();
        let running = counts
            .iter()
            .find(|(status, _)| *status == ExecutionStatus::Running)
            .map_or(0, |(_, count)| *count);
        let what = match running {
            0 => "no execution is running".to_owned(),
            _ => format!(
                "{} may go on for {}",
                if running == 1 {
                    "1 running execution".to_owned()
                } else {
                    format!("{running} running executions")
                },
                human_duration(self.engine.config().shutdown_grace)
            ),
        };
        let again = if signal == StopSignal::Interrupt { "Ctrl-C again" } else { "a second signal" };
        tell!("stopping: {what}; {again} ends at once");
    }
}

pub(super) fn ended_by_itself(what: &str, ended: Result<Result<()>, JoinError>) -> Error {
    let error = Error::internal(format!("the {what} ended by itself: please report this"));
    match ended {
        Ok(Ok(())) => error,
        Ok(Err(cause)) => error.with_source(cause),
        Err(panic) => error.with_source(panic),
    }
}

fn bind_fault(address: SocketAddr, error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::AddrInUse => Error::conflict(format!(
            "another program listens on {address} already: choose another address with --listen HOST:PORT (port 0 \
             takes a free one)"
        )),
        kind => Error::bad_input(format!(
            "{address} cannot be listened on ({kind}): choose another address with --listen HOST:PORT"
        )),
    }
    .with_source(error)
}

/// The URL of a service that listens on `address`, for clients on the same machine.
pub(super) fn reachable_url(address: SocketAddr) -> String {
    match address.ip().is_unspecified() {
        true => format!("http://127.0.0.1:{}", address.port()),
        false => format!("http://{address}"),
    }
}

/// Without any kernel nothing can be executed; the time of the start is the time to say so.
pub(super) fn warn_without_kernels(data_dir: std::path::PathBuf) {
    tokio::task::spawn_blocking(move || {
        use kernels::EnvironmentState::{Installed, Outdated};
        let usable = |state| matches!(state, Installed | Outdated);
        if !kernels::list(&data_dir).iter().any(|kernel| usable(kernel.state)) {
            tracing::warn!(
                "no kernel is installed: nothing can be executed until `bindery kernels install python3 --data-dir {}`",
                data_dir.display()
            );
        }
    });
}
