//! Flows that go on by themselves: whenever an execution of theirs has ended, a retry is due, or time is up.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::super::{Engine, Milestone};
use crate::error::Result;

/// How often is looked for flows of which no word has come.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How long word of ends is gathered: many may come at once.
const GATHERING: Duration = Duration::from_millis(10);
/// How long MLflow is left when it could not take what it was told.
const TELL_AGAIN: Duration = Duration::from_secs(30);

impl Engine {
    /// Lets every flow go on, until `shutdown`, and tells MLflow of those that have ended.
    pub(in crate::engine) async fn run_flows(&self, shutdown: CancellationToken) {
        tokio::join!(self.keep_flows_going(&shutdown), self.keep_telling(&shutdown));
    }

    /// Beside all else: a slow MLflow holds up no flow.
    async fn keep_telling(&self, shutdown: &CancellationToken) {
        if self.mlflow().is_none() {
            return;
        }
        loop {
            let pause = if self.tell_of_ended_flows().await { LOOK_INTERVAL } else { TELL_AGAIN };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn keep_flows_going(&self, shutdown: &CancellationToken) {
        let mut milestones = self.inner.milestones.subscribe();
        loop {
            let next = match self.advance_flows().await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(%error, "workflows and sweeps cannot go on now");
                    None
                }
            };
            let until = next.map_or(LOOK_INTERVAL, |next| self.until(next).min(LOOK_INTERVAL));
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(until) => {}
                () = ended(&mut milestones) => tokio::time::sleep(GATHERING).await,
            }
        }
    }

    async fn advance_flows(&self) -> Result<Option<Timestamp>> {
        let (ids, next) = self.database().flows_to_advance(self.database().now()).await?;
        for id in ids {
            if let Err(error) = self.advance_flow(id).await {
                tracing::warn!(flow.id = %id, %error, cause = error.cause(), "a flow cannot go on now");
            }
        }
        Ok(next)
    }

    fn until(&self, time: Timestamp) -> Duration {
        let left = self.database().now().duration_until(time);
        Duration::try_from(left).unwrap_or_default() + Duration::from_millis(1)
    }
}

/// Comes back when an execution has ended, or may have.
async fn ended(milestones: &mut broadcast::Receiver<(crate::execution::ExecutionId, Milestone)>) {
    loop {
        match milestones.recv().await {
            Ok((_, Milestone::FirstCodeCell)) => {}
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
