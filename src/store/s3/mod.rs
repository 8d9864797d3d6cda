//! Templates in a bucket of MinIO, Amazon S3 or another server of that protocol.
//!
//! The key of an object is the template's name. Its description is the metadata `description`,
//! percent-encoded, since headers carry ASCII. Every call has a time limit of its own, because the client
//! has none, and a server that is not there is found out before a long upload is begun.

mod answer;
mod config;
mod fault;
mod listing;
mod profile;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use minio::s3::MinioClient;
use minio::s3::builders::{PutObject, UploadPart};
use minio::s3::client::Method;
use minio::s3::multimap_ext::{Multimap, MultimapExt as _};
use minio::s3::response_traits::HasS3Fields as _;
use minio::s3::segmented_bytes::SegmentedBytes;
use minio::s3::types::{BucketName, ObjectKey, S3Api as _};

pub use self::config::S3Config;
pub(in crate::store) use self::fault::Fault;
use super::{
    DownloadUrl, ListPage, ListQuery, MAX_TEMPLATE_BYTES, StoredTemplate, TemplateMetadata, TemplateName,
    TemplateStore, not_found, taken, too_large,
};
use crate::error::{Error, ErrorKind, Result};

/// How long a server that has not been heard of lately may take to say that it is there.
const REACH_LIMIT: Duration = Duration::from_secs(3);
/// How long it may take over a request without a body.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
/// The slowest line that we put up with, in bytes per second.
const SLOWEST_LINE: u64 = 256 * 1024;
/// For so long after an answer a server is taken to be there.
const HEARD_LATELY: Duration = Duration::from_secs(10);

/// What Jupyter serves notebooks as; browsers save it rather than show it.
const CONTENT_TYPE: &str = "application/x-ipynb+json";

/// A template store in a bucket.
pub struct S3Store {
    client: MinioClient,
    /// Signs download URLs, for the endpoint that browsers see.
    presigner: MinioClient,
    bucket: BucketName,
    last_heard: Mutex<Option<Instant>>,
    creating: tokio::sync::Mutex<()>,
}

/// Written by hand, because the client's own shows its credentials.
impl fmt::Debug for S3Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("S3Store").field("bucket", &self.bucket.as_str()).finish_non_exhaustive()
    }
}

impl S3Store {
    /// A store in the bucket that `config` names. Nothing is sent yet: the bucket is looked for, and
    /// created when absent, at the first use or by [`TemplateStore::check`].
    ///
    /// # Errors
    /// `BadInput` for a bucket name, endpoint, region or certificate file that cannot be.
    pub fn new(config: &S3Config) -> Result<Self> {
        let bucket = config.bucket_name()?;
        let client = config.client()?;
        let presigner = match &config.public_endpoint {
            Some(endpoint) => config.client_at(endpoint)?,
            None => client.clone(),
        };
        Ok(Self {
            client,
            presigner,
            bucket,
            last_heard: Mutex::new(None),
            creating: tokio::sync::Mutex::new(()),
        })
    }

    /// Makes sure, at little cost, that the server is there and has the bucket.
    async fn ready(&self) -> Result<()> {
        let heard = *self.last_heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.is_some_and(|heard| heard.elapsed() < HEARD_LATELY) {
            return Ok(());
        }
        self.reach().await
    }

    async fn reach(&self) -> Result<()> {
        if !self.has_bucket().await? {
            self.create_bucket().await?;
        }
        self.remember(Some(Instant::now()));
        Ok(())
    }

    async fn create_bucket(&self) -> Result<()> {
        let _one_at_a_time = self.creating.lock().await;
        if self.has_bucket().await? {
            return Ok(());
        }
        let created = limited(ANSWER_LIMIT, async {
            Ok(self.client.create_bucket(&self.bucket)?.build().send().await?)
        });
        match created.await {
            Ok(_) => {
                tracing::info!(bucket = self.bucket.as_str(), "created the bucket of the template store")
            }
            // Another process was faster, or it is a stranger's and we may not even look at it.
            Err(Fault::Exists) if self.has_bucket().await? => {}
            Err(fault) => return Err(self.report(fault)),
        }
        Ok(())
    }

    async fn has_bucket(&self) -> Result<bool> {
        let exists = limited(REACH_LIMIT, async {
            Ok(self.client.bucket_exists(&self.bucket)?.build().send().await?.exists())
        });
        match exists.await {
            Err(Fault::NoBucket | Fault::NoObject) => Ok(false),
            result => result.map_err(|fault| self.report(fault)),
        }
    }

    fn remember(&self, heard: Option<Instant>) {
        *self.last_heard.lock().unwrap_or_else(PoisonError::into_inner) = heard;
    }

    /// A fault as an error; after it the server has to be looked for again.
    fn report(&self, fault: Fault) -> Error {
        self.remember(None);
        fault.into_error()
    }

