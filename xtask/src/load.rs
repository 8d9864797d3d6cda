//! `cargo xtask load`: no-op executions by the thousand; benches/load does the work.

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
    load.arg("benches/load/main.py").args(arguments);
    let mut steps = Steps::new();
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
    let mut cluster = None;
    if asks_for_postgres(arguments) {
        let data_dir = data_dir()?;
        postgres::install(&mut steps, &data_dir)?;
        // Commits reach the disk, as in production.
        let cluster = cluster.insert(postgres::start(&data_dir, "")?);
        load.arg("--postgres-url").arg(&cluster.url);
        load.arg("--postgres-programs").args(find_programs(&data_dir));
    }
    let done = steps.run("load", &mut load);
    drop(cluster);
    done
}
