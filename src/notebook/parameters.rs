//! Parameters: what a caller binds before a run, name by name, in the order given.
//!
//! A [`Parameters`] that exists holds only names that are names in some language, each once. Which ones the
//! notebook's own language takes is seen when they are translated.

use std::fmt;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::python_rules::normalized_name;
use super::value::ParameterValue;
use super::{exact_json, validate::MAX_FAULTS};
use crate::error::{Error, Result};

/// Parameters in the order given, their names checked.
#[derive(Clone, Default, PartialEq)]
pub struct Parameters(Vec<(String, ParameterValue)>);

impl Parameters {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes parameters from a JSON object.
    ///
    /// `serde_json` has already made floats of integers beyond 64 bits here; where the text is at hand,
    /// [`Parameters::from_json_text`] keeps them.
    ///
    /// # Errors
    /// `Invalid` when it is not an object, and for every name that is none in any language, with the field
    /// `parameters.<name>`.
    pub fn from_json(value: &Value) -> Result<Self> {
        match value {
            Value::Object(entries) => Self::from_entries(
                entries.iter().map(|(name, value)| (name.clone(), ParameterValue::from(value))),
            ),
            Value::Array(_) => Err(not_an_object("a list")),
            Value::String(_) => Err(not_an_object("a string")),
            Value::Number(_) => Err(not_an_object("a number")),
            Value::Bool(_) => Err(not_an_object("a truth value")),
            Value::Null => Err(not_an_object("null")),
        }
    }

    /// Takes parameters from the text of a JSON object, integers of any size exact.
    ///
    /// # Errors
    /// As [`Parameters::from_json`], and `Invalid` for a float beyond range or nesting beyond 128 levels.
    pub fn from_json_text(json: &RawValue) -> Result<Self> {
        let value: Value = serde_json::from_str(json.get()).map_err(|error| {
            let told = format!("parameters cannot be read ({error}): use values that JSON can hold");
            Error::invalid(told).with_field("parameters", error.to_string())
        })?;
        match exact_json::parse(json.get()) {
            Some(ParameterValue::Dict(entries)) => Self::from_entries(entries),
            _ => Self::from_json(&value),
        }
    }

    /// The text of parameters with those of `changed` in place of the old or after them; every digit as it was.
    ///
    /// # Errors
    /// As [`Parameters::from_json_text`], for `changed`.
    pub fn merge_json_text(json: &str, changed: &RawValue) -> Result<Box<RawValue>> {
        Self::from_json_text(changed)?;
        let merged = exact_json::merge(json, changed.get()).map(RawValue::from_string);
        match merged {
            Some(Ok(merged)) => Ok(merged),
            _ => Err(Error::internal("recorded parameters cannot be read")),
        }
    }

    fn from_entries(entries: impl IntoIterator<Item = (String, ParameterValue)>) -> Result<Self> {
        let mut parameters = Self::new();
        let mut faults = Vec::new();
        for (name, value) in entries {
            match name_fault(&name) {
                Some(_) if faults.len() == MAX_FAULTS => break,
                Some(fault) => faults.extend_from_slice(fault_of_name(&name, fault).fields()),
                None => parameters.0.push((name, value)),
            }
        }
        match faults.first() {
            None => Ok(parameters),
            Some(first) => {
                let message = format!("{} {}", first.field, first.message);
                Err(Error::invalid(message).with_fields(faults))
            }
        }
    }

    /// Binds `name`, in place of the value it had before if it had one (which keeps its position, as in a
    /// Python dict).
    ///
    /// # Errors
    /// `Invalid`, with the field `parameters.<name>`, when the name is none in any language.
    pub fn insert(&mut self, name: impl Into<String>, value: ParameterValue) -> Result<()> {
        let name = name.into();
        if let Some(fault) = name_fault(&name) {
            return Err(fault_of_name(&name, fault));
        }
        match self.0.iter_mut().find(|(other, _)| same_name(other, &name)) {
            Some(entry) => *entry = (name, value),
            None => self.0.push((name, value)),
        }
        Ok(())
    }

