//! `bindery config`: the settings in force.

use clap::Args;

use super::Exit;
use super::print::print;
use crate::config::{Config, Settings};
use crate::error::Result;

/// Show the settings that are in force, as a bindery.toml, with secrets masked
///
/// Takes the same flags as `serve`, reads the same variables and the same file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bindery config
  bindery config > bindery.toml
  BINDERY_WORKERS=2 bindery config --config other.toml")]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(args: ConfigArgs) -> Result<Exit> {
    print(&Config::resolve(args.settings)?.to_toml())?;
    Ok(Exit::Success)
}
