//! Executions in the database. The table is the record and the queue at once: claiming a row is one
//! fenced `UPDATE`, so there is no second truth that could disagree.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Database, from_json, lost, micros, returned, timestamp, to_json};
use crate::error::{Error, Result};
use crate::execution::{
    CellError, Execution, ExecutionId, ExecutionRequest, ExecutionStatus, MlflowLink, Progress,
};

/// How much longer than others' a worker's own leases must have run out before it gives them up itself.
const OWN_PATIENCE: Duration = Duration::from_secs(120);

/// A worker's right to an execution: good only while the row still names this owner and attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The execution.
    pub id: ExecutionId,
    /// The worker, unique per process.
    pub owner: String,
    /// Which attempt this is; it fences off an earlier attempt of the same worker.
    pub attempt: u32,
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
}

/// Which executions to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct ExecutionFilter {
    /// Only those with this status.
    pub status: Option<ExecutionStatus>,
    /// Only those of this user.
    pub username: Option<String>,
    /// Only those of this notebook.
    pub notebook_path: Option<String>,
    /// Only those with a smaller id: the last id of the page before.
    pub before: Option<ExecutionId>,
    /// At most so many.
    pub limit: u32,
}

impl Database {
    /// Records an execution as `pending`. Once this returns, the execution is in the queue.
    ///
    /// # Errors
    /// `Conflict` when another execution is pending or running on the same output or has the same idempotency key,
    /// `Unavailable` when the database cannot be used or its file is gone.
    pub async fn insert_execution(&self, request: &ExecutionRequest, now: Timestamp) -> Result<ExecutionId> {
        self.check_file().await?;
        let inserted = sqlx::query_scalar::<_, i64>(
            "INSERT INTO executions (status, notebook_path, output_path, username, request, submitted_at, idempotency_key) \
             VALUES ('pending', $1, $2, $3, $4, $5, $6) RETURNING id",
        )
        .bind(&request.notebook_path)
        .bind(&request.output_path)
        .bind(&request.username)
        .bind(to_json(request)?)
        .bind(micros(now))
        .bind(&request.idempotency_key)
        .fetch_all(&self.pool)
        .await;
        match inserted {
            Ok(ids) => returned(ids)
                .map(ExecutionId)
                .ok_or_else(|| Error::internal("the database gave an execution no id")),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                let other: Option<i64> = sqlx::query_scalar(
                    "SELECT id FROM executions WHERE output_path = $1 AND status IN ('pending', 'running')",
                )
                .bind(&request.output_path)
                .fetch_optional(&self.pool)
                .await
                .map_err(lost)?;
                let other = other.map_or_else(|| "another execution".into(), |id| format!("execution {id}"));
                Err(Error::conflict(format!(
                    "{other} is already pending or running on `{}`: wait for it, cancel it, or give another `output_path`",
                    request.output_path
                )))
            }
            Err(error) => Err(lost(error)),
        }
    }

    /// Takes the oldest pending execution for `owner`, or none.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn claim_execution(
        &self,
        owner: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<Lease>> {
        let rows = sqlx::query(
            "UPDATE executions SET status = 'running', lease_owner = $1, lease_expires_at = $2, \
             start_time = $3, attempts = attempts + 1, cells_done = 0, code_cells_done = 0, current_cell = NULL \
             WHERE id = (SELECT id FROM executions WHERE status = 'pending' ORDER BY id LIMIT 1) \
             AND status = 'pending' RETURNING id, attempts",
        )
        .bind(owner)
        .bind(expiry(now, lease))
        .bind(micros(now))
        .fetch_all(&self.pool)
        .await
        .map_err(lost)?;
        returned(rows)
            .map(|row| {
                Ok(Lease {
                    id: ExecutionId(get(&row, "id")?),
                    owner: owner.into(),
                    attempt: get(&row, "attempts")?,
                })
            })
            .transpose()
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
        let rows = sqlx::query(
            "UPDATE executions SET lease_owner = $1, lease_expires_at = $2 \
             WHERE id = (SELECT id FROM executions WHERE status = 'running' \
             AND lease_expires_at < CASE lease_owner WHEN $3 THEN $4 ELSE $5 END LIMIT 1) \
             AND status = 'running' AND lease_expires_at < $5 RETURNING id, attempts",
        )
        .bind(settler)
        .bind(expiry(now, lease))
        .bind(worker)
        .bind(micros(now) - i64::try_from(OWN_PATIENCE.as_micros()).unwrap_or(i64::MAX))
        .bind(micros(now))
        .fetch_all(&self.pool)
        .await
        .map_err(lost)?;
        returned(rows)
            .map(|row| {
                Ok(Lease {
                    id: ExecutionId(get(&row, "id")?),
                    owner: settler.into(),
                    attempt: get(&row, "attempts")?,
                })
            })
            .transpose()
    }

    /// Prolongs a lease; says whether it is still held, and if so whether a cancel was asked for.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn renew_lease(&self, lease: &Lease, by: Duration, now: Timestamp) -> Result<Option<bool>> {
        let cancel: Vec<i64> = sqlx::query_scalar(
            "UPDATE executions SET lease_expires_at = $1 \
             WHERE id = $2 AND status = 'running' AND lease_owner = $3 AND attempts = $4 RETURNING cancel_requested",
        )
        .bind(expiry(now, by))
        .bind(lease.id.0)
        .bind(&lease.owner)
        .bind(lease.attempt)
        .fetch_all(&self.pool)
        .await
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
        let done = sqlx::query(
            "UPDATE executions SET cells_done = $1, cells_total = $2, current_cell = $3, kernel_used = $4, \
             code_cells_done = $5 WHERE id = $6 AND status = 'running' AND lease_owner = $7 AND attempts = $8",
        )
        .bind(progress.cells_done as i64)
        .bind(progress.cells_total as i64)
        .bind(progress.current_cell.map(|cell| cell as i64))
        .bind(kernel)
        .bind(code_cells_done as i64)
        .bind(lease.id.0)
        .bind(&lease.owner)
        .bind(lease.attempt)
        .execute(&self.pool)
        .await
        .map_err(lost)?;
        Ok(done.rows_affected() == 1)
    }

    /// Writes the final status; false when the lease is lost, and then nothing is written.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn finish_execution(&self, lease: &Lease, finish: &Finish, now: Timestamp) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE executions SET status = $1, end_time = $2, error = $3, warnings = $4, \
             output_path = coalesce($5, output_path), current_cell = NULL, lease_owner = NULL, lease_expires_at = NULL \
             WHERE id = $6 AND status = 'running' AND lease_owner = $7 AND attempts = $8",
        )
        .bind(finish.status.as_str())
        .bind(micros(now))
        .bind(finish.error.as_ref().map(to_json).transpose()?)
        .bind(to_json(&finish.warnings)?)
        .bind(&finish.output_path)
        .bind(lease.id.0)
        .bind(&lease.owner)
        .bind(lease.attempt)
        .execute(&self.pool)
        .await
        .map_err(lost)?;
        Ok(done.rows_affected() == 1)
    }

    /// Records where MLflow has the run. Not fenced: links come after the final status, too.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn record_mlflow(&self, id: ExecutionId, link: &MlflowLink) -> Result<()> {
        sqlx::query("UPDATE executions SET mlflow = $1 WHERE id = $2")
            .bind(to_json(link)?)
            .bind(id.0)
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(lost)
    }

    /// Notes that an ended execution's notebook was saved after all, and where.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` when the database cannot be used.
    pub async fn record_delivery(&self, id: ExecutionId, output_path: &str, warning: &str) -> Result<()> {
        let mut warnings = self.execution(id).await?.warnings;
        warnings.push(warning.to_owned());
        sqlx::query("UPDATE executions SET output_path = $1, warnings = $2 WHERE id = $3")
            .bind(output_path)
            .bind(to_json(&warnings)?)
            .bind(id.0)
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(lost)
    }

    /// Cancels a pending execution at once, or asks the worker of a running one to stop it.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it has ended already.
    pub async fn cancel_execution(&self, id: ExecutionId, now: Timestamp) -> Result<ExecutionStatus> {
        let status: Vec<String> = sqlx::query_scalar(
            "UPDATE executions SET cancel_requested = 1, \
             end_time = CASE status WHEN 'pending' THEN $1 ELSE end_time END, \
             status = CASE status WHEN 'pending' THEN 'cancelled' ELSE status END \
             WHERE id = $2 AND status IN ('pending', 'running') RETURNING status",
        )
        .bind(micros(now))
        .bind(id.0)
        .fetch_all(&self.pool)
        .await
        .map_err(lost)?;
        match returned(status) {
            Some(status) => status.parse(),
            None => {
                let execution = self.execution(id).await?;
                Err(Error::conflict(format!("execution {id} has already ended: {}", execution.status)))
            }
        }
    }

    /// One execution.
    ///
    /// # Errors
    /// `NotFound` when there is none with this id.
    pub async fn execution(&self, id: ExecutionId) -> Result<Execution> {
        sqlx::query("SELECT * FROM executions WHERE id = $1")
            .bind(id.0)
            .fetch_optional(&self.pool)
            .await
            .map_err(lost)?
            .map(|row| read(&row))
            .transpose()?
            .ok_or_else(|| Error::not_found(format!("there is no execution {id}")))
    }

    /// Executions, newest first.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn list_executions(&self, filter: &ExecutionFilter) -> Result<Vec<Execution>> {
        sqlx::query(
            "SELECT * FROM executions WHERE ($1 IS NULL OR status = $1) AND ($2 IS NULL OR username = $2) \
             AND ($3 IS NULL OR notebook_path = $3) AND ($4 IS NULL OR id < $4) ORDER BY id DESC LIMIT $5",
        )
        .bind(filter.status.map(ExecutionStatus::as_str))
        .bind(&filter.username)
        .bind(&filter.notebook_path)
        .bind(filter.before.map(|id| id.0))
        .bind(filter.limit)
        .fetch_all(&self.pool)
        .await
        .map_err(lost)?
        .iter()
        .map(read)
        .collect()
    }

    /// How many executions have each status.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn count_executions(&self) -> Result<Vec<(ExecutionStatus, u64)>> {
        sqlx::query("SELECT status, count(*) AS number FROM executions GROUP BY status")
            .fetch_all(&self.pool)
            .await
            .map_err(lost)?
            .iter()
            .map(|row| {
                Ok((get::<String>(row, "status")?.parse()?, get::<i64>(row, "number")?.unsigned_abs()))
            })
            .collect()
    }
}

