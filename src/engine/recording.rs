//! A run as it is recorded: applied to the notebook, journaled, saved at intervals, told to those who watch.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::Instant;

use super::journal::{Journal, Mark};
use super::output_limit::OutputLimit;
use super::remote::Upload;
use super::run_output::RunOutput;
use super::{isoformat, new_cell_id};
use crate::execution::{CellError, CellPolicy, Progress};
use crate::kernel::Kernel;
use crate::kernel::message::HeardAt;
use crate::notebook::inject::add_error_markers;
use crate::notebook::record::{Event, Recorder, RunEnd};
use crate::notebook::{Cell, Notebook};

/// The least time between two saves of a notebook that is running.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// Saving may take no more than this part of the time.
const SAVE_SHARE: u32 = 10;

/// How far a run has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunProgress {
    /// In cells of every type.
    pub progress: Progress,
    /// Code cells that are done.
    pub code_cells_done: usize,
}

/// Told of every event as it is recorded.
pub(super) type Watcher = Box<dyn FnMut(&Event) + Send + Sync>;

/// The recording of one run.
pub(super) struct Recording {
    recorder: Recorder,
    journal: Option<Journal>,
    journal_has_failed: bool,
    output: Option<RunOutput>,
    upload: Option<Upload>,
    progress: watch::Sender<RunProgress>,
    warnings: Vec<String>,
    watcher: Option<Watcher>,
    /// How long what a cell puts out may stay unsaved while the cell runs; `None`: until it ends.
    autosave: Option<Duration>,
    record_timing: bool,
    output_limit: Option<OutputLimit>,
    /// Until when the execution is surely ours, where others may take it.
    ours_until: Option<watch::Receiver<Instant>>,
    /// Whether another process may go on with the kernel.
    is_resumable: bool,
    unsaved: bool,
    /// Whether a cell has begun or ended since the last save.
    unsaved_step: bool,
    last_save: Instant,
    next_save: Instant,
}

impl Recording {
    /// Records into the notebook of `recorder`; saved as it goes when there is an `output`.
    pub(super) fn new(
        recorder: Recorder,
        journal: Option<Journal>,
        output: Option<RunOutput>,
        progress: watch::Sender<RunProgress>,
    ) -> Self {
        progress.send_modify(|it| it.progress.cells_total = recorder.notebook().cells().len());
        Self {
            recorder,
            journal,
            journal_has_failed: false,
            output,
            upload: None,
            progress,
            warnings: Vec::new(),
            watcher: None,
            autosave: Some(SAVE_INTERVAL),
            record_timing: true,
            output_limit: None,
            ours_until: None,
            is_resumable: false,
            unsaved: true,
            unsaved_step: true,
            last_save: Instant::now(),
            next_save: Instant::now(),
        }
    }

    /// Saves to a URL, beside the run.
    pub(super) fn uploading(self, upload: Option<Upload>) -> Self {
        Self { upload, ..self }
    }

    /// Saves while a cell runs at these intervals only, or not at all.
    pub(super) fn autosaving(self, autosave: Option<Duration>) -> Self {
        Self { autosave, ..self }
    }

    /// Leaves out what `policy` wants left out.
    pub(super) fn by_policy(mut self, policy: &CellPolicy) -> Self {
        self.record_timing = policy.record_timing;
        self.recorder.store_widget_state(policy.store_widget_state);
        self
    }

    /// Takes no outputs beyond this many bytes.
    pub(super) fn limited_to(self, bytes: u64) -> Self {
        Self { output_limit: Some(OutputLimit::new(bytes)), ..self }
    }

    /// Saves nothing as it goes beyond this time, which moves on while the lease is prolonged.
    pub(super) fn leased_until(self, until: watch::Receiver<Instant>) -> Self {
        Self { ours_until: Some(until), ..self }
    }

    /// Keeps from now on what another process needs to go on with the kernel.
    pub(super) fn resumable(&mut self) {
        self.is_resumable = true;
    }

    /// Notes that an output came that was longer than all that there may be.
    pub(super) fn output_was_cut(&mut self) {
        self.output_limit.iter_mut().for_each(OutputLimit::hit);
    }

    /// The limit in bytes when outputs have gone beyond it; only once.
    pub(super) fn take_limit_hit(&mut self) -> Option<u64> {
        self.output_limit.as_mut()?.take_hit()
    }

    /// Tells `watcher` of every event from now on.
    pub(super) fn watched_by(self, watcher: Option<Watcher>) -> Self {
        Self { watcher, ..self }
    }

    pub(super) fn cells(&self) -> &[Cell] {
        self.recorder.notebook().cells()
    }

    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// Records one event: on disk first, then in the notebook.
    pub(super) fn apply(&mut self, event: Event) {
        if !self.record_timing && matches!(event, Event::Timing { .. }) {
            return;
        }
        let admitted = match &mut self.output_limit {
            Some(limit) => limit.admit(event, self.recorder.notebook()),
            None => Some(event),
        };
        let Some(event) = admitted else { return };
        if let Some(journal) = &mut self.journal
            && let Err(error) = journal.append(&event)
        {
            self.journal_failed(&error);
        }
        if let Some(watcher) = &mut self.watcher {
            watcher(&event);
        }
        self.unsaved_step |= matches!(event, Event::CellStarted { .. } | Event::CellFinished { .. });
        self.recorder.apply(event);
        self.unsaved = true;
    }

    /// Says so once; the journal keeps what it could not write and tries again with the next event.
    fn journal_failed(&mut self, error: &std::io::Error) {
        if std::mem::replace(&mut self.journal_has_failed, true) {
            return;
        }
        tracing::error!(%error, "the journal cannot be written: a crash would now lose outputs");
        self.warn(format!(
            "the journal could not be written ({}); the notebook is complete all the same",
            error.kind()
        ));
    }

