//! `cargo xtask test`: every check, with whatever it needs.
//!
//! The tests are built before anything is run, the binary among them: a build of the binary alone would have
//! other features of shared dependencies and compile many of them twice.

use std::path::{Path, PathBuf};

use crate::cargo::{cargo, command, has, target_directory};
use crate::emulators;
use crate::gateways;
use crate::languages;
use crate::postgres;
use crate::postgres_cluster::WITHOUT_SYNC;
use crate::python::{self, find_python};
use crate::steps::{Failed, Steps};

/// The kernels that the tests run notebooks on.
const KERNELS: &[&str] = &["python3", "mlflow_kernel"];
/// Where tests find those kernels.
const DATA_DIR_VARIABLE: &str = "BINDERY_TEST_DATA_DIR";

/// What is asked for on the command line.
#[derive(Debug, Default, PartialEq)]
pub struct Options {
    /// Neither formatting nor clippy nor documentation.
    pub only_tests: bool,
    /// For cargo-nextest or `cargo test`.
    pub runner_arguments: Vec<String>,
}

/// Runs all steps until one fails.
pub fn run(options: &Options) -> Result<(), Failed> {
    // Before minutes of compiling.
    find_python()?;
    let data_dir = data_dir()?;
    let mut steps = Steps::new();
    let done = run_steps(&mut steps, options, &data_dir);
    steps.print_summary();
    done
}

/// The data dir in which tests find their kernels.
pub fn data_dir() -> Result<PathBuf, Failed> {
    match std::env::var_os(DATA_DIR_VARIABLE).filter(|folder| !folder.is_empty()) {
        Some(folder) => std::path::absolute(folder)
            .map_err(|error| Failed(format!("{DATA_DIR_VARIABLE} cannot be used: {error}"))),
        None => Ok(target_directory()?.join("test-data")),
    }
}

fn run_steps(steps: &mut Steps, options: &Options, data_dir: &Path) -> Result<(), Failed> {
    if !options.only_tests {
        let why = "rustfmt is not installed: rustup component add rustfmt";
        component(steps, "formatting", &["fmt", "--all", "--check"], why)?;
    }
    // The Rust kernel inside the binary is built and tested where checks are binding: it takes minutes.
    let features: &[&str] = if is_binding() { &["--features", "bindery/evcxr"] } else { &[] };
    steps.run("build", cargo(&["test", "--workspace", "--no-run"]).args(features))?;
    let mut install = command(&built_binary()?.to_string_lossy());
    install.args(["kernels", "install"]).args(KERNELS).arg("--data-dir").arg(data_dir);
    steps.run("kernels", &mut install)?;
    emulators::install(steps, data_dir, is_binding())?;
    gateways::install(steps, data_dir)?;
    languages::install(steps, data_dir, is_binding())?;
    postgres::install(steps, data_dir)?;
    let mut prepare = command(find_python()?);
    prepare
        .args(["tests/tools/compare_with_papermill.py", "--prepare", "--peers"])
        .arg(data_dir.join("peers"));
    steps.run("peers", &mut prepare)?;
    if !options.only_tests {
        let why = "it is not installed: rustup component add clippy";
        let mut clippy = vec!["clippy", "--workspace", "--all-targets"];
        clippy.extend(features.iter().chain(&["--", "-D", "warnings"]));
        component(steps, "clippy", &clippy, why)?;
        let mut doc = cargo(&["doc", "--no-deps", "--workspace"]);
        doc.args(features);
        steps.run("documentation", doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    let has_nextest = has("nextest");
    // cargo-nextest leaves the examples in the documentation out. They come first, so that the last thing to
    // be read is what the tests say.
    if has_nextest && options.runner_arguments.is_empty() {
        let mut examples = cargo(&["test", "--workspace", "--doc", "--quiet"]);
        steps.run("documented examples", examples.args(features))?;
    }
    if options.runner_arguments.is_empty() {
        python::run_steps(steps)?;
    }
    // All of them, also after a failure: one run has to tell everything.
    // One cluster for all tests. It ends with this function, and with this program however that ends.
    let cluster = match std::env::var_os(postgres::VARIABLE).filter(|url| !url.is_empty()) {
        Some(_) => None,
        None => match postgres::start(data_dir, WITHOUT_SYNC) {
            Err(Failed(why)) if !is_binding() => {
                println!("\n== tests on PostgreSQL: SKIPPED, {why}");
                None
            }
            started => Some(started?),
        },
    };
    let runner: &[&str] = if has_nextest { &["nextest", "run"] } else { &["test"] };
    let mut tests = cargo(runner);
    tests
        .args(["--workspace", "--no-fail-fast"])
        .args(features)
        .args(&options.runner_arguments)
        .env(DATA_DIR_VARIABLE, data_dir);
    if let Some(cluster) = &cluster {
        tests.env(postgres::VARIABLE, &cluster.url);
    }
    steps.run("tests", &mut tests)
}

/// Runs a step that needs a component of the toolchain. A minimal installation lacks it, and that is why the step
/// is skipped; where checks are binding, it fails.
fn component(steps: &mut Steps, name: &str, arguments: &[&str], why: &'static str) -> Result<(), Failed> {
    if is_binding() || has(arguments[0]) {
        return steps.run(name, &mut cargo(arguments));
    }
    steps.skip(name, why);
    Ok(())
}

/// Whether what is skipped counts as a failure.
fn is_binding() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// The binary that was built with the tests: the neighbour of this one.
pub fn built_binary() -> Result<PathBuf, Failed> {
    let unknown = |error: std::io::Error| Failed(format!("the binary that was built is not found: {error}"));
    std::env::current_exe().map(|own| own.with_file_name("bindery")).map_err(unknown)
}
