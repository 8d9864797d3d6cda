//! One notebook from one file into another, without a service: papermill's `execute_notebook`.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::catching_up::Position;
use super::cells::{Ending, Stop, run_cells};
use super::gateways::{gateway, start_remote};
use super::output_file::OutputFile;
pub use super::recording::RunProgress;
use super::recording::{Finished, Recording};
use super::remote::{Remote, Upload};
use super::run::{error_of, start_kernel};
use super::run_output::RunOutput;
use super::runnable::{find_kernel, inject_options, kernel_field};
use super::{blocking, files, isoformat, notebooks};
use crate::config::{KernelGatewayConfig, TOKEN_VARIABLES};
use crate::error::{Error, Result};
use crate::execution::{CellError, CellPolicy, Limits};
use crate::kernel::remote::Terms;
use crate::kernel::warm::KernelPool;
use crate::notebook::inject::{InjectOptions, prepare_metadata, remove_error_markers};
use crate::notebook::inspect::{PARAMETERS_TAG, infer_parameters_as};
use crate::notebook::record::{Event, Recorder};
use crate::notebook::{Cell, Notebook, Parameter, Parameters, Translator};

/// What to execute, and how.
#[derive(Debug, Clone)]
pub struct ExecuteFile {
    /// The notebook to read.
    pub input: Input,
    /// Where the notebook goes.
    pub output: Output,
    /// The parameters to bind.
    pub parameters: Parameters,
    /// The kernel, when it is not the notebook's own choice.
    pub kernel_name: Option<String>,
    /// The gateway whose kernel it is, when it is none of this machine; and how long that may be away.
    pub gateway: Option<(KernelGatewayConfig, Duration)>,
    /// The language that parameters are written in, when it is not the kernel's.
    pub language: Option<String>,
    /// Where the kernel works.
    pub cwd: PathBuf,
    /// Where Bindery's own kernels are.
    pub data_dir: PathBuf,
    /// Time limits.
    pub limits: Limits,
    /// How cells are run.
    pub policy: CellPolicy,
    /// Whether to stop after the parameters are bound.
    pub prepare_only: bool,
    /// Whether the sources of code cells are hidden in the result.
    pub report_mode: bool,
    /// When the output is saved before the end.
    pub saves: Saves,
}

/// Where a notebook comes from.
#[derive(Debug, Clone)]
pub enum Input {
    /// A file.
    File(PathBuf),
    /// Bytes, from standard input.
    Bytes(Vec<u8>),
    /// A URL.
    Remote(Remote),
}

impl Input {
    /// As papermill names it in the notebook's metadata, a URL without its secrets.
    fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Bytes(_) => PIPE.to_owned(),
            Self::Remote(remote) => remote.shown().to_owned(),
        }
    }

    async fn read(self) -> Result<Notebook> {
        let shown = self.shown();
        match self {
            Self::File(path) => {
                blocking(move || Notebook::parse(&files::read(&path, &shown, u64::MAX - 1)?)).await
            }
            Self::Bytes(bytes) => blocking(move || Notebook::parse(&bytes)).await,
            Self::Remote(remote) => remote.read_notebook().await,
        }
    }
}

/// Where a notebook goes.
#[derive(Debug, Clone)]
pub enum Output {
    /// A file.
    File(PathBuf),
    /// A URL.
    Remote(Remote),
    /// Nowhere: it is given back ([`ExecutedFile::notebook`]), for standard output.
    Bytes,
}

impl Output {
    fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Remote(remote) => remote.shown().to_owned(),
            Self::Bytes => PIPE.to_owned(),
        }
    }
}

/// The variables that no kernel of this machine gets.
const HIDDEN: [&str; 1] = [TOKEN_VARIABLES[0]];

/// The name of standard input and output.
const PIPE: &str = "-";

/// When the output is saved before the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saves {
    /// At the end only.
    AtEnd,
    /// After cells, at most once a second, and while a cell runs at most at these intervals, if any.
    WhileRunning(Option<Duration>),
}

