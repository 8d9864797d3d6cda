//! Running a notebook's cells on a kernel, in order, as nbclient does (`client.py`).
//!
//! Different from nbclient: a kernel's death is seen at once and not once a second; output that comes late,
//! after its cell was done, still goes to its cell; consecutive texts of one stream are one output.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::catching_up::{CATCH_UP, Fate, InFlight, Position, Seen, caught_up_with};
use super::messages::{raised, record, timing};
use super::over_limit::{self, or_over_limit};
use super::recording::Recording;
use super::shown_errors::{is_polite_exit, shown_error, with_shown_name};
use super::stopping::{FLOODED, PATIENT, PROMPT, Stopping};
use crate::config::ByteSize;
use crate::execution::{CellError, CellPolicy, Limits};
use crate::kernel::limits::Exceeded;
use crate::kernel::{Incoming, Kernel};
use crate::notebook::record::Event;

/// How long a cell may take to stop before it is taken for one that began after the interrupt. A second interrupt while
/// it stops would disturb that.
const SECOND_INTERRUPT: Duration = Duration::from_secs(1);

/// Why a run is asked to stop from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Somebody cancelled the execution.
    Cancelled,
    /// The worker has to go.
    WorkerStopped,
    /// The worker has to go, and another goes on with the kernel.
    HandedOver,
    /// Another worker owns the execution now: nothing may be written any more.
    LeaseLost,
}

impl Stop {
    /// What it means for a run on this kernel.
    fn of(self, kernel: &Kernel) -> Self {
        match self {
            Self::WorkerStopped if kernel.remote().is_some() => Self::HandedOver,
            why => why,
        }
    }
}

/// How the cells ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ending {
    /// Every cell ran.
    Complete,
    /// A cell failed, or the kernel did, or time ran out.
    Failed(CellError),
    /// It took more than it may.
    OverLimit(CellError),
    /// It was stopped from outside, at this cell.
    Stopped(Stop, usize),
}

impl Ending {
    /// How long the kernel may take to end by itself: an orderly end runs the notebook's exit handlers, but one
    /// that had to be interrupted need not be waited for.
    pub(super) fn shutdown_grace(&self) -> Duration {
        match self {
            Self::Complete | Self::Failed(_) => Duration::from_secs(5),
            Self::OverLimit(_) | Self::Stopped(..) => Duration::from_millis(500),
        }
    }

    /// Whether somebody waits for all of it to be gone.
    pub(super) fn is_prompt(&self) -> bool {
        matches!(self, Self::OverLimit(_) | Self::Stopped(Stop::Cancelled, _))
    }
}

/// Runs every cell of the recorded notebook, or what is left of them from a position on that another process had reached.
/// `started` is when the run began, for the run's own timeout.
pub(super) async fn run_cells(
    kernel: &mut Kernel,
    recording: &mut Recording,
    limits: &Limits,
    policy: &CellPolicy,
    started: Instant,
    from: Position,
    mut stop: watch::Receiver<Option<Stop>>,
) -> Ending {
    let Position { cell: first, mut in_flight, failed } = from;
    if let Some(error) = failed {
        return Ending::Failed(error);
    }
    // What their threads put out comes under their requests, whoever has sent these.
    let sent = |kernel: &Kernel| {
        kernel.remote().map(|kernel| (0..=first).map(|cell| (kernel.request_id(cell), cell)).collect())
    };
    let mut parents: HashMap<_, _> = sent(kernel).unwrap_or_default();
    for cell in first..recording.cells().len() {
        if let Some(stop) = *stop.borrow() {
            return Ending::Stopped(stop.of(kernel), cell);
        }
        let in_flight = in_flight.take();
        if in_flight.is_none() {
            recording.cell_started(cell);
        }
        let Some(code) = executable_source(recording, cell, policy) else {
            recording.cell_finished(cell, false);
            continue;
        };
        let tagged = recording.cells()[cell].has_tag("raises-exception");
        let stops_on_error = policy.force_raise_errors || !(policy.allow_errors || tagged);
        let run =
            CellRun { kernel, recording, limits, policy, started, cell, in_flight, parents: &mut parents };
        let ending = run.run(&code, stops_on_error, &mut stop).await;
        if policy.coalesce_streams {
            recording.apply(Event::CoalesceStreams { cell });
        }
        let failure = match ending {
            Ok(None) => None,
            Ok(Some(error)) if !stops_on_error || policy.allows(&error.ename) => None,
            // A polite exit ends the notebook, and well: papermill's rule.
            Ok(Some(error)) if is_polite_exit(&error.ename, &error.evalue) => {
                recording.cell_finished(cell, false);
                return shown_error(recording, policy).map_or(Ending::Complete, Ending::Failed);
            }
            Ok(Some(error)) => {
                Some(Ending::Failed(with_shown_name(error, recording.cells()[cell].outputs())))
            }
            Err(ending) => Some(ending),
        };
        if !matches!(failure, Some(Ending::Stopped(Stop::LeaseLost | Stop::HandedOver, _))) {
            recording.cell_finished(cell, failure.is_some());
        }
        if let Some(ending) = failure {
            return ending;
        }
    }
    shown_error(recording, policy).map_or(Ending::Complete, Ending::Failed)
}

