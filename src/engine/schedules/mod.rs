//! Schedules: created, looked at, changed, paused. What happens at their times is in `fire.rs`, what they run in `target/`.

mod fire;
mod prepared;
mod target;

use std::time::Duration;

use jiff::Timestamp;

use self::target::Run;
pub use self::target::{ExecutionTarget, SweepTarget, Target, WorkflowTarget};
use super::Engine;
use crate::db::{NewTick, Step};
use crate::error::{Error, ErrorKind, Result};
use crate::schedule::policy::{DEFAULT_GRACE, PAUSED};
use crate::schedule::{
    CatchUp, Definition, Overlap, Schedule, ScheduleId, ScheduledRun, TickOutcome, TickRecord, Timetable,
    check_name,
};

/// The zone of an expression when none is named.
pub const DEFAULT_TIME_ZONE: &str = "UTC";
/// How many next runs can be asked for.
pub const MOST_NEXT_RUNS: usize = 100;
/// The longest grace: a year.
const LONGEST_GRACE: Duration = Duration::from_secs(31_536_000);
/// How often a change is tried again because something else has changed the schedule meanwhile.
const CHANGES: usize = 20;

/// A schedule to be created, or to take the place of another's definition.
#[derive(Debug, Clone)]
pub struct NewSchedule {
    /// Its name, unique in the service.
    pub name: String,
    /// A cron expression.
    pub cron: String,
    /// On whose clock; [`DEFAULT_TIME_ZONE`] when not given.
    pub time_zone: Option<String>,
    /// What becomes of missed ticks.
    pub catch_up: CatchUp,
    /// How late a tick may come and still count as on time; a minute when not given.
    pub misfire_grace: Option<Duration>,
    /// What becomes of a tick while an earlier run goes on.
    pub overlap: Overlap,
    /// What is run.
    pub target: Target,
}

impl Engine {
    /// Creates a schedule, and says whether it is new: one of the same name and definition is the same schedule. When
    /// `paused`, nothing runs until it is resumed.
    ///
    /// # Errors
    /// `Invalid` for an expression, a time zone or a name that cannot be; `Conflict` when another schedule has the name; else
    /// as [`Engine::submit`] and [`Engine::start_flow`].
    pub async fn create_schedule(&self, new: NewSchedule, paused: bool) -> Result<(Schedule, bool)> {
        let (definition, timetable) = self.definition_of(new).await?;
        let now = self.database().now();
        let id = self.database().insert_schedule(&definition, paused, timetable.next(now), now).await?;
        let Some(id) = id else {
            return match self.database().schedule_named(&definition.name).await? {
                Some(existing) if is_same(&existing.definition, &definition) => Ok((existing, false)),
                _ => Err(Error::conflict(format!(
                    "a schedule `{}` exists already and is for something else: change it, or choose another name",
                    definition.name
                ))),
            };
        };
        self.inner.schedules.notify_one();
        tracing::info!(schedule.id = %id, schedule.name = %definition.name, "a schedule was created");
        Ok((self.schedule(id).await?, true))
    }

    /// Gives a schedule another definition. What is due is found anew from now on; whether it is paused stays.
    ///
    /// # Errors
    /// `NotFound`; else as [`Engine::create_schedule`].
    pub async fn update_schedule(&self, id: ScheduleId, new: NewSchedule) -> Result<Schedule> {
        self.schedule(id).await?;
        let (definition, timetable) = self.definition_of(new).await?;
        for _ in 0..CHANGES {
            let (schedule, now) = (self.schedule(id).await?, self.database().now());
            let old = &schedule.definition;
            let has_same_times = old.cron == definition.cron && old.time_zone == definition.time_zone;
            let next_run = if has_same_times { schedule.next_run } else { timetable.next(now) };
            if self.database().update_schedule(&schedule, &definition, next_run, now).await? {
                self.inner.schedules.notify_one();
                tracing::info!(schedule.id = %id, "a schedule was changed");
                return self.schedule(id).await;
            }
        }
        Err(busy(id))
    }

