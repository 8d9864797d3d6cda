//! The limits of an execution that names none itself.

use std::time::Duration;

use super::{ByteSize, LimitSettings};
use crate::error::{Error, Result};
use crate::execution::{Limits, ResourceLimits};

pub(super) fn resolve(settings: LimitSettings) -> Result<Limits> {
    let size = |size: Option<ByteSize>| size.map(|size| size.0);
    let resources = ResourceLimits {
        max_memory: size(settings.max_memory),
        max_cpu_time: settings.max_cpu_time.map(|time| time.0),
        max_processes: settings.max_processes,
        max_disk_writes: size(settings.max_disk_writes),
    };
    if let Some((name, what)) = none_at_all(&resources) {
        return Err(Error::bad_input(format!("`{}` must be at least {what}", name.replace('_', "-"))));
    }
    Ok(Limits {
        start_timeout: settings.start_timeout.map_or(Duration::from_secs(60), |time| time.0),
        cell_timeout: settings.cell_timeout.map(|time| time.0).filter(|time| !time.is_zero()),
        timeout: settings.execution_timeout.map(|time| time.0).filter(|time| !time.is_zero()),
        queue_timeout: settings.queue_timeout.map(|time| time.0).filter(|time| !time.is_zero()),
        resources,
    })
}

/// The first limit that would let nothing run, by its name, and what it has to be at least.
fn none_at_all(limits: &ResourceLimits) -> Option<(&'static str, &'static str)> {
    [
        ("max_memory", limits.max_memory == Some(0), "1 byte"),
        ("max_cpu_time", limits.max_cpu_time.is_some_and(|time| time.is_zero()), "1 ms"),
        ("max_processes", limits.max_processes == Some(0), "1"),
        ("max_disk_writes", limits.max_disk_writes == Some(0), "1 byte"),
    ]
    .into_iter()
    .find_map(|(name, is_nothing, what)| is_nothing.then_some((name, what)))
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Seconds, Settings};
    use super::*;

    #[test]
    fn what_lets_nothing_run_is_refused_and_what_is_in_force_is_told() {
        let resolve = |limits| Config::resolve(Settings { limits, ..Settings::default() });
        let error = resolve(LimitSettings { max_processes: Some(0), ..Default::default() }).unwrap_err();
        assert_eq!(error.message(), "`max-processes` must be at least 1");
        let limits = LimitSettings {
            max_memory: Some(ByteSize(2_000_000_000)),
            max_cpu_time: Some(Seconds(Duration::from_secs(90))),
            max_processes: Some(50),
            max_disk_writes: Some(ByteSize(1)),
            ..Default::default()
        };
        let config = resolve(limits).unwrap().to_toml();
        for line in [
            "max-memory = \"2000MB\"",
            "max-cpu-time = \"90s\"",
            "max-processes = 50",
            "max-disk-writes = \"1\"",
        ] {
            assert!(config.lines().any(|it| it == line), "{config}");
        }
        assert!(!resolve(LimitSettings::default()).unwrap().to_toml().contains("max-memory"));
    }
}
