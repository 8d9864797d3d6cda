//! What handlers take out of requests. Each refuses with a problem that names the field.

use std::fmt::Display;
use std::str::FromStr;

use axum::body::{Body, Bytes};
use axum::extract::{self, FromRef, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use futures::StreamExt;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use super::error::Problem;
use crate::engine::Engine;
use crate::error::Error;

/// The largest JSON body, in bytes. Parameters are the only part of one that can be long.
const MAX_JSON: usize = 12_000_000;
/// How much beyond its limit a body is still read, to throw it away: a client that is cut off in the middle of
/// sending sees a broken connection and not our answer.
pub(super) const DRAIN: usize = 256_000_000;
/// The most items in one page.
pub(super) const MAX_PAGE: u32 = 1000;
const DEFAULT_PAGE: u32 = 100;

/// A JSON body. Unknown fields are ignored: existing clients send more than we read.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        // Insisting on the type is also a guard: a web page of another origin cannot send it unasked.
        if !is_json(request.headers()) {
            return Err(Problem::of_http(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body must be JSON: send it with `Content-Type: application/json`",
            ));
        }
        let bytes = read_body(request.into_body()).await?;
        Ok(Self(parse_json(&bytes)?))
    }
}

/// What a JSON body says.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let field = error.path().to_string();
        refuse_json(&field, error.into_inner(), bytes.is_empty())
    })?;
    deserializer.end().map_err(|error| refuse_json(".", error, false))?;
    Ok(value)
}

/// The media type of a body, in small letters and without parameters; empty when it says none.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence = media_type(headers);
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn refuse_json(path: &str, error: serde_json::Error, is_empty: bool) -> Error {
    if is_empty {
        return Error::bad_input("the body is empty: send a JSON object");
    }
    if !error.is_data() {
        return Error::bad_input(format!("the body is not valid JSON: {error}"));
    }
    let text = error.to_string();
    // The place is named by field; line and column would only repeat it.
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    if path == "." && (text.starts_with("invalid type: ") || text.starts_with("invalid length ")) {
        return Error::invalid("the body must be a JSON object");
    }
    let text = &in_json_words(text);
    let missing = text.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    match (path, missing) {
        (".", None) => Error::invalid(format!("the body cannot be taken: {text}")),
        (path, None) => Error::invalid(format!("`{path}` cannot be taken: {text}")).with_field(path, text),
        (path, Some(missing)) => {
            let field = if path == "." { missing.to_owned() } else { format!("{path}.{missing}") };
            Error::invalid(format!("`{field}` is missing")).with_field(field, "is missing")
        }
    }
}

/// What serde says, with JSON's words for what was expected instead of Rust's.
fn in_json_words(text: &str) -> String {
    let Some((found, expected)) = text.rsplit_once(", expected ") else { return text.to_owned() };
    let expected = match expected {
        "f64" => "a number",
        "i64" | "u64" | "u32" => "a whole number",
        "a sequence" => "an array",
        "a map" => "an object",
        other => other,
    };
    let found = match found {
        "invalid type: sequence" => "invalid type: array",
        "invalid type: map" => "invalid type: object",
        other => other,
    };
    format!("{found}, expected {expected}")
}

/// A whole body, if it is no larger than JSON may be.
pub(super) async fn read_body(body: Body) -> Result<Bytes, Error> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut total = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk
            .map_err(|error| Error::bad_input("the body came to an end too early").with_source(error))?;
        total += chunk.len();
        if total <= MAX_JSON {
            bytes.extend_from_slice(&chunk);
        } else if total > MAX_JSON + DRAIN {
            break;
        }
    }
    if total > MAX_JSON {
        return Err(Error::too_large(format!("the body is larger than the limit of {MAX_JSON} bytes")));
    }
    Ok(bytes.into())
}

