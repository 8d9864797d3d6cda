//! A run of a schedule that is ready to be recorded: inside the transaction of the schedule's step nothing is waited for but
//! the database.

use jiff::Timestamp;

use crate::db::Transaction;
use crate::engine::Engine;
use crate::engine::flows::insert_flow;
use crate::error::{ErrorKind, Result};
use crate::execution::{ExecutionRequest, Parent};
use crate::flow::NewFlow;
use crate::schedule::{Schedule, ScheduledRun};

/// What is to be recorded for a run.
#[derive(Debug)]
pub(super) enum Prepared {
    Execution(Box<ExecutionRequest>),
    Flow(Box<NewFlow>),
}

impl Prepared {
    /// Its place at its schedule.
    pub(super) fn parent(&self) -> Option<&Parent> {
        match self {
            Self::Execution(request) => request.parent.as_ref(),
            Self::Flow(new) => new.parent.as_ref(),
        }
    }

    /// Records it; `None` when its place at its schedule is taken, or its output.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub(super) async fn insert(
        &self,
        transaction: &mut Transaction,
        now: Timestamp,
    ) -> Result<Option<ScheduledRun>> {
        Ok(match self {
            Self::Execution(request) => {
                transaction.insert_execution(request, now).await?.map(ScheduledRun::Execution)
            }
            Self::Flow(new) => {
                let id = insert_flow(transaction, new, now).await?;
                id.map(|id| ScheduledRun::flow(new.kind, id))
            }
        })
    }

    /// Why it could not be recorded though its place is free.
    pub(super) fn refusal(&self) -> String {
        match self {
            Self::Execution(request) => format!(
                "another execution is pending or running on `{}`: give the output a time in its name, as in \
                 `{{scheduled_time}}`",
                request.output_path
            ),
            Self::Flow(new) => format!("the database gave the {} no id", new.kind),
        }
    }
}

impl Engine {
    /// Makes the run in MLflow of what is about to be recorded. What is made for nothing is to be given to
    /// [`Engine::drop_run`].
    pub(super) async fn track_run(&self, prepared: Prepared) -> Prepared {
        match prepared {
            Prepared::Flow(new) => Prepared::Flow(Box::new(self.track_flow(*new).await)),
            // Its worker makes it.
            execution @ Prepared::Execution(_) => execution,
        }
    }

    /// Undoes [`Engine::track_run`] for what was not recorded.
    pub(super) async fn drop_run(&self, prepared: &Prepared) {
        if let Prepared::Flow(new) = prepared {
            self.drop_flow_tracking(new.mlflow.as_ref()).await;
        }
    }

    /// Lets what was recorded begin.
    pub(super) async fn begin_run(&self, prepared: &Prepared, run: ScheduledRun) {
        match (prepared, run) {
            (Prepared::Flow(new), ScheduledRun::Workflow(id) | ScheduledRun::Sweep(id)) => {
                self.begin_flow(id, new).await;
            }
            _ => self.inner.wakeup.notify(),
        }
    }

    /// Whether a schedule still stands as it was read. It may change right after: that is a transaction's to find.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be used.
    pub(super) async fn is_current(&self, schedule: &Schedule) -> Result<bool> {
        match self.database().schedule(schedule.id).await {
            Ok(now) => Ok(now.revision == schedule.revision),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
