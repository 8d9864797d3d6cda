//! The service about itself: is it up, can it work.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{Answer, PROBLEM_JSON, Problem, ProblemBody};
use super::openapi::InternalProblem;
use crate::engine::{Engine, Readiness};

/// That the process answers.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"status": "ok", "version": "0.1.0"}))]
pub(super) struct Health {
    /// Always `ok`.
    status: &'static str,
    /// Bindery's version.
    version: &'static str,
}

/// Whether every system that Bindery needs can be used now.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"status": "ready", "systems": [
    {"name": "database", "status": "ok"}, {"name": "template_store", "status": "ok"},
    {"name": "notebooks_root", "status": "ok"}
]}))]
pub(super) struct Ready {
    /// Always `ready`.
    status: &'static str,
    /// Each of them.
    systems: Vec<System>,
}

/// A system that Bindery needs.
#[derive(Serialize, ToSchema)]
struct System {
    /// `database`, `template_store`, `notebooks_root`.
    name: &'static str,
    /// `ok` or `unavailable`.
    status: &'static str,
    /// What to check.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Whether the process answers. It looks at nothing else: ask `/readiness` for the systems around it.
#[utoipa::path(get, path = "/health", tag = "service", operation_id = "health",
    responses((status = 200, description = "It does", body = Health)))]
pub(super) async fn health() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// Whether database, template store and notebooks root can be used now.
#[utoipa::path(get, path = "/readiness", tag = "service", operation_id = "readiness",
    responses((status = 200, description = "They can", body = Ready),
        (status = 503, description = "One of them cannot; the header `Retry-After` says when to ask again",
            body = ProblemBody, content_type = PROBLEM_JSON, example = json!({
                "type": "about:blank", "title": "Service Unavailable", "status": 503,
                "detail": "template_store cannot be used now", "systems": [
                    {"name": "database", "status": "ok"},
                    {"name": "template_store", "status": "unavailable", "detail": "the template store cannot be reached"},
                    {"name": "notebooks_root", "status": "ok"}]})),
        InternalProblem))]
pub(super) async fn readiness(State(engine): State<Engine>) -> Answer<Json<Ready>> {
    let readiness = engine.readiness().await;
    let systems: Vec<_> = readiness.into_iter().map(system).collect();
    let down: Vec<_> = systems.iter().filter(|it| it.detail.is_some()).map(|it| it.name).collect();
    if down.is_empty() {
        return Ok(Json(Ready { status: "ready", systems }));
    }
    let detail = format!("{} cannot be used now", down.join(", "));
    let systems = systems.iter().map(System::to_json).collect::<Vec<_>>();
    Err(Problem::of_http(StatusCode::SERVICE_UNAVAILABLE, detail).with("systems", systems))
}

impl System {
    fn to_json(&self) -> serde_json::Value {
        serde_json::json!({"name": self.name, "status": self.status, "detail": self.detail})
    }
}

fn system(Readiness { name, state }: Readiness) -> System {
    match state {
        Ok(()) => System { name, status: "ok", detail: None },
        Err(error) => {
            tracing::warn!(system = name, %error, cause = error.cause(), "a system cannot be used now");
            System { name, status: "unavailable", detail: Some(error.message().to_owned()) }
        }
    }
}
