//! `bindery sweep`: one notebook, executed for many points.

use clap::{Args, Subcommand, ValueEnum};

use super::Exit;
use super::flags::{EngineFlags, ParameterFlags};
use super::flows::{self, FlowIdArgs, FlowListArgs, FlowResultsArgs, FollowFlags};
use crate::config::Seconds;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::execution::{ATTEMPTS, PRIORITIES, ParentKind};
use crate::notebook::{ParameterValue, Parameters, yaml};
use crate::workflow::definition::{PARALLEL, RETRIES};
use crate::workflow::sweep::Method;
use crate::workflow::{Retries, StepSource, SweepRequest};

const KIND: ParentKind = ParentKind::Sweep;

/// Run one notebook for many points, follow and stop that
///
/// Works on the data dir itself. What is begun is executed by a `bindery serve` on the same data dir.
#[derive(Debug, Args)]
pub(super) struct SweepArgs {
    #[command(subcommand)]
    command: SweepCommand,
    #[command(flatten)]
    flags: EngineFlags,
}

#[derive(Debug, Subcommand)]
enum SweepCommand {
    /// Run a notebook for every point
    #[command(after_help = "What is tried for a parameter is a list, by --try or in -y and -f:
  0.1,0.2,0.3                   these; brackets may be left away in --try
  {range: [2, 10, 2]}           2, 4, 6, 8: start, stop (not included), step
  {linspace: [0, 1, 11]}        11 numbers from 0 to 1
  {logspace: [-3, 0, 4]}        0.001, 0.01, 0.1, 1
  {uniform: [0, 1]}, {log_uniform: [0.001, 1]}, {int_uniform: [1, 6]}, {choice: [a, b]}
                                for --method random
  {value: [1, 2]}               always the list [1, 2]
All else is the same for every point.

Examples:
  bindery sweep run ada/train.ipynb --try alpha 0.1,0.2,0.3 --try depth '{range: [2, 10, 2]}' --max-parallel 4
  bindery sweep run ada/train.ipynb -p data may.csv -y 'alpha: [0.1, 0.2]' --wait
  bindery sweep run --template ml/train_classifier.ipynb -f grid.yaml --fail-fast
  bindery sweep run ada/train.ipynb --method random --samples 60 --seed 1 --try lr '{log_uniform: [0.0001, 0.1]}'")]
    Run(Box<RunArgs>),
    /// Show sweeps, newest first
    #[command(after_help = "Examples:\n  bindery sweep list\n  bindery sweep list --status running --json")]
    List(FlowListArgs),
    /// Show a sweep and how far it has come
    #[command(after_help = "Examples:\n  bindery sweep show 4\n  bindery sweep show 4 --json")]
    Show(FlowIdArgs),
    /// Show what the points came to
    #[command(
        after_help = "Examples:\n  bindery sweep results 4\n  bindery sweep results 4 --csv > results.csv"
    )]
    Results(FlowResultsArgs),
    /// Stop a sweep: what waits is given up, what runs is interrupted within seconds
    #[command(after_help = "Examples:\n  bindery sweep cancel 4")]
    Cancel(FlowIdArgs),
    /// Take up a sweep that failed or was cancelled: points that ended well stay, all others are done once more
    #[command(after_help = "Examples:\n  bindery sweep resume 4 --wait")]
    Resume(ResumeArgs),
    /// Wait until a sweep has ended; its result is the exit code
    #[command(after_help = "Examples:\n  bindery sweep wait 4 && bindery sweep results 4 --csv")]
    Wait(FlowIdArgs),
}

/// How points are made.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum MethodFlag {
    /// Each value with each of the others
    Grid,
    /// The first values together, the second ones together, and so on
    Zip,
    /// As many as --samples says, drawn
    Random,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The notebook, relative to the notebooks root, or absolute and inside it
    #[arg(value_name = "NOTEBOOK", required_unless_present = "template")]
    notebook: Option<String>,
    /// A template instead of a notebook
    #[arg(long, value_name = "NAME", conflicts_with = "notebook")]
    template: Option<String>,
    #[command(flatten)]
    parameters: ParameterFlags,
    /// A parameter and what is tried for it, in YAML
    #[arg(
        long = "try",
        num_args = 2,
        value_names = ["NAME", "VALUES"],
        allow_hyphen_values = true,
        help_heading = "Parameters"
    )]
    tried: Vec<String>,
    /// How points are made of the parameters
    #[arg(long, value_enum, default_value = "grid", help_heading = "Points")]
    method: MethodFlag,
    /// How many points to draw, with --method random
    #[arg(long, value_name = "N", help_heading = "Points")]
    samples: Option<u64>,
    /// With the same seed the same points are drawn [default: chosen, and shown by `sweep show`]
    #[arg(long, value_name = "N", help_heading = "Points")]
    seed: Option<u64>,
    /// How many may be waiting for a worker or running at the same time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(PARALLEL))]
    max_parallel: Option<u32>,
    /// Give up the points that have not ended once one has failed
    #[arg(long)]
    fail_fast: bool,
    /// How often a point that failed is tried again
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(RETRIES))]
    retries: Option<u32>,
    /// How long is waited before it is tried again; twice as long each time [default: 10s]
    #[arg(long, value_name = "TIME", requires = "retries")]
    retry_delay: Option<Seconds>,
    /// How long all of it may take, such as 6h
    #[arg(long, value_name = "TIME")]
    sweep_timeout: Option<Seconds>,
    /// How long each execution may take, such as 30m
    #[arg(long, value_name = "TIME")]
    timeout: Option<Seconds>,
    /// How long each cell may take
    #[arg(long, value_name = "TIME")]
    cell_timeout: Option<Seconds>,
    /// How long each execution may wait for a worker
    #[arg(long, value_name = "TIME")]
    queue_timeout: Option<Seconds>,
    /// How often an execution may be begun when its worker dies under it [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(ATTEMPTS))]
    max_attempts: Option<u32>,
    /// The kernel to run, whatever the notebook asks for
    #[arg(short, long, value_name = "NAME")]
    kernel: Option<String>,
    /// Run on kernels of this gateway, by its name or address in the service's configuration
    #[arg(long, value_name = "NAME")]
    kernel_gateway: Option<String>,
    /// Those of a higher priority are executed first [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(PRIORITIES))]
    priority: Option<i32>,
    /// What you call it [default: the notebook's name]
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: Option<String>,
    /// For whom
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    username: Option<String>,
    /// The folder for the executed notebooks, relative to the notebooks root [default: sweeps/ID-NAME]
    #[arg(long, value_name = "DIR")]
    output_directory: Option<String>,
    #[command(flatten)]
    follow: FollowFlags,
}

