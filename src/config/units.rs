//! Sizes and times as people write them.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// A number of bytes, such as `50MB`, `8MiB` or `1000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub struct ByteSize(pub u64);

/// A time, such as `1.5`, `30s`, `5m` or `1h 30m`; a bare number is seconds, as in papermill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub struct Seconds(pub Duration);

fn number_with_unit(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let text = text.trim();
    let split = text.find(|character: char| character.is_ascii_alphabetic()).unwrap_or(text.len());
    let number: f64 =
        text[..split].trim().parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)?;
    let unit = units.iter().find(|(unit, _)| unit.eq_ignore_ascii_case(&text[split..]))?;
    Some(number * unit.1).filter(|number| *number < 1e15)
}

impl std::str::FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [
            ("", 1.0),
            ("B", 1.0),
            ("kB", 1e3),
            ("MB", 1e6),
            ("GB", 1e9),
            ("KiB", 1024.0),
            ("MiB", 1_048_576.0),
            ("GiB", 1_073_741_824.0),
        ];
        number_with_unit(text, &units)
            .map(|bytes| Self(bytes as u64))
            .ok_or_else(|| format!("`{text}` is not a size: write it as 50MB, 8MiB or 1000"))
    }
}

impl std::str::FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const UNITS: [(&str, f64); 6] =
            [("", 1.0), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86400.0)];
        let one = || number_with_unit(text, &UNITS);
        // Each of several has a unit.
        let several = || text.split_whitespace().map(|part| number_with_unit(part, &UNITS[1..])).sum();
        one()
            .or_else(|| text.trim().contains(char::is_whitespace).then(several)?)
            .map(|seconds: f64| Self(Duration::from_secs_f64(seconds)))
            .ok_or_else(|| format!("`{text}` is not a time: write it as 30s, 5m, 1h 30m or 1.5"))
    }
}

macro_rules! from_toml_value {
    ($type:ty) => {
        impl TryFrom<toml::Value> for $type {
            type Error = String;

            fn try_from(value: toml::Value) -> Result<Self, String> {
                match value {
                    toml::Value::String(text) => text.parse(),
                    other => other.to_string().parse(),
                }
            }
        }
    };
}
from_toml_value!(ByteSize);
from_toml_value!(Seconds);

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1_000_000 && bytes % 1_000_000 == 0 => {
                write!(formatter, "{}MB", bytes / 1_000_000)
            }
            bytes => write!(formatter, "{bytes}"),
        }
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}s", self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_read_with_their_units() {
        let size = |text: &str, expected: Option<u64>| {
            assert_eq!(text.parse::<ByteSize>().ok().map(|size| size.0), expected, "{text}");
        };
        size("50MB", Some(50_000_000));
        size("8 MiB", Some(8_388_608));
        size("1000", Some(1000));
        size("-1", None);
        size("lots", None);
        let time = |text: &str, expected: Option<f64>| {
            assert_eq!(text.parse::<Seconds>().ok().map(|time| time.0.as_secs_f64()), expected, "{text}");
        };
        time("30", Some(30.0));
        time("1.5m", Some(90.0));
        time("200ms", Some(0.2));
        time("1h 30m", Some(5400.0));
        time(" 1d  2h 3s ", Some(93_603.0));
        time("5 m", Some(300.0));
        time("1h 30", None);
        time("h 30m", None);
        time("", None);
        time("5 parsecs", None);
    }
}
