//! One run of one claimed execution: parameterise, start a kernel, run the cells, save, then write the final
//! status, then end the kernel and tell MLflow. The order is the promise: "done" is written when it is.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::begin::{Begun, KernelSource};
use super::catching_up::Position;
use super::cells::{Ending, Stop, run_cells, run_timeout_error, sleep_until};
use super::finish::{finish_shipping, record_results};
use super::journal::{self, Journal};
use super::recording::{Finished, Recording};
use super::secrets::hidden_variables;
use super::shipping::Shipping;
use super::tracking::Tracking;
use super::work::{Standing, tell_progress};
use super::{Engine, Milestone, in_place};
use crate::db::{Finish, Lease};
use crate::error::{Error, ErrorKind, Result};
use crate::execution::{CellError, CellPolicy, Execution, ExecutionStatus};
use crate::kernel::remote::{RemoteKernel, Terms};
use crate::kernel::spec::KernelSpec;
use crate::kernel::warm::KernelPool;
use crate::kernel::{Kernel, KernelGroup, KernelStart};

/// Whose run it is, and since when it runs.
struct Run<'a> {
    lease: &'a Lease,
    execution: &'a Execution,
    started: Instant,
}

impl Engine {
    /// Runs a claimed execution to its final status; `again`: another worker has begun it, on a kernel behind a gateway.
    ///
    /// # Errors
    /// When the lease was lost or the database stays away: then nothing more is written here.
    pub(super) async fn run_leased(&self, lease: &Lease, standing: Standing, again: bool) -> Result<()> {
        let execution = self.database().execution(lease.id).await?;
        tracing::info!(execution.id = %lease.id, attempt = lease.attempt, again, "an execution starts");
        let begun = match again {
            true => match self.begin_again(&execution, lease).await {
                Ok(Some(begun)) => Ok(begun),
                nothing => return self.settle_remote(lease.clone(), nothing.err()).await,
            },
            false => self.begin(&execution, lease).await,
        };
        let begun = match begun {
            Ok(begun) => begun,
            Err(error) => {
                let finish = Finish::new(ExecutionStatus::Failed, Some(error_of(&error)));
                return self.write_final(lease, &finish).await;
            }
        };
        let Begun { started, recorder, journal, output, parameters, kernel, position, warnings, .. } = begun;
        let (progress, watcher) = watch::channel(begun.progress);
        let telling = tokio::spawn(tell_progress(self.clone(), lease.clone(), begun.kernel_name, watcher));
        let mut journal_error = None;
        let journal = journal.map_err(|error| journal_error = Some(error)).ok();
        let shipping =
            journal.as_ref().and_then(|journal| Shipping::start(self, lease, journal, begun.shipped));
        let mut recording = Recording::new(recorder, journal, Some(output), progress)
            .limited_to(self.config().max_output_size)
            .leased_until(standing.ours_until.clone());
        warnings
            .into_iter()
            .chain(journal_error.map(|error| error.message().to_owned()))
            .for_each(|it| recording.warn(it));
        let asked_to_stop = standing.stop.clone();
        let tracking = match again {
            true => self.resume_tracking(&execution).await,
            false => self.start_tracking(&execution, &parameters).await,
        };
        let run = Run { lease, execution: &execution, started };
        let (kernel, ending) =
            self.run_on_kernel(run, kernel, position, &tracking, &mut recording, standing).await;
        if let Ending::Stopped(Stop::HandedOver, _) = ending {
            recording.save_partial();
            drop((kernel, recording));
            let _ = telling.await;
            return self.hand_over(lease, shipping, &asked_to_stop).await;
        }

        let shutdown_grace = ending.shutdown_grace();
        // Whoever stopped it finds nothing left of it once the final status is there.
        let kernel = match ending.is_prompt() {
            true => self.end_promptly(lease, kernel, shutdown_grace).await,
            false => kernel,
        };
        let (status, error) = match &ending {
            Ending::Complete => (ExecutionStatus::Success, None),
            Ending::Failed(error) | Ending::OverLimit(error) => {
                (ExecutionStatus::Failed, Some(error.clone()))
            }
            Ending::Stopped(Stop::Cancelled, _) => (ExecutionStatus::Cancelled, None),
            Ending::Stopped(Stop::WorkerStopped, cell) => {
                let error = CellError::new(
                    Some(*cell),
                    "WorkerStopped",
                    "the service was stopped while the notebook ran",
                );
                (ExecutionStatus::Failed, Some(error))
            }
            Ending::Stopped(Stop::LeaseLost | Stop::HandedOver, _) => {
                telling.abort();
                return Err(Error::conflict("the lease was lost: another worker owns the execution now"));
            }
        };
        let end_time = Timestamp::now();
        let Finished { notebook, mut journal, mut output, warnings, .. } =
            match error.is_none() && status != ExecutionStatus::Success {
                // Cancelled: cut short, though no cell is to blame.
                true => recording.finish_stopped(end_time),
                false => recording.finish(error.as_ref(), end_time),
            };
        // The progress channel closed with the recording: what was told last is on its way into the record.
        let _ = telling.await;
        if let Some(shipping) = shipping {
            // Whoever settles this elsewhere should know the result as ours.
            if let Some(output) = &mut output {
                output.announce(&notebook, journal.as_mut());
            }
            finish_shipping(shipping, &asked_to_stop).await?;
        }
        self.make_sure_of(lease, &asked_to_stop).await?;
        let mut finish = Finish { warnings, ..Finish::new(status, error) };
        record_results(&mut finish, &notebook);
        let saved = match output {
            Some(mut output) => {
                let saved =
                    self.save_patiently(&mut output, &notebook, journal.as_mut(), &asked_to_stop).await;
                finish.output_path = output.moved_to().map(str::to_owned);
                saved
            }
            None => Ok(()),
        };
        let (request, warnings) = (&execution.request, &mut finish.warnings);
        let keeping = self.prepare_to_keep(lease.id, request, &ending, kernel.as_ref(), warnings).await;
        let hands_back = matches!(ending, Ending::Stopped(Stop::WorkerStopped, _));
        match saved {
            Ok(()) if hands_back && lease.attempt < lease.max_attempts => {
                // The notebook has it all; once it is handed back, the file may be that of the next attempt.
                journal.into_iter().for_each(Journal::remove);
                if !self.hand_back(lease).await {
                    self.write_final_while_held(lease, &finish, &asked_to_stop).await?;
                }
            }
            Ok(()) => {
                self.write_final_while_held(lease, &finish, &asked_to_stop).await?;
                journal.into_iter().for_each(Journal::remove);
            }
            Err(error) => {
                // The journal stays: it holds what the file should.
                finish.status = ExecutionStatus::Failed;
                finish.error = Some(CellError::new(None, "NotebookNotSaved", error.message()));
                finish.undelivered = true;
                self.write_final_while_held(lease, &finish, &asked_to_stop).await?;
            }
        }
        self.announce(lease.id, Milestone::Ended);
        let (kernel, keeping) = match (kernel, keeping) {
            (Some(kernel), Some(keeping)) => {
                self.keep(lease.clone(), kernel, keeping);
                (None, true)
            }
            (kernel, _) => (kernel, false),
        };
        let (engine, lease) = (self.clone(), lease.clone());
        let end_kernel = async move {
            if !keeping {
                engine.end_kernel(lease, kernel, shutdown_grace).await;
            }
        };
        let Some(tracking) = tracking else {
            self.end_later(end_kernel).await;
            return Ok(());
        };
        // What the notebook's exit handlers record is part of MLflow's run.
        end_kernel.await;
        let file_name = finish.output_path.as_deref().unwrap_or(&execution.request.output_path);
        let file_name = file_name.rsplit('/').next().unwrap_or(file_name);
        tracking.finish(finish.status, file_name, in_place(|| notebook.to_bytes())).await;
        Ok(())
    }

