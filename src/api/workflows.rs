//! Workflows over HTTP.

use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::error::{Answer, Problem};
use super::executions::{IdempotencyKey, idempotency_key};
use super::extract::{BaseUrl, Id, Query, empty_as_none, media_type, parse_json, read_body, username};
use super::flows::{self, Flows, FlowsQuery, Results, ResultsQuery};
use super::openapi::{BodyProblems, ConflictProblem, LookupProblems, QueryProblems};
use crate::engine::Engine;
use crate::engine::flows::StartFlow;
use crate::engine::schedules::WorkflowTarget;
use crate::error::Error;
use crate::execution::ParentKind;
use crate::flow::FlowId;
use crate::flow::view::FlowView;
use crate::notebook::Parameters;
use crate::workflow::fault;
use crate::workflow::{Fault, Graph};

const KIND: ParentKind = ParentKind::Workflow;

/// A workflow and what its run is given.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"yaml": "name: nightly\nsteps:\n  prepare:\n    notebook: ann/prepare.ipynb\n", "username": "ann",
    "parameters": {"day": "2026-05-04"}}))]
pub(in crate::api) struct WorkflowBody {
    /// The workflow in YAML; this or `workflow`.
    yaml: Option<String>,
    /// The workflow as JSON, with the same fields; this or `yaml`.
    #[schema(value_type = Option<Object>)]
    workflow: Option<Box<RawValue>>,
    /// In place of the values that the workflow's own parameters have.
    #[schema(value_type = Option<Object>)]
    parameters: Option<Box<RawValue>>,
    /// For whom its notebooks run; what the workflow says when not given.
    #[schema(min_length = 1, max_length = 255)]
    username: Option<String>,
    /// The folder for the executed notebooks, relative to the notebooks root; one of its own when not given.
    #[schema(max_length = 1000)]
    output_directory: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct StartQuery {
    /// For whom its notebooks run, when the body is YAML.
    #[serde(default, deserialize_with = "empty_as_none")]
    username: Option<String>,
}

impl WorkflowBody {
    /// The text of the workflow, and what its run is given.
    ///
    /// # Errors
    /// `Invalid` for a field that cannot be. The workflow itself is not read.
    pub(in crate::api) fn parse(self) -> Result<WorkflowTarget, Error> {
        let (text, is_json) = match (self.yaml, self.workflow) {
            (Some(yaml), None) => (yaml, false),
            (None, Some(workflow)) => (String::from(Box::<str>::from(workflow)), true),
            _ => {
                let what = "must be given: `yaml` or `workflow`, one of the two";
                return Err(Error::invalid(format!("the workflow {what}")).with_field("yaml", what));
            }
        };
        let parameters = self.parameters.as_deref().map(Parameters::from_json_text).transpose()?;
        Ok(WorkflowTarget {
            text,
            is_json,
            parameters: parameters.unwrap_or_default().to_exact_json()?,
            username: self.username.map(username).transpose()?,
            output_directory: self.output_directory.filter(|directory| !directory.is_empty()),
            scheduled_time_parameter: None,
        })
    }
}

/// What was sent: the text of a workflow, and what its run is given.
pub(super) struct Sent(WorkflowTarget);

impl Sent {
    async fn read(request: Request) -> Result<Self, Problem> {
        const YAML: [&str; 4] = ["application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"];
        let media_type = media_type(request.headers());
        let is_yaml = YAML.contains(&media_type.as_str());
        if !is_yaml && media_type != "application/json" {
            return Err(Problem::of_http(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body must be a workflow: send YAML with `Content-Type: application/yaml`, or JSON with \
                 `Content-Type: application/json`",
            ));
        }
        let bytes = read_body(request.into_body()).await?;
        let whole = std::str::from_utf8(&bytes)
            .map_err(|error| Error::bad_input("the body is not text in UTF-8").with_source(error))?;
        if is_yaml {
            return Ok(Self(WorkflowTarget { text: whole.to_owned(), ..WorkflowTarget::default() }));
        }
        let mut sent = parse_json::<WorkflowBody>(&bytes)?.parse()?;
        if sent.is_json {
            // Its faults have the places that they have in the body.
            let at = whole.find(&sent.text).unwrap_or_default();
            let (row, column) = flows::row_and_column(whole, at);
            sent.text = format!("{}{}{}", "\n".repeat(row), " ".repeat(column), sent.text);
        }
        Ok(Self(sent))
    }
}

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        Self::read(request).await
    }
}

