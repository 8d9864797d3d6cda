//! `cargo xtask load`: no-op executions by the thousand; benches/load does the work.

use std::process::Command;

use crate::cargo::{cargo, command, target_directory};
use crate::crash::{asks_for_help, asks_for_postgres};
use crate::postgres;
use crate::postgres_cluster::find_programs;
use crate::python::find_python;
use crate::steps::{Failed, Steps};
use crate::test::data_dir;

/// Runs all steps until one fails. `arguments` are for `benches/load/main.py`.
pub fn run(arguments: &[String]) -> Result<(), Failed> {
    let mut load = command(find_python()?);
    let mut steps = Steps::new();
    if let Some(("--queries", arguments)) =
        arguments.split_first().map(|(first, rest)| (first.as_str(), rest))
    {
        load.arg("benches/load/queries.py").args(arguments);
        return match asks_for_help(arguments) {
            true => steps.run("help", &mut load),
            false => on_postgres(&mut steps, "queries", load),
        };
    }
    load.arg("benches/load/main.py").args(arguments);
    if asks_for_help(arguments) {
        return steps.run("help", load.args(["--bindery", "-", "--null-kernel", "-"]));
    }
    let build = ["build", "--release", "--package", "bindery", "--package", "null_kernel"];
    steps.run("build", &mut cargo(&build))?;
    let programs = target_directory()?.join("release");
    load.arg("--bindery")
        .arg(programs.join("bindery"))
        .arg("--null-kernel")
        .arg(programs.join("null_kernel"));
    match asks_for_postgres(arguments) {
        true => on_postgres(&mut steps, "load", load),
        false => steps.run("load", &mut load),
    }
}

/// Runs a tool on a cluster whose commits reach the disk, as in production.
fn on_postgres(steps: &mut Steps, name: &str, mut tool: Command) -> Result<(), Failed> {
    let data_dir = data_dir()?;
    postgres::install(steps, &data_dir)?;
    let cluster = postgres::start(&data_dir, "")?;
    tool.env(postgres::VARIABLE, &cluster.url);
    tool.arg("--postgres-programs").args(find_programs(&data_dir));
    let done = steps.run(name, &mut tool);
    drop(cluster);
    done
}
