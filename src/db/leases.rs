//! Who may run an execution: claims, leases, and what only their holder may write.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Database, Pool, lost, micros, number, on, returned, to_json};
use crate::error::Result;
use crate::execution::{CellError, ExecutionId, ExecutionStatus, Progress};

/// How much longer than others' a worker's own leases must have run out before it gives them up itself.
const OWN_PATIENCE: Duration = Duration::from_secs(120);

/// The key of PostgreSQL's lock under which claims are counted, when there is something to count.
const CLAIMS_LOCK: i64 = 0x62_696e_6465_7279;

/// A worker's right to an execution: good only while the row still names this owner and attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The execution.
    pub id: ExecutionId,
    /// The worker, unique per process.
    pub owner: String,
    /// Which attempt this is; it fences off an earlier attempt of the same worker.
    pub attempt: u32,
    /// How many attempts there may be.
    pub max_attempts: u32,
}

/// The end of an execution.
#[derive(Debug, Clone)]
pub struct Finish {
    /// A final status.
    pub status: ExecutionStatus,
    /// Why it failed.
    pub error: Option<CellError>,
    /// What a reader should know.
    pub warnings: Vec<String>,
    /// Where the result is, relative to the notebooks root, when it is not where it was asked for.
    pub output_path: Option<String>,
    /// Whether the notebook is still to be saved.
    pub undelivered: bool,
    /// What the notebook recorded, by name.
    pub results: Map<String, Value>,
}

impl Finish {
    /// An end of which there is no more to say.
    pub fn new(status: ExecutionStatus, error: Option<CellError>) -> Self {
        Self {
            status,
            error,
            warnings: Vec::new(),
            output_path: None,
            undelivered: false,
            results: Map::new(),
        }
    }
}

/// How many executions may run at once, over all workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClaimLimits {
    /// All together.
    pub running: Option<usize>,
    /// Those of each user; those of nobody are not counted.
    pub running_per_user: Option<usize>,
}

