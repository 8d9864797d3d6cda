//! Sweeps over HTTP.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::Api;
use super::error::Answer;
use super::executions::body::{seconds, within};
use super::executions::{IdempotencyKey, idempotency_key};
use super::extract::{BaseUrl, Id, Json, Query, username};
use super::flows::{self, Flows, FlowsQuery, Results, ResultsQuery};
use super::openapi::{BodyProblems, ConflictProblem, LookupProblems, QueryProblems};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::execution::{ATTEMPTS, PRIORITIES, ParentKind};
use crate::flow::FlowId;
use crate::flow::view::FlowView;
use crate::notebook::Parameters;
use crate::workflow::definition::{PARALLEL, RETRIES};
use crate::workflow::sweep::Method;
use crate::workflow::{Retries, StepSource, SweepRequest};

const KIND: ParentKind = ParentKind::Sweep;

/// What to execute for which points.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"notebook_path": "ann/train.ipynb", "username": "ann", "method": "grid", "max_parallel": 4,
    "parameters": {"alpha": [0.1, 0.2, 0.3], "depth": {"range": [2, 10, 2]}, "data": "may.csv"}}))]
pub(in crate::api) struct SweepBody {
    /// The notebook, relative to the notebooks root; this or `template_name`.
    #[schema(pattern = r"\.ipynb$", max_length = 1000)]
    notebook_path: Option<String>,
    /// The template; this or `notebook_path`.
    #[schema(example = "ml/train_classifier.ipynb")]
    template_name: Option<String>,
    /// For whom.
    #[schema(min_length = 1, max_length = 255)]
    username: String,
    /// What you call it; the notebook's name when not given.
    #[schema(max_length = 100)]
    name: Option<String>,
    /// The parameters. A list is values to try. An object with one of these names as its only key says more:
    /// `{"value": x}` is `x` as it is, a list for one; `{"range": [start, stop, step]}` (stop not included, floats too);
    /// `{"linspace": [start, stop, number]}`; `{"logspace": [first exponent, last exponent, number]}`; and for the method
    /// `random` `{"uniform": [low, high]}`, `{"log_uniform": [low, high]}`, `{"int_uniform": [low, high]}` and
    /// `{"choice": [values]}`. All else is the same for every point.
    #[schema(value_type = Object)]
    parameters: Box<RawValue>,
    /// How points are made of them: `grid` (each with each, the last parameter varying fastest), `zip` (the first values
    /// together, then the second ones, and so on) or `random`.
    #[serde(default)]
    method: Method,
    /// How many points to draw, for the method `random`.
    #[schema(minimum = 1, maximum = 10_000)]
    samples: Option<u64>,
    /// With the same seed the method `random` draws the same points; one is chosen, and told, when not given.
    seed: Option<u64>,
    /// How many may be waiting for a worker or running at the same time.
    #[schema(minimum = 1, maximum = 10_000)]
    max_parallel: Option<i64>,
    /// Whether the points that have not ended are given up once one has failed.
    #[serde(default)]
    fail_fast: bool,
    /// How often a point that failed is tried again.
    #[schema(nullable)]
    retries: Option<RetriesBody>,
    /// The longest that all of it may take, in seconds.
    #[schema(exclusive_minimum = 0, maximum = 31_536_000)]
    sweep_timeout: Option<f64>,
    /// The longest that each execution may take, in seconds.
    #[schema(exclusive_minimum = 0, maximum = 31_536_000)]
    timeout: Option<f64>,
    /// The longest that one cell may take, in seconds.
    #[schema(exclusive_minimum = 0, maximum = 31_536_000)]
    cell_timeout: Option<f64>,
    /// The longest that each execution may wait for a worker, in seconds.
    #[schema(exclusive_minimum = 0, maximum = 31_536_000)]
    queue_timeout: Option<f64>,
    /// How often an execution may be begun when its worker dies under it; 1 when not given.
    #[schema(minimum = 1, maximum = 100)]
    max_attempts: Option<i64>,
    /// The kernel; the notebook's own choice when not given.
    kernel_name: Option<String>,
    /// The configured kernel gateway behind which kernels run, by name or address; here when not given.
    #[schema(max_length = 1000)]
    kernel_gateway: Option<String>,
    /// Executions of a higher priority are taken first; 0 when not given.
    #[schema(minimum = -1000, maximum = 1000)]
    priority: Option<i64>,
    /// The folder for the executed notebooks, relative to the notebooks root; one of its own when not given.
    #[schema(max_length = 1000)]
    output_directory: Option<String>,
}

