//! The bodies of executions, in and out.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::extract::username;
use crate::engine::Engine;
use crate::engine::executions::SubmitExecution;
use crate::error::{Error, Result};
use crate::execution::{
    ATTEMPTS, CellError, Execution, ExecutionId, ExecutionStatus, KeptKernel, MlflowLink, PRIORITIES, Parent,
    Progress, ResourceLimits, human_duration,
};

/// The longest limit that can be asked for, in seconds: a year.
const MAX_TIMEOUT: f64 = 31_536_000.0;

/// What to execute, and how.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"notebook_path": "ann/projects/churn_may.ipynb", "username": "ann",
    "parameters": {"alpha": 0.2}, "timeout": 3600}))]
pub(in crate::api) struct ExecuteBody {
    /// The notebook, relative to the notebooks root or absolute and inside it.
    #[schema(pattern = r"\.ipynb$", max_length = 1000)]
    notebook_path: String,
    /// For whom: the user whose Jupyter server shows the result.
    #[schema(min_length = 1, max_length = 255)]
    username: String,
    /// The kernel; the notebook's own choice when not given.
    kernel_name: Option<String>,
    /// A gateway that the service is configured with, by name or address: the kernel is then one of this Jupyter Server,
    /// Kernel Gateway or Enterprise Gateway, and `kernel_name` its name there.
    #[schema(max_length = 1000, example = "spark")]
    kernel_gateway: Option<String>,
    /// Parameters to bind: names that are identifiers, and any JSON values.
    #[schema(value_type = Option<Object>)]
    parameters: Option<Box<RawValue>>,
    /// The longest that the run may take, in seconds.
    #[schema(exclusive_minimum = 0, maximum = 31_536_000)]
    timeout: Option<f64>,
    /// The longest that one cell may take, in seconds.
    #[schema(exclusive_minimum = 0, maximum = 31_536_000)]
    cell_timeout: Option<f64>,
    /// The longest that it may wait for a worker, in seconds; then it fails with `QueueTimeoutError`.
    #[schema(exclusive_minimum = 0, maximum = 31_536_000)]
    queue_timeout: Option<f64>,
    /// Those of a higher priority are executed first; 0 when not given.
    #[schema(minimum = -1000, maximum = 1000)]
    priority: Option<i64>,
    /// How often it may be begun when its worker dies under it; 1 when not given, so that nothing that a notebook does is
    /// done twice unasked. A cell that fails is a result, and no reason for another attempt.
    #[schema(minimum = 1, maximum = 100)]
    max_attempts: Option<i64>,
    /// Memory that all processes of the run may take together, in bytes. This limit and the next three can be lower than
    /// the service's own, not higher.
    #[schema(minimum = 1, example = 2_000_000_000u64)]
    max_memory: Option<u64>,
    /// Processor time that they may take together, in seconds.
    #[schema(exclusive_minimum = 0, maximum = 31_536_000)]
    max_cpu_time: Option<f64>,
    /// How many of them there may be at the same time, the kernel included.
    #[schema(minimum = 1)]
    max_processes: Option<u64>,
    /// What they may write to disk together, in bytes.
    #[schema(minimum = 1)]
    max_disk_writes: Option<u64>,
    /// How long the kernel stays when a cell fails, in seconds, so that a person can attach to it: see `kernel` in the
    /// status.
    #[schema(exclusive_minimum = 0, maximum = 86_400)]
    keep_kernel_on_failure: Option<f64>,
    /// Where the result goes, relative to the notebooks root; into the notebook itself when not given.
    #[schema(pattern = r"(\.ipynb)?$", max_length = 1000)]
    output_path: Option<String>,
}

impl ExecuteBody {
    /// What the engine is to do.
    ///
    /// # Errors
    /// `Invalid` for a limit or username that cannot be.
    pub(in crate::api) fn parse(self, idempotency_key: Option<String>) -> Result<SubmitExecution> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(SubmitExecution {
            notebook_path: self.notebook_path,
            output_path: given(self.output_path),
            username: Some(username(self.username)?),
            kernel_name: given(self.kernel_name),
            kernel_gateway: given(self.kernel_gateway),
            parameters: self.parameters,
            timeout: seconds("timeout", self.timeout)?,
            cell_timeout: seconds("cell_timeout", self.cell_timeout)?,
            queue_timeout: seconds("queue_timeout", self.queue_timeout)?,
            resources: ResourceLimits {
                max_memory: at_least_one("max_memory", self.max_memory)?,
                max_cpu_time: seconds("max_cpu_time", self.max_cpu_time)?,
                max_processes: at_least_one("max_processes", self.max_processes)?,
                max_disk_writes: at_least_one("max_disk_writes", self.max_disk_writes)?,
            },
            idempotency_key,
            priority: within("priority", self.priority, &PRIORITIES)?,
            max_attempts: within("max_attempts", self.max_attempts, &ATTEMPTS)?,
            keep_kernel_on_failure: seconds("keep_kernel_on_failure", self.keep_kernel_on_failure)?,
        })
    }
}

