//! `cargo xtask crash`: rounds of kill -9 over a mixed load; tests/tools/crash_rounds.py does the work.

use crate::cargo::{cargo, command};
use crate::postgres;
use crate::postgres_cluster::{WITHOUT_SYNC, find_programs};
use crate::python::find_python;
use crate::steps::{Failed, Steps};
use crate::test::{built_binary, data_dir};

/// Runs all steps until one fails. `arguments` are for `crash_rounds.py`.
pub fn run(arguments: &[String]) -> Result<(), Failed> {
    let mut rounds = command(find_python()?);
    rounds.arg("tests/tools/crash_rounds.py").args(arguments);
    let mut steps = Steps::new();
    if asks_for_help(arguments) {
        return steps.run("help", &mut rounds);
    }
    let data_dir = data_dir()?;
    // As the tests are built: a build of the binary alone would have other features of shared dependencies.
    steps.run("build", &mut cargo(&["test", "--workspace", "--no-run"]))?;
    let bindery = built_binary()?;
    let mut install = command(&bindery.to_string_lossy());
    install.args(["kernels", "install", "python3", "--data-dir"]).arg(&data_dir);
    steps.run("kernel", &mut install)?;
    rounds.arg("--bindery").arg(&bindery).arg("--kernels").arg(&data_dir);
    let mut cluster = None;
    if asks_for_postgres(arguments) {
        postgres::install(&mut steps, &data_dir)?;
        let cluster = cluster.insert(postgres::start(&data_dir, WITHOUT_SYNC)?);
        rounds.env(postgres::VARIABLE, &cluster.url).arg("--postgres-folder").arg(&cluster.folder);
        rounds.arg("--postgres-programs").args(find_programs(&data_dir));
    }
    let done = steps.run("crash rounds", &mut rounds);
    drop(cluster);
    done
}

/// Whether the tool is only to say what it can do.
pub fn asks_for_help(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| argument == "--help" || argument == "-h")
}

/// Whether `--database postgres` is among the arguments.
pub fn asks_for_postgres(arguments: &[String]) -> bool {
    let is_named = |argument: &String| argument == "--database=postgres";
    arguments.iter().any(is_named) || arguments.windows(2).any(|two| two == ["--database", "postgres"])
}
