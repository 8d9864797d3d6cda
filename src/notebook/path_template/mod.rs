//! Paths with parameters in them, such as `out/{region}-{pm[run_uuid]}.ipynb`: Python's `str.format`, as papermill
//! applies it to the names of its input and output (`papermill/parameterize.py`, `parameterize_path`).
//!
//! Of Python's objects only what a parameter can be is known, and `pm`; `{pm.run_uuid}` is understood as well as
//! Python's `{pm[run_uuid]}`. Not known: `!a`, and attributes of parameters.

mod spec;
mod text;

use std::borrow::Cow;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use self::text::{plain_text, representation, time_formatted, time_text};
use super::parameters::Parameters;
use super::value::ParameterValue;
use crate::error::{Error, Result};

/// What `pm` stands for in a path.
#[derive(Debug, Clone)]
pub struct Builtins {
    /// `pm[run_uuid]`: a new one for each run.
    pub run_uuid: String,
    /// `pm[current_datetime_local]`: the time on the machine's clock, without a zone.
    pub current_datetime_local: DateTime,
    /// `pm[current_datetime_utc]`.
    pub current_datetime_utc: Timestamp,
    /// `scheduled_time`, whatever parameters there are: when the run was due, on its schedule's clock.
    pub scheduled_time: Option<Zoned>,
}

/// Fills in the fields of a path.
///
/// # Errors
/// `BadInput`: papermill's `Missing parameter 'x'`, or what `str.format` would have raised.
pub fn fill(path: &str, parameters: &Parameters, builtins: &Builtins) -> Result<String> {
    // Nearly every path: nothing to do.
    if !path.contains(['{', '}']) {
        return Ok(path.to_owned());
    }
    Filling { parameters, builtins }.fill(path, 2).map_err(|fault| match fault {
        Fault::Missing(name) => Error::bad_input(format!(
            "Missing parameter '{name}' in the path `{path}`: give it with -p, or write {{{{ for a brace"
        ))
        .with_field(format!("parameters.{name}"), format!("Missing parameter '{name}'")),
        Fault::Other(told) => Error::bad_input(format!(
            "the path `{path}` is no template: {told}; write {{{{ and }}}} for braces"
        )),
    })
}

#[derive(Debug)]
enum Fault {
    /// Python's KeyError.
    Missing(String),
    Other(String),
}

fn other<T>(told: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Other(told.into()))
}

/// What a field can name.
#[derive(Clone)]
enum Item<'a> {
    Value(Cow<'a, ParameterValue>),
    Builtins,
    Local(DateTime),
    Utc(Timestamp),
    Scheduled(&'a Zoned),
}

struct Filling<'a> {
    parameters: &'a Parameters,
    builtins: &'a Builtins,
}

impl<'a> Filling<'a> {
    /// `depth` is how deep fields may nest: Python allows one within another's format.
    fn fill(&self, text: &str, depth: usize) -> Result<String, Fault> {
        if depth == 0 {
            return other("fields nest too deep");
        }
        let mut filled = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            filled.push_str(&rest[..at]);
            let opens = rest[at..].starts_with('{');
            let after = &rest[at + 1..];
            rest = match after.strip_prefix(if opens { '{' } else { '}' }) {
                Some(after) => {
                    filled.push(if opens { '{' } else { '}' });
                    after
                }
                None if !opens => return other("a single } stands in it"),
                None => {
                    let end = end_of_field(after)?;
                    filled.push_str(&self.field(&after[..end], depth)?);
                    &after[end + 1..]
                }
            };
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// One field: `name[key].attribute!conversion:format`.
    fn field(&self, field: &str, depth: usize) -> Result<String, Fault> {
        let (mut end, mut within) = (field.len(), false);
        for (at, character) in field.char_indices() {
            match character {
                '[' => within = true,
                ']' => within = false,
                '!' | ':' if !within => {
                    end = at;
                    break;
                }
                '{' => return other("a { stands within a field"),
                _ => {}
            }
        }
        let (name, rest) = field.split_at(end);
        let item = self.item(name)?;
        let (conversion, format) = match rest.strip_prefix('!') {
            None => (None, rest.strip_prefix(':').unwrap_or_default()),
            Some(rest) => match rest.split_once(':') {
                Some((conversion, format)) => (Some(conversion), format),
                None => (Some(rest), ""),
            },
        };
        let format = self.fill(format, depth - 1).or_else(|fault| match format.contains(['{', '}']) {
            true => Err(fault),
            false => Ok(format.to_owned()),
        })?;
        match conversion {
            None => formatted(&item, &format),
            Some("s") => spec::text(&self.text(&item), &format),
            Some("r") => match &item {
                Item::Value(value) => spec::text(&representation(value), &format),
                _ => other("!r is known for parameters only"),
            },
            Some(_) => other("the conversions known are !s and !r"),
        }
    }

    fn item(&self, name: &str) -> Result<Item<'a>, Fault> {
        let end = name.find(['.', '[']).unwrap_or(name.len());
        let (first, mut rest) = name.split_at(end);
        let scheduled = self.builtins.scheduled_time.as_ref().filter(|_| first == "scheduled_time");
        let parameter = self.parameters.iter().find(|(name, _)| *name == first);
        let mut item = match (scheduled, parameter) {
            (Some(time), _) => Item::Scheduled(time),
            (None, Some((_, value))) => Item::Value(Cow::Borrowed(value)),
            (None, None) if first == "pm" => Item::Builtins,
            (None, None) if first.bytes().all(|byte| byte.is_ascii_digit()) => {
                return other("a field has no name, and parameters have no numbers");
            }
            (None, None) => return Err(Fault::Missing(first.to_owned())),
        };
        while !rest.is_empty() {
            let (key, is_attribute);
            if let Some(after) = rest.strip_prefix('[') {
                let Some((inside, after)) = after.split_once(']') else { return other("a ] is missing") };
                (key, is_attribute, rest) = (inside, false, after);
            } else {
                let Some(after) = rest.strip_prefix('.') else { return other("only . or [ may follow a ]") };
                let end = after.find(['.', '[']).unwrap_or(after.len());
                (key, is_attribute, rest) = (&after[..end], true, &after[end..]);
            }
            if key.is_empty() {
                return other("a name or key is empty");
            }
            item = self.part(item, key, is_attribute)?;
        }
        Ok(item)
    }

