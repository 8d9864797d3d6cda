//! Paths with parameters against papermill: the rows of `tests/tools/path_fixtures.py`.

use bindery::notebook::path_template::{Builtins, fill};
use bindery::notebook::{ParameterValue, Parameters};
use serde_json::json;

use super::fixture;

fn parameters() -> Parameters {
    let mut parameters = Parameters::from_json(&json!({
        "s": "text", "i": 42, "neg": -7, "f": 0.1, "large": 1_234_567.891, "e": 1e20, "t": true, "n": null,
        "l": [1, "a'b", 2.5, null, [true]], "d": {"k": "v", "x": {"y": 3}}, "u": "é", "z": 0.0,
    }))
    .unwrap();
    for (name, value) in [
        ("big", ParameterValue::BigInteger("123456789012345678901234567890".into())),
        ("inf", ParameterValue::Float(f64::INFINITY)),
        ("nan", ParameterValue::Float(f64::NAN)),
    ] {
        parameters.insert(name, value).unwrap();
    }
    parameters
}

fn builtins() -> Builtins {
    Builtins {
        run_uuid: "3b241101-e2bb-4255-8caf-4136c566a962".into(),
        current_datetime_local: "2026-03-04T15:06:07.000089".parse().unwrap(),
        current_datetime_utc: "2026-03-04T14:06:07Z".parse().unwrap(),
        scheduled_time: None,
    }
}

/// What Python does and is not known here: the error says so.
const UNKNOWN: [&str; 3] = ["{s.upper}", "{i:c}", "{big:x}"];

#[test]
fn paths_are_filled_in_as_papermill_fills_them() {
    let mut different = Vec::new();
    for row in fixture("paths.json") {
        let template = row["template"].as_str().unwrap();
        let filled = fill(template, &parameters(), &builtins());
        let same = match (&filled, row["path"].as_str()) {
            (Ok(filled), Some(expected)) => filled == expected,
            (Err(error), None) => {
                let missing =
                    row["fault"].as_str().unwrap().strip_prefix("PapermillMissingParameterException: ");
                missing.is_none_or(|missing| error.message().starts_with(missing))
            }
            (Err(_), Some(_)) => UNKNOWN.contains(&template),
            _ => false,
        };
        if !same {
            different.push(format!("{template}: {filled:?}, not {} {}", row["path"], row["fault"]));
        }
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
}

#[test]
fn pm_has_attributes_too() {
    assert_eq!(
        fill("{pm.run_uuid:.8}-{pm.current_datetime_utc:%Y}", &parameters(), &builtins()).unwrap(),
        "3b241101-2026"
    );
}
