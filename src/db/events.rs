//! Journals in a database that other machines read, too. SQLite needs none: its machine has the file.

use super::leases::expiry;
use super::{Database, Lease, Pool, lost, number, on};
use crate::error::Result;
use crate::execution::ExecutionId;

/// Whole lines of a journal, and where in its file they stand, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalPart {
    /// Where the first of them begins.
    pub start: u64,
    /// Where the last of them ends.
    pub end: u64,
    /// The lines.
    pub lines: Vec<u8>,
}

impl Database {
    /// Keeps a part of the journal of a run; false when its lease is lost, and then nothing is kept.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn append_journal(&self, lease: &Lease, part: &JournalPart) -> Result<bool> {
        let Pool::Postgres(pool) = &self.pool else { return Ok(true) };
        // The row is held until the commit: who takes the lease meanwhile waits, and then sees these lines.
        let done = sqlx::query(
            "WITH held AS (SELECT id, attempts FROM executions WHERE id = $1 AND status = 'running' \
             AND lease_owner = $2 AND attempts = $3 FOR SHARE) \
             INSERT INTO execution_events (execution_id, attempt, start_offset, end_offset, lines) \
             SELECT id, attempts, $4, $5, $6 FROM held ON CONFLICT (execution_id, attempt, start_offset) \
             DO UPDATE SET end_offset = excluded.end_offset, lines = excluded.lines",
        )
        .bind(lease.id.0)
        .bind(&lease.owner)
        .bind(i64::from(lease.attempt))
        .bind(offset(part.start))
        .bind(offset(part.end))
        .bind(&part.lines)
        .execute(pool)
        .await
        .map_err(lost)?;
        Ok(done.rows_affected() == 1)
    }

    /// The next part of an attempt's journal from the byte `from` on, of at most `parts` that were kept together.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn journal_parts(
        &self,
        id: ExecutionId,
        attempt: u32,
        from: u64,
        parts: usize,
    ) -> Result<Vec<JournalPart>> {
        let Pool::Postgres(pool) = &self.pool else { return Ok(Vec::new()) };
        let rows = sqlx::query_as::<_, (i64, i64, Vec<u8>)>(
            "SELECT start_offset, end_offset, lines FROM execution_events \
             WHERE execution_id = $1 AND attempt = $2 AND end_offset > $3 ORDER BY start_offset LIMIT $4",
        )
        .bind(id.0)
        .bind(i64::from(attempt))
        .bind(offset(from))
        .bind(number(parts))
        .fetch_all(pool)
        .await
        .map_err(lost)?;
        let part = |(start, end, mut lines): (i64, i64, Vec<u8>)| {
            let (start, end) = (start.unsigned_abs(), end.unsigned_abs());
            // Who goes on somewhere may go on in the middle of what was kept together.
            let seen = usize::try_from(from.saturating_sub(start)).unwrap_or(usize::MAX).min(lines.len());
            lines.drain(..seen);
            JournalPart { start: start.max(from), end, lines }
        };
        Ok(rows.into_iter().map(part).collect())
    }

    /// Forgets the journals of what ended before `before` and is saved; says how many parts these were.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn forget_journals(&self, before: jiff::Timestamp) -> Result<u64> {
        let Pool::Postgres(pool) = &self.pool else { return Ok(0) };
        let done = sqlx::query(
            "DELETE FROM execution_events USING executions WHERE executions.id = execution_id \
             AND end_time < $1 AND undelivered = 0 AND status IN ('success', 'failed', 'cancelled')",
        )
        .bind(before.as_microsecond())
        .execute(pool)
        .await
        .map_err(lost)?;
        Ok(done.rows_affected())
    }

    /// Takes the delivery of an ended execution's notebook for a while; false when another has it, or it is done.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn claim_delivery(
        &self,
        id: ExecutionId,
        owner: &str,
        lease: std::time::Duration,
        now: jiff::Timestamp,
    ) -> Result<bool> {
        let done = on!(self, pool => sqlx::query(
            "UPDATE executions SET lease_owner = $1, lease_expires_at = $2 WHERE id = $3 AND undelivered = 1 \
             AND status IN ('success', 'failed', 'cancelled') AND (lease_expires_at IS NULL OR lease_expires_at < $4)",
        )
        .bind(owner)
        .bind(expiry(now, lease))
        .bind(id.0)
        .bind(now.as_microsecond())
        .execute(pool).await.map(|done| done.rows_affected()))
        .map_err(lost)?;
        Ok(done == 1)
    }

    /// The executions that have ended and whose notebooks could not be saved yet.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn undelivered(&self) -> Result<Vec<ExecutionId>> {
        let ids: Vec<i64> = on!(self, pool => sqlx::query_scalar(
            "SELECT id FROM executions WHERE undelivered = 1 ORDER BY id",
        )
        .fetch_all(pool).await)
        .map_err(lost)?;
        Ok(ids.into_iter().map(ExecutionId).collect())
    }
}

fn offset(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
