//! A list of steps: each announced, timed, and summed up at the end.

use std::process::Command;
use std::time::{Duration, Instant};

/// Why a task ends early, for the person who called it.
#[derive(Debug)]
pub struct Failed(pub String);

/// What has been done so far. The first failure is the last step.
pub struct Steps {
    begun: Instant,
    done: Vec<(String, Outcome)>,
}

enum Outcome {
    Passed(Duration),
    Failed(Duration),
    Skipped(&'static str),
}

impl Steps {
    /// No steps yet.
    pub fn new() -> Self {
        Self { begun: Instant::now(), done: Vec::new() }
    }

    /// Runs a program; its output goes where ours goes.
    pub fn run(&mut self, name: &str, command: &mut Command) -> Result<(), Failed> {
        println!("\n== {name}: {}", shown(command));
        let begun = Instant::now();
        let status = command.status();
        let time = begun.elapsed();
        match status {
            Ok(status) if status.success() => {
                println!("== {name}: passed in {}", seconds(time));
                self.done.push((name.into(), Outcome::Passed(time)));
                Ok(())
            }
            Ok(status) => self.fail(name, time, format!("{name} failed ({status})")),
            Err(error) => self.fail(name, time, format!("{name} could not be started: {error}")),
        }
    }

    fn fail(&mut self, name: &str, time: Duration, message: String) -> Result<(), Failed> {
        self.done.push((name.into(), Outcome::Failed(time)));
        Err(Failed(message))
    }

    /// Notes that a step cannot be run here.
    pub fn skip(&mut self, name: &str, why: &'static str) {
        println!("\n== {name}: SKIPPED, {why}");
        self.done.push((name.into(), Outcome::Skipped(why)));
    }

    /// Prints one line per step.
    pub fn print_summary(&self) {
        println!("\n== summary");
        for (name, outcome) in &self.done {
            let (time, word) = match outcome {
                Outcome::Passed(time) => (seconds(*time), "passed".to_owned()),
                Outcome::Failed(time) => (seconds(*time), "FAILED".to_owned()),
                Outcome::Skipped(why) => (String::new(), format!("SKIPPED, {why}")),
            };
            println!("{time:>9}  {name}: {word}");
        }
        println!("{:>9}  in all", seconds(self.begun.elapsed()));
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
