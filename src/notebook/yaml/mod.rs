//! YAML as papermill reads parameters from it: PyYAML's `SafeLoader` (YAML 1.1: `yes` is true, `010` is 8, `1e3`
//! is a text), with dates left as texts (`papermill/iorw.py`, `NoDatesSafeLoader`).
//!
//! The parser below gives events and places; what a scalar means is decided here. Refused, other than by PyYAML:
//! what papermill cannot write into a notebook either (`!!set`, `!!binary`, `!!timestamp`, a value within itself).

mod node;
mod scalar;

pub use self::node::{Content, Entry, Fault, Node, Place};
use super::parameters::Parameters;
use super::value::ParameterValue;
use crate::error::{Error, Result};

/// Reads the parameters of a YAML document; none when it is empty. `source` says where it comes from: a file's
/// name, or a flag.
///
/// # Errors
/// `BadInput` with `source`, line and column for what is no YAML, no mapping, or has a tag that no parameter can
/// have; `Invalid` for a name that is no identifier. No value is in the text: it may be a secret.
pub fn parse_parameters(source: &str, text: &str) -> Result<Parameters> {
    let node = parse_as(text, false).map_err(|Fault { place: Place { line, column }, message }| {
        Error::bad_input(format!("{source}: line {line}, column {column}: {message}"))
    })?;
    let entries = match node.into_value() {
        ParameterValue::Dict(entries) => entries,
        // What Python takes for false is no parameters (`yaml.load(…) or {}`).
        ParameterValue::Null | ParameterValue::Bool(false) | ParameterValue::Integer(0) => Vec::new(),
        ParameterValue::Float(0.0) => Vec::new(),
        ParameterValue::String(text) if text.is_empty() => Vec::new(),
        ParameterValue::List(values) if values.is_empty() => Vec::new(),
        _ => {
            return Err(Error::bad_input(format!(
                "{source}: parameters must be names with values, one `name: value` a line"
            )));
        }
    };
    let mut parameters = Parameters::new();
    for (name, value) in entries {
        parameters.insert(name, value).map_err(|error| {
            Error::invalid(format!("{source}: {}", error.message())).with_fields(error.fields().to_vec())
        })?;
    }
    Ok(parameters)
}

/// The one document of a text, each value with its place; null when there is none. A text that is JSON is read as such,
/// with its numbers: YAML 1.1 takes `1e5` for a text.
///
/// # Errors
/// What is no YAML, or has a tag that no parameter can have. No value is in the text.
pub fn parse(text: &str) -> Result<Node, Fault> {
    let is_json = text.trim_start().starts_with(['{', '['])
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    parse_as(text, is_json)
}

fn parse_as(text: &str, is_json: bool) -> Result<Node, Fault> {
    node::parse(text, is_json).or_else(|fault| match join_surrogates(text) {
        Some(joined) => node::parse(&joined, is_json),
        None => Err(fault),
    })
}

/// JSON in whose texts pairs of surrogates, as which Python's `json` writes what is beyond U+FFFF, are one escape each,
/// as YAML has it. `None` for what is no JSON, where such a text may stand for itself, or has no such pair.
fn join_surrogates(text: &str) -> Option<String> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    let unit = |at: &str| u32::from_str_radix(at.strip_prefix("\\u")?.get(..4)?, 16).ok();
    let (mut joined, mut rest, mut any) = (String::with_capacity(text.len()), text, false);
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        joined.push_str(before);
        let pair = unit(escape).zip(escape.get(6..).and_then(unit));
        let taken = match pair {
            Some((high @ 0xd800..0xdc00, low @ 0xdc00..0xe000)) => {
                let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                joined.push_str(&format!("\\U{code:08x}"));
                any = true;
                12
            }
            // The backslash and what it escapes, which may be one itself.
            _ => {
                joined.push_str(&escape[..2]);
                2
            }
        };
        rest = &escape[taken..];
    }
    joined.push_str(rest);
    any.then_some(joined)
}

#[cfg(test)]
mod tests;
