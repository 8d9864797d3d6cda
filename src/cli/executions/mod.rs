//! `bindery executions`: what a service is to execute, executes or has executed.

pub(super) mod submit;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

pub(super) use self::submit::warn_without_service;
use super::flags::EngineFlags;
use super::print::{print, print_json, properties, shortened, table, tell, time};
use super::templates::write_or_print;
use super::{Exit, wire};
use crate::engine::Engine;
use crate::engine::executions::ExecutionFilter;
use crate::error::{Error, Result};
use crate::execution::{Execution, ExecutionId, ExecutionStatus, ParentId, human_duration};

/// List, submit, follow, retry and cancel executions
///
/// Works on the data dir itself. What is submitted is executed by a `bindery serve` on the same data dir.
#[derive(Debug, Args)]
pub(super) struct ExecutionsArgs {
    #[command(subcommand)]
    command: ExecutionsCommand,
    #[command(flatten)]
    flags: EngineFlags,
}

#[derive(Debug, Subcommand)]
enum ExecutionsCommand {
    /// Show executions, newest first
    #[command(
        after_help = "Examples:\n  bindery executions list\n  bindery executions list --status failed --json"
    )]
    List(ListArgs),
    /// Show everything that is recorded of an execution
    #[command(after_help = "Examples:\n  bindery executions show 7\n  bindery executions show 7 --json")]
    Show(IdArgs),
    /// Record a notebook for execution by the service
    #[command(after_help = "Examples:\n  bindery executions submit ada/train.ipynb -p alpha 0.1\n  \
                      bindery executions submit ada/train.ipynb --output ada/monday.ipynb --wait")]
    Submit(Box<submit::SubmitArgs>),
    /// Execute once more what an ended execution was asked for, with other parameters if you like
    #[command(
        after_help = "Examples:\n  bindery executions retry 7\n  bindery executions retry 7 -p alpha 0.3 --wait"
    )]
    Retry(submit::RetryArgs),
    /// Stop an execution: a pending one at once, a running one within seconds
    #[command(after_help = "Examples:\n  bindery executions cancel 7")]
    Cancel(IdArgs),
    /// End the kernel of a failed execution that is kept
    #[command(after_help = "Examples:\n  bindery executions release-kernel 7")]
    ReleaseKernel(IdArgs),
    /// Wait until an execution has ended; its result is the exit code
    #[command(after_help = "Examples:\n  bindery executions wait 7 && echo done")]
    Wait(IdArgs),
    /// Fetch the notebook of an execution, also while it runs
    #[command(
        after_help = "Examples:\n  bindery executions notebook 7\n  bindery executions notebook 7 result.ipynb --overwrite"
    )]
    Notebook(NotebookArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only those with this status: pending, running, success, failed, cancelled
    #[arg(long, value_parser = |text: &str| text.parse::<ExecutionStatus>().map_err(|error| error.message().to_owned()))]
    status: Option<ExecutionStatus>,
    /// Only those of this user
    #[arg(long)]
    username: Option<String>,
    /// Only those of this notebook
    #[arg(long, value_name = "PATH")]
    notebook: Option<String>,
    /// Only those that this has started: workflow/ID, sweep/ID or schedule/ID
    #[arg(long, value_parser = |text: &str| text.parse::<ParentId>().map_err(|error| error.message().to_owned()))]
    parent: Option<ParentId>,
    /// Only those with a smaller id: the last one of the page before
    #[arg(long, value_name = "ID", value_parser = execution_id)]
    before: Option<ExecutionId>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct IdArgs {
    /// The execution
    #[arg(value_name = "ID", value_parser = execution_id)]
    id: ExecutionId,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct NotebookArgs {
    /// The execution
    #[arg(value_name = "ID", value_parser = execution_id)]
    id: ExecutionId,
    /// The file to write, or `-` for standard output [default: the notebook's file name]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long)]
    overwrite: bool,
}

fn execution_id(text: &str) -> Result<ExecutionId, String> {
    text.parse().map_err(|error: Error| error.message().to_owned())
}

pub(super) async fn run(args: ExecutionsArgs) -> Result<Exit> {
    let engine = args.flags.open().await?;
    let exit = match args.command {
        ExecutionsCommand::List(args) => list(&engine, args).await,
        ExecutionsCommand::Show(args) => {
            show(&engine, &engine.execution(args.id).await?, args.json).await.map(|()| Exit::Success)
        }
        ExecutionsCommand::Submit(args) => submit::submit(&engine, *args).await,
        ExecutionsCommand::Retry(args) => submit::retry(&engine, args).await,
        ExecutionsCommand::Cancel(args) => cancel(&engine, args).await,
        ExecutionsCommand::ReleaseKernel(args) => release_kernel(&engine, args).await,
        ExecutionsCommand::Wait(args) => wait(&engine, args.id, args.json).await,
        ExecutionsCommand::Notebook(args) => {
            let (name, bytes) = engine.executed_notebook(args.id).await?;
            let file = args.file.unwrap_or_else(|| name.into());
            write_or_print(&file, &bytes, args.overwrite).map(|()| Exit::Success)
        }
    };
    engine.close().await;
    exit
}

async fn list(engine: &Engine, args: ListArgs) -> Result<Exit> {
    let filter = ExecutionFilter {
        status: args.status,
        username: args.username,
        notebook_path: args.notebook,
        parent: args.parent,
        before: args.before,
        // One more than shown tells whether there are more.
        limit: args.limit.saturating_add(1),
    };
    let mut executions = engine.list_executions(&filter).await?;
    let has_more = executions.len() > args.limit as usize;
    executions.truncate(args.limit as usize);
    let next = executions.last().filter(|_| has_more).map(|execution| execution.id.to_string());
    if args.json {
        let executions: Vec<_> = executions.iter().map(|it| wire::execution(engine, it, None)).collect();
        print_json(&json!({"executions": executions, "next_cursor": next}))?;
    } else if executions.is_empty() {
        tell!("there are no such executions");
    } else {
        let row = |it: &Execution| {
            [
                it.id.to_string(),
                it.status.to_string(),
                it.request.notebook_path.clone(),
                it.request.username.clone().unwrap_or_else(|| "-".to_owned()),
                format!("{}/{}", it.progress.cells_done, it.progress.cells_total),
                time(it.submitted_at),
                it.duration(Timestamp::now()).map_or_else(|| "-".to_owned(), human_duration),
                it.error.as_ref().map(|error| shortened(&error.to_string(), 60)).unwrap_or_default(),
            ]
        };
        let rows: Vec<_> = executions.iter().map(row).collect();
        print(&table(
            ["ID", "STATUS", "NOTEBOOK", "USER", "CELLS", "SUBMITTED", "DURATION", "ERROR"],
            &rows,
        ))?;
        if let Some(next) = next {
            tell!("there are more: --before {next}");
        }
    }
    Ok(Exit::Success)
}

async fn show(engine: &Engine, execution: &Execution, as_json: bool) -> Result<()> {
    let position = match execution.status {
        ExecutionStatus::Pending => engine.queue_position(execution.id).await?,
        _ => None,
    };
    if as_json {
        print_json(&wire::execution(engine, execution, position))
    } else {
        print(&describe(engine, execution, position))
    }
}

fn describe(engine: &Engine, execution: &Execution, queue_position: Option<u64>) -> String {
    let request = &execution.request;
    let progress = execution.progress;
    let in_cell = progress.current_cell.map(|cell| format!(", in cell {cell}")).unwrap_or_default();
    let kept = execution.kept_kernel(Timestamp::now());
    let output = engine.config().notebooks_root.place_of(&request.output_path);
    let mut text = properties([
        ("execution", Some(execution.id.to_string())),
        ("status", Some(execution.status.to_string())),
        ("in the queue", queue_position.map(|before| format!("{before} are before it"))),
        ("notebook", Some(request.notebook_path.clone())),
        ("output", Some(output)),
        ("url", engine.notebook_url(&request.output_path, request.username.as_deref())),
        ("username", request.username.clone()),
        ("template", request.template_name.clone()),
        ("started by", request.parent.as_ref().map(|it| format!("{}, {}", it.parent(), it.child))),
        ("kernel", execution.kernel_used.clone().or_else(|| request.kernel_name.clone())),
        ("submitted", Some(time(execution.submitted_at))),
        ("started", execution.start_time.map(time)),
        ("ended", execution.end_time.map(time)),
        ("duration", execution.duration(Timestamp::now()).map(human_duration)),
        ("cells", Some(format!("{} of {}{in_cell}", progress.cells_done, progress.cells_total))),
        ("attempts", Some(execution.attempts.to_string()).filter(|_| execution.attempts > 1)),
        (
            "mlflow",
            execution.mlflow.as_ref().and_then(|link| link.url.clone().or_else(|| link.error.clone())),
        ),
        ("error", execution.error.as_ref().map(ToString::to_string)),
        ("kernel kept until", kept.map(|kept| time(kept.expires_at))),
        ("attach with", kept.map(|kept| format!("jupyter console --existing {}", kept.connection_file))),
    ]);
    for (name, value) in execution.results.iter().flatten() {
        text.push_str(&format!("result {name}: {}\n", shortened(&value.to_string(), 100)));
    }
    for warning in &execution.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text
}

async fn cancel(engine: &Engine, args: IdArgs) -> Result<Exit> {
    let status = engine.cancel_execution(args.id).await?;
    if args.json {
        print_json(&json!({"execution_id": args.id, "status": status}))?;
    } else if status.is_final() {
        print(&format!("execution {} is {status}\n", args.id))?;
    } else {
        print(&format!("execution {} is {status} and has been asked to stop\n", args.id))?;
    }
    Ok(Exit::Success)
}

async fn release_kernel(engine: &Engine, args: IdArgs) -> Result<Exit> {
    let released = engine.release_kernel(args.id).await?;
    if args.json {
        print_json(&json!({"execution_id": args.id, "released": released}))?;
    } else if released {
        print(&format!("the kernel of execution {} ends\n", args.id))?;
    } else {
        print(&format!("no kernel of execution {} is kept\n", args.id))?;
    }
    Ok(Exit::Success)
}

async fn wait(engine: &Engine, id: ExecutionId, as_json: bool) -> Result<Exit> {
    let execution = engine.wait_for_end(id).await?;
    show(engine, &execution, as_json).await?;
    Ok(Exit::of_execution(&execution))
}
