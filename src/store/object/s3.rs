//! Objects of Amazon S3, MinIO and others of that protocol.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use minio::s3::MinioClient;
use minio::s3::builders::{PutObject, UploadPart};
use minio::s3::multimap_ext::{Multimap, MultimapExt as _};
use minio::s3::response_traits::HasS3Fields as _;
use minio::s3::segmented_bytes::SegmentedBytes;
use minio::s3::types::{BucketName, ObjectKey, S3Api as _};

use reqwest::header::{CONTENT_LENGTH, ETAG, HeaderMap};

use super::{
    ANSWER_LIMIT, CONTENT_TYPE, Case, Condition, Environment, Fault, MAX_OBJECT_BYTES, ObjectHead, limited,
    root_cause, transfer_limit,
};
use crate::error::{Error, ErrorKind, Result};
use crate::store::s3::{Fault as S3Fault, S3Config};

#[derive(Clone)]
pub(super) struct S3Object {
    client: MinioClient,
    bucket: BucketName,
    key: ObjectKey,
}

/// Written by hand, because the client's own shows its credentials.
impl fmt::Debug for S3Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "S3Object({}/{})", self.bucket.as_str(), self.key.as_str())
    }
}

impl S3Object {
    pub(super) fn open(
        bucket: &str,
        key: &str,
        endpoint: Option<&str>,
        environment: &Environment,
    ) -> Result<Self> {
        let endpoint = endpoint.or_else(|| environment.get("BOTO3_ENDPOINT_URL").map(String::as_str));
        let config = S3Config::of_a_user(bucket, endpoint, |name| environment.get(name).cloned())?;
        Self::with(&config, key)
    }

    /// An object in the bucket that `config` names.
    pub(super) fn with(config: &S3Config, key: &str) -> Result<Self> {
        let bucket = &config.bucket;
        let wrong = |error| Error::bad_input(format!("`s3://{bucket}/{key}` cannot be used: {error}"));
        Ok(Self {
            client: config.client()?,
            // Buckets of other servers, and Amazon's old ones, may have names that are no longer given.
            bucket: BucketName::new(bucket).map_err(wrong)?,
            key: ObjectKey::new(key).map_err(wrong)?,
        })
    }

    /// Another object of the same bucket.
    pub(super) fn at(&self, key: &str) -> Result<Self> {
        let key = ObjectKey::new(key)
            .map_err(|error| Error::bad_input("the path cannot be an object's name").with_source(error))?;
        Ok(Self { key, ..self.clone() })
    }

    pub(super) async fn read(&self) -> Result<Bytes, Fault> {
        self.read_up_to(MAX_OBJECT_BYTES).await.map(|(bytes, _)| bytes)
    }