/// How often, and how long is waited before: `delay`, then each time `factor` times as long, at most `max_delay`.
#[derive(Deserialize, ToSchema)]
#[schema(as = SweepRetries, example = json!({"limit": 3, "delay": 10, "factor": 2, "max_delay": 300}))]
struct RetriesBody {
    /// How often.
    #[schema(minimum = 0, maximum = 100)]
    limit: i64,
    /// Before the first time, in seconds; 10 when not given.
    delay: Option<f64>,
    /// From 1 to 100; 2 when not given.
    #[schema(minimum = 1, maximum = 100)]
    factor: Option<f64>,
    /// In seconds; 300 when not given, or `delay` if that is longer.
    max_delay: Option<f64>,
}

impl RetriesBody {
    fn parse(self) -> Result<Retries> {
        let mut retries = Retries::default();
        retries.limit = within("retries.limit", Some(self.limit), &RETRIES)?.unwrap_or(retries.limit);
        retries.delay = seconds("retries.delay", self.delay)?.unwrap_or(retries.delay);
        let longest = retries.max_delay.max(retries.delay);
        retries.max_delay = seconds("retries.max_delay", self.max_delay)?.unwrap_or(longest);
        if let Some(factor) = self.factor {
            if !(1.0..=100.0).contains(&factor) {
                let what = "must be from 1 to 100";
                return Err(
                    Error::invalid(format!("`retries.factor` {what}")).with_field("retries.factor", what)
                );
            }
            retries.factor = factor;
        }
        Ok(retries)
    }
}

impl SweepBody {
    /// What the engine is to do.
    ///
    /// # Errors
    /// `Invalid` for a field that cannot be.
    pub(in crate::api) fn parse(self) -> Result<SweepRequest> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let source = match (given(self.notebook_path), given(self.template_name)) {
            (Some(path), None) => StepSource::Notebook(path),
            (None, Some(name)) => StepSource::Template(name),
            _ => {
                let what = "must be given, or `template_name`: one of the two";
                return Err(
                    Error::invalid(format!("`notebook_path` {what}")).with_field("notebook_path", what)
                );
            }
        };
        Ok(SweepRequest {
            name: given(self.name),
            username: Some(username(self.username)?),
            parameters: Parameters::from_json_text(&self.parameters)?.to_exact_json()?,
            method: self.method,
            samples: self.samples,
            seed: self.seed,
            output_directory: given(self.output_directory),
            max_parallel: within("max_parallel", self.max_parallel, &PARALLEL)?,
            fail_fast: self.fail_fast,
            retries: self.retries.map(RetriesBody::parse).transpose()?.unwrap_or_default(),
            sweep_timeout: seconds("sweep_timeout", self.sweep_timeout)?,
            timeout: seconds("timeout", self.timeout)?,
            cell_timeout: seconds("cell_timeout", self.cell_timeout)?,
            queue_timeout: seconds("queue_timeout", self.queue_timeout)?,
            max_attempts: within("max_attempts", self.max_attempts, &ATTEMPTS)?,
            kernel_name: given(self.kernel_name),
            kernel_gateway: given(self.kernel_gateway),
            priority: within("priority", self.priority, &PRIORITIES)?,
            ..SweepRequest::new(source)
        })
    }
}

/// Starts a sweep: one notebook or template, executed once for each point. How many points there are is counted before
/// anything is made or begun; more than 10,000 are refused.
#[utoipa::path(post, path = "/api/v1/sweeps", tag = "sweeps", operation_id = "start_sweep", params(IdempotencyKey),
    request_body = SweepBody,
    responses((status = 201, description = "It runs", body = FlowView), ConflictProblem, BodyProblems))]
