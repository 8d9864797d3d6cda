//! An execution that a schedule starts.

use std::time::Duration;

use jiff::Zoned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{check_time_parameter, fill_path, time_text, unwritable};
use crate::engine::executions::SubmitExecution;
use crate::error::Result;
use crate::notebook::Parameters;
use crate::schedule::ScheduleId;

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

impl ExecutionTarget {
    /// Checks what [`ExecutionTarget::at`] does not.
    pub(super) fn check(&self) -> Result<()> {
        match (&self.scheduled_time_parameter, &self.submit.parameters) {
            (Some(name), Some(given)) => {
                let is_given = Parameters::from_json_text(given)?.get(name).is_some();
                check_time_parameter(name, is_given)
            }
            (Some(name), None) => check_time_parameter(name, false),
            (None, _) => Ok(()),
        }
    }

    /// What is executed when it is due at `time`.
    ///
    /// # Errors
    /// `BadInput` for a path that is no template; `Invalid` for the parameter.
    pub(super) fn at(&self, schedule: ScheduleId, time: &Zoned) -> Result<SubmitExecution> {
        let mut submit = SubmitExecution { idempotency_key: None, ..self.submit.clone() };
        if let Some(name) = &self.scheduled_time_parameter {
            submit.parameters = Some(with_time(submit.parameters.as_deref(), name, time)?);
        }
        let parameters = submit.parameters.as_deref().map(Parameters::from_json_text).transpose()?;
        let utc = time.timestamp();
        submit.output_path = Some(match &submit.output_path {
            Some(template) => fill_path("output_path", template, &parameters.unwrap_or_default(), time)?,
            // UTC alone never shows one time twice, and several schedules may run one notebook at one time.
            None => {
                let what = format!("schedule-{schedule}.{}", utc.strftime("%Y%m%dT%H%M%SZ"));
                beside(&submit.notebook_path, &what)
            }
        });
        Ok(submit)
    }

    /// Everything that was asked for, in the words of a body of `POST /execute-notebook`.
    pub(super) fn as_asked(&self) -> serde_json::Result<Box<RawValue>> {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        let submit = &self.submit;
        serde_json::value::to_raw_value(&Asked {
            notebook_path: &submit.notebook_path,
            output_path: submit.output_path.as_deref(),
            username: submit.username.as_deref(),
            kernel_name: submit.kernel_name.as_deref(),
            kernel_gateway: submit.kernel_gateway.as_deref(),
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
    kernel_gateway: Option<&'a str>,
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

/// Parameters and the time among them.
fn with_time(parameters: Option<&RawValue>, name: &str, time: &Zoned) -> Result<Box<RawValue>> {
    let added =
        serde_json::value::to_raw_value(&serde_json::json!({ name: time_text(time) })).map_err(unwritable)?;
    Parameters::merge_json_text(parameters.map_or("{}", RawValue::get), &added)
}

/// The path of a notebook with something before its ending.
fn beside(path: &str, what: &str) -> String {
    format!("{}.{what}.ipynb", path.strip_suffix(".ipynb").unwrap_or(path))
}
