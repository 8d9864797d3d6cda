//! Runs on kernels behind gateways that outlive their workers: handed over when the worker has to go, taken over when it
//! died, gone on with from what the journal tells.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::begin::{Begun, KernelSource};
use super::catching_up::{InFlight, Position, Seen};
use super::cells::Stop;
use super::finish::finish_shipping;
use super::gateways::gateway;
use super::journal::{self, Journal, Marks};
use super::recording::RunProgress;
use super::shipping::Shipping;
use super::work::LEASE;
use super::{Engine, blocking};
use crate::db::Lease;
use crate::error::{Error, Result};
use crate::execution::{CellError, Execution, ExecutionId, Progress, RemoteRun};
use crate::kernel::remote::Resumed;
use crate::notebook::{Cell, Notebook};

/// How many parts of a journal are fetched from the database at once.
const PARTS: usize = 16;

impl Engine {
    /// Goes on with an abandoned execution, beside whatever else is done, when its kernel is behind a gateway; gives the
    /// lease back when it is not.
    pub(super) async fn take_over(&self, lease: Lease, stopped: &watch::Receiver<bool>) -> Option<Lease> {
        let execution = match self.database().execution(lease.id).await {
            Ok(execution) => execution,
            Err(_) => return Some(lease),
        };
        let Some(mut remote) = execution.remote else { return Some(lease) };
        if let Err(error) = self.gateway_config(&remote.gateway) {
            tracing::warn!(execution.id = %lease.id, %error, "an execution on a kernel gateway cannot be gone on with here");
            return Some(lease);
        }
        remote.taken_over += 1;
        // An owner that was never before: no earlier one that only slept is taken for it.
        let owner = format!("{}-again-{}", self.inner.owner, uuid::Uuid::new_v4().simple());
        let now = self.database().now();
        match self.database().take_over(&lease, &owner, &remote, LEASE, now).await {
            Ok(Some(lease)) => {
                tracing::info!(execution.id = %lease.id, gateway = remote.gateway, "the worker of this execution is gone, its kernel is not: going on");
                let (engine, stopped) = (self.clone(), stopped.clone());
                self.inner.taken_over.spawn(async move { engine.run(lease, stopped, true).await });
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(execution.id = %lease.id, %error, "an execution cannot be taken over now");
            }
        }
        None
    }

    /// What another worker's run has come to; `None` when it left nothing to go on with.
    pub(super) async fn begin_again(&self, execution: &Execution, lease: &Lease) -> Result<Option<Begun>> {
        let Some(remote) = execution.remote.clone() else { return Ok(None) };
        let gateway = gateway(self.gateway_config(&remote.gateway)?)?;
        let (id, attempt) = (lease.id, lease.attempt);
        let Some(shipped) = self.fetch_journal(id, attempt, &remote).await? else { return Ok(None) };
        let folder = self.journal_dir();
        let read = blocking(move || {
            let journal = Journal::again(&folder, id)?;
            let replayed = journal::replay(&folder, id, Some(attempt))?;
            Ok(replayed.map(|replayed| (journal, replayed, journal::marks(&folder, id))))
        });
        let Some((journal, (recorder, saved), marks)) = read.await? else { return Ok(None) };
        let output = self.root().notebook("output_path", &execution.request.output_path)?;
        let output = output.output(id).resumed(saved).recognised(recorder.notebook());
        let position = position(recorder.notebook(), &marks);
        let in_flight = position.in_flight.as_ref().map(|_| position.cell);
        let resumed = Resumed { handle: remote.kernel, heard: marks.heard, in_flight };
        Ok(Some(Begun {
            started: execution.start_time.map_or_else(Instant::now, instant),
            progress: progress(recorder.notebook(), &position),
            recorder,
            journal: Ok(journal),
            shipped,
            output,
            kernel_name: execution.kernel_used.clone().unwrap_or_default(),
            kernel: KernelSource::TakenOver(gateway, resumed),
            parameters: serde_json::Map::new(),
            position,
            warnings: execution.warnings.clone(),
        }))
    }

    /// Makes sure that the journal of an attempt is on this machine; says up to where the database has it.
    async fn fetch_journal(&self, id: ExecutionId, attempt: u32, remote: &RemoteRun) -> Result<Option<u64>> {
        let folder = self.journal_dir();
        if !self.database().is_shared() {
            return Ok(journal::open(&folder, id)?.map(|_| 0));
        }
        let end = self.database().journal_end(id, attempt).await?;
        // A file of this machine goes on behind what the database has, unless another machine has gone on meanwhile.
        if remote.taken_over <= 1 && journal::open_attempt(&folder, id, attempt)?.is_some() {
            return Ok(Some(end));
        }
        if end == 0 {
            return Ok(None);
        }
        let unwritable = |error: std::io::Error| {
            Error::unavailable("the journal of an execution cannot be written").with_source(error)
        };
        let mut file = File::create(journal::fresh(&folder, id)).map_err(unwritable)?;
        let mut from = 0;
        while from < end {
            let parts = self.database().journal_parts(id, attempt, from, PARTS).await?;
            if parts.is_empty() {
                break;
            }
            for part in parts {
                file.write_all(&part.lines).map_err(unwritable)?;
                from = part.end;
            }
        }
        Ok(Some(end))
    }

    /// Ends an execution that cannot be gone on with, and its kernel.
    pub(super) async fn settle_remote(&self, lease: Lease, why: Option<Error>) -> Result<()> {
        if let Some(error) = why {
            tracing::warn!(execution.id = %lease.id, %error, cause = error.cause(), "an execution on a kernel gateway cannot be gone on with");
        }
        let settled = self.settle(lease).await;
        self.end_left_kernels().await;
        settled
    }

