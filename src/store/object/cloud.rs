//! Objects of Google Cloud Storage and of Azure, Data Lake Gen2 among it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use object_store::azure::{AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::gcp::{GcpCredential, GoogleCloudStorage, GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, ClientOptions, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
    RetryConfig, StaticCredentialProvider, UpdateVersion,
};

use super::url::AzureBlob;
use super::{
    ANSWER_LIMIT, CONTENT_TYPE, Case, Condition, Environment, Fault, MAX_OBJECT_BYTES, ObjectHead, limited,
    root_cause, transfer_limit,
};
use crate::error::{Error, ErrorKind, Result};

/// Where an object may be. `Debug` of the stores hides credentials.
#[derive(Debug)]
enum Cloud {
    Google(GoogleCloudStorage),
    Azure(MicrosoftAzure),
}

#[derive(Debug, Clone)]
pub(super) struct CloudObject {
    cloud: Arc<Cloud>,
    path: Path,
    /// The bucket or container, for messages.
    bucket: String,
    /// Whether requests are made without credentials.
    is_public: bool,
}

const GOOGLE_CREDENTIALS: &str = "set GOOGLE_APPLICATION_CREDENTIALS to a file with a service account's key, or run \
                                  `gcloud auth application-default login`";
const AZURE_CREDENTIALS: &str = "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or \
                                 AZURE_STORAGE_ACCOUNT_KEY, or put a shared access signature behind the URL";

