//! The tree in which the service reads and writes user notebooks: a folder, or a place in an object store.
//!
//! Clients know notebooks by paths relative to the root; these are the same whatever the root is. An object store has no
//! folders and no links: a folder is there when something is in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::object_output::ObjectOutput;
use super::output_file::OutputFile;
use super::paths::{FolderRoot, check_name, check_notebook, check_text, parts, refusal};
use super::run_output::RunOutput;
use super::{blocking, files, in_place};
use crate::config::NotebooksRootConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::execution::ExecutionId;
use crate::notebook::Notebook;
use crate::store::{Attempts, Condition, Environment, ObjectFolder};

/// The notebooks root.
#[derive(Debug, Clone)]
pub(super) enum NotebooksRoot {
    Folder(FolderRoot),
    Store(Arc<ObjectFolder>),
}

/// A place inside the notebooks root.
#[derive(Debug, Clone)]
pub(super) struct RootedPath {
    /// Relative to the root, with `/` between the parts: what clients see and what is recorded.
    pub(super) relative: String,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    /// With every symlink on the way resolved.
    File(PathBuf),
    Object(Arc<ObjectFolder>),
}

/// A notebook to be read: what has to be waited for has been fetched, what blocks has not been done.
#[derive(Debug)]
pub(super) struct Source {
    path: RootedPath,
    limit: u64,
    fetched: Option<Bytes>,
    /// The tag of what was fetched.
    tag: Option<String>,
}

impl NotebooksRoot {
    /// Takes the root; a folder is made when absent. To an object store nothing is sent yet.
    ///
    /// # Errors
    /// `Unavailable` for a folder that cannot be made; as [`ObjectFolder::open`] for a store.
    pub(super) fn open(
        root: &NotebooksRootConfig,
        s3_endpoint: Option<&str>,
        environment: &Environment,
    ) -> Result<Self> {
        match root {
            NotebooksRootConfig::Folder(folder) => FolderRoot::open(folder).map(Self::Folder),
            NotebooksRootConfig::Store(url) => {
                ObjectFolder::open(url, s3_endpoint, environment).map(|folder| Self::Store(Arc::new(folder)))
            }
        }
    }

    /// Resolves the path of a notebook: it must end in `.ipynb`.
    ///
    /// # Errors
    /// `BadInput` when it leads out of the root, has no place in a path, or names no notebook.
    pub(super) fn notebook(&self, field: &str, path: &str) -> Result<RootedPath> {
        check_notebook(field, path)?;
        let resolved = self.resolve(field, path)?;
        check_name(field, path, &resolved.relative)?;
        Ok(resolved)
    }

    /// Resolves a path: relative to the root; absolute and inside it where it is a folder, or one that begins with its
    /// URL where it is a store. What it names need not exist.
    ///
    /// # Errors
    /// As [`NotebooksRoot::notebook`].
    pub(super) fn resolve(&self, field: &str, path: &str) -> Result<RootedPath> {
        match self {
            Self::Folder(root) => {
                let resolved = root.resolve(field, path)?;
                Ok(RootedPath { relative: resolved.relative, place: Place::File(resolved.absolute) })
            }
            Self::Store(folder) => {
                let relative = resolve_in_store(folder.shown(), field, path)?;
                Ok(RootedPath { relative, place: Place::Object(folder.clone()) })
            }
        }
    }

    /// Whether it can be read and written now.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(super) async fn check(&self) -> Result<()> {
        match self {
            Self::Folder(root) => {
                let root = root.clone();
                blocking(move || {
                    tempfile::tempfile_in(root.path()).map(drop).map_err(|error| {
                        Error::unavailable("the notebooks root cannot be written").with_source(error)
                    })
                })
                .await
            }
            Self::Store(folder) => folder.check().await,
        }
    }

    /// Whether it is a folder, in which kernels can work.
    pub(super) fn is_folder(&self) -> bool {
        matches!(self, Self::Folder(_))
    }

    /// The folder, in tests that have one.
    #[cfg(test)]
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Folder(root) => root.path(),
            Self::Store(_) => panic!("the root is no folder"),
        }
    }
}

fn resolve_in_store(root: &str, field: &str, path: &str) -> Result<String> {
    let inside = path.strip_prefix(root).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path);
    check_text(field, inside)?;
    if inside.starts_with('/') {
        return Err(refusal(field, path, "is absolute, and paths are relative to the notebooks root"));
    }
    let parts = parts(field, path, Path::new(inside))?;
    let parts: Vec<_> = parts.iter().filter_map(|part| part.to_str()).collect();
    Ok(parts.join("/"))
}

