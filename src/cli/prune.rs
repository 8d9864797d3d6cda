//! `bindery prune`: forgets executions that ended long ago.

use clap::Args;
use serde_json::json;

use super::Exit;
use super::flags::EngineFlags;
use super::print::{print, print_json};
use crate::config::Seconds;
use crate::error::Result;
use crate::execution::human_duration;

/// Forget executions that ended long ago
///
/// Only records are removed, with their idempotency keys: notebooks and results stay where they are. What waits, runs or
/// could not be saved yet is never forgotten. A service does the same by itself with --retention.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bindery prune --older-than 90d --dry-run
  bindery prune --older-than 24h --data-dir /srv/bindery")]
pub(super) struct PruneArgs {
    /// For how long they must have ended, such as 90d or 12h
    #[arg(long, value_name = "TIME")]
    older_than: Seconds,
    /// Only say how many they are
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: EngineFlags,
}

pub(super) async fn run(args: PruneArgs) -> Result<Exit> {
    let engine = args.flags.open().await?;
    let age = args.older_than.0;
    let count = match args.dry_run {
        true => engine.count_prunable(age).await?,
        false => {
            let mut forgotten = 0;
            loop {
                match engine.prune(age).await? {
                    0 => break forgotten,
                    some => forgotten += some,
                }
            }
        }
    };
    engine.close().await;
    if args.json {
        print_json(&json!({"executions": count, "dry_run": args.dry_run}))?;
    } else {
        let noun = if count == 1 { "execution" } else { "executions" };
        let done = if args.dry_run { "would be forgotten" } else { "forgotten" };
        print(&format!("{count} {noun} that ended more than {} ago: {done}\n", human_duration(age)))?;
    }
    Ok(Exit::Success)
}
