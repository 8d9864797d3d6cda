//! `bindery execute`: papermill's command line. What was typed is converted once into an [`ExecuteFile`].

mod cells;
mod gateway;
mod help;
mod listener;
pub(super) mod pipes;
mod progress;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tokio::sync::watch;

use self::cells::CellFlags;
use self::gateway::GatewayFlags;
use self::help::notebook_help;
use self::listener::{StreamFile, Streams, Voice, listener};
use self::pipes::{Connected, Paths};
use self::progress::show_progress;
use super::flags::{Fetched, ParameterFlags};
use super::log::LogLevel;
use super::print::{print, print_bytes, tell, without_colours};
use super::report::{CellFault, End, Report};
use super::signals::{Signals, StopSignal};
use super::{Exit, file_fault};
use crate::config::{Config, LocalSettings, Seconds};
use crate::engine::execute::{ExecuteFile, ExecutedFile, RunProgress, Saves, execute_file, inspect_file};
use crate::error::{Error, Result};
use crate::notebook::{ParameterValue, Parameters};

/// Execute a notebook into another file, with parameters; no service is needed
///
/// Flags and their meaning are papermill's: `alias papermill='bindery execute'` works. What a run has produced is
/// saved also when a cell fails, when time runs out and after Ctrl-C.
///
/// IN and OUT are files, URLs (s3://, gs://, abs://, abfss://, http:// and https://), or `-` for standard input and
/// output. An upload that fails at the end leaves the executed notebook in the current folder. With a pipe before it, `execute OUT` reads the
/// pipe; with a pipe behind it, `execute IN` writes to the pipe. Fields in their names are filled in: `{alpha}` with
/// the parameter, `{pm[run_uuid]}`, `{pm[current_datetime_utc]:%Y-%m-%d}` and `{pm[current_datetime_local]}`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bindery execute in.ipynb out.ipynb -p alpha 0.1 -p verbose True -r version 1.10
  bindery execute in.ipynb 'out-{alpha}-{pm[current_datetime_utc]:%Y%m%d}.ipynb' -f parameters.yaml -y 'alpha: 0.2'
  bindery execute in.ipynb out.ipynb --kernel python3 --cwd data --execution-timeout 10m
  bindery execute in.ipynb out.ipynb --log-output --stdout-file out.txt
  bindery execute s3://books/in.ipynb 's3://books/out-{alpha}.ipynb' -p alpha 0.1
  bindery execute https://example.org/in.ipynb gs://books/out.ipynb -f s3://books/parameters.yaml
  cat in.ipynb | bindery execute - - -p alpha 0.1 > out.ipynb
  bindery execute in.ipynb --help-notebook

