//! The object that a run writes, where notebooks are in an object store.
//!
//! It is replaced only while it is what the run wrote, by the store's tag (ETag, generation): looked at before each write,
//! and named as the write's condition for servers that mind it. An answer can be lost on its way, and this process can die
//! before it comes; so the hash of what is about to be sent is journaled first, and an object with these bytes is ours
//! whatever its tag. Partial saves go beside the run, never two at once.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::in_place;
use super::journal::Journal;
use super::output_file::beside;
use super::remote::{UPLOAD_INTERVAL, UPLOAD_SHARE};
use super::run_output::{SavedState, journaled};
use crate::error::{Error, ErrorKind, Result};
use crate::notebook::Notebook;
use crate::store::{Attempts, Condition, ObjectFolder};

/// So many saves follow each other without a pause: as the run begins, and after the first code cell, whose outputs a
/// person may be waiting for.
const PROMPT_SAVES: u32 = 2;
/// So many writes without an answer are remembered.
const MOST_SENT: usize = 64;
/// How often a write is tried in whose way others come.
const COLLISIONS: usize = 3;

/// The output of a run.
#[derive(Debug)]
pub(super) struct ObjectOutput {
    object: Object,
    /// The save under way, which ends with this: a worker that has lost its lease writes nothing more.
    running: Option<AbortOnDropHandle<Saved>>,
    saves: u32,
    not_before: Instant,
}

/// What is done when the object is somebody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aside {
    /// Nothing: what is partial is for the place that readers know, and who wrote there may be the one who has taken the
    /// execution over from this worker.
    No,
    /// Ours goes beside it.
    Yes,
}

/// A save beside the run that has ended.
struct Saved {
    object: Object,
    begun: Instant,
    ended: Instant,
}

/// What of an object is ours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ObjectState {
    /// Of what we last wrote, or of what we read where the run is in place.
    tag: Option<String>,
    /// What has been sent since, and perhaps written.
    sent: Vec<Sent>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sent {
    size: u64,
    /// In hexadecimal digits.
    sha256: String,
}

impl Sent {
    fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, sha256: format!("{:x}", Sha256::digest(bytes)) }
    }
}

#[derive(Debug, Clone)]
struct Object {
    folder: Arc<ObjectFolder>,
    relative: String,
    state: ObjectState,
    /// Whether whatever is there may be replaced: it has not been written yet.
    is_free: bool,
    /// Whether the last of what is noted as sent has not been sent before.
    is_last_new: bool,
    moved: bool,
    /// For a name of its own, should somebody else write the object meanwhile.
    id: String,
}

impl ObjectOutput {
    /// The object that clients know as `relative`. What is there now may be replaced.
    pub(super) fn new(folder: Arc<ObjectFolder>, relative: String, id: String) -> Self {
        let state = ObjectState::default();
        let object = Object { folder, relative, state, is_free: true, is_last_new: false, moved: false, id };
        Self { object, running: None, saves: 0, not_before: Instant::now() }
    }

    /// The same where the run began with what had this tag, and nothing else may be replaced.
    pub(super) fn read_as(self, tag: String) -> Self {
        self.resumed(ObjectState { tag: Some(tag), sent: Vec::new() })
    }

    /// The same object taken up again: this of it was ours.
    pub(super) fn resumed(mut self, state: ObjectState) -> Self {
        (self.object.state, self.object.is_free) = (state, false);
        self
    }

    /// An object beside this one.
    pub(super) fn beside(mut self) -> Self {
        self.object.step_aside();
        self
    }

    /// See [`super::run_output::RunOutput::relative`]; right when no save is under way.
    pub(super) fn relative(&self) -> &str {
        &self.object.relative
    }

    /// See [`super::run_output::RunOutput::moved_to`]; right when no save is under way.
    pub(super) fn moved_to(&self) -> Option<&str> {
        self.object.moved.then_some(self.object.relative.as_str())
    }

