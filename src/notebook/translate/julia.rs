//! Julia: papermill's literals, with `$` escaped (it interpolates), and lists that keep their elements' types.

use super::writing::{
    Written, float_literal, integer_digits, is_safe_integer, push, push_joined, push_quoted,
    push_unicode_code,
};
use super::{Language, names};
use crate::notebook::value::ParameterValue;

pub(super) struct Julia;

/// Julia's keywords, and the names that the literals need.
const WORDS: &str = "baremodule begin break catch const continue do else elseif end export false finally for \
                     function global if import in isa let local macro module quote return struct true try \
                     using where while _ Any Dict Inf NaN nothing";

impl Language for Julia {
    fn name(&self) -> &'static str {
        "Julia"
    }

    fn comment(&self, text: &str) -> String {
        format!("# {text}")
    }

    fn name_fault(&self, name: &str) -> Option<&'static str> {
        let is_name = names::is_unicode_name(name.trim_end_matches('!'), "_")
            // Names of underscores alone can be assigned to and not read.
            && !name.chars().all(|it| it == '_');
        names::fault(name, WORDS, is_name, names::UNICODE)
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
        ParameterValue::Null => out.push_str("nothing"),
        ParameterValue::Bool(value) => push(out, format_args!("{value}")),
        ParameterValue::Integer(_) | ParameterValue::BigInteger(_) => {
            // A literal takes the first type that holds it: Int64, Int128, BigInt.
            out.push_str(&integer_digits(value).unwrap_or_default());
        }
        ParameterValue::Float(value) => out.push_str(&float_literal(*value, ["NaN", "Inf", "-Inf"])),
        ParameterValue::String(text) => push_text(out, text),
        ParameterValue::List(values) => {
            if is_changed_by_promotion(values) {
                out.push_str("Any");
            }
            out.push('[');
            push_joined(out, ", ", values, push_literal)?;
            out.push(']');
        }
        ParameterValue::Dict(entries) => {
            out.push_str("Dict(");
            push_joined(out, ", ", entries, |out, (key, value)| {
                push_text(out, key);
                out.push_str(" => ");
                push_literal(out, value)
            })?;
            out.push(')');
        }
    }
    Ok(())
}

fn push_text(out: &mut String, text: &str) {
    let mut quoted = String::new();
    push_quoted(&mut quoted, text, push_unicode_code);
    out.push_str(&quoted.replace('$', "\\$"));
}

/// Whether `[…]` would turn a `true` into 1, or round an integer, to give all numbers in it one type.
fn is_changed_by_promotion(values: &[ParameterValue]) -> bool {
    #[derive(Default)]
    struct Kinds {
        bools: bool,
        numbers: bool,
        floats: bool,
        unsafe_integers: bool,
    }

    fn gather(values: &[ParameterValue], kinds: &mut Kinds) {
        for value in values {
            match value {
                ParameterValue::Bool(_) => kinds.bools = true,
                ParameterValue::Float(_) => (kinds.numbers, kinds.floats) = (true, true),
                ParameterValue::Integer(_) | ParameterValue::BigInteger(_) => {
                    kinds.numbers = true;
                    kinds.unsafe_integers |= !is_safe_integer(value);
                }
                ParameterValue::List(values) => gather(values, kinds),
                _ => {}
            }
        }
    }

    // With a text or a dictionary among them, nothing is promoted.
    let stops_it =
        |value: &ParameterValue| matches!(value, ParameterValue::String(_) | ParameterValue::Dict(_));
    let mut kinds = Kinds::default();
    gather(values, &mut kinds);
    !values.iter().any(stops_it) && (kinds.bools && kinds.numbers || kinds.floats && kinds.unsafe_integers)
}
