//! Numbers as they are written, so that `0, 0.1, 0.2, 0.3` are these and not what binary fractions make of them.

use serde_json::{Number, Value};

/// A decimal: `mantissa × 10^-scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimal {
    mantissa: i128,
    scale: u32,
}

/// The most digits behind the point.
const MAX_SCALE: u32 = 24;

impl Decimal {
    /// A JSON number in its shortest spelling; `None` for one that is too long or too small for exact sums.
    pub(super) fn of(number: &Number) -> Option<Self> {
        let text = number.to_string();
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
            None => (text.as_str(), 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let mantissa: i128 = format!("{whole}{}", fraction.trim_end_matches('0')).parse().ok()?;
        let scale = i32::try_from(fraction.trim_end_matches('0').len()).ok()? - exponent;
        match u32::try_from(scale) {
            Ok(scale) => (scale <= MAX_SCALE).then_some(Self { mantissa, scale }),
            Err(_) => {
                let zeros = 10_i128.checked_pow(scale.unsigned_abs())?;
                Some(Self { mantissa: mantissa.checked_mul(zeros)?, scale: 0 })
            }
        }
    }

    /// The mantissas of several at one scale.
    pub(super) fn aligned<const COUNT: usize>(decimals: [Self; COUNT]) -> Option<([i128; COUNT], u32)> {
        let scale = decimals.iter().map(|decimal| decimal.scale).max()?;
        let mut mantissas = [0; COUNT];
        for (mantissa, decimal) in mantissas.iter_mut().zip(decimals) {
            *mantissa = decimal.mantissa.checked_mul(10_i128.checked_pow(scale - decimal.scale)?)?;
        }
        Some((mantissas, scale))
    }

    /// The float nearest to `mantissa × 10^-scale`.
    pub(super) fn to_float(mantissa: i128, scale: u32) -> f64 {
        // Rust reads decimals to the nearest float.
        format!("{mantissa}e-{scale}").parse().unwrap_or(f64::NAN)
    }
}

/// A float as JSON.
pub(super) fn float(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}
