//! The only place that turns failures into HTTP: `application/problem+json` (RFC 9457).
//!
//! What a client reads is an error's public text. Causes go to the log, once, here.

use std::any::Any;

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::error::{Error, ErrorKind, FieldError};

/// The media type of every failure.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";
/// Seconds after which a client may try again what failed for a system that is down.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// `Result` of a handler.
pub(super) type Answer<T> = Result<T, Problem>;

/// A failure on its way to a client. It comes from an [`Error`], or from HTTP itself.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    body: ProblemBody,
}

/// A failure, as RFC 9457 writes it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "urn:bindery:problem:not-found", "title": "Not Found", "status": 404,
    "detail": "there is no execution 42"
}))]
pub(super) struct ProblemBody {
    /// The kind of failure; `about:blank` when the status says it all.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// What is wrong and what to do next.
    detail: String,
    /// The faults by place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem>,
    /// What else there is to know, such as `request_id` with status 500.
    #[serde(flatten)]
    extensions: Map<String, Value>,
}

/// One fault in one place of the request.
#[derive(Debug, Serialize, ToSchema)]
struct FieldProblem {
    /// A field's name, or a JSON path such as `cells[3].outputs`.
    field: String,
    /// What is wrong there.
    message: String,
}

impl Problem {
    /// A failure that HTTP itself has a status for.
    pub(super) fn of_http(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::new(status, "about:blank", detail.into())
    }

    /// Adds an extension member.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body.extensions.insert(name.into(), value.into());
        self
    }

    fn new(status: StatusCode, kind: &'static str, detail: String) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        let body = ProblemBody {
            kind,
            title,
            status: status.as_u16(),
            detail,
            errors: Vec::new(),
            extensions: Map::new(),
        };
        Self { status, body }
    }
}

/// The table of statuses.
fn status(kind: ErrorKind) -> (StatusCode, &'static str) {
    match kind {
        ErrorKind::BadInput => (StatusCode::BAD_REQUEST, "urn:bindery:problem:bad-input"),
        ErrorKind::Forbidden => (StatusCode::FORBIDDEN, "urn:bindery:problem:forbidden"),
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, "urn:bindery:problem:not-found"),
        ErrorKind::Conflict => (StatusCode::CONFLICT, "urn:bindery:problem:conflict"),
        ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "urn:bindery:problem:too-large"),
        ErrorKind::NotANotebook => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "urn:bindery:problem:not-a-notebook"),
        ErrorKind::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "urn:bindery:problem:invalid"),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "urn:bindery:problem:unavailable"),
        // A kernel is a system around us; 502 would say that we are a gateway to it.
        ErrorKind::Kernel => (StatusCode::SERVICE_UNAVAILABLE, "urn:bindery:problem:kernel"),
        ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "urn:bindery:problem:internal"),
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, kind) = status(error.kind());
        match error.kind() {
            ErrorKind::Internal => return internal(error.message(), error.cause()),
            ErrorKind::Unavailable | ErrorKind::Kernel => {
                tracing::warn!(%error, cause = error.cause(), "a system that the request needs cannot be used");
            }
            // The client's own; its text may repeat what the client sent.
            _ => {}
        }
        let mut problem = Self::new(status, kind, error.message().to_owned());
        let fields = error.fields().iter();
        problem.body.errors = fields
            .map(|FieldError { field, message }| FieldProblem {
                field: field.clone(),
                message: message.clone(),
            })
            .collect();
        problem
    }
}

/// A fault of ours: what it was, only the log says.
fn internal(message: &str, cause: Option<String>) -> Problem {
    let request_id = uuid::Uuid::new_v4().to_string();
    tracing::error!(request.id = %request_id, cause, "a request failed for a fault of ours: {message}");
    let (status, kind) = status(ErrorKind::Internal);
    let detail = "a fault of bindery: the service's log has more under this request_id".to_owned();
    Problem::new(status, kind, detail).with("request_id", request_id)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

/// For a path that no route has.
pub(super) async fn no_such_route(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::of_http(StatusCode::NOT_FOUND, format!("there is nothing at `{path}`: /docs lists every route"))
}

/// For a route that does not take the method; axum adds `Allow`.
pub(super) async fn no_such_method(method: Method) -> Problem {
    let method: String = method.as_str().chars().take(20).collect();
    let detail = format!("this route does not take {method}: the header `Allow` lists what it takes");
    Problem::of_http(StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// For a handler that panicked.
#[expect(clippy::needless_pass_by_value, reason = "the signature is tower-http's")]
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
    internal("a handler panicked", Some(text.to_owned())).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_ours_shows_neither_its_text_nor_its_cause() {
        let error = Error::internal("the frobnicator is at /secret/path").with_source("hunter2");
        let problem = Problem::from(error);
        let text = serde_json::to_string(&problem.body).unwrap();
        assert!(!text.contains("secret") && !text.contains("hunter2"), "{text}");
        assert_eq!(problem.status, 500);
        assert!(text.contains("request_id"), "{text}");
    }

    #[test]
    fn what_is_down_says_when_to_try_again() {
        for error in [Error::unavailable("x"), Error::kernel("x")] {
            let response = Problem::from(error.with_source("cause")).into_response();
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers()["retry-after"], "5");
            assert_eq!(response.headers()["content-type"], PROBLEM_JSON);
        }
    }

    #[test]
    fn a_panic_is_a_problem_without_its_text() {
        let response = panicked(Box::new("the secret"));
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["content-type"], PROBLEM_JSON);
    }
}