Ctrl-C interrupts the running cell, saves the notebook and ends with exit code 130; a second one ends at once.")]
pub(super) struct ExecuteArgs {
    /// The notebook to execute
    #[arg(value_name = "IN")]
    notebook_path: Option<PathBuf>,
    /// The notebook to write; may be the same file
    #[arg(value_name = "OUT")]
    output_path: Option<PathBuf>,
    #[command(flatten)]
    parameters: ParameterFlags,
    #[arg(skip)]
    fetched: Fetched,
    /// Give the notebook the path of its input as the parameter PAPERMILL_INPUT_PATH
    #[arg(long, alias = "inject_input_path", help_heading = "Parameters")]
    inject_input_path: bool,
    /// Give the notebook the path of its output as the parameter PAPERMILL_OUTPUT_PATH
    #[arg(long, alias = "inject_output_path", help_heading = "Parameters")]
    inject_output_path: bool,
    /// Both of these
    #[arg(long, alias = "inject_paths", help_heading = "Parameters")]
    inject_paths: bool,
    /// Show the parameters that the notebook takes and execute nothing
    #[arg(long, help_heading = "Parameters")]
    help_notebook: bool,
    /// The kernel to run, whatever the notebook asks for
    #[arg(short, long, value_name = "NAME", help_heading = "Run")]
    kernel: Option<String>,
    #[command(flatten, next_help_heading = "Run")]
    gateway: GatewayFlags,
    /// The language that parameters are written in, whatever the notebook says
    #[arg(short, long, value_name = "NAME", help_heading = "Run")]
    language: Option<String>,
    /// The engine; there is one, and it has two names
    #[arg(long, value_name = "NAME", value_parser = ["bindery", "nbclient"], help_heading = "Run")]
    engine: Option<String>,
    /// The folder in which the notebook runs [default: the current one]
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    cwd: Option<PathBuf>,
    /// Write the notebook with its parameters and execute nothing; --prepare-execute takes it back
    #[arg(long, overrides_with = "prepare_execute", help_heading = "Run")]
    prepare_only: bool,
    #[arg(long, overrides_with = "prepare_only", hide = true)]
    prepare_execute: bool,
    /// How long the kernel may take to start, such as 30 or 2m [default: 60s]
    #[arg(
        long,
        alias = "start_timeout",
        value_name = "TIME",
        value_parser = time_limit,
        allow_hyphen_values = true,
        help_heading = "Run"
    )]
    start_timeout: Option<Seconds>,
    /// How long each cell may take, such as 30 or 2m; 0 and below are no limit [default: no limit]
    #[arg(
        long,
        visible_alias = "cell-timeout",
        alias = "execution_timeout",
        value_name = "TIME",
        value_parser = time_limit,
        allow_hyphen_values = true,
        help_heading = "Run"
    )]
    execution_timeout: Option<Seconds>,
    /// Hide the code in the output notebook, or with --no-report-mode do not
    #[arg(long, overrides_with = "no_report_mode", help_heading = "Output")]
    report_mode: bool,
    #[arg(long, overrides_with = "report_mode", hide = true)]
    no_report_mode: bool,
    /// Save the output notebook after cells (the default), or with --no-request-save-on-cell-execute only at the end
    #[arg(long, overrides_with = "no_request_save_on_cell_execute", help_heading = "Output")]
    request_save_on_cell_execute: bool,
    #[arg(long, overrides_with = "request_save_on_cell_execute", hide = true)]
    no_request_save_on_cell_execute: bool,
    /// How often to save while a cell runs, in seconds; 0 is never
    #[arg(long, value_name = "SECONDS", default_value_t = 30, help_heading = "Output")]
    autosave_cell_every: u32,
    /// Write what the notebook prints to a file, too; `-` is standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    stdout_file: Option<PathBuf>,
    /// Write what the notebook prints to its standard error to a file, too
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    stderr_file: Option<PathBuf>,
    /// Log what the notebook puts out, or with --no-log-output do not
    #[arg(long, overrides_with = "no_log_output", help_heading = "Progress")]
    log_output: bool,
    #[arg(long, overrides_with = "log_output", hide = true)]
    no_log_output: bool,
    /// Show how far the run is, or with --no-progress-bar do not [default: on a terminal, without --log-output]
    #[arg(long, overrides_with = "no_progress_bar", help_heading = "Progress")]
    progress_bar: bool,
    #[arg(long, overrides_with = "progress_bar", hide = true)]
    no_progress_bar: bool,
    /// Tell what happens to FILE, in lines of JSON, and not to standard error; `-` is standard output, in place of
    /// the notebook. The last line has the result
    #[arg(long, value_name = "FILE", help_heading = "Progress")]
    report: Option<PathBuf>,
    /// With --report: what the notebook prints, too
    #[arg(long, requires = "report", help_heading = "Progress")]
    report_streams: bool,
    #[command(flatten, next_help_heading = "Cells (nbclient's options)")]
    cells: CellFlags,
    /// Address of the S3 or MinIO server of s3:// URLs [default: BOTO3_ENDPOINT_URL, AWS_ENDPOINT_URL, or AWS]
    #[arg(long, value_name = "URL", help_heading = "Configuration")]
    s3_endpoint: Option<String>,
    #[command(flatten, next_help_heading = "Configuration")]
    settings: LocalSettings,
}

/// As [`Seconds`], but what is below zero is no limit, as for nbclient.
fn time_limit(text: &str) -> Result<Seconds, String> {
    match text.parse::<f64>() {
        Ok(number) if number < 0.0 => Ok(Seconds(Duration::ZERO)),
        _ => text.parse(),
    }
}

/// What was typed, as it is meant.
struct Run {
    request: ExecuteFile,
    paths: Paths,
    streams: Streams,
}

impl ExecuteArgs {
    fn paths(&self) -> Result<Paths> {
        Paths::new(self.notebook_path.as_deref(), self.output_path.as_deref(), Connected::of_process())
    }

    /// What is logged unless told otherwise: less beside a notebook on standard output, and what `--log-output`
    /// says, which is at level info (`papermill/cli.py`).
    pub(super) fn default_log_level(&self) -> LogLevel {
        match self.paths() {
            Ok(paths) if paths.writes_to_pipe() && !self.help_notebook => LogLevel::Error,
            _ if self.log_output => LogLevel::Info,
            _ => LogLevel::Warn,
        }
    }

