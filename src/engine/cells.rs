//! Running a notebook's cells on a kernel, in order, as nbclient does (`client.py`).
//!
//! Different from nbclient: a kernel's death is seen at once and not once a second; output that comes late,
//! after its cell was done, still goes to its cell; consecutive texts of one stream are one output.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::recording::Recording;
use crate::execution::{CellError, Limits};
use crate::kernel::message::Message;
use crate::kernel::{Incoming, Kernel};
use crate::notebook::record::Event;
use crate::notebook::widgets::{Capture, CommMessage};

/// How long output may stay away after the reply before a cell is taken for done (nbclient's `iopub_timeout`).
const IOPUB_TIMEOUT: Duration = Duration::from_secs(4);
/// How long an interrupted cell may take to stop before its kernel is killed.
const INTERRUPT_GRACE: Duration = Duration::from_secs(5);

/// Why a run is asked to stop from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Somebody cancelled the execution.
    Cancelled,
    /// The worker has to go.
    WorkerStopped,
    /// Another worker owns the execution now: nothing may be written any more.
    LeaseLost,
}

/// How the cells ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ending {
    /// Every cell ran.
    Complete,
    /// A cell failed, or the kernel did, or time ran out.
    Failed(CellError),
    /// It was stopped from outside, at this cell.
    Stopped(Stop, usize),
}

impl Ending {
    /// How long the kernel may take to end by itself: an orderly end runs the notebook's exit handlers, but one
    /// that had to be interrupted need not be waited for.
    pub(super) fn shutdown_grace(&self) -> Duration {
        match self {
            Self::Complete | Self::Failed(_) => Duration::from_secs(5),
            Self::Stopped(..) => Duration::from_millis(500),
        }
    }
}

/// Runs every cell of the recorded notebook. `started` is when the run began, for the run's own timeout.
pub(super) async fn run_cells(
    kernel: &mut Kernel,
    recording: &mut Recording,
    limits: &Limits,
    started: Instant,
    mut stop: watch::Receiver<Option<Stop>>,
) -> Ending {
    let mut parents = HashMap::new();
    for cell in 0..recording.cells().len() {
        if let Some(stop) = *stop.borrow() {
            return Ending::Stopped(stop, cell);
        }
        recording.cell_started(cell);
        let Some(code) = executable_source(recording, cell) else {
            recording.cell_finished(cell, false).await;
            continue;
        };
        let allows_errors = recording.cells()[cell].has_tag("raises-exception");
        let run = CellRun { kernel, recording, limits, started, cell, parents: &mut parents };
        let ending = run.run(&code, !allows_errors, &mut stop).await;
        let failure = match ending {
            Ok(None) => None,
            Ok(Some(_)) if allows_errors => None,
            // A polite exit ends the notebook, and well: papermill's rule.
            Ok(Some(error)) if error.ename == "SystemExit" && matches!(error.evalue.as_str(), "" | "0") => {
                recording.cell_finished(cell, false).await;
                return Ending::Complete;
            }
            Ok(Some(error)) => Some(Ending::Failed(error)),
            Err(ending) => Some(ending),
        };
        if failure != Some(Ending::Stopped(Stop::LeaseLost, cell)) {
            recording.cell_finished(cell, failure.is_some()).await;
        }
        if let Some(ending) = failure {
            return ending;
        }
    }
    Ending::Complete
}

/// The source of a cell that is to be executed.
fn executable_source(recording: &Recording, index: usize) -> Option<String> {
    let cell = &recording.cells()[index];
    let source = cell.source();
    let executes = cell.is_code() && !source.trim().is_empty() && !cell.has_tag("skip-execution");
    executes.then(|| source.into_owned())
}

struct CellRun<'a> {
    kernel: &'a mut Kernel,
    recording: &'a mut Recording,
    limits: &'a Limits,
    started: Instant,
    cell: usize,
    /// Which request belongs to which cell: output of an earlier cell's threads still comes under its request.
    parents: &'a mut HashMap<String, usize>,
}