/// The source of a cell that is to be executed.
fn executable_source(recording: &Recording, index: usize, policy: &CellPolicy) -> Option<String> {
    let cell = &recording.cells()[index];
    let source = cell.source();
    let is_skipped = cell.has_tag(&policy.skip_cells_with_tag);
    let executes = cell.is_code() && !source.trim().is_empty() && !is_skipped;
    executes.then(|| source.into_owned())
}

struct CellRun<'a> {
    kernel: &'a mut Kernel,
    recording: &'a mut Recording,
    limits: &'a Limits,
    policy: &'a CellPolicy,
    started: Instant,
    cell: usize,
    /// What is known of it, when another process has begun it.
    in_flight: Option<InFlight>,
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
        let Self { kernel, recording, limits, policy, started, cell, in_flight, parents } = self;
        let begun = in_flight.as_ref().and_then(|_| kernel.remote().map(|kernel| kernel.request_id(cell)));
        let sent = match begun {
            Some(request) => Ok(request),
            None => kernel.execute(cell, code, stop_on_error).await,
        };
        let request = match sent {
            Ok(request) => request,
            Err(error) => {
                let failure = Ending::Failed(dead_kernel(cell, error.message(), kernel));
                return Err(or_over_limit(failure, kernel, &limits.resources, cell).await);
            }
        };
        parents.insert(request.clone(), cell);
        // What was in time while nobody listened must be heard first.
        let earliest = Instant::now() + in_flight.as_ref().map_or(Duration::ZERO, |_| CATCH_UP);
        let cell_started = in_flight.as_ref().map_or_else(Instant::now, |it| it.started);
        let limit =
            |from: Instant, time: Option<Duration>| time.map(|time| ((from + time).max(earliest), time));
        let cell_limit = limit(cell_started, limits.cell_timeout);
        let run_limit = limit(started, limits.timeout);
        let Seen { mut began, mut reply, mut idle } = in_flight.map(|it| it.seen).unwrap_or_default();
        let was_idle = idle;
        let mut quiet_until: Option<Instant> = None;
        // Set once the cell has been told to stop.
        let mut stopping: Option<Stopping> = None;
        let mut stop_seen = false;
        let mut told_of_unreadable = false;
        // Set when the cell began after it had been told to stop, as far as is known here.
        let mut interrupt_again: Option<Instant> = None;
        loop {
            if idle && let Some(raised) = reply {
                if let Some(stopping) = stopping {
                    return Err(stopping.ending());
                }
                // What it raised may come of a limit.
                return match raised {
                    Some(error) => {
                        match or_over_limit(Ending::Complete, kernel, &limits.resources, cell).await {
                            Ending::Complete => Ok(Some(error)),
                            over_limit => Err(over_limit),
                        }
                    }
                    None => Ok(None),
                };
            }
            let is_stopping = stopping.is_some();
            tokio::select! {
                incoming = kernel.next() => match incoming {
                    Incoming::Died(how) => {
                        return Err(match stopping {
                            Some(stopping) => stopping.ending(),
                            None => {
                                let failure = Ending::Failed(dead_kernel(cell, &how, kernel));
                                or_over_limit(failure, kernel, &limits.resources, cell).await
                            }
                        });
                    }
                    Incoming::Lost(why) => {
                        let error = CellError::new(Some(cell), "KernelGatewayError", why);
                        return Err(stopping.map_or(Ending::Failed(error), Stopping::ending));
                    }
                    Incoming::Notice(text) => recording.warn(format!("cell {cell}: {text}")),
                    Incoming::CaughtUp(caught_up) => {
                        let seen = Seen { began, reply: reply.clone(), idle };
                        match caught_up_with(recording, &caught_up, &request, &seen, was_idle, cell) {
                            Fate::AsItIs => {}
                            Fate::Ended { raised, .. } => (reply, idle) = (Some(raised), true),
                            Fate::NeverBegan if !is_stopping => {
                                if let Err(error) = kernel.execute(cell, code, stop_on_error).await {
                                    return Err(Ending::Failed(dead_kernel(cell, error.message(), kernel)));
                                }
                            }
                            Fate::NeverBegan => return Err(stopping.map_or(Ending::Complete, Stopping::ending)),
                            Fate::Unknown(error) => {
                                return Err(stopping.map_or(Ending::Failed(error), Stopping::ending));
                            }
                        }
                    }
                    Incoming::OverLimit(exceeded) => {
                        let ending = over_limit::ending(exceeded, &limits.resources, cell);
                        match exceeded {
                            _ if is_stopping => {}
                            Exceeded::CpuTime => stopping = Some(Stopping::interrupt(kernel, ending, PROMPT).await),
                            _ => stopping = Some(Stopping::kill(kernel, ending)),
                        }
                    }
                    Incoming::Shell(message) => {
                        if message.parent_id.as_deref() == Some(&request) && message.msg_type == "execute_reply" {
                            if !message.date.is_empty() {
                                recording.apply(timing(cell, "shell.execute_reply", &message));
                            }
                            let raised = raised(cell, &message);
                            recording.replied(cell, &raised);
                            recording.heard(kernel, message.heard);
                            reply = Some(raised);
                            quiet_until = Some(Instant::now() + policy.iopub_timeout);
                        }
                    }
                    Incoming::Iopub(message) => {
                        // A kernel takes no notice of an interrupt while it runs no cell.
                        let begins = message.msg_type == "execute_input" && message.parent_id.as_deref() == Some(&request);
                        if begins && is_stopping {
                            interrupt_again = Some(Instant::now() + SECOND_INTERRUPT);
                        }
                        began |= message.parent_id.as_deref() == Some(&request);
                        let (is_cut, heard) = (message.is_cut, message.heard);
                        idle |= record(recording, parents, message, &request);
                        recording.heard(kernel, heard);
                        if is_cut {
                            recording.output_was_cut();
                        }
                        for (comm_id, outputs) in recording.take_unsent_outputs() {
                            kernel.update_widget(comm_id, outputs).await;
                        }
                        quiet_until = quiet_until.map(|_| Instant::now() + policy.iopub_timeout);
                        if let Some(limit) = recording.take_limit_hit() {
                            kernel.drop_outputs();
                            let text = format!("the notebook put out more than {} (`max-output-size`)", ByteSize(limit));
                            let error = CellError::new(Some(cell), "OutputLimitError", text);
                            if !is_stopping {
                                stopping = Some(Stopping::interrupt(kernel, Ending::OverLimit(error), FLOODED).await);
                            }
                        }
                    }
                    Incoming::Unreadable { is_reply, why } => {
                        if !told_of_unreadable {
                            told_of_unreadable = true;
                            recording.warn(format!("cell {cell}: {why}, which was left out"));
                        }
                        // One request is out at a time: this was its reply, and no other will come.
                        if is_reply {
                            reply = Some(Some(CellError::new(Some(cell), "UnreadableReply", why)));
                            quiet_until = Some(Instant::now() + policy.iopub_timeout);
                        }
                    }
                },
                () = sleep_until(interrupt_again) => {
                    interrupt_again = None;
                    kernel.interrupt().await;
                }
                () = sleep_until(quiet_until) => {
                    if policy.raise_on_iopub_timeout {
                        let seconds = policy.iopub_timeout.as_secs_f64();
                        let error = CellError::new(Some(cell), "CellTimeoutError", format!("the cell's output was not complete {seconds} s after it ended"));
                        return Err(stopping.map_or(Ending::Failed(error), Stopping::ending));
                    }
                    recording.warn(format!("cell {cell} ended, but the kernel did not say that its output is complete"));
                    idle = true;
                }
                () = sleep_until(cell_limit.map(|(at, _)| at)), if !is_stopping => {
                    let seconds = cell_limit.map_or(0.0, |(_, timeout)| timeout.as_secs_f64());
                    let error = CellError::new(Some(cell), "CellTimeoutError", format!("the cell took longer than {seconds} s"));
                    stopping = Some(Stopping::interrupt(kernel, Ending::Failed(error), PATIENT).await);
                }
                () = sleep_until(run_limit.map(|(at, _)| at)), if !is_stopping => {
                    let error = run_timeout_error(Some(cell), run_limit.map_or(Duration::ZERO, |(_, timeout)| timeout));
                    stopping = Some(Stopping::interrupt(kernel, Ending::Failed(error), PATIENT).await);
                }
                why = stopped(stop), if !stop_seen => {
                    stop_seen = true;
                    let why = why.of(kernel);
                    if matches!(why, Stop::LeaseLost | Stop::HandedOver) {
                        kernel.give_up();
                        return Err(Ending::Stopped(why, cell));
                    }
                    match &mut stopping {
                        Some(stopping) => stopping.hurry(PROMPT),
                        None => stopping = Some(Stopping::interrupt(kernel, Ending::Stopped(why, cell), PROMPT).await),
                    }
                }
                () = Stopping::due(&stopping) => {
                    if let Some(ending) = stopping.take_if(|it| !it.go_on(kernel)) {
                        return Err(ending.ending());
                    }
                }
                () = recording.save_due() => recording.save_partial(),
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
