//! Notebooks and parameter files behind URLs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{blocking, files, in_place};
use crate::error::{Error, ErrorKind, Result};
use crate::notebook::Notebook;
use crate::store::{Attempts, Environment, ObjectUrl, RemoteObject};

/// The least time between two uploads of a notebook that is running: whoever pays by the request is asked for few.
pub(super) const UPLOAD_INTERVAL: Duration = Duration::from_secs(5);
/// Uploading may take no more than this part of the time.
pub(super) const UPLOAD_SHARE: u32 = 10;

/// An object behind a URL, ready to be used with the credentials of this process's environment.
#[derive(Debug, Clone)]
pub struct Remote {
    url: ObjectUrl,
    object: Arc<RemoteObject>,
}

impl Remote {
    /// The object that `text` names; `None` when it is a path. `s3_endpoint` is asked for only when it matters.
    ///
    /// # Errors
    /// `BadInput` for a URL that is not supported or names no object, and where credentials are missing or cannot be.
    pub fn open(text: &str, s3_endpoint: impl FnOnce() -> Result<Option<String>>) -> Result<Option<Self>> {
        let Some(url) = ObjectUrl::parse(text).transpose()? else { return Ok(None) };
        let endpoint = match ObjectUrl::scheme(text).as_deref() {
            Some("s3") => s3_endpoint()?,
            _ => None,
        };
        let object = Arc::new(RemoteObject::open(&url, endpoint.as_deref(), &process_environment())?);
        Ok(Some(Self { url, object }))
    }

    /// Its URL without secrets.
    pub fn shown(&self) -> &str {
        self.url.shown()
    }

    /// Its bytes.
    ///
    /// # Errors
    /// As [`RemoteObject::read`].
    pub async fn read(&self) -> Result<Bytes> {
        self.object.read().await
    }

    pub(super) async fn read_notebook(&self) -> Result<Notebook> {
        let bytes = self.read().await?;
        let shown = self.shown().to_owned();
        blocking(move || {
            Notebook::parse(&bytes).map_err(|error| {
                // A page that asks for a login comes with status 200, too.
                let text = error.message().strip_prefix("not a notebook: ").unwrap_or(error.message());
                Error::new(error.kind(), format!("what `{shown}` gives is not a notebook: {text}"))
                    .with_fields(error.fields().to_vec())
            })
        })
        .await
    }
}

/// The variables of this process; empty ones count as absent.
pub(super) fn process_environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(_, value)| !value.trim().is_empty())
        .collect()
}

/// Whether it is a URL, supported or not, and no path.
pub fn is_url(text: &str) -> bool {
    ObjectUrl::scheme(text).is_some()
}

/// The text of a file behind a URL.
///
/// # Errors
/// As [`RemoteObject::read`], and `BadInput` for what is no UTF-8.
pub async fn read_text(remote: &Remote) -> Result<String> {
    String::from_utf8(remote.read().await?.into())
        .map_err(|_| Error::bad_input(format!("`{}` is not text in UTF-8", remote.shown())))
}

/// The output of a run that goes to a URL.
#[derive(Debug)]
pub(super) struct Upload {
    remote: Remote,
    /// The one under way; it gives its begin and its end.
    running: Option<JoinHandle<(Instant, Instant)>>,
    not_before: Instant,
}

impl Upload {
    pub(super) fn new(remote: Remote) -> Self {
        Self { remote, running: None, not_before: Instant::now() }
    }

    /// Uploads before anything runs: an output that cannot be written is better found out now.
    pub(super) async fn first(&mut self, notebook: &Notebook) -> Result<()> {
        let begun = Instant::now();
        self.remote.object.write(in_place(|| notebook.to_bytes()).into(), Attempts::Few).await?;
        self.pause_after(begun, Instant::now());
        Ok(())
    }

    /// Begins to upload what there is, beside the run. `false`: not yet, one is under way or was a moment ago.
    pub(super) fn begin(&mut self, notebook: &Notebook) -> bool {
        if let Some(mut running) = self.running.take() {
            match (&mut running).now_or_never() {
                None => self.running = Some(running),
                Some(ended) => {
                    let (begun, ended) = ended.unwrap_or((Instant::now(), Instant::now()));
                    self.pause_after(begun, ended);
                }
            }
        }
        let now = Instant::now();
        if self.running.is_some() || now < self.not_before {
            return false;
        }
        let (object, bytes) = (self.remote.object.clone(), Bytes::from(in_place(|| notebook.to_bytes())));
        self.running = Some(tokio::spawn(async move {
            // Nothing is lost yet: it is tried again with what comes next.
            if let Err(error) = object.write(bytes, Attempts::One).await {
                tracing::warn!("{}; the run goes on", error.message());
            }
            (now, Instant::now())
        }));
        true
    }

    fn pause_after(&mut self, begun: Instant, ended: Instant) {
        self.not_before = ended + UPLOAD_INTERVAL.max((ended - begun) * UPLOAD_SHARE);
    }

    /// Uploads the result. While that does not work the result is kept in a file, which an error names.
    pub(super) async fn finish(self, notebook: &Notebook) -> Result<()> {
        let bytes = Bytes::from(in_place(|| notebook.to_bytes()));
        if let Some(running) = self.running {
            // An older state must not arrive after this one.
            let _ = running.await;
        }
        let Err(mut error) = self.remote.object.write(bytes.clone(), Attempts::One).await else {
            return Ok(());
        };
        let (name, content) = (self.remote.url.file_name().to_owned(), bytes.clone());
        let kept = blocking(move || keep(&name, &content)).await;
        if error.kind() == ErrorKind::Unavailable {
            tracing::warn!("{}: trying again", error.message());
            match self.remote.object.write(bytes, Attempts::Many).await {
                Err(last) => error = last,
                Ok(()) => {
                    if let Ok(kept) = kept {
                        let _ = tokio::fs::remove_file(kept).await;
                    }
                    return Ok(());
                }
            }
        }
        let fate = match kept {
            Ok(path) => format!("the executed notebook is kept in {}: upload it from there", path.display()),
            Err(error) => format!("nor can the executed notebook be kept here ({})", error.message()),
        };
        Err(Error::new(error.kind(), format!("{}; {fate}", error.message())))
    }
}

/// Keeps what could not be uploaded in the current folder, or in the one for temporary files, under a name of its own.
fn keep(name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let stem: String = name
        .strip_suffix(".ipynb")
        .unwrap_or(name)
        .chars()
        .map(|it| if it.is_alphanumeric() || "-_.%+=".contains(it) { it } else { '_' })
        .take(50)
        .collect();
    let mut failed = Error::unavailable("there is no folder to write to");
    for folder in [PathBuf::from("."), std::env::temp_dir()] {
        for number in 1..100 {
            let number = if number == 1 { String::new() } else { format!("-{number}") };
            let name = format!("{}.not-uploaded{number}.ipynb", stem.trim_start_matches('.'));
            let path = if folder.as_os_str() == "." { PathBuf::from(&name) } else { folder.join(&name) };
            match files::write(&path, &path.display().to_string(), bytes, true) {
                Ok(_) => return Ok(path),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => {
                    failed = error;
                    break;
                }
            }
        }
    }
    Err(failed)
}
