//! One request to MLflow and what may come back, with every way in which it can go wrong put in words.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::MlflowClient;
use super::address::Authorization;
use crate::error::{Error, Result};

/// The longest answer that is read; a page of runs with many parameters is a few megabytes.
const MAX_ANSWER: usize = 64 << 20;
/// How much of a server's own words goes into an error.
const MAX_MESSAGE: usize = 300;
const FIRST_DELAY: Duration = Duration::from_millis(200);
/// A server that asks for more patience than this is treated as away.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// May a call be made twice when nobody knows whether the first one arrived?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    Safe,
    Never,
}

/// Why a call gave no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// MLflow itself answered, with one of its error codes.
    Refused { status: StatusCode, code: String, message: String },
    /// Everything else, already in words.
    Failed(Error),
}

impl Fault {
    pub(super) fn has_code(&self, expected: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == expected)
    }

    /// The public error; `call` names the call, such as `runs/create`.
    pub(super) fn into_error(self, call: &str) -> Error {
        match self {
            Self::Failed(error) => error,
            Self::Refused { status, code, message } => {
                let text = format!("MLflow refused {call}: {code}: {message}");
                match status {
                    StatusCode::NOT_FOUND => Error::not_found(text),
                    status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                        Error::unavailable(text)
                    }
                    _ => Error::invalid(text),
                }
            }
        }
    }
}

/// An attempt that failed, and when another one makes sense.
struct Failure {
    fault: Fault,
    retry: Retry,
}

enum Retry {
    Never,
    /// Nothing was sent, so even a call that must not be repeated may be.
    NotSent,
    IfRepeatable(Option<Duration>),
}

