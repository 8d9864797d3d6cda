//! The template store: notebooks under `category/name.ipynb`, in a folder or in an S3 bucket.
//!
//! A store moves bytes. It neither reads nor checks notebooks (that is done before it is called), knows
//! no user, and keeps nothing of a template but its bytes and its [`TemplateMetadata`]. Both stores pass
//! one contract suite, `tests/integration/store/contract.rs`.

mod folder;
mod metadata;
mod name;
mod object;
mod paging;
mod s3;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

pub use folder::FolderStore;
pub use metadata::{MAX_ENCODED_DESCRIPTION, TemplateMetadata};
pub use name::{Category, MAX_CATEGORY_DEPTH, MAX_NAME_BYTES, TemplateName};
pub use object::{
    Attempts, Condition, Environment, MAX_OBJECT_BYTES, ObjectFolder, ObjectHead, ObjectUrl, RemoteObject,
};
pub use paging::{DEFAULT_PAGE, ListPage, ListQuery, MAX_PAGE};
pub use s3::{S3Config, S3Store};

use crate::error::{Error, Result};

/// The largest template that [`TemplateStore::get`] reads into memory. Uploads have their own, smaller,
/// configured limit; this one guards against what was put into the store behind Bindery's back.
pub const MAX_TEMPLATE_BYTES: u64 = 256 * 1024 * 1024;
/// The longest life of a download URL: what S3 signatures allow.
pub const MAX_DOWNLOAD_EXPIRY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A template as a store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTemplate {
    /// `category/name.ipynb`; [`TemplateName::category`] is its category.
    pub name: TemplateName,
    /// In bytes.
    pub size: u64,
    /// When the bytes were last written.
    pub last_modified: Timestamp,
    /// Changes when the bytes change, without quotes. Its form is the store's own.
    pub etag: String,
    /// Empty when none was given.
    pub description: String,
}

/// How a template can be downloaded for a while without other credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownloadUrl {
    /// The store itself serves it.
    Presigned {
        /// The whole URL.
        url: String,
        /// It is refused from then on.
        expires_at: Timestamp,
    },
    /// Bindery serves it, after [`TemplateStore::verify_download`].
    SignedQuery {
        /// `expires=<unix seconds>&signature=<url-safe text>`, to be put behind a `?`.
        query: String,
        /// It is refused from then on.
        expires_at: Timestamp,
    },
}

/// A place that keeps templates.
///
/// Every method may fail with `Unavailable` when the place cannot be used now; the text says what to check.
#[async_trait]
pub trait TemplateStore: Send + Sync {
    /// Stores a template whole or not at all.
    ///
    /// # Errors
    /// `Conflict` when the name is taken and `overwrite` is false. Of several callers at once, exactly one
    /// wins on the folder and on servers that honour `If-None-Match`.
    async fn put(
        &self,
        name: &TemplateName,
        bytes: Bytes,
        metadata: &TemplateMetadata,
        overwrite: bool,
    ) -> Result<StoredTemplate>;

    /// A template and its bytes.
    ///
    /// # Errors
    /// `NotFound`; `TooLarge` above [`MAX_TEMPLATE_BYTES`].
    async fn get(&self, name: &TemplateName) -> Result<(StoredTemplate, Bytes)>;

    /// A template without its bytes.
    ///
    /// # Errors
    /// `NotFound`.
    async fn head(&self, name: &TemplateName) -> Result<StoredTemplate>;

    /// One page of templates, ordered by the bytes of their names.
    ///
    /// # Errors
    /// `BadInput` for a limit or a cursor that cannot be.
    async fn list(&self, query: &ListQuery) -> Result<ListPage>;

    /// Removes a template.
    ///
    /// # Errors
    /// `NotFound`.
    async fn delete(&self, name: &TemplateName) -> Result<()>;

    /// A way to download a template until `expires` from now, from 1 s to [`MAX_DOWNLOAD_EXPIRY`].
    ///
    /// # Errors
    /// `NotFound`; `BadInput` for another duration.
    async fn download_url(&self, name: &TemplateName, expires: Duration) -> Result<DownloadUrl>;

    /// Whether `expires_at` (Unix seconds) and `signature` are those of a [`DownloadUrl::SignedQuery`] of
    /// this store which is still good.
    ///
    /// # Errors
    /// `Forbidden` when not, or when this store gives out none.
    async fn verify_download(&self, name: &TemplateName, expires_at: i64, signature: &str) -> Result<()>;

    /// Whether the store can be read and written now.
    async fn check(&self) -> Result<()>;
}

fn not_found(name: &TemplateName) -> Error {
    Error::not_found(format!("there is no template `{name}`; list the templates to see which there are"))
}

fn taken(name: &TemplateName) -> Error {
    Error::conflict(format!("template `{name}` exists already; choose another name or ask to overwrite it"))
}

fn too_large(name: &TemplateName, size: u64) -> Error {
    Error::too_large(format!(
        "template `{name}` has {size} bytes; at most {MAX_TEMPLATE_BYTES} can be read, replace it by a smaller one"
    ))
}

/// Checks the life of a download URL and says when it ends: at a whole second, as signatures count.
fn expiry(expires: Duration) -> Result<Timestamp> {
    if expires < Duration::from_secs(1) || expires > MAX_DOWNLOAD_EXPIRY {
        return Err(Error::bad_input(format!(
            "a download URL cannot live for {} s; ask for 1 to {} s",
            expires.as_secs(),
            MAX_DOWNLOAD_EXPIRY.as_secs()
        )));
    }
    let end = Timestamp::now().as_second() + i64::try_from(expires.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(end)
        .map_err(|error| Error::internal("the clock is out of range").with_source(error))
}