/// Whether a workflow could be run.
#[derive(Serialize, ToSchema)]
#[schema(as = WorkflowValidation, example = json!({"valid": false, "errors": [{"line": 9, "column": 13,
    "field": "steps.train.needs[0]", "message": "there is no step `prepre`: did you mean `prepare`?"}], "warnings": []}))]
pub(super) struct Validation {
    /// Whether nothing is wrong with it.
    valid: bool,
    /// All that is wrong, in the order of the text; at most 100.
    errors: Vec<Fault>,
    /// What you should know though it stops nothing.
    warnings: Vec<Fault>,
}

/// Starts a workflow: sent as YAML (`application/yaml`), or as JSON with what its run is given. It is checked whole before
/// anything runs: what is wrong is told with line and column in `errors`.
#[utoipa::path(post, path = "/api/v1/workflows", tag = "workflows", operation_id = "start_workflow",
    params(IdempotencyKey, StartQuery),
    request_body(content((WorkflowBody = "application/json"),
        (String = "application/yaml", example = "name: nightly\nsteps:\n  prepare:\n    notebook: ann/prepare.ipynb\n"))),
    responses((status = 201, description = "It runs", body = FlowView), ConflictProblem, BodyProblems))]
pub(super) async fn start(
    State(api): State<Api>,
    Query(query): Query<StartQuery>,
    BaseUrl(base): BaseUrl,
    headers: HeaderMap,
    Sent(sent): Sent,
) -> Answer<Response> {
    let idempotency_key = idempotency_key(&headers)?;
    let read = api.engine.read_workflow(&sent.text).await?;
    if !read.faults.is_empty() {
        return Err(refusal(&read.faults));
    }
    let username = match sent.username {
        None => query.username.map(username).transpose()?,
        named => named,
    };
    let start = StartFlow {
        kind: KIND,
        workflow: read.workflow,
        request: json!({
            "workflow": sent.text, "parameters": sent.parameters, "username": username,
            "output_directory": sent.output_directory,
        }),
        parameters: sent.parameters,
        username,
        output_directory: sent.output_directory,
        idempotency_key,
    };
    let engine = api.engine.clone();
    let id = super::whole(async move { engine.start_flow(start).await }).await?;
    flows::accepted(&api, KIND, id, &base).await
}

/// The faults as a problem: each in `errors`, its line and column apart.
fn refusal(faults: &[Fault]) -> Problem {
    Problem::from(fault::error("the workflow", faults)).with("faults", json!(faults))
}

/// Says whether a workflow could be run, and starts nothing.
#[utoipa::path(post, path = "/api/v1/workflows/validate", tag = "workflows", operation_id = "validate_workflow",
    request_body(content((WorkflowBody = "application/json"),
        (String = "application/yaml", example = "name: nightly\nsteps:\n  prepare:\n    notebook: ann/prepare.ipynb\n"))),
    responses((status = 200, description = "What is wrong with it", body = Validation), BodyProblems))]
pub(super) async fn validate(
    State(engine): State<Engine>,
    Sent(sent): Sent,
) -> Answer<axum::Json<Validation>> {
    let read = engine.read_workflow(&sent.text).await?;
    Ok(axum::Json(Validation { valid: read.faults.is_empty(), errors: read.faults, warnings: read.warnings }))
}

