//! Late delivery: an execution that ended while its notebook could not be saved has left its journal; when there
//! is room again, what the journal holds goes where it should have gone.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::recording::complete;
use super::work::LEASE;
use super::{Engine, blocking, journal};
use crate::error::{ErrorKind, Result};
use crate::execution::{Execution, ExecutionId};
use crate::notebook::record::RunEnd;

impl Engine {
    /// How often left journals are looked for.
    pub(super) fn delivery_interval(&self) -> Duration {
        self.config().save_patience.max(Duration::from_secs(1))
    }

    /// For so long after its end what an execution has left may still be in its worker's hands.
    pub(super) fn in_hand(&self) -> SignedDuration {
        SignedDuration::try_from(2 * self.delivery_interval()).unwrap_or(SignedDuration::MAX)
    }

    /// Delivers what left journals hold, as far as it can be saved now. What ended executions have left running ends, and what is
    /// old is forgotten.
    pub(super) async fn deliver_journals(&self) {
        self.kill_leftovers().await;
        self.forget_the_old().await;
        let folder = self.journal_dir();
        let Ok(left) = blocking(move || Ok(journal::left(&folder))).await else { return };
        let Ok(undelivered) = self.database().undelivered().await else { return };
        self.discard_settled(&left, &undelivered).await;
        for id in undelivered {
            match self.deliver(id).await {
                Ok(Some(path)) => {
                    tracing::info!(execution.id = %id, notebook = %path, "a notebook that could not be saved is saved now");
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(execution.id = %id, %error, "a notebook cannot be saved yet"),
            }
        }
    }

    /// Removes the journals on this machine of executions that are saved: others have settled or delivered them, or their
    /// worker died with the last step before it.
    async fn discard_settled(&self, left: &[ExecutionId], undelivered: &[ExecutionId]) {
        for id in left.iter().filter(|id| !undelivered.contains(id)) {
            let Ok(execution) = self.database().execution(*id).await else { continue };
            if execution
                .end_time
                .is_some_and(|end| end.duration_until(self.database().now()) > self.in_hand())
            {
                journal::discard(&self.journal_dir(), *id);
            }
        }
    }

    async fn deliver(&self, id: ExecutionId) -> Result<Option<String>> {
        let execution = match self.database().execution(id).await {
            // The journal of another database's execution is none of ours.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            execution => execution?,
        };
        let ended = execution.end_time.filter(|_| execution.status.is_final());
        let Some(end_time) = ended.filter(|end| end.duration_until(self.database().now()) > self.in_hand())
        else {
            return Ok(None);
        };
        // Another worker may be at it.
        let (database, owner) = (self.database(), &self.inner.owner);
        if !database.claim_delivery(id, owner, LEASE * 6, database.now()).await? {
            return Ok(None);
        }
        let path = self.save_left(&execution, end_time).await?;
        if let Some(path) = &path {
            let warning =
                format!("the notebook could not be saved when the run ended; it was saved later as `{path}`");
            self.database().record_delivery(id, path, &warning).await?;
        }
        journal::discard(&self.journal_dir(), id);
        Ok(path)
    }

    /// Saves what an ended execution's journal holds: in its place when nobody has written there since, else beside.
    async fn save_left(&self, execution: &Execution, end_time: Timestamp) -> Result<Option<String>> {
        let (id, error) = (execution.id, execution.error.clone());
        let Some((recorder, saved)) = self.replay(id, execution.attempts).await? else { return Ok(None) };
        let end = match &error {
            // Its cells say for themselves how they ended.
            Some(error) if error.cell_index.is_none() => RunEnd::Complete,
            _ => RunEnd::Failed,
        };
        let output = self.root().notebook("output_path", &execution.request.output_path)?;
        let output = output.output(id);
        let mut output = match saved {
            Some(_) => output.resumed(saved).recognised(recorder.notebook()),
            None => output.beside(),
        };
        let notebook = complete(recorder, end, error.as_ref(), end_time);
        output.save(&notebook, None).await?;
        Ok(Some(output.relative().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{Config, DataSettings, Settings};
    use crate::db::{ClaimLimits, Finish};
    use crate::engine::journal::Journal;
    use crate::engine::output_file::FileState;
    use crate::engine::run_output::SavedState;
    use crate::execution::{CellError, ExecutionRequest, ExecutionStatus, Limits};
    use crate::notebook::Notebook;
    use crate::notebook::record::{Event, Recorder};

    const T0: &str = "2026-01-01T00:00:00.000000+00:00";

    async fn engine(folder: &tempfile::TempDir) -> Engine {
        let data = DataSettings { data_dir: Some(folder.path().to_owned()) };
        Engine::open(Config::resolve(Settings { data, ..Settings::default() }).unwrap()).await.unwrap()
    }

    /// An execution that ended `ago` with its notebook not saved; its journal says `text`.
    async fn not_saved(
        engine: &Engine,
        path: &str,
        ago: SignedDuration,
        saved: Option<FileState>,
    ) -> ExecutionId {
        let then = Timestamp::now() - ago;
        let minute = Duration::from_secs(60);
        let limits = Limits {
            start_timeout: minute,
            cell_timeout: None,
            timeout: None,
            queue_timeout: None,
            resources: Default::default(),
        };
        let request = ExecutionRequest::new(path, path, limits);
        let id = engine.database().insert_execution(&request, then).await.unwrap();
        let lease = engine
            .database()
            .claim_execution("worker", minute, ClaimLimits::default(), then)
            .await
            .unwrap()
            .unwrap();
        let error = CellError::new(None, "NotebookNotSaved", "the disk is full");
        let finish = Finish { undelivered: true, ..Finish::new(ExecutionStatus::Failed, Some(error)) };
        assert!(engine.database().finish_execution(&lease, &finish, then).await.unwrap());
        let cells = json!([{"cell_type": "code", "execution_count": null, "metadata": {}, "outputs": [], "source": "x"}]);
        let notebook = json!({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4});
        let recorder = Recorder::start(Notebook::from_value(notebook).unwrap(), T0);
        let mut journal = Journal::create(&engine.journal_dir(), id, 1, T0, recorder.notebook()).unwrap();
        saved.iter().for_each(|state| journal.append_saved(&SavedState::File(*state)).unwrap());
        journal.append(&Event::CellStarted { cell: 0, time: T0.into() }).unwrap();
        let output = json!({"name": "stdout", "output_type": "stream", "text": "kept"});
        journal.append(&Event::Output { cell: 0, output, display_id: None }).unwrap();
        id
    }

    fn is_kept(engine: &Engine, path: &str) -> bool {
        std::fs::read_to_string(engine.root().path().join(path)).is_ok_and(|text| text.contains("\"kept\""))
    }

    #[tokio::test]
    async fn what_could_not_be_saved_is_saved_when_there_is_room_and_never_over_what_others_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(&folder).await;
        for path in ["ours.ipynb", "edited.ipynb", "unknown.ipynb"] {
            std::fs::write(engine.root().path().join(path), "before").unwrap();
        }
        let ours = FileState::of(&engine.root().path().join("ours.ipynb")).unwrap();
        let long_ago = SignedDuration::from_hours(1);
        let id = not_saved(&engine, "ours.ipynb", long_ago, Some(ours)).await;
        let edited = not_saved(&engine, "edited.ipynb", long_ago, Some(ours)).await;
        let unknown = not_saved(&engine, "unknown.ipynb", long_ago, None).await;
        let in_hand = not_saved(&engine, "young.ipynb", SignedDuration::from_secs(1), None).await;

        engine.deliver_journals().await;
        assert!(is_kept(&engine, "ours.ipynb"));
        for (name, id) in [("edited", edited), ("unknown", unknown)] {
            let beside = format!("{name}.execution-{id}.ipynb");
            assert!(is_kept(&engine, &beside), "{beside}");
            assert_eq!(std::fs::read(engine.root().path().join(format!("{name}.ipynb"))).unwrap(), b"before");
            assert_eq!(engine.execution(id).await.unwrap().request.output_path, beside);
        }
        assert!(engine.execution(id).await.unwrap().warnings[0].contains("saved later as `ours.ipynb`"));
        assert_eq!(journal::left(&engine.journal_dir()), [in_hand], "its worker may still hold it");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_an_execution_left_running_ends_once_its_worker_cannot_be_ending_it() {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(&folder).await;
        let ended = not_saved(&engine, "ended.ipynb", SignedDuration::from_hours(1), None).await;
        let in_hand = not_saved(&engine, "young.ipynb", SignedDuration::from_secs(1), None).await;
        let sleeper = |id: ExecutionId| {
            let mut sleeper = std::process::Command::new("sleep");
            sleeper.arg("60").env("BINDERY_EXECUTION_ID", id.to_string());
            sleeper.env("BINDERY_DATA_DIR", &engine.config().data_dir).spawn().unwrap()
        };
        let (mut left, mut young) = (sleeper(ended), sleeper(in_hand));
        engine.kill_leftovers().await;
        assert!(!left.wait().unwrap().success());
        assert!(young.try_wait().unwrap().is_none());
        young.kill().unwrap();
        young.wait().unwrap();
    }
}
