//! R: papermill's literals, with texts that R reads as the same characters, and R's spelling of NaN.
//!
//! R's numbers are doubles: an integer beyond 2^53 is written as it is, and R rounds it.

use super::writing::{
    Written, float_literal, integer_digits, integer_refused, is_beyond_double, nul_refused, push,
    push_joined, push_python_code, push_quoted,
};
use super::{Language, names};
use crate::notebook::value::ParameterValue;

pub(super) struct R;

const WORDS: &str = "if else repeat while function for next break TRUE FALSE NULL Inf NaN NA NA_integer_ \
                     NA_real_ NA_complex_ NA_character_ in";

/// R's limit on the bytes of a name, and so on those of a key that is written as one.
const MAX_TAG: usize = 10_000;

impl Language for R {
    fn name(&self) -> &'static str {
        "R"
    }

    fn comment(&self, text: &str) -> String {
        format!("# {text}")
    }

    fn name_fault(&self, name: &str) -> Option<&'static str> {
        let name = without_underscores(name);
        let after_dots = name.trim_start_matches('.');
        let begins_well = !name.starts_with('_')
            // `.5` is a number, `...` and `..1` are arguments.
            && !after_dots.starts_with(|it: char| it.is_ascii_digit())
            && !after_dots.is_empty();
        names::fault(
            name,
            WORDS,
            names::is_unicode_name(name, "_.") && begins_well,
            "is not a name that the language accepts: use letters, digits, `.` and `_`, and a letter at the start",
        )
    }

    /// Without the underscores at its start, which R does not take: papermill drops them.
    fn stored_name(&self, name: &str) -> String {
        names::nfc(without_underscores(name))
    }

    fn push_assignment(&self, out: &mut String, name: &str, value: &ParameterValue) -> Written {
        push(out, format_args!("{} = ", without_underscores(name)));
        push_literal(out, value)?;
        out.push('\n');
        Ok(())
    }
}

fn without_underscores(name: &str) -> &str {
    name.trim_start_matches('_')
}

fn push_literal(out: &mut String, value: &ParameterValue) -> Written {
    match value {
        ParameterValue::Null => out.push_str("NULL"),
        ParameterValue::Bool(value) => out.push_str(if *value { "TRUE" } else { "FALSE" }),
        ParameterValue::Integer(_) | ParameterValue::BigInteger(_) => {
            let digits = integer_digits(value).unwrap_or_default();
            if is_beyond_double(&digits) {
                return Err(integer_refused("R", "the largest double"));
            }
            out.push_str(&digits);
        }
        ParameterValue::Float(value) => out.push_str(&float_literal(*value, ["NaN", "Inf", "-Inf"])),
        ParameterValue::String(text) => push_text(out, text)?,
        ParameterValue::List(values) => {
            out.push_str("list(");
            push_joined(out, ", ", values, push_literal)?;
            out.push(')');
        }
        ParameterValue::Dict(entries) if entries.iter().all(|(key, _)| is_tag(key)) => {
            out.push_str("list(");
            push_joined(out, ", ", entries, |out, (key, value)| {
                push_text(out, key)?;
                out.push_str(" = ");
                push_literal(out, value)
            })?;
            out.push(')');
        }
        ParameterValue::Dict(entries) => {
            out.push_str("structure(list(");
            push_joined(out, ", ", entries, |out, (_, value)| push_literal(out, value))?;
            out.push_str("), names = c(");
            push_joined(out, ", ", entries, |out, (key, _)| push_text(out, key))?;
            out.push_str("))");
        }
    }
    Ok(())
}

/// Whether `list("key" = …)` can be written: R takes the key for a name there.
fn is_tag(key: &str) -> bool {
    (1..=MAX_TAG).contains(&key.len())
}

fn push_text(out: &mut String, text: &str) -> Written {
    if text.contains('\0') {
        return Err(nul_refused("R"));
    }
    // `\x` writes a byte; and R refuses it in one text with `\u`.
    let has_unicode = text.chars().any(|character| u32::from(character) > 0x7f);
    push_quoted(out, text, |out, code, next| match code {
        0..=0xff if has_unicode => push(out, format_args!("\\u{code:04x}")),
        _ => push_python_code(out, code, next),
    });
    Ok(())
}
