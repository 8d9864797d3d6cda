//! Expressions: what stands in `${{ }}`, and conditions. Their language is Jinja's, as minijinja has it; what they can
//! speak of is a [`Context`].
//!
//! A text that is one expression, white space around it aside, becomes what that comes to, of whatever type. In any
//! other text each expression is replaced: by a text as it is, by all else as JSON. A name that is not known is an
//! error, unless the expression says what then counts (`| default(…)`) or asks (`is defined`). What an expression may
//! take of time and memory is bounded. No value is ever in an error's text: it may be a secret.

mod pieces;
mod references;
mod values;

use std::sync::LazyLock;

use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value as Computed};
use serde_json::{Map, Value};

use super::definition::{ForEach, MAX_ITEMS, Step, StepParameters};
use crate::error::{Error, Result};
pub(crate) use pieces::{Fault, Piece, split};
pub(crate) use references::{Mentions, mentions};

/// The functions about the needs, for conditions.
pub(crate) const STATUS_FUNCTIONS: [&str; 3] = ["success", "failure", "always"];
/// The functions that every expression has.
pub(crate) const FUNCTIONS: [&str; 2] = ["range", "dict"];

/// What one evaluation may cost, in minijinja's units: about 64 MB, or as many instructions.
const FUEL: u64 = 1_000_000;
/// How many names an error offers.
const OFFERED: usize = 20;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_debug(false);
    // The first tells what it is given; the second is for statements, which there are none.
    environment.remove_global("debug");
    environment.remove_global("namespace");
    environment
});

/// Whether there is a filter of this name.
pub(crate) fn has_filter(name: &str) -> bool {
    has("filter", name)
}

/// Whether there is a test of this name.
pub(crate) fn has_test(name: &str) -> bool {
    has("test", name)
}

fn has(kind: &str, name: &str) -> bool {
    let question = format!("name is {kind}");
    let asked = ENVIRONMENT
        .compile_expression(&question)
        .and_then(|expression| expression.eval(Computed::from_pairs([("name", name)])));
    asked.is_ok_and(|answer| answer.is_true())
}

/// What expressions can speak of.
#[derive(Debug, Clone)]
pub struct Context(Computed);

impl Context {
    /// From an object with these fields, each of which can be looked up as it is written here:
    /// `parameters.NAME`, `workflow.id`, `workflow.name`, `steps.NAME.status`, `.results`, `.execution_id` and
    /// `.output_path`; of a step with `for_each` the last three are lists in the order of the items.
    pub fn new(value: &Value) -> Self {
        Self(values::from_json(value))
    }

    /// The same for one item of a step, as `item` and `index` (from 0).
    #[must_use]
    pub fn with_item(&self, item: &Value, index: usize) -> Self {
        let own = [("item", values::from_json(item)), ("index", Computed::from(index))];
        self.with(own.map(|(name, value)| (Computed::from(name), value)))
    }

    fn with(&self, more: impl IntoIterator<Item = (Computed, Computed)>) -> Self {
        let names = self.0.try_iter().into_iter().flatten();
        let before = names.filter_map(|name| self.0.get_item(&name).ok().map(|value| (name, value)));
        Self(Computed::from_pairs(before.chain(more)))
    }
}

/// How the steps have ended that a step needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Whether each ended well. True when there are none.
    pub success: bool,
    /// Whether one of them, or one that they need in their turn, failed.
    pub failure: bool,
}

/// The items over which a step fans out; `None` when it does not.
///
/// # Errors
/// `Invalid`, with the field `for_each`, for what cannot be evaluated, comes to no list, or to more than
/// [`MAX_ITEMS`].
pub fn items(step: &Step, context: &Context) -> Result<Option<Vec<Value>>> {
    let field = "for_each";
    let items = match &step.for_each {
        None => return Ok(None),
        Some(ForEach::List(items)) if step.literal_parameters => items.clone(),
        Some(ForEach::List(items)) => items
            .iter()
            .enumerate()
            .map(|(index, item)| evaluate(&format!("{field}[{index}]"), item, context))
            .collect::<Result<_>>()?,
        Some(ForEach::Expression(text)) => match evaluate_text(field, text, context)? {
            Value::Array(items) => items,
            other => return Err(wrong_type(field, "a list", &other)),
        },
    };
    if items.len() > MAX_ITEMS {
        let what = format!("comes to {} items; the limit is {MAX_ITEMS}", items.len());
        return Err(Error::invalid(format!("`{field}` {what}")).with_field(field, what));
    }
    Ok(Some(items))
}

