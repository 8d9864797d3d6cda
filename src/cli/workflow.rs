//! `bindery workflow`: notebooks as steps that need each other.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::flags::{EngineFlags, ParameterFlags};
use super::flows::{self, FlowIdArgs, FlowListArgs, FlowResultsArgs, FollowFlags};
use super::print::{print, print_json, tell};
use super::{Exit, read_file};
use crate::engine::Engine;
use crate::engine::flows::{ReadWorkflow, StartFlow};
use crate::error::Result;
use crate::execution::ParentKind;
use crate::flow::FlowId;
use crate::workflow::graph::{Graph, graph};

const KIND: ParentKind = ParentKind::Workflow;

/// Check, run, follow and stop workflows: notebooks as steps that need each other
///
/// Works on the data dir itself. What is begun is executed by a `bindery serve` on the same data dir.
#[derive(Debug, Args)]
#[command(after_help = "A workflow is a file in YAML:

  name: nightly
  parameters: {day: 2026-01-01}
  steps:
    prepare:
      notebook: ada/prepare.ipynb             # or template: ml/prepare.ipynb
      parameters: {day: \"${{ parameters.day }}\"}
    train:
      notebook: ada/train.ipynb
      needs: prepare
      for_each: ${{ steps.prepare.results.folds }}
      max_parallel: 2
      retries: {limit: 3, delay: 10s}
      parameters: {fold: \"${{ item }}\"}
    report:
      notebook: ada/report.ipynb
      needs: train
      if: ${{ steps.train.results | length > 0 }}
      parameters: {models: \"${{ steps.train.results }}\"}")]
pub(super) struct WorkflowArgs {
    #[command(subcommand)]
    command: WorkflowCommand,
    #[command(flatten)]
    flags: EngineFlags,
}

#[derive(Debug, Subcommand)]
enum WorkflowCommand {
    /// Say whether a workflow could be run; what is wrong is told as FILE:LINE:COLUMN: MESSAGE
    #[command(after_help = "Examples:\n  bindery workflow validate nightly.yaml\n  \
                      bindery workflow validate nightly.yaml --json")]
    Validate(ValidateArgs),
    /// Run a workflow
    #[command(after_help = "Examples:\n  bindery workflow run nightly.yaml -p day 2026-11-21 --wait\n  \
                      bindery workflow run nightly.yaml --username ada --idempotency-key nightly-2026-11-21")]
    Run(Box<RunArgs>),
    /// Show workflows' runs, newest first
    #[command(
        after_help = "Examples:\n  bindery workflow list\n  bindery workflow list --status failed --json"
    )]
    List(FlowListArgs),
    /// Show a run and its steps
    #[command(after_help = "Examples:\n  bindery workflow show 3\n  bindery workflow show 3 --json")]
    Show(FlowIdArgs),
    /// Show which step needs which, of a run or of a file
    #[command(after_help = "Examples:\n  bindery workflow graph 3\n  \
                      bindery workflow graph nightly.yaml --dot | dot -Tsvg > nightly.svg")]
    Graph(GraphArgs),
    /// Show what the executions of a step came to
    #[command(after_help = "Examples:\n  bindery workflow results 3\n  \
                      bindery workflow results 3 --step train --csv > train.csv")]
    Results(FlowResultsArgs),
    /// Stop a run: what waits is given up, what runs is interrupted within seconds
    #[command(after_help = "Examples:\n  bindery workflow cancel 3")]
    Cancel(FlowIdArgs),
    /// Take up a run that failed or was cancelled: what ended well stays, all else is done once more
    #[command(after_help = "Examples:\n  bindery workflow resume 3 --wait")]
    Resume(ResumeArgs),
    /// Wait until a run has ended; its result is the exit code
    #[command(after_help = "Examples:\n  bindery workflow wait 3 && echo done")]
    Wait(FlowIdArgs),
}

#[derive(Debug, Args)]
struct ValidateArgs {
    /// The workflow in YAML or JSON; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The workflow in YAML or JSON; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    parameters: ParameterFlags,
    /// For whom [default: what the workflow says]
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    username: Option<String>,
    /// The folder for the executed notebooks, relative to the notebooks root [default: workflows/ID-NAME]
    #[arg(long, value_name = "DIR")]
    output_directory: Option<String>,
    #[command(flatten)]
    follow: FollowFlags,
}

