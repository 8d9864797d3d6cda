//! What is forgotten after a time.

use jiff::Timestamp;

use super::{Database, lost, micros, on};
use crate::error::Result;

/// How many are deleted at once: others wait no longer than that takes.
const BATCH: i64 = 500;

/// Those that ended before `$1`; neither what is still to be saved nor what a person may be looking into, nor what a workflow
/// or a sweep that goes on has come to so far.
macro_rules! prunable {
    () => {
        "status IN ('success', 'failed', 'cancelled') AND end_time IS NOT NULL AND end_time < $1 \
         AND undelivered = 0 AND kept_kernel IS NULL AND (parent IS NULL OR NOT EXISTS (SELECT 1 FROM flows \
         WHERE flows.end_time IS NULL AND executions.parent = flows.kind || '/' || flows.id))"
    };
}

impl Database {
    /// How many executions [`Database::prune`] would forget.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn count_prunable(&self, before: Timestamp) -> Result<u64> {
        let count: i64 = on!(self, pool => sqlx::query_scalar(
            concat!("SELECT count(*) FROM executions WHERE ", prunable!()),
        )
        .bind(micros(before))
        .fetch_one(pool).await)
        .map_err(lost)?;
        Ok(count.unsigned_abs())
    }

    /// Forgets some of the executions that ended before a time, the oldest first; says how many. To be called until
    /// there are none.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn prune(&self, before: Timestamp) -> Result<u64> {
        on!(self, pool => sqlx::query(concat!(
            "DELETE FROM executions WHERE id IN (SELECT id FROM executions WHERE ", prunable!(),
            " ORDER BY end_time LIMIT $2)"
        ))
        .bind(micros(before))
        .bind(BATCH)
        .execute(pool).await.map(|done| done.rows_affected()))
        .map_err(lost)
    }

    /// Forgets some of the workflows' runs and sweeps that ended before a time, but for those of which MLflow is still to be
    /// told; says how many.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn prune_flows(&self, before: Timestamp) -> Result<u64> {
        on!(self, pool => sqlx::query(
            "DELETE FROM flows WHERE id IN (SELECT id FROM flows WHERE end_time < $1 AND mlflow_open = 0 \
             ORDER BY end_time LIMIT $2)",
        )
        .bind(micros(before))
        .bind(BATCH)
        .execute(pool).await.map(|done| done.rows_affected()))
        .map_err(lost)
    }
}
