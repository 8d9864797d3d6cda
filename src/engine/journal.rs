//! The journal of a run: everything that the kernel sent, on disk as it comes.
//!
//! A text file of JSON lines: first the notebook as it was when the run began, then one event a line. The
//! notebook file is rewritten at intervals only; what came in between is here, and after a crash the two
//! together are complete. Appending costs what is appended.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Notify;

use super::run_output::SavedState;
use super::take_over::Replies;
use crate::error::{Error, Result};
use crate::execution::{CellError, ExecutionId};
use crate::kernel::message::HeardAt;
use crate::notebook::Notebook;
use crate::notebook::record::{Event, Recorder};

/// Lines up to this length, in bytes, are written at once.
const LINE: usize = 64 * 1024;

/// One line after the first.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The notebook was written, and looked like this then.
    Saved(SavedState),
    /// Where the run was with a kernel that another process may go on with.
    Mark(serde::de::IgnoredAny),
    #[serde(untagged)]
    Event(Event),
}

/// The same for writing, without taking what is written.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum LineRef<'a> {
    Saved(&'a SavedState),
    Mark(&'a Mark),
}

/// What whoever goes on with a kernel needs to know beyond the events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mark {
    /// Where a message is that was recorded.
    Heard(HeardAt),
    /// A cell's answer.
    Reply {
        cell: usize,
        /// The exception, if it raised one.
        raised: Option<CellError>,
    },
}

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// What could not be written yet, first what is left of a line; empty as a rule.
    pending: Vec<u8>,
    appended: Arc<Notify>,
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    attempt: u32,
    start_time: String,
    notebook: Value,
}

#[derive(Serialize)]
struct HeadRef<'a> {
    attempt: u32,
    start_time: &'a str,
    notebook: &'a Notebook,
}

impl Journal {
    /// Starts the journal of an execution, in place of an earlier attempt's.
    pub(super) fn create(
        folder: &Path,
        id: ExecutionId,
        attempt: u32,
        start_time: &str,
        notebook: &Notebook,
    ) -> Result<Self> {
        let path = path(folder, id);
        let create = || {
            // A file of its own: somebody may still be reading the earlier one.
            discard(folder, id);
            let (file, appended) = (File::create(&path)?, Arc::default());
            let mut journal = Self { file, path: path.clone(), pending: Vec::new(), appended };
            journal.write(&HeadRef { attempt, start_time, notebook })?;
            Ok(journal)
        };
        create().map_err(|error: std::io::Error| {
            discard(folder, id);
            Error::unavailable(format!("the journal of execution {id} cannot be written ({})", error.kind()))
                .with_source(error)
        })
    }

    /// Goes on with the journal that is there, in a file of its own: whoever wrote it may only have slept.
    pub(super) fn again(folder: &Path, id: ExecutionId) -> Result<Self> {
        let again = || {
            let (path, next) = (path(folder, id), path(folder, id).with_extension("again"));
            let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&next)?;
            let mut lines = BufReader::new(File::open(&path)?);
            let mut line = Vec::new();
            // What was cut by a crash is left out.
            while lines.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
                file.write_all(&line)?;
                line.clear();
            }
            std::fs::rename(&next, &path)?;
            Ok(Self { file, path, pending: Vec::new(), appended: Arc::default() })
        };
        again().map_err(|error: std::io::Error| {
            Error::unavailable(format!("the journal of execution {id} cannot be written ({})", error.kind()))
                .with_source(error)
        })
    }

    /// Appends one event. Once this returns, a crash of this process loses it no more. What cannot be written now
    /// (disk full) is kept and written before what is appended next.
    pub(super) fn append(&mut self, event: &Event) -> std::io::Result<()> {
        self.write(event)
    }

    /// Notes how the notebook looks where it was saved: who finds it otherwise knows that others wrote it.
    pub(super) fn append_saved(&mut self, state: &SavedState) -> std::io::Result<()> {
        self.write(&LineRef::Saved(state))
    }

    /// Notes where the run is with its kernel.
    pub(super) fn append_mark(&mut self, mark: &Mark) -> std::io::Result<()> {
        self.write(&LineRef::Mark(mark))
    }

    /// Where it is, and what is notified of each line.
    pub(super) fn source(&self) -> (PathBuf, Arc<Notify>) {
        (self.path.clone(), Arc::clone(&self.appended))
    }

    /// Removes the journal: the notebook on disk has it all.
    pub(super) fn remove(self) {
        // There is none unless the kernel was behind a gateway.
        let _ = std::fs::remove_file(self.path.with_extension("frames"));
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, "a journal that is no longer needed cannot be removed");
        }
    }

    fn write<T: Serialize>(&mut self, value: &T) -> std::io::Result<()> {
        let kept = std::mem::take(&mut self.pending);
        let mut sink = Sink { file: &self.file, kept: &mut self.pending, fault: None };
        sink.write_all(&kept)?;
        // A line that is not large is one call, so that a crash cuts it only when the system cuts the call. A large one
        // is nowhere in memory as a whole.
        let mut line = BufWriter::with_capacity(LINE, &mut sink);
        serde_json::to_writer(&mut line, value)?;
        line.write_all(b"\n")?;
        line.flush()?;
        drop(line);
        self.appended.notify_one();
        sink.fault.map_or(Ok(()), Err)
    }
}

