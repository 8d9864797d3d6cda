//! Schedules in the database: written, found, and what became of their ticks. What moves one on is in `ticks.rs`.

use std::time::Duration;

use jiff::Timestamp;

use super::{Database, lost, micros, on, returned, timestamp};
use crate::error::{Error, Result};
use crate::execution::{ExecutionId, ParentId};
use crate::flow::FlowId;
use crate::schedule::{Definition, Schedule, ScheduleId, ScheduledRun, TickRecord};

/// One row as it is stored.
#[derive(sqlx::FromRow)]
struct ScheduleRow {
    id: i64,
    name: String,
    cron: String,
    time_zone: String,
    catch_up: String,
    misfire_grace: i64,
    overlap: String,
    target: String,
    paused: i64,
    next_run: Option<i64>,
    queued: Option<i64>,
    skipped: i64,
    last_error: Option<String>,
    created_at: i64,
    updated_at: i64,
    revision: i64,
}

impl ScheduleRow {
    fn read(self) -> Result<Schedule> {
        Ok(Schedule {
            id: ScheduleId(self.id),
            definition: Definition {
                name: self.name,
                cron: self.cron,
                time_zone: self.time_zone,
                catch_up: self.catch_up.parse()?,
                misfire_grace: Duration::from_micros(self.misfire_grace.unsigned_abs()),
                overlap: self.overlap.parse()?,
                target: self.target,
            },
            paused: self.paused != 0,
            next_run: self.next_run.map(timestamp),
            queued: self.queued.map(timestamp),
            skipped: self.skipped.unsigned_abs(),
            last_error: self.last_error,
            created_at: timestamp(self.created_at),
            updated_at: timestamp(self.updated_at),
            revision: self.revision,
        })
    }
}

#[derive(sqlx::FromRow)]
struct TickRow {
    id: i64,
    scheduled_time: i64,
    manual: i64,
    outcome: String,
    ticks: i64,
    execution_id: Option<i64>,
    workflow_id: Option<i64>,
    sweep_id: Option<i64>,
    status: Option<String>,
    reason: Option<String>,
    recorded_at: i64,
}

impl TickRow {
    fn read(self) -> Result<TickRecord> {
        Ok(TickRecord {
            id: self.id,
            scheduled_time: timestamp(self.scheduled_time),
            manual: self.manual != 0,
            outcome: self.outcome.parse()?,
            ticks: self.ticks.unsigned_abs(),
            run: run(self.execution_id, self.workflow_id, self.sweep_id),
            status: self.status.as_deref().map(str::parse).transpose()?,
            reason: self.reason,
            recorded_at: timestamp(self.recorded_at),
        })
    }
}

/// What the one id that is there is of.
fn run(execution_id: Option<i64>, workflow_id: Option<i64>, sweep_id: Option<i64>) -> Option<ScheduledRun> {
    let execution = execution_id.map(|id| ScheduledRun::Execution(ExecutionId(id)));
    let workflow = || workflow_id.map(|id| ScheduledRun::Workflow(FlowId(id)));
    let sweep = || sweep_id.map(|id| ScheduledRun::Sweep(FlowId(id)));
    execution.or_else(workflow).or_else(sweep)
}

fn grace(definition: &Definition) -> i64 {
    i64::try_from(definition.misfire_grace.as_micros()).unwrap_or(i64::MAX)
}

impl Database {
    /// Records a schedule; `None` when its name is taken.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn insert_schedule(
        &self,
        definition: &Definition,
        paused: bool,
        next_run: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<ScheduleId>> {
        self.check_file().await?;
        let ids: Vec<i64> = on!(self, pool => sqlx::query_scalar(
            "INSERT INTO schedules (name, cron, time_zone, catch_up, misfire_grace, overlap, target, paused, next_run, \
             created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) \
             ON CONFLICT DO NOTHING RETURNING id",
        )
        .bind(&definition.name)
        .bind(&definition.cron)
        .bind(&definition.time_zone)
        .bind(definition.catch_up.as_str())
        .bind(grace(definition))
        .bind(definition.overlap.as_str())
        .bind(&definition.target)
        .bind(i64::from(paused))
        .bind(next_run.map(micros))
        .bind(micros(now))
        .fetch_all(pool).await)
        .map_err(lost)?;
        Ok(returned(ids).map(ScheduleId))
    }

    /// Gives a schedule another definition; false when it has changed since it was read.
    ///
    /// # Errors
    /// `Conflict` when another schedule has the name, `Unavailable` when the database cannot be used.
    pub async fn update_schedule(
        &self,
        schedule: &Schedule,
        definition: &Definition,
        next_run: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<bool> {
        let done = on!(self, pool => sqlx::query(
            "UPDATE schedules SET name = $1, cron = $2, time_zone = $3, catch_up = $4, misfire_grace = $5, overlap = $6, \
             target = $7, next_run = $8, updated_at = $9, last_error = NULL, revision = revision + 1 \
             WHERE id = $10 AND revision = $11",
        )
        .bind(&definition.name)
        .bind(&definition.cron)
        .bind(&definition.time_zone)
        .bind(definition.catch_up.as_str())
        .bind(grace(definition))
        .bind(definition.overlap.as_str())
        .bind(&definition.target)
        .bind(next_run.map(micros))
        .bind(micros(now))
        .bind(schedule.id.0)
        .bind(schedule.revision)
        .execute(pool).await.map(|done| done.rows_affected()));
        match done {
            Ok(done) => Ok(done == 1),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                Err(Error::conflict(format!("another schedule is called `{}`", definition.name)))
            }
            Err(error) => Err(lost(error)),
        }
    }

