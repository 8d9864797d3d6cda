//! Python's format specification, `[[fill]align][sign][#][0][width][grouping][.precision][type]`, for texts and
//! numbers (the "Format Specification Mini-Language" of Python's `string` module).

use super::text::plain_text;
use super::{Fault, other};
use crate::notebook::json::python_float;
use crate::notebook::value::ParameterValue;

/// No file name is as wide.
const MAX_WIDTH: usize = 4096;

#[derive(Default)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    alternate: bool,
    zero: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

impl Spec {
    fn parse(text: &str) -> Result<Self, Fault> {
        let characters: Vec<char> = text.chars().collect();
        let is_align = |at: usize| characters.get(at).is_some_and(|it| matches!(it, '<' | '>' | '^' | '='));
        let mut spec = Self::default();
        let mut at = 0;
        if is_align(1) {
            (spec.fill, spec.align, at) = (Some(characters[0]), Some(characters[1]), 2);
        } else if is_align(0) {
            (spec.align, at) = (Some(characters[0]), 1);
        }
        let mut take = |wanted: &[char]| {
            let found = characters.get(at).copied().filter(|it| wanted.contains(it));
            at += usize::from(found.is_some());
            found
        };
        spec.sign = take(&['+', '-', ' ']);
        spec.alternate = take(&['#']).is_some();
        spec.zero = take(&['0']).is_some();
        const DIGITS: [char; 10] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];
        let number = |take: &mut dyn FnMut(&[char]) -> Option<char>| {
            let mut digits = String::new();
            while let Some(digit) = take(&DIGITS) {
                digits.push(digit);
            }
            match digits.as_str() {
                "" => Ok(None),
                digits => match digits.parse() {
                    Ok(number @ ..=MAX_WIDTH) => Ok(Some(number)),
                    _ => other(format!("a width or precision of {digits} is too large")),
                },
            }
        };
        spec.width = number(&mut take)?.unwrap_or(0);
        spec.grouping = take(&[',', '_']);
        if take(&['.']).is_some() {
            spec.precision = number(&mut take)?;
            if spec.precision.is_none() {
                return other("a format lacks its precision");
            }
        }
        spec.kind = characters.get(at).copied();
        match characters.len() - at {
            0 | 1 => Ok(spec),
            _ => other(format!("`{text}` is no format")),
        }
    }

    /// Fills up to the width; `number` has its sign (and prefix) apart, behind which zeros go.
    fn pad(&self, prefix: &str, body: &str, default: char) -> String {
        let missing = self.width.saturating_sub(prefix.chars().count() + body.chars().count());
        let fill = self.fill.unwrap_or(if self.zero { '0' } else { ' ' });
        let align = self.align.unwrap_or(if self.zero && default == '>' { '=' } else { default });
        let fills = |count: usize| std::iter::repeat_n(fill, count).collect::<String>();
        match align {
            '<' => format!("{prefix}{body}{}", fills(missing)),
            '^' => format!("{}{prefix}{body}{}", fills(missing / 2), fills(missing - missing / 2)),
            '=' => format!("{prefix}{}{body}", fills(missing)),
            _ => format!("{}{prefix}{body}", fills(missing)),
        }
    }

    fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.sign) {
            (true, _) => "-",
            (false, Some('+')) => "+",
            (false, Some(' ')) => " ",
            (false, _) => "",
        }
    }
}

/// A parameter in a format.
pub(super) fn value(value: &ParameterValue, format: &str) -> Result<String, Fault> {
    if format.is_empty() {
        return Ok(plain_text(value));
    }
    match value {
        ParameterValue::String(it) => text(it, format),
        ParameterValue::Bool(it) => integer(&u8::from(*it).to_string(), Spec::parse(format)?),
        ParameterValue::Integer(it) => integer(&it.to_string(), Spec::parse(format)?),
        ParameterValue::BigInteger(digits) => integer(digits, Spec::parse(format)?),
        ParameterValue::Float(it) => float(*it, Spec::parse(format)?),
        ParameterValue::Null | ParameterValue::List(_) | ParameterValue::Dict(_) => {
            other("None, lists and mappings take no format")
        }
    }
}

/// A text in a format.
pub(super) fn text(text: &str, format: &str) -> Result<String, Fault> {
    let spec = Spec::parse(format)?;
    let is_numeric =
        spec.sign.is_some() || spec.alternate || spec.grouping.is_some() || spec.align == Some('=');
    if is_numeric || !matches!(spec.kind, None | Some('s')) {
        return other(format!("`{format}` is no format for a text"));
    }
    let shown: String = text.chars().take(spec.precision.unwrap_or(usize::MAX)).collect();
    Ok(spec.pad("", &shown, '<'))
}

