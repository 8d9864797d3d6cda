//! One object behind a URL: read whole, written whole. It knows nothing of templates, nor what the bytes are.
//!
//! `s3://` goes through the client of the template store, `gs://` and Azure's through object_store, `http(s)://` through
//! reqwest: one client per protocol. What may be over in a moment (no connection, an overloaded server) is tried again.
//! [`ObjectFolder`] is a bucket, or a prefix in one, whose objects are replaced only while they are what they were.

mod cloud;
mod folder;
mod http;
mod s3;
mod url;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use self::cloud::CloudObject;
pub use self::folder::{Condition, ObjectFolder, ObjectHead};
use self::http::HttpObject;
use self::s3::S3Object;
pub use self::url::ObjectUrl;
use self::url::Place;
use crate::error::{Error, ErrorKind, Result};

/// The largest object that is read into memory, in bytes.
pub const MAX_OBJECT_BYTES: u64 = 1 << 30;

/// What notebooks are stored as.
const CONTENT_TYPE: &str = "application/x-ipynb+json";
/// How long a server may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// The slowest line that we put up with, in bytes per second.
const SLOWEST_LINE: u64 = 256 * 1024;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Variables of the environment: credentials and endpoints are in them. Empty ones count as absent.
pub type Environment = BTreeMap<String, String>;

/// How often something is tried that fails for a reason that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempts {
    /// Once: it will be done again anyway.
    One,
    /// A few times within seconds.
    Few,
    /// For about half a minute: much would be lost.
    Many,
}

impl Attempts {
    fn count(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Few => 3,
            Self::Many => 6,
        }
    }
}

/// An object that can be read and written.
#[derive(Debug)]
pub struct RemoteObject {
    shown: String,
    client: Client,
}

#[derive(Debug)]
enum Client {
    S3(Box<S3Object>),
    Cloud(CloudObject),
    Http(HttpObject),
}

/// One request.
enum Call {
    Read,
    Write(Bytes),
}

/// Why it failed: the kind, and the reason as the end of a sentence.
#[derive(Debug)]
struct Fault {
    kind: ErrorKind,
    reason: String,
    case: Case,
    /// What the reason leaves out, for the log.
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a caller may have reckoned with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    /// The object is not there, while its bucket is, or may be.
    NoObject,
    /// The condition of a write does not hold.
    Condition,
    /// The server knows no such condition.
    NoSuchCondition,
    Other,
}

impl Fault {
    fn new(kind: ErrorKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), case: Case::Other, cause: None }
    }

    fn no_object() -> Self {
        let reason = "there is no such object in the bucket".to_owned();
        Self { case: Case::NoObject, ..Self::new(ErrorKind::NotFound, reason) }
    }

    fn condition(case: Case) -> Self {
        let reason = "the server refuses it for a reason that does not fit the request".to_owned();
        Self { case, ..Self::new(ErrorKind::Unavailable, reason) }
    }

    fn silence(limit: Duration) -> Self {
        Self::new(ErrorKind::Unavailable, format!("no answer within {} s", limit.as_secs()))
    }

    fn too_large(limit: u64) -> Self {
        Self::new(ErrorKind::TooLarge, format!("it has more than {limit} bytes"))
    }
}

impl RemoteObject {
    /// What is needed to use the object; nothing is sent yet. Credentials and endpoints come from the variables that
    /// each cloud's own tools read; `s3_endpoint` counts before them.
    ///
    /// # Errors
    /// `BadInput` when `s3://` has no credentials, or a variable has a value that cannot be.
    pub fn open(url: &ObjectUrl, s3_endpoint: Option<&str>, environment: &Environment) -> Result<Self> {
        let client = match &url.place {
            Place::S3 { bucket, key } => {
                Client::S3(Box::new(S3Object::open(bucket, key, s3_endpoint, environment)?))
            }
            Place::Google { bucket, key } => Client::Cloud(CloudObject::google(bucket, key, environment)?),
            Place::Azure(blob) => Client::Cloud(CloudObject::azure(blob, environment)?),
            Place::Http(at) => Client::Http(HttpObject::open(at.clone(), environment)?),
            Place::GitHub { repository, path, reference } => {
                Client::Http(HttpObject::git_hub(repository, path, reference, environment)?)
            }
        };
        Ok(Self { shown: url.shown().to_owned(), client })
    }

    /// Its bytes.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` without a right to it; `TooLarge` above [`MAX_OBJECT_BYTES`]; `Unavailable` when the
    /// server cannot be reached or used; `BadInput` when it does not answer such a request.
    pub async fn read(&self) -> Result<Bytes> {
        self.attempt(Call::Read, Attempts::Few).await
    }

    /// Puts these bytes in its place.
    ///
    /// # Errors
    /// As [`RemoteObject::read`]; `NotFound` when the bucket is missing.
    pub async fn write(&self, bytes: Bytes, attempts: Attempts) -> Result<()> {
        self.attempt(Call::Write(bytes), attempts).await.map(drop)
    }

    async fn attempt(&self, call: Call, attempts: Attempts) -> Result<Bytes> {
        let done = match call {
            Call::Read => "read",
            Call::Write(_) => "written",
        };
        let mut pause = FIRST_PAUSE;
        for _ in 1..attempts.count() {
            match self.once(&call).await {
                Err(fault) if fault.kind == ErrorKind::Unavailable => {
                    tracing::warn!("`{}` cannot be {done} now: {}: trying again", self.shown, fault.reason);
                }
                result => return result.map_err(|fault| self.error(done, fault)),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.once(&call).await.map_err(|fault| self.error(done, fault))
    }

    /// The bytes that were read, none after a write.
    async fn once(&self, call: &Call) -> Result<Bytes, Fault> {
        match (call, &self.client) {
            (Call::Read, Client::S3(object)) => object.read().await,
            (Call::Read, Client::Cloud(object)) => object.read().await,
            (Call::Read, Client::Http(object)) => object.read().await,
            (Call::Write(bytes), Client::S3(object)) => {
                object.write(bytes.clone()).await.map(|()| Bytes::new())
            }
            (Call::Write(bytes), Client::Cloud(object)) => {
                object.write(bytes.clone()).await.map(|()| Bytes::new())
            }
            (Call::Write(bytes), Client::Http(object)) => {
                object.write(bytes.clone()).await.map(|()| Bytes::new())
            }
        }
    }

    fn error(&self, done: &str, Fault { kind, reason, cause, .. }: Fault) -> Error {
        let error = Error::new(kind, format!("`{}` cannot be {done}: {reason}", self.shown));
        match cause {
            Some(cause) => error.with_source(cause),
            None => error,
        }
    }
}

/// How long an upload of so many bytes may take.
fn transfer_limit(bytes: usize) -> Duration {
    ANSWER_LIMIT + Duration::from_secs(bytes as u64 / SLOWEST_LINE)
}

/// Gives a call its time.
async fn limited<T>(limit: Duration, call: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(Fault::silence(limit)))
}

/// The innermost cause, in one line: what names neither an address nor a secret.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(next) = innermost.source() {
        innermost = next;
    }
    let text = innermost.to_string();
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}
