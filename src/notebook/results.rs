//! What a notebook recorded for others to read: scrapbook's glued data, papermill's old records, and the same through
//! display metadata, without an import:
//!
//! ```python
//! display(0.91, metadata={"bindery": {"result": "auc"}})
//! display({"application/json": {"a": [1, 2]}}, raw=True, metadata={"bindery": {"result": "folds"}})
//! ```
//!
//! Values are JSON. Of one name the last counts.

use serde_json::{Map, Value};

use super::{Notebook, ParameterValue, join_lines, parse_cli_value};

/// The longest name, in characters.
const LONGEST_NAME: usize = 200;
/// The size, in bytes of JSON, that all results of a run may have together: they go into its record.
const MAX_SIZE: usize = 1_000_000;

/// What was recorded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Results {
    /// Name and value, in the order in which the names came.
    pub values: Map<String, Value>,
    /// What was left out, and why.
    pub warnings: Vec<String>,
}

/// Reads what an executed notebook recorded.
pub fn recorded_results(notebook: &Notebook) -> Results {
    let mut results = Results::default();
    let mut size = 0;
    for output in notebook.cells().iter().filter(|cell| cell.is_code()).flat_map(|cell| cell.outputs()) {
        for found in results_of(output) {
            match found {
                Ok((name, value)) => results.add(name, value, &mut size),
                Err(warning) => results.warnings.push(warning),
            }
        }
    }
    results
}

impl Results {
    fn add(&mut self, name: String, value: Value, size: &mut usize) {
        if name.is_empty() || name.chars().count() > LONGEST_NAME {
            let shown: String = name.chars().take(40).collect();
            self.warnings.push(format!(
                "the result `{shown}` was left out: names have 1 to {LONGEST_NAME} characters"
            ));
            return;
        }
        let length = |value: &Value| name.len() + value.to_string().len();
        let without = *size - self.values.get(&name).map_or(0, length);
        let with = without + length(&value);
        if with > MAX_SIZE {
            let text =
                format!("the result `{name}` was left out: results may have {MAX_SIZE} bytes together");
            self.warnings.push(format!("{text}; save it to a file and record its path"));
            return;
        }
        *size = with;
        self.values.insert(name, value);
    }
}

type Found = Result<(String, Value), String>;

/// The results in one output: as a rule none.
fn results_of(output: &Value) -> Vec<Found> {
    let Some(data) = output.get("data").and_then(Value::as_object) else { return Vec::new() };
    let mut found = Vec::new();
    for (mime, payload) in data {
        // scrapbook/encoders.py, scrapbook/schemas.py
        if let Some(encoder) =
            mime.strip_prefix("application/scrapbook.scrap.").and_then(|it| it.strip_suffix("+json"))
        {
            found.extend(scrap(encoder, payload));
        // papermill before 1.0: `pm.record`
        } else if mime == "application/papermill.record+json" {
            let record = payload.as_object().into_iter().flatten();
            found.extend(record.map(|(name, value)| Ok((name.clone(), value.clone()))));
        }
    }
    let ours = output.pointer("/metadata/bindery/result").and_then(Value::as_str);
    found.extend(ours.map(|name| Ok((name.to_owned(), displayed(data)))));
    found
}

fn scrap(encoder: &str, payload: &Value) -> Option<Found> {
    let name = payload.get("name")?.as_str()?.to_owned();
    match (encoder, payload.get("data")) {
        // What is only to be shown is stored elsewhere.
        ("display", _) | (_, None) => None,
        ("json" | "text", Some(data)) => Some(Ok((name, data.clone()))),
        _ => Some(Err(format!(
            "the result `{name}` was left out: scrapbook's encoder `{encoder}` is for scrapbook alone; glue JSON or text"
        ))),
    }
}

/// The value that an output shows: its JSON, else its text, in which a number or a quoted text is told from others.
fn displayed(data: &Map<String, Value>) -> Value {
    if let Some(value) = data.get("application/json") {
        return value.clone();
    }
    let text = data.get("text/plain").map(join_lines).unwrap_or_default();
    match parse_cli_value(&text) {
        ParameterValue::String(text) => unquoted(&text).unwrap_or(&text).into(),
        value => value.to_json(),
    }
}

/// What stands between the quotes of a Python text that is no more than that.
fn unquoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inner.contains(['\\', quote])).then_some(inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(outputs: Value) -> Results {
        let cell = json!({"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": outputs, "source": ""});
        let notebook = json!({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4});
        recorded_results(&Notebook::from_value(notebook).unwrap())
    }

    fn display(data: Value, metadata: Value) -> Value {
        json!({"output_type": "display_data", "data": data, "metadata": metadata})
    }

    fn glued(encoder: &str, name: &str, data: Value) -> Value {
        let payload = json!({"name": name, "data": data, "encoder": encoder, "version": 1});
        let mime = format!("application/scrapbook.scrap.{encoder}+json");
        display(json!({mime: payload}), json!({"scrapbook": {"name": name, "data": true, "display": false}}))
    }

    fn ours(data: Value, name: &str) -> Value {
        display(data, json!({"bindery": {"result": name}}))
    }

    #[test]
    fn glued_data_is_read_and_the_last_of_a_name_counts() {
        let results = read(json!([
            glued("json", "folds", json!([1, {"a": null}])),
            glued("text", "note", json!("first")),
            glued("text", "note", json!("last")),
            display(json!({"application/papermill.record+json": {"old": 1.5}}), json!({})),
            display(json!({"text/plain": "shown"}), json!({"scrapbook": {"name": "plot", "data": false}})),
            {"output_type": "stream", "name": "stdout", "text": "x"},
        ]));
        let expected = json!({"folds": [1, {"a": null}], "note": "last", "old": 1.5});
        assert_eq!((Value::Object(results.values), results.warnings), (expected, vec![]));
    }

    #[test]
    fn display_metadata_does_the_same() {
        let check = |data: Value, expected: Value| {
            assert_eq!(read(json!([ours(data, "x")])).values["x"], expected);
        };
        check(json!({"application/json": {"a": [1]}, "text/plain": "<JSON>"}), json!({"a": [1]}));
        check(json!({"text/plain": ["0.91"]}), json!(0.91));
        check(json!({"text/plain": "12"}), json!(12));
        check(json!({"text/plain": "True"}), json!(true));
        check(json!({"text/plain": "None"}), json!(null));
        check(json!({"text/plain": "'s3://models/7'"}), json!("s3://models/7"));
        check(json!({"text/plain": ["'it\\'s'"]}), json!("'it\\'s'"));
        check(json!({"text/plain": ["two\n", "lines"]}), json!("two\nlines"));
        check(json!({"image/png": "AAAA"}), json!(""));
    }

    #[test]
    fn what_cannot_be_kept_is_told() {
        let long = "x".repeat(MAX_SIZE);
        let results = read(json!([
            glued("pandas", "frame", json!("UEFSMQ==")),
            glued("text", "long", json!(long)),
            ours(json!({"text/plain": "1"}), ""),
            ours(json!({"text/plain": "2"}), "kept"),
        ]));
        assert_eq!(Value::Object(results.values), json!({"kept": 2}));
        assert_eq!(results.warnings.len(), 3);
        assert!(results.warnings[0].contains("encoder `pandas`"), "{:?}", results.warnings);
        assert!(results.warnings[1].contains("1000000 bytes"), "{:?}", results.warnings);
    }
}
