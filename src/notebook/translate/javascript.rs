//! JavaScript and TypeScript: the literals are the same; TypeScript declares its names.

use super::writing::{
    Written, float_literal, integer_digits, is_safe_integer, push, push_joined, push_python_code, push_quoted,
};
use super::{Language, names};
use crate::notebook::value::ParameterValue;

/// Assigns without declaring: IJavascript runs each cell as a script of its own, where any declaration of a name that
/// another cell has declared with `let` is an error.
pub(super) struct JavaScript;

/// Declares with `let`, which Deno and tslab take any number of times.
pub(super) struct TypeScript;

/// The reserved words of strict code, and the names that the literals need.
const WORDS: &str = "arguments async await break case catch class const continue debugger default delete do \
                     else enum eval export extends false finally for function if implements import in \
                     instanceof interface let new null package private protected public return static super \
                     switch this throw true try typeof var void while with yield \
                     Infinity NaN undefined globalThis";

impl Language for JavaScript {
    fn name(&self) -> &'static str {
        "JavaScript"
    }

    fn comment(&self, text: &str) -> String {
        format!("// {text}")
    }

    fn name_fault(&self, name: &str) -> Option<&'static str> {
        names::fault(
            name,
            WORDS,
            names::is_unicode_name(name, "_$"),
            "is not a name that the language accepts: use letters, digits, `_` and `$`, and no digit at the start",
        )
    }

    /// Names are compared as they are.
    fn stored_name(&self, name: &str) -> String {
        name.to_owned()
    }

    fn push_assignment(&self, out: &mut String, name: &str, value: &ParameterValue) -> Written {
        push_binding(out, "", name, value)
    }
}

impl Language for TypeScript {
    fn name(&self) -> &'static str {
        "TypeScript"
    }

    fn comment(&self, text: &str) -> String {
        JavaScript.comment(text)
    }

    fn name_fault(&self, name: &str) -> Option<&'static str> {
        JavaScript.name_fault(name)
    }

    fn stored_name(&self, name: &str) -> String {
        JavaScript.stored_name(name)
    }

    fn push_assignment(&self, out: &mut String, name: &str, value: &ParameterValue) -> Written {
        push_binding(out, "let ", name, value)
    }
}

fn push_binding(out: &mut String, keyword: &str, name: &str, value: &ParameterValue) -> Written {
    push(out, format_args!("{keyword}{name} = "));
    push_literal(out, value)?;
    out.push_str(";\n");
    Ok(())
}

fn push_literal(out: &mut String, value: &ParameterValue) -> Written {
    match value {
        ParameterValue::Null => out.push_str("null"),
        ParameterValue::Bool(value) => push(out, format_args!("{value}")),
        ParameterValue::Integer(_) | ParameterValue::BigInteger(_) => {
            out.push_str(&integer_digits(value).unwrap_or_default());
            // A number would be rounded; a BigInt is exact, and does not mix with numbers unseen.
            if !is_safe_integer(value) {
                out.push('n');
            }
        }
        ParameterValue::Float(value) => {
            out.push_str(&float_literal(*value, ["NaN", "Infinity", "-Infinity"]));
        }
        ParameterValue::String(text) => push_text(out, text),
        ParameterValue::List(values) => {
            out.push('[');
            push_joined(out, ", ", values, push_literal)?;
            out.push(']');
        }
        ParameterValue::Dict(entries) => {
            out.push('{');
            push_joined(out, ", ", entries, |out, (key, value)| {
                // As a plain key this one sets the prototype.
                if key == "__proto__" {
                    out.push_str("[\"__proto__\"]");
                } else {
                    push_text(out, key);
                }
                out.push_str(": ");
                push_literal(out, value)
            })?;
            out.push('}');
        }
    }
    Ok(())
}

fn push_text(out: &mut String, text: &str) {
    push_quoted(out, text, |out, code, next| match code {
        0x1_0000.. => push(out, format_args!("\\u{{{code:x}}}")),
        _ => push_python_code(out, code, next),
    });
}
