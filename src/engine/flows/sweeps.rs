//! Sweeps, which are workflows of one step.

use serde_json::Map;

use super::super::Engine;
use super::StartFlow;
use crate::error::{Error, Result};
use crate::execution::ParentKind;
use crate::flow::FlowId;
use crate::workflow::SweepRequest;

impl Engine {
    /// Accepts a sweep: counts its points, checks its notebook and their values, records it and lets it begin.
    ///
    /// # Errors
    /// As [`SweepRequest::compile`] and [`Engine::start_flow`]: then nothing has begun.
    pub async fn start_sweep(&self, sweep: SweepRequest, idempotency_key: Option<String>) -> Result<FlowId> {
        self.start_flow(flow_of(sweep, idempotency_key)?).await
    }
}

/// The flow of a sweep: its points, counted and made.
///
/// # Errors
/// As [`SweepRequest::compile`].
pub(in crate::engine) fn flow_of(sweep: SweepRequest, idempotency_key: Option<String>) -> Result<StartFlow> {
    // As it was asked for, without the seed that is chosen now: so it is known again.
    let request = serde_json::to_value(&sweep)
        .map_err(|error| Error::internal("a sweep cannot be written as JSON").with_source(error))?;
    let (username, output_directory) = (sweep.username.clone(), sweep.output_directory.clone());
    // As large as every reader of JSON holds it, JavaScript's too.
    let workflow = sweep.compile(|| uuid::Uuid::new_v4().as_u64_pair().0 >> 11)?;
    Ok(StartFlow {
        kind: ParentKind::Sweep,
        workflow,
        request,
        parameters: Map::new(),
        username,
        output_directory,
        idempotency_key,
    })
}