/// Writes to a file; from the first failure on what should be written is kept in memory, and the failure too.
struct Sink<'a> {
    file: &'a File,
    kept: &'a mut Vec<u8>,
    fault: Option<std::io::Error>,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.fault.is_none() {
            match self.file.write(bytes) {
                Ok(0) if !bytes.is_empty() => self.fault = Some(std::io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => self.fault = Some(error),
                written => return written,
            }
        }
        self.kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a journal tells: the notebook, and how it looked where it was last saved, if it ever was.
pub(super) type Replayed = (Recorder, Option<SavedState>);

/// What the journal of an execution tells; `None` when there is none, or the run had not begun, or it is of another attempt
/// than the one that is wanted.
pub(super) fn replay(folder: &Path, id: ExecutionId, wanted: Option<u32>) -> Result<Option<Replayed>> {
    match open(folder, id)? {
        Some(file) => replay_lines(id, wanted, BufReader::new(file)),
        None => Ok(None),
    }
}

/// The file of a journal, for those who read along.
pub(super) fn open(folder: &Path, id: ExecutionId) -> Result<Option<File>> {
    match File::open(path(folder, id)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(not_read(id, error)),
    }
}

/// The same, if it is the journal of this attempt.
pub(super) fn open_attempt(folder: &Path, id: ExecutionId, attempt: u32) -> Result<Option<File>> {
    let Some(mut file) = open(folder, id)? else { return Ok(None) };
    // The head may be long: its first field is enough. What is not written yet is no attempt's.
    let expected = format!("{{\"attempt\":{attempt},");
    let mut begin = vec![0; expected.len()];
    let is_it = file.read_exact(&mut begin).is_ok() && begin == expected.as_bytes();
    Ok(is_it.then_some(file))
}

fn not_read(id: ExecutionId, error: std::io::Error) -> Error {
    Error::unavailable(format!("the journal of execution {id} cannot be read")).with_source(error)
}

/// The same of the lines of a journal.
pub(super) fn replay_lines(
    id: ExecutionId,
    wanted: Option<u32>,
    lines: impl BufRead,
) -> Result<Option<Replayed>> {
    let failed = |error| not_read(id, error);
    let mut lines = lines.split(b'\n');
    let head = lines.next().transpose().map_err(failed)?.unwrap_or_default();
    // A crash while the first line was written: nothing has run yet.
    let Ok(Head { attempt, start_time, notebook }) = serde_json::from_slice(&head) else { return Ok(None) };
    if wanted.is_some_and(|wanted| wanted != attempt) {
        return Ok(None);
    }
    let mut recorder = Recorder::resume(Notebook::from_value(notebook)?, &start_time);
    let (mut begun, mut saved) = (false, None);
    for line in lines {
        match serde_json::from_slice(&line.map_err(failed)?) {
            Ok(Line::Event(event)) => recorder.apply(event),
            Ok(Line::Saved(state)) => saved = Some(state),
            Ok(Line::Mark(_)) => {}
            // The last line may have been cut by the crash; nothing can follow it.
            Err(_) => break,
        }
        begun = true;
    }
    Ok(begun.then_some((recorder, saved)))
}

/// What whoever goes on with a kernel needs to know beyond the events.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Where the last message is that was recorded.
    pub(super) heard: Option<HeardAt>,
    /// The answers that have come.
    pub(super) replies: Replies,
}

/// The marks in the journal of an execution.
pub(super) fn marks(folder: &Path, id: ExecutionId) -> Marks {
    #[derive(Deserialize)]
    struct Marked {
        mark: Mark,
    }
    let mut marks = Marks::default();
    let Ok(file) = File::open(path(folder, id)) else { return marks };
    for line in BufReader::new(file).split(b'\n').map_while(std::io::Result::ok) {
        // Most lines are no marks, and may be long.
        if !line.starts_with(b"{\"mark\"") {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(Marked { mark: Mark::Heard(heard) }) => {
                // The order of messages and of their numbers may differ.
                let number = heard.number.max(marks.heard.and_then(|before| before.number));
                marks.heard = Some(HeardAt { number, ..heard });
            }
            Ok(Marked { mark: Mark::Reply { cell, raised } }) => {
                marks.replies.insert(cell, raised);
            }
            Err(_) => {}
        }
    }
    marks
}

