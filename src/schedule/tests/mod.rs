//! Expressions, the clocks of zones, and policies, as tables.

mod clocks;
mod expressions;
mod policies;

use jiff::Timestamp;

use super::Timetable;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The next ticks, on the zone's own clock.
fn local(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let timetable = Timetable::parse(cron, zone).unwrap();
    let shown = |tick| timetable.local(tick).strftime("%m-%d %H:%M %z").to_string();
    timetable.upcoming(at(after), count).into_iter().map(shown).collect()
}