impl MlflowClient {
    /// GET of one of MLflow's REST calls; `call` is its name below `api/2.0/mlflow/`.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        call: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Fault> {
        let mut url = self.endpoint(&format!("api/2.0/mlflow/{call}"));
        url.query_pairs_mut().extend_pairs(query);
        let answer = self.send(call, Repeat::Safe, || self.http.request(Method::GET, url.clone())).await?;
        parse(call, &answer).map_err(Fault::Failed)
    }

    /// POST of one of MLflow's REST calls.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        call: &str,
        repeat: Repeat,
        body: &Value,
    ) -> Result<T, Fault> {
        let url = self.endpoint(&format!("api/2.0/mlflow/{call}"));
        let body = Bytes::from(body.to_string());
        let answer = self
            .send(call, repeat, || {
                self.http
                    .request(Method::POST, url.clone())
                    .header(CONTENT_TYPE, "application/json")
                    .body(body.clone())
            })
            .await?;
        parse(call, &answer).map_err(Fault::Failed)
    }

    /// `{base}/{path}`; `path` is ours and needs no encoding.
    fn endpoint(&self, path: &str) -> Url {
        let mut url = self.server.url().clone();
        let path = format!("{}/{path}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }

    /// Sends what `build` makes, again and again as far as `repeat` allows, and gives the body of a 2xx.
    pub(super) async fn send(
        &self,
        call: &str,
        repeat: Repeat,
        build: impl Fn() -> RequestBuilder,
    ) -> Result<Bytes, Fault> {
        let authorized = || match &self.server.authorization {
            Authorization::None => build(),
            Authorization::Basic { username, password } => build().basic_auth(username, Some(password)),
            Authorization::Bearer(token) => build().bearer_auth(token),
        };
        self.send_as_built(call, repeat, authorized).await
    }

    /// The same without our credentials, for a host that is not the tracking server.
    pub(super) async fn send_as_built(
        &self,
        call: &str,
        repeat: Repeat,
        build: impl Fn() -> RequestBuilder,
    ) -> Result<Bytes, Fault> {
        let mut attempt = 1;
        loop {
            let failure = match self.send_once(call, build()).await {
                Ok(body) => return Ok(body),
                Err(failure) => failure,
            };
            let delay = FIRST_DELAY * 4u32.saturating_pow(attempt - 1);
            let delay = match failure.retry {
                Retry::NotSent => delay,
                Retry::IfRepeatable(asked) if repeat == Repeat::Safe => asked.unwrap_or(delay),
                Retry::IfRepeatable(_) | Retry::Never => return Err(failure.fault),
            };
            if attempt >= self.options.attempts || delay > LONGEST_DELAY {
                return Err(failure.fault);
            }
            tracing::debug!(call, attempt, "MLflow did not answer, trying again");
            tokio::time::sleep(delay).await;
            attempt += 1;
        }
    }

    async fn send_once(&self, call: &str, request: RequestBuilder) -> Result<Bytes, Failure> {
        // A timeout that the caller set (an upload's) comes after this one and wins.
        let mut response = request.send().await.map_err(|error| self.not_reached(call, error))?;
        let status = response.status();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let retry_after = header(RETRY_AFTER).and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let location = header(LOCATION).map(str::to_owned);

        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.not_reached(call, error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                let error = Error::unavailable(format!("MLflow's answer to {call} is longer than 64 MiB"));
                return Err(Failure { fault: Fault::Failed(error), retry: Retry::Never });
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(Bytes::from(body));
        }
        let retry = if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            Retry::IfRepeatable(retry_after)
        } else {
            Retry::Never
        };
        Err(Failure { fault: self.refusal(call, status, location.as_deref(), &body), retry })
    }

    fn not_reached(&self, call: &str, error: reqwest::Error) -> Failure {
        // The URL in a request error has no credentials, but it has no news either.
        let error = error.without_url();
        let (why, retry) = match (error.is_timeout(), error.is_connect()) {
            (true, true) => ("no connection within the connect timeout", Retry::Never),
            (true, false) => ("no answer in time", Retry::Never),
            (false, true) => ("the connection was refused or the host is unknown", Retry::NotSent),
            (false, false) => ("the connection broke", Retry::IfRepeatable(None)),
        };
        let error = Error::unavailable(format!(
            "MLflow at {} cannot be reached for {call}: {why}; check that the server runs and that the tracking \
             URI is right",
            self.server.base()
        ))
        .with_source(error);
        Failure { fault: Fault::Failed(error), retry }
    }

    fn refusal(&self, call: &str, status: StatusCode, location: Option<&str>, body: &[u8]) -> Fault {
        #[derive(Deserialize)]
        struct Answer {
            error_code: String,
            #[serde(default)]
            message: String,
        }
        let base = self.server.base();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let said = self.said(&String::from_utf8_lossy(body));
            return Fault::Failed(Error::unavailable(format!(
                "MLflow at {base} does not let us call {call} ({status}{said}); check the user name and \
                 password or the token for it"
            )));
        }
        if let Ok(Answer { error_code, message }) = serde_json::from_slice(body) {
            let message = self.words(&message);
            return Fault::Refused { status, code: self.words(&error_code), message };
        }
        let error = if let (true, Some(location)) = (status.is_redirection(), location) {
            format!(
                "MLflow at {base} sends {call} on to {}; give that server's address as the tracking URI",
                self.words(location.split(['?', '#']).next().unwrap_or_default())
            )
        } else {
            let said = self.said(&String::from_utf8_lossy(body));
            let advice = if status.is_server_error() {
                "look into the server's log"
            } else {
                "check that the tracking URI is the address of an MLflow tracking server"
            };
            format!("{base} answered {call} with {status}{said}; {advice}")
        };
        Fault::Failed(Error::unavailable(error))
    }

    fn said(&self, text: &str) -> String {
        // A page for people says nothing in one line.
        let text = if text.trim_start().starts_with('<') { String::new() } else { self.words(text) };
        if text.is_empty() { text } else { format!(": {text}") }
    }

    /// A server's text made fit for one line of ours.
    fn words(&self, text: &str) -> String {
        let text = self.server.masked(text);
        let mut words: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        words.retain(|character| !character.is_control());
        if let Some((end, _)) = words.char_indices().nth(MAX_MESSAGE) {
            words.truncate(end);
            words.push('…');
        }
        words.trim_end_matches('.').to_owned()
    }
}

fn parse<T: DeserializeOwned>(call: &str, body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| {
        Error::unavailable(format!(
            "the answer to {call} is not MLflow's; check that the tracking URI is the address of an MLflow \
             tracking server"
        ))
        .with_source(error)
    })
}
