//! The command line: one file per subcommand, which parses, asks the engine and shows.
//!
//! Exit codes are decided in `exit.rs`, what goes to standard output is formed in `print.rs`. No file here
//! touches database, store, queue or kernels.

mod config;
mod demo;
mod execute;
mod execution_flags;
mod executions;
mod exit;
mod flags;
mod flows;
mod inspect;
pub mod kernels;
mod log;
mod notebooks;
mod print;
mod prune;
mod report;
mod schedule;
mod serve;
mod signals;
mod sweep;
mod templates;
mod wire;
mod worker;
mod workflow;

use std::ffi::OsString;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::{Config, LocalSettings};
use crate::error::{Error, Result};
pub use exit::{Exit, report};
use log::LogLevel;

/// Run parameterised Jupyter notebooks as production jobs
#[derive(Debug, Parser)]
#[command(
    name = "bindery",
    version,
    propagate_version = true,
    // The last of two flags counts, so that an alias can hold defaults; papermill does the same.
    args_override_self = true,
    after_help = "Examples:
  bindery demo                                   see it work, from template to result
  bindery execute in.ipynb out.ipynb -p alpha 0.1
  bindery serve

Exit codes:
  0    all is well
  1    bad input, or a cell that failed
  2    a system around Bindery: storage, kernel, network
  3    a fault of Bindery's own: please report it
  130  after Ctrl-C; 143 after SIGTERM; `serve` that stops in good order ends with 0

Settings come from flags, then BINDERY_* variables, then bindery.toml, then defaults: `bindery config` shows them."
)]
pub struct Cli {
    /// What is logged to standard error: off, error, warn, info, debug or trace [default: what RUST_LOG says, else
    /// info for serve and warn for the others]
    #[arg(
        long,
        global = true,
        value_enum,
        ignore_case = true,
        hide_possible_values = true,
        value_name = "LEVEL",
        display_order = 900
    )]
    log_level: Option<LogLevel>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Execute(Box<execute::ExecuteArgs>),
    Inspect(inspect::InspectArgs),
    Serve(serve::ServeArgs),
    Worker(worker::WorkerArgs),
    Demo(demo::DemoArgs),
    Kernels(KernelsCommand),
    Templates(templates::TemplatesArgs),
    Notebooks(notebooks::NotebooksArgs),
    Executions(executions::ExecutionsArgs),
    Workflow(workflow::WorkflowArgs),
    Sweep(sweep::SweepArgs),
    Schedule(schedule::ScheduleArgs),
    Prune(prune::PruneArgs),
    Config(config::ConfigArgs),
}

/// List, install and check the kernels that notebooks run in
#[derive(Debug, Args)]
struct KernelsCommand {
    #[command(flatten)]
    kernels: kernels::KernelsArgs,
    #[command(flatten, next_help_heading = "Configuration")]
    settings: LocalSettings,
}

/// Subcommands with subcommands of their own, whose flags may stand behind either.
const NESTED: [&str; 7] =
    ["kernels", "templates", "notebooks", "executions", "workflow", "sweep", "schedule"];

/// Reads the command line. Help and version are printed here, and so is what is wrong with it.
///
/// # Errors
/// How the process ends when there is nothing to run: well after help and version, else as the user's fault.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Exit> {
    let mut command = Cli::command();
    for name in NESTED {
        command = command.mut_subcommand(name, |nested| nested.mut_args(|argument| argument.global(true)));
    }
    let parsed =
        command.try_get_matches_from_mut(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| {
        // A closed standard output leaves nobody to tell.
        let _ = error.print();
        // clap itself would say 2, which is a system's fault here.
        if error.use_stderr() { Exit::UserFault } else { Exit::Success }
    })
}

/// Starts logging as the command line asks for; a panic is told in one line from now on, without a backtrace.
pub fn start_logging(cli: &Cli) {
    std::panic::set_hook(Box::new(|panic| {
        print::tell!("error: a fault of Bindery's own, please report it: {panic}");
    }));
    let default = match &cli.command {
        Command::Serve(_) | Command::Worker(_) => LogLevel::Info,
        Command::Execute(args) => args.default_log_level(),
        _ => LogLevel::Warn,
    };
    log::start(cli.log_level, default, matches!(cli.command, Command::Serve(_) | Command::Worker(_)));
}

/// Runs what the command line says.
///
/// # Errors
/// What went wrong, to be given to [`report`].
pub async fn run(cli: Cli) -> Result<Exit> {
    match cli.command {
        Command::Execute(args) => execute::run(*args).await,
        Command::Inspect(args) => inspect::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Worker(args) => worker::run(args).await,
        Command::Prune(args) => prune::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Kernels(KernelsCommand { kernels, settings }) => {
            let data_dir = Config::resolve(settings)?.data_dir;
            kernels::run(&kernels, &data_dir).await
        }
        Command::Templates(args) => templates::run(args).await,
        Command::Notebooks(args) => notebooks::run(args).await,
        Command::Executions(args) => executions::run(args).await,
        Command::Workflow(args) => workflow::run(args).await,
        Command::Sweep(args) => sweep::run(args).await,
        Command::Schedule(args) => schedule::run(args).await,
        Command::Config(args) => config::run(args),
    }
}

/// A file that was named on the command line and cannot be used.
/// The text of a file, or of standard input for `-`.
fn read_file(file: &std::path::Path) -> Result<String> {
    match file == std::path::Path::new("-") {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(file),
    }
    .map_err(|error| file_fault(file, "read", error))
}

fn file_fault(path: &std::path::Path, doing: &str, error: std::io::Error) -> Error {
    let message = match error.kind() {
        // What is missing is the file itself, or the folder that it is to stand in.
        std::io::ErrorKind::NotFound if doing == "written" => {
            format!("{} cannot be written: its folder does not exist", path.display())
        }
        std::io::ErrorKind::NotFound => format!("{} does not exist", path.display()),
        kind => format!("{} cannot be {doing}: {kind}", path.display()),
    };
    match error.kind() {
        std::io::ErrorKind::NotFound => return Error::not_found(message),
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::unavailable(message),
        _ => Error::bad_input(message),
    }
    .with_source(error)
}
