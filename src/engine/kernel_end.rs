//! The end of an execution's kernel and of all that it started.

use std::sync::Arc;
use std::time::Duration;

use super::{Engine, blocking};
use crate::execution::ExecutionId;
use crate::kernel::{Kernel, orphans};

/// How long a final status waits for the end of a kernel that was stopped.
const PROMPT_END: Duration = Duration::from_secs(1);

impl Engine {
    /// Ends a kernel, if there is one, and what it leaves.
    pub(super) async fn end_kernel(self, id: ExecutionId, kernel: Option<Kernel>, grace: Duration) {
        if let Some(kernel) = kernel {
            kernel.shutdown(grace).await;
        }
        self.kill_orphans(id).await;
        self.remove_scratch(id).await;
    }

    /// The same, waited for only so long: what hangs in the system ends when the system lets it. Gives back nothing, so
    /// that it takes the kernel's place.
    pub(super) async fn end_promptly(
        &self,
        id: ExecutionId,
        kernel: Option<Kernel>,
        grace: Duration,
    ) -> Option<Kernel> {
        let ending = tokio::spawn(self.clone().end_kernel(id, kernel, grace));
        if tokio::time::timeout(PROMPT_END, ending).await.is_err() {
            tracing::warn!(execution.id = %id, "a stopped kernel takes long to end");
        }
        None
    }

    /// Ends a kernel while its worker goes on: nobody waits for that. No more at once than there are workers.
    pub(super) async fn end_later(&self, ending: impl Future<Output = ()> + Send + 'static) {
        let Ok(place) = Arc::clone(&self.inner.endings).acquire_owned().await else { return };
        tokio::spawn(async move {
            ending.await;
            drop(place);
        });
    }

    /// Returns when every kernel has ended.
    pub(super) async fn kernels_ended(&self) {
        let all = u32::try_from(self.config().workers).unwrap_or(u32::MAX);
        let _ = self.inner.endings.acquire_many(all).await;
    }

    /// What marks every process of an execution on this machine.
    pub(super) fn marks(&self, id: ExecutionId) -> [(&'static str, String); 2] {
        // Who settles an execution on the machine of its worker may have another data dir, but the same database.
        let whose = match self.database().identity() {
            Some(identity) => ("BINDERY_DATABASE_ID", identity.to_owned()),
            None => ("BINDERY_DATA_DIR", self.config().data_dir.to_string_lossy().into_owned()),
        };
        [("BINDERY_EXECUTION_ID", id.to_string()), whose]
    }

    /// Kills what an execution left running.
    pub(super) async fn kill_orphans(&self, id: ExecutionId) {
        let marks = self.marks(id);
        let killing = blocking(move || {
            Ok(orphans::kill(&marks.each_ref().map(|(name, value)| (*name, value.as_str()))))
        });
        if let Ok(killed @ 1..) = killing.await {
            tracing::info!(execution.id = %id, killed, "processes that the notebook left running were killed");
        }
    }
}
