//! Scala: papermill's literals, with the escapes and the large integers that Scala has.

use super::writing::{
    Written, float_literal, integer_digits, is_safe_integer, push, push_joined, push_quoted,
};
use super::{Language, names};
use crate::notebook::value::ParameterValue;

pub(super) struct Scala;

/// Scala's keywords, those of Scala 3 included, and the names that the literals need.
const WORDS: &str = "abstract case catch class def do else enum export extends false final finally for \
                     forSome given if implicit import lazy macro match new null object override package \
                     private protected return sealed super then this throw trait true try type val var \
                     while with yield _ BigInt Double Map None Seq";

impl Language for Scala {
    fn name(&self) -> &'static str {
        "Scala"
    }

    fn comment(&self, text: &str) -> String {
        // Before 2.13.2 a `\u000a` ends the line in a comment too.
        format!("// {}", text.replace("\\u", "\\ u"))
    }

    fn name_fault(&self, name: &str) -> Option<&'static str> {
        names::fault(name, WORDS, names::is_unicode_name(name, "_$"), names::UNICODE)
    }

    fn push_assignment(&self, out: &mut String, name: &str, value: &ParameterValue) -> Written {
        push(out, format_args!("val {name} = "));
        push_literal(out, value)?;
        out.push('\n');
        Ok(())
    }
}

fn push_literal(out: &mut String, value: &ParameterValue) -> Written {
    match value {
        ParameterValue::Null => out.push_str("None"),
        ParameterValue::Bool(value) => push(out, format_args!("{value}")),
        ParameterValue::Integer(_) | ParameterValue::BigInteger(_) => {
            let digits = integer_digits(value).unwrap_or_default();
            match value {
                ParameterValue::Integer(value) if i32::try_from(*value).is_ok() => out.push_str(&digits),
                ParameterValue::Integer(_) => push(out, format_args!("{digits}L")),
                _ => push(out, format_args!("BigInt(\"{digits}\")")),
            }
        }
        ParameterValue::Float(value) => out.push_str(&float_literal(
            *value,
            ["Double.NaN", "Double.PositiveInfinity", "Double.NegativeInfinity"],
        )),
        ParameterValue::String(text) => push_text(out, text),
        ParameterValue::List(values) => {
            out.push_str(if is_rounded_by_widening(values) { "Seq[Any](" } else { "Seq(" });
            push_joined(out, ", ", values, push_literal)?;
            out.push(')');
        }
        ParameterValue::Dict(entries) => {
            out.push_str("Map(");
            push_joined(out, ", ", entries, |out, (key, value)| {
                push_text(out, key);
                out.push_str(" -> ");
                push_literal(out, value)
            })?;
            out.push(')');
        }
    }
    Ok(())
}

/// Whether `Seq(…)` would make doubles of all its numbers, one of which no double holds.
fn is_rounded_by_widening(values: &[ParameterValue]) -> bool {
    let is_float = |value: &ParameterValue| matches!(value, ParameterValue::Float(_));
    let is_primitive =
        |value: &ParameterValue| is_float(value) || matches!(value, ParameterValue::Integer(_));
    values.iter().all(is_primitive)
        && values.iter().any(is_float)
        && values.iter().any(|value| !is_float(value) && !is_safe_integer(value))
}

/// Scala's only numeric escape is `\u` with a unit of UTF-16.
fn push_text(out: &mut String, text: &str) {
    push_quoted(out, text, |out, code, _| {
        for unit in char::from_u32(code).into_iter().flat_map(|it| it.encode_utf16(&mut [0; 2]).to_vec()) {
            push(out, format_args!("\\u{unit:04x}"));
        }
    });
}
