//! Python: the literals, the parameters cell and its inspection, as papermill's `PythonTranslator` has them
//! (without the formatter `black`, which papermill uses when it happens to be installed).

use std::sync::LazyLock;

use regex::Regex;

use super::Language;
use super::writing::{
    Written, float_literal, integer_digits, push, push_joined, push_python_code, push_quoted,
};
use crate::notebook::inspect::Parameter;
use crate::notebook::python_rules::{identifier_fault, normalized_name, strip};
use crate::notebook::split_lines;
use crate::notebook::value::ParameterValue;

pub(super) struct Python;

impl Language for Python {
    fn name(&self) -> &'static str {
        "Python"
    }

    fn comment(&self, text: &str) -> String {
        format!("# {text}")
    }

    fn name_fault(&self, name: &str) -> Option<&'static str> {
        identifier_fault(name)
    }

    fn stored_name(&self, name: &str) -> String {
        normalized_name(name)
    }

    fn push_assignment(&self, out: &mut String, name: &str, value: &ParameterValue) -> Written {
        push(out, format_args!("{name} = "));
        push_literal(out, value)?;
        out.push('\n');
        Ok(())
    }
}

fn push_literal(out: &mut String, value: &ParameterValue) -> Written {
    match value {
        ParameterValue::Null => out.push_str("None"),
        ParameterValue::Bool(value) => out.push_str(if *value { "True" } else { "False" }),
        ParameterValue::Integer(_) | ParameterValue::BigInteger(_) => {
            out.push_str(&integer_digits(value).unwrap_or_default());
        }
        ParameterValue::Float(value) => {
            out.push_str(&float_literal(*value, ["float('nan')", "float('inf')", "float('-inf')"]));
        }
        ParameterValue::String(text) => push_quoted(out, text, push_python_code),
        ParameterValue::List(values) => {
            out.push('[');
            push_joined(out, ", ", values, push_literal)?;
            out.push(']');
        }
        ParameterValue::Dict(entries) => {
            out.push('{');
            push_joined(out, ", ", entries, |out, (key, value)| {
                push_quoted(out, key, push_python_code);
                out.push_str(": ");
                push_literal(out, value)
            })?;
            out.push('}');
        }
    }
    Ok(())
}

/// One declaration, on one line: `name: annotation = value  # type: comment help`.
///
/// Papermill's pattern, with Python's classes spelled out: its `\w` has no combining marks, its `\s` has the
/// four separators.
static DECLARATION: LazyLock<Regex> = LazyLock::new(|| {
    const WORD: &str = r"[\p{L}\p{N}_]";
    const SPACE: &str = r"[\s\x1c-\x1f]";
    const NO_SPACE: &str = r"[^\s\x1c-\x1f]";
    let pattern = format!(
        r#"^(?<target>{WORD}+){SPACE}*(?::{SPACE}*["']?(?<annotation>{WORD}[\p{{L}}\p{{N}}_\[\],\s\x1c-\x1f]*)["']?{SPACE}*)?={SPACE}*(?<value>.*?)(?:{SPACE}*\#{SPACE}*(?:type:{SPACE}*(?<type_comment>{NO_SPACE}*){SPACE}*)?(?<help>.*))?$"#
    );
    #[expect(clippy::expect_used, reason = "the pattern is fixed, and every inspection test compiles it")]
    Regex::new(&pattern).expect("the pattern is a good one")
});

/// What the cell declares, by papermill's reading of its lines. Lines that say nothing it understands are
/// passed over; nothing is executed and nothing is an error.
pub(super) fn inspect(source: &str) -> Vec<Parameter> {
    definitions(source).iter().filter_map(|definition| parse_definition(definition)).collect()
}

/// The cell's lines, grouped from one assignment to the next and each group made one line.
fn definitions(source: &str) -> Vec<String> {
    let mut definitions = Vec::new();
    let mut lines: Vec<&str> = Vec::new();
    let split = split_lines(source);
    for line in split.as_array().into_iter().flatten().filter_map(serde_json::Value::as_str) {
        let stripped = strip(line);
        if stripped.is_empty() || stripped.starts_with('#') {
            continue;
        }
        let assignments = line.matches('=').count();
        if assignments > 0 {
            definitions.push(flatten(&std::mem::take(&mut lines)));
            // More than one `=` is beyond papermill: a comparison, a keyword argument, a chain.
            if assignments > 1 {
                continue;
            }
        }
        lines.push(line);
    }
    definitions.push(flatten(&lines));
    definitions
}

/// One definition on one line; only the last line keeps its comment, which is the help.
fn flatten(lines: &[&str]) -> String {
    let Some((last, before)) = lines.split_last() else { return String::new() };
    let mut flat: String =
        before.iter().map(|line| strip(line.split_once('#').map_or(*line, |(code, _)| code))).collect();
    flat.push_str(strip(last));
    flat
}

fn parse_definition(definition: &str) -> Option<Parameter> {
    let captures = DECLARATION.captures(definition)?;
    let group = |name: &str| captures.name(name).map(|it| it.as_str()).filter(|text| !text.is_empty());
    Some(Parameter {
        name: strip(group("target")?).to_owned(),
        inferred_type_name: strip(group("annotation").or_else(|| group("type_comment")).unwrap_or("None"))
            .to_owned(),
        default: strip(group("value").unwrap_or_default()).to_owned(),
        help: strip(group("help").unwrap_or_default()).to_owned(),
    })
}
