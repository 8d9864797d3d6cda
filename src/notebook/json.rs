//! The JSON of a notebook, written as Jupyter writes it.
//!
//! Jupyter's writer is Python's `json.dumps(indent=1, ensure_ascii=False, separators=(",", ": "))` and a
//! final newline. `serde_json`'s pretty formatter agrees with it everywhere but in floats: Python writes
//! `1e-05` and `1e+16` where Rust writes `1e-5` and `1e16`. Key order is kept, not sorted: whoever wrote
//! the notebook chose it.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, PrettyFormatter};

/// Serialises `value` as Jupyter would, with the newline at the end.
///
/// # Errors
/// Only when `out` refuses the bytes.
pub fn write<T: Serialize + ?Sized>(out: impl Write, value: &T) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(out, JupyterFormatter::default());
    value.serialize(&mut serializer).map_err(io::Error::from)?;
    serializer.into_inner().write_all(b"\n")
}

/// One float as Python's `repr` spells it. Not for NaN and infinities, which JSON has not.
pub fn python_float(value: f64) -> String {
    // Rust's `{:e}` gives the shortest digits that read back to the same number, as Python's repr does.
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        return format!("{value:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

struct JupyterFormatter(PrettyFormatter<'static>);

impl Default for JupyterFormatter {
    fn default() -> Self {
        Self(PrettyFormatter::with_indent(b" "))
    }
}

impl Formatter for JupyterFormatter {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(python_float(value).as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        self.0.write_char_escape(writer, escape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_spelled_as_python_spells_them() {
        let check = |value: f64, expected: &str| assert_eq!(python_float(value), expected, "{value}");
        check(0.1, "0.1");
        check(1.0, "1.0");
        check(-0.0, "-0.0");
        check(1e-5, "1e-05");
        check(0.0001, "0.0001");
        check(1.5e-7, "1.5e-07");
        check(1e15, "1000000000000000.0");
        check(1e16, "1e+16");
        check(1.7976931348623157e308, "1.7976931348623157e+308");
        check(5e-324, "5e-324");
        check(123456789.125, "123456789.125");
    }

    #[test]
    fn text_is_escaped_as_python_escapes_it() {
        let mut out = Vec::new();
        write(
            &mut out,
            &serde_json::json!({"a": "é\u{7f}\u{1}\u{8}\u{c}\n\t\"\\/", "e": {}, "l": [], "n": [1]}),
        )
        .unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\n \"a\": \"é\u{7f}\\u0001\\b\\f\\n\\t\\\"\\\\/\",\n \"e\": {},\n \"l\": [],\n \"n\": [\n  1\n ]\n}\n"
        );
    }
}
