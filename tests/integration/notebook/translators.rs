//! Every language of papermill's, against papermill: its text where it means the value, another where not.

use bindery::notebook::{ParameterValue, Parameters, Translator};
use serde_json::Value;

use super::{fixture, untagged};

fn codify(kernel: &str, value: &ParameterValue) -> bindery::error::Result<String> {
    let mut parameters = Parameters::new();
    parameters.insert("x", value.clone()).unwrap();
    Translator::find(Some(kernel), None).unwrap().codify(&parameters, "Parameters")
}

#[test]
fn cells_are_papermills_but_where_it_is_wrong() {
    let rows = fixture("translators.json");
    assert!(rows.len() >= 300);
    let mut same = 0;
    for row in rows {
        let value = untagged(&row["value"]);
        for (kernel, cell) in row["cells"].as_object().unwrap() {
            let ours = codify(kernel, &value);
            match (cell.as_str(), row["wrong"].get(kernel)) {
                (None, _) => {
                    let error = ours.unwrap_err();
                    let language = Translator::find(Some(kernel), None).unwrap().language();
                    assert_eq!(error.fields()[0].field, "parameters.x");
                    assert!(error.message().contains(language), "{error}");
                }
                (Some(cell), Some(reason)) => {
                    assert!(ours.is_err() || ours.unwrap() != cell, "{kernel} {cell}: {reason}");
                }
                (Some(cell), None) => {
                    assert_eq!(ours.unwrap(), cell, "{kernel} {}", row["value"]);
                    same += 1;
                }
            }
        }
    }
    assert!(same >= 2000, "only {same} cells were the same");
}

#[test]
fn papermills_published_tables_hold() {
    let rows = fixture("translators_published.json");
    assert!(rows.len() >= 150);
    for row in rows {
        let kernel = row["kernel"].as_str().unwrap();
        let cell = codify(kernel, &untagged(&row["value"])).unwrap();
        let line = cell.split_once('\n').unwrap().1.trim_end_matches('\n');
        let literal = line.trim_end_matches(';').split_once('=').unwrap().1;
        assert_eq!(literal.trim_start(), row["literal"].as_str().unwrap(), "{kernel} {}", row["value"]);
    }
}

/// For every language, papermill's and ours, and every value: one parameter is one line of code, but for the
/// line breaks that stand inside a text of Bash or SQL or between the entries of a PowerShell map.
#[test]
fn no_value_begins_a_line_of_its_own() {
    let values: Vec<_> = fixture("translators.json").iter().map(|row| untagged(&row["value"])).collect();
    for language in
        ["python", "R", "scala", "julia", "matlab", "c#", "f#", "rust", "javascript", "typescript"]
    {
        for value in &values {
            let Ok(source) = codify(language, value) else { continue };
            assert_eq!(source.lines().count(), 2, "{language} {source}");
            assert!(source.is_ascii() && !source.contains('\r'), "{language} {source}");
        }
    }
}

/// The tagged form in which the fixtures have values, as the interpreters print it.
pub(super) fn tagged(value: &ParameterValue) -> Value {
    match value {
        ParameterValue::Null => serde_json::json!(["none"]),
        ParameterValue::Bool(value) => serde_json::json!(["bool", value]),
        ParameterValue::Integer(value) => serde_json::json!(["int", value.to_string()]),
        ParameterValue::BigInteger(digits) => serde_json::json!(["int", digits]),
        ParameterValue::Float(value) => serde_json::json!(["float", format!("{value:?}")]),
        ParameterValue::String(text) => serde_json::json!(["str", text]),
        ParameterValue::List(values) => {
            serde_json::json!(["list", values.iter().map(tagged).collect::<Vec<_>>()])
        }
        ParameterValue::Dict(entries) => {
            // By key: not all languages keep the order.
            let mut entries: Vec<_> = entries.iter().map(|(key, value)| (key, tagged(value))).collect();
            entries.sort_by_key(|(key, _)| key.as_bytes().to_vec());
            serde_json::json!(["dict", entries])
        }
    }
}