#[derive(Debug, Args)]
struct GraphArgs {
    /// The id of a run, or a file
    #[arg(value_name = "ID|FILE")]
    of: String,
    /// Print it in Graphviz's language
    #[arg(long, conflicts_with = "json")]
    dot: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ResumeArgs {
    #[command(flatten)]
    id: FlowIdArgs,
    /// Wait until it has ended; its result is the exit code
    #[arg(long)]
    wait: bool,
}

pub(super) async fn run(args: WorkflowArgs) -> Result<Exit> {
    let engine = args.flags.open().await?;
    let exit = match args.command {
        WorkflowCommand::Validate(args) => validate(&engine, &args).await,
        WorkflowCommand::Run(args) => start(&engine, *args).await,
        WorkflowCommand::List(args) => flows::list(&engine, KIND, args).await,
        WorkflowCommand::Show(args) => {
            flows::show(&engine, KIND, args.id, args.json).await.map(|()| Exit::Success)
        }
        WorkflowCommand::Graph(args) => show_graph(&engine, &args).await,
        WorkflowCommand::Results(args) => flows::results(&engine, KIND, args).await,
        WorkflowCommand::Cancel(args) => flows::cancel(&engine, KIND, args).await,
        WorkflowCommand::Resume(args) => flows::resume(&engine, KIND, args.id, args.wait).await,
        WorkflowCommand::Wait(args) => flows::wait(&engine, KIND, args.id, args.json).await,
    };
    engine.close().await;
    exit
}

/// The workflow of a file; `None` when it has faults, which have been told, a line each as compilers do.
pub(super) async fn read(engine: &Engine, file: &Path, text: &str) -> Result<Option<ReadWorkflow>> {
    let read = engine.read_workflow(text).await?;
    for fault in &read.faults {
        tell!("{}:{fault}", file.display());
    }
    for warning in &read.warnings {
        tell!("{}:{warning} (warning)", file.display());
    }
    Ok(Some(read).filter(|read| read.faults.is_empty()))
}

async fn validate(engine: &Engine, args: &ValidateArgs) -> Result<Exit> {
    let text = read_file(&args.file)?;
    if args.json {
        let read = engine.read_workflow(&text).await?;
        let valid = read.faults.is_empty();
        print_json(&json!({"valid": valid, "errors": read.faults, "warnings": read.warnings}))?;
        return Ok(if valid { Exit::Success } else { Exit::UserFault });
    }
    let Some(read) = read(engine, &args.file, &text).await? else { return Ok(Exit::UserFault) };
    let steps = match read.workflow.steps.len() {
        1 => "1 step".to_owned(),
        count => format!("{count} steps"),
    };
    print(&format!("{} is good: workflow `{}` with {steps}\n", args.file.display(), read.workflow.name))?;
    Ok(Exit::Success)
}

async fn start(engine: &Engine, args: RunArgs) -> Result<Exit> {
    let text = read_file(&args.file)?;
    let parameters = args.parameters.parse()?.to_exact_json()?;
    let Some(read) = read(engine, &args.file, &text).await? else { return Ok(Exit::UserFault) };
    let start = StartFlow {
        kind: KIND,
        workflow: read.workflow,
        request: json!({
            "workflow": text, "parameters": parameters, "username": args.username,
            "output_directory": args.output_directory,
        }),
        parameters,
        username: args.username,
        output_directory: args.output_directory,
        idempotency_key: args.follow.idempotency_key,
    };
    let id = engine.start_flow(start).await?;
    flows::follow(engine, KIND, id, args.follow.wait, args.follow.json).await
}

async fn show_graph(engine: &Engine, args: &GraphArgs) -> Result<Exit> {
    let graph = match args.of.parse() {
        Ok(id) => engine.flow_graph(KIND, FlowId(id)).await?,
        Err(_) => {
            let file = Path::new(&args.of);
            let Some(read) = read(engine, file, &read_file(file)?).await? else { return Ok(Exit::UserFault) };
            graph(&read.workflow)
        }
    };
    if args.json {
        print_json(&graph)?;
    } else if args.dot {
        print(&as_dot(&graph))?;
    } else {
        print(&as_text(&graph))?;
    }
    Ok(Exit::Success)
}

/// A line for each step, below the steps that it needs.
fn as_text(graph: &Graph) -> String {
    let mut text = String::new();
    for level in &graph.levels {
        for node in graph.nodes.iter().filter(|node| level.contains(&node.id)) {
            let needs: Vec<_> =
                graph.edges.iter().filter(|edge| edge.to == node.id).map(|edge| edge.from.as_str()).collect();
            let needs = if needs.is_empty() { String::new() } else { format!(" ← {}", needs.join(", ")) };
            let status = node.status.as_ref().map(|status| format!(" [{status}]")).unwrap_or_default();
            let each = if node.fans_out { " (for each item)" } else { "" };
            text.push_str(&format!("{}{}{each}{status}{needs}\n", "  ".repeat(node.level), node.label));
        }
    }
    text
}

/// Names of steps need no escapes.
fn as_dot(graph: &Graph) -> String {
    let mut text = "digraph workflow {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
    for node in &graph.nodes {
        let status = node.status.as_ref().map(|status| format!("\\n{status}")).unwrap_or_default();
        let each = if node.fans_out { ", peripheries=2" } else { "" };
        text.push_str(&format!("  {} [label=\"{}{status}\"{each}];\n", node.id, node.label));
    }
    for edge in &graph.edges {
        text.push_str(&format!("  {} -> {};\n", edge.from, edge.to));
    }
    text.push_str("}\n");
    text
}
