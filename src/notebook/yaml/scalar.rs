//! What a scalar is: the implicit types of YAML 1.1 as PyYAML's `SafeLoader` resolves and constructs them
//! (`yaml/resolver.py`, `yaml/constructor.py`), without dates, which papermill keeps as text.

use std::sync::LazyLock;

use regex::Regex;

use crate::notebook::python_rules::parse_float;
use crate::notebook::value::ParameterValue;

/// Python's limit on the digits of an integer that becomes text (`sys.int_info.default_max_str_digits`).
const MAX_DIGITS: usize = 4300;

/// A plain scalar's type, or why it has none.
pub(super) fn resolve_plain(text: &str) -> Result<ParameterValue, &'static str> {
    static INTEGER: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r"^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)",
            r"|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$",
        ))
    });
    static FLOAT: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r"^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?",
            r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        ))
    });
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Ok(ParameterValue::Null),
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Ok(ParameterValue::Bool(true))
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Ok(ParameterValue::Bool(false))
        }
        // Both have a type of their own that no loader constructs.
        "=" | "<<" => Err("a bare `=` or `<<` is no value: put it between quotes"),
        _ if !text.starts_with(['-', '+', '.'])
            && !text.starts_with(|first: char| first.is_ascii_digit()) =>
        {
            Ok(ParameterValue::String(text.to_owned()))
        }
        _ if FLOAT.is_match(text) => float(text),
        _ if INTEGER.is_match(text) => integer(text),
        _ => Ok(ParameterValue::String(text.to_owned())),
    }
}

/// A scalar with one of YAML's own tags, such as `!!int`; `None` for a tag that makes no scalar.
pub(super) fn resolve_tagged(tag: &str, text: &str) -> Option<Result<ParameterValue, &'static str>> {
    Some(match tag {
        "str" => Ok(ParameterValue::String(text.to_owned())),
        "null" => Ok(ParameterValue::Null),
        "bool" => match text.to_lowercase().as_str() {
            "yes" | "true" | "on" => Ok(ParameterValue::Bool(true)),
            "no" | "false" | "off" => Ok(ParameterValue::Bool(false)),
            _ => Err("it is tagged !!bool and is no truth value"),
        },
        "int" => integer(text),
        "float" => float(text),
        _ => return None,
    })
}

fn pattern(pattern: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "the patterns are fixed, and every test of scalars compiles them")]
    Regex::new(pattern).expect("the pattern is a good one")
}

/// The text without underscores, its sign apart.
fn unsigned(text: &str) -> (bool, String) {
    let text = text.replace('_', "");
    let negative = text.starts_with('-');
    let text = text.strip_prefix(['-', '+']).map(str::to_owned).unwrap_or(text);
    (negative, text)
}

fn integer(text: &str) -> Result<ParameterValue, &'static str> {
    const NO_INTEGER: &str = "it looks like an integer and is none: put it between quotes";
    const TOO_LONG: &str = "it is an integer of more than 4300 digits, which Python does not take";
    let (negative, text) = unsigned(text);
    if text.len() > 4 * MAX_DIGITS {
        return Err(TOO_LONG);
    }
    let mut number = Natural::default();
    if let Some((first, rest)) = text.split_once(':') {
        number.push_digits(first, 10).ok_or(NO_INTEGER)?;
        for part in rest.split(':') {
            number.multiply_and_add(60, part.parse().map_err(|_| NO_INTEGER)?);
        }
    } else {
        let (digits, radix) = match text.as_bytes() {
            [b'0', b'b', ..] => (&text[2..], 2),
            [b'0', b'x', ..] => (&text[2..], 16),
            [b'0', _, ..] => (text.as_str(), 8),
            _ => (text.as_str(), 10),
        };
        number.push_digits(digits, radix).ok_or(NO_INTEGER)?;
    }
    let digits = number.to_decimal();
    match digits.len() {
        1.. if digits.len() > MAX_DIGITS => Err(TOO_LONG),
        _ if negative && digits != "0" => Ok(ParameterValue::integer(format!("-{digits}"))),
        _ => Ok(ParameterValue::integer(digits)),
    }
}

fn float(text: &str) -> Result<ParameterValue, &'static str> {
    const NO_FLOAT: &str = "it is tagged !!float and is no number";
    let (negative, text) = unsigned(&text.to_lowercase());
    let value = match text.as_str() {
        ".inf" => f64::INFINITY,
        ".nan" => return Ok(ParameterValue::Float(f64::NAN)),
        text => {
            let mut base = 1.0;
            let mut value = 0.0;
            // The order of PyYAML's additions, so that the last bit is the same.
            for part in text.rsplit(':') {
                let part = parse_float(part).ok_or(NO_FLOAT)?;
                value = if text.contains(':') { value + part * base } else { part };
                base *= 60.0;
            }
            value
        }
    };
    Ok(ParameterValue::Float(if negative { -value } else { value }))
}

/// A natural number of any size: digits to the base 10⁹, the lowest first.
#[derive(Default)]
struct Natural(Vec<u32>);

impl Natural {
    const BASE: u64 = 1_000_000_000;

    /// `None` when there is no digit, or one that is none to this radix.
    fn push_digits(&mut self, digits: &str, radix: u32) -> Option<()> {
        if digits.is_empty() {
            return None;
        }
        for digit in digits.chars() {
            self.multiply_and_add(radix, digit.to_digit(radix)?);
        }
        Some(())
    }

    fn multiply_and_add(&mut self, factor: u32, summand: u32) {
        let mut carry = u64::from(summand);
        for digit in &mut self.0 {
            let value = u64::from(*digit) * u64::from(factor) + carry;
            *digit = (value % Self::BASE) as u32;
            carry = value / Self::BASE;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    fn to_decimal(&self) -> String {
        let mut digits = self.0.iter().rev();
        let mut text = digits.next().map_or_else(|| "0".to_owned(), u32::to_string);
        digits.for_each(|digit| text.push_str(&format!("{digit:09}")));
        text
    }
}