/// A query string.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match extract::Query::try_from_uri(&parts.uri) {
            Ok(extract::Query(query)) => Ok(Self(query)),
            Err(rejection) => {
                let text = rejection.body_text();
                let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
                let missing = text.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
                if let Some(field) = missing {
                    return Err(Error::bad_input(format!("the query lacks `{field}`"))
                        .with_field(field, "is missing")
                        .into());
                }
                let error = Error::bad_input(format!("the query cannot be taken: {text}"));
                Err(match text.split_once(": ") {
                    Some((field, message)) => error.with_field(field, message),
                    None => error,
                }
                .into())
            }
        }
    }
}

/// A value of a query that may be left empty, as in `?category=&limit=`.
pub(super) fn empty_as_none<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: Display,
{
    match Option::<String>::deserialize(deserializer)?.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => {
            text.parse().map(Some).map_err(|error: T::Err| D::Error::custom(fault_of(text, &error)))
        }
    }
}

/// A value that cannot be read, and why.
fn fault_of(text: &str, error: &dyn Display) -> String {
    let shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    let error = error.to_string();
    // Rust's words for every kind of whole number; each number in a query is one from zero on.
    if error.contains("digit found") || error.starts_with("number too ") {
        format!("`{shown}` is not a whole number that can be used here")
    } else if error.contains(&format!("`{text}`")) {
        error
    } else {
        format!("`{shown}` {error}")
    }
}

/// The size of a page, from 1 to [`MAX_PAGE`].
pub(super) fn page_limit(limit: Option<u32>) -> Result<u32, Error> {
    match limit.unwrap_or(DEFAULT_PAGE) {
        limit @ 1..=MAX_PAGE => Ok(limit),
        limit => Err(Error::bad_input(format!("limit {limit} must be from 1 to {MAX_PAGE}"))
            .with_field("limit", format!("must be from 1 to {MAX_PAGE}"))),
    }
}

/// The id that a cursor stands for; one beyond the database's range finds nothing.
pub(super) fn id_of_cursor(cursor: u64) -> i64 {
    i64::try_from(cursor).unwrap_or(i64::MAX)
}

/// The one variable of a path, decoded.
pub(super) struct PathText(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for PathText {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        extract::Path::from_request_parts(parts, state)
            .await
            .map(|extract::Path(text)| Self(text))
            .map_err(|_| Error::bad_input("the path is not percent-encoded UTF-8").into())
    }
}

/// A number in a path.
pub(super) struct Id(pub(super) i64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let PathText(text) = PathText::from_request_parts(parts, state).await?;
        text.parse().map(Self).map_err(|_| {
            let shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
            Error::bad_input(format!("`{shown}` is not an id: it must be a whole number"))
                .with_field("id", "must be a whole number")
                .into()
        })
    }
}

/// How the client reaches us: the configured `public-url`, else `http://HOST`, from the header `Host` alone
/// (`X-Forwarded-*` can be written by anyone). Empty when the client names no host: then URLs are relative.
pub(super) struct BaseUrl(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for BaseUrl
where
    Engine: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if let Some(url) = &Engine::from_ref(state).config().public_url {
            return Ok(Self(url.clone()));
        }
        let Some(host) = parts.headers.get(header::HOST) else { return Ok(Self(String::new())) };
        match Authority::try_from(host.as_bytes()) {
            Ok(authority) if !authority.as_str().contains('@') => Ok(Self(format!("http://{authority}"))),
            _ => Err(Error::bad_input("the header `Host` is not a host and port").into()),
        }
    }
}

/// A user's name, as it goes into the address of that user's Jupyter server.
pub(super) fn username(name: String) -> Result<String, Error> {
    let fault = match name.as_str() {
        "" => "must not be empty",
        "." | ".." => "must not be `.` or `..`",
        long if long.len() > 255 => "must have at most 255 bytes",
        odd if odd.chars().any(char::is_control) => "may not hold control characters",
        _ => return Ok(name),
    };
    Err(Error::invalid(format!("`username` {fault}")).with_field("username", fault))
}
