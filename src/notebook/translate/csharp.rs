//! C#: papermill's literals, with arrays of `object` where the elements have no common type.

use super::writing::{
    Written, float_literal, integer_digits, is_safe_integer, push, push_joined, push_python_code, push_quoted,
};
use super::{Language, names};
use crate::notebook::value::ParameterValue;

pub(super) struct CSharp;

/// C#'s keywords, and the name that the literals need.
const WORDS: &str = "abstract as base bool break byte case catch char checked class const continue decimal default delegate \
     do double else enum event explicit extern false finally fixed float for foreach goto if implicit in int \
     interface internal is lock long namespace new null object operator out override params private \
     protected public readonly ref return sbyte sealed short sizeof stackalloc static string struct switch \
     this throw true try typeof uint ulong unchecked unsafe ushort using virtual void volatile while await \
     System";

impl Language for CSharp {
    fn name(&self) -> &'static str {
        "C#"
    }

    fn comment(&self, text: &str) -> String {
        format!("// {text}")
    }

    fn name_fault(&self, name: &str) -> Option<&'static str> {
        names::fault(name, WORDS, names::is_unicode_name(name, "_"), names::UNICODE)
    }

    fn push_assignment(&self, out: &mut String, name: &str, value: &ParameterValue) -> Written {
        push(out, format_args!("var {name} = "));
        push_literal(out, value)?;
        out.push_str(";\n");
        Ok(())
    }
}

fn push_literal(out: &mut String, value: &ParameterValue) -> Written {
    match value {
        ParameterValue::Null => {
            return Err(
                "is or holds a null, which a C# variable without a type cannot hold: leave it out, or \
                        give another value"
                    .into(),
            );
        }
        ParameterValue::Bool(value) => push(out, format_args!("{value}")),
        ParameterValue::Integer(_) | ParameterValue::BigInteger(_) => {
            let digits = integer_digits(value).unwrap_or_default();
            match type_of(value).as_str() {
                "int" => out.push_str(&digits),
                // With `L` a literal that no `long` holds is a `ulong`.
                "long" | "ulong" => push(out, format_args!("{digits}L")),
                big_integer => push(out, format_args!("{big_integer}.Parse(\"{digits}\")")),
            }
        }
        ParameterValue::Float(value) => out.push_str(&float_literal(
            *value,
            ["double.NaN", "double.PositiveInfinity", "double.NegativeInfinity"],
        )),
        ParameterValue::String(text) => push_text(out, text),
        ParameterValue::List(values) => {
            let array = if element_type(values).is_some() { "new [] { " } else { "new object[] { " };
            out.push_str(array);
            push_joined(out, ", ", values, push_literal)?;
            out.push_str(" }");
        }
        ParameterValue::Dict(entries) => {
            out.push_str("new Dictionary<string,Object>{ ");
            push_joined(out, ", ", entries, |out, (key, value)| {
                out.push_str("{ ");
                push_text(out, key);
                out.push_str(" , ");
                push_literal(out, value)?;
                out.push_str(" }");
                Ok(())
            })?;
            out.push_str(" }");
        }
    }
    Ok(())
}

/// `\x` takes up to four digits in C#: before one more, `\u` must stand.
fn push_text(out: &mut String, text: &str) {
    push_quoted(out, text, |out, code, next| match code {
        0..=0xff if next.is_some_and(|it| it.is_ascii_hexdigit()) => push(out, format_args!("\\u{code:04x}")),
        _ => push_python_code(out, code, next),
    });
}

/// The type of the literal.
fn type_of(value: &ParameterValue) -> String {
    match value {
        ParameterValue::Null => "null".into(),
        ParameterValue::Bool(_) => "bool".into(),
        ParameterValue::Integer(value) if i32::try_from(*value).is_ok() => "int".into(),
        ParameterValue::Integer(_) => "long".into(),
        ParameterValue::BigInteger(digits) if digits.parse::<u64>().is_ok() => "ulong".into(),
        ParameterValue::BigInteger(_) => "System.Numerics.BigInteger".into(),
        ParameterValue::Float(_) => "double".into(),
        ParameterValue::String(_) => "string".into(),
        ParameterValue::Dict(_) => "Dictionary<string,Object>".into(),
        ParameterValue::List(values) => {
            format!("{}[]", element_type(values).unwrap_or_else(|| "object".into()))
        }
    }
}

/// The type that C# infers for the elements of `new [] { … }`, when it finds one and it changes no value.
fn element_type(values: &[ParameterValue]) -> Option<String> {
    let (first, rest) = values.split_first()?;
    let mut common = type_of(first);
    for value in rest {
        let this = type_of(value);
        common = match (common.as_str(), this.as_str()) {
            (common, this) if common == this => continue,
            ("int" | "long", "int" | "long") => "long".into(),
            ("int" | "long" | "double", "int" | "long" | "double") => "double".into(),
            _ => return None,
        };
    }
    let is_exact = |value| !matches!(value, &ParameterValue::Integer(_)) || is_safe_integer(value);
    (common != "double" || values.iter().all(is_exact)).then_some(common)
}
