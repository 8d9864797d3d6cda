//! Schedules: what is to run at the times of a cron expression.

mod body;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::error::Answer;
use super::executions::body::Started;
use super::extract::{BaseUrl, Id, Json, Query, empty_as_none, id_of_cursor, page_limit};
use super::openapi::{
    BodyProblems, ConflictProblem, InvalidProblem, LookupProblems, NotFoundProblem, QueryProblems,
};
use crate::engine::Engine;
use crate::engine::schedules::{DEFAULT_TIME_ZONE, MOST_NEXT_RUNS};
use crate::error::{Error, Result};
use crate::execution::ParentKind;
use crate::flow::FlowId;
use crate::flow::view::FlowView;
use crate::schedule::{ScheduleId, ScheduledRun};
use body::{Run, ScheduleBody, View, in_body};

/// How many next runs are shown when nothing is said.
const NEXT_RUNS: u32 = 5;

/// One page of schedules.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"schedules": [], "next_cursor": null}))]
pub(super) struct Schedules {
    /// In the order of their creation.
    schedules: Vec<View>,
    /// For the next page; null after the last.
    next_cursor: Option<String>,
}

/// One page of what became of a schedule's times.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"runs": [{"run_id": 17, "scheduled_time": "2026-11-27T01:00:00Z", "manual": false,
    "outcome": "skipped", "ticks": 1, "execution_id": null, "workflow_id": null, "sweep_id": null, "status": null,
    "reason": "the run before it had not ended", "recorded_at": "2026-11-27T01:00:00Z"}], "next_cursor": null}))]
pub(super) struct Runs {
    /// Newest first; the last thousand are remembered.
    runs: Vec<Run>,
    /// For the next page; null after the last.
    next_cursor: Option<String>,
}

/// The next times of an expression.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"cron": "0 2 * * *", "time_zone": "Europe/Berlin",
    "next_runs": ["2026-11-28T01:00:00Z", "2026-11-29T01:00:00Z"]}))]
pub(super) struct Preview {
    /// The expression.
    cron: String,
    /// On whose clock.
    time_zone: String,
    /// Its next times.
    #[schema(value_type = Vec<String>)]
    next_runs: Vec<Timestamp>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// At most so many, from 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    #[serde(default, deserialize_with = "empty_as_none")]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>, pattern = "^[0-9]*$", max_length = 18)]
    #[serde(default, deserialize_with = "empty_as_none")]
    cursor: Option<u64>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PreviewQuery {
    /// A cron expression.
    #[param(example = "0 2 * * *")]
    cron: String,
    /// On whose clock; `UTC` when not given.
    #[serde(default, deserialize_with = "empty_as_none")]
    #[param(example = "Europe/Berlin")]
    time_zone: Option<String>,
    /// How many times, from 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 5)]
    #[serde(default, deserialize_with = "empty_as_none")]
    count: Option<u32>,
}

/// Creates a schedule. What is to be executed is checked as by `POST /execute-notebook`, a sweep and a workflow as by their
/// own routes; they are read and checked again each time. One that exists already with the
/// same name and definition is answered as it is, with 200.
#[utoipa::path(post, path = "/api/v1/schedules", tag = "schedules", operation_id = "create_schedule",
    request_body = ScheduleBody,
    responses((status = 201, description = "It is created", body = View),
        (status = 200, description = "It exists already", body = View), NotFoundProblem, ConflictProblem, BodyProblems))]
pub(super) async fn create(
    State(api): State<Api>,
    BaseUrl(base): BaseUrl,
    Json(body): Json<ScheduleBody>,
) -> Answer<Response> {
    let paused = body.paused.unwrap_or_default();
    let new = body.parse().map_err(in_body)?;
    let engine = api.engine.clone();
    let (schedule, is_new) =
        super::whole(async move { engine.create_schedule(new, paused).await }).await.map_err(in_body)?;
    let location = format!("{base}/api/v1/schedules/{}", schedule.id);
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let view = View::in_full(schedule, &api.engine).await?;
    Ok((status, [(header::LOCATION, location)], axum::Json(view)).into_response())
}

/// Schedules, in the order of their creation, page by page.
#[utoipa::path(get, path = "/api/v1/schedules", tag = "schedules", operation_id = "list_schedules", params(PageQuery),
    responses((status = 200, description = "A page", body = Schedules), QueryProblems))]
