//! Runs that took more of the machine than they may: what their failure is called.

use super::cells::Ending;
use crate::config::{ByteSize, Seconds};
use crate::execution::{CellError, ResourceLimits};
use crate::kernel::Kernel;
use crate::kernel::limits::Exceeded;

/// What a run comes to that has exceeded this limit, in this cell.
pub(super) fn ending(exceeded: Exceeded, limits: &ResourceLimits, cell: usize) -> Ending {
    let bytes = |limit: Option<u64>| ByteSize(limit.unwrap_or_default()).to_string();
    let (name, what, limit, setting) = match exceeded {
        Exceeded::Memory => {
            ("MemoryLimitError", "took more memory than", bytes(limits.max_memory), "max-memory")
        }
        Exceeded::CpuTime => {
            let limit = Seconds(limits.max_cpu_time.unwrap_or_default()).to_string();
            ("CpuLimitError", "took more processor time than", limit, "max-cpu-time")
        }
        Exceeded::Processes => {
            let limit = limits.max_processes.unwrap_or_default().to_string();
            ("ProcessLimitError", "had more processes than", limit, "max-processes")
        }
        Exceeded::DiskWrites => {
            ("DiskLimitError", "wrote more to disk than", bytes(limits.max_disk_writes), "max-disk-writes")
        }
    };
    Ending::OverLimit(CellError::new(Some(cell), name, format!("the notebook {what} {limit} (`{setting}`)")))
}

/// What a run comes to that fails in this cell: what it exceeded before that, if it did, is the reason.
pub(super) async fn or_over_limit(
    failure: Ending,
    kernel: &Kernel,
    limits: &ResourceLimits,
    cell: usize,
) -> Ending {
    match kernel.over_limit().await {
        Some(exceeded) => ending(exceeded, limits, cell),
        None => failure,
    }
}