    /// The value bound to `name`.
    pub fn get(&self, name: &str) -> Option<&ParameterValue> {
        self.iter().find(|(other, _)| same_name(other, name)).map(|(_, value)| value)
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ParameterValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parameters as a JSON object that says the same.
    ///
    /// # Errors
    /// `Invalid`, with the field `parameters.<name>`, for an integer beyond 64 bits and for NaN and the infinities, of
    /// which JSON would make something else.
    pub fn to_exact_json(&self) -> Result<Map<String, Value>> {
        fn fault(value: &ParameterValue) -> Option<&'static str> {
            match value {
                ParameterValue::BigInteger(digits) if digits.parse::<u64>().is_err() => {
                    Some("has an integer that does not fit into 64 bits: give it as a text")
                }
                ParameterValue::Float(value) if !value.is_finite() => {
                    Some("has a number that is infinite or none (NaN), for which JSON has no word")
                }
                ParameterValue::List(values) => values.iter().find_map(fault),
                ParameterValue::Dict(entries) => entries.iter().find_map(|(_, value)| fault(value)),
                _ => None,
            }
        }
        match self.iter().find_map(|(name, value)| Some((name, fault(value)?))) {
            Some((name, fault)) => Err(fault_of_name(name, fault)),
            None => Ok(self.iter().map(|(name, value)| (name.to_owned(), value.to_json())).collect()),
        }
    }

    /// The parameters as a JSON object; see [`ParameterValue::to_json`].
    pub fn to_json(&self) -> Value {
        self.iter().map(|(name, value)| (name.to_owned(), value.to_json())).collect::<Map<_, _>>().into()
    }
}

/// Names only: a value may be a secret.
impl fmt::Debug for Parameters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Parameters")?;
        formatter.debug_set().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// Why this is a name in no language, or `None`. `.` stands in names of R, `$` of JavaScript and Scala, `!` of
/// Julia; nothing here can end a name and begin code.
fn name_fault(name: &str) -> Option<&'static str> {
    let is_part = |it: char| unicode_ident::is_xid_continue(it) || matches!(it, '.' | '$' | '!');
    (name.is_empty() || !name.chars().all(is_part))
        .then_some("is not a name in any language: use letters, digits and `_`, and no digit at the start")
}

/// Whether Python takes both for one name.
fn same_name(left: &str, right: &str) -> bool {
    left == right
        || (!(left.is_ascii() && right.is_ascii()) && normalized_name(left) == normalized_name(right))
}

pub(super) fn fault_of_name(name: &str, fault: &str) -> Error {
    const SHOWN: usize = 64;
    let shown: String = name.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    let field = format!("parameters.{shown}");
    Error::invalid(format!("{field} {fault}")).with_field(field, fault)
}

