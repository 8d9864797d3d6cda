//! The OpenAPI document, written from the handlers' own annotations, and the page that shows it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse;
use serde_json::json;
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, Modify, OpenApi};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::error::{PROBLEM_JSON, ProblemBody};
use super::{Api, executions, metrics, notebooks, schedules, sweeps, system, templates, workflows};

/// Each status of a failure: its name in the document, what it means, and an example's kind and text.
const PROBLEMS: [(u16, &str, &str, &str, &str); 9] = [
    (
        400,
        "BadInput",
        "A name, path, query or body that cannot be taken as it stands",
        "bad-input",
        "the path `../x.ipynb` may not hold `..`",
    ),
    (
        403,
        "Forbidden",
        "A signature that is wrong or out of date",
        "forbidden",
        "the download link has expired; ask for a new one",
    ),
    (404, "NotFound", "What is named does not exist", "not-found", "there is no execution 42"),
    (
        409,
        "Conflict",
        "It exists already, or its state forbids the request",
        "conflict",
        "template `ml/churn.ipynb` exists already; choose another name or ask to overwrite it",
    ),
    (
        413,
        "TooLarge",
        "More bytes than the limit",
        "too-large",
        "the notebook is larger than the limit of 50000000 bytes",
    ),
    (
        415,
        "NotANotebook",
        "Not a notebook, or a body of the wrong media type",
        "not-a-notebook",
        "not a notebook: the JSON object has no `nbformat` field",
    ),
    (
        422,
        "Invalid",
        "A faulty notebook or parameter, or a field of the wrong type",
        "invalid",
        "`timeout` must be from above 0 to 31536000 seconds",
    ),
    (
        500,
        "Internal",
        "A fault of ours",
        "internal",
        "a fault of bindery: the service's log has more under this request_id",
    ),
    (
        503,
        "Unavailable",
        "A system around us is down; `Retry-After` says when to try again",
        "unavailable",
        "the template store cannot be reached",
    ),
];