    async fn definition_of(&self, new: NewSchedule) -> Result<(Definition, Timetable)> {
        check_name(&new.name)?;
        let misfire_grace = new.misfire_grace.unwrap_or(DEFAULT_GRACE);
        if misfire_grace > LONGEST_GRACE {
            let what = format!("must be from 0 to {} seconds", LONGEST_GRACE.as_secs());
            return Err(Error::invalid(format!("`misfire_grace` {what}")).with_field("misfire_grace", what));
        }
        let timetable = Timetable::parse(&new.cron, new.time_zone.as_deref().unwrap_or(DEFAULT_TIME_ZONE))?;
        self.check_target(&new.target, &timetable).await?;
        let definition = Definition {
            name: new.name,
            cron: timetable.cron().to_string(),
            time_zone: timetable.time_zone().to_owned(),
            catch_up: new.catch_up,
            // The database keeps microseconds.
            misfire_grace: Duration::from_micros(
                u64::try_from(misfire_grace.as_micros()).unwrap_or(u64::MAX),
            ),
            overlap: new.overlap,
            target: new.target.to_json()?,
        };
        Ok((definition, timetable))
    }

    /// One schedule.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn schedule(&self, id: ScheduleId) -> Result<Schedule> {
        self.database().schedule(id).await
    }

    /// The schedule that a person means: by name, or by id.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn find_schedule(&self, name_or_id: &str) -> Result<Schedule> {
        if let Ok(id) = name_or_id.parse() {
            return self.schedule(ScheduleId(id)).await;
        }
        let found = self.database().schedule_named(name_or_id).await?;
        found.ok_or_else(|| Error::not_found(format!("there is no schedule `{name_or_id}`")))
    }

    /// Schedules with a larger id than `after`, in the order of their creation.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn list_schedules(&self, after: ScheduleId, limit: u32) -> Result<Vec<Schedule>> {
        self.database().list_schedules(after, limit).await
    }

    /// What a schedule runs.
    ///
    /// # Errors
    /// `Internal` when that cannot be read.
    pub fn schedule_target(&self, schedule: &Schedule) -> Result<Target> {
        Target::from_json(&schedule.definition.target)
    }

    /// The next times of a schedule, the one that is due first; none while it is paused.
    pub fn next_runs(&self, schedule: &Schedule, count: usize) -> Vec<Timestamp> {
        let Some(first) = schedule.next_run.filter(|_| !schedule.paused) else { return Vec::new() };
        let later =
            schedule.definition.timetable().map(|times| times.upcoming(first, count.saturating_sub(1)));
        std::iter::once(first).chain(later.unwrap_or_default()).take(count).collect()
    }

    /// The next times of an expression, on the clock of its zone.
    ///
    /// # Errors
    /// `Invalid` for an expression or zone that cannot be.
    pub fn preview_schedule(
        &self,
        cron: &str,
        time_zone: Option<&str>,
        count: usize,
    ) -> Result<Vec<Timestamp>> {
        let timetable = Timetable::parse(cron, time_zone.unwrap_or(DEFAULT_TIME_ZONE))?;
        Ok(timetable.upcoming(self.database().now(), count.min(MOST_NEXT_RUNS)))
    }

    /// Pauses a schedule: nothing is run until it is resumed, and what is missed meanwhile is never caught up. What runs
    /// goes on; a tick that waits is skipped.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn pause_schedule(&self, id: ScheduleId) -> Result<Schedule> {
        self.set_paused(id, true).await
    }

    /// Lets a schedule go on with its next tick from now.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn resume_schedule(&self, id: ScheduleId) -> Result<Schedule> {
        self.set_paused(id, false).await
    }

    async fn set_paused(&self, id: ScheduleId, paused: bool) -> Result<Schedule> {
        for _ in 0..CHANGES {
            let (schedule, now) = (self.schedule(id).await?, self.database().now());
            if schedule.paused == paused {
                return Ok(schedule);
            }
            let next_run = match paused {
                true => schedule.next_run,
                false => schedule.definition.timetable()?.next(now),
            };
            let skipped = usize::from(schedule.queued.is_some());
            let step = Step { paused, next_run, queued: None, skipped, ..Step::of(&schedule) };
            let mut transaction = self.database().begin().await?;
            if !transaction.step_schedule(&schedule, &step).await? {
                continue;
            }
            if let Some(waited) = schedule.queued {
                transaction.record_tick(&schedule, &skip(waited, 1, PAUSED), now).await?;
            }
            transaction.commit().await?;
            self.inner.schedules.notify_one();
            tracing::info!(schedule.id = %id, paused, "a schedule was paused or resumed");
            return self.schedule(id).await;
        }
        Err(busy(id))
    }

    /// Forgets a schedule; what it has started stays.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn delete_schedule(&self, id: ScheduleId) -> Result<()> {
        if !self.database().delete_schedule(id).await? {
            return Err(Error::not_found(format!("there is no schedule {id}")));
        }
        tracing::info!(schedule.id = %id, "a schedule was deleted");
        Ok(())
    }

    /// Runs what a schedule is for at once, whatever runs already and also when it is paused. Its times stay as they are.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when another execution writes the same output; else as [`Engine::submit`] and
    /// [`Engine::start_flow`].
    pub async fn run_schedule(&self, id: ScheduleId) -> Result<ScheduledRun> {
        let schedule = self.schedule(id).await?;
        let (target, timetable) = (self.schedule_target(&schedule)?, schedule.definition.timetable()?);
        self.check_target(&target, &timetable).await?;
        let now = self.database().now();
        let run = Run { schedule: id, time: now, manual: true };
        let prepared = self.prepare_run(&target, &timetable, run).await?;
        let prepared = self.track_run(prepared).await;
        let recorded = async {
            let mut transaction = self.database().begin().await?;
            let Some(run) = prepared.insert(&mut transaction, now).await? else {
                return Err(Error::conflict(prepared.refusal()));
            };
            let tick = NewTick {
                scheduled_time: now,
                manual: true,
                outcome: TickOutcome::Started,
                ticks: 1,
                run: Some(run),
                reason: None,
            };
            transaction.record_tick(&schedule, &tick, now).await?;
            transaction.commit().await?;
            Ok(run)
        };
        let run = match recorded.await {
            Ok(run) => run,
            Err(error) => {
                self.drop_run(&prepared).await;
                return Err(error);
            }
        };
        tracing::info!(schedule.id = %id, %run, "a schedule was run by hand");
        self.begin_run(&prepared, run).await;
        Ok(run)
    }

    /// What became of a schedule's last ticks, newest first: those with a smaller id than `before`.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn schedule_runs(
        &self,
        id: ScheduleId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<TickRecord>> {
        self.schedule(id).await?;
        self.database().schedule_ticks(id, before, limit).await
    }
}

/// Whether two definitions mean the same; spaces in JSON do not count.
fn is_same(one: &Definition, other: &Definition) -> bool {
    let target = |it: &Definition| serde_json::from_str::<serde_json::Value>(&it.target).ok();
    let rest = |it: &Definition| Definition { target: String::new(), ..it.clone() };
    target(one) == target(other) && rest(one) == rest(other)
}

fn busy(id: ScheduleId) -> Error {
    Error::new(ErrorKind::Unavailable, format!("schedule {id} changes too often now: try again"))
}

fn skip(scheduled_time: Timestamp, ticks: usize, reason: &str) -> NewTick {
    NewTick {
        scheduled_time,
        manual: false,
        outcome: TickOutcome::Skipped,
        ticks,
        run: None,
        reason: Some(reason.to_owned()),
    }
}