/// Workflows' runs, newest first, page by page.
#[utoipa::path(get, path = "/api/v1/workflows", tag = "workflows", operation_id = "list_workflows",
    params(FlowsQuery), responses((status = 200, description = "A page", body = Flows), QueryProblems))]
pub(super) async fn list(
    State(engine): State<Engine>,
    Query(query): Query<FlowsQuery>,
) -> Answer<axum::Json<Flows>> {
    Ok(axum::Json(flows::page(&engine, KIND, query).await?))
}

/// A workflow's run and its steps.
#[utoipa::path(get, path = "/api/v1/workflows/{id}", tag = "workflows", operation_id = "get_workflow",
    params(("id" = i64, Path, description = "`id` of the run", example = 3)),
    responses((status = 200, description = "The run", body = FlowView), LookupProblems))]
pub(super) async fn get(State(engine): State<Engine>, Id(id): Id) -> Answer<axum::Json<FlowView>> {
    Ok(axum::Json(engine.flow_view(KIND, FlowId(id)).await?))
}

/// A workflow's run as nodes and edges, with where each step stands: for a page that draws it.
#[utoipa::path(get, path = "/api/v1/workflows/{id}/graph", tag = "workflows", operation_id = "workflow_graph",
    params(("id" = i64, Path, description = "`id` of the run", example = 3)),
    responses((status = 200, description = "The graph", body = Graph), LookupProblems))]
pub(super) async fn graph(State(engine): State<Engine>, Id(id): Id) -> Answer<axum::Json<Graph>> {
    Ok(axum::Json(engine.flow_graph(KIND, FlowId(id)).await?))
}

/// What the executions of a step came to, as a table.
#[utoipa::path(get, path = "/api/v1/workflows/{id}/results", tag = "workflows", operation_id = "workflow_results",
    params(("id" = i64, Path, description = "`id` of the run", example = 3), ResultsQuery),
    responses((status = 200, description = "The table", body = Results), LookupProblems))]
pub(super) async fn results(
    State(engine): State<Engine>,
    Id(id): Id,
    Query(query): Query<ResultsQuery>,
) -> Answer<axum::Json<Results>> {
    flows::results(&engine, KIND, id, query.step.as_deref()).await
}

/// What the executions of a step came to, as CSV.
#[utoipa::path(get, path = "/api/v1/workflows/{id}/results.csv", tag = "workflows", operation_id = "workflow_results_csv",
    params(("id" = i64, Path, description = "`id` of the run", example = 3), ResultsQuery),
    responses((status = 200, description = "The table", content_type = "text/csv", body = String,
        example = json!(flows::csv_example())), LookupProblems))]
pub(super) async fn results_csv(
    State(engine): State<Engine>,
    Id(id): Id,
    Query(query): Query<ResultsQuery>,
) -> Answer<Response> {
    flows::results_csv(&engine, KIND, id, query.step.as_deref()).await
}

/// Stops a workflow: what waits is given up, what runs is interrupted within seconds.
#[utoipa::path(post, path = "/api/v1/workflows/{id}/cancel", tag = "workflows", operation_id = "cancel_workflow",
    params(("id" = i64, Path, description = "`id` of the run", example = 3)),
    responses((status = 200, description = "It stops", body = FlowView), ConflictProblem, LookupProblems))]
pub(super) async fn cancel(State(api): State<Api>, Id(id): Id) -> Answer<axum::Json<FlowView>> {
    flows::cancel(&api, KIND, id).await
}

/// Takes up a workflow that failed or was cancelled: what ended well stays, all else is done once more.
#[utoipa::path(post, path = "/api/v1/workflows/{id}/resume", tag = "workflows", operation_id = "resume_workflow",
    params(("id" = i64, Path, description = "`id` of the run", example = 3)),
    responses((status = 200, description = "It runs again", body = FlowView), ConflictProblem, LookupProblems))]
pub(super) async fn resume(State(api): State<Api>, Id(id): Id) -> Answer<axum::Json<FlowView>> {
    flows::resume(&api, KIND, id).await
}
