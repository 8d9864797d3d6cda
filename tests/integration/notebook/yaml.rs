//! YAML against PyYAML as papermill uses it: the rows of `tests/tools/yaml_fixtures.py`.

use bindery::notebook::ParameterValue;
use bindery::notebook::yaml::parse_parameters;

use super::{fixture, untagged};

/// Where Bindery differs, and why.
const DECIDED: [(&str, &str); 11] = [
    ("x: [&a 1, &a 2, *a]", "YAML lets an anchor be set again"),
    ("x: \tx", "YAML lets a tab separate"),
    ("x: x\t", "as above"),
    ("x: x\ty", "as above"),
    ("a: b\t\n", "as above"),
    ("%YAML 2.0\n---\na: yes\n", "the version is passed over"),
    ("a: \u{85}b\n", "no line break since YAML 1.2"),
    ("a: \u{2028}b\n", "as above"),
    ("? |\n  a\n: 1\n", "no name of a variable"),
    ("a: [\n1\n]\n", "YAML wants it indented; the error names the place"),
    ("a: {1: x, true: y}\n", "1 and True are one key to Python, two to a reader"),
];

#[test]
fn yaml_means_what_papermill_takes_it_for() {
    let rows = fixture("yaml.json");
    assert!(rows.len() >= 300);
    let mut different = Vec::new();
    for row in &rows {
        let text = row["yaml"].as_str().unwrap();
        let read = parse_parameters("p.yaml", text);
        let expected = row.get("value").map(untagged);
        let same = match (&read, &expected) {
            // NaN differs from itself, and -0.0 equals 0.0: their spelling tells.
            (Ok(read), Some(ParameterValue::Dict(expected))) => {
                let read: Vec<_> =
                    read.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
                format!("{read:?}") == format!("{expected:?}")
            }
            (Err(_), None) => true,
            _ => false,
        };
        if DECIDED.iter().any(|(decided, _)| *decided == text) {
            assert!(!same, "no difference any more: {text:?}");
        } else if !same {
            let read = read.map(|read| format!("{:?}", read.iter().collect::<Vec<_>>()));
            different
                .push(format!("{text:?}\n  read     {read:?}\n  expected {expected:?} {}", row["fault"]));
        }
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
}