    /// Begins to save what there is, beside the run. `false`: not yet, a save is under way or was a moment ago. The error
    /// is the journal's.
    pub(super) fn begin(
        &mut self,
        notebook: &Notebook,
        journal: Option<&mut Journal>,
    ) -> (bool, std::io::Result<()>) {
        if let Some(mut running) = self.running.take() {
            match (&mut running).now_or_never() {
                None => self.running = Some(running),
                Some(saved) => self.take_up(saved.ok()),
            }
        }
        let begun = Instant::now();
        if self.running.is_some() || (self.saves >= PROMPT_SAVES && begun < self.not_before) {
            return (false, Ok(()));
        }
        let (bytes, journaled) = self.announce(notebook, journal);
        let mut object = self.object.clone();
        self.saves += 1;
        self.running = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            // Nothing is lost yet: it is tried again with what comes next.
            if let Err(error) = object.save(bytes, Aside::No).await {
                tracing::warn!(%error, "the running notebook cannot be saved now");
            }
            Saved { object, begun, ended: Instant::now() }
        })));
        (true, journaled)
    }

    /// Saves the notebook, after the save that is under way.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(super) async fn save(&mut self, notebook: &Notebook, journal: Option<&mut Journal>) -> Result<()> {
        if let Some(running) = self.running.take() {
            // An older state must not arrive after this one.
            let saved = running.await;
            self.take_up(saved.ok());
        }
        let bytes = self.announce_only(notebook, journal);
        self.object.save(bytes, Aside::Yes).await
    }

    /// See [`super::run_output::RunOutput::announce`].
    pub(super) fn announce_only(&mut self, notebook: &Notebook, journal: Option<&mut Journal>) -> Bytes {
        let (bytes, journaled) = self.announce(notebook, journal);
        if let Err(error) = journaled {
            tracing::warn!(%error, "the journal cannot be written while the result is saved");
        }
        bytes
    }

    /// The notebook's bytes; that they are about to be sent is written down.
    fn announce(
        &mut self,
        notebook: &Notebook,
        journal: Option<&mut Journal>,
    ) -> (Bytes, std::io::Result<()>) {
        let (bytes, sent) = in_place(|| {
            let bytes = notebook.to_bytes();
            let sent = Sent::of(&bytes);
            (Bytes::from(bytes), sent)
        });
        let state = &mut self.object.state;
        self.object.is_last_new = !state.sent.contains(&sent);
        if self.object.is_last_new {
            state.sent.push(sent);
        }
        let surplus = state.sent.len().saturating_sub(MOST_SENT);
        state.sent.drain(..surplus);
        (bytes, journaled(journal, Some(SavedState::Object(state.clone()))))
    }

    /// Goes on with what a save has made of the object; one that was cut short has changed nothing that is known.
    fn take_up(&mut self, saved: Option<Saved>) {
        let Some(Saved { object, begun, ended }) = saved else { return };
        self.object = object;
        self.not_before = ended + UPLOAD_INTERVAL.max((ended - begun) * UPLOAD_SHARE);
    }
}

impl Object {
    async fn save(&mut self, bytes: Bytes, aside: Aside) -> Result<()> {
        for _ in 0..COLLISIONS {
            let condition = match self.condition().await {
                Ok(Some(condition)) => condition,
                Ok(None) if aside == Aside::No => {
                    self.nothing_was_sent();
                    return Ok(());
                }
                Ok(None) => {
                    self.step_aside();
                    Condition::Always
                }
                Err(error) => {
                    self.nothing_was_sent();
                    return Err(error);
                }
            };
            match self.folder.write(&self.relative, bytes.clone(), &condition, Attempts::One).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                written => {
                    let tag = written?;
                    // Without a tag the bytes have to tell that it is ours.
                    let sent = if tag.is_some() { Vec::new() } else { vec![Sent::of(&bytes)] };
                    (self.state, self.is_free) = (ObjectState { tag, sent }, false);
                    return Ok(());
                }
            }
        }
        let name = &self.relative;
        Err(Error::unavailable(format!("`{name}` cannot be written: others write it at the same time")))
    }

    /// On what condition the object may be written; `None` when what is there is somebody else's.
    async fn condition(&self) -> Result<Option<Condition>> {
        let ours = &self.state;
        if self.is_free {
            return Ok(Some(Condition::Always));
        }
        let Some(found) = self.folder.head(&self.relative, Attempts::One).await? else {
            return Ok(Some(Condition::Absent));
        };
        let condition = match found.tag.clone() {
            Some(tag) => Condition::Unchanged(tag),
            None => Condition::Always,
        };
        if found.tag.is_some() && found.tag == ours.tag {
            return Ok(Some(condition));
        }
        if !ours.sent.iter().any(|sent| sent.size == found.size) {
            return Ok(None);
        }
        match self.folder.read(&self.relative, found.size).await {
            // The tag of what was looked at: written since, the condition does not hold.
            Ok((bytes, tag)) if tag == found.tag && ours.sent.contains(&Sent::of(&bytes)) => {
                Ok(Some(condition))
            }
            Ok(_) => Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::TooLarge) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn nothing_was_sent(&mut self) {
        if std::mem::take(&mut self.is_last_new) {
            self.state.sent.pop();
        }
    }

    fn step_aside(&mut self) {
        tracing::warn!(notebook = %self.relative, "the notebook was changed while it ran: the result goes beside it");
        self.relative = beside(&self.relative, &self.id);
        (self.state, self.is_free) = (ObjectState::default(), true);
        self.moved = true;
    }
}
