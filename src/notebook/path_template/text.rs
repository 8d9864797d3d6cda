//! Values and times as Python's `str`, `repr` and `strftime` spell them.

use jiff::civil::DateTime;
use jiff::fmt::strtime;

use super::{Fault, other};
use crate::notebook::json::python_float;
use crate::notebook::value::ParameterValue;

/// Python's `str` of a datetime without a zone.
pub(super) fn time_text(time: DateTime) -> String {
    let micros = time.subsec_nanosecond() / 1000;
    let seconds = time.strftime("%Y-%m-%d %H:%M:%S");
    if micros == 0 { seconds.to_string() } else { format!("{seconds}.{micros:06}") }
}

/// Python's `strftime`, in the C locale; `zone` is what `%z` and `%Z` come to.
pub(super) fn time_formatted(time: DateTime, format: &str, zone: (&str, &str)) -> Result<String, Fault> {
    let mut formatted = String::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        formatted.push_str(before);
        let Some(directive) = after.chars().next() else { return other("a % stands at the end of a format") };
        rest = &after[directive.len_utf8()..];
        let pattern = match directive {
            '%' => "%%".to_owned(),
            'f' => "%6f".to_owned(),
            'c' => "%a %b %e %H:%M:%S %Y".to_owned(),
            'x' => "%m/%d/%y".to_owned(),
            'X' => "%H:%M:%S".to_owned(),
            'z' => {
                formatted.push_str(zone.0);
                continue;
            }
            'Z' => {
                formatted.push_str(zone.1);
                continue;
            }
            _ => format!("%{directive}"),
        };
        let part = strtime::format(&pattern, time);
        formatted.push_str(&part.or_else(|_| other(format!("%{directive} is no directive for times")))?);
    }
    formatted.push_str(rest);
    Ok(formatted)
}

/// Python's `str` of a parameter.
pub(super) fn plain_text(value: &ParameterValue) -> String {
    match value {
        ParameterValue::String(text) => text.clone(),
        _ => representation(value),
    }
}

/// Python's `repr` of a parameter.
pub(super) fn representation(value: &ParameterValue) -> String {
    match value {
        ParameterValue::Null => "None".to_owned(),
        ParameterValue::Bool(true) => "True".to_owned(),
        ParameterValue::Bool(false) => "False".to_owned(),
        ParameterValue::Integer(value) => value.to_string(),
        ParameterValue::BigInteger(digits) => digits.clone(),
        ParameterValue::Float(value) if value.is_nan() => "nan".to_owned(),
        ParameterValue::Float(value) => python_float(*value),
        ParameterValue::String(text) => quoted(text),
        ParameterValue::List(values) => {
            format!("[{}]", values.iter().map(representation).collect::<Vec<_>>().join(", "))
        }
        ParameterValue::Dict(entries) => {
            let entry = |(key, value): &(String, _)| format!("{}: {}", quoted(key), representation(value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for character in text.chars() {
        match character {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\\' => quoted.push_str("\\\\"),
            _ if character == quote => quoted.extend(['\\', quote]),
            _ if character.is_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(character))),
            _ => quoted.push(character),
        }
    }
    quoted.push(quote);
    quoted
}
