//! Templates in a folder, so that Bindery needs nothing else installed.
//!
//! Each template is the file `category/name.ipynb` below the root, where people may also put and remove
//! files by hand. What belongs to a template but not in its bytes is kept in the hidden folder `.bindery`
//! of the same root (see [`sidecar`]): the folder is whole in itself and can be copied or backed up.
//! Links are followed inside the root only.

mod disk;
mod sidecar;
mod signature;
mod walk;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use self::disk::Folder;
use super::{
    DownloadUrl, ListPage, ListQuery, StoredTemplate, TemplateMetadata, TemplateName, TemplateStore,
};
use crate::error::{Error, Result};

/// The hidden folder below the root with everything that is not a template.
const PRIVATE_FOLDER: &str = ".bindery";

/// A template store in a folder of this machine, or of a disk that several machines share.
#[derive(Debug, Clone)]
pub struct FolderStore {
    folder: Arc<Folder>,
}

impl FolderStore {
    /// Opens the store in `root`, which is created when absent. Nothing else is written until something
    /// is stored, so a folder that can only be read can still serve its templates.
    ///
    /// # Errors
    /// `Unavailable` when `root` is no folder and cannot become one.
    pub async fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        let folder = on_a_thread_that_may_block(move || Folder::open(&root)).await?;
        Ok(Self { folder: Arc::new(folder) })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let folder = Arc::clone(&self.folder);
        on_a_thread_that_may_block(move || work(&folder)).await
    }
}

async fn on_a_thread_that_may_block<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            Err(Error::internal("the template store stopped in the middle of its work").with_source(error))
        }
    }
}

#[async_trait]
impl TemplateStore for FolderStore {
    async fn put(
        &self,
        name: &TemplateName,
        bytes: Bytes,
        metadata: &TemplateMetadata,
        overwrite: bool,
    ) -> Result<StoredTemplate> {
        let (name, metadata) = (name.clone(), metadata.clone());
        self.run(move |folder| folder.put(name, &bytes, &metadata, overwrite)).await
    }

    async fn get(&self, name: &TemplateName) -> Result<(StoredTemplate, Bytes)> {
        let name = name.clone();
        self.run(move |folder| folder.get(name)).await
    }

    async fn head(&self, name: &TemplateName) -> Result<StoredTemplate> {
        let name = name.clone();
        self.run(move |folder| folder.head(name)).await
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage> {
        let page = query.page()?;
        self.run(move |folder| folder.list(&page)).await
    }

    async fn delete(&self, name: &TemplateName) -> Result<()> {
        let name = name.clone();
        self.run(move |folder| folder.delete(&name)).await
    }

    async fn download_url(&self, name: &TemplateName, expires: Duration) -> Result<DownloadUrl> {
        let expires_at = super::expiry(expires)?;
        let name = name.clone();
        self.run(move |folder| {
            folder.locate(&name)?;
            let signature = folder.signing_key()?.sign(&name, expires_at.as_second());
            let query = format!("expires={}&signature={signature}", expires_at.as_second());
            Ok(DownloadUrl::SignedQuery { query, expires_at })
        })
        .await
    }

    async fn verify_download(&self, name: &TemplateName, expires_at: i64, signature: &str) -> Result<()> {
        let (name, signature) = (name.clone(), signature.to_owned());
        self.run(move |folder| folder.signing_key()?.verify(&name, expires_at, &signature)).await
    }

    async fn check(&self) -> Result<()> {
        self.run(Folder::check).await
    }
}
