//! The times of schedules, kept. Every server and every worker looks; each step of a schedule is one transaction that names
//! the state that it begins from, so that of many one does it, and it is done or not, whoever dies when.

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::prepared::Prepared;
use super::skip;
use super::target::{Run, Target};
use crate::db::{NewTick, Step};
use crate::engine::{Engine, Milestone};
use crate::error::{ErrorKind, Result};
use crate::execution::{ExecutionId, ParentId, ParentKind};
use crate::schedule::policy::{Decision, LATER_CAME, MISSED, Missed, Standing, Turn, decide, turn};
use crate::schedule::{Overlap, Schedule, ScheduledRun, TickOutcome, Timetable};

/// The longest sleep: word of a new schedule may get lost, machines sleep, and clocks jump. In a file of this machine no
/// word comes; there a look costs nothing.
const LONGEST_SLEEPS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));
/// How long it is left alone when the database cannot be used.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many schedules are taken on at the same time.
const AT_A_TIME: usize = 8;

/// How long word of runs that have ended is gathered.
const GATHERING: Duration = Duration::from_millis(20);

/// What became of a run that was to be recorded.
enum Recorded {
    Started(ScheduledRun),
    /// Somebody else has taken the schedule on.
    Elsewhere,
    /// Its output is taken; or, when `is_done`, its time has a run already.
    Refused {
        is_done: bool,
    },
}

/// What a look found.
struct Look {
    /// The next tick.
    next: Option<Timestamp>,
    /// Whether a tick waits for a run to end.
    waits: bool,
}

