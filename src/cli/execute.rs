//! `bindery execute`: papermill's command line. What was typed is converted once into an [`ExecuteFile`].

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::watch;

use super::flags::ParameterFlags;
use super::print::{tell, without_colours};
use super::signals::Signals;
use super::{Exit, file_fault};
use crate::config::{Config, LocalSettings, Seconds};
use crate::engine::execute::{ExecuteFile, ExecutedFile, RunProgress, execute_file};
use crate::error::{Error, Result};

/// Execute a notebook into another file, with parameters; no service is needed
///
/// The flags below mean what they mean to papermill. What a run has produced is saved also when a cell fails, when
/// time runs out and after Ctrl-C.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bindery execute in.ipynb out.ipynb -p alpha 0.1 -p verbose True -r version 1.10
  bindery execute in.ipynb out.ipynb --kernel python3 --cwd data --execution-timeout 10m
  bindery execute in.ipynb out.ipynb -p alpha 0.1 --prepare-only

Ctrl-C interrupts the running cell, saves the notebook and ends with exit code 130; a second one ends at once.")]
pub(super) struct ExecuteArgs {
    /// The notebook to execute
    #[arg(value_name = "IN")]
    notebook_path: PathBuf,
    /// The notebook to write; may be the same file
    #[arg(value_name = "OUT")]
    output_path: PathBuf,
    #[command(flatten)]
    parameters: ParameterFlags,
    /// The kernel to run, whatever the notebook asks for
    #[arg(short, long, value_name = "NAME")]
    kernel: Option<String>,
    /// The folder in which the notebook runs [default: the current one]
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Write the notebook with its parameters and execute nothing
    #[arg(long, overrides_with = "prepare_execute")]
    prepare_only: bool,
    #[arg(long, overrides_with = "prepare_only", hide = true)]
    prepare_execute: bool,
    /// Hide the code in the output notebook
    #[arg(long, overrides_with = "no_report_mode")]
    report_mode: bool,
    #[arg(long, overrides_with = "report_mode", hide = true)]
    no_report_mode: bool,
    /// Show how far the run is, or with --no-progress-bar do not [default: on a terminal]
    #[arg(long, overrides_with = "no_progress_bar")]
    progress_bar: bool,
    #[arg(long, overrides_with = "progress_bar", hide = true)]
    no_progress_bar: bool,
    /// How long the kernel may take to start, such as 30 or 2m [default: 60s]
    #[arg(long, alias = "start_timeout", value_name = "TIME", value_parser = time_limit, allow_hyphen_values = true)]
    start_timeout: Option<Seconds>,
    /// How long each cell may take, such as 30 or 2m; 0 and below are no limit [default: no limit]
    #[arg(long, visible_alias = "cell-timeout", value_name = "TIME", value_parser = time_limit, allow_hyphen_values = true)]
    execution_timeout: Option<Seconds>,
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

impl ExecuteArgs {
    fn request(&self) -> Result<ExecuteFile> {
        let parameters = self.parameters.parse()?;
        if [&self.notebook_path, &self.output_path].iter().any(|path| path.as_os_str() == "-") {
            return Err(Error::bad_input(
                "`-`, standard input or output, is not taken yet: name files (one that is called so is `./-`)",
            ));
        }
        let config = Config::resolve(self.settings.clone())?;
        let mut limits = config.limits;
        if let Some(Seconds(time)) = self.start_timeout {
            limits.start_timeout = if time.is_zero() { limits.start_timeout } else { time };
        }
        if let Some(Seconds(time)) = self.execution_timeout {
            limits.cell_timeout = Some(time).filter(|time| !time.is_zero());
        }
        check_output(&self.output_path)?;
        Ok(ExecuteFile {
            input: self.notebook_path.clone(),
            output: self.output_path.clone(),
            parameters,
            kernel_name: self.kernel.clone(),
            cwd: working_folder(self.cwd.as_deref())?,
            data_dir: config.data_dir,
            limits,
            prepare_only: self.prepare_only,
            report_mode: self.report_mode,
        })
    }

