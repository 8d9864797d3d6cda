//! Parameter values from the text of JSON, so that no integer is rounded on the way.
//!
//! `serde_json` makes a float of an integer that needs more than 64 bits; Python does not. Only parameters are
//! read this way: it costs a second look at every nested value.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::value::ParameterValue;

/// The text of an object with the entries of `changed` in place of its own of the same names, or after them; what is not
/// changed is spelled as before. `None` when one of the two is no object.
pub(super) fn merge(text: &str, changed: &str) -> Option<String> {
    let Entries(mut entries) = serde_json::from_str(text).ok()?;
    let Entries(changed) = serde_json::from_str(changed).ok()?;
    for (name, value) in changed {
        match entries.iter_mut().find(|(other, _)| *other == name) {
            Some(entry) => entry.1 = value,
            None => entries.push((name, value)),
        }
    }
    let entries =
        entries.iter().map(|(name, value)| format!("{}:{value}", serde_json::Value::from(name.as_str())));
    Some(format!("{{{}}}", entries.collect::<Vec<_>>().join(",")))
}

/// The value that `text` spells, or `None` when it is not JSON.
///
/// Each level is parsed anew from its own text: for text that `serde_json` has accepted as a whole, and so of
/// no more than its 128 levels.
pub(super) fn parse(text: &str) -> Option<ParameterValue> {
    let text = text.trim();
    match text.as_bytes().first()? {
        b'{' => {
            let Entries(entries) = serde_json::from_str(text).ok()?;
            let mut places = HashMap::with_capacity(entries.len());
            let mut dict: Vec<(String, ParameterValue)> = Vec::with_capacity(entries.len());
            for (key, value) in entries {
                let value = parse(value.get())?;
                // A key given twice: the last value counts, in the first one's place, as in Python.
                let place = *places.entry(key.clone()).or_insert(dict.len());
                match dict.get_mut(place) {
                    Some(entry) => entry.1 = value,
                    None => dict.push((key, value)),
                }
            }
            Some(ParameterValue::Dict(dict))
        }
        b'[' => {
            let values: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            values
                .into_iter()
                .map(|value| parse(value.get()))
                .collect::<Option<_>>()
                .map(ParameterValue::List)
        }
        b'-' | b'0'..=b'9' if !text.contains(['.', 'e', 'E']) => Some(if text == "-0" {
            ParameterValue::Integer(0)
        } else {
            ParameterValue::integer(text.to_owned())
        }),
        _ => serde_json::from_str::<serde_json::Value>(text).ok().map(|value| ParameterValue::from(&value)),
    }
}

/// The entries of an object in order, each value as its text.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Deserialize<'a> for Entries<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'a> Visitor<'a> for EntriesVisitor {
            type Value = Entries<'a>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}
