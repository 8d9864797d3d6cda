//! What a sweep tries for one parameter.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;
use serde_json::{Map, Number, Value};

use super::decimal::{Decimal, float};

/// One parameter's values. How many there are is known before any is made.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Axis {
    /// Always this one.
    Fixed(Value),
    /// These, in order.
    Values(Vec<Value>),
    /// `start`, `start + step` and so on: `count` of them.
    Range { start: Number, step: Number, count: u64 },
    /// From `start` to `stop`, both included, evenly.
    Linspace { start: Number, stop: Number, count: u64 },
    /// Ten to the power of each of a [`Axis::Linspace`].
    Logspace { start: Number, stop: Number, count: u64 },
    /// Drawn anew for each point.
    Random(Distribution),
}

/// From what a value is drawn.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Distribution {
    Uniform(f64, f64),
    LogUniform(f64, f64),
    /// Both ends included.
    IntUniform(i64, i64),
    Choice(Vec<Value>),
}

/// The words for an object with one of these as its only key.
const WORDS: [&str; 8] =
    ["value", "range", "linspace", "logspace", "uniform", "log_uniform", "int_uniform", "choice"];

impl Axis {
    /// What a request says of one parameter.
    pub(super) fn parse(value: Value) -> Result<Self, String> {
        let map = match value {
            Value::Array(values) if values.is_empty() => {
                return Err(
                    "is an empty list, so there is nothing to try: write {\"value\": []} for a list".into()
                );
            }
            Value::Array(values) => return Ok(Self::Values(values)),
            Value::Object(map) => map,
            other => return Ok(Self::Fixed(other)),
        };
        let word = match map.keys().next() {
            Some(word) if map.len() == 1 && WORDS.contains(&word.as_str()) => word.clone(),
            _ => return Ok(Self::Fixed(Value::Object(map))),
        };
        let inner = map.into_iter().next().map(|(_, value)| value).unwrap_or_default();
        match word.as_str() {
            "value" => Ok(Self::Fixed(inner)),
            "range" => range(&inner),
            "linspace" => {
                let [start, stop, count] = spaced(&inner, "linspace")?;
                Ok(Self::Linspace { start, stop, count: how_many(&count, "linspace")? })
            }
            "logspace" => {
                let [start, stop, count] = spaced(&inner, "logspace")?;
                Ok(Self::Logspace { start, stop, count: how_many(&count, "logspace")? })
            }
            "choice" => match inner {
                Value::Array(values) if !values.is_empty() => Ok(Self::Random(Distribution::Choice(values))),
                _ => Err("`choice` must be a list of values, one at least".into()),
            },
            word => Ok(Self::Random(bounds(&inner, word)?)),
        }
    }

    /// How many values there are; 1 for what does not vary.
    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Fixed(_) | Self::Random(_) => 1,
            Self::Values(values) => values.len() as u64,
            Self::Range { count, .. } | Self::Linspace { count, .. } | Self::Logspace { count, .. } => *count,
        }
    }

    /// Whether it has one value for all points.
    pub(super) fn is_fixed(&self) -> bool {
        matches!(self, Self::Fixed(_))
    }

    /// The value at a place below [`Axis::count`].
    pub(super) fn get(&self, index: u64) -> Value {
        match self {
            Self::Fixed(value) => value.clone(),
            Self::Values(values) => {
                usize::try_from(index).ok().and_then(|index| values.get(index)).cloned().unwrap_or_default()
            }
            Self::Range { start, step, .. } => range_value(start, step, index),
            Self::Linspace { start, stop, count } => linspace_value(start, stop, *count, index),
            Self::Logspace { start, stop, count } => {
                match linspace_value(start, stop, *count, index).as_f64() {
                    // Whole powers of ten are exact when they are read, not when they are computed.
                    Some(exponent) if exponent.fract() == 0.0 => {
                        float(format!("1e{exponent}").parse().unwrap_or(f64::NAN))
                    }
                    Some(exponent) => float(10_f64.powf(exponent)),
                    None => Value::Null,
                }
            }
            Self::Random(_) => Value::Null,
        }
    }

    /// A value for a point of a random sample.
    pub(super) fn draw(&self, random: &mut ChaCha8Rng) -> Value {
        match self {
            Self::Fixed(value) => value.clone(),
            Self::Random(Distribution::Uniform(low, high)) => {
                let unit = unit(random);
                // Not `low + unit × (high − low)`, whose difference may be beyond any float.
                float((low * (1.0 - unit) + high * unit).clamp(*low, *high))
            }
            Self::Random(Distribution::LogUniform(low, high)) => {
                let unit = unit(random);
                float((low.ln() * (1.0 - unit) + high.ln() * unit).exp().clamp(*low, *high))
            }
            Self::Random(Distribution::IntUniform(low, high)) => {
                let drawn = below(random, high.abs_diff(*low).checked_add(1));
                Value::from(low.wrapping_add_unsigned(drawn))
            }
            Self::Random(Distribution::Choice(values)) => {
                let drawn = below(random, Some(values.len() as u64));
                usize::try_from(drawn).ok().and_then(|at| values.get(at)).cloned().unwrap_or_default()
            }
            listed => listed.get(below(random, Some(listed.count()))),
        }
    }
}