macro_rules! problems {
    ($($(#[$meta:meta])* $name:ident: $($status:literal)*;)*) => {
        $($(#[$meta])*
        pub(super) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                [$($status),*].into_iter().map(reference).collect()
            }
        })*
    };
}

problems! {
    /// Of every request.
    InternalProblem: 500;
    /// Of requests with a query.
    QueryProblems: 400 500 503;
    /// Of requests for one thing.
    LookupProblems: 400 404 500 503;
    /// Of requests with a body.
    BodyProblems: 400 413 415 422 500 503;
    /// Of requests that read a file which may be no sound notebook.
    FileProblems: 413 415 422;
    /// Of requests with a query that may be read and be wrong all the same.
    InvalidProblem: 422;
    /// Of requests for a thing that may be missing.
    NotFoundProblem: 404;
    /// Of requests that a state may forbid.
    ConflictProblem: 409;
    /// Of requests with a signature.
    ForbiddenProblem: 403;
}

fn reference(status: u16) -> (String, RefOr<Response>) {
    let name = PROBLEMS.iter().find(|problem| problem.0 == status).map_or("Internal", |problem| problem.1);
    (status.to_string(), RefOr::Ref(Ref::from_response_name(name)))
}

/// Puts the failures into the document's components.
struct Problems;

impl Modify for Problems {
    fn modify(&self, document: &mut Document) {
        let Some(components) = &mut document.components else { return };
        for (status, name, description, kind, detail) in PROBLEMS {
            let title = axum::http::StatusCode::from_u16(status).ok().and_then(|it| it.canonical_reason());
            let mut example = json!({
                "type": format!("urn:bindery:problem:{kind}"), "title": title, "status": status, "detail": detail
            });
            match status {
                422 => {
                    example["errors"] =
                        json!([{"field": "timeout", "message": "must be from above 0 to 31536000 seconds"}])
                }
                500 => example["request_id"] = json!("5f3c2f9e-6d0b-4b8e-9d57-0a3f1c1f6f0e"),
                _ => {}
            }
            let content = ContentBuilder::new()
                .schema(Some(Ref::from_schema_name("Problem")))
                .example(Some(example))
                .build();
            let response =
                ResponseBuilder::new().description(description).content(PROBLEM_JSON, content).build();
            components.responses.insert(name.to_owned(), response.into());
        }
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Bindery",
        description = "Runs parameterised Jupyter notebooks as production jobs: upload a template, make a notebook \
            from it, execute it, and ask how it went. Times are RFC 3339 in UTC. Failures are \
            `application/problem+json` (RFC 9457).",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/", description = "This service")),
    tags(
        (name = "templates", description = "Notebooks to be used many times, named `category/name.ipynb`"),
        (name = "notebooks", description = "Users' notebooks and what is recorded of them"),
        (name = "executions", description = "Runs of notebooks: `pending → running → success | failed | cancelled`"),
        (name = "schedules", description = "Runs at the times of cron expressions"),
        (name = "workflows", description = "Notebooks as steps that need each other: `running → success | failed | cancelled`"),
        (name = "sweeps", description = "One notebook executed for many points: `running → success | failed | cancelled`"),
        (name = "service", description = "The service about itself")
    ),
    paths(
        templates::upload, templates::list, templates::get, templates::delete, templates::download_url,
        templates::download, notebooks::create_from_template, notebooks::submit, notebooks::list, notebooks::get,
        notebooks::update, notebooks::delete, executions::execute_notebook, executions::execute,
        executions::status, executions::retry, executions::resource::list, executions::resource::get, executions::resource::cancel,
        executions::events::stream, executions::resource::release_kernel,
        executions::resource::notebook, executions::resource::notebook_html, schedules::create, schedules::list,
        schedules::preview, schedules::get, schedules::update, schedules::delete, schedules::pause,
        schedules::resume, schedules::run, schedules::runs, workflows::start, workflows::validate,
        workflows::list, workflows::get, workflows::graph, workflows::results, workflows::results_csv, workflows::cancel,
        workflows::resume, sweeps::start, sweeps::list, sweeps::get, sweeps::results, sweeps::results_csv, sweeps::cancel,
        sweeps::resume, system::health, system::readiness,
        metrics::scrape, document
    ),
    components(schemas(ProblemBody)),
    modifiers(&Problems)
)]
struct ApiDocument;

/// The document's bytes; they never change while the service runs.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    // A document that utoipa built always serialises.
    ApiDocument::openapi().to_pretty_json().unwrap_or_default().into()
});

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "service", operation_id = "openapi",
    responses((status = 200, description = "The document", body = Value, content_type = "application/json",
        example = json!({"openapi": "3.1.0"}))))]
pub(super) async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.clone())
}

/// `/docs`: the document for people. Everything that it shows is in the binary; nothing is fetched from
/// elsewhere, its validator included.
pub(super) fn docs() -> Router<Api> {
    SwaggerUi::new("/docs")
        .config(Config::from("/openapi.json").validator_url("none").try_it_out_enabled(true))
        .into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::ROUTES;

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let routes: BTreeSet<_> =
            ROUTES.iter().map(|(method, path)| format!("{method} {}", path.replace("{*", "{"))).collect();
        let document: serde_json::Value = serde_json::from_slice(&DOCUMENT).unwrap();
        let paths = document["paths"].as_object().unwrap().iter();
        let documented: BTreeSet<_> = paths
            .flat_map(|(path, item)| {
                item.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
            })
            .collect();
        assert_eq!(routes, documented);
        assert_eq!(routes.len(), ROUTES.len());
    }

    #[test]
    fn every_body_and_answer_has_an_example() {
        let document: serde_json::Value = serde_json::from_slice(&DOCUMENT).unwrap();
        let resolve = |value: &serde_json::Value| match value["$ref"].as_str() {
            Some(reference) => document.pointer(&reference[1..]).unwrap().clone(),
            None => value.clone(),
        };
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let mut bodies = vec![operation["requestBody"].clone()];
                bodies.extend(operation["responses"].as_object().unwrap().values().map(resolve));
                let contents = bodies.iter().filter_map(|body| body["content"].as_object()).flatten();
                for (media_type, content) in contents.filter(|(name, _)| *name != "multipart/form-data") {
                    let schema = resolve(&content["schema"]);
                    let has_one = !content["example"].is_null() || !schema["example"].is_null();
                    assert!(has_one, "{method} {path} {media_type} has no example");
                }
            }
        }
    }
}
