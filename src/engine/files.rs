//! Notebook files: read within a limit, replaced atomically.

use std::fs::{File, Metadata};
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::notebook::{Notebook, json};

/// How much of a file is written at once, in bytes.
const PIECE: usize = 64 * 1024;

/// What a file can hold. It is written piece by piece: a large notebook is nowhere in memory a second time.
pub trait Content {
    /// Writes all of it.
    ///
    /// # Errors
    /// Only when `out` refuses the bytes.
    fn write_to(&self, out: &mut impl Write) -> std::io::Result<()>;
}

impl Content for [u8] {
    fn write_to(&self, out: &mut impl Write) -> std::io::Result<()> {
        out.write_all(self)
    }
}

impl Content for Notebook {
    fn write_to(&self, out: &mut impl Write) -> std::io::Result<()> {
        json::write(out, self)
    }
}

/// Reads a file of at most `limit` bytes. `shown` is how the caller named it.
///
/// # Errors
/// `NotFound`, `TooLarge`, `BadInput` when it is no file, `Unavailable` when it cannot be read.
pub fn read(path: &Path, shown: &str, limit: u64) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            Error::not_found(format!("there is no notebook `{shown}`")).with_source(error)
        }
        kind => Error::unavailable(format!("`{shown}` cannot be read ({kind})")).with_source(error),
    };
    // Without waiting: a named pipe would have the open wait for somebody who writes.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = std::fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::bad_input(format!("`{shown}` is not a file")));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(limit)).unwrap_or(0));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(Error::too_large(format!("`{shown}` is larger than the limit of {limit} bytes")));
    }
    Ok(bytes)
}

/// Replaces a file through a temporary one beside it; a reader sees the old or the new, never a part. With
/// `create_new`, refuses to replace.
///
/// # Errors
/// `Conflict` when `create_new` and it exists, `Unavailable` when it cannot be written (disk full, read-only).
pub fn write(
    path: &Path,
    shown: &str,
    content: &(impl Content + ?Sized),
    create_new: bool,
) -> Result<Metadata> {
    let failed = |error| not_written(shown, error);
    // Renamed onto `/dev/null`, the notebook would take its place, for everybody.
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_char_device()) {
        let device = std::fs::OpenOptions::new().write(true).open(path);
        return device
            .and_then(|device| fill(&device, content).and_then(|()| device.metadata()))
            .map_err(failed);
    }
    let path = &followed(path);
    let file = write_beside(path, content).map_err(failed)?;
    let written = file.as_file().metadata().map_err(failed)?;
    if create_new {
        file.persist_noclobber(path).map_err(|error| match error.error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Error::conflict(format!("`{shown}` exists already: choose another name or set `overwrite`"))
            }
            _ => failed(error.error),
        })?;
    } else {
        file.persist(path).map_err(|error| failed(error.error))?;
    }
    Ok(written)
}

/// As [`write`], but only in place of what `may_go`, or of nothing; `None`, and nothing is changed, when something else
/// is there. Where the system can exchange two files, nobody can put a file there unnoticed meanwhile.
///
/// # Errors
/// `Unavailable` as [`write`].
pub fn replace(
    path: &Path,
    shown: &str,
    content: &(impl Content + ?Sized),
    may_go: impl Fn(&Path) -> bool,
) -> Result<Option<Metadata>> {
    let failed = |error| not_written(shown, error);
    let path = &followed(path);
    if path.exists() && !may_go(path) {
        return Ok(None);
    }
    let file = write_beside(path, content).map_err(failed)?;
    let written = file.as_file().metadata().map_err(failed)?;
    match exchange(file.path(), path) {
        Ok(()) if may_go(file.path()) => Ok(Some(written)),
        Ok(()) => {
            exchange(file.path(), path).map_err(failed)?;
            Ok(None)
        }
        // Nothing is there, or this file system cannot exchange.
        Err(_) if path.exists() && !may_go(path) => Ok(None),
        Err(_) => {
            file.persist(path).map_err(|error| failed(error.error))?;
            Ok(Some(written))
        }
    }
}

#[cfg(target_os = "linux")]
fn exchange(one: &Path, other: &Path) -> std::io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).map_err(Into::into)
}