/// The place for the journal of an execution that comes from elsewhere; nothing is there.
pub(super) fn fresh(folder: &Path, id: ExecutionId) -> PathBuf {
    discard(folder, id);
    path(folder, id)
}

/// The executions whose journals are there.
pub(super) fn left(folder: &Path) -> Vec<ExecutionId> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let id = |name: &str| name.strip_suffix(".jsonl")?.parse().ok();
    entries.flatten().filter_map(|entry| id(entry.file_name().to_str()?)).map(ExecutionId).collect()
}

/// Removes the journal of an execution that has been settled.
pub(super) fn discard(folder: &Path, id: ExecutionId) {
    // An error leaves a file that nobody reads.
    let _ = std::fs::remove_file(path(folder, id));
    let _ = std::fs::remove_file(frames(folder, id));
}

/// The file beside the journal in which what a gateway sends is kept until it is in the journal.
pub(super) fn frames(folder: &Path, id: ExecutionId) -> PathBuf {
    folder.join(format!("{id}.frames"))
}

fn path(folder: &Path, id: ExecutionId) -> PathBuf {
    folder.join(format!("{id}.jsonl"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::output_file::FileState;
    use crate::notebook::record::RunEnd;

    const T0: &str = "2026-01-01T00:00:00.000000+00:00";

    fn stream(text: &str) -> Event {
        let output = json!({"name": "stdout", "output_type": "stream", "text": text});
        Event::Output { cell: 0, output, display_id: None }
    }

    #[test]
    fn a_journal_cut_in_the_middle_of_a_line_gives_all_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let notebook = Notebook::from_value(json!({
            "cells": [{"cell_type": "code", "execution_count": null, "metadata": {}, "outputs": [], "source": "x"}],
            "metadata": {}, "nbformat": 4, "nbformat_minor": 4
        }))
        .unwrap();
        let id = ExecutionId(7);
        let recorder = Recorder::start(notebook, T0);
        let mut journal = Journal::create(folder.path(), id, 1, T0, recorder.notebook()).unwrap();
        assert!(
            replay(folder.path(), id, None).unwrap().is_none(),
            "nothing has been saved yet: the run has not begun"
        );
        journal.append(&Event::CellStarted { cell: 0, time: T0.into() }).unwrap();
        // The disk of the notebooks may have been full from the start.
        assert!(
            replay(folder.path(), id, None).unwrap().unwrap().1.is_none(),
            "it has begun, and was never saved"
        );
        let states = [1, 2].map(|size| SavedState::File(FileState { inode: 7, modified: (1, 2), size }));
        states.iter().for_each(|state| journal.append_saved(state).unwrap());
        journal.append(&stream("kept\n")).unwrap();
        journal.append(&stream("cut")).unwrap();
        let file = path(folder.path(), id);
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() - 10]).unwrap();

        let (recorder, saved) = replay(folder.path(), id, None).unwrap().unwrap();
        assert_eq!(saved.as_ref(), Some(&states[1]));
        let notebook = recorder.finish(RunEnd::Failed, T0);
        assert_eq!(notebook.cells()[0].outputs()[0]["text"], json!(["kept\n"]));
        discard(folder.path(), id);
        assert!(replay(folder.path(), id, None).unwrap().is_none());
    }

    #[test]
    fn what_a_full_disk_refused_is_written_once_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let notebook = json!({
            "cells": [{"cell_type": "code", "execution_count": null, "metadata": {}, "outputs": [], "source": "x"}],
            "metadata": {}, "nbformat": 4, "nbformat_minor": 4
        });
        let recorder = Recorder::start(Notebook::from_value(notebook).unwrap(), T0);
        let id = ExecutionId(7);
        let mut journal = Journal::create(folder.path(), id, 1, T0, recorder.notebook()).unwrap();
        let disk = std::mem::replace(&mut journal.file, File::create("/dev/full").unwrap());
        assert!(journal.append(&stream("a")).is_err());
        assert!(journal.append(&stream("b")).is_err());
        journal.file = disk;
        journal.append(&stream("c")).unwrap();
        let (recorder, _) = replay(folder.path(), id, None).unwrap().unwrap();
        assert_eq!(recorder.finish(RunEnd::Failed, T0).cells()[0].outputs()[0]["text"], json!(["abc"]));
    }
}
