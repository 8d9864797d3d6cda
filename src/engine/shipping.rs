//! A run's journal on its way into a shared database, from which servers show it and other workers settle it.
//!
//! The file is read as it grows, so nothing is held in memory however long the database is away, and what the file
//! has the database has soon.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::journal::Journal;
use super::{Engine, in_place};
use crate::db::{JournalPart, Lease};
use crate::error::{Error, Result};

/// Lines are sent together up to so many bytes.
const PART: usize = 1 << 20;
/// The shortest and the longest pause between two parts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));
/// How many times longer than what it takes to send a part the pause after it is: a slow database is not pressed.
const RELIEF: u32 = 4;
/// The pause when the database cannot be used.
const RETRY: Duration = Duration::from_millis(500);

/// A journal that is being sent.
pub(super) struct Shipping {
    finish: oneshot::Sender<()>,
    task: AbortOnDropHandle<Result<()>>,
}

impl Shipping {
    /// Sends what is in the journal behind `start` and what comes into it; `None` where only this machine has the database.
    pub(super) fn start(engine: &Engine, lease: &Lease, journal: &Journal, start: u64) -> Option<Self> {
        if !engine.database().is_shared() {
            return None;
        }
        let (path, appended) = journal.source();
        let (finish, finished) = oneshot::channel();
        let task = tokio::spawn(ship(engine.clone(), lease.clone(), path, start, appended, finished));
        Some(Self { finish, task: AbortOnDropHandle::new(task) })
    }

    /// Returns when all of it is in the database, however long that takes. Nothing may be appended any more.
    ///
    /// # Errors
    /// `Conflict` when the lease was lost, `Unavailable` when the file cannot be read.
    pub(super) async fn finish(self) -> Result<()> {
        // An error means that it has ended already.
        let _ = self.finish.send(());
        self.task.await.unwrap_or_else(|panic| {
            Err(Error::internal("the journal's sender ended in a panic").with_source(panic))
        })
    }
}

async fn ship(
    engine: Engine,
    lease: Lease,
    path: PathBuf,
    mut start: u64,
    appended: Arc<Notify>,
    mut finished: oneshot::Receiver<()>,
) -> Result<()> {
    let unreadable =
        |error: std::io::Error| Error::unavailable("the journal cannot be read back").with_source(error);
    let file = File::open(path).map_err(unreadable)?;
    let mut finishing = false;
    loop {
        let Some(part) = in_place(|| whole_lines(&file, start)).map_err(unreadable)? else {
            if finishing {
                return Ok(());
            }
            tokio::select! {
                () = appended.notified() => {}
                // Dropped, too: then this task is about to be.
                _ = &mut finished => finishing = true,
            }
            continue;
        };
        let begun = Instant::now();
        match engine.database().append_journal(&lease, &part).await {
            Ok(true) => start = part.end,
            Ok(false) => {
                return Err(Error::conflict("the lease was lost: another worker owns the execution now"));
            }
            Err(error) => {
                tracing::debug!(execution.id = %lease.id, %error, "the journal cannot be sent to the database now");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        }
        if !finishing {
            let pause = (begun.elapsed() * RELIEF).clamp(PAUSES.0, PAUSES.1);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = &mut finished => finishing = true,
            }
        }
    }
}

/// The lines from `start` on that are whole, at least one and about [`PART`] of them; `None` when there is none yet.
pub(super) fn whole_lines(file: &File, start: u64) -> std::io::Result<Option<JournalPart>> {
    let mut lines = vec![0; 64 * 1024];
    let mut filled = 0;
    loop {
        let read = file.read_at(&mut lines[filled..], start + filled as u64)?;
        let has_line = lines[filled..filled + read].contains(&b'\n');
        filled += read;
        if read == 0 || (has_line && filled >= PART) {
            break;
        }
        if filled == lines.len() {
            lines.resize(lines.len() * 2, 0);
        }
    }
    lines.truncate(filled);
    let Some(last) = lines.iter().rposition(|byte| *byte == b'\n') else { return Ok(None) };
    lines.truncate(last + 1);
    Ok(Some(JournalPart { start, end: start + lines.len() as u64, lines }))
}
