//! An execution: one run of one notebook, and the words for its state. Pure: no I/O, no async.

mod parent;
mod remote;
mod request;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::Error;
pub use parent::{Parent, ParentId, ParentKind};
pub use remote::{KernelHandle, RemoteRun};
pub use request::{ExecutionRequest, MlflowParent};

/// The id of an execution; answered once, it names that execution for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = i64, example = 42)]
pub struct ExecutionId(pub i64);

impl fmt::Display for ExecutionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for ExecutionId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse().map(Self).map_err(|_| {
            Error::bad_input(format!("`{text}` is not an execution id: it must be a whole number"))
        })
    }
}

/// Where an execution stands: `pending → running → success | failed | cancelled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExecutionStatus {
    /// Accepted and waiting for a worker.
    Pending,
    /// A worker has it.
    Running,
    /// Every cell ran; the notebook is on disk.
    Success,
    /// A cell failed, or the run could not go on; what was produced is on disk.
    Failed,
    /// Somebody asked for it to stop.
    Cancelled,
}

impl ExecutionStatus {
    /// Every status, in the order of an execution's life.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Success, Self::Failed, Self::Cancelled];

    /// The word used in JSON and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for ExecutionStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for ExecutionStatus {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Error::bad_input(format!("`{text}` is not an execution status; known are: {known}"))
        })
    }
}

/// Why an execution failed: an exception in a cell, or what stopped the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CellError {
    /// The cell's place in the notebook before papermill's error markers, from 0; null when no cell is to blame.
    #[schema(example = 3)]
    pub cell_index: Option<usize>,
    /// The exception's name, or one of ours: `CellTimeoutError`, `ExecutionTimeoutError`, `DeadKernelError`,
    /// `KernelStartError`, `MemoryLimitError`, `CpuLimitError`, `ProcessLimitError`, `DiskLimitError`,
    /// `OutputLimitError`, `NotebookUnreadable`, `WorkerLost`, `WorkerStopped`, `KernelGatewayError`, `ReplyLost`,
    /// `MessageTooLarge`, …
    #[schema(example = "ZeroDivisionError")]
    pub ename: String,
    /// The exception's text.
    #[schema(example = "division by zero")]
    pub evalue: String,
    /// The traceback's lines as the kernel sent them, with ANSI colours.
    pub traceback: Vec<String>,
}

impl CellError {
    /// An error of ours, without traceback.
    pub fn new(cell_index: Option<usize>, ename: &str, evalue: impl Into<String>) -> Self {
        Self { cell_index, ename: ename.into(), evalue: evalue.into(), traceback: Vec::new() }
    }
}

impl fmt::Display for CellError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.ename)?;
        if let Some(cell) = self.cell_index {
            write!(formatter, " in cell {cell}")?;
        }
        // A bare `assert` has no text.
        if self.evalue.is_empty() { Ok(()) } else { write!(formatter, ": {}", self.evalue) }
    }
}

/// How far a run has come. Cells of every type count, as in papermill's progress bar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Cells whose turn is over.
    pub cells_done: usize,
    /// All cells of the notebook, the injected one included; 0 until the run has started.
    pub cells_total: usize,
    /// The cell that is running, from 0.
    pub current_cell: Option<usize>,
}

/// Where an execution is recorded in MLflow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MlflowLink {
    /// The experiment.
    pub experiment_id: Option<String>,
    /// The run that stands for this execution; runs that the notebook starts are its children.
    pub run_id: Option<String>,
    /// The run's page in the MLflow UI.
    #[schema(example = "http://127.0.0.1:5000/#/experiments/1/runs/0a1b")]
    pub url: Option<String>,
    /// The runs that the notebook itself started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<MlflowChild>,
    /// What MLflow refused or could not do; it never fails the notebook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A run that the notebook itself started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MlflowChild {
    /// Its id.
    pub run_id: String,
    /// Its name.
    pub run_name: String,
    /// Its status in MLflow's words.
    pub status: String,
    /// Its page.
    pub url: String,
}

/// The limits of a run; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// For the kernel to answer for the first time.
    pub start_timeout: Duration,
    /// For each cell.
    pub cell_timeout: Option<Duration>,
    /// For the run from its start.
    pub timeout: Option<Duration>,
    /// For a worker to take it.
    #[serde(default)]
    pub queue_timeout: Option<Duration>,
    /// What it may take of the machine.
    #[serde(default)]
    pub resources: ResourceLimits,
}

/// What all processes of a run may take of the machine together; `None` is no limit. How each is counted stands in
/// `kernel/limits/`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceLimits {
    /// Memory in bytes, at any one time.
    pub max_memory: Option<u64>,
    /// Processor time, all in all.
    pub max_cpu_time: Option<Duration>,
    /// Processes, at any one time; threads do not count.
    pub max_processes: Option<u64>,
    /// Bytes written to disk, all in all.
    pub max_disk_writes: Option<u64>,
}

impl ResourceLimits {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These limits, where `asked` is lower that.
    pub fn lowered_to(self, asked: Self) -> Self {
        fn lower<T: Ord>(own: Option<T>, asked: Option<T>) -> Option<T> {
            own.into_iter().chain(asked).min()
        }
        Self {
            max_memory: lower(self.max_memory, asked.max_memory),
            max_cpu_time: lower(self.max_cpu_time, asked.max_cpu_time),
            max_processes: lower(self.max_processes, asked.max_processes),
            max_disk_writes: lower(self.max_disk_writes, asked.max_disk_writes),
        }
    }
}

