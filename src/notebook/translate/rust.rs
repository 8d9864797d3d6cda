//! Rust: variables of a named type, which evcxr keeps from cell to cell; a list is a `Vec` and a dictionary a
//! `BTreeMap` of one type.

use super::writing::{
    Written, float_literal, integer_digits, integer_refused, push, push_joined, push_quoted,
};
use super::{Language, names};
use crate::notebook::value::ParameterValue;

pub(super) struct Rust;

/// Rust's keywords, reserved ones included, and the names that the literals need.
const WORDS: &str = "Self abstract as async await become box break const continue crate do dyn else enum \
                     extern false final fn for gen if impl in let loop macro match mod move mut override priv \
                     pub ref return self static struct super trait true try type typeof unsafe unsized use \
                     virtual where while yield _ None Some";

impl Language for Rust {
    fn name(&self) -> &'static str {
        "Rust"
    }

    fn comment(&self, text: &str) -> String {
        format!("// {text}")
    }

    fn name_fault(&self, name: &str) -> Option<&'static str> {
        names::fault(name, WORDS, names::is_unicode_name(name, "_"), names::UNICODE)
    }

    fn push_assignment(&self, out: &mut String, name: &str, value: &ParameterValue) -> Written {
        let of_type = Type::of(value)?;
        push(out, format_args!("let {name}: {of_type} = "));
        push_literal(out, value, &of_type)?;
        out.push_str(";\n");
        Ok(())
    }
}

/// The types that values have.
#[derive(Debug, Clone, PartialEq)]
enum Type {
    /// Of nothing that is there: `()`.
    Unknown,
    Bool,
    /// Of this many bits: 32, 64, 128.
    Integer(u8),
    Float,
    Text,
    List(Box<Self>),
    Dict(Box<Self>),
    Optional(Box<Self>),
}

impl Type {
    fn of(value: &ParameterValue) -> Result<Self, String> {
        Ok(match value {
            ParameterValue::Null => Self::Optional(Box::new(Self::Unknown)),
            ParameterValue::Bool(_) => Self::Bool,
            ParameterValue::Integer(value) if i32::try_from(*value).is_ok() => Self::Integer(32),
            ParameterValue::Integer(_) => Self::Integer(64),
            ParameterValue::BigInteger(digits) if digits.parse::<i128>().is_ok() => Self::Integer(128),
            ParameterValue::BigInteger(_) => return Err(integer_refused("Rust", "128 bits")),
            ParameterValue::Float(_) => Self::Float,
            ParameterValue::String(_) => Self::Text,
            ParameterValue::List(values) => Self::List(Self::of_all(values.iter())?),
            ParameterValue::Dict(entries) => {
                Self::Dict(Self::of_all(entries.iter().map(|(_, value)| value))?)
            }
        })
    }

    fn of_all<'a>(mut values: impl Iterator<Item = &'a ParameterValue>) -> Result<Box<Self>, String> {
        values.try_fold(Self::Unknown, |common, value| common.join(Self::of(value)?)).map(Box::new)
    }

    /// The type that holds the values of both, each unchanged.
    fn join(self, other: Self) -> Result<Self, String> {
        let boxed = |left: Box<Self>, right: Box<Self>| left.join(*right).map(Box::new);
        Ok(match (self, other) {
            (left, right) if left == right => left,
            (Self::Unknown, known) | (known, Self::Unknown) => known,
            (Self::Optional(left), Self::Optional(right)) => Self::Optional(boxed(left, right)?),
            (Self::Optional(left), right) | (right, Self::Optional(left)) => {
                Self::Optional(boxed(left, Box::new(right))?)
            }
            (Self::Integer(left), Self::Integer(right)) => Self::Integer(left.max(right)),
            (Self::Integer(32), Self::Float) | (Self::Float, Self::Integer(32)) => Self::Float,
            (Self::List(left), Self::List(right)) => Self::List(boxed(left, right)?),
            (Self::Dict(left), Self::Dict(right)) => Self::Dict(boxed(left, right)?),
            _ => {
                return Err(
                    "is or holds a list or dictionary of several types, which Rust cannot hold: give \
                            values of one type, or a text of JSON"
                        .into(),
                );
            }
        })
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => formatter.write_str("()"),
            Self::Bool => formatter.write_str("bool"),
            Self::Integer(bits) => write!(formatter, "i{bits}"),
            Self::Float => formatter.write_str("f64"),
            Self::Text => formatter.write_str("String"),
            Self::List(inner) => write!(formatter, "Vec<{inner}>"),
            Self::Dict(inner) => write!(formatter, "std::collections::BTreeMap<String, {inner}>"),
            Self::Optional(inner) => write!(formatter, "Option<{inner}>"),
        }
    }
}

fn push_literal(out: &mut String, value: &ParameterValue, of_type: &Type) -> Written {
    match (value, of_type) {
        (ParameterValue::Null, _) => out.push_str("None"),
        (value, Type::Optional(inner)) => {
            out.push_str("Some(");
            push_literal(out, value, inner)?;
            out.push(')');
        }
        (ParameterValue::Bool(value), _) => push(out, format_args!("{value}")),
        (ParameterValue::Integer(_) | ParameterValue::BigInteger(_), _) => {
            out.push_str(&integer_digits(value).unwrap_or_default());
            if *of_type == Type::Float {
                out.push_str(".0");
            }
        }
        (ParameterValue::Float(value), _) => {
            out.push_str(&float_literal(*value, ["f64::NAN", "f64::INFINITY", "f64::NEG_INFINITY"]));
        }
        (ParameterValue::String(text), _) => push_text(out, text),
        (ParameterValue::List(values), Type::List(inner)) => {
            out.push_str("vec![");
            push_joined(out, ", ", values, |out, value| push_literal(out, value, inner))?;
            out.push(']');
        }
        (ParameterValue::Dict(entries), Type::Dict(inner)) => {
            out.push_str("std::collections::BTreeMap::from([");
            push_joined(out, ", ", entries, |out, (key, value)| {
                out.push('(');
                push_text(out, key);
                out.push_str(", ");
                push_literal(out, value, inner)?;
                out.push(')');
                Ok(())
            })?;
            out.push_str("])");
        }
        (ParameterValue::List(_) | ParameterValue::Dict(_), _) => {
            unreachable!("the type was made from the value")
        }
    }
    Ok(())
}

fn push_text(out: &mut String, text: &str) {
    out.push_str("String::from(");
    push_quoted(out, text, |out, code, _| push(out, format_args!("\\u{{{code:x}}}")));
    out.push(')');
}
