//! Executions in the consistent resource style: list, look, cancel, fetch the notebook.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::download;
use super::super::error::Answer;
use super::super::extract::{Id, Query, empty_as_none, id_of_cursor, page_limit};
use super::super::openapi::{ConflictProblem, FileProblems, LookupProblems, QueryProblems};
use super::body::Status;
use crate::convert::html::notebook_to_html;
use crate::engine::Engine;
use crate::engine::executions::ExecutionFilter;
use crate::error::Error;
use crate::execution::{ExecutionId, ExecutionStatus, ParentId};

/// A notebook's own scripts draw its plots. Without `allow-same-origin` the page has an origin of its own, from
/// which it can neither read this service nor change anything in it.
const SANDBOX: HeaderValue = HeaderValue::from_static("sandbox allow-scripts allow-popups");

/// One page of executions.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"executions": [], "next_cursor": null}))]
pub(in crate::api) struct Executions {
    /// Newest first.
    executions: Vec<Status>,
    /// For the next page; null after the last.
    next_cursor: Option<String>,
}

/// An execution that was asked to stop.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"execution_id": 42, "status": "cancelled"}))]
pub(in crate::api) struct Cancelled {
    /// Its id.
    execution_id: ExecutionId,
    /// `cancelled` when it had not begun; `running` while it is being interrupted.
    status: ExecutionStatus,
}

/// An execution whose kernel is not kept any more.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"execution_id": 42, "released": true}))]
pub(in crate::api) struct Released {
    /// Its id.
    execution_id: ExecutionId,
    /// Whether a kernel was kept until now.
    released: bool,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ListQuery {
    /// Only those with this status.
    #[serde(default, deserialize_with = "empty_as_none")]
    status: Option<ExecutionStatus>,
    /// Only those of this user.
    #[serde(default, deserialize_with = "empty_as_none")]
    username: Option<String>,
    /// Only those of this notebook, by its path relative to the notebooks root.
    #[serde(default, deserialize_with = "empty_as_none")]
    notebook_path: Option<String>,
    /// Only those that this has started: `workflow/ID`, `sweep/ID` or `schedule/ID`.
    #[param(value_type = Option<String>, example = "sweep/3")]
    #[serde(default, deserialize_with = "empty_as_none")]
    parent: Option<ParentId>,
    /// At most so many, from 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    #[serde(default, deserialize_with = "empty_as_none")]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>, pattern = "^[0-9]*$", max_length = 18)]
    #[serde(default, deserialize_with = "empty_as_none")]
    cursor: Option<u64>,
}

/// Executions, newest first, page by page.
#[utoipa::path(get, path = "/api/v1/executions", tag = "executions", operation_id = "list_executions",
    params(ListQuery),
    responses((status = 200, description = "A page", body = Executions), QueryProblems))]
pub(in crate::api) async fn list(
    State(engine): State<Engine>,
    Query(query): Query<ListQuery>,
) -> Answer<axum::Json<Executions>> {
    let limit = page_limit(query.limit)?;
    let filter = ExecutionFilter {
        status: query.status,
        username: query.username,
        notebook_path: query.notebook_path,
        parent: query.parent,
        before: query.cursor.map(id_of_cursor).map(ExecutionId),
        // One more than shown tells whether there is another page.
        limit: limit + 1,
    };
    let mut executions = engine.list_executions(&filter).await?;
    let has_more = executions.len() > limit as usize;
    executions.truncate(limit as usize);
    let next_cursor = executions.last().filter(|_| has_more).map(|execution| execution.id.to_string());
    let executions = executions.into_iter().map(|execution| Status::new(execution, &engine)).collect();
    Ok(axum::Json(Executions { executions, next_cursor }))
}

/// One execution, as `/execution-status/{id}` has it.
#[utoipa::path(get, path = "/api/v1/executions/{id}", tag = "executions", operation_id = "get_execution",
    params(("id" = i64, Path, description = "`execution_id`", example = 42)),
    responses((status = 200, description = "The execution", body = Status), LookupProblems))]
pub(in crate::api) async fn get(State(engine): State<Engine>, Id(id): Id) -> Answer<axum::Json<Status>> {
    Ok(axum::Json(Status::in_full(ExecutionId(id), &engine).await?))
}

/// Cancels an execution: at once when it has not begun, else its kernel is interrupted within seconds.
#[utoipa::path(post, path = "/api/v1/executions/{id}/cancel", tag = "executions", operation_id = "cancel_execution",
    params(("id" = i64, Path, description = "`execution_id`", example = 42)),
    responses((status = 200, description = "It stops", body = Cancelled), ConflictProblem, LookupProblems))]
pub(in crate::api) async fn cancel(
    State(engine): State<Engine>,
    Id(id): Id,
) -> Answer<axum::Json<Cancelled>> {
    let execution_id = ExecutionId(id);
    let status = engine.cancel_execution(execution_id).await?;
    Ok(axum::Json(Cancelled { execution_id, status }))
}

/// Ends the kernel of a failed execution that is kept (`keep_kernel_on_failure`), within a second.
#[utoipa::path(post, path = "/api/v1/executions/{id}/release-kernel", tag = "executions", operation_id = "release_kernel",
    params(("id" = i64, Path, description = "`execution_id`", example = 42)),
    responses((status = 200, description = "It is not kept any more", body = Released), LookupProblems))]
pub(in crate::api) async fn release_kernel(
    State(engine): State<Engine>,
    Id(id): Id,
) -> Answer<axum::Json<Released>> {
    let execution_id = ExecutionId(id);
    let released = engine.release_kernel(execution_id).await?;
    Ok(axum::Json(Released { execution_id, released }))
}

/// The output notebook as it is now, while the run goes on, too.
#[utoipa::path(get, path = "/api/v1/executions/{id}/notebook", tag = "executions",
    operation_id = "execution_notebook",
    params(("id" = i64, Path, description = "`execution_id`", example = 42)),
    responses((status = 200, description = "The notebook", content_type = download::NOTEBOOK_TYPE, body = Value,
        example = json!({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []})),
        LookupProblems))]
pub(in crate::api) async fn notebook(State(engine): State<Engine>, Id(id): Id) -> Answer<Response> {
    let (name, bytes) = engine.executed_notebook(ExecutionId(id)).await?;
    Ok(download::notebook(&name, bytes))
}

/// The output notebook as a page to look at.
#[utoipa::path(get, path = "/api/v1/executions/{id}/notebook.html", tag = "executions",
    operation_id = "execution_notebook_html",
    params(("id" = i64, Path, description = "`execution_id`", example = 42)),
    responses((status = 200, description = "The page", content_type = "text/html", body = String,
        example = "<!DOCTYPE html>"), LookupProblems, FileProblems))]
pub(in crate::api) async fn notebook_html(State(engine): State<Engine>, Id(id): Id) -> Answer<Response> {
    let (name, bytes) = engine.executed_notebook(ExecutionId(id)).await?;
    let page = tokio::task::spawn_blocking(move || {
        let notebook = serde_json::from_slice(&bytes).map_err(|error| {
            Error::not_a_notebook("the output is not a notebook any more").with_source(error)
        })?;
        Ok(notebook_to_html(&notebook, &name))
    });
    let page: Result<String, Error> = page
        .await
        .unwrap_or_else(|panic| Err(Error::internal("a notebook could not be shown").with_source(panic)));
    let headers = [
        (header::CONTENT_SECURITY_POLICY, SANDBOX),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    Ok((headers, Html(page?)).into_response())
}
