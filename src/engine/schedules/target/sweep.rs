//! A sweep that a schedule starts.

use std::time::Duration;

use jiff::Zoned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{check_time_parameter, fill_folder, time_text};
use crate::engine::flows::StartFlow;
use crate::engine::flows::sweeps::flow_of;
use crate::error::Result;
use crate::workflow::{Retries, StepSource, SweepRequest};

/// A sweep that a schedule starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SweepTarget {
    /// What is to be swept. Its `output_directory` is a template: `scheduled_time` and papermill's own fields.
    pub request: SweepRequest,
    /// The parameter that is given the time at which the run was due, the same in every point.
    pub scheduled_time_parameter: Option<String>,
}

impl SweepTarget {
    /// Checks what [`SweepTarget::at`] does not.
    pub(super) fn check(&self) -> Result<()> {
        match &self.scheduled_time_parameter {
            Some(name) => check_time_parameter(name, self.request.parameters.contains_key(name)),
            None => Ok(()),
        }
    }

    /// What begins when it is due at `time`.
    ///
    /// # Errors
    /// As [`SweepRequest::compile`]; `BadInput` for a folder that is no template.
    pub(super) fn at(&self, time: &Zoned) -> Result<StartFlow> {
        let mut request = self.request.clone();
        if let Some(name) = &self.scheduled_time_parameter {
            request.parameters.insert(name.clone(), json!({"value": time_text(time)}));
        }
        if let Some(folder) = &request.output_directory {
            request.output_directory = Some(fill_folder(folder, time)?);
        }
        flow_of(request, None)
    }

    /// Everything that was asked for, in the words of a body of `POST /api/v1/sweeps`.
    pub(super) fn as_asked(&self) -> serde_json::Result<Box<RawValue>> {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        let request = &self.request;
        let (notebook_path, template_name) = match &request.source {
            StepSource::Notebook(path) => (Some(path.as_str()), None),
            StepSource::Template(name) => (None, Some(name.as_str())),
        };
        serde_json::value::to_raw_value(&Asked {
            notebook_path,
            template_name,
            username: request.username.as_deref(),
            name: request.name.as_deref(),
            parameters: &request.parameters,
            method: json!(request.method),
            samples: request.samples,
            seed: request.seed,
            max_parallel: request.max_parallel,
            fail_fast: request.fail_fast,
            retries: (request.retries != Retries::default()).then_some(AskedRetries {
                limit: request.retries.limit,
                delay: request.retries.delay.as_secs_f64(),
                factor: request.retries.factor,
                max_delay: request.retries.max_delay.as_secs_f64(),
            }),
            sweep_timeout: seconds(request.sweep_timeout),
            timeout: seconds(request.timeout),
            cell_timeout: seconds(request.cell_timeout),
            queue_timeout: seconds(request.queue_timeout),
            max_attempts: request.max_attempts,
            kernel_name: request.kernel_name.as_deref(),
            kernel_gateway: request.kernel_gateway.as_deref(),
            priority: request.priority,
            output_directory: request.output_directory.as_deref(),
        })
    }
}

/// See [`SweepTarget::as_asked`].
#[derive(Serialize)]
struct Asked<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    notebook_path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    parameters: &'a Map<String, Value>,
    method: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    samples: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_parallel: Option<u32>,
    fail_fast: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<AskedRetries>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sweep_timeout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cell_timeout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_timeout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_gateway: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_directory: Option<&'a str>,
}

#[derive(Serialize)]
struct AskedRetries {
    limit: u32,
    delay: f64,
    factor: f64,
    max_delay: f64,
}