    /// The parameters, those below all others that are paths.
    fn parameters(&self, paths: &Paths) -> Result<Parameters> {
        let mut parameters = Parameters::new();
        for (wanted, name, path) in [
            (self.inject_input_path, "PAPERMILL_INPUT_PATH", &paths.input),
            (self.inject_output_path, "PAPERMILL_OUTPUT_PATH", &paths.output),
        ] {
            if wanted || self.inject_paths {
                parameters.insert(name, ParameterValue::String(pipes::shown(path)))?;
            }
        }
        self.parameters.parse_over(parameters, &self.fetched)
    }

    fn run(&self) -> Result<Run> {
        let paths = self.paths()?;
        let parameters = self.parameters(&paths)?;
        let paths = paths.filled(&parameters)?;
        let config = Config::resolve(self.settings.clone())?;
        let mut limits = config.limits;
        if let Some(Seconds(time)) = self.start_timeout {
            limits.start_timeout = if time.is_zero() { limits.start_timeout } else { time };
        }
        if let Some(Seconds(time)) = self.execution_timeout {
            limits.cell_timeout = Some(time).filter(|time| !time.is_zero());
        }
        let gateway = self.gateway.resolve(&config)?.map(|gateway| (gateway, config.kernel_gateway_patience));
        let s3_endpoint = || self.s3_endpoint.clone().or_else(|| config.s3_endpoint.clone());
        let output = paths.checked_output(s3_endpoint())?;
        let cwd = working_folder(self.cwd.as_deref())?;
        let input = pipes::input(&paths.input, || Ok(s3_endpoint()))?;
        let file = |path: &Option<PathBuf>| path.as_deref().map(StreamFile::create).transpose();
        let streams = Streams {
            log_output: self.log_output,
            reported: self.report_streams,
            stdout: file(&self.stdout_file)?,
            stderr: file(&self.stderr_file)?,
        };
        let autosave = Duration::from_secs(self.autosave_cell_every.into());
        let request = ExecuteFile {
            input,
            output,
            parameters,
            kernel_name: self.kernel.clone(),
            gateway,
            language: self.language.clone(),
            cwd,
            data_dir: config.data_dir,
            limits,
            policy: self.cells.policy(),
            prepare_only: self.prepare_only,
            report_mode: self.report_mode,
            saves: match self.no_request_save_on_cell_execute {
                true => Saves::AtEnd,
                false => Saves::WhileRunning(Some(autosave).filter(|time| !time.is_zero())),
            },
        };
        Ok(Run { request, paths, streams })
    }

    fn shows_progress(&self, paths: &Paths) -> bool {
        let by_default = !self.log_output && !paths.writes_to_pipe() && std::io::stderr().is_terminal();
        self.progress_bar || (!self.no_progress_bar && by_default)
    }

    fn s3_endpoint(&self) -> Result<Option<String>> {
        match &self.s3_endpoint {
            Some(endpoint) => Ok(Some(endpoint.clone())),
            None => Config::resolve(self.settings.clone()).map(|config| config.s3_endpoint),
        }
    }

    /// Reads what is behind URLs among the files of parameters.
    async fn fetch(&mut self) -> Result<()> {
        self.fetched = self.parameters.fetch(|| self.s3_endpoint()).await?;
        Ok(())
    }

    /// Papermill's `--help-notebook`.
    async fn help(&self) -> Result<Exit> {
        let named = self.notebook_path.as_deref().unwrap_or(Path::new("-"));
        let paths = Paths { input: named.to_owned(), output: named.to_owned() };
        let filled = paths.filled(&self.parameters(&paths)?)?;
        let declared = inspect_file(pipes::input(&filled.input, || self.s3_endpoint())?).await?;
        let text = notebook_help(&pipes::shown(named), declared.as_deref());
        print(&text)?;
        Ok(if declared.is_some() { Exit::Success } else { Exit::UserFault })
    }
}

fn working_folder(named: Option<&Path>) -> Result<PathBuf> {
    let folder = named.unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Error::not_found(format!("the folder {} to run in does not exist", folder.display())));
    }
    folder.canonicalize().map_err(|error| file_fault(folder, "entered", error))
}

