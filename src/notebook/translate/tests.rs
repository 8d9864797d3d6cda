//! What no table of papermill's has: names, lookup, our languages' literals, and what is refused.

mod literals;
mod names;

use serde_json::Value;

use super::*;

const ALL: [Translator; 15] = [
    Translator::Python,
    Translator::R,
    Translator::Scala,
    Translator::Julia,
    Translator::Matlab,
    Translator::CSharp,
    Translator::FSharp,
    Translator::PowerShell,
    Translator::Bash,
    Translator::Rust,
    Translator::JavaScript,
    Translator::TypeScript,
    Translator::Go,
    Translator::Sql,
    Translator::StandardSql,
];

fn codify(translator: Translator, name: &str, value: ParameterValue) -> Result<String> {
    let mut parameters = Parameters::new();
    parameters.insert(name, value)?;
    translator.codify(&parameters, "Parameters")
}

/// The cell's lines after the comment.
#[track_caller]
fn check(translator: Translator, value: impl Into<ParameterValue>, expected: &str) {
    let source = codify(translator, "x", value.into()).unwrap();
    assert_eq!(source.split_once('\n').unwrap().1, format!("{expected}\n"), "{translator:?}");
}

#[track_caller]
fn check_refused(translator: Translator, value: impl Into<ParameterValue>, told: &str) {
    let error = codify(translator, "x", value.into()).unwrap_err();
    assert!(error.message().starts_with("parameters.x is "), "{error}");
    assert!(error.message().contains(told) && error.message().contains(translator.language()), "{error}");
    assert_eq!(error.fields()[0].field, "parameters.x");
}

fn value(json: Value) -> ParameterValue {
    ParameterValue::from(&json)
}

fn big(digits: &str) -> ParameterValue {
    ParameterValue::integer(digits.to_owned())
}

impl From<Value> for ParameterValue {
    fn from(json: Value) -> Self {
        value(json)
    }
}

impl From<f64> for ParameterValue {
    fn from(float: f64) -> Self {
        Self::Float(float)
    }
}