    /// Forgets a schedule and what became of its ticks; its executions stay. False when there is none.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn delete_schedule(&self, id: ScheduleId) -> Result<bool> {
        let done = on!(self, pool => sqlx::query("DELETE FROM schedules WHERE id = $1")
            .bind(id.0)
            .execute(pool).await.map(|done| done.rows_affected()))
        .map_err(lost)?;
        Ok(done == 1)
    }

    /// One schedule.
    ///
    /// # Errors
    /// `NotFound` when there is none with this id.
    pub async fn schedule(&self, id: ScheduleId) -> Result<Schedule> {
        on!(self, pool => sqlx::query_as::<_, ScheduleRow>("SELECT * FROM schedules WHERE id = $1")
            .bind(id.0)
            .fetch_optional(pool).await)
        .map_err(lost)?
        .map(ScheduleRow::read)
        .transpose()?
        .ok_or_else(|| Error::not_found(format!("there is no schedule {id}")))
    }

    /// The schedule of a name.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn schedule_named(&self, name: &str) -> Result<Option<Schedule>> {
        on!(self, pool => sqlx::query_as::<_, ScheduleRow>("SELECT * FROM schedules WHERE name = $1")
            .bind(name)
            .fetch_optional(pool).await)
        .map_err(lost)?
        .map(ScheduleRow::read)
        .transpose()
    }

    /// Schedules with a larger id than `after`, in the order of their creation.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn list_schedules(&self, after: ScheduleId, limit: u32) -> Result<Vec<Schedule>> {
        on!(self, pool => sqlx::query_as::<_, ScheduleRow>(
            "SELECT * FROM schedules WHERE id > $1 ORDER BY id LIMIT $2",
        )
        .bind(after.0)
        .bind(i64::from(limit))
        .fetch_all(pool).await)
        .map_err(lost)?
        .into_iter()
        .map(ScheduleRow::read)
        .collect()
    }

    /// Those whose turn it is: a tick is due, or one waits for an earlier run.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn due_schedules(&self, now: Timestamp) -> Result<Vec<Schedule>> {
        on!(self, pool => sqlx::query_as::<_, ScheduleRow>(
            "SELECT * FROM schedules WHERE paused = 0 AND (next_run <= $1 OR queued IS NOT NULL) ORDER BY next_run, id",
        )
        .bind(micros(now))
        .fetch_all(pool).await)
        .map_err(lost)?
        .into_iter()
        .map(ScheduleRow::read)
        .collect()
    }

    /// When the next tick after a time is due, of whichever schedule.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn next_due(&self, after: Timestamp) -> Result<Option<Timestamp>> {
        let next: Option<i64> = on!(self, pool => sqlx::query_scalar(
            "SELECT min(next_run) FROM schedules WHERE paused = 0 AND next_run > $1",
        )
        .bind(micros(after))
        .fetch_one(pool).await)
        .map_err(lost)?;
        Ok(next.map(timestamp))
    }

    /// What a parent has started and what has not ended, each with whether it was asked to stop.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn unfinished_children(&self, parent: ParentId) -> Result<Vec<(ScheduledRun, bool)>> {
        let rows: Vec<(String, i64, i64)> = on!(self, pool => sqlx::query_as(
            "SELECT 'execution', id, cancel_requested FROM executions \
             WHERE parent = $1 AND status IN ('pending', 'running') \
             UNION ALL SELECT kind, id, cancel_requested FROM flows WHERE parent = $1 AND end_time IS NULL",
        )
        .bind(parent.to_string())
        .fetch_all(pool).await)
        .map_err(lost)?;
        let run = |kind: String, id: i64| match kind.as_str() {
            "execution" => ScheduledRun::Execution(ExecutionId(id)),
            "sweep" => ScheduledRun::Sweep(FlowId(id)),
            _ => ScheduledRun::Workflow(FlowId(id)),
        };
        Ok(rows.into_iter().map(|(kind, id, cancel)| (run(kind, id), cancel != 0)).collect())
    }

    /// What became of a schedule's ticks, newest first: those with a smaller id than `before`.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub async fn schedule_ticks(
        &self,
        schedule: ScheduleId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<TickRecord>> {
        on!(self, pool => sqlx::query_as::<_, TickRow>(
            "SELECT ticks.*, COALESCE(executions.status, flows.status) AS status FROM schedule_ticks AS ticks \
             LEFT JOIN executions ON executions.id = ticks.execution_id \
             LEFT JOIN flows ON flows.id = COALESCE(ticks.workflow_id, ticks.sweep_id) \
             WHERE ticks.schedule_id = $1 AND ($2 IS NULL OR ticks.id < $2) ORDER BY ticks.id DESC LIMIT $3",
        )
        .bind(schedule.0)
        .bind(before)
        .bind(i64::from(limit))
        .fetch_all(pool).await)
        .map_err(lost)?
        .into_iter()
        .map(TickRow::read)
        .collect()
    }
}