    fn shows_progress(&self) -> bool {
        self.progress_bar || (!self.no_progress_bar && std::io::stderr().is_terminal())
    }
}

/// Papermill makes no folders either; better said now than after an hour.
fn check_output(output: &Path) -> Result<()> {
    if output.is_dir() {
        return Err(Error::bad_input(format!("the output {} is a folder: name a file", output.display())));
    }
    match output.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) if !folder.is_dir() => Err(Error::not_found(format!(
            "the output's folder {} does not exist: make it first",
            folder.display()
        ))),
        _ => Ok(()),
    }
}

fn working_folder(named: Option<&Path>) -> Result<PathBuf> {
    let folder = named.unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Error::not_found(format!("the folder {} to run in does not exist", folder.display())));
    }
    folder.canonicalize().map_err(|error| file_fault(folder, "entered", error))
}

pub(super) async fn run(args: ExecuteArgs) -> Result<Exit> {
    let request = args.request()?;
    let mut signals = Signals::listen()?;
    let (progress, watcher) = watch::channel(RunProgress::default());
    let (interrupt, interrupted) = watch::channel(false);
    let bar = args.shows_progress().then(|| tokio::spawn(show_progress(watcher)));
    let running = execute_file(request, progress, interrupted);
    tokio::pin!(running);
    let mut stopped_by = None;
    let executed = loop {
        tokio::select! {
            executed = &mut running => break executed,
            signal = signals.next() => {
                if stopped_by.is_some() {
                    signal.exit_at_once();
                }
                stopped_by = Some(signal);
                tell!("stopping the notebook and saving what it has produced; Ctrl-C again ends at once");
                let _ = interrupt.send(true);
            }
        }
    };
    if let Some(bar) = bar {
        // The channel is closed: the bar has seen the end and goes.
        let _ = bar.await;
    }
    let executed = executed?;
    for warning in &executed.warnings {
        tell!("warning: {warning}");
    }
    tell_failure(&executed, &args.output_path);
    Ok(match (stopped_by, &executed.error) {
        (Some(signal), _) if executed.interrupted => signal.exit(),
        (_, Some(error)) => Exit::of_cell_error(error),
        (_, None) => Exit::Success,
    })
}

/// The exception as papermill shows it, then what it comes to.
fn tell_failure(executed: &ExecutedFile, output: &Path) {
    let Some(error) = &executed.error else { return };
    if !error.traceback.is_empty() {
        let count = executed.execution_count.map_or_else(|| " ".to_owned(), |count| count.to_string());
        let traceback = error.traceback.join("\n");
        let colours = std::io::stderr().is_terminal();
        let traceback = if colours { traceback } else { without_colours(&traceback) };
        tell!("\n{}\nException encountered at \"In [{count}]\":\n{traceback}\n", "-".repeat(75));
    }
    tell!("error: {error}\n  what was produced is in {}", output.display());
}

/// A bar on a terminal, elsewhere a line per cell; until the run has ended.
async fn show_progress(mut watcher: watch::Receiver<RunProgress>) {
    let on_terminal = std::io::stderr().is_terminal();
    let style = ProgressStyle::with_template(
        "Executing: {percent:>3}% [{bar:30}] {pos}/{len} cells [{elapsed}] {wide_msg}",
    );
    let target = if on_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    bar.enable_steady_tick(Duration::from_millis(200));
    let mut told = 0;
    let mut open = true;
    while open {
        open = watcher.changed().await.is_ok();
        let progress = watcher.borrow_and_update().progress;
        bar.set_length(progress.cells_total as u64);
        bar.set_position(progress.cells_done as u64);
        bar.set_message(progress.current_cell.map(|cell| format!("in cell {cell}")).unwrap_or_default());
        if !on_terminal && progress.cells_done > told {
            told = progress.cells_done;
            tell!("Executing: {told}/{} cells [{}s]", progress.cells_total, bar.elapsed().as_secs());
        }
    }
    bar.abandon();
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
