//! Where a kernel works whose notebook is in an object store: an empty folder of its own below the data dir, for as long
//! as the kernel lives. Each attempt has one of its own: an earlier one may not have ended yet.

use std::path::PathBuf;

use super::{Engine, blocking};
use crate::error::{Error, Result};
use crate::execution::ExecutionId;

impl Engine {
    /// The folder that a kernel of this execution works in when the notebook's own is none of this machine's; made empty.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be made.
    pub(super) async fn make_scratch(&self, id: ExecutionId, attempt: u32) -> Result<PathBuf> {
        let folder = self.scratch(id, attempt);
        blocking(move || {
            std::fs::create_dir_all(&folder).map_err(|error| {
                let kind = error.kind();
                Error::unavailable(format!("the folder for the kernel cannot be made ({kind})"))
                    .with_source(error)
            })?;
            Ok(folder)
        })
        .await
    }

    /// Removes the folder, if there is one, with all that is in it.
    pub(super) async fn remove_scratch(&self, id: ExecutionId, attempt: u32) {
        if !self.root().is_folder() {
            self.remove_folder(id, attempt).await;
        }
    }

    async fn remove_folder(&self, id: ExecutionId, attempt: u32) {
        let folder = self.scratch(id, attempt);
        let removed = blocking(move || match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::unavailable("a kernel's folder cannot be removed").with_source(error))
            }
            _ => Ok(()),
        });
        if let Err(error) = removed.await {
            tracing::warn!(execution.id = %id, %error, cause = error.cause(), "it is tried again later");
        }
    }

    /// Removes the folders of executions that have ended a while ago: a worker that was killed removes nothing.
    pub(super) async fn remove_left_scratch(&self) {
        let folder = self.config().data_dir.join("scratch");
        let left = blocking(move || {
            let entries = std::fs::read_dir(&folder).map(|entries| entries.flatten().collect());
            let entries: Vec<std::fs::DirEntry> = entries.unwrap_or_default();
            let attempts = entries.iter().filter_map(|entry| {
                let name = entry.file_name();
                let (id, attempt) = name.to_str()?.split_once('-')?;
                Some((ExecutionId(id.parse().ok()?), attempt.parse().ok()?))
            });
            Ok(attempts.collect::<Vec<(ExecutionId, u32)>>())
        });
        for (id, attempt) in left.await.unwrap_or_default() {
            // One that is not in this database may be another's, which runs.
            let Ok(execution) = self.database().execution(id).await else { continue };
            let ended = execution.end_time.filter(|_| execution.status.is_final());
            let is_kept = execution.kept_kernel(self.database().now()).is_some();
            if !is_kept && ended.is_some_and(|end| end.duration_until(self.database().now()) > self.in_hand())
            {
                self.remove_folder(id, attempt).await;
            }
        }
    }

    fn scratch(&self, id: ExecutionId, attempt: u32) -> PathBuf {
        self.config().data_dir.join("scratch").join(format!("{id}-{attempt}"))
    }
}
