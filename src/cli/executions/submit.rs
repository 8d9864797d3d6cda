//! `bindery executions submit`: a notebook is recorded for execution by a service.

use std::time::Duration;

use clap::Args;

use super::wait;
use crate::cli::execution_flags::ExecutionFlags;
use crate::cli::flags::ParameterFlags;
use crate::cli::print::{print, print_json, tell};
use crate::cli::serve::reachable_url;
use crate::cli::{Exit, wire};
use crate::engine::Engine;
use crate::engine::executions::SubmitExecution;
use crate::error::Result;
use crate::execution::ExecutionId;

#[derive(Debug, Args)]
pub(super) struct SubmitArgs {
    /// The notebook, relative to the notebooks root, or absolute and inside it
    #[arg(value_name = "NOTEBOOK")]
    notebook: String,
    /// Where the result goes, relative to the notebooks root [default: in place]
    #[arg(long, value_name = "PATH")]
    output: Option<String>,
    #[command(flatten)]
    execution: ExecutionFlags,
    /// What this request is called, such as `daily-2026-11-21`: with the same name it starts nothing a second time
    #[arg(long, value_name = "KEY", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    idempotency_key: Option<String>,
    /// Wait until it has ended; its result is the exit code
    #[arg(long)]
    wait: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn submit(engine: &Engine, args: SubmitArgs) -> Result<Exit> {
    let submit = args.execution.into_submit(args.notebook)?;
    let (output_path, idempotency_key) = (args.output, args.idempotency_key);
    let id = engine.submit(SubmitExecution { output_path, idempotency_key, ..submit }).await?;
    follow(engine, id, args.wait, args.json).await
}

#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    /// The execution
    #[arg(value_name = "ID", value_parser = super::execution_id)]
    id: ExecutionId,
    #[command(flatten)]
    parameters: ParameterFlags,
    /// Wait until it has ended; its result is the exit code
    #[arg(long)]
    wait: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn retry(engine: &Engine, args: RetryArgs) -> Result<Exit> {
    let changed = args.parameters.as_json_text()?;
    let id = engine.retry(args.id, changed, None).await?;
    follow(engine, id, args.wait, args.json).await
}

/// Says what has become of a request; `wait_for_end` waits for it.
async fn follow(engine: &Engine, id: ExecutionId, wait_for_end: bool, as_json: bool) -> Result<Exit> {
    let execution = engine.execution(id).await?;
    // A request that was sent again may have ended long ago.
    let has_ended = execution.status.is_final();
    if !has_ended {
        warn_without_service(engine, &format!("execution {id} stays pending")).await;
    }
    if wait_for_end {
        return wait(engine, id, as_json).await;
    }
    let status = execution.status;
    if as_json {
        print_json(&wire::execution(engine, &execution, None))?;
    } else if has_ended {
        print(&format!("execution {id} has ended before: {status}\n"))?;
    } else {
        print(&format!("execution {id} is {status}: `bindery executions wait {id}` waits for its end\n"))?;
    }
    Ok(Exit::Success)
}

/// What is recorded waits as long as no service takes it: said, because it looks like a fault.
pub(in crate::cli) async fn warn_without_service(engine: &Engine, what_happens: &str) {
    let url = reachable_url(engine.config().listen);
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_millis(800)).build();
    let answers = match client {
        Ok(client) => {
            client.get(format!("{url}/health")).send().await.is_ok_and(|it| it.status().is_success())
        }
        Err(_) => false,
    };
    if !answers {
        tell!(
            "note: no service answers at {url}; unless one runs elsewhere on this data dir, {what_happens} until `bindery serve --data-dir {}` is started",
            engine.config().data_dir.display()
        );
    }
}