impl Engine {
    /// Runs what is due until `shutdown`.
    pub(in crate::engine) async fn fire_schedules(&self, shutdown: CancellationToken) {
        let longest = if self.database().is_shared() { LONGEST_SLEEPS.1 } else { LONGEST_SLEEPS.0 };
        let mut is_known = false;
        let mut was_away = false;
        while !shutdown.is_cancelled() {
            if !is_known {
                is_known = self.follow_time_zones().await.is_ok();
            }
            // Before the look, so that nothing can happen in between unseen.
            let mut milestones = self.inner.milestones.subscribe();
            let (sleep, waits) = match self.fire_due().await {
                Ok(Look { next, waits }) => {
                    was_away = false;
                    let until = next.map(|next| self.database().now().duration_until(next));
                    let until = until.map(|until| Duration::try_from(until).unwrap_or_default());
                    (until.map_or(longest, |until| until.min(longest)), waits)
                }
                Err(error) => {
                    if !std::mem::replace(&mut was_away, true) {
                        tracing::warn!(%error, cause = error.cause(), "schedules cannot be looked at now");
                    }
                    (PATIENCE, false)
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(sleep) => {}
                () = self.inner.schedules.notified() => {}
                () = a_run_ended(&mut milestones), if waits => {}
            }
        }
    }

    /// Does all that is due.
    async fn fire_due(&self) -> Result<Look> {
        loop {
            let now = self.database().now();
            let due = self.database().due_schedules(now).await?;
            let (mut moved, mut waits) = (false, false);
            // Several at a time: one whose notebooks or whose MLflow take long to answer holds up few.
            for together in due.chunks(AT_A_TIME) {
                let steps: Vec<_> = together.iter().map(|schedule| self.advance(schedule, now)).collect();
                for (schedule, step) in together.iter().zip(join_all(steps).await) {
                    match step {
                        Ok(true) => moved = true,
                        Ok(false) => waits = true,
                        Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                        // One that cannot be read holds up no other.
                        Err(error) => {
                            waits |= self.leave(schedule, error.message()).await?;
                        }
                    }
                }
            }
            if !moved {
                return Ok(Look { next: self.database().next_due(now).await?, waits });
            }
        }
    }

    /// Takes a schedule one step on; says whether it moved, here or elsewhere, or has to wait.
    async fn advance(&self, schedule: &Schedule, now: Timestamp) -> Result<bool> {
        let definition = &schedule.definition;
        let parent = ParentId { kind: ParentKind::Schedule, id: schedule.id.0 };
        let running = self.database().unfinished_children(parent).await?;
        let timetable = definition.timetable()?;
        if let Some(waited) = schedule.queued {
            if running.is_empty() {
                let step = Step { queued: None, ..Step::of(schedule) };
                return self.start(schedule, &timetable, waited, step, None, now).await;
            }
            // Whoever queued it may have died before it could cancel.
            if definition.overlap == Overlap::Cancel {
                self.cancel_runs(&running).await;
            }
        }
        let Some(due) = schedule.next_run.filter(|due| *due <= now) else { return Ok(false) };
        let Turn { missed, tick, next_run } =
            turn(&timetable, due, now, definition.catch_up, definition.misfire_grace);
        let step = Step { next_run, skipped: missed.map_or(0, |missed| missed.count), ..Step::of(schedule) };
        let Some(tick) = tick else { return self.skip(schedule, step, missed, None, now).await };
        let standing = Standing { runs: !running.is_empty(), waits: schedule.queued.is_some() };
        match decide(tick, definition.catch_up, definition.overlap, standing) {
            Decision::Start => self.start(schedule, &timetable, tick.time, step, missed, now).await,
            Decision::Skip(why) => {
                let step = Step { skipped: step.skipped + 1, ..step };
                self.skip(schedule, step, missed, Some(skip(tick.time, 1, why)), now).await
            }
            Decision::Queue => {
                let step = Step { queued: Some(tick.time), ..step };
                self.skip(schedule, step, missed, None, now).await
            }
            Decision::CancelAndQueue => {
                let replaced = schedule.queued.map(|waited| skip(waited, 1, LATER_CAME));
                let skipped = step.skipped + usize::from(replaced.is_some());
                let step = Step { queued: Some(tick.time), skipped, ..step };
                let moved = self.skip(schedule, step, missed, replaced, now).await?;
                self.cancel_runs(&running).await;
                Ok(moved)
            }
            Decision::Wait => Ok(false),
        }
    }

    /// Puts the run that was due at `time` into the queue, and the schedule on to `step`, or neither.
    async fn start(
        &self,
        schedule: &Schedule,
        timetable: &Timetable,
        time: Timestamp,
        step: Step,
        missed: Option<Missed>,
        now: Timestamp,
    ) -> Result<bool> {
        let run = Run { schedule: schedule.id, time, manual: false };
        let prepared = match Target::from_json(&schedule.definition.target) {
            Ok(target) => self.prepare_run(&target, timetable, run).await,
            Err(error) => Err(error),
        };
        let mut tick = NewTick { outcome: TickOutcome::Started, reason: None, ..skip(time, 1, "") };
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            Err(error) => {
                tick.outcome = TickOutcome::Failed;
                tick.reason = Some(error.message().to_owned());
                let step = Step { last_error: tick.reason.clone(), ..step };
                tracing::warn!(schedule.id = %schedule.id, %error, "a schedule's run cannot be made");
                return self.skip(schedule, step, missed, Some(tick), now).await;
            }
        };
        // Another server may have been faster; then MLflow need not hear of it.
        if !self.is_current(schedule).await? {
            return Ok(true);
        }
        let prepared = self.track_run(prepared).await;
        let done = Step { last_error: None, ..step.clone() };
        let recorded = self.record_start(schedule, &done, missed, tick.clone(), &prepared, now).await;
        let recorded = match recorded {
            Ok(Recorded::Started(id)) => {
                metrics::counter!("bindery_schedule_runs_total").increment(1);
                tracing::info!(schedule.id = %schedule.id, run = %id, scheduled_time = %time, "a schedule has fired");
                self.begin_run(&prepared, id).await;
                return Ok(true);
            }
            other => other,
        };
        self.drop_run(&prepared).await;
        let Recorded::Refused { is_done } = recorded? else { return Ok(true) };
        // Of a time that has its run already, as after a clock was put back, nothing more is to be told.
        let failed = (!is_done).then(|| NewTick {
            outcome: TickOutcome::Failed,
            reason: Some(prepared.refusal()),
            ..tick
        });
        let last_error = failed.as_ref().and_then(|tick| tick.reason.clone());
        self.skip(schedule, Step { last_error, ..step }, missed, failed, now).await
    }