pub(super) async fn run(mut args: ExecuteArgs) -> Result<Exit> {
    if args.help_notebook {
        args.fetch().await?;
        return args.help().await;
    }
    let Some(path) = args.report.clone() else {
        args.fetch().await?;
        let Ended { executed, paths, exit } = execute(&args, &Voice::default()).await?;
        if let Some(notebook) = &executed.notebook {
            print_bytes(notebook)?;
        }
        tell_failure(&executed, &paths);
        return executed.unsaved.map_or(Ok(exit), Err);
    };
    let report = Report::open(&path)?;
    if let Err(error) = args.fetch().await {
        return Ok(report.failed(&error));
    }
    match execute(&args, &Voice(Some(report.clone()))).await {
        Ok(Ended { executed: ExecutedFile { unsaved: Some(error), .. }, .. }) => Ok(report.failed(&error)),
        Ok(Ended { executed, exit, .. }) => {
            if let Some(notebook) = executed.notebook.as_ref().filter(|_| path != Path::new("-")) {
                print_bytes(notebook)?;
            }
            report.end(&End {
                exit_code: exit.code(),
                cell_error: executed.error.as_ref().map(|error| CellFault {
                    cell_index: error.cell_index,
                    exec_count: executed.execution_count,
                    source: executed.source.as_deref(),
                    ename: &error.ename,
                    evalue: &error.evalue,
                    traceback: &error.traceback,
                    raised: executed.raised,
                }),
                notebook: executed.result.as_ref(),
                ..End::default()
            });
            Ok(exit)
        }
        Err(error) => Ok(report.failed(&error)),
    }
}

/// A run that has ended.
struct Ended {
    executed: ExecutedFile,
    paths: Paths,
    exit: Exit,
}

async fn execute(args: &ExecuteArgs, voice: &Voice) -> Result<Ended> {
    let Run { request, paths, streams } = args.run()?;
    voice.begin(&paths.input, &paths.output, args.cwd.as_deref());
    let mut signals = Signals::listen()?;
    let (progress, watcher) = watch::channel(RunProgress::default());
    let (interrupt, interrupted) = watch::channel(false);
    let bar = args.shows_progress(&paths).then(|| tokio::spawn(show_progress(watcher)));
    let running = execute_file(request, progress, interrupted, listener(voice.clone(), streams));
    tokio::pin!(running);
    let abandoned = voice.abandoned();
    tokio::pin!(abandoned);
    let mut stopped_by = None;
    let executed = loop {
        let signal = tokio::select! {
            executed = &mut running => break executed,
            signal = signals.next() => {
                if stopped_by.is_some() {
                    signal.exit_at_once();
                }
                signal
            }
            () = &mut abandoned, if stopped_by.is_none() => StopSignal::Terminate,
        };
        stopped_by = Some(signal);
        voice.stopping();
        let _ = interrupt.send(true);
    };
    if let Some(bar) = bar {
        // The channel is closed: the bar has seen the end and goes.
        let _ = bar.await;
    }
    let executed = executed?;
    executed.warnings.iter().for_each(|warning| voice.warn(warning));
    let exit = match (stopped_by, &executed.error) {
        (Some(signal), _) if executed.interrupted => signal.exit(),
        (_, Some(error)) => Exit::of_cell_error(error),
        (_, None) => Exit::Success,
    };
    Ok(Ended { executed, paths, exit })
}

/// The exception as papermill shows it, then what it comes to.
fn tell_failure(executed: &ExecutedFile, paths: &Paths) {
    let Some(error) = &executed.error else { return };
    if !error.traceback.is_empty() {
        let count = executed.execution_count.map_or_else(|| " ".to_owned(), |count| count.to_string());
        let traceback = error.traceback.join("\n");
        let colours = std::io::stderr().is_terminal();
        let traceback = if colours { traceback } else { without_colours(&traceback) };
        tell!("\n{}\nException encountered at \"In [{count}]\":\n{traceback}\n", "-".repeat(75));
    }
    if executed.unsaved.is_some() {
        return tell!("error: {error}");
    }
    match paths.writes_to_pipe() {
        true => tell!("error: {error}\n  what was produced is on standard output"),
        false => tell!("error: {error}\n  what was produced is in {}", pipes::shown(&paths.output)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_below_zero_is_none() {
        assert_eq!(time_limit("-1"), Ok(Seconds(Duration::ZERO)));
        assert_eq!(time_limit("2m"), Ok(Seconds(Duration::from_secs(120))));
        assert!(time_limit("soon").is_err());
    }
}
