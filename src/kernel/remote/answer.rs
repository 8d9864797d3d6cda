//! One request to a gateway and what may come back, with every way in which it can go wrong put in words.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::gateway::Gateway;
use crate::error::{Error, Result};

/// The longest answer that is read; kernelspecs have no more than some kilobytes each.
const MAX_ANSWER: usize = 16 << 20;
/// How much of a gateway's own words goes into an error.
const MAX_WORDS: usize = 300;

/// A step that a gateway is asked to take.
pub(super) struct Step<'a> {
    /// For messages: `list its kernelspecs`.
    pub(super) what: &'a str,
    pub(super) method: Method,
    /// Below the gateway's address.
    pub(super) path: &'a str,
    pub(super) body: Option<&'a Value>,
    pub(super) time: Duration,
}

impl Gateway {
    /// Takes a step; gives status and body of whatever answer came.
    ///
    /// # Errors
    /// `Unavailable` when none came in time.
    pub(super) async fn ask(&self, step: &Step<'_>) -> Result<(StatusCode, Bytes)> {
        let mut request = self.http.request(step.method.clone(), self.at(step.path)).timeout(step.time);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.header()?);
        }
        if let Some(body) = step.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let mut response = request.send().await.map_err(|error| self.not_reached(step, error))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.not_reached(step, error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(self.fault(step.what, "it answered with more than 16 MiB"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, body.into()))
    }

    /// Takes a step whose answer is JSON.
    ///
    /// # Errors
    /// `Unavailable` when the answer is anything else.
    pub(super) async fn ask_for<T: DeserializeOwned>(&self, step: &Step<'_>) -> Result<T> {
        let (status, body) = self.ask(step).await?;
        self.read(step, status, &body)
    }

    /// The JSON of an answer.
    ///
    /// # Errors
    /// `Unavailable` when it is anything else.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        step: &Step<'_>,
        status: StatusCode,
        body: &[u8],
    ) -> Result<T> {
        if !status.is_success() {
            return Err(self.refusal(step.what, status, body));
        }
        serde_json::from_slice(body).map_err(|error| {
            let what = "its answer is not that of a Jupyter server: check the address";
            self.fault(step.what, what).with_source(error)
        })
    }

    /// An answer that is no success.
    pub(super) fn refusal(&self, step: &str, status: StatusCode, body: &[u8]) -> Error {
        let said = self.said(body);
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let remedy = match &self.token {
                // It has a reason of its own.
                _ if status == StatusCode::FORBIDDEN && !said.is_empty() => "",
                Some(_) => ": check the token",
                None => ": it wants a token, and none is configured",
            };
            return self.fault(step, &format!("it does not let us ({status}{said}){remedy}"));
        }
        let remedy = match () {
            () if status.is_server_error() => "look into its log",
            () => "check the address",
        };
        self.fault(step, &format!("it answered {status}{said}: {remedy}"))
    }

    /// What went wrong, where and at which step.
    pub(super) fn fault(&self, step: &str, what: &str) -> Error {
        Error::unavailable(format!("the kernel gateway at {} could not {step}: {what}", self.shown()))
    }

    fn not_reached(&self, step: &Step<'_>, error: reqwest::Error) -> Error {
        // The URL in a request error has no news.
        let error = error.without_url();
        let seconds = step.time.as_secs_f64();
        let what = match (error.is_timeout(), error.is_connect()) {
            (true, true) => {
                "no connection came about in time: check that it runs, and the address".to_owned()
            }
            (true, false) => format!("it did not answer within {seconds} s"),
            (false, true) => {
                "the connection was refused, or the host is unknown: check that it runs, and the address"
                    .to_owned()
            }
            (false, false) => "the connection broke, or it does not speak HTTP".to_owned(),
        };
        self.fault(step.what, &what).with_source(error)
    }

    /// A gateway's own words, fit for one line of ours.
    fn said(&self, body: &[u8]) -> String {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            message: Option<String>,
            #[serde(default)]
            reason: Option<String>,
        }
        // A page for people says nothing in one line.
        let Ok(Answer { message, reason }) = serde_json::from_slice(body) else { return String::new() };
        let is_news = |text: &String| !matches!(text.trim(), "" | "Forbidden" | "Unauthorized");
        let text = [message, reason].into_iter().flatten().find(is_news);
        let mut words: String = text.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        words.retain(|character| !character.is_control());
        if let Some((end, _)) = words.char_indices().nth(MAX_WORDS) {
            words.truncate(end);
            words.push('…');
        }
        if let Some(token) = &self.token {
            words = token.masked(&words);
        }
        let words = words.trim_end_matches('.');
        if words.is_empty() { String::new() } else { format!(", {words}") }
    }
}