pub(super) async fn list(
    State(engine): State<Engine>,
    Query(query): Query<PageQuery>,
) -> Answer<axum::Json<Schedules>> {
    let limit = page_limit(query.limit)?;
    let after = ScheduleId(query.cursor.map_or(0, id_of_cursor));
    // One more than shown tells whether there is another page.
    let mut schedules = engine.list_schedules(after, limit + 1).await?;
    let has_more = schedules.len() > limit as usize;
    schedules.truncate(limit as usize);
    let next_cursor = schedules.last().filter(|_| has_more).map(|schedule| schedule.id.to_string());
    let schedules = schedules.into_iter().map(|it| View::new(it, &engine)).collect::<Result<_>>()?;
    Ok(axum::Json(Schedules { schedules, next_cursor }))
}

/// The next times of an expression on a zone's clock; nothing is created.
#[utoipa::path(get, path = "/api/v1/schedules/preview", tag = "schedules", operation_id = "preview_schedule",
    params(PreviewQuery),
    responses((status = 200, description = "Its next times", body = Preview), QueryProblems, InvalidProblem))]
pub(super) async fn preview(
    State(engine): State<Engine>,
    Query(query): Query<PreviewQuery>,
) -> Answer<axum::Json<Preview>> {
    let count = match query.count.unwrap_or(NEXT_RUNS) as usize {
        count @ 1..=MOST_NEXT_RUNS => count,
        _ => {
            let what = format!("must be from 1 to {MOST_NEXT_RUNS}");
            return Err(Error::bad_input(format!("`count` {what}")).with_field("count", what).into());
        }
    };
    let time_zone = query.time_zone.unwrap_or_else(|| DEFAULT_TIME_ZONE.to_owned());
    let next_runs = engine.preview_schedule(&query.cron, Some(&time_zone), count)?;
    Ok(axum::Json(Preview { cron: query.cron, time_zone, next_runs }))
}

/// One schedule.
#[utoipa::path(get, path = "/api/v1/schedules/{id}", tag = "schedules", operation_id = "get_schedule",
    params(("id" = i64, Path, description = "`schedule_id`", example = 3)),
    responses((status = 200, description = "The schedule", body = View), LookupProblems))]
pub(super) async fn get(State(engine): State<Engine>, Id(id): Id) -> Answer<axum::Json<View>> {
    let schedule = engine.schedule(ScheduleId(id)).await?;
    Ok(axum::Json(View::in_full(schedule, &engine).await?))
}

/// Gives a schedule another definition, the whole of it. With another expression or zone, its next run is found anew from
/// now; whether it is paused stays.
#[utoipa::path(put, path = "/api/v1/schedules/{id}", tag = "schedules", operation_id = "update_schedule",
    params(("id" = i64, Path, description = "`schedule_id`", example = 3)), request_body = ScheduleBody,
    responses((status = 200, description = "The schedule", body = View), NotFoundProblem, ConflictProblem, BodyProblems))]
pub(super) async fn update(
    State(engine): State<Engine>,
    Id(id): Id,
    Json(body): Json<ScheduleBody>,
) -> Answer<axum::Json<View>> {
    let new = body.parse().map_err(in_body)?;
    let changing = engine.clone();
    let change = async move { changing.update_schedule(ScheduleId(id), new).await };
    let schedule = super::whole(change).await.map_err(in_body)?;
    Ok(axum::Json(View::in_full(schedule, &engine).await?))
}

/// Forgets a schedule; what it has started stays.
#[utoipa::path(delete, path = "/api/v1/schedules/{id}", tag = "schedules", operation_id = "delete_schedule",
    params(("id" = i64, Path, description = "`schedule_id`", example = 3)),
    responses((status = 200, description = "It is forgotten", body = Value,
        example = json!({"status": "success", "schedule_id": 3})), LookupProblems))]
pub(super) async fn delete(State(engine): State<Engine>, Id(id): Id) -> Answer<axum::Json<Value>> {
    engine.delete_schedule(ScheduleId(id)).await?;
    Ok(axum::Json(json!({"status": "success", "schedule_id": id})))
}

/// Pauses a schedule: nothing is run until it is resumed, and what is missed meanwhile is never caught up. What runs goes on.
#[utoipa::path(post, path = "/api/v1/schedules/{id}/pause", tag = "schedules", operation_id = "pause_schedule",
    params(("id" = i64, Path, description = "`schedule_id`", example = 3)),
    responses((status = 200, description = "The schedule", body = View), LookupProblems))]