/// A float from 0 to below 1, of 53 random bits. Written here, not taken from a library whose next version may draw
/// other numbers: a seed stands for its points for ever.
fn unit(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// An integer below `bound`, each as likely; any at all without bound.
fn below(random: &mut ChaCha8Rng, bound: Option<u64>) -> u64 {
    let Some(bound) = bound else { return random.next_u64() };
    // What is beyond the last whole multiple would make the low ones likelier.
    let limit = u64::MAX - u64::MAX % bound;
    loop {
        let drawn = random.next_u64();
        if drawn < limit {
            return drawn % bound;
        }
    }
}

fn numbers<'v>(value: &'v Value) -> Option<Vec<&'v Number>> {
    let number = |value: &'v Value| match value {
        Value::Number(number) => Some(number),
        _ => None,
    };
    value.as_array()?.iter().map(number).collect()
}

fn named<'v>(map: &'v Map<String, Value>, names: &[&str]) -> Option<Vec<Option<&'v Number>>> {
    if map.keys().any(|key| !names.contains(&key.as_str())) {
        return None;
    }
    let number = |name: &&str| match map.get(*name) {
        None => Some(None),
        Some(Value::Number(number)) => Some(Some(number)),
        Some(_) => None,
    };
    names.iter().map(number).collect()
}

fn range(value: &Value) -> Result<Axis, String> {
    const FORM: &str = "`range` must be [stop], [start, stop], [start, stop, step] or an object with these as names, of numbers";
    let (zero, one) = (Number::from(0), Number::from(1));
    let parts = match value {
        Value::Object(map) => match named(map, &["start", "stop", "step"]).as_deref() {
            Some([start, Some(stop), step]) => Some((start.unwrap_or(&zero), *stop, step.unwrap_or(&one))),
            _ => None,
        },
        _ => match numbers(value).as_deref() {
            Some([stop]) => Some((&zero, *stop, &one)),
            Some([start, stop]) => Some((*start, *stop, &one)),
            Some([start, stop, step]) => Some((*start, *stop, *step)),
            _ => None,
        },
    };
    let (start, stop, step) = parts.ok_or(FORM)?;
    if step.as_f64() == Some(0.0) {
        return Err("`range` has a step of 0, which leads nowhere".into());
    }
    let exact = [start, stop, step].map(Decimal::of);
    let count = match exact {
        [Some(start), Some(stop), Some(step)] => Decimal::aligned([start, stop, step])
            .and_then(|([start, stop, step], _)| ceiling_of_ratio(stop.checked_sub(start)?, step)),
        _ => None,
    };
    let count = count.or_else(|| {
        let (start, stop, step) = (start.as_f64()?, stop.as_f64()?, step.as_f64()?);
        let count = ((stop - start) / step).ceil();
        (count.is_finite() && count < 1e18).then_some(count.max(0.0) as u64)
    });
    match count {
        None => Err("`range` has more values than can be counted".into()),
        Some(0) => Err("`range` is empty: its stop is not in it, and its start is at or beyond it".into()),
        Some(count) => Ok(Axis::Range { start: start.clone(), step: step.clone(), count }),
    }
}

