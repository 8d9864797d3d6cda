//! The last steps of a run: its journal in the database, its notebook saved, its final status written; in this order, and
//! patiently.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::cells::Stop;
use super::journal::Journal;
use super::run_output::RunOutput;
use super::shipping::Shipping;
use super::work::LEASE;
use super::{Engine, in_place};
use crate::db::{Finish, Lease};
use crate::error::{Error, ErrorKind, Result};
use crate::notebook::Notebook;
use crate::notebook::results::recorded_results;

/// How long is waited for the database by who is to stop.
const DATABASE_PATIENCE: Duration = Duration::from_secs(60);

impl Engine {
    /// Makes sure that an execution is ours still: a process that was stopped for a while may not have heard yet that
    /// others have ended it. A shared database that is away is waited for, as others may reach it.
    pub(super) async fn make_sure_of(
        &self,
        lease: &Lease,
        stop: &watch::Receiver<Option<Stop>>,
    ) -> Result<()> {
        let until = Instant::now() + DATABASE_PATIENCE;
        loop {
            match self.database().renew_lease(lease, LEASE, self.database().now()).await {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => {
                    return Err(Error::conflict("the lease was lost: another worker owns the execution now"));
                }
                Err(_) if !self.database().is_shared() => return Ok(()),
                Err(error) if stop.borrow().is_some() && Instant::now() >= until => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }

    /// Saves the result; a disk that is full or a store that is away may come back. Nothing more is written once the lease
    /// is lost.
    pub(super) async fn save_patiently(
        &self,
        output: &mut RunOutput,
        notebook: &Notebook,
        mut journal: Option<&mut Journal>,
        stop: &watch::Receiver<Option<Stop>>,
    ) -> Result<()> {
        let until = Instant::now() + self.config().save_patience;
        let mut pause = Duration::from_millis(200);
        loop {
            match output.save(notebook, journal.as_deref_mut()).await {
                Err(error) if Instant::now() + pause < until && *stop.borrow() != Some(Stop::LeaseLost) => {
                    tracing::warn!(%error, cause = error.cause(), "the executed notebook cannot be saved now: trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
                saved => return saved,
            }
        }
    }

    /// Writes the final status of a run that has its result on disk. While nobody asks it to stop it waits for the
    /// database for as long as that takes: to give up would make a failure of it.
    pub(super) async fn write_final_while_held(
        &self,
        lease: &Lease,
        finish: &Finish,
        stop: &watch::Receiver<Option<Stop>>,
    ) -> Result<()> {
        loop {
            match self.write_final(lease, finish).await {
                Err(error) if error.kind() == ErrorKind::Unavailable && stop.borrow().is_none() => {}
                written => return written,
            }
        }
    }

    /// Puts an execution that was interrupted because this worker stops back into the queue.
    pub(super) async fn hand_back(&self, lease: &Lease) -> bool {
        let requeued = self.database().requeue_execution(lease).await;
        if let Ok(true) = requeued {
            tracing::info!(execution.id = %lease.id, "the worker stops: another may begin this execution anew");
        }
        requeued.unwrap_or(false)
    }

    /// Writes the final status; tried again while the database is away, for a minute.
    pub(super) async fn write_final(&self, lease: &Lease, finish: &Finish) -> Result<()> {
        let until = Instant::now() + DATABASE_PATIENCE;
        loop {
            match self.database().finish_execution(lease, finish, self.database().now()).await {
                Ok(true) => break,
                Ok(false) => {
                    return Err(Error::conflict("the lease was lost: another worker owns the execution now"));
                }
                Err(error) if Instant::now() < until => {
                    tracing::warn!(execution.id = %lease.id, %error, "the final status cannot be written now: trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(error) => return Err(error),
            }
        }
        metrics::counter!("bindery_executions_finished_total", "status" => finish.status.as_str())
            .increment(1);
        match &finish.error {
            Some(error) => tracing::info!(
                execution.id = %lease.id, status = %finish.status, error.name = %error.ename, "an execution ended"
            ),
            None => tracing::info!(execution.id = %lease.id, status = %finish.status, "an execution ended"),
        }
        Ok(())
    }
}

/// Puts what the notebook recorded into its end.
pub(super) fn record_results(finish: &mut Finish, notebook: &Notebook) {
    let results = in_place(|| recorded_results(notebook));
    finish.results = results.values;
    finish.warnings.extend(results.warnings);
}

/// Waits until the journal is in the database; once the worker is asked to stop, not for ever.
pub(super) async fn finish_shipping(shipping: Shipping, stop: &watch::Receiver<Option<Stop>>) -> Result<()> {
    let mut stop = stop.clone();
    let given_up = async {
        if stop.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(DATABASE_PATIENCE).await;
    };
    tokio::select! {
        sent = shipping.finish() => sent,
        () = given_up => Err(Error::unavailable("the journal cannot be sent to the database")),
    }
}
