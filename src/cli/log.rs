//! Logs: to standard error, compact, in colour on a terminal only.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How much is logged. Papermill's words are understood as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogLevel {
    /// Nothing
    Off,
    /// What failed
    #[value(alias = "critical")]
    Error,
    /// What may need attention
    #[value(alias = "warning")]
    Warn,
    /// What happens
    Info,
    /// Details
    Debug,
    /// Everything
    #[value(alias = "notset")]
    Trace,
}

/// Starts logging at `level`, else as RUST_LOG says, else at `default`. `timed` puts the time before each line.
pub(super) fn start(level: Option<LogLevel>, default: LogLevel, timed: bool) {
    // The level is Bindery's; of its dependencies only warnings matter, unless RUST_LOG asks for more.
    let directives = |level: LogLevel| match level {
        LogLevel::Off => "off".to_owned(),
        LogLevel::Error => "error".to_owned(),
        LogLevel::Warn => "warn".to_owned(),
        LogLevel::Info => "warn,bindery=info".to_owned(),
        LogLevel::Debug => "warn,bindery=debug".to_owned(),
        LogLevel::Trace => "warn,bindery=trace".to_owned(),
    };
    let filter = match (level, std::env::var("RUST_LOG")) {
        (Some(level), _) => EnvFilter::new(directives(level)),
        (None, Ok(variable)) if !variable.is_empty() => EnvFilter::new(variable),
        (None, _) => EnvFilter::new(directives(default)),
    };
    let colour =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        // It would panic when standard error is closed.
        .log_internal_errors(false)
        .compact();
    // A second start (in tests) changes nothing.
    let _ = if timed { lines.try_init() } else { lines.without_time().try_init() };
}
