//! Objects over HTTP: read with GET, written with PUT. Files that GitHub shows are read through its interface.

use std::fmt;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder, Response, StatusCode, Url, redirect};

use super::{ANSWER_LIMIT, Environment, Fault, MAX_OBJECT_BYTES, root_cause, transfer_limit};
use crate::error::{Error, ErrorKind, Result};

const MAX_REDIRECTS: usize = 10;

pub(super) struct HttpObject {
    url: Url,
    headers: HeaderMap,
    reader: Client,
    /// `None`: it can only be read.
    writer: Option<Client>,
}

/// Written by hand: the URL may hold a password.
impl fmt::Debug for HttpObject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "HttpObject({})", self.url.host_str().unwrap_or_default())
    }
}

impl HttpObject {
    pub(super) fn open(url: Url, environment: &Environment) -> Result<Self> {
        // Whoever follows a 302 does so with a GET, and takes its 200 for that of the upload.
        let policy = redirect::Policy::custom(|attempt| match attempt.status() {
            _ if attempt.previous().len() > MAX_REDIRECTS => attempt.error("too many redirects"),
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => attempt.follow(),
            _ => attempt.stop(),
        });
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Ok(Self {
            url,
            headers,
            reader: built(client(environment)?.read_timeout(ANSWER_LIMIT))?,
            writer: Some(built(client(environment)?.redirect(policy))?),
        })
    }

    /// A file of a repository, with the token that papermill reads (`GITHUB_ACCESS_TOKEN`) where it is set.
    pub(super) fn git_hub(
        repository: &str,
        path: &str,
        reference: &str,
        environment: &Environment,
    ) -> Result<Self> {
        // GitHub's own runners set this, and an enterprise's server has another.
        let api = environment.get("GITHUB_API_URL").map_or("https://api.github.com", String::as_str);
        let mut url = Url::parse(api)
            .map_err(|_| Error::bad_input("GITHUB_API_URL is not a URL such as https://api.github.com"))?;
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().push("repos").extend(repository.split('/'));
            parts.push("contents").extend(path.split('/'));
        }
        url.query_pairs_mut().append_pair("ref", reference);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github.raw+json"));
        if let Some(token) = environment.get("GITHUB_ACCESS_TOKEN") {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
                .map_err(|_| Error::bad_input("GITHUB_ACCESS_TOKEN holds a character that cannot be sent"))?;
            value.set_sensitive(true);
            headers.insert(reqwest::header::AUTHORIZATION, value);
        }
        let reader = built(client(environment)?.read_timeout(ANSWER_LIMIT))?;
        Ok(Self { url, headers, reader, writer: None })
    }

    pub(super) async fn read(&self) -> Result<Bytes, Fault> {
        let request = self.reader.get(self.url.clone()).headers(self.headers.clone());
        let mut answer = accepted(request.send().await.map_err(fault)?)?;
        let mut bytes = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(fault)? {
            if bytes.len() + chunk.len() > usize::try_from(MAX_OBJECT_BYTES).unwrap_or(usize::MAX) {
                return Err(Fault::too_large(MAX_OBJECT_BYTES));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }

    pub(super) async fn write(&self, bytes: Bytes) -> Result<(), Fault> {
        let Some(writer) = &self.writer else {
            return Err(Fault::new(ErrorKind::BadInput, "GitHub can only be read from"));
        };
        let request = writer
            .put(self.url.clone())
            .timeout(transfer_limit(bytes.len()))
            .header(CONTENT_TYPE, "application/json")
            .body(bytes);
        accepted(request.send().await.map_err(fault)?).map(drop)
    }
}

/// A client that trusts whom Python's requests, and so papermill, would trust.
fn client(environment: &Environment) -> Result<ClientBuilder> {
    let mut client = Client::builder()
        .user_agent(concat!("bindery/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::limited(MAX_REDIRECTS))
        .connect_timeout(std::time::Duration::from_secs(10));
    for name in ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"] {
        let Some(file) = environment.get(name) else { continue };
        let wrong = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::bad_input(format!("{name} must name a PEM file with certificates ({error})"))
        };
        let pem = std::fs::read(file).map_err(|error| wrong(error.into()))?;
        for certificate in Certificate::from_pem_bundle(&pem).map_err(|error| wrong(error.into()))? {
            client = client.add_root_certificate(certificate);
        }
        break;
    }
    Ok(client)
}

fn built(client: ClientBuilder) -> Result<Client> {
    client.build().map_err(|error| Error::internal("cannot set up HTTP connections").with_source(error))
}

fn accepted(answer: Response) -> Result<Response, Fault> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let kind = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            ErrorKind::Forbidden
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => ErrorKind::NotFound,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => ErrorKind::Unavailable,
        status if status.is_server_error() => ErrorKind::Unavailable,
        _ => ErrorKind::BadInput,
    };
    let hint = if status.is_redirection() { ": name the address that it leads to" } else { "" };
    Err(Fault::new(kind, format!("the server answered {status}{hint}")))
}

fn fault(error: reqwest::Error) -> Fault {
    let kind =
        if error.is_redirect() || error.is_builder() { ErrorKind::BadInput } else { ErrorKind::Unavailable };
    if error.is_timeout() {
        return Fault::new(kind, "the server takes too long to answer");
    }
    // Its own text would name the URL, with whatever secret is in that.
    let error = error.without_url();
    let what = if error.is_connect() { "the server cannot be reached" } else { "the transfer broke off" };
    Fault::new(kind, format!("{what} ({})", root_cause(&error)))
}
