//! `bindery kernels list|install|check`: the environments that notebooks run in.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use super::Exit;
use super::print::{print, print_json, table, tell};
use super::signals::Signals;
use crate::engine::kernels::{
    self, CheckReport, EnvironmentState, InstallOptions, InstallProgress, Installed, KernelListing,
    KernelSource,
};
use crate::error::{Error, Result};

/// List, install and check the kernels that notebooks run in
#[derive(Debug, Args)]
pub struct KernelsArgs {
    #[command(subcommand)]
    command: KernelsCommand,
}

#[derive(Debug, Subcommand)]
enum KernelsCommand {
    /// Show the kernels that are there and those that Bindery can install
    ///
    /// Kernelspecs are found where Jupyter finds them (JUPYTER_PATH, the active virtual environment, the user's and
    /// the system's folders), after those in the data dir.
    #[command(after_help = "Examples:\n  bindery kernels list\n  bindery kernels list --json")]
    List(ListArgs),
    /// Install kernels that Bindery ships: python3, mlflow_kernel, rust
    ///
    /// Makes a virtual environment in the data dir with uv when it is on PATH, else with Python's venv and pip, and
    /// registers its kernelspec. Python 3.10 or newer is needed. What is installed already is left alone; an
    /// interrupted installation starts over. `rust` registers evcxr: the one inside this binary when it was built with
    /// `--features evcxr`, else the `evcxr_jupyter` on PATH.
    #[command(
        after_help = "Examples:\n  bindery kernels install python3\n  bindery kernels install python3 mlflow_kernel\n  \
                      bindery kernels install mlflow_kernel --python python3.12"
    )]
    Install(InstallArgs),
    /// Start the interpreter of each kernel and import its packages
    #[command(
        after_help = "Examples:\n  bindery kernels check\n  bindery kernels check mlflow_kernel --json"
    )]
    Check(CheckArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct InstallArgs {
    /// The kernels to install
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// The Python to make the environments from: a path, or a name on PATH [default: a suitable one on PATH]
    #[arg(long, value_name = "PYTHON")]
    python: Option<OsString>,
    /// Make the environments anew even if they look complete
    #[arg(long)]
    force: bool,
    /// Print JSON, and no progress
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// The kernel to check [default: every kernel that is installed in the data dir]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand on the kernels of `data_dir`.
pub async fn run(args: &KernelsArgs, data_dir: &Path) -> Result<Exit> {
    match &args.command {
        KernelsCommand::List(args) => list(args, data_dir)?,
        KernelsCommand::Install(args) => return install(args, data_dir).await,
        KernelsCommand::Check(args) => check(args, data_dir).await?,
    }
    Ok(Exit::Success)
}

fn list(args: &ListArgs, data_dir: &Path) -> Result<()> {
    let listings = kernels::list(data_dir);
    if args.json {
        return print_json(&listings);
    }
    let rows: Vec<[String; 5]> = listings.iter().map(row).collect();
    print(&table(["NAME", "DISPLAY NAME", "LANGUAGE", "SOURCE", "FOLDER"], &rows))
}

fn row(listing: &KernelListing) -> [String; 5] {
    let install = || format!("bindery kernels install {}", listing.name);
    let folder = listing.resource_dir.as_ref().map(|folder| folder.display().to_string()).unwrap_or_default();
    let place = match listing.state {
        EnvironmentState::Installed => folder,
        EnvironmentState::Outdated => format!("{folder} (outdated: {})", install()),
        EnvironmentState::Incomplete => format!("incomplete: {}", install()),
        EnvironmentState::Absent => format!("not installed: {}", install()),
    };
    let source = match listing.source {
        KernelSource::Bindery => "bindery",
        KernelSource::Jupyter => "jupyter",
    };
    [listing.name.clone(), listing.display_name.clone(), listing.language.clone(), source.to_owned(), place]
}

/// Installs `names` with progress on standard error; also for other subcommands that need a kernel first. A
/// request to stop breaks it off.
pub(super) async fn install_with_progress(
    names: &[String],
    data_dir: &Path,
    options: &InstallOptions,
    is_quiet: bool,
) -> Result<ControlFlow<Exit, Vec<Installed>>> {
    let mut signals = Signals::listen()?;
    let mut done = Vec::new();
    for name in names {
        let progress = Progress::new(name, is_quiet);
        let result = tokio::select! {
            result = kernels::install(name, data_dir, options, &progress) => result,
            // Dropping the installation kills the installer; the next call starts over.
            signal = signals.next() => {
                progress.finish(None);
                tell!("the installation of {name} was interrupted; run the command again to complete it");
                return Ok(ControlFlow::Break(signal.exit()));
            }
        };
        progress.finish(result.as_ref().ok());
        done.push(result?);
    }
    Ok(ControlFlow::Continue(done))
}

async fn install(args: &InstallArgs, data_dir: &Path) -> Result<Exit> {
    let options = InstallOptions { python: args.python.clone(), force: args.force };
    match install_with_progress(&args.names, data_dir, &options, args.json).await? {
        ControlFlow::Break(exit) => return Ok(exit),
        ControlFlow::Continue(installed) if args.json => print_json(&installed)?,
        ControlFlow::Continue(_) => {}
    }
    Ok(Exit::Success)
}

async fn check(args: &CheckArgs, data_dir: &Path) -> Result<()> {
    let names = match &args.name {
        Some(name) => vec![name.clone()],
        None => own_names(data_dir),
    };
    if names.is_empty() {
        return Err(Error::not_found(
            "no kernel is installed in the data dir; `bindery kernels install python3` installs one",
        ));
    }
    let mut reports = Vec::new();
    for name in names {
        let report = kernels::check(&name, data_dir).await?;
        if !args.json {
            print(&report_text(&report))?;
        }
        reports.push(report);
    }
    if args.json { print_json(&reports) } else { Ok(()) }
}

fn own_names(data_dir: &Path) -> Vec<String> {
    let is_own = |listing: &KernelListing| {
        listing.source == KernelSource::Bindery && listing.state != EnvironmentState::Absent
    };
    kernels::list(data_dir).into_iter().filter(is_own).map(|listing| listing.name).collect()
}

fn report_text(report: &CheckReport) -> String {
    let mut text = format!("{}: works", report.name);
    if let Some(version) = &report.python_version {
        text.push_str(&format!(", Python {version}"));
    }
    for module in &report.modules {
        text.push_str(&format!(", {} {}", module.name, module.version));
    }
    text.push('\n');
    text
}

/// A spinner with the elapsed time and the installer's last line on a terminal; plain lines elsewhere.
struct Progress {
    name: String,
    bar: Option<ProgressBar>,
    is_quiet: bool,
}

impl Progress {
    fn new(name: &str, is_quiet: bool) -> Self {
        let bar = (!is_quiet && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg}");
            let bar = ProgressBar::new_spinner().with_prefix(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        });
        Self { name: name.to_owned(), bar, is_quiet }
    }

    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("{}: {text}", self.name)),
            None if self.is_quiet => {}
            None => tell!("{}: {text}", self.name),
        }
    }

    fn finish(&self, installed: Option<&Installed>) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if let Some(installed) = installed {
            let word = if installed.was_installed { "already installed" } else { "installed" };
            let what = match &installed.python_version {
                Some(version) => format!("Python {version}"),
                None => installed.program.display().to_string(),
            };
            self.say(&format!("{word}, {what}, {}", installed.kernel_json.display()));
        }
    }
}

impl InstallProgress for Progress {
    fn step(&self, step: &str) {
        self.say(step);
    }

    fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(line.trim().to_owned()),
            None => self.say(&format!("  {line}")),
        }
    }
}
