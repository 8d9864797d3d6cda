//! An expression on the clock of a time zone.
//!
//! Where clocks are put forward and back, two kinds of expressions behave differently. One that fires in every hour of its
//! days follows the clock on the wall: each moment at which it shows a time that fits is a tick, so nothing that passes is
//! lost and nothing is done twice at one moment. Of one that names its hours every local time is kept once: a time that the
//! clock skips comes as much later as the clock is put forward (02:30 becomes 03:30, as calendars do it, RFC 5545), so that
//! jobs of different times stay apart and in order; a time that comes twice counts when it comes first.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned};

use super::cron::CronExpression;
use crate::error::{Error, Result};

/// How far ahead a tick is looked for. The rarest expression names the 29th of February and some days of the week: that comes
/// after 40 years at most.
const HORIZON: SignedDuration = SignedDuration::from_hours(24 * 366 * 50);
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// When something is to run.
#[derive(Debug, Clone)]
pub struct Timetable {
    cron: CronExpression,
    zone: TimeZone,
}

impl Timetable {
    /// The times of `cron` on the clock of `time_zone`, a name of the IANA's database such as `Europe/Berlin`, or `UTC`.
    ///
    /// # Errors
    /// `Invalid`, with the field `cron` or `time_zone`.
    pub fn parse(cron: &str, time_zone: &str) -> Result<Self> {
        Ok(Self { cron: cron.parse::<CronExpression>()?, zone: find_zone(time_zone)? })
    }

    /// Its expression, with one space between its fields.
    pub fn cron(&self) -> &CronExpression {
        &self.cron
    }

    /// The zone's name as the database spells it.
    pub fn time_zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// A time on the zone's clock.
    pub fn local(&self, time: Timestamp) -> Zoned {
        time.to_zoned(self.zone.clone())
    }

    /// The first tick after a time; `None` where time ends.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let mut from = Timestamp::from_second(after.as_second()).ok()?;
        // Seconds before 1970 are cut towards it.
        while from <= after {
            from = from.checked_add(SECOND).ok()?;
        }
        let horizon = from.checked_add(HORIZON).unwrap_or(Timestamp::MAX);
        while from < horizon {
            let offset = self.zone.to_offset(from);
            let end = self.zone.following(from).next().map_or(horizon, |next| next.timestamp()).min(horizon);
            let mut shadow = None;
            if !self.cron.is_hourly()
                && let Some(begin) =
                    self.zone.preceding(from + SignedDuration::from_nanos(1)).next().map(|it| it.timestamp())
            {
                let before = self.zone.to_offset(begin - SECOND);
                let forward = i64::from(offset.seconds()) - i64::from(before.seconds());
                let changed = begin + SignedDuration::from_secs(forward.abs());
                if changed > from {
                    shadow = Some((forward, before, changed.min(end)));
                }
            }
            let found = match shadow {
                // What was skipped comes now, beside what is due now.
                Some((1.., before, until)) => {
                    let due = self.within(from, until, offset);
                    let found = due.into_iter().chain(self.within(from, until, before)).min();
                    found.or_else(|| self.within(until, end, offset))
                }
                // The clock shows these times once more.
                Some((_, _, until)) => self.within(until, end, offset),
                None => self.within(from, end, offset),
            };
            if found.is_some() {
                return found;
            }
            from = end;
        }
        None
    }

    /// The first tick from `from` on and before `end`, on a clock that differs from UTC by `offset` all that time.
    fn within(&self, from: Timestamp, end: Timestamp, offset: Offset) -> Option<Timestamp> {
        let until: DateTime = offset.to_datetime(end);
        let found = self.cron.at_or_after(offset.to_datetime(from), until)?;
        offset.to_timestamp(found).ok().filter(|found| *found < end)
    }

    /// The ticks after a time, at most `count`.
    pub fn upcoming(&self, after: Timestamp, count: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next(after), |tick| self.next(*tick)).take(count).collect()
    }

    /// How many ticks there are from `from` to `until`, both counted, up to `at_most`.
    pub fn count(&self, from: Timestamp, until: Timestamp, at_most: usize) -> usize {
        let first = self.at_or_after(from);
        std::iter::successors(first, |tick| self.next(*tick))
            .take_while(|tick| *tick <= until)
            .take(at_most)
            .count()
    }

    /// The last tick from `from` to `until`, both counted.
    pub fn latest(&self, from: Timestamp, until: Timestamp) -> Option<Timestamp> {
        self.last_from_which(from, until, |_| true)
    }

    /// The first tick from `from` on after which, itself counted, there are at most `count` up to `until`.
    pub fn last_few(&self, from: Timestamp, until: Timestamp, count: usize) -> Option<Timestamp> {
        if self.count(from, until, count + 1) <= count {
            return self.at_or_after(from).filter(|tick| *tick <= until);
        }
        // The last of those with too many after them; the one behind it is the first of the few.
        let last_too_early =
            self.last_from_which(from, until, |tick| self.count(tick, until, count + 1) > count)?;
        self.next(last_too_early)
    }

    /// The last tick from `from` to `until` that `fits`, when those that do come before those that do not.
    fn last_from_which(
        &self,
        from: Timestamp,
        until: Timestamp,
        fits: impl Fn(Timestamp) -> bool,
    ) -> Option<Timestamp> {
        let tick_from = |second: i64| {
            let from = Timestamp::from_second(second).ok()?;
            self.at_or_after(from).filter(|tick| *tick <= until && fits(*tick))
        };
        let mut found = self.at_or_after(from).filter(|tick| *tick <= until && fits(*tick))?;
        let mut last = until.as_second();
        while found.as_second() < last {
            // Ticks are whole seconds.
            let middle = found.as_second() + (last - found.as_second() + 1) / 2;
            match tick_from(middle) {
                Some(tick) => found = tick,
                None => last = middle - 1,
            }
        }
        Some(found)
    }

    fn at_or_after(&self, from: Timestamp) -> Option<Timestamp> {
        self.next(from.checked_sub(SignedDuration::from_nanos(1)).ok()?)
    }
}

fn find_zone(name: &str) -> Result<TimeZone> {
    TimeZone::get(name).map_err(|error| {
        let shown: String = name.chars().take(60).flat_map(char::escape_debug).collect();
        let what = format!(
            "`{shown}` is no time zone: take a name such as `UTC`, `Europe/Berlin` or `America/New_York`"
        );
        Error::invalid(format!("`time_zone`: {what}")).with_field("time_zone", what).with_source(error)
    })
}
