//! The folder's blocking work: finding, reading and replacing files.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::PRIVATE_FOLDER;
use super::sidecar::Sidecar;
use super::signature::SigningKey;
use crate::error::{Error, Result};
use crate::store::{
    Category, MAX_TEMPLATE_BYTES, StoredTemplate, TemplateMetadata, TemplateName, not_found, taken, too_large,
};

/// An opened folder.
#[derive(Debug)]
pub(super) struct Folder {
    /// Without links in it, so that a link's target can be compared with it.
    pub(super) root: PathBuf,
    pub(super) signing_key: OnceLock<SigningKey>,
}

impl Folder {
    pub(super) fn open(root: &Path) -> Result<Self> {
        let create = || {
            fs::create_dir_all(root)?;
            let root = fs::canonicalize(root)?;
            // `create_dir_all` is content with any file; reading tells whether it is a folder for us.
            fs::read_dir(&root)?;
            Ok(root)
        };
        let root = create().map_err(|error| unusable("open", error))?;
        Ok(Self { root, signing_key: OnceLock::new() })
    }

    pub(super) fn put(
        &self,
        name: TemplateName,
        bytes: &[u8],
        metadata: &TemplateMetadata,
        overwrite: bool,
    ) -> Result<StoredTemplate> {
        let failed = |error| unusable("write to", error);
        let _lock = self.lock()?;
        let folder = self.category_folder(name.category())?;
        let target = folder.join(name.file_name());
        match fs::symlink_metadata(&target) {
            Ok(_) if !overwrite => return Err(taken(&name)),
            Ok(found) if found.is_dir() => {
                return Err(Error::conflict(format!(
                    "there is a folder with the name `{name}`; choose another name"
                )));
            }
            _ => {}
        }
        // Both files are whole on the disk before either takes its place: what can fail, fails here.
        let template = write_beside(&folder, bytes).map_err(failed)?;
        let sidecar = Sidecar::of(metadata, bytes, &template.as_file().metadata().map_err(failed)?);
        let sidecar_path = sidecar_path(&self.root, &name);
        let sidecar_folder = sidecar_path.parent().unwrap_or(&self.root);
        fs::create_dir_all(sidecar_folder).map_err(failed)?;
        let sidecar_file = write_beside(sidecar_folder, &sidecar.to_json()).map_err(failed)?;
        if overwrite {
            template.persist(&target).map_err(|error| failed(error.error))?;
        } else if let Err(error) = template.persist_noclobber(&target) {
            // Someone put the file there by hand since we looked.
            let exists = error.error.kind() == ErrorKind::AlreadyExists;
            return Err(if exists { taken(&name) } else { failed(error.error) });
        }
        if let Err(error) = sidecar_file.persist(&sidecar_path) {
            if !overwrite {
                // Best effort: the upload is reported as failed, so nothing of it should stay.
                let _ = fs::remove_file(&target);
            }
            return Err(failed(error.error));
        }
        sync_folder(&folder).map_err(failed)?;
        sync_folder(sidecar_folder).map_err(failed)?;
        Ok(sidecar.into_template(name))
    }

    pub(super) fn get(&self, name: TemplateName) -> Result<(StoredTemplate, Bytes)> {
        let path = self.locate(&name)?;
        let read = || {
            let mut file = File::open(&path)?;
            let found = file.metadata()?;
            let mut bytes = Vec::new();
            if found.len() <= MAX_TEMPLATE_BYTES {
                file.read_to_end(&mut bytes)?;
            }
            Ok((found, bytes))
        };
        let (found, bytes) = read().map_err(|error| unreadable(&name, error))?;
        if found.len() > MAX_TEMPLATE_BYTES {
            return Err(too_large(&name, found.len()));
        }
        let template = StoredTemplate {
            size: bytes.len() as u64,
            last_modified: modified(&found),
            etag: etag(&bytes),
            description: self.sidecar(&name).map(|sidecar| sidecar.description).unwrap_or_default(),
            name,
        };
        Ok((template, Bytes::from(bytes)))
    }

    pub(super) fn head(&self, name: TemplateName) -> Result<StoredTemplate> {
        let path = self.locate(&name)?;
        let found = fs::metadata(&path).map_err(|error| unreadable(&name, error))?;
        let sidecar = self.sidecar(&name);
        // The digest is remembered for the file as we wrote it; for a file put there by hand it is computed.
        let etag = match &sidecar {
            Some(sidecar) if sidecar.describes(&found) => sidecar.etag.clone(),
            _ => etag_of(&path).map_err(|error| unreadable(&name, error))?,
        };
        Ok(StoredTemplate {
            size: found.len(),
            last_modified: modified(&found),
            etag,
            description: sidecar.map(|sidecar| sidecar.description).unwrap_or_default(),
            name,
        })
    }