fn not_an_object(got: &str) -> Error {
    Error::invalid(format!("parameters must be a JSON object of names and values, not {got}"))
        .with_field("parameters", "must be an object")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changed_parameters_take_the_place_of_the_old_and_the_rest_keeps_every_digit() {
        let merge = |changed: &str| {
            let changed = RawValue::from_string(changed.to_owned()).unwrap();
            let old = r#"{"a":[123456789012345678901234567890],"b":0.10}"#;
            Parameters::merge_json_text(old, &changed).map(|merged| merged.get().to_owned())
        };
        assert_eq!(
            merge(r#"{"c": 1e400000, "b": {"x": 1}}"#).unwrap_err().kind(),
            crate::ErrorKind::Invalid,
            "as everywhere"
        );
        let merged = merge(r#"{"c": 1, "b": {"x": 1}}"#).unwrap();
        assert_eq!(merged, r#"{"a":[123456789012345678901234567890],"b":{"x": 1},"c":1}"#);
        assert_eq!(merge("[1]").unwrap_err().fields()[0].field, "parameters");
        assert!(merge(r#"{"a b": 1}"#).is_err());
    }

    fn from_text(text: &str) -> Result<Parameters> {
        Parameters::from_json_text(&RawValue::from_string(text.to_owned()).unwrap())
    }

    #[test]
    fn order_and_types_survive() {
        let json = json!({"z": 1, "a": [null, true, 1.0, {"k": "v"}], "m": u64::MAX, "n": -0.0});
        let parameters = Parameters::from_json(&json).unwrap();
        assert_eq!(parameters.to_json(), json);
        assert_eq!(parameters.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["z", "a", "m", "n"]);
        assert_eq!(parameters.get("m"), Some(&ParameterValue::BigInteger(u64::MAX.to_string())));
    }

    #[test]
    fn integers_of_any_size_are_exact_when_the_text_is_known() {
        let digits = "-123456789012345678901234567890";
        let parameters =
            from_text(&format!(r#"{{"big": {digits}, "inner": [1e30, 2, "3", {{"x": {digits}}}]}}"#))
                .unwrap();
        let big = ParameterValue::BigInteger(digits.into());
        assert_eq!(parameters.get("big"), Some(&big));
        assert_eq!(
            parameters.get("inner"),
            Some(&ParameterValue::List(vec![
                ParameterValue::Float(1e30),
                ParameterValue::Integer(2),
                ParameterValue::String("3".into()),
                ParameterValue::Dict(vec![("x".into(), big)]),
            ]))
        );
        assert_eq!(parameters.to_json()["big"], digits);
    }

    #[test]
    fn only_an_object_is_taken() {
        let check = |json: Value, got: &str| {
            let expected = format!("parameters must be a JSON object of names and values, not {got}");
            assert_eq!(Parameters::from_json(&json).unwrap_err().message(), expected);
            assert_eq!(from_text(&json.to_string()).unwrap_err().message(), expected);
        };
        check(json!([1]), "a list");
        check(json!("a=1"), "a string");
        check(json!(1), "a number");
        check(json!(true), "a truth value");
        check(json!(null), "null");
    }

    #[test]
    fn what_serde_json_cannot_hold_is_refused_by_its_own_name() {
        let check = |text: &str, told: &str| {
            let error = from_text(text).unwrap_err();
            assert!(error.message().contains(told), "{error}");
        };
        check(r#"{"a": 1e999}"#, "number out of range at line 1 column 11");
    }

    #[test]
    fn what_json_cannot_say_is_told_by_name() {
        let json = r#"{"a":[1,0.5,{"b":18446744073709551615}],"c":"NaN"}"#;
        let exact = from_text(json).unwrap().to_exact_json().unwrap();
        assert_eq!(Value::Object(exact).to_string(), json);
        let error =
            from_text(r#"{"a": 1, "b": [123456789012345678901]}"#).unwrap().to_exact_json().unwrap_err();
        assert_eq!(error.fields()[0].field, "parameters.b");
        let mut nan = Parameters::new();
        nan.insert("x", ParameterValue::Float(f64::NAN)).unwrap();
        assert!(nan.to_exact_json().unwrap_err().message().contains("parameters.x has a number"));
    }

    #[test]
    fn values_stay_out_of_debug_output() {
        let parameters = Parameters::from_json(&json!({"token": "hunter2", "n": 1})).unwrap();
        assert_eq!(format!("{parameters:?}"), r#"Parameters{"token", "n"}"#);
    }

    #[test]
    fn every_bad_name_is_reported_with_its_place() {
        let error =
            Parameters::from_json(&json!({"ok": 1, "a b": 2, "class": 3, "a.b$c!": 4, "x;": 5, "": 6}))
                .unwrap_err();
        let fields: Vec<_> = error.fields().iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["parameters.a b", "parameters.x;", "parameters."]);
    }

    #[test]
    fn a_name_bound_again_keeps_its_place() {
        let mut parameters = Parameters::new();
        parameters.insert("a", ParameterValue::Integer(1)).unwrap();
        parameters.insert("b", ParameterValue::Integer(2)).unwrap();
        parameters.insert("a", ParameterValue::Integer(3)).unwrap();
        assert_eq!(parameters.to_json().to_string(), r#"{"a":3,"b":2}"#);
    }
}