    async fn head_object(&self, name: TemplateName) -> Result<StoredTemplate> {
        let answer = limited(ANSWER_LIMIT, async {
            Ok(self.client.stat_object(&self.bucket, name.as_str())?.build().send().await?)
        });
        match answer.await {
            Ok(answer) => {
                self.remember(Some(Instant::now()));
                answer::template(name, answer::size(answer.headers()), answer.headers())
            }
            Err(Fault::NoObject) => Err(not_found(&name)),
            Err(fault) => Err(self.report(fault)),
        }
    }

    async fn put_object(
        &self,
        name: &TemplateName,
        bytes: Bytes,
        metadata: &TemplateMetadata,
        if_absent: bool,
    ) -> Result<(), Fault> {
        let mut headers = Multimap::new();
        if if_absent {
            headers.add("If-None-Match", "*");
        }
        limited(transfer_limit(bytes.len() as u64), async {
            // One request, whatever the size: only so is the condition the server's to check.
            let whole = UploadPart::builder()
                .client(self.client.clone())
                .bucket(self.bucket.clone())
                .object(ObjectKey::new(name.as_str())?)
                .extra_headers(headers)
                .user_metadata(answer::user_metadata(metadata))
                .content_type(CONTENT_TYPE.to_owned())
                .data(Arc::new(SegmentedBytes::from(bytes)))
                .build();
            PutObject::builder().inner(whole).build().send().await?;
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl TemplateStore for S3Store {
    async fn put(
        &self,
        name: &TemplateName,
        bytes: Bytes,
        metadata: &TemplateMetadata,
        overwrite: bool,
    ) -> Result<StoredTemplate> {
        self.ready().await?;
        if !overwrite {
            // Not every server minds the condition of the upload (Garage ignores it silently), so the
            // name is looked up first. On those two uploads at the same moment can both succeed.
            match self.head_object(name.clone()).await {
                Ok(_) => return Err(taken(name)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let mut stored = self.put_object(name, bytes.clone(), metadata, !overwrite).await;
        if !overwrite && matches!(stored, Err(Fault::NotImplemented)) {
            stored = self.put_object(name, bytes, metadata, false).await;
        }
        match stored {
            Ok(()) => self.head_object(name.clone()).await,
            Err(Fault::Exists) if !overwrite => Err(taken(name)),
            Err(fault) => Err(self.report(fault)),
        }
    }

    async fn get(&self, name: &TemplateName) -> Result<(StoredTemplate, Bytes)> {
        self.ready().await?;
        let answer = limited(ANSWER_LIMIT, async {
            Ok(self.client.get_object(&self.bucket, name.as_str())?.build().send().await?)
        });
        let answer = match answer.await {
            Err(Fault::NoObject) => return Err(not_found(name)),
            answer => answer.map_err(|fault| self.report(fault))?,
        };
        let headers = answer.headers().clone();
        let size = answer.object_size().map_err(|error| self.report(error.into()))?;
        if size > MAX_TEMPLATE_BYTES {
            return Err(too_large(name, size));
        }
        let bytes = limited(transfer_limit(size), async { Ok(answer.into_bytes().await?) })
            .await
            .map_err(|fault| self.report(fault))?;
        self.remember(Some(Instant::now()));
        Ok((answer::template(name.clone(), bytes.len() as u64, &headers)?, bytes))
    }

    async fn head(&self, name: &TemplateName) -> Result<StoredTemplate> {
        self.ready().await?;
        self.head_object(name.clone()).await
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage> {
        let page = query.page()?;
        self.ready().await?;
        self.list_page(&page).await
    }

    async fn delete(&self, name: &TemplateName) -> Result<()> {
        // The protocol answers the same whether or not there was something to delete.
        self.head(name).await?;
        limited(ANSWER_LIMIT, async {
            self.client.delete_object(&self.bucket, name.as_str())?.build().send().await?;
            Ok(())
        })
        .await
        .map_err(|fault| self.report(fault))
    }

    async fn download_url(&self, name: &TemplateName, expires: Duration) -> Result<DownloadUrl> {
        let expires_at = super::expiry(expires)?;
        self.head(name).await?;
        // Signing needs no connection: the region is known.
        let seconds = u32::try_from(expires.as_secs()).unwrap_or(u32::MAX);
        let signed = limited(ANSWER_LIMIT, async {
            let request =
                self.presigner.get_presigned_object_url(&self.bucket, name.as_str(), Method::GET)?;
            Ok(request.expiry_seconds(seconds).build().send().await?)
        });
        let signed = signed.await.map_err(|fault| self.report(fault))?;
        Ok(DownloadUrl::Presigned { url: signed.url, expires_at })
    }

    async fn verify_download(&self, _: &TemplateName, _: i64, _: &str) -> Result<()> {
        Err(Error::forbidden(
            "templates are downloaded from the object store itself; ask for a new download URL",
        ))
    }

    async fn check(&self) -> Result<()> {
        self.reach().await
    }
}

/// Gives a call its time.
async fn limited<T>(limit: Duration, call: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(Fault::Silent(limit)))
}

fn transfer_limit(bytes: u64) -> Duration {
    ANSWER_LIMIT + Duration::from_secs(bytes / SLOWEST_LINE)
}