/// What is to be different.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"parameters": {"alpha": 0.3}}))]
pub(in crate::api) struct RetryBody {
    /// Parameters that take the place of the old ones, which else stay.
    #[schema(value_type = Option<Object>)]
    pub(super) parameters: Option<Box<RawValue>>,
}

pub(in crate::api) fn within<T: TryFrom<i64>>(
    field: &str,
    value: Option<i64>,
    range: &RangeInclusive<i64>,
) -> Result<Option<T>> {
    let Some(number) = value else { return Ok(None) };
    match T::try_from(number) {
        Ok(value) if range.contains(&number) => Ok(Some(value)),
        _ => {
            let what = format!("must be from {} to {}", range.start(), range.end());
            Err(Error::invalid(format!("`{field}` {what}")).with_field(field, what))
        }
    }
}

pub(in crate::api) fn seconds(field: &str, value: Option<f64>) -> Result<Option<Duration>> {
    let Some(seconds) = value else { return Ok(None) };
    // Shorter than a nanosecond is zero, too.
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() && seconds <= MAX_TIMEOUT => Ok(Some(duration)),
        _ => {
            let what = format!("must be from above 0 to {MAX_TIMEOUT} seconds");
            Err(Error::invalid(format!("`{field}` {what}")).with_field(field, what))
        }
    }
}

fn at_least_one(field: &str, value: Option<u64>) -> Result<Option<u64>> {
    match value {
        Some(0) => {
            let what = "must be at least 1";
            Err(Error::invalid(format!("`{field}` {what}")).with_field(field, what))
        }
        value => Ok(value),
    }
}

/// An execution under way.
#[derive(Serialize, ToSchema)]
#[schema(as = StartedExecution, example = json!({"status": "running", "execution_id": 42,
    "notebook_url": "http://127.0.0.1:8000/user/ann/lab/tree/ann/projects/churn_may.ipynb",
    "status_url": "http://127.0.0.1:8002/execution-status/42", "error": null}))]
pub(in crate::api) struct Started {
    /// `running`; `pending` in an answer 202; `failed` or `cancelled` when it has come to that already.
    status: ExecutionStatus,
    /// Names this execution for ever.
    execution_id: ExecutionId,
    /// Where the user's Jupyter server shows the output.
    notebook_url: Option<String>,
    /// Where to ask how it goes on.
    pub(in crate::api) status_url: String,
    /// Why it has failed already.
    #[schema(nullable)]
    error: Option<CellError>,
}

impl Started {
    pub(in crate::api) fn new(
        execution: &Execution,
        status: ExecutionStatus,
        engine: &Engine,
        base: &str,
    ) -> Self {
        let request = &execution.request;
        Self {
            status,
            execution_id: execution.id,
            notebook_url: engine.notebook_url(&request.output_path, request.username.as_deref()),
            status_url: format!("{base}/execution-status/{}", execution.id),
            error: execution.error.clone().filter(|_| status == ExecutionStatus::Failed),
        }
    }
}

/// Everything that is recorded of an execution.
#[derive(Serialize, ToSchema)]
#[schema(as = Execution, example = json!({"execution_id": 42, "status": "success",
    "notebook_path": "ann/projects/churn_may.ipynb", "output_path": "ann/projects/churn_may.ipynb",
    "username": "ann", "kernel_name": "python3", "kernel_gateway": null, "submitted_at": "2026-05-04T03:02:00Z",
    "start_time": "2026-05-04T03:02:01Z", "end_time": "2026-05-04T03:07:31Z", "duration": "5m 30s",
    "progress": {"cells_done": 8, "cells_total": 8, "current_cell": null}, "error": null,
    "mlflow": {"experiment_id": "1", "run_id": "0a1b", "url": "http://127.0.0.1:5000/#/experiments/1/runs/0a1b"},
    "attempts": 1, "max_attempts": 1, "priority": 0, "queue_position": null, "warnings": [],
    "results": {"auc": 0.91}, "parent": null,
    "notebook_url": "http://127.0.0.1:8000/user/ann/lab/tree/ann/projects/churn_may.ipynb"}))]
