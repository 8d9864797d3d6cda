//! One run of one claimed execution: parameterise, start a kernel, run the cells, save, then write the final
//! status, then end the kernel and tell MLflow. The order is the promise: "done" is written when it is.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::catching_up::Position;
use super::cells::{Ending, Stop, run_cells, run_timeout_error, sleep_until};
use super::executions::{find_kernel, inject_options};
use super::finish::{finish_shipping, record_results};
use super::journal::Journal;
use super::recording::{Finished, Recording, RunProgress};
use super::run_output::RunOutput;
use super::secrets::hidden_variables;
use super::shipping::Shipping;
use super::tracking::Tracking;
use super::work::{Standing, tell_progress};
use super::{Engine, Milestone, blocking, in_place, isoformat, notebooks, root};
use crate::db::{Finish, Lease};
use crate::error::{Error, ErrorKind, Result};
use crate::execution::{CellError, CellPolicy, Execution, ExecutionStatus};
use crate::kernel::spec::KernelSpec;
use crate::kernel::warm::KernelPool;
use crate::kernel::{Kernel, KernelGroup, KernelStart};
use crate::notebook::inject::{papermill_metadata, prepare_metadata, remove_error_markers};
use crate::notebook::record::Recorder;
use crate::notebook::{Notebook, Parameters};

/// Where the notebook comes from, ready to be read.
enum Source {
    Notebook(root::Source),
    Template(bytes::Bytes),
}

impl Source {
    fn tag(&self) -> Option<&str> {
        match self {
            Self::Notebook(source) => source.tag(),
            Self::Template(_) => None,
        }
    }

    fn read(self) -> Result<bytes::Bytes> {
        match self {
            Self::Notebook(source) => source.read(),
            Self::Template(bytes) => Ok(bytes),
        }
    }
}

/// A notebook ready to run.
struct Prepared {
    notebook: Notebook,
    spec: KernelSpec,
    /// What is bound in the notebook: by this execution, else when it was made from its template.
    parameters: Map<String, Value>,
    output: RunOutput,
    warnings: Vec<String>,
}

