//! Where user notebooks are.

use std::path::{Path, PathBuf};

use super::{absolute, mask_url};
use crate::error::{Error, Result};

/// The only tree in which the service reads and writes user notebooks.
#[derive(Clone, PartialEq, Eq)]
pub enum NotebooksRootConfig {
    /// A folder; absolute.
    Folder(PathBuf),
    /// A bucket, or a prefix in one: `s3://`, `gs://`, `abs://` or `abfss://`. It may hold a signature.
    Store(String),
}

impl NotebooksRootConfig {
    /// Reads what a setting says: a folder, or the URL of a place in an object store.
    pub(super) fn parse(given: &Path) -> Result<Self> {
        let Some((scheme, _)) = given.to_str().and_then(|text| text.split_once("://")) else {
            return absolute(given).map(Self::Folder);
        };
        let url = given.to_string_lossy().into_owned();
        match scheme.to_ascii_lowercase().as_str() {
            "s3" | "gs" | "abs" | "abfs" | "abfss" => Ok(Self::Store(url)),
            _ => Err(Error::bad_input(format!(
                "`notebooks-root` must be a folder or a place in an object store, such as s3://BUCKET/PREFIX, not {}",
                mask_url(&url)
            ))),
        }
    }

    /// The folder; `None` when notebooks are in an object store.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Store(_) => None,
        }
    }

    /// Where the notebook `relative` is, for people: a path, or a URL without secrets.
    pub fn place_of(&self, relative: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(relative).display().to_string(),
            Self::Store(url) => {
                let shown = mask_url(url.split('?').next().unwrap_or_default());
                format!("{}/{relative}", shown.trim_end_matches('/'))
            }
        }
    }

    /// The same as a setting says it, with secrets masked.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Folder(folder) => folder.to_string_lossy().into_owned(),
            Self::Store(url) => mask_url(url),
        }
    }
}

/// Written by hand, because a URL may hold a signature.
impl std::fmt::Debug for NotebooksRootConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "NotebooksRootConfig({})", self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_a_folder_or_a_place_in_an_object_store() {
        let parse = |text: &str| NotebooksRootConfig::parse(Path::new(text));
        let root = parse("/srv/notebooks").unwrap();
        assert_eq!(root.folder(), Some(Path::new("/srv/notebooks")));
        assert_eq!(root.place_of("a/b.ipynb"), "/srv/notebooks/a/b.ipynb");
        assert_eq!(parse("S3://b/p/").unwrap().place_of("a.ipynb"), "S3://b/p/a.ipynb");
        let signed = parse("abs://a.blob.core.windows.net/c/p?sv=1&sig=hush").unwrap();
        assert_eq!(signed.place_of("a.ipynb"), "abs://a.blob.core.windows.net/c/p/a.ipynb");
        assert!(signed.shown().ends_with("sig=***") && !format!("{signed:?}").contains("hush"));
        for text in ["https://u:hush@h/x", "file:///srv", "hdfs://h/x"] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains("s3://BUCKET/PREFIX") && !message.contains("hush"), "{message}");
        }
    }
}
