//! Executions as existing clients know them: start one, wait for it, ask how it went. The newer resource style
//! is in `resource`.

pub(super) mod body;
pub(super) mod events;
pub(super) mod resource;

use std::str::FromStr;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::error::Answer;
use super::extract::{BaseUrl, Id, Json, Query, empty_as_none};
use super::openapi::{BodyProblems, ConflictProblem, LookupProblems, NotFoundProblem};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::execution::{Execution, ExecutionId, ExecutionStatus};
use body::{ExecuteBody, RetryBody, Started, Status};

/// How long an answer may wait for the first code cell.
const FIRST_CELL: Duration = Duration::from_secs(30);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WaitQuery {
    /// `none` answers at once with 202; `first-cell`, as when nothing is said, after the first code cell.
    #[param(inline)]
    #[serde(default, deserialize_with = "empty_as_none")]
    wait: Option<Wait>,
}

/// What an answer waits for.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Wait {
    None,
    FirstCell,
}

impl FromStr for Wait {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            "first-cell" => Ok(Self::FirstCell),
            _ => Err("must be `none` or `first-cell`"),
        }
    }
}

/// Executes a notebook and answers once its first code cell is done, or after 30 s. `status` is then `running`:
/// ask at `status_url` how it goes on. An execution that has failed or was cancelled by then says so.
/// With `?wait=none`, or `Prefer: respond-async`, the answer is 202 at once. A request that is sent again with the same
/// `Idempotency-Key` is the same execution.
#[utoipa::path(post, path = "/execute-notebook", tag = "executions", operation_id = "execute_notebook",
    params(WaitQuery, IdempotencyKey), request_body = ExecuteBody,
    responses((status = 200, description = "It runs", body = Started),
        (status = 202, description = "It is accepted", body = Started, example = json!({"status": "pending",
            "execution_id": 42, "notebook_url": "http://127.0.0.1:8000/user/ann/lab/tree/ann/churn.ipynb",
            "status_url": "http://127.0.0.1:8002/execution-status/42", "error": null})),
        NotFoundProblem, ConflictProblem, BodyProblems))]
pub(super) async fn execute_notebook(
    State(api): State<Api>,
    Query(query): Query<WaitQuery>,
    BaseUrl(base): BaseUrl,
    headers: HeaderMap,
    Json(body): Json<ExecuteBody>,
) -> Answer<Response> {
    let is_asynchronous = match query.wait {
        Some(Wait::None) => true,
        Some(Wait::FirstCell) => false,
        None => prefers_asynchronous(&headers),
    };
    let id = submit(&api, body, &headers).await?;
    if is_asynchronous {
        let execution = api.engine.execution(id).await?;
        let started = Started::new(&execution, execution.status, &api.engine, &base);
        let headers = [
            (header::LOCATION, started.status_url.clone()),
            (HeaderName::from_static("preference-applied"), "respond-async".to_owned()),
        ];
        return Ok((StatusCode::ACCEPTED, headers, axum::Json(started)).into_response());
    }
    let execution = tokio::select! {
        execution = api.engine.wait_for_first_cell(id, FIRST_CELL) => execution?,
        // The ids are worth more to the client than the wait.
        () = api.shutdown.cancelled() => api.engine.execution(id).await?,
    };
    let started = Started::new(&execution, shown_status(&execution), &api.engine, &base);
    Ok(axum::Json(started).into_response())
}

/// Executes a notebook and answers when it has ended, with its whole status. The run goes on when the client
/// goes away.
#[utoipa::path(post, path = "/execute", tag = "executions", operation_id = "execute", params(IdempotencyKey),
    request_body = ExecuteBody, responses((status = 200, description = "It has ended", body = Status), NotFoundProblem, ConflictProblem,
        BodyProblems))]