pub(super) async fn pause(State(engine): State<Engine>, Id(id): Id) -> Answer<axum::Json<View>> {
    let pausing = engine.clone();
    let schedule = super::whole(async move { pausing.pause_schedule(ScheduleId(id)).await }).await?;
    Ok(axum::Json(View::in_full(schedule, &engine).await?))
}

/// Lets a schedule go on with its next time from now.
#[utoipa::path(post, path = "/api/v1/schedules/{id}/resume", tag = "schedules", operation_id = "resume_schedule",
    params(("id" = i64, Path, description = "`schedule_id`", example = 3)),
    responses((status = 200, description = "The schedule", body = View), LookupProblems))]
pub(super) async fn resume(State(engine): State<Engine>, Id(id): Id) -> Answer<axum::Json<View>> {
    let resuming = engine.clone();
    let schedule = super::whole(async move { resuming.resume_schedule(ScheduleId(id)).await }).await?;
    Ok(axum::Json(View::in_full(schedule, &engine).await?))
}

/// What was started at once.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum RunStarted {
    /// An execution.
    Execution(Started),
    /// A workflow's run, or a sweep.
    Flow(Box<FlowView>),
}

/// Runs what a schedule is for at once, beside what runs already, also while it is paused. Its times stay as they are. The
/// answer is that of `POST /execute-notebook?wait=none`, `POST /api/v1/sweeps` or `POST /api/v1/workflows`.
#[utoipa::path(post, path = "/api/v1/schedules/{id}/run", tag = "schedules", operation_id = "run_schedule",
    params(("id" = i64, Path, description = "`schedule_id`", example = 3)),
    responses((status = 202, description = "It is accepted", body = RunStarted, example = json!({"status": "pending",
            "execution_id": 43, "notebook_url": "http://127.0.0.1:8000/user/ann/lab/tree/ann/churn.ipynb",
            "status_url": "http://127.0.0.1:8002/execution-status/43", "error": null})),
        ConflictProblem, InvalidProblem, LookupProblems))]
pub(super) async fn run(State(api): State<Api>, Id(id): Id, BaseUrl(base): BaseUrl) -> Answer<Response> {
    let engine = api.engine.clone();
    let run = super::whole(async move { engine.run_schedule(ScheduleId(id)).await }).await?;
    let (location, started) = match run {
        ScheduledRun::Execution(id) => {
            let execution = api.engine.execution(id).await?;
            let started = Started::new(&execution, execution.status, &api.engine, &base);
            (started.status_url.clone(), RunStarted::Execution(started))
        }
        ScheduledRun::Workflow(id) => flow_started(&api, ParentKind::Workflow, id, &base).await?,
        ScheduledRun::Sweep(id) => flow_started(&api, ParentKind::Sweep, id, &base).await?,
    };
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], axum::Json(started)).into_response())
}

async fn flow_started(api: &Api, kind: ParentKind, id: FlowId, base: &str) -> Result<(String, RunStarted)> {
    let view = api.engine.flow_view(kind, id).await?;
    Ok((format!("{base}/api/v1/{kind}s/{id}"), RunStarted::Flow(Box::new(view))))
}

/// What became of a schedule's times, newest first, page by page.
#[utoipa::path(get, path = "/api/v1/schedules/{id}/runs", tag = "schedules", operation_id = "schedule_runs",
    params(("id" = i64, Path, description = "`schedule_id`", example = 3), PageQuery),
    responses((status = 200, description = "A page", body = Runs), LookupProblems))]
pub(super) async fn runs(
    State(engine): State<Engine>,
    Id(id): Id,
    Query(query): Query<PageQuery>,
) -> Answer<axum::Json<Runs>> {
    let limit = page_limit(query.limit)?;
    let mut runs = engine.schedule_runs(ScheduleId(id), query.cursor.map(id_of_cursor), limit + 1).await?;
    let has_more = runs.len() > limit as usize;
    runs.truncate(limit as usize);
    let next_cursor = runs.last().filter(|_| has_more).map(|run| run.id.to_string());
    Ok(axum::Json(Runs { runs: runs.into_iter().map(Run::new).collect(), next_cursor }))
}
