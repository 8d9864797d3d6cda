//! The value of one parameter. Values stay exact: integers of any size, NaN and the infinities, any text.

use serde_json::{Map, Number, Value};

use super::python_rules::{parse_float, parse_int};

/// One value, of the types that JSON, YAML and Python share.
#[derive(Debug, Clone, PartialEq)]
pub enum ParameterValue {
    /// `null`, `None`.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer of 64 bits.
    Integer(i64),
    /// An integer beyond 64 bits: decimal digits, `-` before them or not, no leading zero.
    BigInteger(String),
    /// A float; NaN and the infinities are values like any other.
    Float(f64),
    /// A text.
    String(String),
    /// A list.
    List(Vec<ParameterValue>),
    /// A dictionary in the order given, each key once.
    Dict(Vec<(String, ParameterValue)>),
}

impl ParameterValue {
    /// The value of an integer literal: an optional `-` and decimal digits without a leading zero.
    pub(super) fn integer(digits: String) -> Self {
        digits.parse().map_or(Self::BigInteger(digits), Self::Integer)
    }

    /// The value as JSON, for metadata and the database.
    ///
    /// JSON has no NaN and no infinities. Papermill writes them bare, and the notebook is then no JSON any
    /// more and opens in no editor; here they become the strings `"NaN"`, `"Infinity"` and `"-Infinity"`.
    /// An integer beyond 64 bits becomes a string of its digits, for the same reader's sake.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Integer(value) => Value::from(*value),
            Self::BigInteger(digits) => {
                digits.parse::<u64>().map_or_else(|_| Value::from(digits.as_str()), Value::from)
            }
            Self::Float(value) => Number::from_f64(*value).map_or_else(
                || {
                    Value::from(match value {
                        value if value.is_nan() => "NaN",
                        value if value.is_sign_negative() => "-Infinity",
                        _ => "Infinity",
                    })
                },
                Value::Number,
            ),
            Self::String(text) => Value::from(text.as_str()),
            Self::List(values) => values.iter().map(Self::to_json).collect(),
            Self::Dict(entries) => entries
                .iter()
                .map(|(key, value)| (key.clone(), value.to_json()))
                .collect::<Map<_, _>>()
                .into(),
        }
    }
}

impl From<&Value> for ParameterValue {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Self::Integer(value),
                (None, Some(value)) => Self::BigInteger(value.to_string()),
                (None, None) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Self::String(text.clone()),
            Value::Array(values) => Self::List(values.iter().map(Self::from).collect()),
            Value::Object(entries) => {
                Self::Dict(entries.iter().map(|(key, value)| (key.clone(), Self::from(value))).collect())
            }
        }
    }
}

/// A value from the command line, where everything is text: `True`, `False` and `None`, then what Python's
/// `int` takes, then what its `float` takes (`nan`, `inf` and `1_000.5` too), else the text itself.
///
/// Papermill's rule for `-p` (`papermill/cli.py`, `_resolve_type`).
pub fn parse_cli_value(text: &str) -> ParameterValue {
    match text {
        "True" => ParameterValue::Bool(true),
        "False" => ParameterValue::Bool(false),
        "None" => ParameterValue::Null,
        _ => parse_int(text)
            .map(ParameterValue::integer)
            .or_else(|| parse_float(text).map(ParameterValue::Float))
            .unwrap_or_else(|| ParameterValue::String(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_lacks_becomes_a_string() {
        let check = |value: f64, expected: &str| {
            assert_eq!(ParameterValue::Float(value).to_json(), expected);
        };
        check(f64::NAN, "NaN");
        check(f64::INFINITY, "Infinity");
        check(f64::NEG_INFINITY, "-Infinity");
    }
}
