//! What a run writes into the notebooks root: a file, or an object in a store.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::in_place;
use super::journal::Journal;
use super::object_output::{ObjectOutput, ObjectState};
use super::output_file::{FileState, OutputFile};
use crate::error::{Error, Result};
use crate::notebook::Notebook;

/// The output of a run.
#[derive(Debug)]
pub(super) enum RunOutput {
    File(OutputFile),
    Object(ObjectOutput),
}

/// How an output looks where the run has saved it: enough to see that somebody else has written it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum SavedState {
    File(FileState),
    Object(ObjectState),
}

impl RunOutput {
    /// The same output taken up again: it looked like `saved` when the run last wrote it, if it ever did.
    pub(super) fn resumed(self, saved: Option<SavedState>) -> Self {
        match (self, saved) {
            (Self::File(file), Some(SavedState::File(state))) => Self::File(file.resumed(Some(state))),
            (Self::Object(object), Some(SavedState::Object(state))) => Self::Object(object.resumed(state)),
            (output, None) => output,
            // The root was another then: nothing says whose what is there now is.
            (output, Some(_)) => output.beside(),
        }
    }

    /// The same, when what is there now is not as it was when a dead worker last told, but was written by the same run: it
    /// may have died, or lost its database, between a save and the word of it.
    pub(super) fn recognised(self, ours: &Notebook) -> Self {
        match self {
            Self::File(file) => Self::File(in_place(|| file.recognised(ours))),
            // What is put into a store is told before.
            object => object,
        }
    }

    /// One beside this, for when what is there now may be somebody else's.
    pub(super) fn beside(self) -> Self {
        match self {
            Self::File(file) => Self::File(file.beside()),
            Self::Object(object) => Self::Object(object.beside()),
        }
    }

    /// Where it is, as clients know it.
    pub(super) fn relative(&self) -> &str {
        match self {
            Self::File(file) => file.relative(),
            Self::Object(object) => object.relative(),
        }
    }

    /// Where the notebook is when it had to go elsewhere than asked for.
    pub(super) fn moved_to(&self) -> Option<&str> {
        match self {
            Self::File(file) => file.moved_to(),
            Self::Object(object) => object.moved_to(),
        }
    }

    /// Saves the notebook as it stands, an object beside the run; how it looks then is journaled. `false`: not yet.
    /// Failing here loses nothing yet; what is given back as an error is the journal's.
    pub(super) fn save_partial(
        &mut self,
        notebook: &Notebook,
        journal: Option<&mut Journal>,
    ) -> (bool, std::io::Result<()>) {
        match self {
            Self::Object(object) => object.begin(notebook, journal),
            Self::File(file) => {
                let journaled = match file.save(notebook) {
                    Ok(()) => journaled(journal, file.written().map(SavedState::File)),
                    Err(error) => {
                        tracing::warn!(%error, cause = error.cause(), "the running notebook cannot be saved now");
                        Ok(())
                    }
                };
                (true, journaled)
            }
        }
    }

    /// Journals that this notebook is about to be saved, where that is needed to know it again.
    pub(super) fn announce(&mut self, notebook: &Notebook, journal: Option<&mut Journal>) {
        if let Self::Object(object) = self {
            object.announce_only(notebook, journal);
        }
    }

    /// Saves the notebook. When somebody else has written the output since the run last did (a person edits the notebook
    /// that is running), theirs is left alone and ours goes beside it.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be written; it may be tried again.
    pub(super) async fn save(&mut self, notebook: &Notebook, journal: Option<&mut Journal>) -> Result<()> {
        match self {
            Self::File(file) => file.save(notebook),
            Self::Object(object) => object.save(notebook, journal).await,
        }
    }

    /// The same, given up after `limit` where it has to be waited for.
    ///
    /// # Errors
    /// As [`RunOutput::save`].
    pub(super) async fn save_within(&mut self, limit: Duration, notebook: &Notebook) -> Result<()> {
        let relative = self.relative().to_owned();
        tokio::time::timeout(limit, self.save(notebook, None)).await.unwrap_or_else(|_| {
            Err(Error::unavailable(format!("`{relative}` cannot be written: it takes too long now")))
        })
    }
}

/// Writes a state into the journal, as far as there are both.
pub(super) fn journaled(journal: Option<&mut Journal>, state: Option<SavedState>) -> std::io::Result<()> {
    match (journal, state) {
        (Some(journal), Some(state)) => journal.append_saved(&state),
        _ => Ok(()),
    }
}
