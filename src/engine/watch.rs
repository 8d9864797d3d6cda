//! What other processes do with the same database, heard of as it happens.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{ANY_EXECUTION, Engine, Milestone};
use crate::db::{Change, Interest};
use crate::execution::ExecutionId;

/// How long what is not told in detail is gathered: SQLite's log is written to many times a second.
const GATHERING: Duration = Duration::from_millis(10);
/// How often the database's clock is looked at.
const CLOCK_INTERVAL: Duration = Duration::from_secs(60);

impl Engine {
    /// Passes word of changes on until `shutdown`: of work when executions are run here (`works`), of progress when
    /// somebody may wait for executions that run elsewhere.
    pub async fn watch(&self, works: bool, shutdown: CancellationToken) {
        // Who runs on a file of this machine hears of its own runs by itself, and more precisely.
        let progress = self.database().is_shared() || !works;
        let mut changes = self.database().changes(Interest { work: works, progress });
        let mut clock = tokio::time::interval(CLOCK_INTERVAL);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let change = tokio::select! {
                () = shutdown.cancelled() => return,
                change = changes.next() => change,
                _ = clock.tick() => {
                    if let Err(error) = self.database().set_clock().await {
                        tracing::debug!(%error, "the database's clock cannot be read now");
                    }
                    continue;
                }
            };
            match change {
                Change::Work => self.inner.wakeup.notify_of_others(),
                Change::Progress(id) => self.announce(id, Milestone::Unknown),
                Change::Cancel(id) => self.ask(id),
                Change::Schedules => self.inner.schedules.notify_one(),
                Change::Unknown => {
                    if works {
                        self.inner.wakeup.notify_of_others();
                    }
                    if progress {
                        self.announce(ANY_EXECUTION, Milestone::Unknown);
                    }
                    tokio::time::sleep(GATHERING).await;
                }
            }
        }
    }

    /// Tells an execution's run in this process, if there is one, that something is asked of it.
    pub(super) fn ask(&self, id: ExecutionId) {
        // An error means that nothing runs here.
        let _ = self.inner.asks.send(id);
    }
}