impl CloudObject {
    /// Reads `GOOGLE_*` as object_store does (application default credentials, service accounts) and, as gcsfs does,
    /// `STORAGE_EMULATOR_HOST`.
    pub(super) fn google(bucket: &str, key: &str, environment: &Environment) -> Result<Self> {
        let mut options = client_options();
        let mut builder = GoogleCloudStorageBuilder::new().with_bucket_name(bucket).with_retry(retries());
        for (key, value) in settings::<GoogleConfigKey>(environment, "GOOGLE_") {
            if !matches!(key, GoogleConfigKey::Bucket) {
                builder = builder.with_config(key, value);
            }
        }
        if let Some(host) = environment.get("STORAGE_EMULATOR_HOST") {
            let has_scheme = host.starts_with("http://") || host.starts_with("https://");
            let host = if has_scheme { host.clone() } else { format!("http://{host}") };
            options = options.with_allow_http(true);
            builder = builder.with_base_url(host.trim_end_matches('/')).with_skip_signature(true);
        }
        let is_public =
            builder.get_config_value(&GoogleConfigKey::SkipSignature).is_some_and(|value| value == "true");
        if is_public {
            // A write would look for credentials all the same.
            let nobody = GcpCredential { bearer: String::new() };
            builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(nobody)));
        }
        let cloud = builder
            .with_client_options(options)
            .build()
            .map_err(|error| unusable("Google Cloud Storage", "GOOGLE_…", &error))?;
        Ok(Self {
            cloud: Arc::new(Cloud::Google(cloud)),
            path: path(key)?,
            bucket: bucket.to_owned(),
            is_public,
        })
    }

    /// Reads `AZURE_*` as object_store does; a signature behind the URL counts before all credentials among them.
    pub(super) fn azure(blob: &AzureBlob, environment: &Environment) -> Result<Self> {
        use AzureConfigKey as Key;
        let mut builder = MicrosoftAzureBuilder::new().with_retry(retries());
        if blob.suffix != "core.windows.net" {
            builder = builder.with_endpoint(format!("https://{}.blob.{}", blob.account, blob.suffix));
        }
        for (key, value) in settings::<Key>(environment, "AZURE_") {
            let is_credential = matches!(
                key,
                Key::AccessKey
                    | Key::ClientId
                    | Key::ClientSecret
                    | Key::SasKey
                    | Key::Token
                    | Key::FederatedTokenFile
                    | Key::SkipSignature
                    | Key::UseAzureCli
            );
            let is_of_the_url = matches!(key, Key::AccountName | Key::ContainerName);
            if !is_of_the_url && (blob.sas.is_empty() || !is_credential) {
                builder = builder.with_config(key, value);
            }
        }
        builder = builder.with_account(&blob.account).with_container_name(&blob.container);
        if !blob.sas.is_empty() {
            builder = builder.with_sas_authorization(blob.sas.clone());
        }
        let is_public = builder.get_config_value(&Key::SkipSignature).is_some_and(|value| value == "true");
        let cloud = builder
            .with_client_options(client_options())
            .build()
            .map_err(|error| unusable("Azure", "AZURE_…", &error))?;
        let bucket = blob.container.clone();
        Ok(Self { cloud: Arc::new(Cloud::Azure(cloud)), path: path(&blob.blob)?, bucket, is_public })
    }

    /// Another object of the same bucket.
    pub(super) fn at(&self, key: &str) -> Result<Self> {
        Ok(Self { path: path(key)?, ..self.clone() })
    }

    pub(super) async fn read(&self) -> Result<Bytes, Fault> {
        self.read_up_to(MAX_OBJECT_BYTES).await.map(|(bytes, _)| bytes)
    }

    /// The bytes when they are no more than `limit`, and the tag.
    pub(super) async fn read_up_to(&self, limit: u64) -> Result<(Bytes, Option<String>), Fault> {
        self.log_in().await?;
        let answer = limited(ANSWER_LIMIT, async {
            self.store().get(&self.path).await.map_err(|error| self.fault(&error))
        });
        let answer = answer.await?;
        if answer.meta.size > limit {
            return Err(Fault::too_large(limit));
        }
        let tag = self.tag(answer.meta.e_tag.clone(), answer.meta.version.clone());
        let size = usize::try_from(answer.meta.size).unwrap_or(usize::MAX);
        let mut stream = answer.into_stream();
        let mut bytes = BytesMut::with_capacity(size);
        limited(transfer_limit(size), async {
            while let Some(chunk) = stream.try_next().await.map_err(|error| self.fault(&error))? {
                bytes.extend_from_slice(&chunk);
            }
            Ok(())
        })
        .await?;
        Ok((bytes.freeze(), tag))
    }

    pub(super) async fn head(&self) -> Result<ObjectHead, Fault> {
        self.log_in().await?;
        limited(ANSWER_LIMIT, async {
            let found = self.store().head(&self.path).await.map_err(|error| self.fault(&error))?;
            Ok(ObjectHead { size: found.size, tag: self.tag(found.e_tag, found.version) })
        })
        .await
    }

    pub(super) async fn write(&self, bytes: Bytes) -> Result<(), Fault> {
        self.write_if(bytes, &Condition::Always).await.map(drop)
    }

    /// Writes under a condition; the new tag, where the server gives one.
    pub(super) async fn write_if(
        &self,
        bytes: Bytes,
        condition: &Condition,
    ) -> Result<Option<String>, Fault> {
        self.log_in().await?;
        let attributes = Attributes::from_iter([(Attribute::ContentType, CONTENT_TYPE)]);
        let limit = transfer_limit(bytes.len());
        let mode = match (condition, &*self.cloud) {
            (Condition::Always, _) => PutMode::Overwrite,
            (Condition::Absent, _) => PutMode::Create,
            (Condition::Unchanged(tag), Cloud::Azure(_)) => {
                PutMode::Update(UpdateVersion { e_tag: Some(tag.clone()), version: None })
            }
            (Condition::Unchanged(tag), Cloud::Google(_)) if is_generation(tag) => {
                PutMode::Update(UpdateVersion { e_tag: None, version: Some(tag.clone()) })
            }
            (Condition::Unchanged(_), Cloud::Google(_)) => PutMode::Overwrite,
        };
        let options = PutOptions { attributes, mode, ..PutOptions::default() };
        limited(limit, async {
            let put = self.store().put_opts(&self.path, PutPayload::from_bytes(bytes), options);
            let written = put.await.map_err(|error| self.fault(&error))?;
            Ok(self.tag(written.e_tag, written.version))
        })
        .await
    }

    pub(super) async fn remove(&self) -> Result<(), Fault> {
        self.log_in().await?;
        limited(ANSWER_LIMIT, async {
            self.store().delete(&self.path).await.map_err(|error| self.fault(&error))
        })
        .await
    }

    /// What tells one state of an object from another: Google's generations, Azure's tags.
    fn tag(&self, e_tag: Option<String>, version: Option<String>) -> Option<String> {
        match *self.cloud {
            Cloud::Google(_) => version.filter(|version| is_generation(version)).or(e_tag),
            Cloud::Azure(_) => e_tag,
        }
    }

    fn store(&self) -> &dyn ObjectStore {
        match &*self.cloud {
            Cloud::Google(store) => store,
            Cloud::Azure(store) => store,
        }
    }

    /// Has the credentials at hand, so that a failure to get them is told from one of the request.
    async fn log_in(&self) -> Result<(), Fault> {
        if self.is_public {
            return Ok(());
        }
        let (got, hint) = match &*self.cloud {
            Cloud::Google(store) => {
                (store.credentials().get_credential().await.map(drop), GOOGLE_CREDENTIALS)
            }
            Cloud::Azure(store) => (store.credentials().get_credential().await.map(drop), AZURE_CREDENTIALS),
        };
        got.map_err(|error| {
            let text = error.to_string();
            // The last resort is the server that tells machines of a cloud who they are.
            let is_last_resort = text.to_ascii_lowercase().contains("metadata");
            match (is_last_resort, is_refusal(&text)) {
                (true, _) => Fault::new(ErrorKind::Forbidden, format!("there are no credentials: {hint}")),
                (false, true) => Fault::new(
                    ErrorKind::Forbidden,
                    format!("the credentials are refused ({})", code_or_cause(&error)),
                ),
                (false, false) => Fault::new(
                    ErrorKind::Unavailable,
                    format!("the credentials cannot be used now ({})", code_or_cause(&error)),
                ),
            }
        })
    }

    fn fault(&self, error: &object_store::Error) -> Fault {
        use object_store::Error as E;
        let text = error.to_string();
        match error {
            E::NotFound { .. } if text.contains("NoSuchBucket") || text.contains("ContainerNotFound") => {
                Fault::new(ErrorKind::NotFound, format!("there is no bucket or container `{}`", self.bucket))
            }
            E::NotFound { .. } => Fault::no_object(),
            E::AlreadyExists { .. } | E::Precondition { .. } => Fault::condition(Case::Condition),
            E::NotImplemented { .. } | E::NotSupported { .. } => Fault::condition(Case::NoSuchCondition),
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => Fault::new(
                ErrorKind::Forbidden,
                format!(
                    "the server refuses the credentials, or they have no right to it ({})",
                    code_or_cause(error)
                ),
            ),
            _ if is_refusal(&text) => Fault::new(
                ErrorKind::BadInput,
                format!("the server refuses the request ({})", code_or_cause(error)),
            ),
            _ => Fault::new(
                ErrorKind::Unavailable,
                format!("the server cannot be reached or used ({})", code_or_cause(error)),
            ),
        }
    }
}