    async fn run_on_kernel(
        &self,
        Run { lease, execution, started }: Run<'_>,
        source: KernelSource,
        position: Position,
        tracking: &Option<Tracking<'_>>,
        recording: &mut Recording,
        Standing { stop, held, ours_until }: Standing,
    ) -> (Option<Kernel>, Ending) {
        let mut limits = execution.request.limits;
        let terms = Terms {
            patience: self.config().kernel_gateway_patience,
            ours_until: Some(ours_until),
            spool: Some(journal::frames(&self.journal_dir(), lease.id)),
        };
        let is_remote = !matches!(source, KernelSource::Here(_));
        if is_remote {
            recording.resumable();
        } else {
            // Whoever recorded it may not have known what this service grants.
            limits.resources = self.config().limits.resources.lowered_to(limits.resources);
        }
        let starting = async {
            match source {
                KernelSource::Here(spec) => self.start_here(execution, &spec, tracking).await,
                KernelSource::Gateway(gateway, spec) => {
                    self.start_at_gateway(lease, execution, &gateway, &spec, tracking, terms).await
                }
                KernelSource::TakenOver(gateway, resumed) => {
                    Ok(RemoteKernel::resume(&gateway, resumed, terms).into())
                }
            }
        };
        let mut stop_early = stop.clone();
        let starting = async {
            tokio::select! {
                kernel = starting => kernel.map_err(|error| Ending::Failed(error_of(&error))),
                () = sleep_until(limits.timeout.map(|timeout| started + timeout)) => {
                    Err(Ending::Failed(run_timeout_error(None, limits.timeout.unwrap_or_default())))
                }
                Ok(why) = async { stop_early.wait_for(Option::is_some).await.map(|why| *why) } => {
                    Err(Ending::Stopped(why.unwrap_or(Stop::Cancelled), 0))
                }
            }
        };
        // The notebook as it begins is saved meanwhile: nothing is executed before it is on disk.
        let (kernel, ()) = tokio::join!(starting, async { recording.save_partial() });
        let mut kernel = match kernel {
            Ok(kernel) => kernel,
            Err(ending) => return (None, ending),
        };
        recording.kernel_info(kernel.info());
        // Twice: what is that long in a message is longer than the limit in the notebook as well.
        kernel.cut_texts_at(self.config().max_output_size.saturating_mul(2));
        let _holding = AbortOnDropHandle::new(tokio::spawn(hold(kernel.group(), held)));
        if !limits.resources.is_empty() {
            let marks =
                self.marks(execution.id, execution.attempts).map(|(name, value)| (name.to_owned(), value));
            kernel.limit(limits.resources, marks.into()).await;
        }
        let ending =
            run_cells(&mut kernel, recording, &limits, &CellPolicy::default(), started, position, stop).await;
        (Some(kernel), ending)
    }
}

