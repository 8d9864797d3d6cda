//! Tasks of this repository that are more than one cargo command: `cargo xtask TASK`.

mod bench;
mod cargo;
mod crash;
mod emulators;
mod gateways;
mod languages;
mod load;
mod postgres;
mod postgres_cluster;
mod python;
mod steps;
mod test;

use std::process::ExitCode;

use steps::Failed;

const USAGE: &str = "\
Usage: cargo xtask test [--only-tests] [-- RUNNER ARGUMENTS]
       cargo xtask python
       cargo xtask bench [--only NAME,…] [--rounds N] [--markdown FILE] [--json FILE]
       cargo xtask crash [--database sqlite|postgres] [--rounds N] [--executions N] [--seed N] [--json FILE]
       cargo xtask load [--database sqlite|postgres] [--executions N] [--workers N,…] [--concurrency N]

Checks everything, with whatever that needs: formatting, clippy, documentation, tests. The kernel
environments that the tests run on, papermill to compare with and emulators of cloud storage are installed
first, in target/test-data or the folder that BINDERY_TEST_DATA_DIR names; what is there already is used
again. PostgreSQL is this machine's, else a wheel's; its cluster is made for the run, unless the variable
BINDERY_TEST_POSTGRES names one by a URL of its superuser. Python 3.10 or newer must be on PATH; without npm the tests of Azure are skipped.

  --only-tests   no formatting, clippy and documentation
  --             what follows is for cargo-nextest where it is installed, else for `cargo test`:
                 cargo xtask test --only-tests -- store

`python` builds the wheel, with the binary that the tests are built with, and tests its module in a fresh
environment. `test` does so too, unless there are runner arguments.

`bench` measures the release build beside papermill, `jupyter execute`, nbclient and ploomber-engine, which it
installs below target/bench, and prints medians and ratios; `cargo xtask bench --help` tells more.

`crash` kills servers, workers, kernels and PostgreSQL while notebooks run, and checks that nothing was lost, run twice
or recorded wrongly; `cargo xtask crash --help` tells more.

`load` measures the release build under many executions on a kernel that does nothing: executions per second, waiting
times, bytes in the database; `cargo xtask load --help` tells more.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match parse(&arguments) {
        Ok(Task::Help) => {
            print!("{USAGE}");
            Ok(())
        }
        Ok(Task::Test(options)) => test::run(&options),
        Ok(Task::Python) => python::run(),
        Ok(Task::Bench(arguments)) => bench::run(&arguments),
        Ok(Task::Load(arguments)) => load::run(&arguments),
        Ok(Task::Crash(arguments)) => crash::run(&arguments),
        Err(fault) => Err(Failed(format!("{fault}\n\n{USAGE}"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed(message)) => {
            eprintln!("error: {}", message.trim_end());
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, PartialEq)]
enum Task {
    Help,
    Test(test::Options),
    Python,
    Bench(Vec<String>),
    Crash(Vec<String>),
    Load(Vec<String>),
}

fn parse(arguments: &[String]) -> Result<Task, String> {
    let mut arguments = arguments.iter();
    match arguments.next().map(String::as_str) {
        None | Some("help" | "--help" | "-h") => return Ok(Task::Help),
        Some("test") => {}
        Some("crash") => return Ok(Task::Crash(arguments.cloned().collect())),
        Some("load") => return Ok(Task::Load(arguments.cloned().collect())),
        Some("bench") => return Ok(Task::Bench(arguments.cloned().collect())),
        Some("python") => {
            return match arguments.next() {
                None => Ok(Task::Python),
                Some(other) => Err(format!("`{other}` is unknown to `cargo xtask python`")),
            };
        }
        Some(other) => return Err(format!("there is no task `{other}`")),
    }
    let mut options = test::Options::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--only-tests" => options.only_tests = true,
            "--help" | "-h" => return Ok(Task::Help),
            "--" => options.runner_arguments.extend(arguments.by_ref().cloned()),
            other => return Err(format!("`{other}` is unknown to `cargo xtask test`")),
        }
    }
    Ok(Task::Test(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Task, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_follows_two_dashes_is_for_the_test_runner() {
        let Ok(Task::Test(options)) = parsed("test --only-tests -- store --only-tests") else { panic!() };
        assert!(options.only_tests);
        assert_eq!(options.runner_arguments, ["store", "--only-tests"]);
    }

    #[test]
    fn unknown_words_are_named() {
        assert_eq!(parsed("tset"), Err("there is no task `tset`".into()));
        assert_eq!(parsed("test store"), Err("`store` is unknown to `cargo xtask test`".into()));
        assert_eq!(parsed(""), Ok(Task::Help));
        assert_eq!(parsed("test --help"), Ok(Task::Help));
        assert_eq!(parsed("bench --only cells"), Ok(Task::Bench(vec!["--only".into(), "cells".into()])));
        assert_eq!(parsed("crash --seed 7"), Ok(Task::Crash(vec!["--seed".into(), "7".into()])));
        assert_eq!(parsed("load --warm 2"), Ok(Task::Load(vec!["--warm".into(), "2".into()])));
        assert_eq!(parsed("python"), Ok(Task::Python));
        assert_eq!(parsed("python 3"), Err("`3` is unknown to `cargo xtask python`".into()));
    }
}