fn integer(digits: &str, spec: Spec) -> Result<String, Fault> {
    let kind = spec.kind.unwrap_or('d');
    if matches!(kind, 'e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%') {
        return float(digits.parse().unwrap_or(f64::NAN), spec);
    }
    if spec.precision.is_some() {
        return other("an integer has no precision");
    }
    let (negative, magnitude) = match digits.strip_prefix('-') {
        Some(magnitude) => (true, magnitude),
        None => (false, digits),
    };
    let small = || {
        magnitude
            .parse::<u128>()
            .map_err(|_| Fault::Other("so large an integer is written in decimal only".into()))
    };
    let (prefix, body, group) = match kind {
        'd' | 'n' => ("", magnitude.to_owned(), 3),
        'b' => ("0b", format!("{:b}", small()?), 4),
        'o' => ("0o", format!("{:o}", small()?), 4),
        'x' => ("0x", format!("{:x}", small()?), 4),
        'X' => ("0X", format!("{:X}", small()?), 4),
        _ => return other(format!("`{kind}` is no type for an integer")),
    };
    let prefix = format!("{}{}", spec.sign(negative), if spec.alternate { prefix } else { "" });
    grouped(&spec, &prefix, &body, "", group)
}

fn float(value: f64, spec: Spec) -> Result<String, Fault> {
    let negative = value.is_sign_negative() && !value.is_nan();
    let magnitude = value.abs();
    let precision = spec.precision.unwrap_or(6);
    let body = match spec.kind {
        _ if value.is_nan() => "nan".to_owned(),
        _ if value.is_infinite() => "inf".to_owned(),
        Some('f' | 'F') => format!("{magnitude:.precision$}"),
        Some('%') => format!("{:.precision$}", magnitude * 100.0),
        Some('e' | 'E') => scientific(magnitude, precision),
        Some('g' | 'G' | 'n') => general(magnitude, precision.max(1), false),
        None if spec.precision.is_none() => python_float(magnitude),
        None => general(magnitude, precision.max(1), true),
        Some(kind) => return other(format!("`{kind}` is no type for a float")),
    };
    let body = if matches!(spec.kind, Some('E' | 'F' | 'G')) { body.to_uppercase() } else { body };
    if spec.alternate {
        return other("# is known for integers only");
    }
    let split = body.find(|character: char| !character.is_ascii_digit()).unwrap_or(body.len());
    let (whole, fraction) = body.split_at(split);
    let percent = if spec.kind == Some('%') { "%" } else { "" };
    grouped(&spec, spec.sign(negative), whole, &format!("{fraction}{percent}"), 3)
}

/// Digits with separators, filled with zeros that have them, too.
fn grouped(spec: &Spec, prefix: &str, whole: &str, rest: &str, group: usize) -> Result<String, Fault> {
    let Some(separator) = spec.grouping else { return Ok(spec.pad(prefix, &format!("{whole}{rest}"), '>')) };
    let mut digits = whole.to_owned();
    if separator == ',' && group == 4 {
        return other("a comma separates decimal digits only");
    }
    let with_separators = |digits: &str| {
        let mut text = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(group) {
                text.push(separator);
            }
            text.push(digit);
        }
        text
    };
    let fills_zeros = spec.zero && spec.align.is_none_or(|align| align == '=') && spec.fill.is_none();
    while fills_zeros
        && !digits.is_empty()
        && prefix.len() + with_separators(&digits).len() + rest.len() < spec.width
    {
        digits.insert(0, '0');
    }
    Ok(spec.pad(prefix, &format!("{}{rest}", with_separators(&digits)), '>'))
}

fn scientific(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// C's `%g`; `as_float` is Python's form without a type, which never looks like an integer.
fn general(value: f64, precision: usize, as_float: bool) -> String {
    let text = format!("{value:.*e}", precision - 1);
    let exponent: i32 = text.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    let limit = i32::try_from(precision).unwrap_or(i32::MAX) - i32::from(as_float);
    let without_zeros = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < -4 || exponent >= limit {
        let text = scientific(value, precision - 1);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "+00"));
        return format!("{}e{exponent}", without_zeros(mantissa));
    }
    let decimals = usize::try_from(i32::try_from(precision).unwrap_or(i32::MAX) - 1 - exponent).unwrap_or(0);
    let text = without_zeros(&format!("{value:.decimals$}"));
    if as_float && !text.contains('.') { format!("{text}.0") } else { text }
}