impl Engine {
    /// A kernel on this machine.
    async fn start_here(
        &self,
        execution: &Execution,
        spec: &KernelSpec,
        tracking: &Option<Tracking<'_>>,
    ) -> Result<Kernel> {
        let cwd = self.working_folder(execution).await?;
        let marks = self.marks(execution.id, execution.attempts);
        let mut env: Vec<_> = marks.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let mut hidden = hidden_variables(self.config());
        if let Some(tracking) = tracking {
            hidden.extend(crate::mlflow::VARIABLES_TO_CLEAR);
            env.extend(tracking.kernel_environment(execution));
        }
        let start_timeout = execution.request.limits.start_timeout;
        start_kernel(self.pool(), spec, &cwd, &env, &hidden, start_timeout).await
    }
}

/// Holds a kernel still while it is not known whether the execution is still ours.
async fn hold(kernel: Option<KernelGroup>, mut held: watch::Receiver<bool>) {
    let Some(kernel) = kernel else { return };
    while held.wait_for(|held| *held).await.is_ok() {
        tracing::warn!("the lease may be lost: the kernel is held until the database answers");
        kernel.suspend();
        if held.wait_for(|held| !held).await.is_ok() {
            kernel.resume();
        }
    }
}

/// A kernel of `spec` in `cwd`.
pub(super) async fn start_kernel(
    pool: &KernelPool,
    spec: &KernelSpec,
    cwd: &std::path::Path,
    env: &[(String, String)],
    hidden: &[&'static str],
    start_timeout: Duration,
) -> Result<Kernel> {
    let start = KernelStart {
        name: &spec.name,
        interrupt_mode: spec.interrupt_mode,
        transport: spec.transport(),
        cwd,
        env,
        start_timeout,
    };
    let begun = Instant::now();
    let kernel = pool.start(spec, start, hidden).await;
    metrics::histogram!("bindery_kernel_start_seconds").record(begun.elapsed().as_secs_f64());
    kernel.map(Kernel::from)
}

/// An error of ours as an execution's error.
pub(super) fn error_of(error: &Error) -> CellError {
    let ename = match error.kind() {
        ErrorKind::Kernel => "KernelStartError",
        ErrorKind::NotFound if error.message().contains("kernel") => "KernelNotFound",
        ErrorKind::NotFound => "NotebookNotFound",
        ErrorKind::Invalid => "InvalidNotebook",
        ErrorKind::NotANotebook | ErrorKind::TooLarge | ErrorKind::BadInput => "NotebookUnreadable",
        _ => "ExecutionError",
    };
    CellError::new(None, ename, error.message())
}
