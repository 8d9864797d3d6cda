//! A bucket, or a prefix in one, as a folder of objects that others write, too.
//!
//! Names are relative, with `/` between the parts; whoever calls has checked them. No error names the bucket: what is
//! said goes to clients who know paths in the folder only.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::cloud::CloudObject;
use super::s3::S3Object;
use super::url::Place;
use super::{Attempts, Case, Environment, FIRST_PAUSE, Fault, MAX_OBJECT_BYTES, ObjectUrl};
use crate::error::{Error, ErrorKind, Result};
use crate::store::s3::S3Config;

/// An object that shows that the folder can be written; no notebook has such a name.
const MARKER: &str = ".bindery-root";
const MARKER_TEXT: &[u8] = b"Bindery keeps notebooks here.\n";
/// What S3 lets a name have, in bytes; the others have as much.
const MAX_KEY: usize = 1024;

/// The state of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    /// In bytes.
    pub size: u64,
    /// Changes when the object is written; `None` on a server that tells none.
    pub tag: Option<String>,
}

/// When an object may be written. Not every server minds it: look with [`ObjectFolder::head`] first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Whatever is there.
    Always,
    /// When nothing is there.
    Absent,
    /// When what is there has this tag.
    Unchanged(String),
}

/// A folder of objects.
pub struct ObjectFolder {
    shown: String,
    /// With a slash at the end, or empty.
    prefix: String,
    /// The marker; other objects are found beside it.
    marker: Client,
    has_been_written: AtomicBool,
}

#[derive(Debug, Clone)]
enum Client {
    S3(Box<S3Object>),
    Cloud(Box<CloudObject>),
}

impl fmt::Debug for ObjectFolder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ObjectFolder({})", self.shown)
    }
}

impl ObjectFolder {
    /// What is needed to use the folder; nothing is sent yet. For `s3://` endpoint and credentials are those of the
    /// template store ([`S3Config::from_variables`]), for the others as [`super::RemoteObject::open`] has them.
    ///
    /// # Errors
    /// `BadInput` for a URL that can be no folder, missing credentials, or a variable that has a value that cannot be.
    pub fn open(url: &str, s3_endpoint: Option<&str>, environment: &Environment) -> Result<Self> {
        let marker = ObjectUrl::in_folder(url, MARKER)?;
        let key = marker.key();
        let prefix = key.strip_suffix(MARKER).unwrap_or_default().to_owned();
        let client = match &marker.place {
            Place::S3 { bucket, .. } => {
                let variable = |name: &str| environment.get(name).cloned();
                let config =
                    S3Config::from_variables(bucket.clone(), s3_endpoint.map(str::to_owned), variable)?;
                Client::S3(Box::new(S3Object::with(&config, key)?))
            }
            Place::Google { bucket, .. } => {
                Client::Cloud(Box::new(CloudObject::google(bucket, key, environment)?))
            }
            Place::Azure(blob) => Client::Cloud(Box::new(CloudObject::azure(blob, environment)?)),
            Place::Http(_) | Place::GitHub { .. } => {
                return Err(Error::bad_input(format!("`{marker}` is in no bucket")));
            }
        };
        let shown = marker.shown().split('?').next().unwrap_or_default();
        let shown = shown.strip_suffix(&format!("/{MARKER}")).unwrap_or(shown).to_owned();
        Ok(Self { shown, prefix, marker: client, has_been_written: AtomicBool::new(false) })
    }

    /// Its URL without secrets, and without a slash at the end.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The bytes of an object, and its tag.
    ///
    /// # Errors
    /// `NotFound`; `TooLarge` above `limit` bytes or [`MAX_OBJECT_BYTES`]; `Unavailable` for all else.
    pub async fn read(&self, name: &str, limit: u64) -> Result<(Bytes, Option<String>)> {
        let (client, limit) = (self.object(name)?, limit.min(MAX_OBJECT_BYTES));
        persist(Attempts::Few, || client.read_up_to(limit)).await.map_err(|fault| error(name, "read", fault))
    }

