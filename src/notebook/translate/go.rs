//! Go: slices and maps of one type where all values have it, of `interface{}` otherwise.

use super::writing::{
    Written, float_literal, integer_refused, is_safe_integer, push, push_joined, push_quoted,
    push_unicode_code,
};
use super::{Language, names};
use crate::notebook::Parameters;
use crate::notebook::value::ParameterValue;

pub(super) struct Go;

/// Go's keywords, what no variable may be called, and the names that the literals need.
const WORDS: &str = "break case chan const continue default defer else fallthrough for func go goto if import \
                     interface map package range return select struct switch type var _ init main false \
                     float64 int math nil string true uint64 bool";

impl Language for Go {
    fn name(&self) -> &'static str {
        "Go"
    }

    fn comment(&self, text: &str) -> String {
        format!("// {text}")
    }

    fn name_fault(&self, name: &str) -> Option<&'static str> {
        // Go's names have no combining marks.
        let is_name = names::is_unicode_name(name, "_")
            && name.chars().all(|character| character == '_' || character.is_alphanumeric());
        names::fault(name, WORDS, is_name, names::UNICODE)
    }

    /// Names are compared as they are.
    fn stored_name(&self, name: &str) -> String {
        name.to_owned()
    }

    fn prologue(&self, parameters: &Parameters) -> String {
        let needs_math = parameters.iter().any(|(_, value)| needs_math(value));
        if needs_math { "import \"math\"\n".to_owned() } else { String::new() }
    }

    fn push_assignment(&self, out: &mut String, name: &str, value: &ParameterValue) -> Written {
        let of_type = if *value == ParameterValue::Null { " interface{}" } else { "" };
        push(out, format_args!("var {name}{of_type} = "));
        push_literal(out, value)?;
        out.push('\n');
        Ok(())
    }
}

/// Whether the value has a float for which Go has no literal: a literal `-0.0` is plain zero there.
fn needs_math(value: &ParameterValue) -> bool {
    match value {
        ParameterValue::Float(value) => !value.is_finite() || is_minus_zero(*value),
        ParameterValue::List(values) => values.iter().any(needs_math),
        ParameterValue::Dict(entries) => entries.iter().any(|(_, value)| needs_math(value)),
        _ => false,
    }
}

fn is_minus_zero(value: f64) -> bool {
    value == 0.0 && value.is_sign_negative()
}

fn push_literal(out: &mut String, value: &ParameterValue) -> Written {
    match value {
        ParameterValue::Null => out.push_str("nil"),
        ParameterValue::Bool(value) => push(out, format_args!("{value}")),
        ParameterValue::Integer(value) => push(out, format_args!("{value}")),
        ParameterValue::BigInteger(digits) if digits.parse::<u64>().is_ok() => {
            push(out, format_args!("uint64({digits})"));
        }
        ParameterValue::BigInteger(_) => return Err(integer_refused("Go", "64 bits")),
        ParameterValue::Float(value) if is_minus_zero(*value) => out.push_str("math.Copysign(0, -1)"),
        ParameterValue::Float(value) => {
            out.push_str(&float_literal(*value, ["math.NaN()", "math.Inf(1)", "math.Inf(-1)"]));
        }
        ParameterValue::String(text) => push_quoted(out, text, push_unicode_code),
        ParameterValue::List(values) => {
            push(out, format_args!("{}{{", type_of(value)));
            push_joined(out, ", ", values, push_literal)?;
            out.push('}');
        }
        ParameterValue::Dict(entries) => {
            push(out, format_args!("{}{{", type_of(value)));
            push_joined(out, ", ", entries, |out, (key, value)| {
                push_quoted(out, key, push_unicode_code);
                out.push_str(": ");
                push_literal(out, value)
            })?;
            out.push('}');
        }
    }
    Ok(())
}

/// The type of the literal.
fn type_of(value: &ParameterValue) -> String {
    match value {
        ParameterValue::Null => "interface{}".into(),
        ParameterValue::Bool(_) => "bool".into(),
        ParameterValue::Integer(_) => "int".into(),
        ParameterValue::BigInteger(_) => "uint64".into(),
        ParameterValue::Float(_) => "float64".into(),
        ParameterValue::String(_) => "string".into(),
        ParameterValue::List(values) => format!("[]{}", element_type(values.iter())),
        ParameterValue::Dict(entries) => {
            format!("map[string]{}", element_type(entries.iter().map(|(_, value)| value)))
        }
    }
}

/// The type that all values have; integers that a float holds may stand among floats.
fn element_type<'a>(values: impl Iterator<Item = &'a ParameterValue> + Clone) -> String {
    let is_number =
        |value: &ParameterValue| matches!(value, ParameterValue::Float(_)) || is_safe_integer(value);
    let mut types = values.clone().map(type_of);
    let Some(first) = types.next() else { return "interface{}".into() };
    match types.all(|other| other == first) {
        true => first,
        false if values.clone().all(is_number) => "float64".into(),
        false => "interface{}".into(),
    }
}
