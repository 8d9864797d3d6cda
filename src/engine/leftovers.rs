//! What ended executions have left running on this machine, when nobody was there to end it.
//!
//! A worker writes the final status first and ends the kernel then. When the worker is killed in between, the kernel
//! dies with it, but not what the notebook has started outside of the kernel's process group; and as the execution has
//! its final status, nobody settles it any more.

use jiff::{SignedDuration, Timestamp};

use super::{Engine, blocking};
use crate::execution::ExecutionId;
use crate::kernel::orphans;

/// For so long after an execution's end its worker may still be ending its kernel. Kernels get 5 s at most.
const ENDING: SignedDuration = SignedDuration::from_secs(15);

impl Engine {
    /// Kills the processes of our executions that have ended a while ago.
    pub(super) async fn kill_leftovers(&self) {
        let (name, value) = self.own_mark();
        let values = blocking(move || Ok(orphans::values("BINDERY_EXECUTION_ID", (name, &value))));
        let Ok(values) = values.await else { return };
        for id in values.iter().filter_map(|id| id.parse().ok()).map(ExecutionId) {
            // What another database's execution has started is none of ours.
            let Ok(execution) = self.database().execution(id).await else { continue };
            // A person may be looking into it.
            if execution.kept_kernel(Timestamp::now()).is_some() {
                continue;
            }
            let has_ended = |end: Timestamp| end.duration_until(self.database().now()) > ENDING;
            if execution.status.is_final() && execution.end_time.is_some_and(has_ended) {
                self.kill_all_orphans(id).await;
            }
        }
    }
}
