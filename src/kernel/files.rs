//! The few file operations of an installation, with errors that name the path: they are for a shell.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind as IoErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Result};

/// How often a lock that another process holds is tried again.
const LOCK_INTERVAL: Duration = Duration::from_millis(200);

/// "cannot be written", with what to do about it.
pub(super) fn unwritable(path: &Path, error: std::io::Error) -> Error {
    let remedy = match error.kind() {
        IoErrorKind::StorageFull | IoErrorKind::QuotaExceeded => "the disk is full: free some space",
        _ => "give this user the right to write there or choose another --data-dir",
    };
    Error::unavailable(format!("{} cannot be written ({error}); {remedy}", path.display())).with_source(error)
}

/// The exclusive lock on the file at `path`, which is made when it is missing; `on_wait` is called once when another
/// holds it. The lock ends when the last copy of the handle is closed, in whatever process.
pub(super) async fn lock(path: &Path, on_wait: &(dyn Fn() + Sync)) -> Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
    }
    let opened = OpenOptions::new().read(true).append(true).create(true).open(path);
    let file = opened.map_err(|error| unwritable(path, error))?;
    let mut has_waited = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(unwritable(path, error)),
            Err(TryLockError::WouldBlock) => {}
        }
        if !has_waited {
            on_wait();
            has_waited = true;
        }
        // Not the blocking call: a thread in it could not be cancelled by Ctrl-C.
        tokio::time::sleep(LOCK_INTERVAL).await;
    }
}

/// Removes a folder with all that is in it; one that is not there is fine.
pub(super) async fn remove_folder(path: &Path) -> Result<()> {
    match tokio::fs::remove_dir_all(path).await {
        Err(error) if error.kind() != IoErrorKind::NotFound => Err(unwritable(path, error)),
        _ => Ok(()),
    }
}

/// Writes a file so that a reader sees all of it or nothing, also after a crash.
pub(super) fn write_whole(path: &Path, text: &str) -> Result<()> {
    let write = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .prefix(".bindery-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error| unwritable(path, error))
}
