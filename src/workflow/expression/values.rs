//! JSON values as the expression engine's, and back.

use minijinja::Value as Computed;
use minijinja::value::ValueKind;
use serde_json::{Map, Number, Value};

/// The most values that one expression may come to. A short one can otherwise name a list within lists so often that
/// it fills the memory.
const MOST_VALUES: usize = 1_000_000;
/// The most bytes of text in them.
const MOST_BYTES: usize = 16_000_000;

/// A JSON value for expressions to use.
pub(super) fn from_json(value: &Value) -> Computed {
    match value {
        Value::Null => Computed::from(()),
        Value::Bool(value) => Computed::from(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Computed::from(value),
            (None, Some(value)) => Computed::from(value),
            (None, None) => Computed::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Computed::from(text.as_str()),
        Value::Array(values) => Computed::from(values.iter().map(from_json).collect::<Vec<_>>()),
        Value::Object(entries) => {
            Computed::from_pairs(entries.iter().map(|(key, value)| (key.as_str(), from_json(value))))
        }
    }
}

/// What an expression came to as JSON, or why it cannot be. No value is in the text.
pub(super) fn to_json(value: &Computed) -> Result<Value, String> {
    Budget { values: MOST_VALUES, bytes: MOST_BYTES }.take(value)
}

struct Budget {
    values: usize,
    bytes: usize,
}

impl Budget {
    fn spend(&mut self, bytes: usize) -> Result<(), String> {
        let left = self.values.checked_sub(1).zip(self.bytes.checked_sub(bytes));
        (self.values, self.bytes) = left.ok_or_else(|| {
            format!("it comes to more than {MOST_VALUES} values or {} MB of text", MOST_BYTES / 1_000_000)
        })?;
        Ok(())
    }

    fn text(&mut self, value: &Computed) -> Result<String, String> {
        let text = value.as_str().unwrap_or_default();
        self.spend(text.len())?;
        Ok(text.to_owned())
    }

    fn take(&mut self, value: &Computed) -> Result<Value, String> {
        Ok(match value.kind() {
            ValueKind::String => Value::String(self.text(value)?),
            ValueKind::Seq | ValueKind::Iterable => {
                self.spend(0)?;
                let mut values = Vec::new();
                for value in value.try_iter().map_err(|_| "a list in it cannot be read".to_owned())? {
                    values.push(self.take(&value)?);
                }
                Value::Array(values)
            }
            ValueKind::Map => {
                self.spend(0)?;
                let mut entries = Map::new();
                for key in value.try_iter().map_err(|_| "an object in it cannot be read".to_owned())? {
                    if key.as_str().is_none() {
                        return Err("it has an object with a key that is no text".to_owned());
                    }
                    let name = self.text(&key)?;
                    let value =
                        value.get_item(&key).map_err(|_| "an object in it cannot be read".to_owned())?;
                    entries.insert(name, self.take(&value)?);
                }
                Value::Object(entries)
            }
            ValueKind::Undefined => return Err("a name in it is not known".to_owned()),
            kind => {
                self.spend(0)?;
                match kind {
                    ValueKind::None => Value::Null,
                    ValueKind::Bool => Value::Bool(value.is_true()),
                    ValueKind::Number => number(value)?,
                    _ => {
                        return Err(
                            "it is neither a text, a number, a truth value, a list nor an object".into()
                        );
                    }
                }
            }
        })
    }
}

fn number(value: &Computed) -> Result<Value, String> {
    if value.is_integer() {
        return i64::try_from(value.clone())
            .map(Value::from)
            .or_else(|_| u64::try_from(value.clone()).map(Value::from))
            .map_err(|_| "it has an integer that does not fit into 64 bits".to_owned());
    }
    f64::try_from(value.clone())
        .ok()
        .and_then(Number::from_f64)
        .map(Value::Number)
        .ok_or_else(|| "it has a number that is infinite or none (NaN)".to_owned())
}

/// A value as it is put into a text: a text as it is, all else as JSON.
pub(super) fn to_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_json_holds_is_the_same_there_and_back() {
        for value in [
            json!(null),
            json!([true, false]),
            json!([i64::MIN, i64::MAX, u64::MAX, 0, -1]),
            json!([0.1, 1.0, -0.0, 1e300, 5e-324, 123_456_789.123_456_79]),
            json!({"z": "ä\u{0}", "a": [{}, [], {"b": {"c": "a text that is longer than any small one"}}]}),
        ] {
            let back = to_json(&from_json(&value)).unwrap();
            assert_eq!(back, value);
            assert_eq!(back.to_string(), value.to_string(), "order and spelling");
        }
    }

    #[test]
    fn what_json_cannot_hold_is_refused() {
        let check = |value: Computed, expected: &str| {
            let fault = to_json(&value).unwrap_err();
            assert!(fault.contains(expected), "{fault}");
        };
        check(Computed::from(f64::NAN), "infinite or none");
        check(Computed::from(vec![Computed::from(f64::INFINITY)]), "infinite or none");
        check(Computed::from(i128::from(i64::MIN) - 1), "64 bits");
        check(Computed::UNDEFINED, "not known");
        check(Computed::from_pairs([(1, 2)]), "a key that is no text");
        check(Computed::from_bytes(vec![1]), "neither a text");
        let mut list = Computed::from(vec![1; 100]);
        for _ in 0..5 {
            list = Computed::from(vec![list; 100]);
        }
        check(list, "more than 1000000 values");
    }
}
