//! One field of a cron expression: `*`, `5`, `1-5`, `*/15`, `10-50/20`, `mon,wed`, and lists of these.

use super::cron::Fault;

/// What a field may hold.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) first: u8,
    pub(super) last: u8,
    /// Names for the values from `first` on.
    pub(super) names: &'static [&'static str],
}

pub(super) const SECOND: Field = Field { name: "second", first: 0, last: 59, names: &[] };
pub(super) const MINUTE: Field = Field { name: "minute", first: 0, last: 59, names: &[] };
pub(super) const HOUR: Field = Field { name: "hour", first: 0, last: 23, names: &[] };
pub(super) const DAY_OF_MONTH: Field = Field { name: "day of month", first: 1, last: 31, names: &[] };
pub(super) const MONTH: Field = Field {
    name: "month",
    first: 1,
    last: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
/// Sunday is 0 and 7.
pub(super) const DAY_OF_WEEK: Field = Field {
    name: "day of week",
    first: 0,
    last: 7,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

/// A set of numbers below 64, a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Values(u64);

impl Values {
    pub(super) fn has(self, value: u8) -> bool {
        value < 64 && self.0 >> value & 1 == 1
    }

    /// The smallest that is not below `from`.
    pub(super) fn at_or_after(self, from: u8) -> Option<u8> {
        let rest = self.0.checked_shr(from.into()).unwrap_or(0);
        (rest != 0).then(|| from + rest.trailing_zeros() as u8)
    }

    pub(super) fn insert(&mut self, value: u8) {
        self.0 |= 1_u64.checked_shl(value.into()).unwrap_or(0);
    }

    pub(super) fn smallest(self) -> Option<u8> {
        self.at_or_after(0)
    }

    pub(super) fn count(self) -> u32 {
        self.0.count_ones()
    }
}

impl Field {
    /// The values that `text` stands for; 7 stays 7 among days of the week.
    pub(super) fn parse(&self, text: &str) -> Result<Values, Fault> {
        let mut values = Values::default();
        for part in text.split(',') {
            if part.is_empty() {
                return self.fault("a comma has nothing on one side of it");
            }
            let (range, step) = match part.split_once('/') {
                None => (part, None),
                Some((range, step)) => (range, Some(self.step(step)?)),
            };
            let (from, to) = match (range, range.split_once('-')) {
                ("*", _) => (self.first, self.last_value()),
                (_, Some((from, to))) => self.range(range, from, to)?,
                (one, None) => {
                    let one = self.value(one)?;
                    // `5/15` is understood as `5-59/15`.
                    (one, if step.is_some() { self.last_value().max(one) } else { one })
                }
            };
            (from..=to).step_by(step.unwrap_or(1).into()).for_each(|value| values.insert(value));
        }
        Ok(values)
    }

    /// The last value that `*` goes to: Sunday is not counted twice.
    fn last_value(&self) -> u8 {
        if self.last == 7 { 6 } else { self.last }
    }

    fn range(&self, text: &str, from: &str, to: &str) -> Result<(u8, u8), Fault> {
        let (first, mut last) = (self.value(from)?, self.value(to)?);
        // `fri-sun` is meant as it sounds.
        if self.last == 7 && last == 0 && first > 0 {
            last = 7;
        }
        if first > last {
            return self.fault(format!(
                "{} goes backwards: write {from}-{},{}-{to}",
                shown(text),
                self.last_value(),
                self.first
            ));
        }
        Ok((first, last))
    }

    fn step(&self, text: &str) -> Result<u8, Fault> {
        let most = self.last_value();
        match text.parse::<u8>() {
            Ok(step) if (1..=most).contains(&step) && is_number(text) => Ok(step),
            _ => self.fault(format!("the step {} is not from 1 to {most}", shown(text))),
        }
    }

    fn value(&self, text: &str) -> Result<u8, Fault> {
        let lower = text.to_ascii_lowercase();
        if let Some(at) = self.names.iter().position(|name| *name == lower) {
            return Ok(self.first + at as u8);
        }
        if is_number(text) {
            return match text.parse::<u8>() {
                Ok(value) if (self.first..=self.last).contains(&value) => Ok(value),
                _ => self.fault(format!("{} is not from {} to {}", shown(text), self.first, self.last)),
            };
        }
        let names = match (self.names.first(), self.names.last()) {
            (Some(first), Some(last)) => format!(" and no name from {first} to {last}"),
            _ => String::new(),
        };
        let hint = match text {
            "?" => ": write *",
            "" => ": a number is missing",
            _ if lower.contains(['l', 'w', '#']) && names.is_empty() => {
                ": L, W and # are not known here, only *, numbers, ranges, lists and steps"
            }
            _ => "",
        };
        self.fault(format!("{} is no number from {} to {}{names}{hint}", shown(text), self.first, self.last))
    }

    fn fault<T>(&self, message: impl Into<String>) -> Result<T, Fault> {
        Err(Fault(format!("{}: {}", self.name, message.into())))
    }
}

/// Digits alone: Rust's numbers may have a sign.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What a user wrote, short and without odd characters.
pub(super) fn shown(text: &str) -> String {
    let start: String = text.chars().take(30).flat_map(char::escape_debug).collect();
    if is_number(text) { start } else { format!("`{start}`") }
}