impl Database {
    /// Takes the pending execution of the highest priority that has waited longest for `owner`, or none. One that `limits`
    /// hold back lets others pass.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn claim_execution(
        &self,
        owner: &str,
        lease: Duration,
        limits: ClaimLimits,
        now: Timestamp,
    ) -> Result<Option<Lease>> {
        let text = format!(
            "UPDATE executions SET status = 'running', lease_owner = $1, lease_expires_at = $2, \
             start_time = $3, attempts = attempts + 1, cells_done = 0, code_cells_done = 0, current_cell = NULL \
             WHERE id = (SELECT id FROM executions WHERE status = 'pending' \
             AND ($4 IS NULL OR (SELECT count(*) FROM executions WHERE status = 'running') < $4) \
             AND ($5 IS NULL OR username IS NULL OR username NOT IN (SELECT username FROM executions \
             WHERE status = 'running' AND username IS NOT NULL GROUP BY username HAVING count(*) >= $5)) \
             ORDER BY priority DESC, id LIMIT 1{}) \
             AND status = 'pending' RETURNING id, attempts, max_attempts",
            self.row_lock()
        );
        macro_rules! claim {
            ($executor:expr) => {
                sqlx::query_as::<_, (i64, i64, i64)>(sqlx::AssertSqlSafe(text))
                    .bind(owner)
                    .bind(expiry(now, lease))
                    .bind(micros(now))
                    .bind(limits.running.map(number))
                    .bind(limits.running_per_user.map(number))
                    .fetch_all($executor)
                    .await
            };
        }
        let rows = match &self.pool {
            // Two that count at the same time would both see room for one.
            Pool::Postgres(pool) if limits != ClaimLimits::default() => {
                async {
                    let mut transaction = pool.begin().await?;
                    sqlx::query("SELECT pg_advisory_xact_lock($1)")
                        .bind(CLAIMS_LOCK)
                        .execute(&mut *transaction)
                        .await?;
                    let rows = claim!(&mut *transaction)?;
                    transaction.commit().await?;
                    Ok(rows)
                }
                .await
            }
            Pool::Postgres(pool) => claim!(pool),
            Pool::Sqlite(file) => claim!(&file.pool),
        }
        .map_err(lost)?;
        Ok(returned(rows).map(|row| granted(owner, row)))
    }

    /// Takes a running execution whose lease has run out, so that its remains can be settled; or none.
    ///
    /// The lease goes to `settler`, a name that is not that of any worker: a worker that was only asleep (a
    /// laptop with its lid closed) writes nothing any more. The executions of `worker`, the one in this
    /// process, are left to it for longer: it prolongs its leases as soon as it is awake.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn claim_abandoned(
        &self,
        worker: &str,
        settler: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<Lease>> {
        let text = format!(
            "UPDATE executions SET lease_owner = $1, lease_expires_at = $2 \
             WHERE id = (SELECT id FROM executions WHERE status = 'running' \
             AND lease_expires_at < CASE lease_owner WHEN $3 THEN $4 ELSE $5 END LIMIT 1{}) \
             AND status = 'running' AND lease_expires_at < $5 RETURNING id, attempts, max_attempts",
            self.row_lock()
        );
        let own = micros(now) - i64::try_from(OWN_PATIENCE.as_micros()).unwrap_or(i64::MAX);
        let rows = on!(self, pool => sqlx::query_as::<_, (i64, i64, i64)>(sqlx::AssertSqlSafe(text))
            .bind(settler)
            .bind(expiry(now, lease))
            .bind(worker)
            .bind(own)
            .bind(micros(now))
            .fetch_all(pool).await)
        .map_err(lost)?;
        Ok(returned(rows).map(|row| granted(settler, row)))
    }

    /// Prolongs a lease; says whether it is still held, and if so whether a cancel was asked for.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn renew_lease(&self, lease: &Lease, by: Duration, now: Timestamp) -> Result<Option<bool>> {
        let cancel: Vec<i64> = on!(self, pool => sqlx::query_scalar(
            "UPDATE executions SET lease_expires_at = $1 \
             WHERE id = $2 AND status = 'running' AND lease_owner = $3 AND attempts = $4 RETURNING cancel_requested",
        )
        .bind(expiry(now, by))
        .bind(lease.id.0)
        .bind(&lease.owner)
        .bind(i64::from(lease.attempt))
        .fetch_all(pool).await)
        .map_err(lost)?;
        Ok(returned(cancel).map(|cancel| cancel != 0))
    }

    /// Records how far a run has come and on which kernel; false when the lease is lost.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn record_progress(
        &self,
        lease: &Lease,
        progress: Progress,
        code_cells_done: usize,
        kernel: &str,
    ) -> Result<bool> {
        let done = on!(self, pool => sqlx::query(
            "UPDATE executions SET cells_done = $1, cells_total = $2, current_cell = $3, kernel_used = $4, \
             code_cells_done = $5 WHERE id = $6 AND status = 'running' AND lease_owner = $7 AND attempts = $8",
        )
        .bind(number(progress.cells_done))
        .bind(number(progress.cells_total))
        .bind(progress.current_cell.map(number))
        .bind(kernel)
        .bind(number(code_cells_done))
        .bind(lease.id.0)
        .bind(&lease.owner)
        .bind(i64::from(lease.attempt))
        .execute(pool).await.map(|done| done.rows_affected()))
        .map_err(lost)?;
        Ok(done == 1)
    }

    /// Writes the final status; false when the lease is lost, and then nothing is written.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn finish_execution(&self, lease: &Lease, finish: &Finish, now: Timestamp) -> Result<bool> {
        let error = finish.error.as_ref().map(to_json).transpose()?;
        let warnings = to_json(&finish.warnings)?;
        let results = (!finish.results.is_empty()).then(|| to_json(&finish.results)).transpose()?;
        let done = on!(self, pool => sqlx::query(
            "UPDATE executions SET status = $1, end_time = $2, error = $3, warnings = $4, \
             output_path = coalesce($5, output_path), current_cell = NULL, lease_owner = NULL, lease_expires_at = NULL, \
             undelivered = $6, results = $7 WHERE id = $8 AND status = 'running' AND lease_owner = $9 AND attempts = $10",
        )
        .bind(finish.status.as_str())
        .bind(micros(now))
        .bind(&error)
        .bind(&warnings)
        .bind(&finish.output_path)
        .bind(i64::from(finish.undelivered))
        .bind(&results)
        .bind(lease.id.0)
        .bind(&lease.owner)
        .bind(i64::from(lease.attempt))
        .execute(pool).await.map(|done| done.rows_affected()))
        .map_err(lost)?;
        Ok(done == 1)
    }

    /// Puts an execution back into the queue for another attempt; false when the lease is lost.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn requeue_execution(&self, lease: &Lease) -> Result<bool> {
        let done = on!(self, pool => sqlx::query(
            "UPDATE executions SET status = 'pending', lease_owner = NULL, lease_expires_at = NULL, current_cell = NULL \
             WHERE id = $1 AND status = 'running' AND lease_owner = $2 AND attempts = $3 AND cancel_requested = 0",
        )
        .bind(lease.id.0)
        .bind(&lease.owner)
        .bind(i64::from(lease.attempt))
        .execute(pool).await.map(|done| done.rows_affected()))
        .map_err(lost)?;
        Ok(done == 1)
    }

    /// What makes two who look for a row at the same time find two rows. SQLite has one writer at a time anyway.
    fn row_lock(&self) -> &'static str {
        match self.pool {
            Pool::Sqlite(_) => "",
            Pool::Postgres(_) => " FOR UPDATE SKIP LOCKED",
        }
    }
}

fn granted(owner: &str, (id, attempts, max_attempts): (i64, i64, i64)) -> Lease {
    let count = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
    Lease {
        id: ExecutionId(id),
        owner: owner.into(),
        attempt: count(attempts),
        max_attempts: count(max_attempts),
    }
}

pub(super) fn expiry(now: Timestamp, lease: Duration) -> i64 {
    micros(now).saturating_add(i64::try_from(lease.as_micros()).unwrap_or(i64::MAX))
}