impl CellRun<'_> {
    /// `Ok` with the exception when the code raised one; `Err` when the run cannot go on.
    async fn run(
        self,
        code: &str,
        stop_on_error: bool,
        stop: &mut watch::Receiver<Option<Stop>>,
    ) -> Result<Option<CellError>, Ending> {
        let Self { kernel, recording, limits, started, cell, parents } = self;
        let request = match kernel.execute(code, stop_on_error).await {
            Ok(request) => request,
            Err(error) => return Err(Ending::Failed(dead_kernel(cell, error.message(), kernel))),
        };
        parents.insert(request.clone(), cell);
        let cell_limit = limits.cell_timeout.map(|timeout| (Instant::now() + timeout, timeout));
        let run_limit = limits.timeout.map(|timeout| (started + timeout, timeout));
        let mut reply: Option<Option<CellError>> = None;
        let mut idle = false;
        let mut quiet_until: Option<Instant> = None;
        // Set once the cell has been told to stop: what it comes to, and when patience ends.
        let mut stopping: Option<(Ending, Instant)> = None;
        let mut stop_seen = false;
        let mut told_of_unreadable = false;
        loop {
            if idle && let Some(raised) = reply {
                return stopping.map_or(Ok(raised), |(ending, _)| Err(ending));
            }
            let is_stopping = stopping.is_some();
            tokio::select! {
                incoming = kernel.next() => match incoming {
                    Incoming::Died(how) => {
                        return Err(stopping.map_or_else(|| Ending::Failed(dead_kernel(cell, &how, kernel)), |(ending, _)| ending));
                    }
                    Incoming::Shell(message) => {
                        if message.parent_id.as_deref() == Some(&request) && message.msg_type == "execute_reply" {
                            if !message.date.is_empty() {
                                recording.apply(timing(cell, "shell.execute_reply", &message));
                            }
                            reply = Some(raised(cell, &message));
                            quiet_until = Some(Instant::now() + IOPUB_TIMEOUT);
                        }
                    }
                    Incoming::Iopub(message) => {
                        idle |= record(recording, parents, &message, &request);
                        for (comm_id, outputs) in recording.take_unsent_outputs() {
                            kernel.update_widget(comm_id, outputs).await;
                        }
                        quiet_until = quiet_until.map(|_| Instant::now() + IOPUB_TIMEOUT);
                    }
                    Incoming::Unreadable { is_reply, why } => {
                        if !told_of_unreadable {
                            told_of_unreadable = true;
                            recording.warn(format!("cell {cell}: {why}, which was left out"));
                        }
                        // One request is out at a time: this was its reply, and no other will come.
                        if is_reply {
                            reply = Some(Some(CellError::new(Some(cell), "UnreadableReply", why)));
                            quiet_until = Some(Instant::now() + IOPUB_TIMEOUT);
                        }
                    }
                },
                () = sleep_until(quiet_until) => {
                    recording.warn(format!("cell {cell} ended, but the kernel did not say that its output is complete"));
                    idle = true;
                }
                () = sleep_until(cell_limit.map(|(at, _)| at)), if !is_stopping => {
                    let seconds = cell_limit.map_or(0.0, |(_, timeout)| timeout.as_secs_f64());
                    let error = CellError::new(Some(cell), "CellTimeoutError", format!("the cell took longer than {seconds} s"));
                    kernel.interrupt().await;
                    stopping = Some((Ending::Failed(error), Instant::now() + INTERRUPT_GRACE));
                }
                () = sleep_until(run_limit.map(|(at, _)| at)), if !is_stopping => {
                    let error = run_timeout_error(Some(cell), run_limit.map_or(Duration::ZERO, |(_, timeout)| timeout));
                    kernel.interrupt().await;
                    stopping = Some((Ending::Failed(error), Instant::now() + INTERRUPT_GRACE));
                }
                why = stopped(stop), if !stop_seen => {
                    stop_seen = true;
                    if why == Stop::LeaseLost {
                        kernel.kill();
                        return Err(Ending::Stopped(why, cell));
                    }
                    kernel.interrupt().await;
                    stopping.get_or_insert((Ending::Stopped(why, cell), Instant::now() + INTERRUPT_GRACE));
                }
                () = sleep_until(stopping.as_ref().map(|(_, patience)| *patience)) => {
                    tracing::warn!("the kernel does not stop when interrupted: killing it");
                    kernel.kill();
                    // Its death is the next thing to be heard.
                    stopping = stopping.map(|(ending, _)| (ending, Instant::now() + INTERRUPT_GRACE));
                }
                () = recording.save_due() => recording.save_partial().await,
            }
        }
    }
}

pub(super) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The whole run took longer than it may.
pub(super) fn run_timeout_error(cell: Option<usize>, limit: Duration) -> CellError {
    let text = format!("the run took longer than {} s", limit.as_secs_f64());
    CellError::new(cell, "ExecutionTimeoutError", text)
}

async fn stopped(stop: &mut watch::Receiver<Option<Stop>>) -> Stop {
    match stop.wait_for(Option::is_some).await.map(|stop| *stop) {
        Ok(Some(stop)) => stop,
        // Nobody is left who could ask for it.
        _ => std::future::pending().await,
    }
}

fn dead_kernel(cell: usize, how: &str, kernel: &Kernel) -> CellError {
    let mut error = CellError::new(Some(cell), "DeadKernelError", format!("the kernel died: {how}"));
    error.traceback = kernel.last_words();
    error
}

