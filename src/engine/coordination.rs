//! What goes on without a client: schedules that fire, workflows and sweeps that go on. Every `serve` and every `worker`
//! does it, all at the same time: each step is one transaction, and whoever comes first does it.

use tokio_util::sync::CancellationToken;

use super::Engine;

impl Engine {
    /// Fires schedules, and lets workflows and sweeps go on, until `shutdown`.
    pub async fn coordinate(&self, shutdown: CancellationToken) {
        tokio::join!(self.fire_schedules(shutdown.clone()), self.run_flows(shutdown));
    }
}
