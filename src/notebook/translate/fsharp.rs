//! F#: papermill's literals, with elements of different types as `IComparable`, as papermill's maps have them.

use super::writing::{
    Written, float_literal, integer_digits, push, push_joined, push_python_code, push_quoted,
};
use super::{Language, names};
use crate::notebook::value::ParameterValue;

pub(super) struct FSharp;

/// F#'s keywords and reserved words, and the names that the literals need.
const WORDS: &str = "abstract and as assert base begin break checked class component const constraint continue default \
     delegate do done downcast downto elif else end event exception extern external false finally fixed for \
     fun function global if in include inherit inline interface internal lazy let match member mixin mod \
     module mutable namespace new not null of open or override parallel private process protected public \
     pure rec return sealed select sig static struct tailcall then to trait true try type upcast use val \
     virtual void when while with yield asr land lor lsl lsr lxor _ IComparable Map None infinity nan";

impl Language for FSharp {
    fn name(&self) -> &'static str {
        "F#"
    }

    /// Comments nest in F#, and a quote in one begins a text.
    fn comment(&self, text: &str) -> String {
        format!("(* {} *)", text.replace("(*", "( *").replace("*)", "* )").replace('"', "'"))
    }

    fn name_fault(&self, name: &str) -> Option<&'static str> {
        names::fault(name, WORDS, names::is_unicode_name(name, "_"), names::UNICODE)
    }

    fn push_assignment(&self, out: &mut String, name: &str, value: &ParameterValue) -> Written {
        push(out, format_args!("let {name} = "));
        push_literal(out, value)?;
        out.push('\n');
        Ok(())
    }
}

fn push_literal(out: &mut String, value: &ParameterValue) -> Written {
    match value {
        ParameterValue::Null => out.push_str("None"),
        ParameterValue::Bool(value) => push(out, format_args!("{value}")),
        ParameterValue::Integer(_) | ParameterValue::BigInteger(_) => {
            let digits = integer_digits(value).unwrap_or_default();
            match type_of(value).as_str() {
                "int" => out.push_str(&digits),
                "int64" => push(out, format_args!("{digits}L")),
                _ => push(out, format_args!("{digits}I")),
            }
        }
        ParameterValue::Float(value) => {
            out.push_str(&float_literal(*value, ["nan", "infinity", "-infinity"]));
        }
        ParameterValue::String(text) => push_quoted(out, text, push_python_code),
        ParameterValue::List(values) => {
            let upcast = if element_type(values).is_some() { "" } else { " :> IComparable" };
            out.push_str("[ ");
            push_joined(out, "; ", values, |out, value| {
                push_literal(out, value)?;
                out.push_str(upcast);
                Ok(())
            })?;
            out.push_str(" ]");
        }
        // Of a map made from an empty list the types are not known, and F# asks for them.
        ParameterValue::Dict(entries) if entries.is_empty() => {
            out.push_str("Map.empty<string, IComparable>");
        }
        ParameterValue::Dict(entries) => {
            out.push_str("[ ");
            push_joined(out, "; ", entries, |out, (key, value)| {
                out.push('(');
                push_quoted(out, key, push_python_code);
                out.push_str(", ");
                push_literal(out, value)?;
                out.push_str(" :> IComparable)");
                Ok(())
            })?;
            out.push_str(" ] |> Map.ofList");
        }
    }
    Ok(())
}

/// The type of the literal; `_` for what it leaves open.
fn type_of(value: &ParameterValue) -> String {
    match value {
        ParameterValue::Null => "_ option".into(),
        ParameterValue::Bool(_) => "bool".into(),
        ParameterValue::Integer(value) if i32::try_from(*value).is_ok() => "int".into(),
        ParameterValue::Integer(_) => "int64".into(),
        ParameterValue::BigInteger(_) => "bigint".into(),
        ParameterValue::Float(_) => "float".into(),
        ParameterValue::String(_) => "string".into(),
        ParameterValue::Dict(_) => "Map<string, IComparable>".into(),
        ParameterValue::List(values) => {
            format!("{} list", element_type(values).unwrap_or_else(|| "IComparable".into()))
        }
    }
}

/// The type that all the elements have.
fn element_type(values: &[ParameterValue]) -> Option<String> {
    values.iter().try_fold("_".to_owned(), |common, value| unify(&common, &type_of(value)))
}

fn unify(left: &str, right: &str) -> Option<String> {
    match (left, right) {
        ("_", other) | (other, "_") => Some(other.to_owned()),
        (left, right) if left == right => Some(left.to_owned()),
        (left, right) => {
            let inner = unify(left.strip_suffix(" list")?, right.strip_suffix(" list")?)?;
            Some(format!("{inner} list"))
        }
    }
}
