//! Parts of a workflow read from YAML nodes: each as the type that it must be, or a fault.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::Seconds;
use crate::notebook::yaml::{Content, Entry, Node, Place};
use crate::notebook::{ParameterValue, Parameters};
use crate::workflow::fault::{Fault, MAX_FAULTS, Places, suggestion};

/// The longest time that can be asked for: a year.
const LONGEST: Duration = Duration::from_secs(31_536_000);

/// What is read into: the faults so far, and where things stand.
pub(super) struct Reader<'a> {
    text: &'a str,
    pub(super) faults: Vec<Fault>,
    pub(super) places: Places,
}

/// The entries of a mapping whose keys are known.
pub(super) struct Fields<'n> {
    path: String,
    entries: Vec<&'n Entry>,
}

impl<'n> Fields<'n> {
    /// The path and the node of one entry.
    pub(super) fn get(&self, key: &str) -> Option<(String, &'n Node)> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some((join(&self.path, key), &entry.value))
    }
}

/// The path of an entry.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, faults: Vec::new(), places: Places::default() }
    }

    /// Tells a fault, as long as there are few.
    pub(super) fn fault(&mut self, place: Place, path: &str, message: impl Into<String>) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(Fault::new(Some(place), path, message));
        }
    }

    /// Where in a scalar the byte `offset` of its value stands. Where the value is not written as it is, with escapes
    /// or over several lines, that is where its line, or the scalar, begins.
    pub(super) fn place_within(&self, node: &Node, value: &str, offset: usize) -> Place {
        let count = node.characters.len();
        let written: String = self.text.chars().skip(node.characters.start).take(count).collect();
        // The line of the value in which it is, as the text has it.
        let begin = value[..offset].rfind('\n').map_or(0, |at| at + 1);
        let end = value[offset..].find('\n').map_or(value.len(), |at| offset + at);
        let Some(at) = written.find(&value[begin..end]) else { return node.place };
        let before = &written[..at + (offset - begin)];
        let line = node.place.line + before.matches('\n').count();
        let in_line = before.rsplit('\n').next().unwrap_or_default().chars().count();
        let column = if line == node.place.line { node.place.column + in_line } else { in_line + 1 };
        Place { line, column }
    }

    /// The entries of a mapping, duplicates told.
    pub(super) fn entries<'n>(&mut self, path: &str, node: &'n Node, what: &str) -> Option<Vec<&'n Entry>> {
        self.places.insert(path, node.place);
        let Content::Dict(entries) = &node.content else {
            self.fault(node.place, path, format!("must be {what}, not {}", type_of(node)));
            return None;
        };
        let mut taken = Vec::with_capacity(entries.len());
        for entry in entries {
            let path = join(path, &entry.key);
            if entry.is_duplicate {
                self.fault(entry.place, &path, "is here twice: keep one");
            } else if !entry.key_is_text {
                let what = "this name is read as something else than a text: put it between quotes";
                self.fault(entry.place, &path, what);
            } else {
                taken.push(entry);
            }
        }
        Some(taken)
    }

    /// The entries of a mapping that may have these keys and no others.
    pub(super) fn fields<'n>(
        &mut self,
        path: &str,
        node: &'n Node,
        what: &str,
        known: &[&str],
    ) -> Option<Fields<'n>> {
        let mut entries = self.entries(path, node, what)?;
        entries.retain(|entry| {
            let is_known = known.contains(&entry.key.as_str());
            if !is_known {
                let suggestion = suggestion(&entry.key, known.iter().copied());
                let message = format!("there is no such field{suggestion}");
                self.fault(entry.place, &join(path, &entry.key), message);
            }
            is_known
        });
        Some(Fields { path: path.to_owned(), entries })
    }

    fn scalar<'n>(&mut self, path: &str, node: &'n Node) -> Option<&'n ParameterValue> {
        self.places.insert(path, node.place);
        match &node.content {
            Content::Scalar(value) => Some(value),
            _ => None,
        }
    }

    fn wrong<T>(&mut self, path: &str, node: &Node, wanted: &str) -> Option<T> {
        self.fault(node.place, path, format!("must be {wanted}, not {}", type_of(node)));
        None
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, path: &str, node: &Node) -> Option<String> {
        match self.scalar(path, node) {
            Some(ParameterValue::String(text)) if text.trim().is_empty() => {
                self.fault(node.place, path, "must not be empty");
                None
            }
            Some(ParameterValue::String(text)) => Some(text.clone()),
            Some(ParameterValue::Null) | None => self.wrong(path, node, "a text"),
            Some(_) => self.wrong(path, node, "a text (put it between quotes)"),
        }
    }

    pub(super) fn boolean(&mut self, path: &str, node: &Node) -> Option<bool> {
        match self.scalar(path, node) {
            Some(ParameterValue::Bool(value)) => Some(*value),
            _ => self.wrong(path, node, "true or false"),
        }
    }

    pub(super) fn integer<T: TryFrom<i64>>(
        &mut self,
        path: &str,
        node: &Node,
        range: &RangeInclusive<i64>,
    ) -> Option<T> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        match self.scalar(path, node) {
            Some(ParameterValue::Integer(value)) if range.contains(value) => T::try_from(*value).ok(),
            Some(ParameterValue::Integer(_) | ParameterValue::BigInteger(_)) => {
                self.fault(node.place, path, format!("must be {wanted}"));
                None
            }
            _ => self.wrong(path, node, &wanted),
        }
    }

    pub(super) fn float(&mut self, path: &str, node: &Node, range: &RangeInclusive<f64>) -> Option<f64> {
        let value = match self.scalar(path, node) {
            Some(ParameterValue::Integer(value)) => *value as f64,
            Some(ParameterValue::Float(value)) => *value,
            _ => return self.wrong(path, node, "a number"),
        };
        if !range.contains(&value) {
            self.fault(node.place, path, format!("must be from {} to {}", range.start(), range.end()));
            return None;
        }
        Some(value)
    }

    /// A time above zero, or with `or_none` zero as well: seconds, or a text such as `1h 30m`.
    pub(super) fn duration(&mut self, path: &str, node: &Node, or_none: bool) -> Option<Duration> {
        let duration = match self.scalar(path, node) {
            Some(ParameterValue::Integer(value)) => u64::try_from(*value).ok().map(Duration::from_secs),
            Some(ParameterValue::Float(value)) => Duration::try_from_secs_f64(*value).ok(),
            Some(ParameterValue::String(text)) => match text.parse() {
                Ok(Seconds(duration)) => Some(duration),
                Err(message) => {
                    self.fault(node.place, path, message);
                    return None;
                }
            },
            _ => return self.wrong(path, node, "a time, such as 90, 30s, 5m or 1h 30m"),
        };
        match duration {
            Some(duration) if duration <= LONGEST && (or_none || !duration.is_zero()) => Some(duration),
            _ => {
                let least = if or_none { "from 0" } else { "above 0" };
                self.fault(node.place, path, format!("must be a time {least} up to a year"));
                None
            }
        }
    }

    /// Any value, as JSON has it.
    pub(super) fn value(&mut self, path: &str, node: &Node) -> Option<Value> {
        match &node.content {
            Content::Scalar(ParameterValue::BigInteger(digits)) if digits.parse::<u64>().is_err() => {
                let what = "is an integer that does not fit into 64 bits: put it between quotes";
                self.fault(node.place, path, what);
                None
            }
            Content::Scalar(ParameterValue::Float(value)) if !value.is_finite() => {
                let what = "is infinite or no number (NaN), which JSON does not have: put it between quotes";
                self.fault(node.place, path, what);
                None
            }
            Content::Scalar(value) => Some(value.to_json()),
            Content::List(nodes) => {
                let mut values = Vec::with_capacity(nodes.len());
                for (index, node) in nodes.iter().enumerate() {
                    values.extend(self.value(&format!("{path}[{index}]"), node));
                }
                Some(Value::Array(values))
            }
            Content::Dict(entries) => {
                let mut map = Map::new();
                for entry in entries {
                    let path = join(path, &entry.key);
                    if entry.is_duplicate {
                        self.fault(entry.place, &path, "is here twice: keep one");
                    }
                    if let Some(value) = self.value(&path, &entry.value) {
                        map.insert(entry.key.clone(), value);
                    }
                }
                Some(Value::Object(map))
            }
        }
    }

    /// Parameters: names that some language takes, with any values. Null is none.
    pub(super) fn parameters(&mut self, path: &str, node: &Node) -> Map<String, Value> {
        let mut parameters = Map::new();
        if matches!(node.content, Content::Scalar(ParameterValue::Null)) {
            return parameters;
        }
        let mut names = HashSet::new();
        for entry in self.entries(path, node, "names with values").unwrap_or_default() {
            let path = join(path, &entry.key);
            self.places.insert(path.as_str(), entry.value.place);
            if let Err(error) = Parameters::new().insert(entry.key.as_str(), ParameterValue::Null) {
                let what = error.fields().first().map_or(error.message(), |field| &field.message).to_owned();
                self.fault(entry.place, &path, what);
            }
            if let Some(value) = self.value(&path, &entry.value)
                && names.insert(&entry.key)
            {
                parameters.insert(entry.key.clone(), value);
            }
        }
        parameters
    }
}

/// What a node is, for people.
pub(super) fn type_of(node: &Node) -> &'static str {
    match &node.content {
        Content::List(_) => "a list",
        Content::Dict(_) => "a mapping",
        Content::Scalar(value) => match value {
            ParameterValue::Null => "nothing",
            ParameterValue::Bool(_) => "a truth value",
            ParameterValue::Integer(_) | ParameterValue::BigInteger(_) => "an integer",
            ParameterValue::Float(_) => "a float",
            _ => "a text",
        },
    }
}