    /// The state of an object; `None` when it is not there.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn head(&self, name: &str, attempts: Attempts) -> Result<Option<ObjectHead>> {
        let client = self.object(name)?;
        match persist(attempts, || client.head()).await {
            Ok(head) => Ok(Some(head)),
            Err(fault) if fault.case == Case::NoObject => Ok(None),
            Err(fault) => Err(error(name, "looked for", fault)),
        }
    }

    /// Puts these bytes into an object; its new tag, where the server gives one.
    ///
    /// # Errors
    /// `Conflict` when the server found that the condition does not hold; `Unavailable`.
    pub async fn write(
        &self,
        name: &str,
        bytes: Bytes,
        condition: &Condition,
        attempts: Attempts,
    ) -> Result<Option<String>> {
        let client = self.object(name)?;
        let mut written = persist(attempts, || client.write_if(bytes.clone(), condition)).await;
        if matches!(&written, Err(fault) if fault.case == Case::NoSuchCondition) {
            written = persist(attempts, || client.write_if(bytes.clone(), &Condition::Always)).await;
        }
        written.map_err(|fault| {
            let conditional = *condition != Condition::Always;
            match fault.case {
                // Where the object is gone, some servers say no more than that it is not there.
                Case::Condition | Case::NoObject if conditional => {
                    Error::conflict(format!("`{name}` has been written by somebody else meanwhile"))
                }
                _ => error(name, "written", fault),
            }
        })
    }

    /// Removes an object, if it is there.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let client = self.object(name)?;
        match persist(Attempts::One, || client.remove()).await {
            Err(fault) if fault.case != Case::NoObject => Err(error(name, "removed", fault)),
            _ => Ok(()),
        }
    }

    /// Whether the folder can be read and, as far as it has been tried before, written.
    ///
    /// # Errors
    /// `Unavailable`, and what is wrong.
    pub async fn check(&self) -> Result<()> {
        let wrong = |fault: Fault| {
            Error::unavailable(format!("the notebooks root cannot be used: {}", reason_of(fault)))
        };
        if self.has_been_written.load(Ordering::Relaxed) {
            match self.marker.head().await {
                Err(fault) if fault.case == Case::NoObject => {}
                state => return state.map(drop).map_err(wrong),
            }
        }
        self.marker.write_if(Bytes::from_static(MARKER_TEXT), &Condition::Always).await.map_err(wrong)?;
        self.has_been_written.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn object(&self, name: &str) -> Result<Client> {
        let key = format!("{}{name}", self.prefix);
        if key.len() > MAX_KEY {
            return Err(Error::bad_input("the path is longer than an object's name may be"));
        }
        match &self.marker {
            Client::S3(object) => object.at(&key).map(|object| Client::S3(Box::new(object))),
            Client::Cloud(object) => object.at(&key).map(|object| Client::Cloud(Box::new(object))),
        }
    }
}

impl Client {
    async fn read_up_to(&self, limit: u64) -> Result<(Bytes, Option<String>), Fault> {
        match self {
            Self::S3(object) => object.read_up_to(limit).await,
            Self::Cloud(object) => object.read_up_to(limit).await,
        }
    }

    async fn head(&self) -> Result<ObjectHead, Fault> {
        match self {
            Self::S3(object) => object.head().await,
            Self::Cloud(object) => object.head().await,
        }
    }

    async fn write_if(&self, bytes: Bytes, condition: &Condition) -> Result<Option<String>, Fault> {
        match self {
            Self::S3(object) => object.write_if(bytes, condition).await,
            Self::Cloud(object) => object.write_if(bytes, condition).await,
        }
    }

    async fn remove(&self) -> Result<(), Fault> {
        match self {
            Self::S3(object) => object.remove().await,
            Self::Cloud(object) => object.remove().await,
        }
    }
}

/// Tries again what may be over in a moment.
async fn persist<T, F: Future<Output = Result<T, Fault>>>(
    attempts: Attempts,
    mut call: impl FnMut() -> F,
) -> Result<T, Fault> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..attempts.count() {
        match call().await {
            Err(fault) if fault.kind == ErrorKind::Unavailable && fault.case == Case::Other => {}
            result => return result,
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    call().await
}

fn error(name: &str, done: &str, mut fault: Fault) -> Error {
    if fault.case == Case::NoObject {
        return Error::not_found(format!("there is no `{name}`"));
    }
    // A missing bucket or right is a fault of this service's, not of whoever asks.
    let kind = match fault.kind {
        ErrorKind::TooLarge => ErrorKind::TooLarge,
        _ => ErrorKind::Unavailable,
    };
    let cause = fault.cause.take();
    let error = Error::new(kind, format!("`{name}` cannot be {done}: {}", reason_of(fault)));
    match cause {
        Some(cause) => error.with_source(cause),
        None => error,
    }
}

/// Why, without the bucket's name.
fn reason_of(fault: Fault) -> String {
    match (fault.case, fault.kind) {
        (Case::Other, ErrorKind::NotFound) => "its bucket is not there: make it".to_owned(),
        _ => fault.reason,
    }
}