/// The ceiling of `span / step`, 0 when they go in opposite directions.
fn ceiling_of_ratio(span: i128, step: i128) -> Option<u64> {
    if span == 0 || (span < 0) != (step < 0) {
        return Some(0);
    }
    u64::try_from(span.unsigned_abs().div_ceil(step.unsigned_abs())).ok()
}

fn range_value(start: &Number, step: &Number, index: u64) -> Value {
    let is_whole = !start.is_f64() && !step.is_f64();
    let exact = Decimal::of(start).zip(Decimal::of(step)).and_then(|(start, step)| {
        let ([start, step], scale) = Decimal::aligned([start, step])?;
        Some((start.checked_add(step.checked_mul(i128::from(index))?)?, scale))
    });
    match exact {
        Some((value, _)) if is_whole => i64::try_from(value)
            .map(Value::from)
            .or_else(|_| u64::try_from(value).map(Value::from))
            .unwrap_or_default(),
        Some((value, scale)) => float(Decimal::to_float(value, scale)),
        None => {
            let (start, step) = (start.as_f64().unwrap_or_default(), step.as_f64().unwrap_or_default());
            float(step.mul_add(index as f64, start))
        }
    }
}

fn linspace_value(start: &Number, stop: &Number, count: u64, index: u64) -> Value {
    let last = count - 1;
    if index == 0 || last == 0 {
        return float(start.as_f64().unwrap_or_default());
    }
    if index == last {
        return float(stop.as_f64().unwrap_or_default());
    }
    let exact = Decimal::of(start).zip(Decimal::of(stop)).and_then(|(start, stop)| {
        let ([start, stop], scale) = Decimal::aligned([start, stop])?;
        let weighted =
            start.checked_mul(i128::from(last - index))?.checked_add(stop.checked_mul(i128::from(index))?)?;
        let divisor = i128::from(last).checked_mul(10_i128.checked_pow(scale)?)?;
        // Both are exact as floats, so that the quotient is the nearest one.
        let is_exact = |number: i128| number.unsigned_abs() < 1 << 53;
        (is_exact(weighted) && is_exact(divisor)).then(|| weighted as f64 / divisor as f64)
    });
    let (start, stop) = (start.as_f64().unwrap_or_default(), stop.as_f64().unwrap_or_default());
    float(exact.unwrap_or_else(|| {
        let part = index as f64 / last as f64;
        start * (1.0 - part) + stop * part
    }))
}

fn spaced(value: &Value, word: &str) -> Result<[Number; 3], String> {
    let parts: Option<Vec<&Number>> = match value {
        Value::Object(map) => named(map, &["start", "stop", "num"])
            .and_then(|parts| parts.into_iter().collect::<Option<Vec<_>>>()),
        _ => numbers(value),
    };
    match parts.as_deref() {
        Some([start, stop, count]) => Ok([(*start).clone(), (*stop).clone(), (*count).clone()]),
        _ => Err(format!(
            "`{word}` must be [start, stop, number of values] or an object with `start`, `stop` and `num`"
        )),
    }
}

fn how_many(count: &Number, word: &str) -> Result<u64, String> {
    count
        .as_u64()
        .filter(|count| *count > 0)
        .ok_or_else(|| format!("`{word}` must end with how many values there are: a whole number from 1"))
}

fn bounds(value: &Value, word: &str) -> Result<Distribution, String> {
    let form = || format!("`{word}` must be [lowest, highest], two numbers, the first below the second");
    let numbers = numbers(value).unwrap_or_default();
    let [low, high] = numbers.as_slice() else { return Err(form()) };
    if word == "int_uniform" {
        return match (low.as_i64(), high.as_i64()) {
            (Some(low), Some(high)) if low <= high => Ok(Distribution::IntUniform(low, high)),
            _ => {
                Err("`int_uniform` must be [lowest, highest], two whole numbers in order; both can be drawn"
                    .into())
            }
        };
    }
    let (Some(low), Some(high)) = (low.as_f64(), high.as_f64()) else { return Err(form()) };
    match word {
        _ if low >= high => Err(form()),
        "log_uniform" if low <= 0.0 => Err("`log_uniform` must be of numbers above 0".into()),
        "log_uniform" => Ok(Distribution::LogUniform(low, high)),
        _ => Ok(Distribution::Uniform(low, high)),
    }
}
