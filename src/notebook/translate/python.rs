//! Python: the literals, the parameters cell and its inspection, as papermill's `PythonTranslator` has them
//! (without the formatter `black`, which papermill uses when it happens to be installed).

use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::Regex;

use crate::notebook::inspect::Parameter;
use crate::notebook::json::python_float;
use crate::notebook::parameters::Parameters;
use crate::notebook::python_rules::strip;
use crate::notebook::split_lines;
use crate::notebook::value::ParameterValue;

/// The cell: the comment, then one assignment per line.
pub(super) fn codify(parameters: &Parameters, comment: &str) -> String {
    // A line break would end the comment, and what follows would be code.
    let comment = comment.replace(|character: char| character.is_control(), " ");
    let mut source = strip(&format!("# {comment}")).to_owned();
    source.push('\n');
    for (name, value) in parameters.iter() {
        source.push_str(name);
        source.push_str(" = ");
        push_literal(&mut source, value);
        source.push('\n');
    }
    source
}

fn push_literal(out: &mut String, value: &ParameterValue) {
    match value {
        ParameterValue::Null => out.push_str("None"),
        ParameterValue::Bool(true) => out.push_str("True"),
        ParameterValue::Bool(false) => out.push_str("False"),
        ParameterValue::Integer(value) => push(out, format_args!("{value}")),
        ParameterValue::BigInteger(digits) => out.push_str(digits),
        ParameterValue::Float(value) if value.is_nan() => out.push_str("float('nan')"),
        ParameterValue::Float(f64::INFINITY) => out.push_str("float('inf')"),
        ParameterValue::Float(f64::NEG_INFINITY) => out.push_str("float('-inf')"),
        ParameterValue::Float(value) => out.push_str(&python_float(*value)),
        ParameterValue::String(text) => push_string(out, text),
        ParameterValue::List(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                push_comma(out, index);
                push_literal(out, value);
            }
            out.push(']');
        }
        ParameterValue::Dict(entries) => {
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                push_comma(out, index);
                push_string(out, key);
                out.push_str(": ");
                push_literal(out, value);
            }
            out.push('}');
        }
    }
}

/// The text between double quotes, escaped as Python's codec `unicode_escape` does, and the quotes in it too.
fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            ' '..='~' => out.push(character),
            _ => match u32::from(character) {
                code @ 0..=0xff => push(out, format_args!("\\x{code:02x}")),
                code @ 0x100..=0xffff => push(out, format_args!("\\u{code:04x}")),
                code => push(out, format_args!("\\U{code:08x}")),
            },
        }
    }
    out.push('"');
}

fn push_comma(out: &mut String, index: usize) {
    if index > 0 {
        out.push_str(", ");
    }
}

fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    #[expect(clippy::expect_used, reason = "a String takes every character")]
    out.write_fmt(arguments).expect("writing to memory cannot fail");
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
