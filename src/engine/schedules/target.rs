//! What a schedule runs, and what that comes to at one of its times.

use std::time::Duration;

use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::engine::Engine;
use crate::engine::executions::SubmitExecution;
use crate::error::{Error, Result};
use crate::execution::{ExecutionRequest, Parent, ParentKind};
use crate::notebook::Parameters;
use crate::notebook::path_template::{Builtins, fill};
use crate::schedule::{ScheduleId, Timetable};

/// What a schedule runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A notebook.
    Execution(Box<ExecutionTarget>),
}

/// A notebook that a schedule runs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecutionTarget {
    /// What is to be executed. Its `output_path` is a template: fields as papermill's, and `scheduled_time`; without one the
    /// result goes beside the notebook, under its name with the schedule's id and the time.
    pub submit: SubmitExecution,
    /// The parameter that is given the time at which the run was due.
    pub scheduled_time_parameter: Option<String>,
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
        Parent { kind: ParentKind::Schedule, id: self.schedule.0, child: format!("{kind}{}", self.time) }
    }
}

impl Target {
    /// The target as it is kept.
    pub(super) fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| {
            Error::internal("a schedule's target cannot be written as JSON").with_source(error)
        })
    }

    /// The target that was kept.
    pub(super) fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map_err(|error| Error::internal("a schedule's target cannot be read").with_source(error))
    }
}

impl ExecutionTarget {
    /// What is executed when it is due at `time`.
    ///
    /// # Errors
    /// `BadInput` for a path that is no template; `Invalid` for the parameter.
    fn at(&self, schedule: ScheduleId, time: &Zoned) -> Result<SubmitExecution> {
        let mut submit = SubmitExecution { idempotency_key: None, ..self.submit.clone() };
        if let Some(name) = &self.scheduled_time_parameter {
            submit.parameters = Some(with_time(submit.parameters.as_deref(), name, time)?);
        }
        let parameters = submit.parameters.as_deref().map(Parameters::from_json_text).transpose()?;
        let utc = time.timestamp();
        submit.output_path = Some(match &submit.output_path {
            Some(template) => {
                let builtins = Builtins {
                    run_uuid: uuid::Uuid::new_v4().to_string(),
                    current_datetime_local: Zoned::now().datetime(),
                    current_datetime_utc: Timestamp::now(),
                    scheduled_time: Some(time.clone()),
                };
                fill(template, &parameters.unwrap_or_default(), &builtins).map_err(|error| {
                    let message = error.message().to_owned();
                    error.with_field("output_path", message)
                })?
            }
            // UTC alone never shows one time twice, and several schedules may run one notebook at one time.
            None => {
                let what = format!("schedule-{schedule}.{}", utc.strftime("%Y%m%dT%H%M%SZ"));
                beside(&submit.notebook_path, &what)
            }
        });
        Ok(submit)
    }

    /// Everything that was asked for, in the words of a body of `POST /execute-notebook`.
    ///
    /// # Errors
    /// `Internal` when it cannot be written, which it can.
    pub fn as_asked(&self) -> Result<Box<RawValue>> {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        let submit = &self.submit;
        serde_json::value::to_raw_value(&Asked {
            notebook_path: &submit.notebook_path,
            output_path: submit.output_path.as_deref(),
            username: submit.username.as_deref(),
            kernel_name: submit.kernel_name.as_deref(),
            parameters: submit.parameters.as_deref(),
            timeout: seconds(submit.timeout),
            cell_timeout: seconds(submit.cell_timeout),
            queue_timeout: seconds(submit.queue_timeout),
            priority: submit.priority,
            max_attempts: submit.max_attempts,
            max_memory: submit.resources.max_memory,
            max_cpu_time: seconds(submit.resources.max_cpu_time),
            max_processes: submit.resources.max_processes,
            max_disk_writes: submit.resources.max_disk_writes,
            keep_kernel_on_failure: seconds(submit.keep_kernel_on_failure),
        })
        .map_err(|error| Error::internal("a schedule's target cannot be written as JSON").with_source(error))
    }
}

/// See [`ExecutionTarget::as_asked`].
#[derive(Serialize)]
struct Asked<'a> {
    notebook_path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cell_timeout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_timeout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_memory: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_cpu_time: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_processes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_disk_writes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_kernel_on_failure: Option<f64>,
}

/// Parameters and the time among them, as RFC 3339 with the offset of the schedule's clock.
fn with_time(parameters: Option<&RawValue>, name: &str, time: &Zoned) -> Result<Box<RawValue>> {
    let text = time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    let added = serde_json::value::to_raw_value(&serde_json::json!({ name: text }))
        .map_err(|error| Error::internal("a time cannot be written as JSON").with_source(error))?;
    Parameters::from_json_text(&added).map_err(|error| {
        let what = format!("`{name}` is no name for a parameter");
        Error::invalid(format!("`scheduled_time_parameter`: {what}"))
            .with_field("scheduled_time_parameter", what)
            .with_source(error)
    })?;
    Parameters::merge_json_text(parameters.map_or("{}", RawValue::get), &added)
}

/// The path of a notebook with something before its ending.
fn beside(path: &str, what: &str) -> String {
    format!("{}.{what}.ipynb", path.strip_suffix(".ipynb").unwrap_or(path))
}

impl Engine {
    /// What is put into the queue for a run. The notebook is not looked at: what is wrong with it, the execution says.
    ///
    /// # Errors
    /// `BadInput` and `Invalid` for paths and parameters that cannot be; `Unavailable`.
    pub(super) async fn request_of_run(
        &self,
        target: &Target,
        timetable: &Timetable,
        run: Run,
    ) -> Result<ExecutionRequest> {
        let Target::Execution(target) = target;
        let (mut request, _) = self.request_of(target.at(run.schedule, &timetable.local(run.time))?)?;
        request.template_name = self.template_of(&request).await?;
        request.parent = Some(run.parent());
        Ok(request)
    }

    /// Checks all of a target that can be checked before its time: what `POST /execute-notebook` checks, and the template of
    /// its output with a time for an example.
    ///
    /// # Errors
    /// As [`Engine::submit`].
    pub(super) async fn check_target(&self, target: &Target, timetable: &Timetable) -> Result<()> {
        let Target::Execution(target) = target;
        if let (Some(name), Some(given)) = (&target.scheduled_time_parameter, &target.submit.parameters)
            && Parameters::from_json_text(given)?.get(name).is_some()
        {
            let what = format!("`{name}` is among the parameters, too: leave it out there");
            return Err(Error::invalid(format!("`scheduled_time_parameter`: {what}"))
                .with_field("scheduled_time_parameter", what));
        }
        let (request, parameters) =
            self.request_of(target.at(ScheduleId(0), &timetable.local(self.database().now()))?)?;
        self.check_runnable(&request, parameters).await
    }
}