/// What is told while a file is executed.
#[derive(Debug, Clone, Copy)]
pub enum Told<'a> {
    /// The notebook has its parameters; what the user should know of them.
    Bound(&'a [String]),
    /// The kernel of this name is about to run.
    Kernel(&'a str),
    /// Something happened.
    Event(&'a Event),
}

/// Who is told; called in the order of events, and waited for.
pub type Listener = Box<dyn FnMut(Told<'_>) + Send + Sync>;

/// How it ended. The output is written in every case but one, [`ExecutedFile::unsaved`].
#[derive(Debug, Default)]
pub struct ExecutedFile {
    /// Why it failed.
    pub error: Option<CellError>,
    /// The `In [n]` of the cell that failed.
    pub execution_count: Option<u64>,
    /// The source of the cell that failed.
    pub source: Option<String>,
    /// Whether the cell raised the error, and it is not one of ours about the cell.
    pub raised: bool,
    /// Whether it was interrupted from outside.
    pub interrupted: bool,
    /// What the user should know, beyond what was told when parameters were bound.
    pub warnings: Vec<String>,
    /// The notebook as a file holds it, when no file was named.
    pub notebook: Option<Vec<u8>>,
    /// The notebook.
    pub result: Option<Notebook>,
    /// Why the result could not be written after the cells had run, and where it is instead.
    pub unsaved: Option<Error>,
}

/// The parameters that a notebook declares; `None` when no cell is tagged `parameters`.
///
/// # Errors
/// When the input cannot be read, or its language is none whose parameters are known.
pub async fn inspect_file(input: Input) -> Result<Option<Vec<Parameter>>> {
    let notebook = input.read().await?;
    blocking(move || {
        if !notebook.cells().iter().any(|cell| cell.has_tag(PARAMETERS_TAG)) {
            return Ok(None);
        }
        let translator = Translator::for_notebook(&notebook, None, None)?;
        Ok(Some(infer_parameters_as(&notebook, translator)))
    })
    .await
}

/// Executes a file. `interrupt` turning true stops it: what was produced is saved.
///
/// # Errors
/// When the input cannot be read, the parameters not bound, the kernel not found, or the output not written.
pub async fn execute_file(
    request: ExecuteFile,
    progress: watch::Sender<RunProgress>,
    mut interrupt: watch::Receiver<bool>,
    mut listener: Listener,
) -> Result<ExecutedFile> {
    let started = Instant::now();
    let input = request.input.shown();
    let output = request.output.shown();
    let mut notebook = request.input.clone().read().await?;
    let (read, shown) = (request.clone(), output.clone());
    let remote = match &request.gateway {
        Some((config, patience)) if !request.prepare_only => {
            let gateway = gateway(config)?;
            let specs = gateway.specs().await?;
            Some((gateway, specs, Terms { patience: *patience, ours_until: None, spool: None }))
        }
        _ => None,
    };
    let specs = remote.as_ref().map(|(_, specs, _)| specs.clone());
    let (notebook, spec, warnings) = blocking(move || {
        // As papermill does: the result is in the newest format.
        notebook.upgrade_minor();
        if let Some(old) = notebook.upgraded_from() {
            tracing::info!(
                notebook = read.input.shown(),
                "the notebook was upgraded from nbformat {old} to 4.5"
            );
        }
        let spec = match specs {
            Some(specs) => specs.choose(read.kernel_name.as_deref(), notebook.kernel_name()),
            None => find_kernel(&read.data_dir, &notebook, read.kernel_name.as_deref()),
        };
        // A notebook can be prepared for a kernel that is elsewhere.
        let spec = if read.prepare_only { spec.ok() } else { Some(spec.map_err(kernel_field)?) };
        remove_error_markers(&mut notebook);
        let options = spec.as_ref().map(inject_options).unwrap_or_default();
        let options = InjectOptions {
            report_mode: read.report_mode,
            kernel_name: options.kernel_name.or(read.kernel_name.as_deref()),
            language: read.language.as_deref().or(options.language),
            ..options
        };
        let warnings = notebooks::bind(&mut notebook, &read.parameters, options)?;
        prepare_metadata(&mut notebook, Some(&read.input.shown()), Some(&shown), read.report_mode);
        Ok((notebook, spec, warnings))
    })
    .await?;
    tracing::debug!(%input, %output, "a notebook has its parameters");
    listener(Told::Bound(&warnings));
    let (mut file, mut upload) = match request.output {
        Output::File(path) => {
            let file = OutputFile::new(path, output, std::process::id().to_string());
            (Some(RunOutput::File(file)), None)
        }
        Output::Remote(remote) => (None, Some(Upload::new(remote))),
        Output::Bytes => (None, None),
    };
    let Some(spec) = spec.filter(|_| !request.prepare_only) else {
        let saved = save(file, upload, &notebook).await?;
        return Ok(ExecutedFile { notebook: saved, result: Some(notebook), ..ExecutedFile::default() });
    };

    listener(Told::Kernel(&spec.name));
    let recorder = Recorder::start(notebook, &isoformat(Timestamp::now()));
    // What is not saved on the way is kept out of the recording until the end.
    let (mut at_end, autosave) = match request.saves {
        Saves::AtEnd => ((file.take(), upload.take()), None),
        Saves::WhileRunning(autosave) => ((None, None), autosave),
    };
    // Before anything runs: an output that cannot be written is better found out now.
    if let Some(file) = &mut file {
        file.save(recorder.notebook(), None).await?;
    }
    if let Some(upload) = &mut upload {
        upload.first(recorder.notebook()).await?;
    }
    let mut recording = Recording::new(recorder, None, file, progress)
        .uploading(upload)
        .autosaving(autosave)
        .by_policy(&request.policy)
        .watched_by(Some(Box::new(move |event| listener(Told::Event(event)))));
    let (stop, stopped) = watch::channel(None);
    let passing_on = tokio::spawn(async move {
        if interrupt.wait_for(|interrupt| *interrupt).await.is_ok() {
            let _ = stop.send(Some(Stop::Cancelled));
        }
        std::future::pending::<()>().await;
    });
    let environment = environment();
    let pool = KernelPool::cold(request.data_dir);
    let start_timeout = request.limits.start_timeout;
    let starting = async {
        match &remote {
            Some((gateway, _, terms)) => {
                start_remote(gateway, &spec, Vec::new(), start_timeout, terms.clone()).await
            }
            None => start_kernel(&pool, &spec, &request.cwd, &environment, &HIDDEN, start_timeout).await,
        }
    };
    let mut stop_early = stopped.clone();
    let kernel = tokio::select! {
        kernel = starting => kernel.map(Some),
        _ = stop_early.wait_for(Option::is_some) => Ok(None),
    };
    let (kernel, ending) = match kernel {
        Ok(Some(mut kernel)) => {
            recording.kernel_info(kernel.info());
            let ending = run_cells(
                &mut kernel,
                &mut recording,
                &request.limits,
                &request.policy,
                started,
                Position::default(),
                stopped,
            )
            .await;
            (Some(kernel), ending)
        }
        Ok(None) => (None, Ending::Stopped(Stop::Cancelled, 0)),
        Err(error) => (None, Ending::Failed(error_of(&error))),
    };
    passing_on.abort();
    let shutdown_grace = ending.shutdown_grace();
    let (error, interrupted) = match ending {
        Ending::Complete => (None, false),
        Ending::Failed(error) | Ending::OverLimit(error) => (Some(error), false),
        Ending::Stopped(_, cell) => {
            (Some(CellError::new(Some(cell), "KeyboardInterrupt", "the run was interrupted")), true)
        }
    };
    let failed_cell = error.as_ref().and_then(|error| recording.cells().get(error.cell_index?));
    let execution_count = failed_cell.and_then(Cell::execution_count);
    let source = failed_cell.map(|cell| cell.source().into_owned());
    let raised = failed_cell.zip(error.as_ref()).is_some_and(|(cell, error)| {
        cell.outputs().iter().any(|it| it["output_type"] == "error" && it["ename"] == error.ename)
    });
    let Finished { notebook, output, upload, warnings, .. } =
        recording.finish(error.as_ref(), Timestamp::now());
    let saved = save(output.or(at_end.0.take()), upload.or(at_end.1.take()), &notebook).await;
    let mut warnings = warnings;
    if let Some(kernel) = kernel
        && !kernel.shutdown(shutdown_grace).await
    {
        warnings.push("the kernel could not be ended at its gateway, and may still be there".to_owned());
    }
    let (saved, unsaved) = match saved {
        Ok(saved) => (saved, None),
        Err(error) => (None, Some(error)),
    };
    Ok(ExecutedFile {
        error,
        execution_count,
        source,
        raised,
        interrupted,
        warnings,
        notebook: saved,
        result: Some(notebook),
        unsaved,
    })
}

/// Saves the result, or gives its bytes back where it has no place of its own.
async fn save(
    file: Option<RunOutput>,
    upload: Option<Upload>,
    notebook: &Notebook,
) -> Result<Option<Vec<u8>>> {
    match (file, upload) {
        (Some(mut file), _) => file.save(notebook, None).await.map(|()| None),
        (None, Some(upload)) => upload.finish(notebook).await.map(|()| None),
        (None, None) => Ok(Some(notebook.to_bytes())),
    }
}

/// What papermill sets for its kernels: without it, Python 3.11 and later warn of the debugger (`papermill/cli.py`).
fn environment() -> Vec<(String, String)> {
    const NO_VALIDATION: &str = "PYDEVD_DISABLE_FILE_VALIDATION";
    match std::env::var_os(NO_VALIDATION) {
        Some(_) => Vec::new(),
        None => vec![(NO_VALIDATION.to_owned(), "1".to_owned())],
    }
}