    pub(super) fn delete(&self, name: &TemplateName) -> Result<()> {
        self.locate(name)?;
        let _lock = self.lock()?;
        // The name itself, not what it may link to.
        let path = self.root.join(name.as_str());
        fs::remove_file(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => not_found(name),
            _ => unusable("delete from", error),
        })?;
        let sidecar_path = sidecar_path(&self.root, name);
        // Without its template a sidecar means nothing, so a failure here costs a few bytes at most.
        let _ = fs::remove_file(&sidecar_path);
        let depth = name.as_str().split('/').count() - 1;
        for start in [&path, &sidecar_path] {
            // Categories exist while something is in them; `remove_dir` stops at the first that is not empty.
            for folder in start.ancestors().skip(1).take(depth) {
                if fs::remove_dir(folder).is_err() {
                    break;
                }
            }
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<()> {
        let folder = self.private_folder()?;
        write_beside(&folder, b"ready?").map(drop).map_err(|error| unusable("write to", error))
    }

    /// Where the bytes of a template are: a regular file inside the root.
    pub(super) fn locate(&self, name: &TemplateName) -> Result<PathBuf> {
        let path = fs::canonicalize(self.root.join(name.as_str())).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => not_found(name),
            _ => unreadable(name, error),
        })?;
        if !self.holds(&path) {
            return Err(leads_out(&format!("template `{name}`")));
        }
        match fs::metadata(&path) {
            Ok(found) if found.is_file() => Ok(path),
            Ok(_) => Err(not_found(name)),
            Err(error) => Err(unreadable(name, error)),
        }
    }

    /// Whether a path without links in it is in the public part of this folder.
    pub(super) fn holds(&self, path: &Path) -> bool {
        path.strip_prefix(&self.root).is_ok_and(|inside| !inside.starts_with(PRIVATE_FOLDER))
    }

    /// The folder of a category, created when absent; never through a link that leads out.
    fn category_folder(&self, category: &Category) -> Result<PathBuf> {
        let failed = |error| unusable("write to", error);
        let mut folder = self.root.clone();
        for part in category.as_str().split('/') {
            folder.push(part);
            match fs::create_dir(&folder) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(error)),
                _ => folder = fs::canonicalize(&folder).map_err(failed)?,
            }
            if !self.holds(&folder) {
                return Err(leads_out(&format!("category `{category}`")));
            }
            if !folder.is_dir() {
                return Err(Error::conflict(format!(
                    "category `{category}` cannot be made: a file has that name; choose another category"
                )));
            }
        }
        Ok(folder)
    }

    /// The hidden folder, created when absent. The root is not: when it is gone, that is a fault to report.
    pub(super) fn private_folder(&self) -> Result<PathBuf> {
        let folder = self.root.join(PRIVATE_FOLDER);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(unusable("write to", error)),
            _ => Ok(folder),
        }
    }

    /// One writer at a time, among the threads and the processes that share the folder.
    fn lock(&self) -> Result<File> {
        let path = self.private_folder()?.join("lock");
        let lock = || {
            let file = File::options().create(true).truncate(false).write(true).open(path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|error| unusable("write to", error))
    }

    /// A sidecar that is absent or cannot be read is none: the template itself still can.
    fn sidecar(&self, name: &TemplateName) -> Option<Sidecar> {
        Sidecar::from_json(&fs::read(sidecar_path(&self.root, name)).ok()?)
    }
}

fn sidecar_path(root: &Path, name: &TemplateName) -> PathBuf {
    root.join(PRIVATE_FOLDER).join("metadata").join(format!("{name}.json"))
}

/// A hidden file in `folder` with `bytes` safely on the disk; it disappears unless it is persisted.
pub(super) fn write_beside(folder: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".bindery-");
    // A temporary file is private by default, a template is for everybody that the umask lets read.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Makes a rename in `folder` survive a power cut.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The first half of the SHA-256 of the bytes, in hexadecimal.
pub(super) fn etag(bytes: &[u8]) -> String {
    shorten(Sha256::digest(bytes))
}

fn etag_of(path: &Path) -> io::Result<String> {
    let mut digest = Sha256::new();
    io::copy(&mut File::open(path)?, &mut digest)?;
    Ok(shorten(digest.finalize()))
}

fn shorten(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn modified(found: &fs::Metadata) -> Timestamp {
    found.modified().ok().and_then(|time| Timestamp::try_from(time).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn leads_out(what: &str) -> Error {
    Error::bad_input(format!("{what} is a link that leads out of the template store, which is not followed"))
}

fn unreadable(name: &TemplateName, error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => not_found(name),
        _ => unusable("read from", error),
    }
}

/// An error of the disk as its owner can act on it. Paths stay in the source.
pub(super) fn unusable(action: &str, error: io::Error) -> Error {
    let reason = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "its disk is full; free some space and try again"
        }
        ErrorKind::PermissionDenied => "permission is denied; give the user of this service access to it",
        ErrorKind::ReadOnlyFilesystem => "its file system is read-only; mount it writable",
        ErrorKind::NotFound => "the folder is gone; create it again or correct --template-store",
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
            "a file is where a folder should be; move it away"
        }
        ErrorKind::FileTooLarge => "the file is larger than its file system allows",
        _ => "the file system reports an error, which is in the log",
    };
    Error::unavailable(format!("cannot {action} the folder of the template store: {reason}"))
        .with_source(error)
}