pub(super) async fn execute(
    State(api): State<Api>,
    headers: HeaderMap,
    Json(body): Json<ExecuteBody>,
) -> Answer<axum::Json<Status>> {
    let id = submit(&api, body, &headers).await?;
    let execution = tokio::select! {
        execution = api.engine.wait_for_end(id) => execution?,
        () = stopped_waiting(&api) => {
            return Err(Error::unavailable(format!(
                "the service stops: execution {id} is recorded, ask for it at /execution-status/{id} later"
            )).into());
        }
    };
    Ok(axum::Json(Status::new(execution, &api.engine)))
}

/// How an execution goes or went.
#[utoipa::path(get, path = "/execution-status/{id}", tag = "executions", operation_id = "execution_status",
    params(("id" = i64, Path, description = "`execution_id`", example = 42)),
    responses((status = 200, description = "Its status", body = Status), LookupProblems))]
pub(super) async fn status(State(engine): State<Engine>, Id(id): Id) -> Answer<axum::Json<Status>> {
    Ok(axum::Json(Status::in_full(ExecutionId(id), &engine).await?))
}

/// Executes once more what an ended execution was asked for, as a new execution, in the same place; with other values of
/// some parameters when the body has them. Answers at once.
#[utoipa::path(post, path = "/api/v1/executions/{id}/retry", tag = "executions", operation_id = "retry_execution",
    params(("id" = i64, Path, description = "`execution_id` of one that has ended", example = 42), IdempotencyKey),
    request_body = RetryBody,
    responses((status = 202, description = "It is accepted", body = Started, example = json!({"status": "pending",
            "execution_id": 43, "notebook_url": "http://127.0.0.1:8000/user/ann/lab/tree/ann/churn.ipynb",
            "status_url": "http://127.0.0.1:8002/execution-status/43", "error": null})),
        NotFoundProblem, ConflictProblem, BodyProblems))]
pub(super) async fn retry(
    State(api): State<Api>,
    Id(id): Id,
    BaseUrl(base): BaseUrl,
    headers: HeaderMap,
    Json(body): Json<RetryBody>,
) -> Answer<Response> {
    let (engine, key) = (api.engine.clone(), idempotency_key(&headers)?);
    let id = super::whole(async move { engine.retry(ExecutionId(id), body.parameters, key).await }).await?;
    let execution = api.engine.execution(id).await?;
    let started = Started::new(&execution, execution.status, &api.engine, &base);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, started.status_url.clone())], axum::Json(started))
        .into_response())
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "for the document alone")]
pub(super) struct IdempotencyKey {
    /// What the client calls this request, such as a UUID: up to 255 visible ASCII characters. Sent again, after a lost
    /// answer, it gives the first execution and starts none. With another request it is refused.
    #[param(rename = "Idempotency-Key", max_length = 255, example = "6f1e0a52-7d0c-4a3e-9a0b-3d5a8f0c2b11")]
    idempotency_key: Option<String>,
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=255).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Error::bad_input("the header `Idempotency-Key` must be 1 to 255 visible ASCII characters")),
    }
}

async fn submit(api: &Api, body: ExecuteBody, headers: &HeaderMap) -> Result<ExecutionId> {
    let submit = body.parse(idempotency_key(headers)?)?;
    let engine = api.engine.clone();
    super::whole(async move { engine.submit(submit).await }).await
}

/// The contract's word is `running` once the execution is under way, however far it has come by then: clients
/// go on to ask for the status. What has already gone wrong is told at once.
fn shown_status(execution: &Execution) -> ExecutionStatus {
    match execution.status {
        ended @ (ExecutionStatus::Failed | ExecutionStatus::Cancelled) => ended,
        _ => ExecutionStatus::Running,
    }
}

/// Once the service stops, running executions are given the grace to end; so are those who wait for them.
async fn stopped_waiting(api: &Api) {
    api.shutdown.cancelled().await;
    tokio::time::sleep(api.engine.config().shutdown_grace).await;
}

fn prefers_asynchronous(headers: &HeaderMap) -> bool {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split([',', ';'])).any(|it| it.trim().eq_ignore_ascii_case("respond-async"))
}
