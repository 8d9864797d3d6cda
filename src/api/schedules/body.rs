//! The bodies of schedules, in and out.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::super::executions::body::ExecuteBody;
use super::super::sweeps::SweepBody;
use super::super::workflows::WorkflowBody;
use crate::engine::Engine;
use crate::engine::schedules::{ExecutionTarget, NewSchedule, SweepTarget, Target, WorkflowTarget};
use crate::error::{Error, FieldError, Result};
use crate::execution::{ExecutionId, ExecutionStatus};
use crate::flow::FlowId;
use crate::schedule::{CatchUp, Overlap, Schedule, ScheduleId, ScheduledRun, TickOutcome, TickRecord};

/// How many of its next runs a schedule shows.
const NEXT_RUNS: usize = 5;

/// What is to be run, and when.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"name": "nightly churn", "cron": "0 2 * * *", "time_zone": "Europe/Berlin",
    "execution": {"notebook_path": "ann/projects/churn.ipynb", "username": "ann", "parameters": {"alpha": 0.2},
        "output_path": "ann/nightly/churn-{scheduled_time:%Y-%m-%d}.ipynb"},
    "scheduled_time_parameter": "run_date", "catch_up": "last", "overlap": "skip"}))]
pub(in crate::api) struct ScheduleBody {
    /// Its name, unique in the service: letters, digits, spaces and `-_.`, not digits alone.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// Five fields (minute, hour, day of month, month, day of week), or six with the second before them; or `@hourly`,
    /// `@daily`, `@weekly`, `@monthly`, `@yearly`.
    #[schema(max_length = 1000)]
    cron: String,
    /// On whose clock, by a name of the IANA's database; `UTC` when not given.
    #[schema(example = "Europe/Berlin")]
    time_zone: Option<String>,
    /// What becomes of runs that were missed because no server ran; `last` when not given.
    catch_up: Option<CatchUp>,
    /// How many seconds late a run may begin and still count as on time; 60 when not given.
    #[schema(minimum = 0, maximum = 31_536_000)]
    misfire_grace: Option<f64>,
    /// What becomes of a run while an earlier one goes on; `skip` when not given.
    overlap: Option<Overlap>,
    /// What is executed, as in the body of `POST /execute-notebook`. Its `output_path` may have fields as papermill's paths,
    /// and `{scheduled_time:%Y-%m-%d}` for when the run was due; when it is not given, the result goes beside the notebook,
    /// as `NAME.schedule-3.20261127T020000Z.ipynb`.
    execution: Option<ExecuteBody>,
    /// In place of `execution`: a sweep, as in the body of `POST /api/v1/sweeps`. Its `output_directory` may have
    /// `{scheduled_time:%Y-%m-%d}` as well; when it is not given, each run has a folder of its own.
    sweep: Option<SweepBody>,
    /// In place of `execution`: a workflow, as in the body of `POST /api/v1/workflows`. Its `output_directory` may have
    /// `{scheduled_time:%Y-%m-%d}` as well; when it is not given, each run has a folder of its own.
    workflow: Option<WorkflowBody>,
    /// The parameter that is given the time at which the run was due, as `2026-11-27T03:00:00+01:00`. A workflow has to
    /// declare it; a sweep gives it to every point.
    #[schema(example = "run_date")]
    scheduled_time_parameter: Option<String>,
    /// Whether it is created without running anything until it is resumed. A change leaves it as it is.
    pub(super) paused: Option<bool>,
}

