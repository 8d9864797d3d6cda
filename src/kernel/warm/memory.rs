//! How much memory there is, and who has it.

use std::time::{Duration, Instant};

/// How old a measurement may be.
const GOOD_FOR: Duration = Duration::from_secs(5);

/// Whether ready kernels take the memory that they may.
#[derive(Debug, Default)]
pub(super) struct MemoryWatch {
    /// When it was measured, with so many kernels ready, and what it was in bytes.
    measured: Option<(Instant, usize, u64)>,
    told: bool,
}

impl MemoryWatch {
    /// Whether they take more than `max` bytes; said once in the log. `ready` is how many there are.
    pub(super) fn is_full(&mut self, max: u64, ready: usize, measure: impl FnOnce() -> u64) -> bool {
        // To measure takes time. Under load, with one taken and one made in turn, now and then is enough.
        let used = match self.measured {
            Some((at, then, used)) if at.elapsed() < GOOD_FOR && ready <= then => used,
            _ => {
                let used = measure();
                self.measured = Some((Instant::now(), ready, used));
                used
            }
        };
        let is_full = used > max;
        if is_full && !self.told {
            tracing::warn!(used, max, "ready kernels take all the memory they may: no more are made");
        }
        self.told = is_full;
        is_full
    }
}

/// The memory of a process in bytes, what it shares with others counted in parts; 0 where the system does not tell.
pub(super) fn process_memory(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let kilobytes = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// The machine's memory in bytes; without an answer, none is the limit.
pub(super) fn machine_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.map_or(u64::MAX, |kilobytes| kilobytes * 1024)
}
