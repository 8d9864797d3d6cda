//! `GET /metrics` for Prometheus. The recorder is one per process, as the crate `metrics` wants it.

use std::sync::OnceLock;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::error::Answer;
use crate::engine::Engine;
use crate::execution::ExecutionStatus;

/// Seconds: from a request answered out of memory to a notebook that is waited for.
const SECONDS: &[f64] =
    &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];
/// How often what the histograms have gathered is folded together. Without it an instance that nobody scrapes
/// would keep every single measurement.
const UPKEEP: Duration = Duration::from_secs(20);

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the recorder of this process, once.
pub(super) fn install() {
    HANDLE.get_or_init(|| {
        let builder = PrometheusBuilder::new();
        let matcher = Matcher::Suffix("_seconds".into());
        // It refuses only an empty list.
        let builder =
            builder.set_buckets_for_metric(matcher, SECONDS).unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another recorder of metrics is installed: /metrics stays empty");
        }
        describe();
        handle
    });
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_gauge!("bindery_build_info", "Always 1; the label says which version runs.");
    describe_gauge!("bindery_executions", "Executions in the database by status.");
    describe_counter!("bindery_executions_submitted_total", "Executions accepted by this process.");
    describe_counter!("bindery_executions_finished_total", "Executions ended by this process, by status.");
    describe_counter!("bindery_schedule_runs_total", "Runs of schedules put into the queue by this process.");
    describe_counter!("bindery_templates_uploaded_total", "Templates stored by this process.");
    describe_counter!("bindery_notebooks_created_total", "Notebooks made from templates by this process.");
    describe_counter!("bindery_http_requests_total", "Requests answered, by method, route and status.");
    describe_histogram!("bindery_http_request_seconds", "How long requests took, by method and route.");
    describe_histogram!("bindery_kernel_start_seconds", "How long kernels took to answer.");
    describe_gauge!("bindery_kernels_ready", "Kernels that wait for an execution, by kernel.");
    metrics::gauge!("bindery_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// Folds measurements together now and then; runs for ever.
pub(super) async fn upkeep() {
    loop {
        tokio::time::sleep(UPKEEP).await;
        if let Some(handle) = HANDLE.get() {
            handle.run_upkeep();
        }
    }
}

/// Metrics in Prometheus's text format.
#[utoipa::path(get, path = "/metrics", tag = "service", operation_id = "metrics",
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain",
        example = "bindery_executions{status=\"running\"} 1\n")))]
pub(super) async fn scrape(State(engine): State<Engine>) -> Answer<impl IntoResponse> {
    match engine.count_executions().await {
        Ok(counts) => {
            for status in ExecutionStatus::ALL {
                let count =
                    counts.iter().find(|(counted, _)| *counted == status).map_or(0, |(_, count)| *count);
                metrics::gauge!("bindery_executions", "status" => status.as_str()).set(count as f64);
            }
        }
        // The other metrics are needed most while a system is down.
        Err(error) => tracing::warn!(%error, cause = error.cause(), "executions cannot be counted now"),
    }
    for ready in engine.ready_kernels() {
        metrics::gauge!("bindery_kernels_ready", "kernel" => ready.kernel).set(ready.count as f64);
    }
    let text = HANDLE.get().map(PrometheusHandle::render).unwrap_or_default();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}
