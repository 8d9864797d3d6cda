//! Values, names, literals and inspection against papermill and Python.

use bindery::notebook::{ParameterValue, Parameters, Translator, parse_cli_value};
use serde_json::json;

use super::{fixture, untagged};

#[test]
fn literals_are_papermills() {
    let rows = fixture("literals.json");
    assert!(rows.len() >= 150);
    for row in rows {
        let mut parameters = Parameters::new();
        parameters.insert("x", untagged(&row["value"])).unwrap();
        let literal = row["literal"].as_str().unwrap();
        assert_eq!(
            Translator::Python.codify(&parameters, "Parameters").unwrap(),
            format!("# Parameters\nx = {literal}\n"),
            "{}",
            row["value"]
        );
    }
}

#[test]
fn a_comment_cannot_become_code() {
    let check = |comment: &str, expected: &str| {
        let mut parameters = Parameters::new();
        parameters.insert("x", ParameterValue::Null).unwrap();
        assert_eq!(
            Translator::Python.codify(&parameters, comment).unwrap(),
            format!("{expected}\nx = None\n")
        );
    };
    check("Parameters", "# Parameters");
    check("", "#");
    check("a\nimport os", "# a import os");
    check("a\r\nimport os\0", "# a  import os");
}

#[test]
fn text_from_the_command_line_is_resolved_as_papermill_resolves_it() {
    for row in fixture("cli_values.json") {
        let (value, expected) = (parse_cli_value(row["text"].as_str().unwrap()), untagged(&row["value"]));
        // NaN differs from itself, and -0.0 equals 0.0: their spelling tells.
        assert_eq!(format!("{value:?}"), format!("{expected:?}"), "{}", row["text"]);
    }
}

#[test]
fn names_are_judged_as_python_judges_them() {
    for row in fixture("names.json") {
        let name = row["name"].as_str().unwrap();
        let result =
            Parameters::from_json(&json!({name: 1})).and_then(|it| Translator::Python.codify(&it, ""));
        assert_eq!(result.is_ok(), row["good"].as_bool().unwrap(), "{name:?}: {result:?}");
        if let Err(error) = result {
            assert!(error.fields()[0].field.starts_with("parameters."), "{error}");
        }
    }
}

#[test]
fn inspection_finds_what_papermill_finds() {
    for row in fixture("inspection.json") {
        let found = Translator::Python.inspect(row["source"].as_str().unwrap());
        assert_eq!(serde_json::to_value(found).unwrap(), row["parameters"], "{}", row["source"]);
    }
}
