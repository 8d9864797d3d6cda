//! Schedules: at which moments something is to run, and what becomes of a moment that could not be kept. Pure: no I/O,
//! no async; what time it is, is always told.
//!
//! # Layout
//! `cron` reads expressions, `field` their fields; `timetable` lays an expression on the clock of a time zone, where hours
//! are skipped and repeated; `policy` decides about ticks that come late or while an earlier run goes on. `record` is what
//! is kept of a schedule.

pub mod cron;
mod field;
pub mod policy;
mod record;
pub mod timetable;

pub use policy::{CatchUp, Overlap};
pub use record::{Definition, Schedule, ScheduleId, ScheduledRun, TickOutcome, TickRecord, check_name};
pub use timetable::Timetable;

#[cfg(test)]
mod tests;
