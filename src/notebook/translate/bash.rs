//! Bash: papermill's words and arrays, quoted as Python's `shlex.quote` does.

use super::writing::{Written, float_literal, integer_digits, nul_refused, push, push_joined};
use super::{Language, names};
use crate::notebook::value::ParameterValue;

pub(super) struct Bash;

/// What cannot be assigned to, and the variables whose values Bash runs as code.
const WORDS: &str = "_ UID EUID PPID BASHOPTS SHELLOPTS BASH_VERSINFO \
                     PROMPT_COMMAND PS0 PS1 PS2 PS3 PS4 BASH_ENV ENV";

impl Language for Bash {
    fn name(&self) -> &'static str {
        "Bash"
    }

    fn comment(&self, text: &str) -> String {
        format!("# {text}")
    }

    fn name_fault(&self, name: &str) -> Option<&'static str> {
        names::fault(name, WORDS, names::is_ascii_name(name), names::ASCII)
    }

    fn push_assignment(&self, out: &mut String, name: &str, value: &ParameterValue) -> Written {
        push(out, format_args!("{name}="));
        match value {
            ParameterValue::Null => {}
            ParameterValue::List(values) => {
                out.push('(');
                push_joined(out, " ", values, push_word)?;
                out.push(')');
            }
            _ => push_word(out, value)?,
        }
        out.push('\n');
        Ok(())
    }
}

fn push_word(out: &mut String, value: &ParameterValue) -> Written {
    match value {
        // In an array nothing at all would be no element.
        ParameterValue::Null => out.push_str("''"),
        ParameterValue::Bool(value) => push(out, format_args!("{value}")),
        ParameterValue::Integer(_) | ParameterValue::BigInteger(_) => {
            out.push_str(&integer_digits(value).unwrap_or_default());
        }
        ParameterValue::Float(value) => out.push_str(&float_literal(*value, ["nan", "inf", "-inf"])),
        ParameterValue::String(text) => return push_text(out, text),
        ParameterValue::List(_) => {
            return Err(
                "is a list that holds a list, which Bash cannot hold: give a text, of JSON for instance"
                    .into(),
            );
        }
        ParameterValue::Dict(_) => {
            return Err(
                "is or holds a dictionary, which Bash cannot hold: give a text, of JSON for instance".into(),
            );
        }
    }
    Ok(())
}

fn push_text(out: &mut String, text: &str) -> Written {
    if text.contains('\0') {
        return Err(nul_refused("Bash"));
    }
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "_@%+=:,./-".contains(it);
    // Bash kernels type the cell into an interactive shell, where these are keys: tab completes, ^C interrupts.
    let is_key = |it: char| it.is_ascii_control() && it != '\n';
    if text.contains(is_key) {
        push_ansi(out, text, is_key);
    } else if !text.is_empty() && text.chars().all(is_plain) {
        out.push_str(text);
    } else {
        push(out, format_args!("'{}'", text.replace('\'', "'\"'\"'")));
    }
    Ok(())
}

/// `$'…'`, where control characters can be named.
fn push_ansi(out: &mut String, text: &str, is_key: impl Fn(char) -> bool) {
    out.push_str("$'");
    for character in text.chars() {
        match character {
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            // Three digits, so that a digit that follows is not taken for one more.
            _ if is_key(character) => push(out, format_args!("\\{:03o}", u32::from(character))),
            _ => out.push(character),
        }
    }
    out.push('\'');
}
