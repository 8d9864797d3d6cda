//! Kernels of failed runs that stay for a while, so that a person can attach to them and look.
//!
//! A kept kernel takes no worker's place; there are no more of them than workers. It ends when its time is up, when it
//! is released, when a person or a limit ends it, and with the service. The record says where it is as long as it is
//! there; to forget it there is the word to end it, which is heard from any process.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::OwnedSemaphorePermit;

use super::Engine;
use super::cells::Ending;
use super::work::asked;
use crate::db::Lease;
use crate::error::{Error, Result};
use crate::execution::{ExecutionId, ExecutionRequest, KeptKernel, LONGEST_KEEP};
use crate::kernel::{Incoming, Kernel};

/// How often a kept kernel's keeper looks whether it was released by another process.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a kept kernel may take to end by itself.
const END_GRACE: Duration = Duration::from_secs(1);

/// A place and a record for a kernel that is to be kept. The record goes with this.
pub(super) struct Keeping {
    engine: Engine,
    id: ExecutionId,
    time: Duration,
    is_recorded: bool,
    _place: OwnedSemaphorePermit,
}

impl Keeping {
    async fn forget(&mut self) {
        if std::mem::take(&mut self.is_recorded)
            && let Err(error) = self.engine.database().forget_kept_kernel(self.id).await
        {
            tracing::debug!(execution.id = %self.id, %error, "the record of a kept kernel cannot be removed");
        }
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        if std::mem::take(&mut self.is_recorded) {
            // The final status could not be written, and the kernel goes.
            let (engine, id) = (self.engine.clone(), self.id);
            tokio::spawn(async move { engine.database().forget_kept_kernel(id).await });
        }
    }
}

impl Engine {
    /// Makes ready to keep the kernel of a run that failed, if that was asked for and it can be; says in `warnings` why
    /// it cannot. Recorded before the final status, so that whoever sees that sees the kernel as well.
    pub(super) async fn prepare_to_keep(
        &self,
        id: ExecutionId,
        request: &ExecutionRequest,
        ending: &Ending,
        kernel: Option<&Kernel>,
        warnings: &mut Vec<String>,
    ) -> Option<Keeping> {
        let time = request.keep_kernel_on_failure?;
        let (Ending::Failed(_), Some(kernel)) = (ending, kernel.filter(|kernel| kernel.lives())) else {
            return None;
        };
        let Ok(place) = Arc::clone(&self.inner.keeping).try_acquire_owned() else {
            warnings
                .push("the kernel was not kept: as many as there are workers are kept already".to_owned());
            return None;
        };
        let kept = KeptKernel {
            connection_file: kernel.connection_file()?.to_string_lossy().into_owned(),
            expires_at: Timestamp::now() + SignedDuration::try_from(time).unwrap_or_default(),
        };
        match self.database().record_kept_kernel(id, &kept).await {
            Ok(()) => Some(Keeping { engine: self.clone(), id, time, is_recorded: true, _place: place }),
            Err(error) => {
                warnings.push(format!("the kernel was not kept: {}", error.message()));
                None
            }
        }
    }

    /// Keeps a kernel until its end.
    pub(super) fn keep(&self, lease: Lease, kernel: Kernel, mut keeping: Keeping) {
        let id = lease.id;
        let seconds = keeping.time.as_secs();
        tracing::info!(execution.id = %id, seconds, "the kernel of a failed execution is kept");
        let engine = self.clone();
        tokio::spawn(async move {
            let mut kernel = kernel;
            kernel.drop_all();
            tokio::select! {
                () = tokio::time::sleep(keeping.time) => {}
                () = engine.inner.stop_keeping.cancelled() => {}
                () = engine.released(id) => {}
                () = async { while !matches!(kernel.next().await, Incoming::Died(_) | Incoming::Lost(_) | Incoming::OverLimit(_)) {} } => {}
            }
            keeping.forget().await;
            engine.end_kernel(lease, Some(kernel), END_GRACE).await;
            tracing::info!(execution.id = %id, "a kept kernel has ended");
            drop(keeping);
        });
    }

    /// Comes back when the record of the kernel has gone.
    async fn released(&self, id: ExecutionId) {
        let mut asks = self.inner.asks.subscribe();
        loop {
            // What cannot be asked now may be asked later.
            if self.database().execution(id).await.is_ok_and(|execution| execution.kept.is_none()) {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
                () = asked(&mut asks, id) => {}
            }
        }
    }

    /// Ends the kernel of a failed execution that is kept; within a second where another process keeps it. Says whether
    /// one was kept.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` when the database cannot be used.
    pub async fn release_kernel(&self, id: ExecutionId) -> Result<bool> {
        let is_kept = self.execution(id).await?.kept_kernel(Timestamp::now()).is_some();
        let was_recorded = self.database().forget_kept_kernel(id).await?;
        self.ask(id);
        Ok(is_kept && was_recorded)
    }

    /// Ends every kernel that is kept here, and waits for that.
    pub(super) async fn release_all_kernels(&self) {
        self.inner.stop_keeping.cancel();
        let all = u32::try_from(self.config().workers).unwrap_or(u32::MAX);
        let _ = self.inner.keeping.acquire_many(all).await;
    }
}

/// For how long a kernel may be kept.
pub(super) fn check(time: Option<Duration>) -> Result<Option<Duration>> {
    match time {
        Some(time) if time > LONGEST_KEEP => {
            let what = format!("must be at most {} seconds", LONGEST_KEEP.as_secs());
            Err(Error::invalid(format!("`keep_kernel_on_failure` {what}"))
                .with_field("keep_kernel_on_failure", what))
        }
        time => Ok(time.filter(|time| !time.is_zero())),
    }
}
