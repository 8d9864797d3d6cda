//! One notebook from one file into another, without a service: papermill's `execute_notebook`.

use std::path::PathBuf;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::cells::{Ending, Stop, run_cells};
use super::executions::{find_kernel, inject_options};
pub use super::recording::RunProgress;
use super::recording::{Finished, OutputFile, Recording};
use super::run::{error_of, start_kernel};
use super::{blocking, files, isoformat, notebooks};
use crate::error::Result;
use crate::execution::{CellError, Limits};
use crate::notebook::inject::{InjectOptions, prepare_metadata, remove_error_markers};
use crate::notebook::record::Recorder;
use crate::notebook::{Cell, Notebook, Parameters};

/// What to execute, and how.
#[derive(Debug, Clone)]
pub struct ExecuteFile {
    /// The notebook to read.
    pub input: PathBuf,
    /// The notebook to write.
    pub output: PathBuf,
    /// The parameters to bind.
    pub parameters: Parameters,
    /// The kernel, when it is not the notebook's own choice.
    pub kernel_name: Option<String>,
    /// Where the kernel works.
    pub cwd: PathBuf,
    /// Where Bindery's own kernels are.
    pub data_dir: PathBuf,
    /// Time limits.
    pub limits: Limits,
    /// Whether to stop after the parameters are bound.
    pub prepare_only: bool,
    /// Whether the sources of code cells are hidden in the result.
    pub report_mode: bool,
}

/// How it ended. The output is written in every case.
#[derive(Debug)]
pub struct ExecutedFile {
    /// Why it failed.
    pub error: Option<CellError>,
    /// The `In [n]` of the cell that failed.
    pub execution_count: Option<u64>,
    /// Whether it was interrupted from outside.
    pub interrupted: bool,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Executes a file. `interrupt` turning true stops it: what was produced is saved.
///
/// # Errors
/// When the input cannot be read, the parameters not bound, the kernel not found, or the output not written.
pub async fn execute_file(
    request: ExecuteFile,
    progress: watch::Sender<RunProgress>,
    mut interrupt: watch::Receiver<bool>,
) -> Result<ExecutedFile> {
    let started = Instant::now();
    let (input, output) = (request.input.display().to_string(), request.output.display().to_string());
    let read = request.clone();
    let (notebook, spec, warnings) = blocking(move || {
        let shown = read.input.display().to_string();
        let mut notebook = Notebook::parse(&files::read(&read.input, &shown, u64::MAX - 1)?)?;
        let spec = find_kernel(&read.data_dir, &notebook, read.kernel_name.as_deref())?;
        remove_error_markers(&mut notebook);
        let options = InjectOptions { report_mode: read.report_mode, ..inject_options(&spec) };
        let warnings = notebooks::bind(&mut notebook, &read.parameters, options)?;
        let output = read.output.display().to_string();
        prepare_metadata(&mut notebook, Some(&shown), Some(&output), read.report_mode);
        Ok((notebook, spec, warnings))
    })
    .await?;
    tracing::debug!(%input, %output, kernel.name = %spec.name, "a notebook is ready to run");
    let mut file = OutputFile::new(request.output, output, std::process::id().to_string());
    if request.prepare_only {
        file.save(&notebook).await?;
        return Ok(ExecutedFile { error: None, execution_count: None, interrupted: false, warnings });
    }

    let recorder = Recorder::start(notebook, &isoformat(Timestamp::now()));
    // Before anything runs: an output that cannot be written is better found out now.
    file.save(recorder.notebook()).await?;
    let mut recording = Recording::new(recorder, None, Some(file), progress);
    warnings.into_iter().for_each(|warning| recording.warn(warning));
    let (stop, stopped) = watch::channel(None);
    let passing_on = tokio::spawn(async move {
        if interrupt.wait_for(|interrupt| *interrupt).await.is_ok() {
            let _ = stop.send(Some(Stop::Cancelled));
        }
        std::future::pending::<()>().await;
    });
    let starting =
        start_kernel(&spec, &request.data_dir, &request.cwd, &[], &[], request.limits.start_timeout);
    let mut stop_early = stopped.clone();
    let kernel = tokio::select! {
        kernel = starting => kernel.map(Some),
        _ = stop_early.wait_for(Option::is_some) => Ok(None),
    };
    let (kernel, ending) = match kernel {
        Ok(Some(mut kernel)) => {
            recording.kernel_info(kernel.info());
            let ending = run_cells(&mut kernel, &mut recording, &request.limits, started, stopped).await;
            (Some(kernel), ending)
        }
        Ok(None) => (None, Ending::Stopped(Stop::Cancelled, 0)),
        Err(error) => (None, Ending::Failed(error_of(&error))),
    };
    passing_on.abort();
    let shutdown_grace = ending.shutdown_grace();
    let (error, interrupted) = match ending {
        Ending::Complete => (None, false),
        Ending::Failed(error) => (Some(error), false),
        Ending::Stopped(_, cell) => {
            (Some(CellError::new(Some(cell), "KeyboardInterrupt", "the run was interrupted")), true)
        }
    };
    let failed_cell = error.as_ref().and_then(|error| recording.cells().get(error.cell_index?));
    let execution_count = failed_cell.and_then(Cell::execution_count);
    let Finished { notebook, output, warnings, .. } = recording.finish(error.as_ref(), Timestamp::now());
    if let Some(mut output) = output {
        output.save(&notebook).await?;
    }
    if let Some(kernel) = kernel {
        kernel.shutdown(shutdown_grace).await;
    }
    Ok(ExecutedFile { error, execution_count, interrupted, warnings })
}
