//! The rows of the executions table.

use crate::error::Result;
use crate::execution::{
    CellError, Execution, ExecutionId, ExecutionRequest, KeptKernel, MlflowLink, Progress, RemoteRun,
};

use super::{from_json, timestamp};

/// One row as it is stored.
#[derive(sqlx::FromRow)]
pub(super) struct ExecutionRow {
    id: i64,
    status: String,
    output_path: String,
    request: String,
    submitted_at: i64,
    start_time: Option<i64>,
    end_time: Option<i64>,
    cells_done: i64,
    cells_total: i64,
    current_cell: Option<i64>,
    code_cells_done: i64,
    error: Option<String>,
    mlflow: Option<String>,
    warnings: String,
    kernel_used: Option<String>,
    attempts: i64,
    cancel_requested: i64,
    kept_kernel: Option<String>,
    results: Option<String>,
    remote_kernel: Option<String>,
}

impl ExecutionRow {
    /// The execution that it stands for.
    pub(super) fn read(self) -> Result<Execution> {
        let mut request: ExecutionRequest = from_json(&self.request)?;
        // The worker may have had to put the result elsewhere.
        request.output_path = self.output_path;
        let count = |count: i64| usize::try_from(count).unwrap_or(0);
        Ok(Execution {
            id: ExecutionId(self.id),
            status: self.status.parse()?,
            request,
            submitted_at: timestamp(self.submitted_at),
            start_time: self.start_time.map(timestamp),
            end_time: self.end_time.map(timestamp),
            progress: Progress {
                cells_done: count(self.cells_done),
                cells_total: count(self.cells_total),
                current_cell: self.current_cell.map(count),
            },
            code_cells_done: count(self.code_cells_done),
            error: self.error.as_deref().map(from_json::<CellError>).transpose()?,
            mlflow: self.mlflow.as_deref().map(from_json::<MlflowLink>).transpose()?,
            attempts: u32::try_from(self.attempts).unwrap_or(u32::MAX),
            kernel_used: self.kernel_used,
            warnings: from_json(&self.warnings)?,
            remote: self.remote_kernel.as_deref().map(from_json::<RemoteRun>).transpose()?,
            results: self.results.as_deref().map(from_json).transpose()?,
            cancel_requested: self.cancel_requested != 0,
            kept: self.kept_kernel.as_deref().map(from_json::<KeptKernel>).transpose()?,
        })
    }
}