/// The exception in an `execute_reply`, if it holds one.
fn raised(cell: usize, reply: &Message) -> Option<CellError> {
    match reply.text("status") {
        "error" => Some(CellError {
            cell_index: Some(cell),
            ename: reply.text("ename").to_owned(),
            evalue: reply.text("evalue").to_owned(),
            traceback: strings(reply.content.get("traceback")),
        }),
        "aborted" | "abort" => Some(CellError::new(
            Some(cell),
            "Aborted",
            "the kernel refused to run the cell after an earlier error",
        )),
        _ => None,
    }
}

fn strings(value: Option<&Value>) -> Vec<String> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn timing(cell: usize, moment: &str, message: &Message) -> Event {
    Event::Timing { cell, moment: moment.into(), time: message.date.clone() }
}

/// Records a broadcast under the cell that it belongs to; true when it says that `request` is done.
fn record(
    recording: &mut Recording,
    parents: &HashMap<String, usize>,
    message: &Message,
    request: &str,
) -> bool {
    let Some(parent) = message.parent_id.as_deref() else { return false };
    let Some(&cell) = parents.get(parent) else { return false };
    let state = message.text("execution_state");
    if message.msg_type.starts_with("comm_") {
        recording.apply(Event::Comm(comm(message, parents)));
        return false;
    }
    for event in events(cell, message) {
        recording.apply(event);
    }
    message.msg_type == "status" && state == "idle" && parent == request
}

fn comm(message: &Message, parents: &HashMap<String, usize>) -> CommMessage {
    let data = message.content.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
    let target_name = message.content.get("target_name").and_then(Value::as_str);
    // An Output widget names the request whose outputs it captures, and none when it is done.
    let captured = data.get("state").and_then(|state| state.get("msg_id")).and_then(Value::as_str);
    CommMessage {
        comm_id: message.text("comm_id").to_owned(),
        capture: captured
            .map(|request| parents.get(request).map_or(Capture::Released, |cell| Capture::Cell(*cell))),
        // The message that opens a comm says how the widget is, not what it does.
        target_name: target_name.map(str::to_owned),
        buffers: message.buffers.iter().map(|buffer| BASE64_STANDARD.encode(buffer)).collect(),
        data,
    }
}

/// What a broadcast means for its cell.
fn events(cell: usize, message: &Message) -> Vec<Event> {
    let content = &message.content;
    let field = |name: &str| content.get(name).cloned().unwrap_or(Value::Null);
    let map = |name: &str| content.get(name).and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
    let display_id = content.get("transient").and_then(|it| it.get("display_id")).and_then(Value::as_str);
    let mut events = Vec::new();
    if let Some(count) = content.get("execution_count").and_then(Value::as_u64) {
        events.push(Event::ExecutionCount { cell, count });
    }
    let output = match message.msg_type.as_str() {
        "stream" => {
            json!({"name": message.text("name"), "output_type": "stream", "text": message.text("text")})
        }
        "display_data" => {
            json!({"data": map("data"), "metadata": map("metadata"), "output_type": "display_data"})
        }
        "execute_result" => json!({
            "data": map("data"), "execution_count": field("execution_count"), "metadata": map("metadata"),
            "output_type": "execute_result",
        }),
        "error" => json!({
            "ename": message.text("ename"), "evalue": message.text("evalue"), "output_type": "error",
            "traceback": strings(content.get("traceback")),
        }),
        "clear_output" => {
            let wait = content.get("wait").and_then(Value::as_bool).unwrap_or(false);
            events.push(Event::ClearOutput { cell, wait });
            return events;
        }
        "status" | "execute_input" => {
            let moment = match (message.msg_type.as_str(), message.text("execution_state")) {
                ("execute_input", _) => "iopub.execute_input",
                (_, "busy") => "iopub.status.busy",
                (_, "idle") => "iopub.status.idle",
                _ => return events,
            };
            if !message.date.is_empty() {
                events.push(timing(cell, moment, message));
            }
            return events;
        }
        "update_display_data" => {
            if let Some(display_id) = display_id {
                let (data, metadata) = (map("data"), map("metadata"));
                events.push(Event::UpdateDisplay { display_id: display_id.into(), data, metadata });
            }
            return events;
        }
        _ => return events,
    };
    // A display that is shown once more updates where it was shown before.
    if let Some(display_id) = display_id {
        events.push(Event::UpdateDisplay {
            display_id: display_id.into(),
            data: map("data"),
            metadata: map("metadata"),
        });
    }
    events.push(Event::Output { cell, output, display_id: display_id.map(str::to_owned) });
    events
}
