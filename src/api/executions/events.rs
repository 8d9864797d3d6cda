//! What happens in an execution, as server-sent events.

use std::convert::Infallible;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream::{Stream, StreamExt};
use serde_json::json;

use super::super::Api;
use super::super::error::Answer;
use super::super::extract::Id;
use super::super::openapi::LookupProblems;
use super::body::Status;
use crate::engine::Engine;
use crate::engine::events::{EventPosition, ExecutionEvent};
use crate::error::{Error, Result};
use crate::execution::ExecutionId;

/// What happens in an execution, as it happens, as server-sent events; on whichever server, wherever it runs. `start` has
/// the notebook as the run begins, then come the things that happened (`cell_started`, `output`, `clear_output`,
/// `cell_finished`, …), each once it is recorded durably: what was told here is in the notebook in the end. `restart` says
/// that the worker died and the run begins anew. `end` has the status, as `/execution-status/{id}`; after it the stream
/// is over. A stream that is opened after the end may have the end only: the notebook has the rest. With `Last-Event-ID`,
/// as browsers send it when they connect again, it goes on behind that event.
#[utoipa::path(get, path = "/api/v1/executions/{id}/events", tag = "executions", operation_id = "execution_events",
    params(("id" = i64, Path, description = "`execution_id`", example = 42),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was seen", example = "1-2048",
            pattern = "^[0-9]+-[0-9]+$")),
    responses((status = 200, description = "The events", content_type = "text/event-stream", body = String,
        example = "event: output\nid: 1-2048\ndata: {\"output\":{\"cell\":0,\"output\":{\"name\":\"stdout\",\"output_type\":\"stream\",\"text\":\"hello\"},\"display_id\":null}}\n\n"),
        LookupProblems))]
pub(in crate::api) async fn stream(
    State(api): State<Api>,
    Id(id): Id,
    headers: HeaderMap,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let events = api.engine.events(ExecutionId(id), position(&headers)?).await?;
    let engine = api.engine.clone();
    let told = events.map(move |event| Ok(tell(&engine, event))).take_until(api.shutdown.cancelled_owned());
    Ok(Sse::new(told).keep_alive(KeepAlive::default()))
}

fn position(headers: &HeaderMap) -> Result<Option<EventPosition>> {
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else { return Ok(None) };
    let text = value.to_str().map_err(|_| Error::bad_input("`Last-Event-ID` is not the id of an event"))?;
    text.parse().map(Some)
}

fn tell(engine: &Engine, event: ExecutionEvent) -> Event {
    match event {
        ExecutionEvent::Recorded { position, name, json } => {
            Event::default().event(name).id(position.to_string()).data(json)
        }
        ExecutionEvent::Restarted { attempt } => {
            Event::default().event("restart").data(json!({"attempt": attempt}).to_string())
        }
        ExecutionEvent::Ended(execution) => {
            let status = serde_json::to_string(&Status::new(*execution, engine)).unwrap_or_default();
            Event::default().event("end").data(status)
        }
    }
}
