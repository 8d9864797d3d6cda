//! The demo's HTTP client: each request is shown as the `curl` line that does the same, with its answer.

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, StatusCode, header};
use serde_json::Value;

use crate::cli::print::say;
use crate::error::{Error, Result};

/// How much of an answer is shown.
const SHOWN_LINES: usize = 24;
/// How long an answer may take: the first result comes within half a minute, says the interface.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub(super) struct Client {
    url: String,
    http: reqwest::Client,
}

impl Client {
    pub(super) fn new(url: &str) -> Result<Self> {
        // Ourselves, on this machine: a proxy of the environment is no way there.
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
        let http = http.map_err(|error| Error::internal("no HTTP client can be made").with_source(error))?;
        Ok(Self { url: url.to_owned(), http })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        self.show_get(path);
        let answer = self.quiet_get(path).await?;
        show_answer(&answer);
        Ok(answer)
    }

    /// Shows a request without sending it.
    pub(super) fn show_get(&self, path: &str) {
        say!("   $ curl -s {}", shell_word(&format!("{}{path}", self.url)));
    }

    /// Sends a request without showing it.
    pub(super) async fn quiet_get(&self, path: &str) -> Result<Value> {
        self.send(Method::GET, path, None, Vec::new()).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let body = body.to_string();
        say!("   $ curl -s {}{path} -H 'content-type: application/json' -d {}", self.url, shell_word(&body));
        let answer = self.send(Method::POST, path, Some("application/json"), body.into_bytes()).await?;
        show_answer(&answer);
        Ok(answer)
    }

    /// Sends a form with the file and text fields.
    pub(super) async fn upload(
        &self,
        path: &str,
        file: &Path,
        file_name: &str,
        bytes: &[u8],
        fields: &[(&str, &str)],
    ) -> Result<Value> {
        let flags: String = fields
            .iter()
            .map(|(name, value)| format!(" -F {}", shell_word(&format!("{name}={value}"))))
            .collect();
        say!(
            "   $ curl -s {}{path} -F {}{flags}",
            self.url,
            shell_word(&format!("file=@{}", file.display()))
        );
        let boundary = uuid::Uuid::new_v4().simple().to_string();
        let body = form(&boundary, file_name, bytes, fields);
        let content_type = format!("multipart/form-data; boundary={boundary}");
        let answer = self.send(Method::POST, path, Some(&content_type), body).await?;
        show_answer(&answer);
        Ok(answer)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Vec<u8>,
    ) -> Result<Value> {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).body(body);
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let lost =
            |error| Error::unavailable(format!("the service did not answer {path}")).with_source(error);
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        let text = response.text().await.map_err(lost)?;
        let answer = serde_json::from_str::<Value>(&text).unwrap_or(Value::Null);
        if status.is_success() { Ok(answer) } else { Err(refused(path, status, &answer)) }
    }
}

/// An answer that is a refusal; its detail is written for people.
fn refused(path: &str, status: StatusCode, answer: &Value) -> Error {
    let detail = answer.get("detail").and_then(Value::as_str).map_or_else(
        || format!("the service refused {path} with {status}"),
        |detail| format!("{detail} ({status})"),
    );
    if status.is_client_error() { Error::bad_input(detail) } else { Error::unavailable(detail) }
}

fn form(boundary: &str, file_name: &str, bytes: &[u8], fields: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part =
            format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(part.as_bytes());
    }
    // As browsers write names into this header.
    let file_name = file_name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
    let head = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{file_name}\"\r\n\
         content-type: application/x-ipynb+json\r\n\r\n"
    );
    body.extend(head.as_bytes());
    body.extend(bytes);
    body.extend(format!("\r\n--{boundary}--\r\n").as_bytes());
    body
}

/// Prints an answer, not more than is worth reading.
pub(super) fn show_answer(answer: &Value) {
    let text = serde_json::to_string_pretty(&shortened(answer)).unwrap_or_default();
    for line in text.lines().take(SHOWN_LINES) {
        say!("   {line}");
    }
    if text.lines().nth(SHOWN_LINES).is_some() {
        say!("   …");
    }
}

/// Long lists cut after their first item, and what is null left out: for the eye only.
fn shortened(value: &Value) -> Value {
    match value {
        Value::Array(items) if items.len() > 1 => {
            let more = Value::from(format!("… {} more", items.len() - 1));
            items.iter().take(1).map(shortened).chain([more]).collect()
        }
        Value::Array(items) => items.iter().map(shortened).collect(),
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), shortened(value)))
            .collect(),
        value => value.clone(),
    }
}

/// A path as one word of a shell.
pub(super) fn quoted(path: &Path) -> String {
    shell_word(&path.display().to_string())
}

/// A text as one word of a POSIX shell.
fn shell_word(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-:=@,+%".contains(character);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_can_be_pasted() {
        let check = |text: &str, expected: &str| assert_eq!(shell_word(text), expected);
        check("file=@a/b.ipynb", "file=@a/b.ipynb");
        check("http://h:1/x?a=b", "'http://h:1/x?a=b'");
        check(r#"{"a":"it's"}"#, r#"'{"a":"it'\''s"}'"#);
        check("", "''");
    }

    #[test]
    fn answers_are_cut_for_the_eye() {
        let answer = json!({"a": null, "b": [1, 2, 3, {"c": null}], "d": {"e": 1}});
        assert_eq!(shortened(&answer), json!({"b": [1, "… 3 more"], "d": {"e": 1}}));
    }
}
