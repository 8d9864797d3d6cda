//! What is wrong with a workflow as it is written: each fault with its place, all of them told together.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Error, FieldError};
use crate::notebook::yaml::Place;

/// The most faults that are told at once.
pub const MAX_FAULTS: usize = 100;

/// One fault, or one thing that a reader should know though it stops nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = WorkflowFault, example = json!({"line": 9, "column": 13, "field": "steps.train.needs[0]",
    "message": "there is no step `prepre`: did you mean `prepare`?"}))]
pub struct Fault {
    /// The line, from 1; null where the workflow was not given as a text.
    #[schema(nullable)]
    pub line: Option<usize>,
    /// The column in characters, from 1.
    #[schema(nullable)]
    pub column: Option<usize>,
    /// Which part of the workflow: `steps.train.needs[0]`; empty for all of it.
    pub field: String,
    /// What is wrong there, and what would be right.
    pub message: String,
}

impl Fault {
    /// A fault at a place.
    pub fn new(place: Option<Place>, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            field: field.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Fault {
    /// `LINE:COLUMN: FIELD: MESSAGE`, as far as they are known.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(formatter, "{line}:{column}: ")?;
        }
        match self.field.as_str() {
            "" => formatter.write_str(&self.message),
            field => write!(formatter, "{field}: {}", self.message),
        }
    }
}

/// The error for the faults of `what` (`the workflow`), one at least: the first in the message, each as a field.
pub fn error(what: &str, faults: &[Fault]) -> Error {
    let told = |fault: &Fault| match (fault.line, fault.column) {
        (Some(line), Some(column)) => format!("line {line}, column {column}: {}", fault.message),
        _ => fault.message.clone(),
    };
    let first = faults.first().map(|fault| match fault.field.as_str() {
        "" => told(fault),
        field => format!("{field}: {}", told(fault)),
    });
    let more = match faults.len() {
        0 | 1 => String::new(),
        2 => " (and one more fault)".to_owned(),
        count => format!(" (and {} more faults)", count - 1),
    };
    let message = format!("{what} cannot be run: {}{more}", first.unwrap_or_default());
    let fields = faults.iter().map(|fault| FieldError { field: fault.field.clone(), message: told(fault) });
    Error::invalid(message).with_fields(fields)
}

/// Where the parts of a workflow stand in its text, by their path: `steps.train.parameters.fold`.
#[derive(Debug, Clone, Default)]
pub struct Places(HashMap<String, Place>);

impl Places {
    pub(super) fn insert(&mut self, field: impl Into<String>, place: Place) {
        self.0.insert(field.into(), place);
    }

    /// Where a part stands, or what it is a part of.
    pub fn of(&self, field: &str) -> Option<Place> {
        let mut field = field;
        loop {
            if let Some(place) = self.0.get(field) {
                return Some(*place);
            }
            field = &field[..field.rfind(['.', '['])?];
        }
    }
}

/// The known word that is most like the one given, if any is like it.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let furthest = (word.chars().count() / 3).max(1);
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|other| (strsim::osa_distance(&lower, &other.to_lowercase()), other))
        .filter(|(distance, _)| *distance <= furthest)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// ` did you mean …?`, or the known words when there are few, behind a colon.
pub(super) fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    const OFFERED: usize = 20;
    if let Some(nearest) = nearest(word, known.clone()) {
        return format!(": did you mean `{nearest}`?");
    }
    let all: Vec<_> = known.into_iter().map(|known| format!("`{known}`")).collect();
    match all.len() {
        0 => String::new(),
        1..=OFFERED => format!(": known are {}", all.join(", ")),
        _ => format!(": known are {}, …", all[..OFFERED].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_nearly_right_is_known() {
        let known = ["prepare", "train", "report", "max_parallel", "needs"];
        let check = |word: &str, expected: Option<&str>| assert_eq!(nearest(word, known), expected, "{word}");
        check("prepre", Some("prepare"));
        check("Train", Some("train"));
        check("tarin", Some("train"));
        check("max-parallel", Some("max_parallel"));
        check("need", Some("needs"));
        check("nope", None);
        check("", None);
    }

    #[test]
    fn a_part_without_a_place_has_that_of_the_whole() {
        let mut places = Places::default();
        let place = |line| Place { line, column: 1 };
        places.insert("steps.a", place(3));
        places.insert("steps.a.parameters.x", place(5));
        let line = |field: &str| places.of(field).map(|place| place.line);
        assert_eq!(line("steps.a.parameters.x"), Some(5));
        assert_eq!(line("steps.a.parameters.x[3].y"), Some(5));
        assert_eq!(line("steps.a.parameters.y"), Some(3));
        assert_eq!(line("name"), None);
    }
}