#[cfg(not(target_os = "linux"))]
fn exchange(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// What a link leads to, or the path itself: the link stays, and its file is replaced.
fn followed(path: &Path) -> PathBuf {
    match path.is_symlink() {
        true => path.canonicalize().unwrap_or_else(|_| path.to_owned()),
        false => path.to_owned(),
    }
}

/// A temporary file beside `path` that holds `content`, with the permissions that `path` has, or that a new file of this
/// process gets: tempfile's own are 0600.
fn write_beside(path: &Path, content: &(impl Content + ?Sized)) -> std::io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".bindery-").suffix(".tmp");
    let permissions = std::fs::metadata(path).map(|metadata| metadata.permissions()).ok();
    #[cfg(unix)]
    if permissions.is_none() {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let file = builder.tempfile_in(folder)?;
    if let Some(permissions) = permissions {
        file.as_file().set_permissions(permissions)?;
    }
    fill(file.as_file(), content)?;
    file.as_file().sync_data()?;
    Ok(file)
}

fn fill(file: &File, content: &(impl Content + ?Sized)) -> std::io::Result<()> {
    let mut out = BufWriter::with_capacity(PIECE, file);
    content.write_to(&mut out)?;
    out.flush()
}

fn not_written(shown: &str, error: std::io::Error) -> Error {
    let what = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => "the disk is full".to_owned(),
        kind => kind.to_string(),
    };
    Error::unavailable(format!("`{shown}` cannot be written ({what}); nothing was changed"))
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.ipynb");
        write(&path, "a/b.ipynb", b"one".as_slice(), true).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(
            write(&path, "a/b.ipynb", b"two".as_slice(), true).unwrap_err().kind(),
            ErrorKind::Conflict
        );
        write(&path, "a/b.ipynb", b"two".as_slice(), false).unwrap();
        assert_eq!(read(&path, "a/b.ipynb", 3).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_stays_and_its_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        write(&link, "link", b"new".as_slice(), false).unwrap();
        assert!(replace(&link, "link", b"newer".as_slice(), |_| true).unwrap().is_some());
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&file).unwrap(), b"newer");
    }

    #[test]
    fn only_what_may_go_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ipynb");
        let holds =
            |text: &'static [u8]| move |file: &Path| std::fs::read(file).is_ok_and(|bytes| bytes == text);
        assert!(
            replace(&path, "a", b"one".as_slice(), holds(b"zero")).unwrap().is_some(),
            "nothing was there"
        );
        assert!(replace(&path, "a", b"two".as_slice(), holds(b"one")).unwrap().is_some());
        assert!(replace(&path, "a", b"three".as_slice(), holds(b"one")).unwrap().is_none());
        // Somebody writes between the first look and the exchange.
        let looks = std::cell::Cell::new(0);
        let written_meanwhile = |_: &Path| {
            looks.set(looks.get() + 1);
            looks.get() == 1
        };
        assert!(replace(&path, "a", b"three".as_slice(), written_meanwhile).unwrap().is_none());
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_device_stays_one() {
        // Never the machine's own, which a fault would replace: a link to it, which may go.
        let folder = tempfile::tempdir().unwrap();
        let (null, full) = (folder.path().join("null"), folder.path().join("full"));
        std::os::unix::fs::symlink("/dev/null", &null).unwrap();
        std::os::unix::fs::symlink("/dev/full", &full).unwrap();
        write(&null, "null", b"one".as_slice(), false).unwrap();
        assert_eq!(
            write(&full, "full", b"one".as_slice(), false).unwrap_err().kind(),
            ErrorKind::Unavailable
        );
        assert!(null.is_symlink() && full.is_symlink());
    }

    #[test]
    fn what_cannot_be_read_is_said_without_the_machines_paths() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.ipynb");
        assert_eq!(read(&path, "x.ipynb", 10).unwrap_err().kind(), ErrorKind::NotFound);
        std::fs::write(&path, b"0123456789+").unwrap();
        let error = read(&path, "x.ipynb", 10).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(!error.to_string().contains(folder.path().to_str().unwrap()));
        assert_eq!(read(folder.path(), "d", 10).unwrap_err().kind(), ErrorKind::BadInput);
    }

    #[test]
    fn a_named_pipe_is_no_file_and_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.ipynb");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(read(&path, "x.ipynb", 10).unwrap_err().kind(), ErrorKind::BadInput);
    }
}
