//! What is kept of a schedule.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::policy::{CatchUp, Overlap};
use super::timetable::Timetable;
use crate::error::{Error, Result};
use crate::execution::{ExecutionId, ExecutionStatus, ParentKind};
use crate::flow::FlowId;

/// The id of a schedule; once given, it names that schedule for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = i64, example = 3)]
pub struct ScheduleId(pub i64);

impl fmt::Display for ScheduleId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What somebody wants to be run, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its name, unique in the service; see [`check_name`].
    pub name: String,
    /// A cron expression.
    pub cron: String,
    /// The zone on whose clock the expression is.
    pub time_zone: String,
    /// What becomes of missed ticks.
    pub catch_up: CatchUp,
    /// How late a tick may come and still count as on time.
    pub misfire_grace: Duration,
    /// What becomes of a tick while an earlier run goes on.
    pub overlap: Overlap,
    /// What is run, as JSON; the engine reads it.
    pub target: String,
}

impl Definition {
    /// Its times.
    ///
    /// # Errors
    /// As [`Timetable::parse`].
    pub fn timetable(&self) -> Result<Timetable> {
        Timetable::parse(&self.cron, &self.time_zone)
    }
}

/// A schedule as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// What it is for.
    pub definition: Definition,
    /// Whether nothing is run until somebody resumes it.
    pub paused: bool,
    /// The next tick; `None` where time ends.
    pub next_run: Option<Timestamp>,
    /// A tick that waits for an earlier run to end.
    pub queued: Option<Timestamp>,
    /// How many ticks were skipped.
    pub skipped: u64,
    /// Why the last tick came to nothing, when it did.
    pub last_error: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its definition last changed.
    pub updated_at: Timestamp,
    /// Changes with every change of the schedule, so that of two who act on the same state one does.
    pub revision: i64,
}

/// What became of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TickOutcome {
    /// An execution, a workflow or a sweep was accepted.
    Started,
    /// Nothing was run, as the policies want it.
    Skipped,
    /// Nothing could be run.
    Failed,
}

impl TickOutcome {
    /// The word used in JSON and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for TickOutcome {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Started, Self::Skipped, Self::Failed]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or_else(|| Error::internal("a record in the database cannot be read"))
    }
}

/// What a schedule has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScheduledRun {
    /// An execution.
    Execution(ExecutionId),
    /// A workflow's run.
    Workflow(FlowId),
    /// A sweep.
    Sweep(FlowId),
}

impl ScheduledRun {
    /// A workflow's run, or a sweep.
    pub fn flow(kind: ParentKind, id: FlowId) -> Self {
        match kind {
            ParentKind::Sweep => Self::Sweep(id),
            ParentKind::Workflow | ParentKind::Schedule => Self::Workflow(id),
        }
    }

    /// The execution, if it is one.
    pub fn execution_id(self) -> Option<ExecutionId> {
        match self {
            Self::Execution(id) => Some(id),
            Self::Workflow(_) | Self::Sweep(_) => None,
        }
    }

    /// The workflow's run, if it is one.
    pub fn workflow_id(self) -> Option<FlowId> {
        match self {
            Self::Workflow(id) => Some(id),
            Self::Execution(_) | Self::Sweep(_) => None,
        }
    }

    /// The sweep, if it is one.
    pub fn sweep_id(self) -> Option<FlowId> {
        match self {
            Self::Sweep(id) => Some(id),
            Self::Execution(_) | Self::Workflow(_) => None,
        }
    }
}

impl fmt::Display for ScheduledRun {
    /// `execution 42`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Execution(id) => write!(formatter, "execution {id}"),
            Self::Workflow(id) => write!(formatter, "workflow {id}"),
            Self::Sweep(id) => write!(formatter, "sweep {id}"),
        }
    }
}

/// A tick, or several that were skipped together, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TickRecord {
    /// Its id; later ones are larger.
    pub id: i64,
    /// When it was due; for a run that somebody asked for, when that was.
    pub scheduled_time: Timestamp,
    /// Whether somebody asked for it.
    pub manual: bool,
    /// What became of it.
    pub outcome: TickOutcome,
    /// How many ticks this stands for: the first of them was due at `scheduled_time`.
    pub ticks: u64,
    /// What was accepted, if anything was.
    pub run: Option<ScheduledRun>,
    /// How that stands, while it is recorded.
    pub status: Option<ExecutionStatus>,
    /// Why there is none.
    pub reason: Option<String>,
    /// When this was recorded.
    pub recorded_at: Timestamp,
}

/// The longest name, in characters.
const LONGEST_NAME: usize = 100;

/// Checks a name: letters, digits, spaces and `-_.`, not digits alone, so that it is never taken for an id.
///
/// # Errors
/// `Invalid` with the field `name`.
pub fn check_name(name: &str) -> Result<()> {
    let is_plain = |character: char| character.is_alphanumeric() || " -_.".contains(character);
    let fault = match name {
        "" => "must not be empty".to_owned(),
        _ if name.trim() != name => "must not begin or end with a space".to_owned(),
        _ if name.chars().count() > LONGEST_NAME => format!("must have at most {LONGEST_NAME} characters"),
        _ if !name.chars().all(is_plain) => "may hold letters, digits, spaces and `-_.` only".to_owned(),
        _ if name.bytes().all(|byte| byte.is_ascii_digit()) => {
            "must not be a number, which would be taken for an id".to_owned()
        }
        _ => return Ok(()),
    };
    Err(Error::invalid(format!("`name` {fault}")).with_field("name", fault))
}