/// Whether it is a number that Google has given an object's state.
fn is_generation(tag: &str) -> bool {
    !tag.is_empty() && tag.chars().all(|digit| digit.is_ascii_digit())
}

/// Settings that object_store knows, from variables with this beginning.
fn settings<'a, K: std::str::FromStr>(
    environment: &'a Environment,
    beginning: &'static str,
) -> impl Iterator<Item = (K, &'a String)> {
    let ours = environment.iter().filter(move |(name, _)| name.starts_with(beginning));
    ours.filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value)))
}

fn client_options() -> ClientOptions {
    // Each call has its own limit, by what it moves.
    ClientOptions::new().with_timeout_disabled().with_connect_timeout(Duration::from_secs(10))
}

/// Fewer than by default: what fails is tried again by the caller, who says so.
fn retries() -> RetryConfig {
    RetryConfig { max_retries: 1, retry_timeout: ANSWER_LIMIT, ..RetryConfig::default() }
}

fn path(key: &str) -> Result<Path> {
    Path::parse(key).map_err(|_| {
        let message =
            format!("the object's name `{key}` cannot be used: no part of it may be empty, `.` or `..`");
        Error::bad_input(message)
    })
}

fn unusable(cloud: &str, variables: &str, error: &object_store::Error) -> Error {
    Error::bad_input(format!(
        "{cloud} cannot be used; check the {variables} variables ({})",
        root_cause(error)
    ))
}

/// Whether the server answered that the request itself is at fault.
fn is_refusal(text: &str) -> bool {
    text.split_once("non-2xx status code: 4").is_some_and(|(_, rest)| !rest.starts_with("29"))
}

/// What the server's answer calls it, else the innermost cause.
fn code_or_cause(error: &object_store::Error) -> String {
    let text = error.to_string();
    let between = |from: &str, to: &str| Some(text.split_once(from)?.1.split_once(to)?.0.to_owned());
    between("<Code>", "</Code>")
        .or_else(|| between("\"error\":\"", "\""))
        .filter(|code| code.len() < 100)
        .unwrap_or_else(|| root_cause(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_a_server_that_is_busy() {
        assert!(is_refusal("Server returned non-2xx status code: 400 Bad Request: x"));
        assert!(!is_refusal("Server returned non-2xx status code: 429 Too Many Requests: x"));
        assert!(!is_refusal("Server returned non-2xx status code: 503 Unavailable: x"));
    }

    #[test]
    fn names_that_the_client_would_change_are_refused() {
        assert!(path("a/b c%20.ipynb").is_ok());
        for key in ["a//b", "../a", "a/./b"] {
            assert!(path(key).is_err(), "{key}");
        }
    }
}
