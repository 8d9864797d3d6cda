//! The file that a run writes: replaced while it is what the run wrote, else left alone.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{files, in_place};
use crate::error::Result;
use crate::notebook::Notebook;
use crate::notebook::inject::ERROR_MARKER_TAG;

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

/// Whether one run wrote both: it says when it began, and nobody has changed a cell since.
fn is_of_the_same_run(one: &Notebook, other: &Notebook) -> bool {
    let begun = |notebook: &Notebook| notebook.metadata()?.get("papermill")?.get("start_time").cloned();
    let sources = |notebook: &Notebook| {
        let cells = notebook.cells().iter().filter(|cell| !cell.has_tag(ERROR_MARKER_TAG));
        cells.map(|cell| cell.source().into_owned()).collect::<Vec<_>>()
    };
    begun(one).is_some() && begun(one) == begun(other) && sources(one) == sources(other)
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

    /// See [`super::run_output::RunOutput::recognised`]. A run's notebook says when the run began, and has its cells.
    pub(super) fn recognised(self, ours: &Notebook) -> Self {
        let now = FileState::of(&self.path);
        if self.written.is_none() || self.written == now {
            return self;
        }
        let theirs =
            files::read(&self.path, &self.relative, u64::MAX - 1).and_then(|it| Notebook::parse(&it));
        match theirs {
            Ok(theirs) if is_of_the_same_run(&theirs, ours) => Self { written: now, ..self },
            _ => self,
        }
    }

    /// A file beside this one, for when what is there now may be somebody else's.
    pub(super) fn beside(mut self) -> Self {
        self.step_aside();
        self
    }

    /// How it looked when the run last wrote it; `None` for one that it has not written, or a device.
    pub(super) fn written(&self) -> Option<FileState> {
        self.written
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
        let file =
            self.path.file_name().and_then(|name| name.to_str()).unwrap_or("notebook.ipynb").to_owned();
        tracing::warn!(notebook = %self.relative, "the notebook was changed while it ran: the result goes beside it");
        self.relative = beside(&self.relative, &self.id);
        self.path = self.path.with_file_name(beside(&file, &self.id));
        self.moved = true;
    }
}

/// The name for what the run `id` writes beside the notebook `name`.
pub(super) fn beside(name: &str, id: &str) -> String {
    format!("{}.execution-{id}.ipynb", name.strip_suffix(".ipynb").unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn notebook(began: &str, sources: &[&str]) -> Notebook {
        let cell = |source: &&str| json!({"cell_type": "code", "execution_count": null, "metadata": {}, "outputs": [], "source": source});
        let cells: Vec<Value> = sources.iter().map(cell).collect();
        let metadata = json!({"papermill": {"start_time": began}});
        Notebook::from_value(
            json!({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}),
        )
        .unwrap()
    }

    #[tokio::test]
    async fn a_later_state_of_the_same_run_is_ours_and_what_a_person_changed_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ipynb");
        let ours = notebook("2026-01-01T00:00:00", &["1", "2"]);
        for (theirs, is_ours) in [
            (notebook("2026-01-01T00:00:00", &["1", "2"]), true),
            (notebook("2026-01-01T00:00:00", &["1", "changed"]), false),
            (notebook("2026-01-01T00:00:00", &["1"]), false),
            (notebook("2026-01-02T00:00:00", &["1", "2"]), false),
        ] {
            files::write(&path, "a", &theirs, false).unwrap();
            let told = FileState { inode: 0, modified: (1, 2), size: 3 };
            let file = OutputFile::new(path.clone(), "a.ipynb".into(), "7".into()).resumed(Some(told));
            let mut file = file.recognised(&ours);
            file.save(&ours).unwrap();
            assert_eq!(file.moved_to().is_none(), is_ours, "{theirs:?}");
        }
    }
}