pub(in crate::api) struct Status {
    /// Its id.
    execution_id: ExecutionId,
    /// `pending → running → success | failed | cancelled`.
    status: ExecutionStatus,
    /// The notebook, relative to the notebooks root.
    notebook_path: String,
    /// Where the result is, relative to the notebooks root.
    output_path: String,
    /// For whom it runs.
    username: Option<String>,
    /// The kernel that runs it; before its start the one that was asked for.
    kernel_name: Option<String>,
    /// The gateway whose kernel it is, by its name; null when it is one of the worker's machine.
    kernel_gateway: Option<String>,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    submitted_at: Timestamp,
    /// When a worker took it.
    #[schema(value_type = Option<String>, format = DateTime)]
    start_time: Option<Timestamp>,
    /// When its final status was written.
    #[schema(value_type = Option<String>, format = DateTime)]
    end_time: Option<Timestamp>,
    /// From its start to its end, or until now.
    duration: Option<String>,
    /// How far it has come.
    progress: Progress,
    /// Why it failed.
    #[schema(nullable)]
    error: Option<CellError>,
    /// Where MLflow has it; null when MLflow is not in use.
    #[schema(nullable)]
    mlflow: Option<MlflowLink>,
    /// How often a worker has taken it.
    attempts: u32,
    /// How often a worker may take it.
    max_attempts: u32,
    /// Those of a higher one are taken first.
    priority: i32,
    /// How many are to be taken before it, while it is `pending`; null else, and in lists.
    #[schema(nullable)]
    queue_position: Option<u64>,
    /// The kernel of the failed run, while it is kept for you to attach to with `jupyter console --existing`; else null.
    #[schema(nullable)]
    kernel: Option<KeptKernel>,
    /// What you should know though it stopped nothing.
    warnings: Vec<String>,
    /// What the notebook recorded (scrapbook's `glue`, or display metadata), by name; null before its end.
    #[schema(nullable, value_type = Option<Object>)]
    results: Option<Map<String, Value>>,
    /// What started it; null when that was a client.
    #[schema(nullable)]
    parent: Option<Parent>,
    /// Where the user's Jupyter server shows the output.
    notebook_url: Option<String>,
}

impl Status {
    /// An execution, and how many are before it.
    ///
    /// # Errors
    /// `NotFound`.
    pub(super) async fn in_full(id: ExecutionId, engine: &Engine) -> Result<Self> {
        let execution = engine.execution(id).await?;
        let queue_position = match execution.status {
            ExecutionStatus::Pending => engine.queue_position(id).await?,
            _ => None,
        };
        Ok(Self { queue_position, ..Self::new(execution, engine) })
    }

    pub(super) fn new(execution: Execution, engine: &Engine) -> Self {
        let now = Timestamp::now();
        let duration = execution.duration(now).map(human_duration);
        let kernel = execution.kept_kernel(now).cloned();
        let request = execution.request;
        Self {
            execution_id: execution.id,
            status: execution.status,
            notebook_url: engine.notebook_url(&request.output_path, request.username.as_deref()),
            notebook_path: request.notebook_path,
            output_path: request.output_path,
            username: request.username,
            kernel_name: execution.kernel_used.or(request.kernel_name),
            kernel_gateway: request.kernel_gateway,
            submitted_at: execution.submitted_at,
            start_time: execution.start_time,
            end_time: execution.end_time,
            duration,
            progress: execution.progress,
            error: execution.error,
            mlflow: execution.mlflow,
            attempts: execution.attempts,
            max_attempts: request.max_attempts,
            priority: request.priority,
            queue_position: None,
            kernel,
            warnings: execution.warnings,
            results: execution.results,
            parent: request.parent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_limits_are_positive_and_sane() {
        assert_eq!(seconds("timeout", None).unwrap(), None);
        assert_eq!(seconds("timeout", Some(1.5)).unwrap(), Some(Duration::from_millis(1500)));
        for wrong in [0.0, -1.0, 1e-12, f64::INFINITY, f64::NAN, 1e300, MAX_TIMEOUT + 1.0] {
            let error = seconds("timeout", Some(wrong)).unwrap_err();
            assert_eq!(error.fields()[0].field, "timeout", "{wrong}");
        }
    }
}