impl Engine {
    /// Runs a claimed execution to its final status.
    ///
    /// # Errors
    /// When the lease was lost or the database stays away: then nothing more is written here.
    pub(super) async fn run_leased(&self, lease: &Lease, standing: Standing) -> Result<()> {
        let started = Instant::now();
        let execution = self.database().execution(lease.id).await?;
        tracing::info!(execution.id = %lease.id, attempt = lease.attempt, "an execution starts");
        let prepared = match self.prepare(&execution).await {
            Ok(prepared) => prepared,
            Err(error) => {
                let finish = Finish::new(ExecutionStatus::Failed, Some(error_of(&error)));
                return self.write_final(lease, &finish).await;
            }
        };
        let Prepared { notebook, spec, parameters, output, warnings } = prepared;
        let start_time = execution.start_time.unwrap_or_else(Timestamp::now);
        let recorder = Recorder::start(notebook, &isoformat(start_time));
        let journal = Journal::create(
            &self.journal_dir(),
            lease.id,
            lease.attempt,
            &isoformat(start_time),
            recorder.notebook(),
        );
        let (progress, watcher) = watch::channel(RunProgress::default());
        let telling = tokio::spawn(tell_progress(self.clone(), lease.clone(), spec.name.clone(), watcher));
        let mut journal_error = None;
        let journal = journal.map_err(|error| journal_error = Some(error)).ok();
        let shipping = journal.as_ref().and_then(|journal| Shipping::start(self, lease, journal));
        let mut recording = Recording::new(recorder, journal, Some(output), progress)
            .limited_to(self.config().max_output_size)
            .leased_until(standing.ours_until.clone());
        warnings
            .into_iter()
            .chain(journal_error.map(|error| error.message().to_owned()))
            .for_each(|it| recording.warn(it));
        let asked_to_stop = standing.stop.clone();
        let tracking = self.start_tracking(&execution, &parameters).await;
        let (kernel, ending) =
            self.run_on_kernel(&execution, &spec, &tracking, &mut recording, started, standing).await;

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
            Ending::Stopped(Stop::LeaseLost, _) => {
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

    /// Reads the notebook and makes it ready: parameters bound, an earlier run's marks gone, a kernel found.
    async fn prepare(&self, execution: &Execution) -> Result<Prepared> {
        let request = execution.request.clone();
        let output = self.root().notebook("output_path", &request.output_path)?;
        let limit = self.config().max_notebook_size;
        let data_dir = self.config().data_dir.clone();
        let (id, is_in_place) = (execution.id, request.notebook_path == output.relative);
        let source = match request.template_name.as_deref().filter(|_| request.from_template) {
            Some(template) => Source::Template(self.template_bytes(template).await?.1),
            None => {
                let path = self.root().notebook("notebook_path", &request.notebook_path)?;
                Source::Notebook(path.source(limit).await?)
            }
        };
        let output = match (output.output(id), source.tag()) {
            // Written since it was read, it is somebody else's already.
            (RunOutput::Object(object), Some(tag)) if is_in_place => {
                RunOutput::Object(object.read_as(tag.to_owned()))
            }
            (output, _) => output,
        };
        blocking(move || {
            let mut notebook = Notebook::parse(&source.read()?)?;
            let spec = find_kernel(&data_dir, &notebook, request.kernel_name.as_deref())?;
            let parameters = match request.parameters.as_deref() {
                Some(text) => {
                    let raw = serde_json::from_str(text).map_err(|error| {
                        Error::internal("recorded parameters cannot be read").with_source(error)
                    })?;
                    Parameters::from_json_text(raw)?
                }
                None => Parameters::new(),
            };
            remove_error_markers(&mut notebook);
            let mut warnings = notebooks::bind(&mut notebook, &parameters, inject_options(&spec))?;
            if let Some(old) = notebook.upgraded_from() {
                warnings.push(format!("the notebook was upgraded from nbformat {old} to 4.5"));
            }
            prepare_metadata(&mut notebook, Some(&request.notebook_path), Some(&request.output_path), false);
            let parameters = bound_parameters(&mut notebook);
            Ok(Prepared { notebook, spec, parameters, output, warnings })
        })
        .await
    }

    /// Where the kernel works: in the notebook's folder, or in one that is its own when that is in a store.
    async fn working_folder(&self, execution: &Execution) -> Result<PathBuf> {
        let path = self.root().notebook("notebook_path", &execution.request.notebook_path)?;
        match path.folder() {
            Some(folder) => {
                // What is made from a template has nothing there yet.
                if execution.request.from_template {
                    std::fs::create_dir_all(folder).map_err(|error| {
                        Error::unavailable("the folder to run in cannot be made").with_source(error)
                    })?;
                }
                Ok(folder.to_owned())
            }
            None => self.make_scratch(execution.id, execution.attempts).await,
        }
    }

    async fn run_on_kernel(
        &self,
        execution: &Execution,
        spec: &KernelSpec,
        tracking: &Option<Tracking<'_>>,
        recording: &mut Recording,
        started: Instant,
        Standing { stop, held, .. }: Standing,
    ) -> (Option<Kernel>, Ending) {
        let cwd = match self.working_folder(execution).await {
            Ok(cwd) => cwd,
            Err(error) => return (None, Ending::Failed(error_of(&error))),
        };
        let mut env: Vec<_> = self
            .marks(execution.id, execution.attempts)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let mut hidden = hidden_variables(self.config());
        if let Some(tracking) = tracking {
            hidden.extend(crate::mlflow::VARIABLES_TO_CLEAR);
            env.extend(tracking.kernel_environment(execution));
        }
        let mut limits = execution.request.limits;
        // Whoever recorded it may not have known what this service grants.
        limits.resources = self.config().limits.resources.lowered_to(limits.resources);
        let starting = start_kernel(self.pool(), spec, &cwd, &env, &hidden, limits.start_timeout);
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
        let ending = run_cells(
            &mut kernel,
            recording,
            &limits,
            &CellPolicy::default(),
            started,
            Position::default(),
            stop,
        )
        .await;
        (Some(kernel), ending)
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

/// The parameters that papermill's metadata name.
fn bound_parameters(notebook: &mut Notebook) -> Map<String, Value> {
    papermill_metadata(notebook).get("parameters").and_then(Value::as_object).cloned().unwrap_or_default()
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
