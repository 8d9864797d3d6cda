//! What a worker does around its runs: claims them, keeps their leases, and settles those whose worker died.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::cells::Stop;
use super::deliver::DELIVERY_INTERVAL;
use super::journal;
use super::recording::{OutputFile, RunProgress, complete};
use super::{Engine, Milestone, blocking, in_place};
use crate::db::{Finish, Lease};
use crate::error::Result;
use crate::execution::{CellError, Execution, ExecutionId, ExecutionStatus};
use crate::notebook::Notebook;
use crate::notebook::record::RunEnd;
use crate::queue;

/// A lease not prolonged for so long is lost, and its execution with it.
pub(super) const LEASE: Duration = Duration::from_secs(15);
/// How often a lease is prolonged, and a request to cancel is seen.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How often abandoned executions are looked for.
const SETTLE_INTERVAL: Duration = Duration::from_secs(5);

impl Engine {
    /// Works until `shutdown`: takes executions from the queue and runs them, and settles those whose worker
    /// died. After `shutdown` the ones in hand may go on for the configured grace and are then interrupted.
    ///
    /// # Errors
    /// `Internal` when the queue gives up, which it has no reason to.
    pub async fn work(&self, shutdown: CancellationToken) -> Result<()> {
        let settling = AbortOnDropHandle::new(tokio::spawn(self.clone().settle_abandoned(shutdown.clone())));
        let deliverer = self.clone();
        let _delivering = AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                deliverer.deliver_journals().await;
                tokio::time::sleep(DELIVERY_INTERVAL).await;
            }
        }));
        let (pool, pool_shutdown) = (self.pool().clone(), shutdown.clone());
        let keeping_warm = AbortOnDropHandle::new(tokio::spawn(async move { pool.run(pool_shutdown).await }));
        let (stop, stopped) = watch::channel(false);
        let grace = self.config().shutdown_grace;
        let patience = shutdown.clone();
        let _patience = AbortOnDropHandle::new(tokio::spawn(async move {
            patience.cancelled().await;
            tokio::time::sleep(grace).await;
            let _ = stop.send(true);
        }));
        let (claimer, runner) = (self.clone(), self.clone());
        queue::run_worker(
            &format!("bindery-{}", self.inner.owner),
            self.config().workers,
            self.inner.wakeup.clone(),
            shutdown,
            move || {
                let engine = claimer.clone();
                async move {
                    engine.database().claim_execution(&engine.inner.owner, LEASE, Timestamp::now()).await
                }
            },
            move |lease: Lease| {
                let (engine, stopped) = (runner.clone(), stopped.clone());
                async move { engine.run(lease, stopped).await }
            },
        )
        .await?;
        drop(settling);
        self.kernels_ended().await;
        let _ = keeping_warm.await;
        Ok(())
    }

    /// Runs one claimed execution to its final status.
    async fn run(&self, lease: Lease, stopped: watch::Receiver<bool>) {
        let id = lease.id;
        let (stop, stop_seen) = watch::channel(None);
        let _heartbeat =
            AbortOnDropHandle::new(tokio::spawn(heartbeat(self.clone(), lease.clone(), stop, stopped)));
        if let Err(error) = self.run_leased(&lease, stop_seen).await {
            // The lease runs out and the execution is settled then, from its journal.
            tracing::error!(execution.id = %id, %error, cause = error.cause(), "an execution cannot be finished now");
        }
        self.announce(id, Milestone::Ended);
    }

    /// Looks for executions whose worker died, now and then, and settles each.
    async fn settle_abandoned(self, shutdown: CancellationToken) {
        let settler = format!("{}-settling", self.inner.owner);
        let mut was_asleep = false;
        loop {
            let claimed = match was_asleep {
                true => Ok(None),
                false => {
                    let (worker, now) = (&self.inner.owner, Timestamp::now());
                    self.database().claim_abandoned(worker, &settler, LEASE, now).await
                }
            };
            match claimed {
                Ok(Some(lease)) => {
                    let id = lease.id;
                    if let Err(error) = self.settle(lease).await {
                        tracing::warn!(execution.id = %id, %error, cause = error.cause(), "an abandoned execution cannot be settled now");
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "abandoned executions cannot be looked for now"),
            }
            let before = Timestamp::now();
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(SETTLE_INTERVAL) => {}
            }
            was_asleep = slept_past_leases(before.duration_until(Timestamp::now()));
        }
    }

    /// Saves what the journal of an execution holds; `None` when it had not begun. Says where, when somebody has
    /// written the notebook meanwhile and the result went beside it.
    async fn recover(
        &self,
        execution: &Execution,
        error: Option<CellError>,
    ) -> Result<Option<(Notebook, Option<String>)>> {
        let (folder, id, end_time) = (self.journal_dir(), execution.id, Timestamp::now());
        let replayed = blocking(move || {
            let replayed = journal::replay(&folder, id)?;
            Ok(replayed.map(|(recorder, saved)| {
                (complete(recorder, RunEnd::Failed, error.as_ref(), end_time), saved)
            }))
        })
        .await?;
        let Some((notebook, saved)) = replayed else { return Ok(None) };
        let output = self.root().notebook("output_path", &execution.request.output_path)?;
        let mut output = OutputFile::new(output.absolute, output.relative, id.to_string()).resumed(saved);
        output.save(&notebook)?;
        Ok(Some((notebook, output.moved_to().map(str::to_owned))))
    }

    /// Ends an execution whose worker died: what its journal holds goes into the notebook, then it is `failed`.
    async fn settle(&self, lease: Lease) -> Result<()> {
        let execution = self.database().execution(lease.id).await?;
        tracing::warn!(execution.id = %lease.id, "the worker of this execution died: saving what it left");
        self.kill_orphans(lease.id).await;
        let cell = execution.progress.current_cell;
        let error = CellError::new(
            cell,
            "WorkerLost",
            "the service died while the notebook ran; what it had produced was kept",
        );
        let mut finish = Finish {
            status: ExecutionStatus::Failed,
            error: Some(error),
            warnings: Vec::new(),
            output_path: None,
        };
        // What cannot be saved now stays in the journal; the execution ends all the same, so that nobody waits
        // for it for ever.
        let notebook = match self.recover(&execution, finish.error.clone()).await {
            Ok(recovered) => recovered.map(|(notebook, moved_to)| {
                finish.output_path = moved_to;
                notebook
            }),
            Err(fault) => {
                tracing::error!(execution.id = %lease.id, error = %fault, cause = fault.cause(), "what a dead worker left cannot be saved");
                let text = format!(
                    "the service died while the notebook ran; what it had produced is in its journal: {}",
                    fault.message()
                );
                finish.error = Some(CellError::new(cell, "WorkerLost", text));
                self.write_final(&lease, &finish).await?;
                return Ok(());
            }
        };
        if execution.cancel_requested {
            finish.status = ExecutionStatus::Cancelled;
            finish.error = None;
        }
        self.write_final(&lease, &finish).await?;
        journal::discard(&self.journal_dir(), lease.id);
        self.announce(lease.id, Milestone::Ended);
        if let (Some(tracking), Some(notebook)) = (self.resume_tracking(&execution).await, notebook) {
            let path = &execution.request.output_path;
            let file_name = path.rsplit('/').next().unwrap_or(path);
            tracking.finish(finish.status, file_name, in_place(|| notebook.to_bytes())).await;
        }
        Ok(())
    }
}

