//! Validation: what the JSON schemas of nbformat 4.0 to 4.5 demand, each fault with its place.
//!
//! The rules stand in `schema` as tables; here is what walks them. Like nbformat, a notebook of a later
//! minor version is held to the rules of 4.5 but may hold fields, cell types and output types unknown to them.

mod schema;

use std::fmt;

use serde_json::{Map, Value};

use super::Notebook;
use crate::error::{Error, FieldError, Result};

/// How many faults are told one by one.
pub const MAX_FAULTS: usize = 20;
/// The newest minor version of nbformat 4 whose rules are known.
pub const NEWEST_MINOR: u64 = 5;

impl Notebook {
    /// Checks the notebook against the rules of its own minor version.
    ///
    /// # Errors
    /// `Invalid` with up to [`MAX_FAULTS`] field errors, the place of each as a JSON path such as
    /// `cells[3].outputs[0].output_type`; the message says how many more there are.
    pub fn validate(&self) -> Result<()> {
        let minor = self.fields.get("nbformat_minor").and_then(Value::as_u64).unwrap_or(0);
        let mut checker = Checker { minor, faults: Vec::new(), count: 0 };
        schema::notebook(&mut checker, &self.fields, &self.cells);
        let count = checker.count;
        let Some(first) = checker.faults.first() else { return Ok(()) };
        let told = match count {
            1 => format!("the notebook is not valid nbformat 4.{minor}: {} {}", first.field, first.message),
            2..=MAX_FAULTS => format!("the notebook is not valid nbformat 4.{minor}: {count} faults"),
            _ => format!(
                "the notebook is not valid nbformat 4.{minor}: {MAX_FAULTS} faults and {} more",
                count - MAX_FAULTS
            ),
        };
        Err(Error::invalid(told).with_fields(checker.faults))
    }
}

/// Where in the notebook a value stands.
#[derive(Clone, Copy)]
enum Place<'a> {
    Root,
    Field(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 64;
        match self {
            Self::Root => Ok(()),
            Self::Item(parent, index) => write!(formatter, "{parent}[{index}]"),
            Self::Field(parent, name) => {
                let is_plain = !name.is_empty()
                    && name.len() <= SHOWN
                    && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                match parent {
                    Self::Root if is_plain => formatter.write_str(name),
                    _ if is_plain => write!(formatter, "{parent}.{name}"),
                    _ => write!(formatter, "{parent}[{:?}]", name.chars().take(SHOWN).collect::<String>()),
                }
            }
        }
    }
}

/// A rule for one value.
type Rule = fn(&mut Checker, Place<'_>, &Value);

/// One field that the schema knows of an object.
struct Field {
    name: &'static str,
    is_required: bool,
    /// The minor version that brought the field; before it, the field is unknown.
    since: u64,
    rule: Rule,
}

const fn required(name: &'static str, rule: Rule) -> Field {
    Field { name, is_required: true, since: 0, rule }
}

const fn optional(name: &'static str, rule: Rule) -> Field {
    Field { name, is_required: false, since: 0, rule }
}

impl Field {
    const fn since(self, minor: u64) -> Self {
        Self { since: minor, ..self }
    }
}

/// What an object may hold beside the fields that the schema knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    Allowed,
    Forbidden,
}

struct Checker {
    minor: u64,
    faults: Vec<FieldError>,
    count: usize,
}

impl Checker {
    fn fault(&mut self, place: Place<'_>, message: fmt::Arguments<'_>) {
        self.count += 1;
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(FieldError { field: place.to_string(), message: message.to_string() });
        }
    }

    /// `value` is not what it must be.
    fn wrong(&mut self, place: Place<'_>, value: &Value, expected: &str) {
        self.fault(place, format_args!("must be {expected}, not {}", Shown(value)));
    }

    /// Whether the notebook is of a version after those known, in which anything new is let pass.
    fn is_from_the_future(&self) -> bool {
        self.minor > NEWEST_MINOR
    }

    fn object<'a>(&mut self, place: Place<'_>, value: &'a Value) -> Option<&'a Map<String, Value>> {
        let object = value.as_object();
        if object.is_none() {
            self.wrong(place, value, "an object");
        }
        object
    }

    fn list<'a>(&mut self, place: Place<'_>, value: &'a Value) -> Option<&'a [Value]> {
        let list = value.as_array();
        if list.is_none() {
            self.wrong(place, value, "a list");
        }
        list.map(Vec::as_slice)
    }

    /// Checks the object's fields against those that the schema knows.
    fn fields(&mut self, place: Place<'_>, object: &Map<String, Value>, known: &[Field], others: Others) {
        let minor = self.minor;
        let is_known = |field: &&Field| field.since <= minor;
        for field in known.iter().filter(is_known) {
            let at = Place::Field(&place, field.name);
            match object.get(field.name) {
                Some(value) => (field.rule)(self, at, value),
                None if field.is_required => self.fault(at, format_args!("is missing")),
                None => {}
            }
        }
        if others == Others::Allowed || self.is_from_the_future() {
            return;
        }
        for name in object.keys() {
            if !known.iter().filter(is_known).any(|field| field.name == name) {
                let allowed: Vec<_> = known.iter().filter(is_known).map(|field| field.name).collect();
                self.fault(
                    Place::Field(&place, name),
                    format_args!("is not allowed here in nbformat 4.{minor}: only {}", allowed.join(", ")),
                );
            }
        }
    }
}

