//! Cron expressions: five fields with the meaning that Vixie's cron gave them, or six, with seconds before them.
//!
//! Two crates were tried and laid aside: `cronexpr` 1.7 loses a tick that falls into the hour that a clock skips and
//! doubles one in the hour that it repeats, and `croner` 4.0 loses `0,30 2 * * *` there; neither says which field is wrong
//! and what would be right.

use std::fmt;
use std::str::FromStr;

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Time};

use super::field::{DAY_OF_MONTH, DAY_OF_WEEK, HOUR, MINUTE, MONTH, SECOND, Values, shown};
use crate::error::Error;

/// The longest expression that is read.
const LONGEST: usize = 1000;

/// Words for expressions.
const WORDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// What is wrong with an expression: the field, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(pub(super) String);

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<Fault> for Error {
    fn from(Fault(fault): Fault) -> Self {
        Self::invalid(format!("`cron`: {fault}")).with_field("cron", fault)
    }
}

/// A cron expression that fires now and then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronExpression {
    text: String,
    seconds: Values,
    minutes: Values,
    hours: Values,
    days: Values,
    months: Values,
    /// Sunday is 0.
    weekdays: Values,
    /// Whether a day has to be right in the month and in the week. Vixie's rule: when neither of the two fields begins
    /// with `*`, one of them is enough.
    both_days: bool,
}

impl FromStr for CronExpression {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        if text.len() > LONGEST {
            return Err(Fault(format!("an expression has at most {LONGEST} characters")));
        }
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let fields = match text.strip_prefix('@') {
            None => text.as_str(),
            Some(_) => {
                let lower = text.to_ascii_lowercase();
                let word = WORDS.iter().find(|(word, _)| *word == lower).ok_or_else(|| {
                    let known = WORDS.map(|(word, _)| word).join(", ");
                    Fault(format!("{} is not known; known are: {known}", shown(&text)))
                })?;
                word.1
            }
        };
        let fields: Vec<&str> = fields.split(' ').filter(|field| !field.is_empty()).collect();
        let (second, [minute, hour, day, month, weekday]) = match *fields {
            [minute, hour, day, month, weekday] => ("0", [minute, hour, day, month, weekday]),
            [second, minute, hour, day, month, weekday] => (second, [minute, hour, day, month, weekday]),
            _ => {
                return Err(Fault(format!(
                    "an expression has five fields (minute, hour, day of month, month, day of week), or six with the \
                     second before them; this has {}",
                    fields.len()
                )));
            }
        };
        let mut weekdays = DAY_OF_WEEK.parse(weekday)?;
        if weekdays.has(7) {
            weekdays.insert(0);
        }
        let expression = Self {
            seconds: SECOND.parse(second)?,
            minutes: MINUTE.parse(minute)?,
            hours: HOUR.parse(hour)?,
            days: DAY_OF_MONTH.parse(day)?,
            months: MONTH.parse(month)?,
            weekdays,
            both_days: day.starts_with('*') || weekday.starts_with('*'),
            text: text.clone(),
        };
        expression.check_that_it_fires().map(|()| expression)
    }
}

impl fmt::Display for CronExpression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl CronExpression {
    /// The expression with one space between its fields.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it fires in every hour of its days.
    pub(super) fn is_hourly(&self) -> bool {
        self.hours.count() == 24
    }

    /// A day of the week always comes; a day of the month may be one that none of the months has.
    fn check_that_it_fires(&self) -> Result<(), Fault> {
        if !self.both_days {
            return Ok(());
        }
        let longest = |month: u8| match month {
            2 => 29,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let smallest = self.days.smallest().unwrap_or(0);
        let fires = (1..=12).any(|month| self.months.has(month) && smallest <= longest(month));
        let longest = (1..=12).filter(|month| self.months.has(*month)).map(longest).max().unwrap_or(31);
        match fires {
            true => Ok(()),
            false => Err(Fault(format!(
                "day of month: it would never fire, because no month of it has more than {longest} days"
            ))),
        }
    }

    /// The first time that fits and is not before `from`, up to `until`, on a clock that is never put forward or back.
    pub(super) fn at_or_after(&self, from: DateTime, until: DateTime) -> Option<DateTime> {
        let mut date = from.date();
        let mut time = from.time();
        if time.subsec_nanosecond() > 0 {
            let next = from.checked_add(1.second()).ok()?;
            (date, time) = (next.date(), next.time().with().subsec_nanosecond(0).build().ok()?);
        }
        while date <= until.date() {
            if !self.months.has(date.month().unsigned_abs()) {
                date = date.last_of_month().tomorrow().ok()?;
                time = Time::midnight();
                continue;
            }
            if self.has_day(date)
                && let Some(time) = self.time_at_or_after(time)
            {
                let found = date.to_datetime(time);
                return (found <= until).then_some(found);
            }
            date = date.tomorrow().ok()?;
            time = Time::midnight();
        }
        None
    }

    fn has_day(&self, date: Date) -> bool {
        let in_month = self.days.has(date.day().unsigned_abs());
        let in_week = self.weekdays.has(date.weekday().to_sunday_zero_offset().unsigned_abs());
        if self.both_days { in_month && in_week } else { in_month || in_week }
    }

    fn time_at_or_after(&self, from: Time) -> Option<Time> {
        let of = |part: i8| part.unsigned_abs();
        let (hour, minute, second) = (of(from.hour()), of(from.minute()), of(from.second()));
        let (first_minute, first_second) = (self.minutes.smallest()?, self.seconds.smallest()?);
        let found = if self.hours.has(hour) {
            let this_minute = self.minutes.has(minute).then(|| self.seconds.at_or_after(second)).flatten();
            this_minute
                .map(|second| (hour, minute, second))
                .or_else(|| Some((hour, self.minutes.at_or_after(minute + 1)?, first_second)))
        } else {
            None
        };
        let found = found.or_else(|| Some((self.hours.at_or_after(hour + 1)?, first_minute, first_second)));
        let (hour, minute, second) = found?;
        Time::new(hour as i8, minute as i8, second as i8, 0).ok()
    }
}