    /// The transaction of [`Engine::start`].
    async fn record_start(
        &self,
        schedule: &Schedule,
        step: &Step,
        missed: Option<Missed>,
        mut tick: NewTick,
        prepared: &Prepared,
        now: Timestamp,
    ) -> Result<Recorded> {
        let mut transaction = self.database().begin().await?;
        // Before all else: who comes second waits here, and then finds that it is done.
        if !transaction.step_schedule(schedule, step).await? {
            return Ok(Recorded::Elsewhere);
        }
        let Some(id) = prepared.insert(&mut transaction, now).await? else {
            let is_done = match prepared.parent() {
                Some(parent) => transaction.has_child(parent).await?,
                None => false,
            };
            return Ok(Recorded::Refused { is_done });
        };
        if let Some(missed) = missed {
            let missed = skip(missed.first, missed.count, MISSED);
            transaction.record_tick(schedule, &missed, now).await?;
        }
        tick.run = Some(id);
        transaction.record_tick(schedule, &tick, now).await?;
        transaction.commit().await?;
        Ok(Recorded::Started(id))
    }

    /// Puts a schedule on to `step` without a run, and records what was skipped.
    async fn skip(
        &self,
        schedule: &Schedule,
        step: Step,
        missed: Option<Missed>,
        tick: Option<NewTick>,
        now: Timestamp,
    ) -> Result<bool> {
        let mut transaction = self.database().begin().await?;
        if !transaction.step_schedule(schedule, &step).await? {
            return Ok(true);
        }
        let missed = missed.map(|missed| skip(missed.first, missed.count, MISSED));
        for tick in missed.into_iter().chain(tick) {
            transaction.record_tick(schedule, &tick, now).await?;
        }
        transaction.commit().await?;
        if step.skipped > 0 {
            tracing::info!(schedule.id = %schedule.id, ticks = step.skipped, "ticks of a schedule were skipped");
        }
        Ok(true)
    }

    async fn cancel_runs(&self, running: &[(ScheduledRun, bool)]) {
        for (run, _) in running.iter().filter(|(_, is_asked)| !is_asked) {
            let cancelled = match *run {
                ScheduledRun::Execution(id) => self.cancel_execution(id).await.map(drop),
                ScheduledRun::Workflow(id) => self.cancel_flow(ParentKind::Workflow, id).await.map(drop),
                ScheduledRun::Sweep(id) => self.cancel_flow(ParentKind::Sweep, id).await.map(drop),
            };
            if let Err(error) = cancelled {
                tracing::debug!(%run, %error, "a schedule's earlier run cannot be cancelled");
            }
        }
    }

    /// Notes why nothing can be made of a schedule now; it is looked at again all the same.
    async fn leave(&self, schedule: &Schedule, fault: &str) -> Result<bool> {
        if schedule.last_error.as_deref() != Some(fault) {
            tracing::warn!(schedule.id = %schedule.id, fault, "a schedule cannot be kept");
            let step = Step { last_error: Some(fault.to_owned()), ..Step::of(schedule) };
            let mut transaction = self.database().begin().await?;
            if transaction.step_schedule(schedule, &step).await? {
                transaction.commit().await?;
            }
        }
        Ok(false)
    }

    /// Finds the next tick of each schedule anew: the rules of its time zone may have changed since it was found. One that
    /// is due already stays, so that nothing is lost.
    async fn follow_time_zones(&self) -> Result<()> {
        let mut after = crate::schedule::ScheduleId(0);
        loop {
            let page = self.database().list_schedules(after, 1000).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
            let now = self.database().now();
            for schedule in &page {
                let Ok(timetable) = schedule.definition.timetable() else { continue };
                let next_run = timetable.next(now);
                let is_due = schedule.next_run.is_some_and(|next| next <= now);
                if is_due || next_run == schedule.next_run {
                    continue;
                }
                let mut transaction = self.database().begin().await?;
                let step = Step { next_run, ..Step::of(schedule) };
                if transaction.step_schedule(schedule, &step).await? {
                    transaction.commit().await?;
                    tracing::info!(schedule.id = %schedule.id, "the next run of a schedule is at another time now");
                }
            }
        }
    }
}

/// Comes back when a run has ended, or may have.
async fn a_run_ended(milestones: &mut broadcast::Receiver<(ExecutionId, Milestone)>) {
    loop {
        match milestones.recv().await {
            Ok((_, Milestone::FirstCodeCell)) => {}
            Ok((_, Milestone::Ended | Milestone::Unknown)) | Err(broadcast::error::RecvError::Lagged(_)) => {
                break;
            }
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
    tokio::time::sleep(GATHERING).await;
}
