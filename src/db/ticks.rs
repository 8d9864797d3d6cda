//! Schedules moved on: each step is one transaction, begun with an `UPDATE` that names the state that it expects. Of
//! several servers that see the same tick due, one hits and the others do nothing.

use jiff::Timestamp;

use super::transaction::{Transaction, within};
use super::{lost, micros, number};
use crate::error::Result;
use crate::execution::Parent;
use crate::schedule::{Schedule, ScheduledRun, TickOutcome};

/// How many ticks of each schedule are remembered.
const REMEMBERED: i64 = 1000;

/// How a schedule stands after a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Whether it is paused.
    pub paused: bool,
    /// The next tick.
    pub next_run: Option<Timestamp>,
    /// The tick that waits.
    pub queued: Option<Timestamp>,
    /// How many more ticks were skipped.
    pub skipped: usize,
    /// Why the last tick came to nothing.
    pub last_error: Option<String>,
}

impl Step {
    /// No step.
    pub fn of(schedule: &Schedule) -> Self {
        Self {
            paused: schedule.paused,
            next_run: schedule.next_run,
            queued: schedule.queued,
            skipped: 0,
            last_error: schedule.last_error.clone(),
        }
    }
}

/// What became of a tick; see [`crate::schedule::TickRecord`].
#[derive(Debug, Clone)]
pub struct NewTick {
    /// When it was due.
    pub scheduled_time: Timestamp,
    /// Whether somebody asked for it.
    pub manual: bool,
    /// What became of it.
    pub outcome: TickOutcome,
    /// How many ticks this stands for.
    pub ticks: usize,
    /// What was accepted.
    pub run: Option<ScheduledRun>,
    /// Why there is none.
    pub reason: Option<String>,
}

impl Transaction {
    /// Takes a schedule a step on; false when it is not any more as it was read, and then this is to be dropped.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn step_schedule(&mut self, schedule: &Schedule, step: &Step) -> Result<bool> {
        let done = within!(self, connection => sqlx::query(
            "UPDATE schedules SET paused = $1, next_run = $2, queued = $3, skipped = skipped + $4, last_error = $5, \
             revision = revision + 1 WHERE id = $6 AND revision = $7",
        )
        .bind(i64::from(step.paused))
        .bind(step.next_run.map(micros))
        .bind(step.queued.map(micros))
        .bind(number(step.skipped))
        .bind(&step.last_error)
        .bind(schedule.id.0)
        .bind(schedule.revision)
        .execute(connection).await.map(|done| done.rows_affected()))
        .map_err(lost)?;
        Ok(done == 1)
    }

    /// Records what became of a tick, and forgets the oldest.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn record_tick(&mut self, schedule: &Schedule, tick: &NewTick, now: Timestamp) -> Result<()> {
        within!(self, connection => sqlx::query(
            "INSERT INTO schedule_ticks (schedule_id, scheduled_time, manual, outcome, ticks, execution_id, workflow_id, \
             sweep_id, reason, recorded_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(schedule.id.0)
        .bind(micros(tick.scheduled_time))
        .bind(i64::from(tick.manual))
        .bind(tick.outcome.as_str())
        .bind(number(tick.ticks))
        .bind(tick.run.and_then(ScheduledRun::execution_id).map(|id| id.0))
        .bind(tick.run.and_then(ScheduledRun::workflow_id).map(|id| id.0))
        .bind(tick.run.and_then(ScheduledRun::sweep_id).map(|id| id.0))
        .bind(&tick.reason)
        .bind(micros(now))
        .execute(connection).await.map(drop))
        .map_err(lost)?;
        within!(self, connection => sqlx::query(
            "DELETE FROM schedule_ticks WHERE schedule_id = $1 AND id <= (SELECT id FROM schedule_ticks \
             WHERE schedule_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)",
        )
        .bind(schedule.id.0)
        .bind(REMEMBERED)
        .execute(connection).await.map(drop))
        .map_err(lost)
    }

    /// Whether a parent has started this child already.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn has_child(&mut self, parent: &Parent) -> Result<bool> {
        let found: Option<i64> = within!(self, connection => sqlx::query_scalar(
            "SELECT id FROM executions WHERE parent = $1 AND child = $2 \
             UNION ALL SELECT id FROM flows WHERE parent = $1 AND child = $2",
        )
        .bind(parent.parent().to_string())
        .bind(&parent.child)
        .fetch_optional(connection).await)
        .map_err(lost)?;
        Ok(found.is_some())
    }
}