/// What a step gives to its notebook, in the context of its item if it has one.
///
/// # Errors
/// `Invalid`, with the field `parameters.<name>`, for what cannot be evaluated or comes to no object.
pub fn bind(step: &Step, context: &Context) -> Result<Map<String, Value>> {
    let field = "parameters";
    if step.literal_parameters {
        let item = context.0.get_attr("item").ok().filter(|item| !item.is_undefined());
        let item = item.map(|item| values::to_json(&item)).transpose();
        return match item.map_err(|fault| Error::invalid(format!("an item cannot be read: {fault}")))? {
            Some(Value::Object(parameters)) => Ok(parameters),
            _ => Err(Error::internal("an item of a sweep is not an object of parameters")),
        };
    }
    match &step.parameters {
        StepParameters::Map(map) => map
            .iter()
            .map(|(name, value)| Ok((name.clone(), evaluate(&format!("{field}.{name}"), value, context)?)))
            .collect(),
        StepParameters::Expression(text) => match evaluate_text(field, text, context)? {
            Value::Object(map) => Ok(map),
            other => Err(wrong_type(field, "an object of names and values", &other)),
        },
    }
}

/// Whether a step runs, once its needs have ended. A condition that calls none of `success()`, `failure()` and
/// `always()` holds only where `success()` does, as on GitHub.
///
/// # Errors
/// `Invalid`, with the field `if`, for what cannot be evaluated.
pub fn condition(step: &Step, context: &Context, needs: Needs) -> Result<bool> {
    let Some(source) = &step.condition else { return Ok(needs.success) };
    let speaks_of_needs = mentions(source).is_ok_and(|mentions| {
        mentions.functions.iter().any(|function| STATUS_FUNCTIONS.contains(&function.name.as_str()))
    });
    if !speaks_of_needs && !needs.success {
        return Ok(false);
    }
    let [success, failure, always] = STATUS_FUNCTIONS;
    let functions = [
        (success, Computed::from_function(move || needs.success)),
        (failure, Computed::from_function(move || needs.failure)),
        (always, Computed::from_function(|| true)),
    ];
    let context = context.with(functions.map(|(name, function)| (Computed::from(name), function)));
    let value = compute("if", source, &context)?;
    if value.is_undefined() {
        let unknown = unknown_name(source, &context);
        return Err(fault("if", source, unknown.as_deref().unwrap_or("a name in it is not known")));
    }
    Ok(value.is_true())
}

/// Where the result of a step goes, if it says so, in the context of its item if it has one.
///
/// # Errors
/// `Invalid`, with the field `output_path`.
pub fn output_path(step: &Step, context: &Context) -> Result<Option<String>> {
    let Some(text) = &step.output_path else { return Ok(None) };
    Ok(Some(values::to_text(&evaluate_text("output_path", text, context)?)))
}

/// A value with every expression in its texts evaluated. Keys stay as they are.
fn evaluate(field: &str, value: &Value, context: &Context) -> Result<Value> {
    Ok(match value {
        Value::String(text) => evaluate_text(field, text, context)?,
        Value::Array(values) => values
            .iter()
            .enumerate()
            .map(|(index, value)| evaluate(&format!("{field}[{index}]"), value, context))
            .collect::<Result<_>>()?,
        Value::Object(entries) => entries
            .iter()
            .map(|(key, value)| Ok((key.clone(), evaluate(&format!("{field}.{key}"), value, context)?)))
            .collect::<Result<_>>()?,
        other => other.clone(),
    })
}

fn evaluate_text(field: &str, text: &str, context: &Context) -> Result<Value> {
    let split_text = |text| split(text).map_err(|Fault { message, .. }| fault(field, text, &message));
    if let [Piece::Expression { source, .. }] = split_text(text.trim())?.as_slice() {
        return evaluate_expression(field, source, context);
    }
    let mut whole = String::new();
    for piece in split_text(text)? {
        match piece {
            Piece::Text(text) => whole.push_str(text),
            Piece::Expression { source, .. } => {
                whole.push_str(&values::to_text(&evaluate_expression(field, source, context)?));
            }
        }
    }
    Ok(Value::String(whole))
}

