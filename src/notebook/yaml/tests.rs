use super::*;
use crate::error::ErrorKind;

#[test]
fn a_fault_is_told_with_its_place_and_without_a_value() {
    let check = |text: &str, expected: &str| {
        let error = parse_parameters("p.yaml", text).unwrap_err();
        assert!(error.message().starts_with(expected), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    };
    check("a: 1\nb: [1, hunter2\n", "p.yaml: line 3, column 1: this is not YAML: ");
    check("a:\n  b: !!int hunter2\n", "p.yaml: line 2, column 6: it looks like an integer and is none");
    check("a: !!set {hunter2}", "p.yaml: line 1, column 4: a parameter cannot have the tag !!set");
    check("a: 1\n---\nb: 2\n", "p.yaml: line 2, column 1: a second document begins here");
    check("a: 1\nb: \u{7}hunter2", "p.yaml: line 2, column 4: this is not YAML: a control character");
    check("hunter2", "p.yaml: parameters must be names with values");
    check("a b: hunter2", "p.yaml: parameters.a b is not a name");
    check("x: &x [*x]", "p.yaml: line 1, column 8: this alias stands within what it names");
}

#[test]
fn a_document_that_grows_without_bounds_is_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let before = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", [before.as_str(); 10].join(", ")));
    }
    let error = parse_parameters("p.yaml", &bomb).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadInput);
    assert!(error.message().contains("more than 1000000 values"), "{error}");
    let deep = format!("a: {}{}", "[".repeat(200), "]".repeat(200));
    assert!(parse_parameters("p.yaml", &deep).unwrap_err().message().contains("nest deeper than 128"));
}

#[test]
fn pairs_of_surrogates_are_one_character_in_json_only() {
    let read = |text: &str| parse_parameters("p.json", text).map(|parameters| parameters.to_json());
    let written_by_python = r#"{"a": "\ud83d\ude42!", "b": "\\ud83d\\ude42", "c": "\u00e9\n"}"#;
    let expected = serde_json::json!({"a": "🙂!", "b": r"\ud83d\ude42", "c": "é\n"});
    assert_eq!(read(written_by_python).unwrap(), expected);
    assert_eq!(read(r"a: \ud83d\ude42").unwrap(), serde_json::json!({"a": r"\ud83d\ude42"}));
    assert!(read(r#"{"a": "\ud83d"}"#).is_err());
    assert!(read(r#"{"a": "\ude42\ud83d"}"#).is_err());
}
