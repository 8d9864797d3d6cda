//! What a notebook leaves running: processes that left their kernel's group, or outlived a killed worker.
//!
//! Every process that a kernel starts inherits its environment, and the environment names the execution. On
//! Linux the environment that a process was started with can be read, so nothing can hide by changing its
//! session or losing its parent; a process that was started with an environment of its own is not found.

use std::collections::HashSet;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How often a process without variables is looked at.
const EXEC_LOOKS: usize = 20;

/// How often more of them are looked for while there are more.
const ROUNDS: usize = 50;

/// Kills every process of ours whose environment at its start held all of `variables`. Says how many.
pub fn kill(variables: &[(&str, &str)]) -> usize {
    kill_all(|| find(variables))
}

/// Kills all that `find` finds, in such a way that none gets away. Says how many.
pub(super) fn kill_all(mut find: impl FnMut() -> Vec<Pid>) -> usize {
    let mut stopped = HashSet::new();
    // Stopped first, all of them: what is stopped starts no more, and what it had started meanwhile is found next.
    for _ in 0..ROUNDS {
        let found: Vec<Pid> = find().into_iter().filter(|pid| stopped.insert(*pid)).collect();
        if found.is_empty() {
            break;
        }
        for pid in found {
            // An error means that it has gone meanwhile.
            let _ = kill_process(pid, Signal::STOP);
        }
    }
    for pid in &stopped {
        let _ = kill_process(*pid, Signal::KILL);
    }
    stopped.len()
}

fn find(variables: &[(&str, &str)]) -> Vec<Pid> {
    let wanted: Vec<Vec<u8>> =
        variables.iter().map(|(name, value)| format!("{name}={value}").into_bytes()).collect();
    others()
        .filter(|(_, environment)| {
            let has =
                |wanted: &Vec<u8>| environment.split(|byte| *byte == 0).any(|variable| variable == wanted);
            !wanted.is_empty() && wanted.iter().all(has)
        })
        .filter_map(|(pid, _)| Pid::from_raw(pid.cast_signed()))
        .collect()
}

/// The values of the variable `name` in all processes of ours whose environment at their start held `variable` with
/// this value, each once.
pub fn values(name: &str, (variable, value): (&str, &str)) -> Vec<String> {
    let wanted = format!("{variable}={value}").into_bytes();
    let prefix = format!("{name}=").into_bytes();
    let mut values: Vec<String> = others()
        .filter(|(_, environment)| environment.split(|byte| *byte == 0).any(|it| it == wanted))
        .filter_map(|(_, environment)| {
            let value = environment.split(|byte| *byte == 0).find_map(|it| it.strip_prefix(&prefix[..]))?;
            String::from_utf8(value.to_vec()).ok()
        })
        .collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// Every other process, and the variables that it was started with.
fn others() -> impl Iterator<Item = (u32, Vec<u8>)> {
    let own = std::process::id();
    // Elsewhere than on Linux there is no such folder, and nothing is found.
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(move |pid| *pid != own)
        .map(|pid| (pid, environment(pid)))
}

/// The variables that a process was started with; none of another user's process, which cannot be ours.
fn environment(pid: u32) -> Vec<u8> {
    let mut environment = Vec::new();
    for _ in 0..EXEC_LOOKS {
        environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        // Empty for a moment while a program takes the place of another; a thread of the system's has no program.
        if !environment.is_empty() || std::fs::read_link(format!("/proc/{pid}/exe")).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    environment
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    #[test]
    fn only_processes_with_every_variable_are_killed() {
        let mark = uuid::Uuid::new_v4().to_string();
        let sleeper = |id: &str| {
            Command::new("sleep")
                .arg("60")
                .env("BINDERY_TEST_MARK", &mark)
                .env("BINDERY_TEST_ID", id)
                .spawn()
                .unwrap()
        };
        let (mut ours, mut other) = (sleeper("1"), sleeper("12"));
        assert_eq!(super::kill(&[("BINDERY_TEST_MARK", &mark), ("BINDERY_TEST_ID", "1")]), 1);
        assert_eq!(ours.wait().unwrap().signal(), Some(9));
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