impl RootedPath {
    /// The folder that the notebook is in; `None` in a store.
    pub(super) fn folder(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => path.parent(),
            Place::Object(_) => None,
        }
    }

    /// Fetches what has to be waited for; [`Source::read`] gives the bytes.
    ///
    /// # Errors
    /// `NotFound`, `TooLarge` above `limit` bytes, `Unavailable`: of a store; a file is not looked at yet.
    pub(super) async fn source(self, limit: u64) -> Result<Source> {
        let (fetched, tag) = match &self.place {
            Place::File(_) => (None, None),
            Place::Object(folder) => {
                let (bytes, tag) =
                    folder.read(&self.relative, limit).await.map_err(|error| match error.kind() {
                        ErrorKind::NotFound => {
                            Error::not_found(format!("there is no notebook `{}`", self.relative))
                        }
                        ErrorKind::TooLarge => Error::too_large(format!(
                            "`{}` is larger than the limit of {limit} bytes",
                            self.relative
                        )),
                        _ => error,
                    })?;
                (Some(bytes), tag)
            }
        };
        Ok(Source { path: self, limit, fetched, tag })
    }

    /// Writes a notebook; with `create_new`, refuses to replace one.
    ///
    /// # Errors
    /// `Conflict` when `create_new` and it exists, `Unavailable`.
    pub(super) async fn write(&self, notebook: Notebook, create_new: bool) -> Result<()> {
        match &self.place {
            Place::File(path) => {
                let (path, relative) = (path.clone(), self.relative.clone());
                blocking(move || files::write(&path, &relative, &notebook, create_new).map(drop)).await
            }
            Place::Object(folder) => {
                let taken = || {
                    let name = &self.relative;
                    Error::conflict(format!(
                        "`{name}` exists already: choose another name or set `overwrite`"
                    ))
                };
                // Not every server minds the condition of the write.
                if create_new && folder.head(&self.relative, Attempts::Few).await?.is_some() {
                    return Err(taken());
                }
                let condition = if create_new { Condition::Absent } else { Condition::Always };
                let bytes = in_place(|| notebook.to_bytes()).into();
                let written = folder.write(&self.relative, bytes, &condition, Attempts::Few).await;
                written
                    .map(drop)
                    .map_err(|error| if error.kind() == ErrorKind::Conflict { taken() } else { error })
            }
        }
    }

    /// Removes the notebook.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(super) async fn remove(&self) -> Result<()> {
        match &self.place {
            Place::File(path) => std::fs::remove_file(path)
                .map_err(|error| Error::unavailable("the file cannot be removed").with_source(error)),
            Place::Object(folder) => folder.remove(&self.relative).await,
        }
    }

    /// The notebook as the output of an execution.
    pub(super) fn output(self, id: ExecutionId) -> RunOutput {
        match self.place {
            Place::File(path) => RunOutput::File(OutputFile::new(path, self.relative, id.to_string())),
            Place::Object(folder) => {
                RunOutput::Object(ObjectOutput::new(folder, self.relative, id.to_string()))
            }
        }
    }
}

impl Source {
    /// The bytes. It may block.
    ///
    /// # Errors
    /// `NotFound`, `TooLarge`, `BadInput` when it is no file, `Unavailable`.
    pub(super) fn read(self) -> Result<Bytes> {
        match (self.fetched, &self.path.place) {
            (Some(bytes), _) => Ok(bytes),
            (None, Place::File(path)) => files::read(path, &self.path.relative, self.limit).map(Bytes::from),
            (None, Place::Object(_)) => Err(Error::internal("a notebook was not fetched")),
        }
    }

    /// The tag of what was fetched; `None` for a file.
    pub(super) fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_a_store_are_relative_or_begin_with_its_url() {
        let check = |path: &str, expected: &str| {
            assert_eq!(resolve_in_store("s3://b/p", "notebook_path", path).unwrap(), expected, "{path}");
        };
        check("a.ipynb", "a.ipynb");
        check("./ada//x y/ü.ipynb", "ada/x y/ü.ipynb");
        check("s3://b/p/ada/c.ipynb", "ada/c.ipynb");
        check("", "");
        for path in [
            "../x.ipynb",
            "a/../../x.ipynb",
            "/etc/x.ipynb",
            "s3://b/p//x.ipynb",
            "s3://b/p/../x.ipynb",
            "s3://b/px/x.ipynb",
            "s3://other/x.ipynb",
            "https://h/x.ipynb",
            "a\0.ipynb",
            "a\\..\\x.ipynb",
            "a\u{202e}bnypi.ipynb",
            &format!("{}.ipynb", "long".repeat(70)),
        ] {
            let error = resolve_in_store("s3://b/p", "notebook_path", path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadInput, "{path:?}");
            assert_eq!(error.fields()[0].field, "notebook_path", "{path:?}");
        }
    }
}
