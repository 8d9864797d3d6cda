//! A run as it is recorded: applied to the notebook, journaled, saved at intervals, told to those who watch.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::Instant;

use super::journal::Journal;
use super::output_limit::OutputLimit;
use super::remote::Upload;
use super::{files, in_place, isoformat, new_cell_id};
use crate::error::Result;
use crate::execution::{CellError, CellPolicy, Progress};
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
    output: Option<OutputFile>,
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
        output: Option<OutputFile>,
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
        if let Some(upload) = &mut self.upload
            && !upload.begin(self.recorder.notebook())
        {
            self.next_save = started + SAVE_INTERVAL;
            return;
        }
        self.save_file();
        (self.unsaved, self.unsaved_step) = (false, false);
        self.last_save = Instant::now();
        self.next_save = self.last_save + SAVE_INTERVAL.max(started.elapsed() * SAVE_SHARE);
    }

    fn save_file(&mut self) {
        let Some(output) = &mut self.output else { return };
        match output.save(self.recorder.notebook()) {
            Ok(()) => {
                if let (Some(journal), Some(state)) = (&mut self.journal, output.written)
                    && let Err(error) = journal.append_saved(&state)
                {
                    self.journal_failed(&error);
                }
            }
            Err(error) => {
                tracing::warn!(%error, cause = error.cause(), "the running notebook cannot be saved now");
            }
        }
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
    pub(super) output: Option<OutputFile>,
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

/// The file that a run writes, and how it looked when the run last wrote it.
#[derive(Debug)]
pub(super) struct OutputFile {
    path: PathBuf,
    relative: String,
    written: Option<FileState>,
    moved: bool,
    /// For a name of its own, should somebody else write the file meanwhile.
    id: String,
}

/// How a file looked: enough to see that somebody else has written it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileState {
    pub(super) inode: u64,
    /// Seconds and nanoseconds.
    pub(super) modified: (i64, i64),
    pub(super) size: u64,
}

impl FileState {
    pub(super) fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().and_then(Self::from_metadata)
    }

    /// `None` for a device: what others write to it changes nothing that is ours.
    fn from_metadata(metadata: &Metadata) -> Option<Self> {
        let is_device = metadata.file_type().is_char_device();
        (!is_device).then(|| Self {
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            size: metadata.size(),
        })
    }
}

impl OutputFile {
    /// A file at `path`, which clients know as `relative`. What is there now may be replaced.
    pub(super) fn new(path: PathBuf, relative: String, id: String) -> Self {
        Self { path, relative, written: None, moved: false, id }
    }

    /// The same file taken up again: it looked like `written` when the run last wrote it, if it ever did.
    pub(super) fn resumed(self, written: Option<FileState>) -> Self {
        Self { written, ..self }
    }

    /// A file beside this one, for when what is there now may be somebody else's.
    pub(super) fn beside(mut self) -> Self {
        self.step_aside();
        self
    }

    /// Where it is, as clients know it.
    pub(super) fn relative(&self) -> &str {
        &self.relative
    }

    /// Where the notebook is when it had to go elsewhere than asked for.
    pub(super) fn moved_to(&self) -> Option<&str> {
        self.moved.then_some(self.relative.as_str())
    }

    /// Writes the notebook. When somebody else has written the file since we last did (a person edits the
    /// notebook that is running), theirs is left alone and ours goes beside it.
    pub(super) fn save(&mut self, notebook: &Notebook) -> Result<()> {
        let saved = in_place(|| match self.written {
            Some(known) => {
                let is_ours = |file: &Path| FileState::of(file) == Some(known);
                files::replace(&self.path, &self.relative, notebook, is_ours)
            }
            None => files::write(&self.path, &self.relative, notebook, false).map(Some),
        })?;
        let saved = match saved {
            Some(saved) => saved,
            None => {
                self.step_aside();
                in_place(|| files::write(&self.path, &self.relative, notebook, false))?
            }
        };
        self.written = FileState::from_metadata(&saved);
        Ok(())
    }

    fn step_aside(&mut self) {
        let suffix = format!(".execution-{}.ipynb", self.id);
        let beside = |name: &str| format!("{}{suffix}", name.strip_suffix(".ipynb").unwrap_or(name));
        let file =
            self.path.file_name().and_then(|name| name.to_str()).unwrap_or("notebook.ipynb").to_owned();
        tracing::warn!(notebook = %self.relative, "the notebook was changed while it ran: the result goes beside it");
        self.relative = beside(&self.relative);
        self.path = self.path.with_file_name(beside(&file));
        self.moved = true;
    }
}
