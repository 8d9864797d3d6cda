//! What a worker does around its runs: claims them and keeps their leases. What others left is in `settle.rs`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::cells::Stop;
use super::recording::RunProgress;
use super::{Engine, Milestone};
use crate::db::{ClaimLimits, Lease};
use crate::error::{Error, Result};
use crate::execution::ExecutionId;
use crate::queue;

/// A lease not prolonged for so long is lost, and its execution with it.
pub(super) const LEASE: Duration = Duration::from_secs(10);
/// How often a lease is prolonged, and a request to cancel that went unheard is seen.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long before the end of a lease that cannot be prolonged its kernel is held.
const MARGIN: Duration = Duration::from_secs(3);
/// How often a worker looks for work of which no word has come: in a file of this machine, in a shared database.
const POLL_INTERVALS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

impl Engine {
    /// Works until `shutdown`: takes executions from the queue and runs them, and settles those whose worker
    /// died. After `shutdown` the ones in hand may go on for the configured grace and are then interrupted.
    ///
    /// # Errors
    /// `Internal` when the queue gives up, which it has no reason to.
    pub async fn work(&self, shutdown: CancellationToken) -> Result<()> {
        self.inner.works.store(true, Ordering::Relaxed);
        let (stop, stopped) = watch::channel(false);
        let settling = self.clone().settle_abandoned(shutdown.clone(), stopped.clone());
        let settling = AbortOnDropHandle::new(tokio::spawn(settling));
        let deliverer = self.clone();
        let _delivering = AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                deliverer.deliver_journals().await;
                deliverer.end_left_kernels().await;
                deliverer.remove_left_scratch().await;
                tokio::time::sleep(deliverer.delivery_interval()).await;
            }
        }));
        let _watching = AbortOnDropHandle::new(tokio::spawn({
            let (engine, shutdown) = (self.clone(), shutdown.clone());
            async move { engine.watch(true, shutdown).await }
        }));
        let _coordinating = AbortOnDropHandle::new(tokio::spawn({
            let (engine, shutdown) = (self.clone(), shutdown.clone());
            async move { engine.coordinate(shutdown).await }
        }));
        let (pool, pool_shutdown) = (self.pool().clone(), shutdown.clone());
        let keeping_warm = AbortOnDropHandle::new(tokio::spawn(async move { pool.run(pool_shutdown).await }));
        let grace = self.config().shutdown_grace;
        let patience = shutdown.clone();
        let _patience = AbortOnDropHandle::new(tokio::spawn(async move {
            patience.cancelled().await;
            tokio::time::sleep(grace).await;
            let _ = stop.send(true);
        }));
        let (claimer, runner) = (self.clone(), self.clone());
        let limits = ClaimLimits {
            running: self.config().max_running,
            running_per_user: self.config().max_running_per_user,
        };
        let options = queue::WorkerOptions {
            name: format!("bindery-{}", self.inner.owner),
            concurrency: self.config().workers,
            poll_interval: if self.database().is_shared() { POLL_INTERVALS.1 } else { POLL_INTERVALS.0 },
        };
        queue::run_worker(
            options,
            self.inner.wakeup.clone(),
            shutdown,
            move || {
                let engine = claimer.clone();
                async move {
                    let (database, owner) = (engine.database(), &engine.inner.owner);
                    database.claim_execution(owner, LEASE, limits, database.now()).await
                }
            },
            move |lease: Lease| {
                let (engine, stopped) = (runner.clone(), stopped.clone());
                async move { engine.run(lease, stopped, false).await }
            },
        )
        .await?;
        drop(settling);
        self.inner.taken_over.close();
        self.inner.taken_over.wait().await;
        self.kernels_ended().await;
        let _ = keeping_warm.await;
        Ok(())
    }

    /// Runs one claimed execution to its final status; `again`: another worker has begun it.
    pub(super) async fn run(&self, lease: Lease, stopped: watch::Receiver<bool>, again: bool) {
        let id = lease.id;
        let (stop, stop_seen) = watch::channel(None);
        let (hold, held) = watch::channel(false);
        let (until, ours_until) = watch::channel(Instant::now() + LEASE);
        let _heartbeat = AbortOnDropHandle::new(tokio::spawn(heartbeat(
            self.clone(),
            lease.clone(),
            Orders { stop, hold, until },
            stopped,
        )));
        let standing = Standing { stop: stop_seen, held, ours_until };
        // Boxed: what settles an execution goes on with it, and what goes on with one may have to settle it.
        let running: BoxFuture<'_, _> = Box::pin(self.run_leased(&lease, standing, again));
        if let Err(error) = running.await {
            // The lease runs out and the execution is settled then, from its journal.
            tracing::error!(execution.id = %id, %error, cause = error.cause(), "an execution cannot be finished now");
        }
        self.announce(id, Milestone::Ended);
    }
}

/// What a heartbeat tells its run.
struct Orders {
    /// Why it should stop.
    stop: watch::Sender<Option<Stop>>,
    /// Whether the kernel has to be held.
    hold: watch::Sender<bool>,
    /// Until when the execution is surely ours.
    until: watch::Sender<Instant>,
}

/// How a run's lease stands.
pub(super) struct Standing {
    /// Why the run should stop.
    pub(super) stop: watch::Receiver<Option<Stop>>,
    /// Whether the kernel has to be held.
    pub(super) held: watch::Receiver<bool>,
    /// Until when the execution is surely ours.
    pub(super) ours_until: watch::Receiver<Instant>,
}

/// Keeps the lease while the execution runs, and passes on why it should stop, or has to be held.
async fn heartbeat(
    engine: Engine,
    lease: Lease,
    Orders { stop, hold, until }: Orders,
    mut stopped: watch::Receiver<bool>,
) {
    let mut asks = engine.inner.asks.subscribe();
    let mut prolonged = Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(HEARTBEAT) => {}
            () = asked(&mut asks, lease.id) => {}
            Ok(_) = stopped.wait_for(|stopped| *stopped), if stop.borrow().is_none() => {
                let _ = stop.send(Some(Stop::WorkerStopped));
            }
        }
        let begun = Instant::now();
        // A connection that hangs must not keep the hand from the kernel.
        let patience = (prolonged + LEASE - MARGIN).max(begun + HEARTBEAT);
        let renewal = engine.database().renew_lease(&lease, LEASE, engine.database().now());
        let renewed = tokio::time::timeout_at(patience, renewal)
            .await
            .unwrap_or_else(|_| Err(Error::unavailable("the database does not answer")));
        match renewed {
            Ok(Some(cancel)) => {
                prolonged = begun;
                until.send_replace(begun + LEASE);
                hold.send_replace(false);
                if cancel && stop.borrow().is_none() {
                    let _ = stop.send(Some(Stop::Cancelled));
                }
            }
            Ok(None) => {
                // Also once the final status is written; then nobody listens any more.
                let _ = stop.send(Some(Stop::LeaseLost));
                return;
            }
            // Whether the lease is still ours is asked as soon as the database answers again. A file has one machine:
            // while it cannot be reached, nobody takes over. But a server that we cannot reach others may: when the
            // lease runs out the kernel does nothing more until we know.
            Err(error) => {
                tracing::warn!(execution.id = %lease.id, %error, "the lease cannot be prolonged now");
                if engine.database().is_shared() && prolonged.elapsed() >= LEASE - MARGIN {
                    hold.send_replace(true);
                }
            }
        }
    }
}

/// Comes back when something was asked of the execution in this process.
pub(super) async fn asked(asks: &mut broadcast::Receiver<ExecutionId>, id: ExecutionId) {
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