/// How cells are run: nbclient's options, under its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellPolicy {
    /// Whether the run goes on after an exception in any cell.
    pub allow_errors: bool,
    /// The exceptions, by class name, after which it goes on.
    pub allow_error_names: Vec<String>,
    /// Whether an exception ends the run whatever the two above and the tag `raises-exception` say.
    pub force_raise_errors: bool,
    /// The tag of the cells that are not executed.
    pub skip_cells_with_tag: String,
    /// Whether the texts of each stream become one output per cell, in which `\r` has returned to the line's begin.
    pub coalesce_streams: bool,
    /// Whether each cell's `metadata.execution` gets the times of its messages.
    pub record_timing: bool,
    /// Whether the notebook's `metadata.widgets` get the state of its widgets.
    pub store_widget_state: bool,
    /// How long output may stay away after a cell's reply before the cell is taken for done.
    pub iopub_timeout: Duration,
    /// Whether a cell whose output stays away fails.
    pub raise_on_iopub_timeout: bool,
}

impl Default for CellPolicy {
    /// nbclient's defaults.
    fn default() -> Self {
        Self {
            allow_errors: false,
            allow_error_names: Vec::new(),
            force_raise_errors: false,
            skip_cells_with_tag: "skip-execution".into(),
            coalesce_streams: false,
            record_timing: true,
            store_widget_state: true,
            iopub_timeout: Duration::from_secs(4),
            raise_on_iopub_timeout: false,
        }
    }
}

impl CellPolicy {
    /// Whether the run goes on after an exception of this class.
    pub fn allows(&self, ename: &str) -> bool {
        !self.force_raise_errors
            && (self.allow_errors || self.allow_error_names.iter().any(|name| name == ename))
    }
}

/// The longest that a kernel can be kept.
pub const LONGEST_KEEP: Duration = Duration::from_secs(86_400);

/// The kernel of a failed run that is kept for a person to attach to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeptKernel {
    /// On the worker's machine, for its user: `jupyter console --existing FILE`.
    #[schema(example = "/tmp/bindery-8sT2pQ/connection.json")]
    pub connection_file: String,
    /// When it ends by itself.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// The priorities that can be asked for.
pub const PRIORITIES: std::ops::RangeInclusive<i64> = -1000..=1000;
/// How many attempts can be asked for.
pub const ATTEMPTS: std::ops::RangeInclusive<i64> = 1..=100;

/// Everything that is recorded of an execution.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// Its id.
    pub id: ExecutionId,
    /// Where it stands.
    pub status: ExecutionStatus,
    /// What was asked for.
    pub request: ExecutionRequest,
    /// When it was accepted.
    pub submitted_at: Timestamp,
    /// When a worker took it.
    pub start_time: Option<Timestamp>,
    /// When its final status was written.
    pub end_time: Option<Timestamp>,
    /// How far it has come.
    pub progress: Progress,
    /// How many code cells are done.
    pub code_cells_done: usize,
    /// Why it failed.
    pub error: Option<CellError>,
    /// Where MLflow has it.
    pub mlflow: Option<MlflowLink>,
    /// How often a worker has taken it.
    pub attempts: u32,
    /// The kernel that ran it.
    pub kernel_used: Option<String>,
    /// What a reader should know though it stopped nothing.
    pub warnings: Vec<String>,
    /// What the notebook recorded, by name.
    pub results: Option<serde_json::Map<String, serde_json::Value>>,
    /// The kernel behind a gateway that runs it, until that has ended.
    pub remote: Option<RemoteRun>,
    /// Whether somebody asked for it to stop.
    pub cancel_requested: bool,
    /// Its kernel, while that is kept, and until it expires if its worker died; see [`Execution::kept_kernel`].
    pub kept: Option<KeptKernel>,
}

impl Execution {
    /// Its kernel, if that is kept for a person to attach to.
    pub fn kept_kernel(&self, now: Timestamp) -> Option<&KeptKernel> {
        self.kept.as_ref().filter(|kept| kept.expires_at > now)
    }

    /// How long it has run: until its end, or until `now`.
    pub fn duration(&self, now: Timestamp) -> Option<Duration> {
        let start = self.start_time?;
        let end = self.end_time.unwrap_or(now);
        Some(Duration::try_from(start.duration_until(end)).unwrap_or_default())
    }
}

/// A duration for people: `5m 30s`, `1h 2m 3s`, `0.4s`.
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0..10) => format!("{:.1}s", duration.as_secs_f64()),
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h {minutes}m {seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let check =
            |millis: u64, expected: &str| assert_eq!(human_duration(Duration::from_millis(millis)), expected);
        check(0, "0.0s");
        check(420, "0.4s");
        check(9_949, "9.9s");
        check(10_400, "10s");
        check(330_000, "5m 30s");
        check(3_723_000, "1h 2m 3s");
    }

    #[test]
    fn a_request_lowers_limits_and_raises_none() {
        let limits = |max_memory, max_processes| ResourceLimits {
            max_memory,
            max_processes,
            ..ResourceLimits::default()
        };
        let own = limits(Some(100), None);
        assert_eq!(own.lowered_to(limits(Some(200), Some(5))), limits(Some(100), Some(5)));
        assert_eq!(own.lowered_to(limits(Some(50), None)), limits(Some(50), None));
        assert_eq!(own.lowered_to(ResourceLimits::default()), own);
        // As executions were recorded before there were such limits.
        let old = r#"{"start_timeout":{"secs":1,"nanos":0},"cell_timeout":null,"timeout":null}"#;
        assert!(serde_json::from_str::<Limits>(old).unwrap().resources.is_empty());
    }

    #[test]
    fn a_status_reads_back_from_its_word() {
        for status in ExecutionStatus::ALL {
            assert_eq!(status.as_str().parse::<ExecutionStatus>().unwrap(), status);
        }
        assert!("done".parse::<ExecutionStatus>().unwrap_err().message().contains("pending, running"));
    }
}