#[derive(Debug, Args)]
struct ResumeArgs {
    #[command(flatten)]
    id: FlowIdArgs,
    /// Wait until it has ended; its result is the exit code
    #[arg(long)]
    wait: bool,
}

pub(super) async fn run(args: SweepArgs) -> Result<Exit> {
    let engine = args.flags.open().await?;
    let exit = match args.command {
        SweepCommand::Run(args) => start(&engine, *args).await,
        SweepCommand::List(args) => flows::list(&engine, KIND, args).await,
        SweepCommand::Show(args) => {
            flows::show(&engine, KIND, args.id, args.json).await.map(|()| Exit::Success)
        }
        SweepCommand::Results(args) => flows::results(&engine, KIND, args).await,
        SweepCommand::Cancel(args) => flows::cancel(&engine, KIND, args).await,
        SweepCommand::Resume(args) => flows::resume(&engine, KIND, args.id, args.wait).await,
        SweepCommand::Wait(args) => flows::wait(&engine, KIND, args.id, args.json).await,
    };
    engine.close().await;
    exit
}

async fn start(engine: &Engine, args: RunArgs) -> Result<Exit> {
    let mut parameters = args.parameters.parse()?;
    for pair in args.tried.chunks_exact(2) {
        parameters.insert(pair[0].as_str(), values(&pair[0], &pair[1])?)?;
    }
    let source = match (args.notebook, args.template) {
        (Some(path), _) => StepSource::Notebook(path),
        (None, Some(name)) => StepSource::Template(name),
        (None, None) => return Err(Error::bad_input("name a notebook, or a template with --template")),
    };
    let time = |time: Option<Seconds>| time.map(|time| time.0);
    let mut retries = Retries { limit: args.retries.unwrap_or_default(), ..Retries::default() };
    if let Some(Seconds(delay)) = args.retry_delay {
        retries = Retries { delay, max_delay: retries.max_delay.max(delay), ..retries };
    }
    let request = SweepRequest {
        name: args.name,
        username: args.username,
        parameters: parameters.to_exact_json()?,
        method: match args.method {
            MethodFlag::Grid => Method::Grid,
            MethodFlag::Zip => Method::Zip,
            MethodFlag::Random => Method::Random,
        },
        samples: args.samples,
        seed: args.seed,
        output_directory: args.output_directory,
        max_parallel: args.max_parallel,
        fail_fast: args.fail_fast,
        retries,
        sweep_timeout: time(args.sweep_timeout),
        timeout: time(args.timeout),
        cell_timeout: time(args.cell_timeout),
        queue_timeout: time(args.queue_timeout),
        max_attempts: args.max_attempts,
        kernel_name: args.kernel,
        kernel_gateway: args.kernel_gateway,
        priority: args.priority,
        ..SweepRequest::new(source)
    };
    let id = engine.start_sweep(request, args.follow.idempotency_key).await?;
    flows::follow(engine, KIND, id, args.follow.wait, args.follow.json).await
}

/// What --try says of a parameter: a list, an object that says more, or a list whose brackets were left away.
fn values(name: &str, text: &str) -> Result<ParameterValue> {
    let parse = |text: &str| -> Result<ParameterValue> {
        let parameters: Parameters =
            yaml::parse_parameters(&format!("--try {name}"), &format!("values: {text}"))?;
        Ok(parameters.get("values").cloned().unwrap_or(ParameterValue::Null))
    };
    let listed = parse(text);
    match &listed {
        Ok(ParameterValue::List(_) | ParameterValue::Dict(_)) => listed,
        // Of what is no YAML either way, the fault is that of the text as it was given.
        _ => parse(&format!("[{text}]")).or_else(|fault| listed.and(Err(fault))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_is_a_list_with_brackets_or_without() {
        let check = |text: &str, expected: serde_json::Value| {
            assert_eq!(values("x", text).unwrap().to_json(), expected, "{text}");
        };
        check("[1, 2]", serde_json::json!([1, 2]));
        check("0.1,0.2", serde_json::json!([0.1, 0.2]));
        check("-1, a b ,true", serde_json::json!([-1, "a b", true]));
        check("7", serde_json::json!([7]));
        check("{range: [3]}", serde_json::json!({"range": [3]}));
        check("[1, 2], [3]", serde_json::json!([[1, 2], [3]]));
        assert!(values("x", "[1").is_err());
    }
}
