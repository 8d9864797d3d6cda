//! The types that a notebook's parameters declare, as far as their annotations say something certain.

use serde_json::Value;

/// A type of Python.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    /// Whatever it is: nothing is certain.
    Any,
    None,
    Bool,
    Int,
    Float,
    Str,
    List(Box<Type>),
    /// By the type of its values.
    Dict(Box<Type>),
    Union(Vec<Type>),
    /// One of these.
    Literal(Vec<Value>),
}

impl Type {
    /// The type of an annotation. What is not known by its name may be anything.
    pub(super) fn of_annotation(text: &str) -> Self {
        let text = text.trim().trim_matches(['"', '\'']).trim();
        let alternatives = split(text, '|');
        if alternatives.len() > 1 {
            return Self::Union(alternatives.into_iter().map(Self::of_annotation).collect());
        }
        let (name, arguments) = match text.split_once('[') {
            Some((name, rest)) => match rest.trim_end().strip_suffix(']') {
                Some(arguments) => (name.trim(), split(arguments, ',')),
                None => return Self::Any,
            },
            None => (text, Vec::new()),
        };
        let argument =
            |at: usize| Box::new(arguments.get(at).map_or(Self::Any, |it| Self::of_annotation(it)));
        // `typing.List` and `t.List` are `List`.
        match name.rsplit('.').next().unwrap_or(name) {
            "int" => Self::Int,
            "float" => Self::Float,
            "bool" => Self::Bool,
            "str" => Self::Str,
            "None" | "NoneType" => Self::None,
            "list" | "List" => Self::List(argument(0)),
            "dict" | "Dict" => Self::Dict(argument(1)),
            "Optional" if arguments.len() == 1 => Self::Union(vec![*argument(0), Self::None]),
            "Union" if !arguments.is_empty() => {
                Self::Union(arguments.into_iter().map(Self::of_annotation).collect())
            }
            "Annotated" | "Final" => *argument(0),
            "Literal" => match arguments.into_iter().map(literal).collect::<Option<Vec<_>>>() {
                Some(values) if !values.is_empty() => Self::Literal(values),
                _ => Self::Any,
            },
            _ => Self::Any,
        }
    }

    /// Whether a value may be of this type, judging as Python's own checkers do: an integer is a float, a truth value is
    /// an integer. `is_open` says of a text that it stands for a value that is not known yet.
    pub(super) fn takes(&self, value: &Value, is_open: &dyn Fn(&str) -> bool) -> bool {
        if value.as_str().is_some_and(is_open) {
            return true;
        }
        match (self, value) {
            (Self::Any, _)
            | (Self::None, Value::Null)
            | (Self::Bool | Self::Int | Self::Float, Value::Bool(_))
            | (Self::Float, Value::Number(_))
            | (Self::Str, Value::String(_)) => true,
            (Self::Int, Value::Number(number)) => !number.is_f64(),
            (Self::Bool, Value::Number(number)) => matches!(number.as_u64(), Some(0 | 1)),
            (Self::List(of), Value::Array(values)) => values.iter().all(|value| of.takes(value, is_open)),
            (Self::Dict(of), Value::Object(map)) => map.values().all(|value| of.takes(value, is_open)),
            (Self::Union(types), value) => types.iter().any(|it| it.takes(value, is_open)),
            (Self::Literal(values), value) => values.iter().any(|known| same(known, value)),
            _ => false,
        }
    }

    /// The type for people: `an int`.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Any => "anything".into(),
            Self::None => "null".into(),
            Self::Bool => "true or false".into(),
            Self::Int => "an integer".into(),
            Self::Float => "a number".into(),
            Self::Str => "a text".into(),
            Self::List(of) if **of == Self::Any => "a list".into(),
            Self::List(of) => format!("a list, each item {}", of.told()),
            Self::Dict(of) if **of == Self::Any => "an object".into(),
            Self::Dict(of) => format!("an object, each value {}", of.told()),
            Self::Union(types) => types.iter().map(Self::told).collect::<Vec<_>>().join(" or "),
            Self::Literal(values) => {
                let values: Vec<_> = values.iter().map(Value::to_string).collect();
                format!("one of {}", values.join(", "))
            }
        }
    }
}

/// 1 and 1.0 and True are equal to Python.
fn same(left: &Value, right: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        other => other.as_f64(),
    };
    left == right || number(left).zip(number(right)).is_some_and(|(left, right)| left == right)
}

/// A value written in Python, of those that `Literal` takes.
fn literal(text: &str) -> Option<Value> {
    let text = text.trim();
    match text {
        "True" => return Some(Value::Bool(true)),
        "False" => return Some(Value::Bool(false)),
        "None" => return Some(Value::Null),
        _ => {}
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(Value::from(number));
    }
    let quote = text.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inner.contains(['\\', quote])).then(|| Value::from(inner))
}

/// The parts of a text between separators that are in no brackets and no quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut begin, mut depth, mut quote) = (Vec::new(), 0, 0_usize, None);
    for (at, character) in text.char_indices() {
        match (character, quote) {
            (character, Some(open)) if character == open => quote = None,
            (_, Some(_)) => {}
            ('"' | '\'', None) => quote = Some(character),
            ('[' | '(' | '{', None) => depth += 1,
            (']' | ')' | '}', None) => depth = depth.saturating_sub(1),
            (character, None) if character == separator && depth == 0 => {
                parts.push(&text[begin..at]);
                begin = at + character.len_utf8();
            }
            _ => {}
        }
    }
    if !text[begin..].trim().is_empty() {
        parts.push(&text[begin..]);
    }
    parts
}

/// What the default of a parameter without an annotation says: the type of a literal, and whether a value of another
/// is certainly wrong. `None` when the default is no literal.
pub(super) fn of_default(source: &str) -> Option<(Type, bool)> {
    let source = source.trim();
    let is_between = |open: char, close: char| source.starts_with(open) && source.ends_with(close);
    let number = Type::Union(vec![Type::Float, Type::None]);
    if matches!(source, "True" | "False") {
        return Some((number, true));
    }
    let digits = source.trim_start_matches(['+', '-']).replace('_', "");
    if digits.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && (digits.parse::<f64>().is_ok() || digits.strip_prefix("0x").is_some_and(is_hexadecimal))
    {
        return Some((number, true));
    }
    if is_between('[', ']') {
        return Some((Type::Union(vec![Type::List(Box::new(Type::Any)), Type::None]), true));
    }
    if source == "{}" || (is_between('{', '}') && source.contains(':')) {
        return Some((Type::Union(vec![Type::Dict(Box::new(Type::Any)), Type::None]), true));
    }
    let bare = source.trim_start_matches(['r', 'R', 'f', 'F', 'u']);
    // A text may well stand for one of several things, a list of texts among them.
    ['"', '\'']
        .iter()
        .any(|quote| bare.len() > 1 && bare.starts_with(*quote) && bare.ends_with(*quote))
        .then(|| (Type::Union(vec![Type::Str, Type::None]), false))
}

fn is_hexadecimal(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}
