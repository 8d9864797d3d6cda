//! What is forgotten after a time: the records of ended executions, never their notebooks.

use std::time::Duration;

use jiff::SignedDuration;

use super::Engine;
use crate::error::Result;

/// How long the journal of an ended execution stays in a shared database, for those who still read along.
const JOURNALS: SignedDuration = SignedDuration::from_mins(10);

impl Engine {
    /// How many executions ended longer ago than `age`.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn count_prunable(&self, age: Duration) -> Result<u64> {
        self.database().count_prunable(self.before(age)).await
    }

    /// Forgets some of the executions that ended longer ago than `age`, the oldest first, and with each its idempotency
    /// key; says how many. Workflows' runs and sweeps that ended as long ago are forgotten, too. Notebooks stay. To be called
    /// until there are none.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn prune(&self, age: Duration) -> Result<u64> {
        let before = self.before(age);
        self.database().prune_flows(before).await?;
        self.database().prune(before).await
    }

    fn before(&self, age: Duration) -> jiff::Timestamp {
        let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
        self.database().now().checked_sub(age).unwrap_or(jiff::Timestamp::MIN)
    }

    /// Forgets what the configuration wants forgotten, and journals that nobody reads any more.
    pub(super) async fn forget_the_old(&self) {
        let before = self.database().now() - JOURNALS;
        if let Err(error) = self.database().forget_journals(before).await {
            tracing::debug!(%error, "old journals cannot be removed from the database now");
        }
        let Some(age) = self.config().retention else { return };
        loop {
            match self.prune(age).await {
                Ok(0) => return,
                Ok(count) => tracing::info!(count, "executions that ended long ago were forgotten"),
                Err(error) => {
                    tracing::warn!(%error, "old executions cannot be forgotten now");
                    return;
                }
            }
        }
    }
}