    /// Lets another worker go on with a run at once: this one has to go, the kernel has not.
    pub(super) async fn hand_over(
        &self,
        lease: &Lease,
        shipping: Option<Shipping>,
        stop: &watch::Receiver<Option<Stop>>,
    ) -> Result<()> {
        if let Some(shipping) = shipping {
            finish_shipping(shipping, stop).await?;
        }
        if self.database().let_go(lease).await? {
            tracing::info!(execution.id = %lease.id, "the worker stops: another goes on with the kernel of this execution");
        }
        Ok(())
    }

    /// Ends the kernels behind gateways whose executions do not run any more: their end failed, or their worker died with
    /// it.
    pub(super) async fn end_left_kernels(&self) {
        let Ok(left) = self.database().left_remote_kernels().await else { return };
        for (id, remote) in left {
            let Ok(gateway) = self.gateway_config(&remote.gateway).and_then(gateway) else { continue };
            let ended = match gateway.end_once(&remote.kernel.kernel_id).await {
                Ok(()) => self.database().forget_remote_kernel(id, &remote.kernel.kernel_id).await,
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                tracing::warn!(execution.id = %id, kernel.id = remote.kernel.kernel_id, %error, "the kernel of an execution that has ended cannot be ended now: trying again later");
            }
        }
    }
}

/// Where a run is, by its notebook and the marks in its journal.
fn position(notebook: &Notebook, marks: &Marks) -> Position {
    let cells = notebook.cells();
    for (index, cell) in cells.iter().enumerate() {
        match papermill(cell, "status").unwrap_or_default() {
            "completed" => {}
            "running" => {
                let started = papermill(cell, "start_time").and_then(|time| time.parse().ok());
                let seen = seen(cell, marks.replies.get(&index).cloned());
                let started = started.map_or_else(Instant::now, instant);
                return Position { cell: index, in_flight: Some(InFlight { started, seen }), failed: None };
            }
            "failed" => {
                let lost = || {
                    let text = "the service died as it ended the run; what it had produced was kept";
                    CellError::new(Some(index), "WorkerLost", text)
                };
                let raised = marks.replies.get(&index).cloned().flatten();
                return Position { cell: index, in_flight: None, failed: Some(raised.unwrap_or_else(lost)) };
            }
            _ => return Position { cell: index, ..Position::default() },
        }
    }
    Position { cell: cells.len(), ..Position::default() }
}

/// What was seen of a cell, by what was recorded of it.
fn seen(cell: &Cell, reply: Option<Option<CellError>>) -> Seen {
    let moments = cell.metadata().and_then(|metadata| metadata.get("execution")).and_then(Value::as_object);
    let has = |moment: &str| moments.is_some_and(|moments| moments.contains_key(moment));
    let idle = has("iopub.status.idle");
    let began = idle
        || reply.is_some()
        || cell.execution_count().is_some()
        || !cell.outputs().is_empty()
        || ["iopub.status.busy", "iopub.execute_input", "shell.execute_reply"].into_iter().any(has);
    Seen { began, reply, idle }
}

fn progress(notebook: &Notebook, position: &Position) -> RunProgress {
    let done = &notebook.cells()[..position.cell];
    RunProgress {
        progress: Progress {
            cells_done: done.len(),
            cells_total: notebook.cells().len(),
            current_cell: position.in_flight.as_ref().map(|_| position.cell),
        },
        code_cells_done: done.iter().filter(|cell| cell.is_code()).count(),
    }
}

fn papermill<'a>(cell: &'a Cell, field: &str) -> Option<&'a str> {
    cell.metadata()?.get("papermill")?.get(field)?.as_str()
}

/// The moment of this process that a time of the clock was.
fn instant(time: Timestamp) -> Instant {
    let ago = Duration::try_from(time.duration_until(Timestamp::now())).unwrap_or_default();
    Instant::now().checked_sub(ago).unwrap_or_else(Instant::now)
}

/// The replies that a journal holds, by cell.
pub(super) type Replies = HashMap<usize, Option<CellError>>;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn notebook(statuses: &[&str]) -> Notebook {
        let cell = |status: &&str| {
            json!({"cell_type": "code", "execution_count": null, "outputs": [], "source": "x",
                "metadata": {"papermill": {"status": status, "start_time": "2026-01-01T00:00:00.000000+00:00"}}})
        };
        let cells: Vec<_> = statuses.iter().map(cell).collect();
        Notebook::from_value(json!({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}))
            .unwrap()
    }

    #[test]
    fn a_run_goes_on_at_the_cell_that_is_not_done() {
        let at = |statuses: &[&str]| {
            let position = position(&notebook(statuses), &Marks::default());
            (position.cell, position.in_flight.is_some(), position.failed.is_some())
        };
        assert_eq!(at(&["completed", "running", "pending"]), (1, true, false));
        assert_eq!(at(&["completed", "pending", "pending"]), (1, false, false));
        assert_eq!(at(&["completed", "failed", "pending"]), (1, false, true));
        assert_eq!(at(&["completed", "completed"]), (2, false, false));
    }

    #[test]
    fn what_was_recorded_tells_what_was_seen() {
        let mut notebook = notebook(&["running"]);
        let cell = &mut notebook.cells_mut()[0];
        assert!(!seen(cell, None).began);
        cell.metadata_mut().insert("execution".into(), json!({"iopub.status.busy": "now"}));
        let Seen { began, reply, idle } = seen(cell, None);
        assert_eq!((began, reply, idle), (true, None, false));
        cell.metadata_mut().insert("execution".into(), json!({"iopub.status.idle": "now"}));
        assert!(seen(cell, None).idle);
    }
}
