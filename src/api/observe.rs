//! What surrounds every request: a span, a line in the log, two metrics, and one refusal.
//!
//! Only the matched route is logged, never a path or a query string: signatures of download URLs are in these.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::error::Problem;

/// Traces and measures a request, and counts it as open.
pub(super) async fn observe(
    State(open_requests): State<TaskTracker>,
    matched: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let _open = open_requests.token();
    let started = Instant::now();
    let method = known_method(request.method());
    let route = matched.as_ref().map_or("unmatched", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", http.method = method, http.route = %route);
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    let elapsed = started.elapsed();
    metrics::counter!(
        "bindery_http_requests_total", "method" => method, "route" => route.clone(), "status" => status.to_string()
    )
    .increment(1);
    metrics::histogram!("bindery_http_request_seconds", "method" => method, "route" => route.clone())
        .record(elapsed.as_secs_f64());
    let latency_ms = elapsed.as_millis();
    span.in_scope(|| match route.as_str() {
        // Asked for every few seconds by those who watch us.
        "/health" | "/readiness" | "/metrics" => tracing::debug!(status, latency_ms, "answered"),
        _ => tracing::info!(status, latency_ms, "answered"),
    });
    response
}

/// The method as a label: a client may invent as many as it likes.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "OTHER",
    }
}

/// Refuses a change that a browser sends for a page of another origin. Such a page can send forms to a service
/// on the user's own machine without asking; programs other than browsers send neither header.
pub(super) async fn refuse_other_origins(request: Request, next: Next) -> Response {
    if !request.method().is_safe() && is_foreign(request.headers()) {
        let detail = "a web page of another origin may not change anything here";
        return Problem::of_http(StatusCode::FORBIDDEN, detail).into_response();
    }
    next.run(request).await
}

fn is_foreign(headers: &HeaderMap) -> bool {
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    match (header("sec-fetch-site"), header("origin")) {
        (Some("same-origin" | "none"), _) | (None, None) => false,
        (Some(_), _) => true,
        (None, Some(origin)) => origin.split_once("://").map(|(_, host)| host) != header("host"),
    }
}
