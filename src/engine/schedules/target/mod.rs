//! What a schedule runs, and what that comes to at one of its times.

mod execution;
mod sweep;
mod workflow;

use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::prepared::Prepared;
use crate::engine::Engine;
use crate::engine::flows::StartFlow;
use crate::error::{Error, Result};
use crate::execution::{Parent, ParentId, ParentKind};
use crate::notebook::path_template::{Builtins, fill};
use crate::notebook::{ParameterValue, Parameters};
use crate::schedule::{ScheduleId, Timetable};
pub use execution::ExecutionTarget;
pub use sweep::SweepTarget;
pub use workflow::WorkflowTarget;

/// What a schedule runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A notebook.
    Execution(Box<ExecutionTarget>),
    /// A notebook for many points.
    Sweep(Box<SweepTarget>),
    /// Notebooks that need each other.
    Workflow(Box<WorkflowTarget>),
}

/// One run of a schedule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) schedule: ScheduleId,
    /// When it was due; when it was asked for.
    pub(super) time: Timestamp,
    /// Whether somebody asked for it.
    pub(super) manual: bool,
}

impl Run {
    fn parent(self) -> Parent {
        let kind = if self.manual { "manual/" } else { "" };
        ParentId { kind: ParentKind::Schedule, id: self.schedule.0 }.child(format!("{kind}{}", self.time))
    }
}

impl Target {
    /// The field of a schedule's body that holds it: `execution`, `sweep` or `workflow`.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Execution(_) => "execution",
            Self::Sweep(_) => "sweep",
            Self::Workflow(_) => "workflow",
        }
    }

    /// Everything that was asked for, in the words of that field.
    ///
    /// # Errors
    /// `Internal` when it cannot be written, which it can.
    pub fn as_asked(&self) -> Result<Box<RawValue>> {
        let written = match self {
            Self::Execution(target) => target.as_asked(),
            Self::Sweep(target) => target.as_asked(),
            Self::Workflow(target) => target.as_asked(),
        };
        written.map_err(unwritable)
    }

    /// The parameter that is given the time at which a run was due.
    pub fn scheduled_time_parameter(&self) -> Option<&str> {
        match self {
            Self::Execution(target) => target.scheduled_time_parameter.as_deref(),
            Self::Sweep(target) => target.scheduled_time_parameter.as_deref(),
            Self::Workflow(target) => target.scheduled_time_parameter.as_deref(),
        }
    }

    /// The target as it is kept.
    pub(super) fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(unwritable)
    }

    /// The target that was kept.
    pub(super) fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map_err(|error| Error::internal("a schedule's target cannot be read").with_source(error))
    }

    /// The workflow or the sweep that begins at a time; an execution is none.
    fn flow_at(&self, time: &Zoned) -> Result<Option<StartFlow>> {
        match self {
            Self::Execution(_) => Ok(None),
            Self::Sweep(target) => target.at(time).map(Some),
            Self::Workflow(target) => target.at(time).map(Some),
        }
    }
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::internal("a schedule's target cannot be written as JSON").with_source(error)
}

/// A time as parameters are given it: RFC 3339 with the offset of the schedule's clock.
fn time_text(time: &Zoned) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// Fills in the fields of a path that a schedule's run writes.
fn fill_path(field: &str, template: &str, parameters: &Parameters, time: &Zoned) -> Result<String> {
    let builtins = Builtins {
        run_uuid: uuid::Uuid::new_v4().to_string(),
        current_datetime_local: Zoned::now().datetime(),
        current_datetime_utc: Timestamp::now(),
        scheduled_time: Some(time.clone()),
    };
    fill(template, parameters, &builtins).map_err(|error| {
        let message = error.message().to_owned();
        error.with_field(field, message)
    })
}

/// Fills in the fields of the folder of a workflow or a sweep, which is the same for all of its executions.
fn fill_folder(folder: &str, time: &Zoned) -> Result<String> {
    fill_path("output_directory", folder, &Parameters::new(), time).map_err(|error| {
        let is_unknown = error.fields().iter().any(|fault| fault.field.starts_with("parameters"));
        if !is_unknown {
            return error;
        }
        let what = format!("`{folder}` may have the fields `scheduled_time` and `pm[…]` only, no parameters");
        Error::bad_input(format!("`output_directory`: {what}"))
            .with_field("output_directory", what)
            .with_source(error)
    })
}

/// What is wrong with the parameter that is to be given the time.
fn time_fault(what: impl Into<String>) -> Error {
    let what = what.into();
    Error::invalid(format!("`scheduled_time_parameter`: {what}")).with_field(TIME_PARAMETER, what)
}

/// The field of that parameter's name.
const TIME_PARAMETER: &str = "scheduled_time_parameter";

/// Checks that a name can be given the time, and is given nothing else.
fn check_time_parameter(name: &str, is_given: bool) -> Result<()> {
    if is_given {
        return Err(time_fault(format!("`{name}` is among the parameters, too: leave it out there")));
    }
    Parameters::new()
        .insert(name, ParameterValue::Null)
        .map_err(|error| time_fault(format!("`{name}` is no name for a parameter")).with_source(error))
}

impl Engine {
    /// What is recorded for a run. Of an execution the notebook is not looked at: what is wrong with it, the execution says.
    ///
    /// # Errors
    /// `BadInput` and `Invalid` for paths and parameters that cannot be; of a sweep and a workflow also for notebooks that
    /// cannot be run; `Unavailable`.
    pub(super) async fn prepare_run(
        &self,
        target: &Target,
        timetable: &Timetable,
        run: Run,
    ) -> Result<Prepared> {
        let time = timetable.local(run.time);
        if let Target::Execution(target) = target {
            let (mut request, _) = self.request_of(target.at(run.schedule, &time)?)?;
            request.template_name = self.template_of(&request).await?;
            request.parent = Some(run.parent());
            return Ok(Prepared::Execution(Box::new(request)));
        }
        let Some(start) = target.flow_at(&time)? else {
            return Err(Error::internal("a schedule's target is of no known kind"));
        };
        let mut new = self.prepare_flow(&start).await?;
        new.parent = Some(run.parent());
        Ok(Prepared::Flow(Box::new(new)))
    }

    /// Checks all of a target that can be checked before its time: what the route for it checks, and the templates of its
    /// paths with a time for an example. Faults of sweeps and workflows have the names that they have in a schedule's body.
    ///
    /// # Errors
    /// As [`Engine::submit`], and as [`Engine::start_flow`].
    pub(super) async fn check_target(&self, target: &Target, timetable: &Timetable) -> Result<()> {
        let now = timetable.local(self.database().now());
        match target {
            Target::Execution(target) => {
                target.check()?;
                let (request, parameters) = self.request_of(target.at(ScheduleId(0), &now)?)?;
                return self.check_runnable(&request, parameters).await;
            }
            Target::Sweep(sweep) => sweep.check()?,
            Target::Workflow(workflow) => {
                let faults = self.read_workflow(&workflow.text).await?.faults;
                workflow.refuse(faults).map_err(|error| error.within(target.field()))?;
                workflow.check()?;
            }
        }
        let checked = async {
            if let Some(start) = target.flow_at(&now)? {
                self.prepare_flow(&start).await?;
            }
            Ok(())
        };
        checked.await.map_err(|error: Error| error.within(target.field()))
    }
}
