//! The end of an execution's kernel and of all that it started.

use std::sync::Arc;
use std::time::Duration;

use super::{Engine, blocking};
use crate::db::Lease;
use crate::execution::ExecutionId;
use crate::kernel::{Kernel, orphans};

/// How long a final status waits for the end of a kernel that was stopped.
const PROMPT_END: Duration = Duration::from_secs(1);

impl Engine {
    /// Ends a kernel, if there is one, and what it leaves.
    pub(super) async fn end_kernel(self, lease: Lease, kernel: Option<Kernel>, grace: Duration) {
        if let Some(kernel) = kernel {
            let remote = kernel.remote().map(|kernel| kernel.handle().kernel_id.clone());
            // One that could not be ended stays on the record, and is tried again (`take_over.rs`).
            if kernel.shutdown(grace).await
                && let Some(kernel_id) = remote
                && let Err(error) = self.database().forget_remote_kernel(lease.id, &kernel_id).await
            {
                tracing::debug!(execution.id = %lease.id, %error, "the record of a remote kernel cannot be removed");
            }
        }
        self.kill_orphans(lease.id, lease.attempt).await;
        self.remove_scratch(lease.id, lease.attempt).await;
    }

    /// The same, waited for only so long: what hangs in the system ends when the system lets it. Gives back nothing, so
    /// that it takes the kernel's place.
    pub(super) async fn end_promptly(
        &self,
        lease: &Lease,
        kernel: Option<Kernel>,
        grace: Duration,
    ) -> Option<Kernel> {
        let ending = tokio::spawn(self.clone().end_kernel(lease.clone(), kernel, grace));
        if tokio::time::timeout(PROMPT_END, ending).await.is_err() {
            tracing::warn!(execution.id = %lease.id, "a stopped kernel takes long to end");
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
        self.release_all_kernels().await;
    }

    /// What marks every process of an attempt on this machine.
    pub(super) fn marks(&self, id: ExecutionId, attempt: u32) -> [(&'static str, String); 3] {
        let [execution, whose] = self.execution_marks(id);
        // What another attempt runs is none of this one's business, also when this one ends late.
        [execution, whose, ("BINDERY_ATTEMPT", attempt.to_string())]
    }

    /// The same for all its attempts.
    fn execution_marks(&self, id: ExecutionId) -> [(&'static str, String); 2] {
        [("BINDERY_EXECUTION_ID", id.to_string()), self.own_mark()]
    }

    /// What marks every process of every execution of ours on this machine.
    pub(super) fn own_mark(&self) -> (&'static str, String) {
        // Who settles an execution on the machine of its worker may have another data dir, but the same database.
        match self.database().identity() {
            Some(identity) => ("BINDERY_DATABASE_ID", identity.to_owned()),
            None => ("BINDERY_DATA_DIR", self.config().data_dir.to_string_lossy().into_owned()),
        }
    }

    /// Kills what an attempt left running.
    pub(super) async fn kill_orphans(&self, id: ExecutionId, attempt: u32) {
        self.kill_marked(id, self.marks(id, attempt).into()).await;
    }

    /// Kills what any attempt left running.
    pub(super) async fn kill_all_orphans(&self, id: ExecutionId) {
        self.kill_marked(id, self.execution_marks(id).into()).await;
    }

    async fn kill_marked(&self, id: ExecutionId, marks: Vec<(&'static str, String)>) {
        let killing = blocking(move || {
            let marks: Vec<_> = marks.iter().map(|(name, value)| (*name, value.as_str())).collect();
            Ok(orphans::kill(&marks))
        });
        if let Ok(killed @ 1..) = killing.await {
            tracing::info!(execution.id = %id, killed, "processes that the notebook left running were killed");
        }
    }
}