    /// Keeps the answer to a cell, where another process may go on with the kernel.
    pub(super) fn replied(&mut self, cell: usize, raised: &Option<CellError>) {
        if self.is_resumable {
            self.mark(&Mark::Reply { cell, raised: raised.clone() });
        }
    }

    /// Keeps up to where what a gateway sent has been recorded.
    pub(super) fn heard(&mut self, kernel: &Kernel, heard: Option<HeardAt>) {
        if let Some((heard, kernel)) = heard.zip(kernel.remote()).filter(|_| self.is_resumable) {
            self.mark(&Mark::Heard(heard));
            kernel.recorded(heard);
        }
    }

    fn mark(&mut self, mark: &Mark) {
        if let Some(journal) = &mut self.journal
            && let Err(error) = journal.append_mark(mark)
        {
            self.journal_failed(&error);
        }
    }

    /// See [`Recorder::take_unsent_outputs`].
    pub(super) fn take_unsent_outputs(&mut self) -> Vec<(String, Value)> {
        self.recorder.take_unsent_outputs()
    }

    pub(super) fn cell_started(&mut self, cell: usize) {
        self.apply(Event::CellStarted { cell, time: isoformat(Timestamp::now()) });
        self.progress.send_modify(|it| it.progress.current_cell = Some(cell));
    }

    /// Records the end of a cell, and saves when it is time: always after the first code cell, whose outputs
    /// a person may be waiting for.
    pub(super) fn cell_finished(&mut self, cell: usize, failed: bool) {
        self.apply(Event::CellFinished { cell, time: isoformat(Timestamp::now()), failed });
        let is_code = self.cells()[cell].is_code();
        let first = is_code && self.progress.borrow().code_cells_done == 0;
        if first || Instant::now() >= self.next_save {
            self.save_partial();
        }
        self.progress.send_modify(|it| {
            it.progress.cells_done += 1;
            it.progress.current_cell = None;
            it.code_cells_done += usize::from(is_code);
        });
    }

    /// Comes back when what is unsaved should be saved; never when there is nothing to save or nowhere.
    pub(super) async fn save_due(&self) {
        let due = match self.autosave {
            _ if self.output.is_none() && self.upload.is_none() => None,
            _ if self.unsaved_step => Some(self.next_save),
            Some(interval) if self.unsaved => Some(self.next_save.max(self.last_save + interval)),
            _ => None,
        };
        match due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Saves the notebook as it stands. Failing here loses nothing yet: it is tried again later.
    pub(super) fn save_partial(&mut self) {
        let started = Instant::now();
        // A process that was stopped for a while may not have heard yet that others own the execution now.
        if self.ours_until.as_ref().is_some_and(|until| started >= *until.borrow()) {
            self.next_save = started + SAVE_INTERVAL;
            return;
        }
        let begun = match (&mut self.upload, &mut self.output) {
            (Some(upload), _) => upload.begin(self.recorder.notebook()),
            (None, Some(_)) => self.begin_save(),
            (None, None) => true,
        };
        if !begun {
            self.next_save = started + SAVE_INTERVAL;
            return;
        }
        (self.unsaved, self.unsaved_step) = (false, false);
        self.last_save = Instant::now();
        self.next_save = self.last_save + SAVE_INTERVAL.max(started.elapsed() * SAVE_SHARE);
    }

    /// `false`: not yet.
    fn begin_save(&mut self) -> bool {
        let Some(output) = &mut self.output else { return true };
        let (begun, journaled) = output.save_partial(self.recorder.notebook(), self.journal.as_mut());
        if let Err(error) = journaled {
            self.journal_failed(&error);
        }
        begun
    }

    /// Completes the notebook and marks the cell that failed, as papermill does.
    pub(super) fn finish(self, error: Option<&CellError>, end_time: Timestamp) -> Finished {
        let end = if error.is_some() { RunEnd::Failed } else { RunEnd::Complete };
        let notebook = complete(self.recorder, end, error, end_time);
        Finished {
            notebook,
            journal: self.journal,
            output: self.output,
            upload: self.upload,
            warnings: self.warnings,
        }
    }
}

impl Recording {
    /// Completes a notebook that was stopped on request: cut short, and no cell marked.
    pub(super) fn finish_stopped(self, end_time: Timestamp) -> Finished {
        let notebook = complete(self.recorder, RunEnd::Failed, None, end_time);
        Finished {
            notebook,
            journal: self.journal,
            output: self.output,
            upload: self.upload,
            warnings: self.warnings,
        }
    }

    /// Notes what the kernel says about its language, as nbclient does.
    pub(super) fn kernel_info(&mut self, info: &Map<String, Value>) {
        if let Some(language_info) = info.get("language_info") {
            self.apply(Event::LanguageInfo { language_info: language_info.clone() });
        }
    }
}

/// What a run leaves.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) notebook: Notebook,
    pub(super) journal: Option<Journal>,
    pub(super) output: Option<RunOutput>,
    pub(super) upload: Option<Upload>,
    pub(super) warnings: Vec<String>,
}

/// Completes a notebook, also one that was read back from a journal.
pub(super) fn complete(
    recorder: Recorder,
    end: RunEnd,
    error: Option<&CellError>,
    end_time: Timestamp,
) -> Notebook {
    let mut notebook = recorder.finish(end, &isoformat(end_time));
    if let Some(cell) = error.and_then(|error| error.cell_index) {
        let count = notebook.cells().get(cell).and_then(Cell::execution_count);
        add_error_markers(&mut notebook, cell, count, new_cell_id);
    }
    notebook
}
