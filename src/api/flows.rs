//! What workflows and sweeps have in common over HTTP: lists, one of them, results, stopping and resuming.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::error::Answer;
use super::extract::{empty_as_none, id_of_cursor, page_limit};
use crate::engine::Engine;
use crate::engine::flows::FlowFilter;
use crate::error::Result;
use crate::execution::{ExecutionStatus, ParentKind};
use crate::flow::FlowId;
use crate::flow::view::FlowView;

/// One page of workflows' runs or of sweeps.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"flows": [], "next_cursor": null}))]
pub(super) struct Flows {
    /// Newest first; of their steps without execution, output and results.
    flows: Vec<FlowView>,
    /// For the next page; null after the last.
    next_cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FlowsQuery {
    /// Only those with this status.
    #[serde(default, deserialize_with = "empty_as_none")]
    status: Option<ExecutionStatus>,
    /// Only those of this user.
    #[serde(default, deserialize_with = "empty_as_none")]
    username: Option<String>,
    /// At most so many, from 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    #[serde(default, deserialize_with = "empty_as_none")]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>, pattern = "^[0-9]*$", max_length = 18)]
    #[serde(default, deserialize_with = "empty_as_none", alias = "before")]
    cursor: Option<u64>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ResultsQuery {
    /// Of which step; may be left away where there is one step, or one that fans out.
    #[param(example = "train")]
    pub(super) step: Option<String>,
}

/// What a step's executions came to: parameters × recorded values × status × duration.
#[derive(Serialize, ToSchema)]
#[schema(as = FlowResults, example = json!({"columns": {"parameters": ["alpha"], "results": ["auc"]}, "rows": [{"index": 0,
    "parameters": {"alpha": 0.1}, "results": {"auc": 0.87}, "status": "success", "duration_seconds": 4.2, "duration": "4.2s",
    "attempts": 1, "execution_id": 42, "output_path": "sweeps/3-train/sweep-000.ipynb", "error": null}]}))]
pub(super) struct Results {
    /// The names of all parameters and of all results, each in the order in which they first come.
    #[schema(value_type = Object)]
    columns: Value,
    /// One for each item, in order.
    #[schema(value_type = Vec<Object>)]
    rows: Value,
}

pub(super) async fn page(engine: &Engine, kind: ParentKind, query: FlowsQuery) -> Result<Flows> {
    let limit = page_limit(query.limit)?;
    let filter = FlowFilter {
        kind: Some(kind),
        status: query.status,
        username: query.username,
        before: query.cursor.map(id_of_cursor).map(FlowId),
        // One more than shown tells whether there is another page.
        limit: limit + 1,
    };
    let mut flows = engine.list_flow_views(&filter).await?;
    let has_more = flows.len() > limit as usize;
    flows.truncate(limit as usize);
    let next_cursor = flows.last().filter(|_| has_more).map(|flow| flow.id.to_string());
    Ok(Flows { flows, next_cursor })
}

/// The answer to one that was accepted.
pub(super) async fn accepted(api: &Api, kind: ParentKind, id: FlowId, base: &str) -> Answer<Response> {
    let view = api.engine.flow_view(kind, id).await?;
    let location = format!("{base}/api/v1/{kind}s/{id}");
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], axum::Json(view)).into_response())
}

pub(super) async fn results(
    engine: &Engine,
    kind: ParentKind,
    id: i64,
    step: Option<&str>,
) -> Answer<axum::Json<Results>> {
    let mut table = engine.flow_table(kind, FlowId(id), step).await?.to_json();
    Ok(axum::Json(Results { columns: table["columns"].take(), rows: table["rows"].take() }))
}

pub(super) async fn results_csv(
    engine: &Engine,
    kind: ParentKind,
    id: i64,
    step: Option<&str>,
) -> Answer<Response> {
    let table = engine.flow_table(kind, FlowId(id), step).await?.to_csv();
    let disposition = format!("attachment; filename=\"{kind}-{id}.csv\"");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present")),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::try_from(disposition).unwrap_or(HeaderValue::from_static("attachment")),
        ),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    Ok((headers, table).into_response())
}

pub(super) async fn cancel(api: &Api, kind: ParentKind, id: i64) -> Answer<axum::Json<FlowView>> {
    let engine = api.engine.clone();
    super::whole(async move { engine.cancel_flow(kind, FlowId(id)).await }).await?;
    Ok(axum::Json(api.engine.flow_view(kind, FlowId(id)).await?))
}

pub(super) async fn resume(api: &Api, kind: ParentKind, id: i64) -> Answer<axum::Json<FlowView>> {
    let engine = api.engine.clone();
    super::whole(async move { engine.resume_flow(kind, FlowId(id)).await }).await?;
    Ok(axum::Json(api.engine.flow_view(kind, FlowId(id)).await?))
}

/// The row and the column of a byte of a text, both from 0, columns in characters.
pub(super) fn row_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
    (before.matches('\n').count(), column)
}

/// An example of a CSV table.
pub(super) fn csv_example() -> Value {
    json!(
        "index,alpha,auc,status,duration_seconds,attempts,execution_id,output_path,error\r\n0,0.1,0.87,success,4.2,1,42,sweeps/3-train/sweep-000.ipynb,\r\n"
    )
}
