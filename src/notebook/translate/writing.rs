//! What the languages' files share: quoted texts, numbers, lists of things.

use std::fmt::Write as _;

use crate::notebook::json::python_float;
use crate::notebook::value::ParameterValue;

/// Done, or why the language cannot hold the value: `is or holds …, …: …`, without the value itself.
pub(super) type Written = Result<(), String>;

/// The largest integer up to which a double holds every one.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

pub(super) fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    #[expect(clippy::expect_used, reason = "a String takes every character")]
    out.write_fmt(arguments).expect("writing to memory cannot fail");
}

/// The items with `separator` between them.
pub(super) fn push_joined<T>(
    out: &mut String,
    separator: &str,
    items: impl IntoIterator<Item = T>,
    mut push_item: impl FnMut(&mut String, T) -> Written,
) -> Written {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push_str(separator);
        }
        push_item(out, item)?;
    }
    Ok(())
}

/// The text between double quotes, with the escapes on which most languages agree; `push_code` writes every
/// character that is not printable ASCII, and is told the character after it.
pub(super) fn push_quoted(
    out: &mut String,
    text: &str,
    mut push_code: impl FnMut(&mut String, u32, Option<char>),
) {
    out.push('"');
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            ' '..='~' => out.push(character),
            _ => push_code(out, u32::from(character), characters.peek().copied()),
        }
    }
    out.push('"');
}

/// The escapes of Python's codec `unicode_escape`, which papermill uses for every language.
pub(super) fn push_python_code(out: &mut String, code: u32, _next: Option<char>) {
    match code {
        0..=0xff => push(out, format_args!("\\x{code:02x}")),
        0x100..=0xffff => push(out, format_args!("\\u{code:04x}")),
        _ => push(out, format_args!("\\U{code:08x}")),
    }
}

/// The same where `\x` writes a byte of the text's UTF-8, and so a character below 128 only.
pub(super) fn push_unicode_code(out: &mut String, code: u32, next: Option<char>) {
    match code {
        0x80..=0xff => push(out, format_args!("\\u{code:04x}")),
        _ => push_python_code(out, code, next),
    }
}

/// The decimal digits of an integer, `-` before them or not; `None` for other values.
pub(super) fn integer_digits(value: &ParameterValue) -> Option<String> {
    match value {
        ParameterValue::Integer(value) => Some(value.to_string()),
        ParameterValue::BigInteger(digits) => Some(digits.clone()),
        _ => None,
    }
}

/// The float as Python spells it, NaN and the infinities by the words given: for these two and minus infinity.
pub(super) fn float_literal(value: f64, [nan, infinity, minus_infinity]: [&str; 3]) -> String {
    match value {
        value if value.is_nan() => nan.to_owned(),
        f64::INFINITY => infinity.to_owned(),
        f64::NEG_INFINITY => minus_infinity.to_owned(),
        value => python_float(value),
    }
}

/// Whether a double holds the integer, and so do all languages that make a float of it.
pub(super) fn is_safe_integer(value: &ParameterValue) -> bool {
    matches!(value, ParameterValue::Integer(value) if value.unsigned_abs() <= MAX_SAFE_INTEGER)
}

/// Whether the digits are of an integer beyond the largest double.
pub(super) fn is_beyond_double(digits: &str) -> bool {
    digits.parse::<f64>().is_ok_and(f64::is_infinite)
}

/// Why a text with U+0000 is refused.
pub(super) fn nul_refused(language: &str) -> String {
    format!(
        "is or holds a text with the character U+0000, which {language} cannot hold: give a text without it"
    )
}

/// Why an integer that is too large is refused.
pub(super) fn integer_refused(language: &str, limit: &str) -> String {
    format!("is or holds an integer beyond {limit}, which {language} cannot hold: give it as a text")
}
