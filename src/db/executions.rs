//! Executions in the database: recorded, found, listed, cancelled. The table is the record and the queue at once:
//! claiming a row is one fenced `UPDATE` (`leases.rs`), so there is no second truth that could disagree.

use jiff::Timestamp;

use super::leases::expiry;
use super::record::ExecutionRow;
use super::transaction::{Open, Transaction, within};
use super::{Database, lost, micros, on, returned, to_json};
use crate::error::{Error, Result};
use crate::execution::{
    CellError, Execution, ExecutionId, ExecutionRequest, ExecutionStatus, MlflowLink, ParentId,
};

/// Which executions to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct ExecutionFilter {
    /// Only those with this status.
    pub status: Option<ExecutionStatus>,
    /// Only those of this user.
    pub username: Option<String>,
    /// Only those of this notebook.
    pub notebook_path: Option<String>,
    /// Only those that this has started.
    pub parent: Option<ParentId>,
    /// Only those with a smaller id: the last id of the page before.
    pub before: Option<ExecutionId>,
    /// At most so many.
    pub limit: u32,
}

/// What a conflict comes to: no row. PostgreSQL would end the transaction otherwise; on SQLite a statement that fails changes
/// nothing, while one that does nothing uses up an id.
const CONFLICTS: (&str, &str) = ("", "ON CONFLICT DO NOTHING");

/// Puts a request into the queue, wherever `$executor` leads; no row comes back when the output, the idempotency key or the
/// place at its parent is taken, which breaks no transaction.
macro_rules! insert {
    ($executor:expr, $conflicts:expr, $request:expr, $now:expr) => {{
        let request: &ExecutionRequest = $request;
        let json = to_json(request)?;
        let deadline = request.limits.queue_timeout.map(|patience| expiry($now, patience));
        let text = format!(
            "INSERT INTO executions (status, notebook_path, output_path, username, request, submitted_at, \
             idempotency_key, priority, max_attempts, queue_deadline, parent, child) \
             VALUES ('pending', $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) {} RETURNING id",
            $conflicts
        );
        let inserted = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(text))
            .bind(&request.notebook_path)
            .bind(&request.output_path)
            .bind(&request.username)
            .bind(&json)
            .bind(micros($now))
            .bind(&request.idempotency_key)
            .bind(i64::from(request.priority))
            .bind(i64::from(request.max_attempts))
            .bind(deadline)
            .bind(request.parent.as_ref().map(|parent| parent.parent().to_string()))
            .bind(request.parent.as_ref().map(|parent| parent.child.as_str()))
            .fetch_all($executor)
            .await;
        match inserted {
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(Vec::new()),
            inserted => inserted,
        }
    }};
}

impl Transaction {
    /// Records an execution as `pending`, once this transaction is committed; `None` when its output is being written by
    /// another, or its parent has this child already.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn insert_execution(
        &mut self,
        request: &ExecutionRequest,
        now: Timestamp,
    ) -> Result<Option<ExecutionId>> {
        let conflicts = match self.open {
            Open::Sqlite(_) => CONFLICTS.0,
            Open::Postgres(_) => CONFLICTS.1,
        };
        let ids = within!(self, connection => insert!(connection, conflicts, request, now)).map_err(lost)?;
        Ok(returned(ids).map(ExecutionId))
    }
}

