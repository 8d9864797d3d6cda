//! The HTTP interface: for now the health check alone.

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::{Error, Result};

/// Serves HTTP on `listener` until `shutdown`, then ends the requests in hand.
///
/// # Errors
/// `Unavailable` when the listener breaks.
pub async fn serve(_engine: Engine, listener: TcpListener, shutdown: CancellationToken) -> Result<()> {
    let router = Router::new().route("/health", get(|| async { r#"{"status":"ok"}"# }));
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
        .map_err(|error| Error::unavailable("the HTTP server stopped").with_source(error))
}