    /// The bytes when they are no more than `limit`, and the tag.
    pub(super) async fn read_up_to(&self, limit: u64) -> Result<(Bytes, Option<String>), Fault> {
        let answer = limited(ANSWER_LIMIT, async {
            let request = self.client.get_object(&self.bucket, &self.key).map_err(S3Fault::from);
            let answer = async { Ok(request?.build().send().await?) };
            answer.await.map_err(|fault: S3Fault| self.fault(fault))
        })
        .await?;
        let tag = tag(answer.headers());
        let size = answer.object_size().map_err(|error| self.fault(error.into()))?;
        if size > limit {
            return Err(Fault::too_large(limit));
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let bytes = limited(transfer_limit(size), async {
            answer.into_bytes().await.map_err(|error| self.fault(error.into()))
        });
        Ok((bytes.await?, tag))
    }

    pub(super) async fn head(&self) -> Result<ObjectHead, Fault> {
        limited(ANSWER_LIMIT, async {
            let request = self.client.stat_object(&self.bucket, &self.key).map_err(S3Fault::from);
            let answer = async { Ok(request?.build().send().await?) };
            let answer = answer.await.map_err(|fault: S3Fault| self.fault(fault))?;
            let size = answer.headers().get(CONTENT_LENGTH).and_then(|size| size.to_str().ok()?.parse().ok());
            Ok(ObjectHead { size: size.unwrap_or(0), tag: tag(answer.headers()) })
        })
        .await
    }

    /// Writes under a condition; the new tag, where the server gives one.
    pub(super) async fn write_if(
        &self,
        bytes: Bytes,
        condition: &Condition,
    ) -> Result<Option<String>, Fault> {
        let mut headers = Multimap::new();
        match condition {
            Condition::Always => {}
            Condition::Absent => headers.add("If-None-Match", "*"),
            Condition::Unchanged(tag) => headers.add("If-Match", tag.clone()),
        }
        self.put(bytes, headers).await.map_err(|fault| match fault {
            S3Fault::Exists => Fault::condition(Case::Condition),
            S3Fault::NotImplemented => Fault::condition(Case::NoSuchCondition),
            fault => self.fault(fault),
        })
    }

    pub(super) async fn remove(&self) -> Result<(), Fault> {
        limited(ANSWER_LIMIT, async {
            let request = self.client.delete_object(&self.bucket, self.key.as_str()).map_err(S3Fault::from);
            let answer = async { Ok(request?.build().send().await.map(drop)?) };
            answer.await.map_err(|fault: S3Fault| self.fault(fault))
        })
        .await
    }

    pub(super) async fn write(&self, bytes: Bytes) -> Result<(), Fault> {
        let mut headers = Multimap::new();
        // As papermill asks for: the notebook belongs to whom the bucket belongs to.
        headers.add("x-amz-acl", "bucket-owner-full-control");
        match self.put(bytes.clone(), headers).await {
            // A server that knows no access lists.
            Err(S3Fault::NotImplemented) => self.put(bytes, Multimap::new()).await,
            result => result,
        }
        .map(drop)
        .map_err(|fault| self.fault(fault))
    }

    async fn put(&self, bytes: Bytes, headers: Multimap) -> Result<Option<String>, S3Fault> {
        let limit = transfer_limit(bytes.len());
        let whole = UploadPart::builder()
            .client(self.client.clone())
            .bucket(self.bucket.clone())
            .object(self.key.clone())
            .extra_headers(headers)
            .content_type(CONTENT_TYPE.to_owned())
            .data(Arc::new(SegmentedBytes::from(bytes)))
            .build();
        let sent = async {
            let answer = PutObject::builder().inner(whole).build().send().await?;
            Ok(tag(answer.headers()))
        };
        tokio::time::timeout(limit, sent).await.unwrap_or(Err(S3Fault::Silent(limit)))
    }

    fn fault(&self, fault: S3Fault) -> Fault {
        use ErrorKind::{Forbidden, NotFound, Unavailable};
        let said = |text: &str, cause: &(dyn std::error::Error + 'static)| {
            let cause = root_cause(cause);
            // The client's own words for an answer whose code has been read already.
            if cause.starts_with("S3 operation failed") {
                text.to_owned()
            } else {
                format!("{text} ({cause})")
            }
        };
        match fault {
            S3Fault::NoBucket => {
                Fault::new(NotFound, format!("there is no bucket `{}`", self.bucket.as_str()))
            }
            S3Fault::NoObject => Fault::no_object(),
            S3Fault::Refused(cause) => Fault::new(
                Forbidden,
                said("the server refuses the credentials, or they have no right to it", &*cause),
            ),
            S3Fault::WrongRegion(_) => {
                Fault::new(ErrorKind::BadInput, "the bucket is in another region: set AWS_REGION to it")
            }
            S3Fault::Unreachable(cause) => {
                Fault::new(Unavailable, said("the S3 server cannot be reached", &*cause))
            }
            S3Fault::Silent(limit) => Fault::silence(limit),
            S3Fault::Garbled(_) => Fault::new(Unavailable, "the endpoint does not answer as an S3 server"),
            S3Fault::Unusable(reason, cause) => {
                let fault = Fault::new(Unavailable, said(reason, &*cause));
                Fault { cause: Some(cause), ..fault }
            }
            S3Fault::Exists | S3Fault::NotImplemented => Fault::condition(Case::Other),
        }
    }
}

/// The tag as the server writes it, with its quotes.
fn tag(headers: &HeaderMap) -> Option<String> {
    headers.get(ETAG)?.to_str().ok().map(str::to_owned)
}