impl Database {
    /// Records an execution as `pending`. Once this returns, the execution is in the queue.
    ///
    /// # Errors
    /// `Conflict` when another execution is pending or running on the same output or has the same idempotency key,
    /// `Unavailable` when the database cannot be used or its file is gone.
    pub async fn insert_execution(&self, request: &ExecutionRequest, now: Timestamp) -> Result<ExecutionId> {
        self.check_file().await?;
        let conflicts = if self.is_shared() { CONFLICTS.1 } else { CONFLICTS.0 };
        let inserted = on!(self, pool => insert!(pool, conflicts, request, now));
        match inserted.map(returned) {
            Ok(Some(id)) => Ok(ExecutionId(id)),
            Ok(None) => {
                let other: Option<i64> = on!(self, pool => sqlx::query_scalar(
                    "SELECT id FROM executions WHERE output_path = $1 AND status IN ('pending', 'running')",
                )
                .bind(&request.output_path)
                .fetch_optional(pool).await)
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

    /// Records where MLflow has the run. Not fenced: links come after the final status, too.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn record_mlflow(&self, id: ExecutionId, link: &MlflowLink) -> Result<()> {
        let link = to_json(link)?;
        on!(self, pool => sqlx::query("UPDATE executions SET mlflow = $1 WHERE id = $2")
            .bind(&link)
            .bind(id.0)
            .execute(pool).await.map(drop))
        .map_err(lost)
    }

    /// Notes that an ended execution's notebook was saved after all, and where.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` when the database cannot be used.
    pub async fn record_delivery(&self, id: ExecutionId, output_path: &str, warning: &str) -> Result<()> {
        let mut warnings = self.execution(id).await?.warnings;
        warnings.push(warning.to_owned());
        let warnings = to_json(&warnings)?;
        on!(self, pool => sqlx::query("UPDATE executions SET output_path = $1, warnings = $2, undelivered = 0 WHERE id = $3")
            .bind(output_path)
            .bind(&warnings)
            .bind(id.0)
            .execute(pool).await.map(drop))
            .map_err(lost)
    }

    /// Cancels a pending execution at once, or asks the worker of a running one to stop it.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it has ended already.
    pub async fn cancel_execution(&self, id: ExecutionId, now: Timestamp) -> Result<ExecutionStatus> {
        let status: Vec<String> = on!(self, pool => sqlx::query_scalar(
            "UPDATE executions SET cancel_requested = 1, \
             end_time = CASE status WHEN 'pending' THEN $1 ELSE end_time END, \
             status = CASE status WHEN 'pending' THEN 'cancelled' ELSE status END \
             WHERE id = $2 AND status IN ('pending', 'running') RETURNING status",
        )
        .bind(micros(now))
        .bind(id.0)
        .fetch_all(pool).await)
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
        on!(self, pool => sqlx::query_as::<_, ExecutionRow>("SELECT * FROM executions WHERE id = $1")
            .bind(id.0)
            .fetch_optional(pool).await)
        .map_err(lost)?
        .map(ExecutionRow::read)
        .transpose()?
        .ok_or_else(|| Error::not_found(format!("there is no execution {id}")))
    }

    /// Executions, newest first.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn list_executions(&self, filter: &ExecutionFilter) -> Result<Vec<Execution>> {
        on!(self, pool => sqlx::query_as::<_, ExecutionRow>(
            "SELECT * FROM executions WHERE ($1 IS NULL OR status = $1) AND ($2 IS NULL OR username = $2) \
             AND ($3 IS NULL OR notebook_path = $3) AND ($4 IS NULL OR id < $4) AND ($5 IS NULL OR parent = $5) \
             ORDER BY id DESC LIMIT $6",
        )
        .bind(filter.status.map(ExecutionStatus::as_str))
        .bind(&filter.username)
        .bind(&filter.notebook_path)
        .bind(filter.before.map(|id| id.0))
        .bind(filter.parent.map(|parent| parent.to_string()))
        .bind(i64::from(filter.limit))
        .fetch_all(pool).await)
        .map_err(lost)?
        .into_iter()
        .map(ExecutionRow::read)
        .collect()
    }

    /// How many executions have each status.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn count_executions(&self) -> Result<Vec<(ExecutionStatus, u64)>> {
        on!(self, pool => sqlx::query_as::<_, (String, i64)>("SELECT status, count(*) FROM executions GROUP BY status")
            .fetch_all(pool).await)
            .map_err(lost)?
            .into_iter()
            .map(|(status, count)| Ok((status.parse()?, count.unsigned_abs())))
            .collect()
    }

    /// How many executions a worker takes before this one; `None` when it does not wait.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn queue_position(&self, id: ExecutionId) -> Result<Option<u64>> {
        let before: Option<i64> = on!(self, pool => sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM executions AS others WHERE others.status = 'pending' \
             AND (others.priority > mine.priority OR (others.priority = mine.priority AND others.id < mine.id))) \
             FROM executions AS mine WHERE mine.id = $1 AND mine.status = 'pending'",
        )
        .bind(id.0)
        .fetch_optional(pool).await)
        .map_err(lost)?;
        Ok(before.map(i64::unsigned_abs))
    }

    /// Ends those that have waited in the queue for longer than they may; says which.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn fail_overdue(&self, now: Timestamp) -> Result<Vec<ExecutionId>> {
        let text = "no worker was free in the time that it may wait (`queue_timeout`)";
        let error = to_json(&CellError::new(None, "QueueTimeoutError", text))?;
        let ids: Vec<i64> = on!(self, pool => sqlx::query_scalar(
            "UPDATE executions SET status = 'failed', error = $1, end_time = $2 \
             WHERE status = 'pending' AND queue_deadline IS NOT NULL AND queue_deadline < $2 RETURNING id",
        )
        .bind(&error)
        .bind(micros(now))
        .fetch_all(pool).await)
        .map_err(lost)?;
        Ok(ids.into_iter().map(ExecutionId).collect())
    }
}
