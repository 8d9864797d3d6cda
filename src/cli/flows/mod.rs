//! What `bindery workflow` and `bindery sweep` have in common: lists, one of them, results, stopping, resuming, waiting.

mod wait;

use clap::Args;
use serde_json::json;

use super::Exit;
use super::executions::warn_without_service;
use super::print::{print, print_json, properties, shortened, table, tell, time};
use crate::engine::Engine;
use crate::engine::flows::FlowFilter;
use crate::error::{Error, Result};
use crate::execution::{ExecutionStatus, ParentKind};
use crate::flow::FlowId;
use crate::flow::view::{FlowProgress, FlowView, StepView};
pub(super) use wait::wait;

#[derive(Debug, Args)]
pub(super) struct FlowListArgs {
    /// Only those with this status: running, success, failed, cancelled
    #[arg(long, value_parser = |text: &str| text.parse::<ExecutionStatus>().map_err(|error| error.message().to_owned()))]
    status: Option<ExecutionStatus>,
    /// Only those of this user
    #[arg(long)]
    username: Option<String>,
    /// Only those with a smaller id: the last one of the page before
    #[arg(long, value_name = "ID", value_parser = flow_id)]
    before: Option<FlowId>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct FlowIdArgs {
    /// Its id
    #[arg(value_name = "ID", value_parser = flow_id)]
    pub(super) id: FlowId,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct FlowResultsArgs {
    /// Its id
    #[arg(value_name = "ID", value_parser = flow_id)]
    id: FlowId,
    /// Of which step; needed where several fan out
    #[arg(long, value_name = "NAME")]
    step: Option<String>,
    /// Print CSV instead of a table
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// How a run that was asked for is followed.
#[derive(Debug, Args)]
pub(super) struct FollowFlags {
    /// What this request is called, such as `daily-2026-11-21`: with the same name it starts nothing a second time
    #[arg(long, value_name = "KEY", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) idempotency_key: Option<String>,
    /// Wait until it has ended; its result is the exit code
    #[arg(long)]
    pub(super) wait: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn flow_id(text: &str) -> Result<FlowId, String> {
    text.parse().map_err(|error: Error| error.message().to_owned())
}

pub(super) async fn list(engine: &Engine, kind: ParentKind, args: FlowListArgs) -> Result<Exit> {
    let filter = FlowFilter {
        kind: Some(kind),
        status: args.status,
        username: args.username,
        before: args.before,
        // One more than shown tells whether there are more.
        limit: args.limit.saturating_add(1),
    };
    let mut flows = engine.list_flow_views(&filter).await?;
    let has_more = flows.len() > args.limit as usize;
    flows.truncate(args.limit as usize);
    let next = flows.last().filter(|_| has_more).map(|flow| flow.id.to_string());
    if args.json {
        print_json(&json!({"flows": flows, "next_cursor": next}))?;
    } else if flows.is_empty() {
        tell!("there are no such {kind}s");
    } else {
        let row = |it: &FlowView| {
            [
                it.id.to_string(),
                it.status.to_string(),
                it.name.clone(),
                it.username.clone().unwrap_or_else(|| "-".to_owned()),
                done(&it.progress),
                time(it.submitted_at),
                it.duration.clone(),
                it.error.as_ref().map(|error| shortened(&error.to_string(), 60)).unwrap_or_default(),
            ]
        };
        let rows: Vec<_> = flows.iter().map(row).collect();
        print(&table(["ID", "STATUS", "NAME", "USER", "DONE", "SUBMITTED", "DURATION", "ERROR"], &rows))?;
        if let Some(next) = next {
            tell!("there are more: --before {next}");
        }
    }
    Ok(Exit::Success)
}

fn done(progress: &FlowProgress) -> String {
    format!("{}/{}", progress.done(), progress.total)
}

pub(super) async fn show(engine: &Engine, kind: ParentKind, id: FlowId, as_json: bool) -> Result<()> {
    show_view(&engine.flow_view(kind, id).await?, as_json)
}

fn show_view(view: &FlowView, as_json: bool) -> Result<()> {
    if as_json { print_json(view) } else { print(&describe(view)) }
}

fn describe(view: &FlowView) -> String {
    let kind = view.kind.as_str();
    let sweep = view.sweep.as_ref();
    let method = sweep.map(|plan| match plan.seed {
        Some(seed) => format!("random, seed {seed}"),
        None => serde_json::to_value(plan.method)
            .ok()
            .and_then(|it| it.as_str().map(str::to_owned))
            .unwrap_or_default(),
    });
    let link = view.mlflow.as_ref().and_then(|link| link.url.clone().or_else(|| link.error.clone()));
    let mut text = properties([
        (kind, Some(view.id.to_string())),
        ("name", Some(view.name.clone())),
        ("status", Some(view.status.to_string())),
        ("username", view.username.clone()),
        ("method", method),
        ("varied", sweep.map(|plan| plan.varied.join(", "))),
        ("output", Some(view.output_directory.clone())),
        ("submitted", Some(time(view.submitted_at))),
        ("ended", view.end_time.map(time)),
        ("deadline", view.deadline.map(time)),
        ("duration", Some(view.duration.clone())),
        ("executions", Some(told(&view.progress))),
        ("mlflow", link),
        ("error", view.error.as_ref().map(ToString::to_string)),
    ]);
    if sweep.is_none() {
        let row = |step: &StepView| {
            [
                step.name.clone(),
                step.status.to_string(),
                done(&step.progress),
                step.needs.join(", "),
                step.duration.clone().unwrap_or_else(|| "-".to_owned()),
                step.execution_id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
                step.error.as_ref().map(|error| shortened(&error.to_string(), 60)).unwrap_or_default(),
            ]
        };
        let rows: Vec<_> = view.steps.iter().map(row).collect();
        text.push('\n');
        text.push_str(&table(["STEP", "STATUS", "DONE", "NEEDS", "DURATION", "EXECUTION", "ERROR"], &rows));
    }
    for warning in &view.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text
}

/// `3 of 12 done, 2 running, 1 failed`.
fn told(progress: &FlowProgress) -> String {
    let mut text = format!("{} of {} done", progress.done(), progress.total);
    for (count, word) in
        [(progress.running, "running"), (progress.failed, "failed"), (progress.cancelled, "cancelled")]
    {
        if count > 0 {
            text.push_str(&format!(", {count} {word}"));
        }
    }
    text
}

pub(super) async fn results(engine: &Engine, kind: ParentKind, args: FlowResultsArgs) -> Result<Exit> {
    let results = engine.flow_table(kind, args.id, args.step.as_deref()).await?;
    if args.json {
        print_json(&results.to_json())?;
    } else if args.csv {
        print(&results.to_csv())?;
    } else {
        print(&results.to_text())?;
    }
    Ok(Exit::Success)
}

pub(super) async fn cancel(engine: &Engine, kind: ParentKind, args: FlowIdArgs) -> Result<Exit> {
    let status = engine.cancel_flow(kind, args.id).await?.status;
    if args.json {
        show(engine, kind, args.id, true).await?;
    } else if status.is_final() {
        print(&format!("{kind} {} is {status}\n", args.id))?;
    } else {
        print(&format!("{kind} {} is {status} and has been asked to stop\n", args.id))?;
    }
    Ok(Exit::Success)
}

pub(super) async fn resume(
    engine: &Engine,
    kind: ParentKind,
    args: FlowIdArgs,
    wait_for_end: bool,
) -> Result<Exit> {
    engine.resume_flow(kind, args.id).await?;
    follow(engine, kind, args.id, wait_for_end, args.json).await
}

/// Says what has become of a request; `wait_for_end` waits for it.
pub(super) async fn follow(
    engine: &Engine,
    kind: ParentKind,
    id: FlowId,
    wait_for_end: bool,
    as_json: bool,
) -> Result<Exit> {
    let view = engine.flow_view(kind, id).await?;
    for warning in &view.warnings {
        tell!("warning: {warning}");
    }
    let (status, has_ended) = (view.status, view.status.is_final());
    if !has_ended {
        warn_without_service(engine, &format!("{kind} {id} waits")).await;
    }
    if wait_for_end {
        return wait(engine, kind, id, as_json).await;
    }
    if as_json {
        show_view(&view, true)?;
    } else if has_ended {
        // A request that was sent again may have ended long ago.
        print(&format!("{kind} {id} has ended before: {status}\n"))?;
    } else {
        print(&format!("{kind} {id} is {status}: `bindery {kind} wait {id}` waits for its end\n"))?;
    }
    Ok(Exit::Success)
}