fn evaluate_expression(field: &str, source: &str, context: &Context) -> Result<Value> {
    let value = compute(field, source, context)?;
    values::to_json(&value).map_err(|why| match unknown_name(source, context) {
        Some(unknown) => fault(field, source, &unknown),
        None => fault(field, source, &why),
    })
}

fn compute(field: &str, source: &str, context: &Context) -> Result<Computed> {
    if source.len() > pieces::LONGEST {
        return Err(fault(field, source, &format!("an expression may have {} bytes", pieces::LONGEST)));
    }
    let evaluated =
        ENVIRONMENT.compile_expression(source).and_then(|expression| expression.eval(context.0.clone()));
    // What the engine says of a value may have the value in it.
    evaluated.map_err(|error| {
        let why = match error.kind() {
            ErrorKind::SyntaxError => format!("not an expression: {}", error.detail().unwrap_or_default()),
            ErrorKind::UndefinedError => match unknown_name(source, context) {
                Some(unknown) => unknown,
                None => "a name in it is not known".to_owned(),
            },
            ErrorKind::OutOfFuel => "it takes too long, or too much memory: do this in a notebook".to_owned(),
            ErrorKind::UnknownFilter => "it uses a filter that is not known".to_owned(),
            ErrorKind::UnknownTest => "it uses a test that is not known".to_owned(),
            ErrorKind::UnknownFunction | ErrorKind::UnknownMethod => {
                "it calls a function that is not known".to_owned()
            }
            ErrorKind::MissingArgument | ErrorKind::TooManyArguments => {
                "it gives a function or filter too few arguments or too many".to_owned()
            }
            _ => "it does with a value what its type does not allow".to_owned(),
        };
        fault(field, source, &why)
    })
}

/// The first name of an expression that is not known, and those that are known in its place.
fn unknown_name(source: &str, context: &Context) -> Option<String> {
    let Mentions { references, .. } = mentions(source).ok()?;
    references.iter().filter(|reference| !reference.may_be_missing).find_map(|reference| {
        let mut value = context.0.clone();
        for (depth, part) in reference.path.iter().enumerate() {
            let next = value.get_attr(part).ok().filter(|next| !next.is_undefined());
            let Some(next) = next else {
                return Some(unknown(&reference.path[..=depth], &names_in(&value)));
            };
            value = next;
        }
        None
    })
}

/// The text for a name that is not known.
pub(crate) fn unknown(path: &[String], known: &[String]) -> String {
    let name = path.join(".");
    let place = match path.len() {
        0 | 1 => "known are".to_owned(),
        _ => format!("`{}` has", path[..path.len() - 1].join(".")),
    };
    match known {
        [] => format!("`{name}` is not known: {} nothing", place.replace("known are", "there is")),
        known => {
            let more = if known.len() > OFFERED { ", …" } else { "" };
            let known: Vec<_> = known.iter().take(OFFERED).map(|name| format!("`{name}`")).collect();
            format!("`{name}` is not known: {place} {}{more}", known.join(", "))
        }
    }
}

fn names_in(value: &Computed) -> Vec<String> {
    if value.kind() != minijinja::value::ValueKind::Map {
        return Vec::new();
    }
    let names = value.try_iter().into_iter().flatten();
    names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn wrong_type(field: &str, wanted: &str, got: &Value) -> Error {
    let what = format!("must come to {wanted}, not to {}", type_of(got));
    Error::invalid(format!("`{field}` {what}")).with_field(field, what)
}

/// What a JSON value is, for people.
pub(crate) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(number) if number.is_f64() => "a float",
        Value::Number(_) => "an integer",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn fault(field: &str, source: &str, why: &str) -> Error {
    const SHOWN: usize = 80;
    let source = source.trim();
    let mut shown: String = source.chars().take(SHOWN).collect();
    if shown.len() < source.len() {
        shown.push('…');
    }
    let message = format!("`{shown}`: {why}");
    Error::invalid(format!("{field}: {message}")).with_field(field, message)
}

#[cfg(test)]
mod tests;