fn expiry(now: Timestamp, lease: Duration) -> i64 {
    micros(now).saturating_add(i64::try_from(lease.as_micros()).unwrap_or(i64::MAX))
}

fn get<'r, T>(row: &'r SqliteRow, column: &str) -> Result<T>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(column)
        .map_err(|error| Error::internal("a record in the database cannot be read").with_source(error))
}

fn read(row: &SqliteRow) -> Result<Execution> {
    let mut request: ExecutionRequest = from_json(get(row, "request")?)?;
    // The worker may have had to put the result elsewhere.
    request.output_path = get(row, "output_path")?;
    let count = |column| get::<i64>(row, column).map(|count| usize::try_from(count).unwrap_or(0));
    Ok(Execution {
        id: ExecutionId(get(row, "id")?),
        status: get::<String>(row, "status")?.parse()?,
        request,
        submitted_at: timestamp(get(row, "submitted_at")?),
        start_time: get::<Option<i64>>(row, "start_time")?.map(timestamp),
        end_time: get::<Option<i64>>(row, "end_time")?.map(timestamp),
        progress: Progress {
            cells_done: count("cells_done")?,
            cells_total: count("cells_total")?,
            current_cell: get::<Option<i64>>(row, "current_cell")?
                .and_then(|cell| usize::try_from(cell).ok()),
        },
        code_cells_done: count("code_cells_done")?,
        error: get::<Option<&str>>(row, "error")?.map(from_json::<CellError>).transpose()?,
        mlflow: get::<Option<&str>>(row, "mlflow")?.map(from_json::<MlflowLink>).transpose()?,
        attempts: get(row, "attempts")?,
        kernel_used: get(row, "kernel_used")?,
        warnings: from_json(get(row, "warnings")?)?,
        cancel_requested: get::<i64>(row, "cancel_requested")? != 0,
    })
}