    fn part(&self, item: Item<'a>, key: &str, is_attribute: bool) -> Result<Item<'a>, Fault> {
        let number = |value: i64| Item::Value(Cow::Owned(ParameterValue::Integer(value)));
        let time = match item {
            Item::Builtins => {
                return match key {
                    "run_uuid" => {
                        Ok(Item::Value(Cow::Owned(ParameterValue::String(self.builtins.run_uuid.clone()))))
                    }
                    "current_datetime_local" => Ok(Item::Local(self.builtins.current_datetime_local)),
                    "current_datetime_utc" => Ok(Item::Utc(self.builtins.current_datetime_utc)),
                    _ => Err(Fault::Missing(key.to_owned())),
                };
            }
            Item::Value(_) if is_attribute => {
                return other(format!("parameters have no attributes such as `{key}`"));
            }
            Item::Value(value) => {
                let found = match &*value {
                    ParameterValue::Dict(entries) => entries
                        .iter()
                        .find(|(name, _)| name == key)
                        .map(|(_, value)| value.clone())
                        .ok_or_else(|| Fault::Missing(key.to_owned()))?,
                    ParameterValue::List(values) => key
                        .parse()
                        .ok()
                        .and_then(|index: usize| values.get(index).cloned())
                        .ok_or_else(|| Fault::Other(format!("a list has no element `{key}`")))?,
                    _ => return other(format!("only lists and mappings have an element `{key}`")),
                };
                return Ok(Item::Value(Cow::Owned(found)));
            }
            Item::Local(time) => time,
            Item::Utc(time) => TimeZone::UTC.to_datetime(time),
            Item::Scheduled(time) => time.datetime(),
        };
        Ok(number(match key {
            "year" if is_attribute => time.year().into(),
            "month" if is_attribute => time.month().into(),
            "day" if is_attribute => time.day().into(),
            "hour" if is_attribute => time.hour().into(),
            "minute" if is_attribute => time.minute().into(),
            "second" if is_attribute => time.second().into(),
            "microsecond" if is_attribute => (time.subsec_nanosecond() / 1000).into(),
            _ => return other(format!("a time has no `{key}`")),
        }))
    }

    /// Python's `str`.
    fn text(&self, item: &Item<'_>) -> String {
        match item {
            Item::Value(value) => plain_text(value),
            Item::Builtins => format!("{{'run_uuid': '{}', …}}", self.builtins.run_uuid),
            Item::Local(time) => time_text(*time),
            Item::Utc(time) => format!("{}+00:00", time_text(TimeZone::UTC.to_datetime(*time))),
            // For names of files: no space, no colon.
            Item::Scheduled(time) => time.strftime("%Y%m%dT%H%M%S%z").to_string(),
        }
    }
}

/// Where the field ends that begins at the start of `text`: its own braces are balanced.
fn end_of_field(text: &str) -> Result<usize, Fault> {
    let mut open = 1;
    for (at, character) in text.char_indices() {
        match character {
            '{' => open += 1,
            '}' if open == 1 => return Ok(at),
            '}' => open -= 1,
            _ => {}
        }
    }
    other("a } is missing")
}

fn formatted(item: &Item<'_>, format: &str) -> Result<String, Fault> {
    match item {
        Item::Value(value) => spec::value(value, format),
        Item::Builtins => {
            other("name one of pm[run_uuid], pm[current_datetime_local], pm[current_datetime_utc]")
        }
        Item::Local(time) if format.is_empty() => Ok(time_text(*time)),
        Item::Local(time) => time_formatted(*time, format, ("", "")),
        Item::Utc(time) => {
            let civil = TimeZone::UTC.to_datetime(*time);
            match format {
                "" => Ok(format!("{}+00:00", time_text(civil))),
                _ => time_formatted(civil, format, ("+0000", "UTC")),
            }
        }
        Item::Scheduled(time) if format.is_empty() => Ok(time.strftime("%Y%m%dT%H%M%S%z").to_string()),
        Item::Scheduled(time) => {
            let zone = (time.strftime("%z").to_string(), time.strftime("%Z").to_string());
            time_formatted(time.datetime(), format, (&zone.0, &zone.1))
        }
    }
}
