//! What dead workers left: found when their leases have run out, saved, and ended or begun anew.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::finish::record_results;
use super::journal::{self, Replayed};
use super::recording::complete;
use super::work::{HEARTBEAT, LEASE};
use super::{Engine, Milestone, blocking, in_place};
use crate::db::{Finish, Lease};
use crate::error::Result;
use crate::execution::{CellError, Execution, ExecutionId, ExecutionStatus};
use crate::notebook::Notebook;
use crate::notebook::record::RunEnd;

/// How often abandoned executions are looked for, and those that waited for too long.
const SETTLE_INTERVAL: Duration = Duration::from_secs(2);
/// How many parts of a journal are fetched from the database at once.
const PARTS: usize = 16;

impl Engine {
    /// Looks for executions whose worker died, now and then, and goes on with or settles each.
    pub(super) async fn settle_abandoned(self, shutdown: CancellationToken, stopped: watch::Receiver<bool>) {
        let settler = format!("{}-settling", self.inner.owner);
        // Those who could not prolong their leases either have their turn first: after a sleep of this process or machine,
        // and after the database was away, also before this process began.
        let mut patient_until = Instant::now();
        if self.database().is_shared() {
            patient_until += LEASE;
        }
        loop {
            if let Err(error) = self.fail_overdue().await {
                tracing::warn!(%error, "executions that waited for too long cannot be looked for now");
            }
            let claimed = match Instant::now() < patient_until {
                true => Ok(None),
                false => {
                    let (worker, now) = (&self.inner.owner, self.database().now());
                    self.database().claim_abandoned(worker, &settler, LEASE, now).await
                }
            };
            match claimed {
                Ok(Some(lease)) => {
                    let id = lease.id;
                    let Some(lease) = self.take_over(lease, &stopped).await else { continue };
                    if let Err(error) = self.settle(lease).await {
                        tracing::warn!(execution.id = %id, %error, cause = error.cause(), "an abandoned execution cannot be settled now");
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "abandoned executions cannot be looked for now");
                    patient_until = Instant::now() + LEASE;
                }
            }
            let before = Timestamp::now();
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(SETTLE_INTERVAL) => {}
            }
            if slept_past_leases(before.duration_until(Timestamp::now())) {
                patient_until = Instant::now() + SETTLE_INTERVAL;
            }
        }
    }

    async fn fail_overdue(&self) -> Result<()> {
        for id in self.database().fail_overdue(self.database().now()).await? {
            tracing::info!(execution.id = %id, "an execution waited for longer than it may");
            self.announce(id, Milestone::Ended);
        }
        Ok(())
    }

    /// What the journal of an attempt tells: from this machine, where it has all, else from the database.
    pub(super) async fn replay(&self, id: ExecutionId, attempt: u32) -> Result<Option<Replayed>> {
        let folder = self.journal_dir();
        let is_shared = self.database().is_shared();
        let wanted = is_shared.then_some(attempt);
        let replayed = blocking(move || journal::replay(&folder, id, wanted)).await?;
        if replayed.is_some() || !is_shared {
            return Ok(replayed);
        }
        let mut lines = Vec::new();
        loop {
            let from = lines.len() as u64;
            let parts = self.database().journal_parts(id, attempt, from, PARTS).await?;
            if parts.is_empty() {
                break;
            }
            parts.into_iter().for_each(|part| lines.extend(part.lines));
        }
        blocking(move || journal::replay_lines(id, Some(attempt), lines.as_slice())).await
    }

    /// Saves what the journal of an execution holds; `None` when it had not begun.
    async fn recover(&self, execution: &Execution, error: Option<CellError>) -> Result<Option<Recovered>> {
        let (id, end_time) = (execution.id, Timestamp::now());
        let Some((recorder, saved)) = self.replay(id, execution.attempts).await? else { return Ok(None) };
        let output = self.root().notebook("output_path", &execution.request.output_path)?;
        let mut output = output.output(id).resumed(saved).recognised(recorder.notebook());
        let is_complete = recorder.is_complete();
        let end = if is_complete { RunEnd::Complete } else { RunEnd::Failed };
        let error = error.filter(|_| !is_complete);
        let notebook = blocking(move || Ok(complete(recorder, end, error.as_ref(), end_time))).await?;
        output.save_within(LEASE, &notebook).await?;
        Ok(Some(Recovered { notebook, is_complete, moved_to: output.moved_to().map(str::to_owned) }))
    }

    /// Ends an execution whose worker died: what its journal holds goes into the notebook, then it is `failed`, or waits
    /// for another attempt when it may have one.
    pub(super) async fn settle(&self, lease: Lease) -> Result<()> {
        let execution = self.database().execution(lease.id).await?;
        tracing::warn!(execution.id = %lease.id, "the worker of this execution died: saving what it left");
        let _keeping = AbortOnDropHandle::new(tokio::spawn(keep(self.clone(), lease.clone())));
        self.kill_orphans(lease.id, lease.attempt).await;
        self.remove_scratch(lease.id, lease.attempt).await;
        let cell = execution.progress.current_cell;
        let error = CellError::new(
            cell,
            "WorkerLost",
            "the service died while the notebook ran; what it had produced was kept",
        );
        let mut finish = Finish {
            warnings: execution.warnings.clone(),
            ..Finish::new(ExecutionStatus::Failed, Some(error))
        };
        // What cannot be saved now stays in the journal; the execution ends all the same, so that nobody waits
        // for it for ever.
        let notebook = match self.recover(&execution, finish.error.clone()).await {
            Ok(recovered) => recovered.map(|Recovered { notebook, is_complete, moved_to }| {
                finish.output_path = moved_to;
                if is_complete {
                    // It died between the last cell and the record: to run it once more would do all of it twice.
                    finish.status = ExecutionStatus::Success;
                    finish.error = None;
                    record_results(&mut finish, &notebook);
                }
                notebook
            }),
            Err(fault) => {
                tracing::error!(execution.id = %lease.id, error = %fault, cause = fault.cause(), "what a dead worker left cannot be saved");
                let text = format!(
                    "the service died while the notebook ran; what it had produced is in its journal: {}",
                    fault.message()
                );
                finish.error = Some(CellError::new(cell, "WorkerLost", text));
                finish.undelivered = true;
                self.write_final(&lease, &finish).await?;
                return Ok(());
            }
        };
        if finish.status == ExecutionStatus::Success {
            tracing::info!(execution.id = %lease.id, "every cell had run before its worker died");
        } else if execution.cancel_requested {
            finish.status = ExecutionStatus::Cancelled;
            finish.error = None;
        } else if lease.attempt < lease.max_attempts {
            // The notebook has it all; once it is in the queue again, the file may be that of the next attempt.
            journal::discard(&self.journal_dir(), lease.id);
            if self.database().requeue_execution(&lease).await? {
                self.inner.wakeup.notify();
                tracing::info!(execution.id = %lease.id, attempt = lease.attempt, "it waits for another attempt");
                return Ok(());
            }
            // It was cancelled meanwhile.
            finish.status = ExecutionStatus::Cancelled;
            finish.error = None;
        }
        self.write_final(&lease, &finish).await?;
        journal::discard(&self.journal_dir(), lease.id);
        self.announce(lease.id, Milestone::Ended);
        if let (Some(tracking), Some(notebook)) = (self.resume_tracking(&execution).await, notebook) {
            let path = &execution.request.output_path;
            let file_name = path.rsplit('/').next().unwrap_or(path);
            tracking.finish(finish.status, file_name, in_place(|| notebook.to_bytes())).await;
        }
        Ok(())
    }
}

/// What a journal gave.
struct Recovered {
    notebook: Notebook,
    /// Whether the notebook had run to its end, and well.
    is_complete: bool,
    /// Where it is, when somebody has written the notebook meanwhile and the result went beside it.
    moved_to: Option<String>,
}

/// Prolongs the lease of what is being settled.
async fn keep(engine: Engine, lease: Lease) {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        let now = engine.database().now();
        if let Ok(None) = engine.database().renew_lease(&lease, LEASE, now).await {
            return;
        }
    }
}

/// Whether a pause took so long that leases may have run out in it: this process was stopped or the machine
/// asleep, and with it those who prolong their leases. They have their turn before anybody's are taken.
fn slept_past_leases(pause: SignedDuration) -> bool {
    pause > SignedDuration::try_from(LEASE - 2 * HEARTBEAT).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_sleep_others_may_prolong_their_leases_first() {
        let slept = |seconds| slept_past_leases(SignedDuration::from_secs(seconds));
        assert!(!slept(3) && !slept(8), "a busy machine is not asleep");
        assert!(slept(10) && slept(3600));
    }
}