impl ScheduleBody {
    /// What the engine is to do.
    ///
    /// # Errors
    /// `Invalid` for a field that cannot be.
    pub(super) fn parse(self) -> Result<NewSchedule> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let scheduled_time_parameter = given(self.scheduled_time_parameter);
        let target = match (self.execution, self.sweep, self.workflow) {
            (Some(execution), None, None) => {
                let submit = execution.parse(None)?;
                Target::Execution(Box::new(ExecutionTarget { submit, scheduled_time_parameter }))
            }
            (None, Some(sweep), None) => {
                let request = sweep.parse().map_err(|error| error.within("sweep"))?;
                Target::Sweep(Box::new(SweepTarget { request, scheduled_time_parameter }))
            }
            (None, None, Some(workflow)) => {
                let sent = workflow.parse().map_err(|error| error.within("workflow"))?;
                Target::Workflow(Box::new(WorkflowTarget { scheduled_time_parameter, ..sent }))
            }
            (None, None, None) => {
                return Err(Error::invalid(
                    "`execution` is missing: say what is to be executed, or give a `sweep` or a `workflow`",
                )
                .with_field("execution", "is missing; or give a `sweep` or a `workflow`"));
            }
            (execution, ..) => {
                let field = if execution.is_some() { "execution" } else { "workflow" };
                let what = "only one of `execution`, `sweep` and `workflow` can be given";
                return Err(Error::invalid(what).with_field(field, what));
            }
        };
        Ok(NewSchedule {
            name: self.name,
            cron: self.cron,
            time_zone: given(self.time_zone),
            catch_up: self.catch_up.unwrap_or_default(),
            misfire_grace: self.misfire_grace.map(grace).transpose()?,
            overlap: self.overlap.unwrap_or_default(),
            target,
        })
    }
}

fn grace(seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        let what = "must be from 0 to 31536000 seconds";
        Error::invalid(format!("`misfire_grace` {what}")).with_field("misfire_grace", what)
    })
}

/// A fault with the places of its fields in a [`ScheduleBody`].
pub(super) fn in_body(error: Error) -> Error {
    const OWN: [&str; 6] =
        ["name", "cron", "time_zone", "misfire_grace", "execution", "scheduled_time_parameter"];
    // What is wrong with a sweep or a workflow has its place already.
    let is_placed = |field: &str| matches!(field.split(['.', '[']).next(), Some("sweep" | "workflow"));
    let place = |it: &FieldError| match OWN.contains(&it.field.as_str()) || is_placed(&it.field) {
        true => it.clone(),
        false => FieldError { field: format!("execution.{}", it.field), message: it.message.clone() },
    };
    let fields: Vec<_> = error.fields().iter().map(place).collect();
    Error::new(error.kind(), error.message()).with_fields(fields).with_source(error)
}

/// A schedule.
#[derive(Serialize, ToSchema)]
#[schema(as = Schedule, example = json!({"schedule_id": 3, "name": "nightly churn", "cron": "0 2 * * *",
    "time_zone": "Europe/Berlin", "catch_up": "last", "misfire_grace": 60.0, "overlap": "skip", "paused": false,
    "execution": {"notebook_path": "ann/projects/churn.ipynb", "username": "ann", "parameters": {"alpha": 0.2},
        "output_path": "ann/nightly/churn-{scheduled_time:%Y-%m-%d}.ipynb"}, "sweep": null, "workflow": null,
    "scheduled_time_parameter": "run_date", "next_run": "2026-11-28T01:00:00Z",
    "next_runs": ["2026-11-28T01:00:00Z", "2026-11-29T01:00:00Z"], "queued_run": null,
    "last_run": {"run_id": 17, "scheduled_time": "2026-11-27T01:00:00Z", "manual": false, "outcome": "started",
        "ticks": 1, "execution_id": 42, "workflow_id": null, "sweep_id": null, "status": "success", "reason": null, "recorded_at": "2026-11-27T01:00:00Z"},
    "skipped": 0, "last_error": null, "created_at": "2026-05-04T03:02:00Z", "updated_at": "2026-05-04T03:02:00Z"}))]
