//! What the system tells of a process (proc_pid_stat(5), proc_pid_io(5)).

use std::fs;
use std::time::Duration;

/// A process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) session: i32,
    /// When it began, in the system's ticks: with the pid, it names a process for ever.
    pub(super) began: u64,
    /// Whether it runs; one that has ended stays until its parent has asked for its status.
    pub(super) lives: bool,
    /// Processor time of itself and of children that have ended and were waited for, in the system's ticks.
    pub(super) ticks: u64,
    /// Memory in pages, what it shares counted in full.
    pub(super) pages: u64,
}

impl Process {
    pub(super) fn read(pid: i32) -> Option<Self> {
        Self::parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(pid: i32, stat: &str) -> Option<Self> {
        // After the name, which may hold anything; the first field there is the third of all.
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied();
        let number = |at: usize| field(at)?.parse::<u64>().ok();
        Some(Self {
            pid,
            lives: !matches!(field(3)?, "Z" | "X"),
            parent: field(4)?.parse().ok()?,
            session: field(6)?.parse().ok()?,
            // utime, stime, cutime, cstime
            ticks: (14..=17).filter_map(number).sum(),
            began: number(22)?,
            pages: number(24)?,
        })
    }
}

/// Every process of the system, as far as it can be seen.
pub(super) fn all() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Bytes that a process, and those of its children that have ended and were waited for, have had written to storage.
pub(super) fn bytes_written(pid: i32) -> u64 {
    value_in(&fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default(), "write_bytes:").unwrap_or(0)
}

/// The memory of a process in bytes, what it shares with others counted in parts. Takes time with its size.
pub(super) fn proportional_memory(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    value_in(&text, "Pss:").unwrap_or(0) * 1024
}

fn value_in(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// Whether the process was started with all of these variables, each `NAME=VALUE`.
pub(super) fn has_variables(pid: i32, variables: &[Vec<u8>]) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    !variables.is_empty()
        && variables.iter().all(|wanted| environment.split(|byte| *byte == 0).any(|it| it == wanted))
}

pub(super) fn time_of(ticks: u64) -> Duration {
    Duration::from_millis(ticks.saturating_mul(1000) / rustix::param::clock_ticks_per_second().max(1))
}

pub(super) fn bytes_of(pages: u64) -> u64 {
    pages.saturating_mul(rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_kind_confuses_nothing() {
        let stat = "7 (a) Z (b) S 1 7 5 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 555 1000000 77 1844";
        let expected =
            Process { pid: 7, parent: 1, session: 5, began: 555, lives: true, ticks: 100, pages: 77 };
        assert_eq!(Process::parse(7, stat), Some(expected));
        assert_eq!(Process::parse(7, "7 (a) S 1"), None);
    }
}
