//! Workflows and sweeps in the database. Whatever is changed of one is changed in a transaction that has its row first
//! (`locked.rs`), together with the rows of the executions that it starts: whoever dies, all of a change is there or none.

mod locked;
mod record;
mod tasks;

use jiff::Timestamp;

use super::{Database, lost, micros, number, on, returned, to_json};
use crate::error::{Error, Result};
use crate::execution::{ExecutionStatus, MlflowLink, ParentKind};
use crate::flow::{Flow, FlowId, FlowStep, FlowTask};
use record::{FlowRow, StepRow, TaskRow};
pub use tasks::EndedTask;

/// How many rows one statement inserts: PostgreSQL takes 65,535 values.
const ROWS: usize = 1_000;

/// Which flows to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct FlowFilter {
    /// Only these, workflows or sweeps.
    pub kind: Option<ParentKind>,
    /// Only those with this status.
    pub status: Option<ExecutionStatus>,
    /// Only those of this user.
    pub username: Option<String>,
    /// Only those with a smaller id: the last id of the page before.
    pub before: Option<FlowId>,
    /// At most so many.
    pub limit: u32,
}

impl Database {
    /// One flow.
    ///
    /// # Errors
    /// `NotFound` when there is none of this kind with this id.
    pub async fn flow(&self, kind: ParentKind, id: FlowId) -> Result<Flow> {
        on!(self, pool => sqlx::query_as::<_, FlowRow>("SELECT * FROM flows WHERE id = $1 AND kind = $2")
            .bind(id.0)
            .bind(kind.as_str())
            .fetch_optional(pool).await)
        .map_err(lost)?
        .map(FlowRow::read)
        .transpose()?
        .ok_or_else(|| Error::not_found(format!("there is no {kind} {id}")))
    }

    /// Flows, newest first.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn list_flows(&self, filter: &FlowFilter) -> Result<Vec<Flow>> {
        on!(self, pool => sqlx::query_as::<_, FlowRow>(
            "SELECT * FROM flows WHERE ($1 IS NULL OR kind = $1) AND ($2 IS NULL OR status = $2) \
             AND ($3 IS NULL OR username = $3) AND ($4 IS NULL OR id < $4) ORDER BY id DESC LIMIT $5",
        )
        .bind(filter.kind.map(ParentKind::as_str))
        .bind(filter.status.map(ExecutionStatus::as_str))
        .bind(&filter.username)
        .bind(filter.before.map(|id| id.0))
        .bind(i64::from(filter.limit))
        .fetch_all(pool).await)
        .map_err(lost)?
        .into_iter()
        .map(FlowRow::read)
        .collect()
    }

    /// The steps of a flow in their order.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn flow_steps(&self, id: FlowId) -> Result<Vec<FlowStep>> {
        on!(self, pool => sqlx::query_as::<_, StepRow>(
            "SELECT * FROM flow_steps WHERE flow_id = $1 ORDER BY position",
        )
        .bind(id.0)
        .fetch_all(pool).await)
        .map_err(lost)?
        .into_iter()
        .map(StepRow::read)
        .collect()
    }

    /// The tasks of a step, or of all steps, in their order.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn flow_tasks(&self, id: FlowId, step: Option<usize>) -> Result<Vec<FlowTask>> {
        on!(self, pool => sqlx::query_as::<_, TaskRow>(
            "SELECT * FROM flow_tasks WHERE flow_id = $1 AND ($2 IS NULL OR step = $2) ORDER BY step, item",
        )
        .bind(id.0)
        .bind(step.map(number))
        .fetch_all(pool).await)
        .map_err(lost)?
        .into_iter()
        .map(TaskRow::read)
        .collect()
    }

    /// The flow that was asked for under an idempotency key, and what was asked then.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn flow_by_key(&self, key: &str) -> Result<Option<Flow>> {
        on!(self, pool => sqlx::query_as::<_, FlowRow>("SELECT * FROM flows WHERE idempotency_key = $1")
            .bind(key)
            .fetch_optional(pool).await)
        .map_err(lost)?
        .map(FlowRow::read)
        .transpose()
    }

    /// The flows that can go on now: an execution of theirs has ended, a retry or their deadline is due; and when the next
    /// of these times is.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn flows_to_advance(&self, now: Timestamp) -> Result<(Vec<FlowId>, Option<Timestamp>)> {
        let ids: Vec<i64> = on!(self, pool => sqlx::query_scalar(
            "SELECT id FROM flows WHERE end_time IS NULL AND (wake_at <= $1 OR EXISTS (SELECT 1 FROM flow_tasks \
             JOIN executions ON executions.id = flow_tasks.execution_id WHERE flow_tasks.flow_id = flows.id \
             AND flow_tasks.status = 'running' AND executions.status IN ('success', 'failed', 'cancelled'))) \
             ORDER BY id",
        )
        .bind(micros(now))
        .fetch_all(pool).await)
        .map_err(lost)?;
        let next: Option<i64> = on!(self, pool => sqlx::query_scalar(
            "SELECT min(wake_at) FROM flows WHERE end_time IS NULL AND wake_at > $1",
        )
        .bind(micros(now))
        .fetch_one(pool).await)
        .map_err(lost)?;
        Ok((ids.into_iter().map(FlowId).collect(), next.map(super::timestamp)))
    }

    /// Asks a flow to stop; false when it has ended already.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn request_flow_cancel(&self, id: FlowId) -> Result<bool> {
        let asked: Vec<i64> = on!(self, pool => sqlx::query_scalar(
            "UPDATE flows SET cancel_requested = 1 WHERE id = $1 AND end_time IS NULL RETURNING id",
        )
        .bind(id.0)
        .fetch_all(pool).await)
        .map_err(lost)?;
        Ok(returned(asked).is_some())
    }

    /// The ended flows whose runs in MLflow are still to be ended.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn flows_to_tell(&self) -> Result<Vec<Flow>> {
        on!(self, pool => sqlx::query_as::<_, FlowRow>(
            "SELECT * FROM flows WHERE mlflow_open = 1 AND end_time IS NOT NULL ORDER BY id LIMIT 20",
        )
        .fetch_all(pool).await)
        .map_err(lost)?
        .into_iter()
        .map(FlowRow::read)
        .collect()
    }

    /// Notes that a flow's run in MLflow has been ended, or why it never will.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn close_flow_tracking(&self, id: FlowId, link: &MlflowLink) -> Result<()> {
        let link = to_json(link)?;
        on!(self, pool => sqlx::query("UPDATE flows SET mlflow = $1, mlflow_open = 0 WHERE id = $2 AND end_time IS NOT NULL")
            .bind(&link)
            .bind(id.0)
            .execute(pool).await.map(drop))
        .map_err(lost)
    }
}