/// A value in a message: short, and never more than its beginning.
struct Shown<'a>(&'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 40;
        match self.0 {
            Value::Null => formatter.write_str("null"),
            Value::Bool(value) => write!(formatter, "{value}"),
            Value::Number(number) => write!(formatter, "{number}"),
            Value::String(text) if text.chars().nth(SHOWN).is_none() => write!(formatter, "{text:?}"),
            Value::String(text) => {
                write!(formatter, "{:?}…", text.chars().take(SHOWN).collect::<String>())
            }
            Value::Array(_) => formatter.write_str("a list"),
            Value::Object(_) => formatter.write_str("an object"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(notebook: Value) -> Vec<String> {
        let error = Notebook::from_value(notebook).unwrap().validate().unwrap_err();
        error.fields().iter().map(|fault| format!("{}: {}", fault.field, fault.message)).collect()
    }

    #[test]
    fn each_fault_has_its_place_and_says_what_would_be_right() {
        let notebook = json!({"nbformat": 4, "nbformat_minor": 4, "metadata": {"kernelspec": {"name": 1}}, "cells": [
            {"cell_type": "code", "execution_count": -1, "id": "x", "metadata": {"tags": ["a,b", "c", "c"]}, "source": 1,
             "outputs": [{"output_type": "strem"}, {"output_type": "stream", "text": []},
                         {"output_type": "display_data", "metadata": {}, "data": {"text/plain": {}, "application/json": {}}}]},
            {"cell_type": "markdown", "metadata": null, "source": ""},
            {"cell_type": "sql"},
        ]});
        assert_eq!(
            faults(notebook),
            [
                "metadata.kernelspec.name: must be a string, not 1",
                "metadata.kernelspec.display_name: is missing",
                "cells[0].metadata.tags[0]: must be a non-empty string without a comma, not \"a,b\"",
                "cells[0].metadata.tags[2]: is a tag that the list holds already: \"c\"",
                "cells[0].source: must be a string or a list of strings, not 1",
                "cells[0].outputs[0].output_type: must be one of execute_result, display_data, stream, error, not \"strem\"",
                "cells[0].outputs[1].name: is missing",
                "cells[0].outputs[2].data[\"text/plain\"]: must be a string or a list of strings, not an object",
                "cells[0].execution_count: must be an integer of 0 or more or null, not -1",
                "cells[0].id: is not allowed here in nbformat 4.4: only cell_type, metadata, source, outputs, execution_count",
                "cells[1].metadata: must be an object, not null",
                "cells[2].cell_type: must be one of code, markdown, raw, not \"sql\"",
            ]
        );
    }

    #[test]
    fn at_most_twenty_faults_are_told() {
        let cells: Vec<_> = (0..30).map(|_| json!({"cell_type": "raw", "metadata": {}})).collect();
        let notebook = json!({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells});
        let error = Notebook::from_value(notebook).unwrap().validate().unwrap_err();
        assert_eq!(error.message(), "the notebook is not valid nbformat 4.4: 20 faults and 10 more");
        assert_eq!(error.fields().len(), 20);
    }

    #[test]
    fn cell_ids_are_demanded_from_minor_5_and_must_differ() {
        let cell = |id: &str| json!({"cell_type": "raw", "id": id, "metadata": {}, "source": ""});
        let mut notebook = json!({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [
            cell("a"), cell("a"), cell("b c"), cell(&"x".repeat(65)), cell("")]});
        notebook["cells"]
            .as_array_mut()
            .unwrap()
            .push(json!({"cell_type": "raw", "metadata": {}, "source": ""}));
        let expected = "must be 1 to 64 of the characters a-z, A-Z, 0-9, - and _";
        assert_eq!(
            faults(notebook),
            [
                format!("cells[2].id: {expected}, not \"b c\""),
                format!("cells[3].id: {expected}, not \"{}\"…", "x".repeat(40)),
                format!("cells[4].id: {expected}, not \"\""),
                "cells[5].id: is missing".to_owned(),
                "cells[1].id: is the id of cells[0] too: give each cell its own".to_owned(),
            ]
        );
    }
}
