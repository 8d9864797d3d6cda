//! MATLAB: papermill's literals, with texts as MATLAB has them: it knows no escapes but the doubled quote.
//!
//! MATLAB's numbers are doubles: an integer beyond 2^53 is written as it is, and MATLAB rounds it.

use super::writing::{
    Written, float_literal, integer_digits, integer_refused, is_beyond_double, push, push_joined,
};
use super::{Language, names};
use crate::notebook::value::ParameterValue;

pub(super) struct Matlab;

/// MATLAB's keywords, and the names that the literals need.
const WORDS: &str = "break case catch classdef continue else elseif end for function global if otherwise \
                     parfor persistent return spmd switch try while NaN char containers false inf nan true";

/// MATLAB's `namelengthmax`: what is longer is cut off.
const MAX_NAME: usize = 63;

impl Language for Matlab {
    fn name(&self) -> &'static str {
        "MATLAB"
    }

    fn comment(&self, text: &str) -> String {
        format!("% {text}")
    }

    fn name_fault(&self, name: &str) -> Option<&'static str> {
        names::fault(
            name,
            WORDS,
            names::is_ascii_name(name) && !name.starts_with('_') && name.len() <= MAX_NAME,
            "is not a name that the language accepts: use at most 63 ASCII letters, digits and `_`, and a letter at the start",
        )
    }

    fn push_assignment(&self, out: &mut String, name: &str, value: &ParameterValue) -> Written {
        push(out, format_args!("{name} = "));
        push_literal(out, value)?;
        out.push_str(";\n");
        Ok(())
    }
}

fn push_literal(out: &mut String, value: &ParameterValue) -> Written {
    match value {
        ParameterValue::Null => out.push_str("NaN"),
        ParameterValue::Bool(value) => push(out, format_args!("{value}")),
        ParameterValue::Integer(_) | ParameterValue::BigInteger(_) => {
            let digits = integer_digits(value).unwrap_or_default();
            if is_beyond_double(&digits) {
                return Err(integer_refused("MATLAB", "the largest double"));
            }
            out.push_str(&digits);
        }
        ParameterValue::Float(value) => out.push_str(&float_literal(*value, ["nan", "inf", "-inf"])),
        ParameterValue::String(text) => push_text(out, text),
        ParameterValue::List(values) => {
            out.push('{');
            push_joined(out, ", ", values, push_literal)?;
            out.push('}');
        }
        ParameterValue::Dict(entries) => {
            out.push_str("containers.Map({");
            push_joined(out, ", ", entries, |out, (key, _)| {
                push_char_array(out, key);
                Ok(())
            })?;
            out.push_str("}, {");
            push_joined(out, ", ", entries, |out, (_, value)| push_literal(out, value))?;
            out.push_str("})");
        }
    }
    Ok(())
}

/// A string: `"a"`, and `("a" + char(10) + "b")` where it has what no literal can hold.
fn push_text(out: &mut String, text: &str) {
    match runs(text).as_slice() {
        [] => out.push_str("\"\""),
        [run] if run.is_printable => push_run(out, run, '"'),
        runs => {
            // The sum is a string because its first term is one.
            out.push_str(if runs.first().is_some_and(|run| run.is_printable) { "(" } else { "(\"\" + " });
            for (index, run) in runs.iter().enumerate() {
                if index > 0 {
                    out.push_str(" + ");
                }
                push_run(out, run, '"');
            }
            out.push(')');
        }
    }
}

/// A row of characters, as keys are: `'a'`, and `['a', char(10), 'b']`.
fn push_char_array(out: &mut String, text: &str) {
    match runs(text).as_slice() {
        [] => out.push_str("''"),
        [run] => push_run(out, run, '\''),
        runs => {
            out.push('[');
            for (index, run) in runs.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                push_run(out, run, '\'');
            }
            out.push(']');
        }
    }
}

/// Part of a text: all printable ASCII, or all not.
struct Run<'a> {
    text: &'a str,
    is_printable: bool,
}

fn runs(text: &str) -> Vec<Run<'_>> {
    let is_printable = |it: char| matches!(it, ' '..='~');
    let mut runs = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let kind = is_printable(first);
        let end = rest.find(|it| is_printable(it) != kind).unwrap_or(rest.len());
        runs.push(Run { text: &rest[..end], is_printable: kind });
        rest = &rest[end..];
    }
    runs
}

fn push_run(out: &mut String, run: &Run<'_>, quote: char) {
    if run.is_printable {
        let doubled = format!("{quote}{quote}");
        push(out, format_args!("{quote}{}{quote}", run.text.replace(quote, &doubled)));
        return;
    }
    // MATLAB's characters are units of UTF-16.
    let units: Vec<_> = run.text.encode_utf16().map(|unit| unit.to_string()).collect();
    match units.as_slice() {
        [unit] => push(out, format_args!("char({unit})")),
        units => push(out, format_args!("char([{}])", units.join(" "))),
    }
}