pub(in crate::api) struct View {
    /// Its id.
    schedule_id: ScheduleId,
    /// Its name.
    name: String,
    /// When, as it was given, with one space between fields.
    cron: String,
    /// On whose clock.
    time_zone: String,
    /// What becomes of runs that were missed.
    catch_up: CatchUp,
    /// How many seconds late a run may begin and still count as on time.
    misfire_grace: f64,
    /// What becomes of a run while an earlier one goes on.
    overlap: Overlap,
    /// Whether nothing is run until it is resumed.
    paused: bool,
    /// What is executed, as it was asked for; null when it is a sweep or a workflow.
    #[schema(value_type = Option<Object>)]
    execution: Option<Box<RawValue>>,
    /// The sweep that is started, as it was asked for.
    #[schema(value_type = Option<Object>)]
    sweep: Option<Box<RawValue>>,
    /// The workflow that is started, as it was asked for.
    #[schema(value_type = Option<Object>)]
    workflow: Option<Box<RawValue>>,
    /// The parameter that is given the time at which a run was due.
    scheduled_time_parameter: Option<String>,
    /// When it runs next; null while it is paused.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_run: Option<Timestamp>,
    /// The next five runs.
    #[schema(value_type = Vec<String>)]
    next_runs: Vec<Timestamp>,
    /// The run that waits for an earlier one to end, by the time at which it was due.
    #[schema(value_type = Option<String>, format = DateTime)]
    queued_run: Option<Timestamp>,
    /// What became of the last run; null in lists.
    #[schema(nullable)]
    last_run: Option<Run>,
    /// How many runs were skipped since it was created.
    skipped: u64,
    /// Why the last run came to nothing, when no execution could be made of it.
    last_error: Option<String>,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its definition last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl View {
    /// A schedule with its last run.
    ///
    /// # Errors
    /// `NotFound` when it is not there any more.
    pub(super) async fn in_full(schedule: Schedule, engine: &Engine) -> Result<Self> {
        let last = engine.schedule_runs(schedule.id, None, 1).await?;
        Ok(Self { last_run: last.into_iter().next().map(Run::new), ..Self::new(schedule, engine)? })
    }

    pub(super) fn new(schedule: Schedule, engine: &Engine) -> Result<Self> {
        let target = engine.schedule_target(&schedule)?;
        let (field, asked) = (target.field(), target.as_asked()?);
        let asked = |name: &str| (name == field).then(|| asked.clone());
        let next_runs = engine.next_runs(&schedule, NEXT_RUNS);
        let definition = schedule.definition;
        Ok(Self {
            schedule_id: schedule.id,
            name: definition.name,
            cron: definition.cron,
            time_zone: definition.time_zone,
            catch_up: definition.catch_up,
            misfire_grace: definition.misfire_grace.as_secs_f64(),
            overlap: definition.overlap,
            paused: schedule.paused,
            execution: asked("execution"),
            sweep: asked("sweep"),
            workflow: asked("workflow"),
            scheduled_time_parameter: target.scheduled_time_parameter().map(str::to_owned),
            next_run: next_runs.first().copied(),
            next_runs,
            queued_run: schedule.queued,
            last_run: None,
            skipped: schedule.skipped,
            last_error: schedule.last_error,
            created_at: schedule.created_at,
            updated_at: schedule.updated_at,
        })
    }
}

/// A time of a schedule, or several that were skipped together, and what became of it.
#[derive(Serialize, ToSchema)]
#[schema(as = ScheduleRun)]
pub(in crate::api) struct Run {
    /// Its id; later ones are larger.
    run_id: i64,
    /// When it was due; when it was asked for.
    #[schema(value_type = String, format = DateTime)]
    scheduled_time: Timestamp,
    /// Whether somebody asked for it.
    manual: bool,
    /// `started`: there is an execution, a workflow's run or a sweep. `skipped`: the policies wanted none. `failed`: none could
    /// be made.
    outcome: TickOutcome,
    /// How many times this stands for, `scheduled_time` being the first: those that were missed are skipped together, and
    /// counted up to 1000.
    ticks: u64,
    /// The execution.
    execution_id: Option<ExecutionId>,
    /// The workflow's run, for `/api/v1/workflows/{id}`.
    workflow_id: Option<FlowId>,
    /// The sweep, for `/api/v1/sweeps/{id}`.
    sweep_id: Option<FlowId>,
    /// How that stands, while it is recorded.
    #[schema(nullable)]
    status: Option<ExecutionStatus>,
    /// Why there is none.
    reason: Option<String>,
    /// When this was recorded.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

impl Run {
    pub(super) fn new(tick: TickRecord) -> Self {
        Self {
            run_id: tick.id,
            scheduled_time: tick.scheduled_time,
            manual: tick.manual,
            outcome: tick.outcome,
            ticks: tick.ticks,
            execution_id: tick.run.and_then(ScheduledRun::execution_id),
            workflow_id: tick.run.and_then(ScheduledRun::workflow_id),
            sweep_id: tick.run.and_then(ScheduledRun::sweep_id),
            status: tick.status,
            reason: tick.reason,
            recorded_at: tick.recorded_at,
        }
    }
}