/// Whether a pause took so long that leases may have run out in it: this process was stopped or the machine
/// asleep, and with it those who prolong their leases. They have their turn before anybody's are taken.
fn slept_past_leases(pause: SignedDuration) -> bool {
    pause > SignedDuration::try_from(LEASE - 2 * HEARTBEAT).unwrap_or(SignedDuration::MAX)
}

/// Keeps the lease while the execution runs, and passes on why it should stop.
async fn heartbeat(
    engine: Engine,
    lease: Lease,
    stop: watch::Sender<Option<Stop>>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut asks = engine.inner.asks.subscribe();
    loop {
        tokio::select! {
            () = tokio::time::sleep(HEARTBEAT) => {}
            () = asked(&mut asks, lease.id) => {}
            Ok(_) = stopped.wait_for(|stopped| *stopped), if stop.borrow().is_none() => {
                let _ = stop.send(Some(Stop::WorkerStopped));
            }
        }
        match engine.database().renew_lease(&lease, LEASE, Timestamp::now()).await {
            Ok(Some(cancel)) => {
                if cancel && stop.borrow().is_none() {
                    let _ = stop.send(Some(Stop::Cancelled));
                }
            }
            Ok(None) => {
                // Also once the final status is written; then nobody listens any more.
                let _ = stop.send(Some(Stop::LeaseLost));
                return;
            }
            // SQLite's file has one machine: nobody else can take over while it cannot be reached. Whether the
            // lease is still ours is asked as soon as the database answers again.
            Err(error) => {
                tracing::warn!(execution.id = %lease.id, %error, "the lease cannot be prolonged now")
            }
        }
    }
}

/// Comes back when something was asked of the execution in this process.
async fn asked(asks: &mut broadcast::Receiver<ExecutionId>, id: ExecutionId) {
    loop {
        match asks.recv().await {
            Ok(whose) if whose != id => {}
            // Some were missed: one of them may have been for this one.
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Writes the progress into the record as it changes, and announces the first code cell.
pub(super) async fn tell_progress(
    engine: Engine,
    lease: Lease,
    kernel: String,
    mut progress: watch::Receiver<RunProgress>,
) {
    let mut announced = false;
    let mut open = true;
    while open {
        open = progress.changed().await.is_ok();
        let RunProgress { progress: now, code_cells_done } = *progress.borrow_and_update();
        if let Err(error) = engine.database().record_progress(&lease, now, code_cells_done, &kernel).await {
            tracing::debug!(execution.id = %lease.id, %error, "the progress cannot be recorded now");
        }
        if code_cells_done > 0 && !announced {
            announced = true;
            engine.announce(lease.id, Milestone::FirstCodeCell);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_sleep_others_may_prolong_their_leases_first() {
        let slept = |seconds| slept_past_leases(SignedDuration::from_secs(seconds));
        assert!(!slept(5) && !slept(10), "a busy machine is not asleep");
        assert!(slept(15) && slept(3600));
    }
}