pub(super) async fn start(
    State(api): State<Api>,
    BaseUrl(base): BaseUrl,
    headers: HeaderMap,
    Json(body): Json<SweepBody>,
) -> Answer<Response> {
    let (key, engine) = (idempotency_key(&headers)?, api.engine.clone());
    let request = body.parse()?;
    let id = super::whole(async move { engine.start_sweep(request, key).await }).await?;
    flows::accepted(&api, KIND, id, &base).await
}

/// Sweeps, newest first, page by page.
#[utoipa::path(get, path = "/api/v1/sweeps", tag = "sweeps", operation_id = "list_sweeps",
    params(FlowsQuery), responses((status = 200, description = "A page", body = Flows), QueryProblems))]
pub(super) async fn list(
    State(engine): State<Engine>,
    Query(query): Query<FlowsQuery>,
) -> Answer<axum::Json<Flows>> {
    Ok(axum::Json(flows::page(&engine, KIND, query).await?))
}

/// A sweep and how far it has come.
#[utoipa::path(get, path = "/api/v1/sweeps/{id}", tag = "sweeps", operation_id = "get_sweep",
    params(("id" = i64, Path, description = "`id` of the sweep", example = 3)),
    responses((status = 200, description = "The sweep", body = FlowView), LookupProblems))]
pub(super) async fn get(State(engine): State<Engine>, Id(id): Id) -> Answer<axum::Json<FlowView>> {
    Ok(axum::Json(engine.flow_view(KIND, FlowId(id)).await?))
}

/// What the points came to, as a table.
#[utoipa::path(get, path = "/api/v1/sweeps/{id}/results", tag = "sweeps", operation_id = "sweep_results",
    params(("id" = i64, Path, description = "`id` of the sweep", example = 3), ResultsQuery),
    responses((status = 200, description = "The table", body = Results), LookupProblems))]
pub(super) async fn results(
    State(engine): State<Engine>,
    Id(id): Id,
    Query(query): Query<ResultsQuery>,
) -> Answer<axum::Json<Results>> {
    flows::results(&engine, KIND, id, query.step.as_deref()).await
}

/// What the points came to, as CSV.
#[utoipa::path(get, path = "/api/v1/sweeps/{id}/results.csv", tag = "sweeps", operation_id = "sweep_results_csv",
    params(("id" = i64, Path, description = "`id` of the sweep", example = 3), ResultsQuery),
    responses((status = 200, description = "The table", content_type = "text/csv", body = String,
        example = json!(flows::csv_example())), LookupProblems))]
pub(super) async fn results_csv(
    State(engine): State<Engine>,
    Id(id): Id,
    Query(query): Query<ResultsQuery>,
) -> Answer<Response> {
    flows::results_csv(&engine, KIND, id, query.step.as_deref()).await
}

/// Stops a sweep: what waits is given up, what runs is interrupted within seconds.
#[utoipa::path(post, path = "/api/v1/sweeps/{id}/cancel", tag = "sweeps", operation_id = "cancel_sweep",
    params(("id" = i64, Path, description = "`id` of the sweep", example = 3)),
    responses((status = 200, description = "It stops", body = FlowView), ConflictProblem, LookupProblems))]
pub(super) async fn cancel(State(api): State<Api>, Id(id): Id) -> Answer<axum::Json<FlowView>> {
    flows::cancel(&api, KIND, id).await
}

/// Takes up a sweep that failed or was cancelled: points that ended well stay, all others are done once more.
#[utoipa::path(post, path = "/api/v1/sweeps/{id}/resume", tag = "sweeps", operation_id = "resume_sweep",
    params(("id" = i64, Path, description = "`id` of the sweep", example = 3)),
    responses((status = 200, description = "It runs again", body = FlowView), ConflictProblem, LookupProblems))]
pub(super) async fn resume(State(api): State<Api>, Id(id): Id) -> Answer<axum::Json<FlowView>> {
    flows::resume(&api, KIND, id).await
}
