//! The HTTP door: parses what comes in, calls the engine, shows what it says. It decides nothing that the
//! command line would have to decide again, and never touches database, store, queue or kernel itself.
//!
//! # Layout
//! This file has every route and the server. One file per noun has its handlers and the shape of its bodies;
//! `error` is the only place that knows status codes of failures, `extract` the only one that reads requests.

mod download;
mod error;
mod executions;
mod extract;
mod flows;
mod metrics;
mod notebooks;
mod observe;
mod openapi;
mod schedules;
mod sweeps;
mod system;
mod templates;
mod upload;
mod workflows;

use std::future::IntoFuture;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post, put};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

use crate::engine::Engine;
use crate::error::{Error, Result};

/// How long answers that are ready may take to leave once the service stops.
const FLUSH: Duration = Duration::from_millis(500);

/// What every handler can reach.
#[derive(Clone)]
struct Api {
    engine: Engine,
    /// Those who wait for an execution stop waiting when the service stops.
    shutdown: CancellationToken,
}

impl FromRef<Api> for Engine {
    fn from_ref(api: &Api) -> Self {
        api.engine.clone()
    }
}

/// Does the whole of some work, also when the client goes away meanwhile and its request is dropped.
async fn whole<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work.in_current_span())
        .await
        .unwrap_or_else(|panic| Err(Error::internal("a task ended in a panic").with_source(panic)))
}

macro_rules! routes {
    ($($method:ident $path:literal => $handler:path;)*) => {
        /// Every route as method and path, for the test that compares it with the OpenAPI document.
        #[cfg(test)]
        const ROUTES: &[(&str, &str)] = &[$((stringify!($method), $path)),*];

        fn table() -> Router<Api> {
            Router::new()$(.route($path, $method($handler)))*
        }
    };
}

routes! {
    // What existing clients call.
    post "/minio/upload-template" => templates::upload;
    get "/minio/list-templates" => templates::list;
    get "/minio/get-template/{*name}" => templates::get;
    delete "/minio/delete-template/{*name}" => templates::delete;
    get "/minio/download-url/{*name}" => templates::download_url;
    get "/minio/download/{*name}" => templates::download;
    post "/create-from-template" => notebooks::create_from_template;
    post "/submit-notebook" => notebooks::submit;
    get "/notebooks" => notebooks::list;
    get "/notebook/{id}" => notebooks::get;
    put "/notebook/{id}" => notebooks::update;
    delete "/notebook/{id}" => notebooks::delete;
    post "/execute-notebook" => executions::execute_notebook;
    post "/execute" => executions::execute;
    get "/execution-status/{id}" => executions::status;
    // The resource style for everything new.
    get "/api/v1/executions" => executions::resource::list;
    get "/api/v1/executions/{id}" => executions::resource::get;
    post "/api/v1/executions/{id}/cancel" => executions::resource::cancel;
    post "/api/v1/executions/{id}/retry" => executions::retry;
    get "/api/v1/executions/{id}/events" => executions::events::stream;
    post "/api/v1/executions/{id}/release-kernel" => executions::resource::release_kernel;
    get "/api/v1/executions/{id}/notebook" => executions::resource::notebook;
    get "/api/v1/executions/{id}/notebook.html" => executions::resource::notebook_html;
    post "/api/v1/schedules" => schedules::create;
    get "/api/v1/schedules" => schedules::list;
    get "/api/v1/schedules/preview" => schedules::preview;
    get "/api/v1/schedules/{id}" => schedules::get;
    put "/api/v1/schedules/{id}" => schedules::update;
    delete "/api/v1/schedules/{id}" => schedules::delete;
    post "/api/v1/schedules/{id}/pause" => schedules::pause;
    post "/api/v1/schedules/{id}/resume" => schedules::resume;
    post "/api/v1/schedules/{id}/run" => schedules::run;
    get "/api/v1/schedules/{id}/runs" => schedules::runs;
    post "/api/v1/workflows" => workflows::start;
    post "/api/v1/workflows/validate" => workflows::validate;
    get "/api/v1/workflows" => workflows::list;
    get "/api/v1/workflows/{id}" => workflows::get;
    get "/api/v1/workflows/{id}/graph" => workflows::graph;
    get "/api/v1/workflows/{id}/results" => workflows::results;
    get "/api/v1/workflows/{id}/results.csv" => workflows::results_csv;
    post "/api/v1/workflows/{id}/cancel" => workflows::cancel;
    post "/api/v1/workflows/{id}/resume" => workflows::resume;
    post "/api/v1/sweeps" => sweeps::start;
    get "/api/v1/sweeps" => sweeps::list;
    get "/api/v1/sweeps/{id}" => sweeps::get;
    get "/api/v1/sweeps/{id}/results" => sweeps::results;
    get "/api/v1/sweeps/{id}/results.csv" => sweeps::results_csv;
    post "/api/v1/sweeps/{id}/cancel" => sweeps::cancel;
    post "/api/v1/sweeps/{id}/resume" => sweeps::resume;
    // The service itself.
    get "/health" => system::health;
    get "/readiness" => system::readiness;
    get "/metrics" => metrics::scrape;
    get "/openapi.json" => openapi::document;
}

/// The whole service as a router, for a server of the caller's own; [`serve`] is the usual one.
pub fn router(engine: Engine) -> Router {
    app(Api { engine, shutdown: CancellationToken::new() }, TaskTracker::new())
}

fn app(api: Api, open_requests: TaskTracker) -> Router {
    metrics::install();
    table()
        .merge(openapi::docs())
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method)
        // Bodies are measured where they are read, so that the answer can say which limit was passed.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(observe::refuse_other_origins))
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(from_fn_with_state(open_requests, observe::observe))
        .with_state(api)
}

/// Serves on `listener` until `shutdown`. Then no new connection is taken; open requests may end, those that
/// wait for an execution for as long as [`crate::config::Config::shutdown_grace`].
///
/// # Errors
/// `Unavailable` when the listener cannot be used.
pub async fn serve(engine: Engine, listener: TcpListener, shutdown: CancellationToken) -> Result<()> {
    let grace = engine.config().shutdown_grace;
    let open_requests = TaskTracker::new();
    let app = app(Api { engine, shutdown: shutdown.clone() }, open_requests.clone());
    let _upkeep = AbortOnDropHandle::new(tokio::spawn(metrics::upkeep()));
    let listener = listener.tap_io(|connection| {
        // A connection that will not take the option is slower, nothing else.
        let _ = connection.set_nodelay(true);
    });
    let serving =
        axum::serve(listener, app).with_graceful_shutdown(shutdown.clone().cancelled_owned()).into_future();
    // A connection on which nobody asks anything (browsers open such) must not hold up the end.
    let ended = async {
        shutdown.cancelled().await;
        open_requests.close();
        if tokio::time::timeout(grace + Duration::from_secs(5), open_requests.wait()).await.is_err() {
            tracing::warn!("requests were still open at the end of the grace: they are cut off");
        }
        tokio::time::sleep(FLUSH).await;
    };
    tokio::select! {
        served = serving => {
            served.map_err(|error| Error::unavailable("the listening socket cannot be used").with_source(error))
        }
        () = ended => Ok(()),
    }
}
