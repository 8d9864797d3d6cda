//! PowerShell: papermill's literals, with the backtick as the escape: `$` and the backtick are code otherwise,
//! and a backslash is itself.

use std::collections::HashSet;

use super::writing::{Written, float_literal, integer_digits, push, push_joined};
use super::{Language, names};
use crate::notebook::value::ParameterValue;

pub(super) struct PowerShell;

/// What cannot be assigned to.
const WORDS: &str = "true false null error host pid home pshome psedition psversiontable pscmdlet \
                     executioncontext shellid psculture psuiculture iscoreclr islinux ismacos iswindows";

/// The largest integer of .NET's `decimal`, the widest type that a literal takes exactly.
const MAX_DECIMAL: u128 = (1 << 96) - 1;

impl Language for PowerShell {
    fn name(&self) -> &'static str {
        "PowerShell"
    }

    fn comment(&self, text: &str) -> String {
        format!("# {text}")
    }

    fn name_fault(&self, name: &str) -> Option<&'static str> {
        // A combining mark ends the name.
        let is_name = names::is_unicode_name(name, "_")
            && name.chars().all(|character| character == '_' || character.is_alphanumeric());
        names::fault(&self.stored_name(name), WORDS, is_name, names::UNICODE)
    }

    fn stored_name(&self, name: &str) -> String {
        fold(name)
    }

    fn push_assignment(&self, out: &mut String, name: &str, value: &ParameterValue) -> Written {
        push(out, format_args!("${name} = "));
        push_literal(out, value)?;
        out.push('\n');
        Ok(())
    }
}

fn fold(name: &str) -> String {
    name.to_uppercase().to_lowercase()
}

fn push_literal(out: &mut String, value: &ParameterValue) -> Written {
    match value {
        ParameterValue::Null => out.push_str("$Null"),
        ParameterValue::Bool(value) => out.push_str(if *value { "$True" } else { "$False" }),
        ParameterValue::Integer(_) | ParameterValue::BigInteger(_) => {
            let digits = integer_digits(value).unwrap_or_default();
            let magnitude = digits.trim_start_matches('-').parse::<u128>();
            match magnitude {
                Ok(..=MAX_DECIMAL) => out.push_str(&digits),
                _ => push(out, format_args!("[bigint]::Parse(\"{digits}\")")),
            }
        }
        ParameterValue::Float(value) => out.push_str(&float_literal(
            *value,
            ["[double]::NaN", "[double]::PositiveInfinity", "[double]::NegativeInfinity"],
        )),
        ParameterValue::String(text) => push_text(out, text),
        ParameterValue::List(values) => {
            // The elements of a list that is alone in `@(…)` would become the elements of the outer one.
            let open = if matches!(values.as_slice(), [ParameterValue::List(_)]) { "@(," } else { "@(" };
            out.push_str(open);
            push_joined(out, ", ", values, push_literal)?;
            out.push(')');
        }
        ParameterValue::Dict(entries) => {
            let mut keys = HashSet::new();
            if !entries.iter().all(|(key, _)| keys.insert(fold(key))) {
                return Err(
                    "is or holds a dictionary with keys that differ in case only, which are one key to \
                            PowerShell: choose other keys"
                        .into(),
                );
            }
            out.push_str("@{");
            push_joined(out, "\n ", entries, |out, (key, value)| {
                push_text(out, key);
                out.push_str(" = ");
                push_literal(out, value)
            })?;
            out.push('}');
        }
    }
    Ok(())
}

fn push_text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '$' | '`' => push(out, format_args!("`{character}")),
            '\n' => out.push_str("`n"),
            '\r' => out.push_str("`r"),
            '\t' => out.push_str("`t"),
            ' '..='~' => out.push(character),
            // Among these are the curly quotes, which PowerShell takes for quotes.
            _ => push(out, format_args!("`u{{{:x}}}", u32::from(character))),
        }
    }
    out.push('"');
}
