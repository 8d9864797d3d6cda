//! What goes to standard output: tables, JSON, bytes. Everything else goes to standard error.

use std::io::Write;
use std::sync::LazyLock;

use jiff::Timestamp;
use regex::Regex;
use serde::Serialize;

use crate::error::{Error, Result};

/// A line on standard output; for telling a story, where a reader that went away is no reason to stop.
macro_rules! say {
    ($($text:tt)*) => { $crate::cli::print::line(std::io::stdout(), format_args!($($text)*)) };
}

/// A line on standard error. Unlike `eprintln!` it does not panic when nobody reads: `bindery serve 2>&1 | tee log`
/// must end well although Ctrl-C ends `tee` first.
macro_rules! tell {
    ($($text:tt)*) => { $crate::cli::print::line(std::io::stderr(), format_args!($($text)*)) };
}

pub(super) use {say, tell};

/// See `say` and `tell`.
pub(super) fn line(mut stream: impl Write, text: std::fmt::Arguments<'_>) {
    let _ = writeln!(stream, "{text}").and_then(|()| stream.flush());
}

/// Columns as wide as their widest cell, two spaces between them.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .chain([head[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let head = head.map(str::to_owned);
    let mut text = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Names and values below each other; what has no value is left out.
pub(super) fn properties<'a>(rows: impl IntoIterator<Item = (&'a str, Option<String>)>) -> String {
    let rows: Vec<_> = rows.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
}

/// A time for people: UTC, to the second.
pub(super) fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// One line of a text that may be long.
pub(super) fn shortened(text: &str, characters: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if line.len() < text.trim_end().len() => format!("{line} …"),
        None => line.to_owned(),
    }
}

/// A text of a kernel without its colours (papermill's `strip_color`) and without other control sequences.
pub(super) fn without_colours(text: &str) -> String {
    static SEQUENCE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?)").ok());
    match &*SEQUENCE {
        Some(sequence) => sequence.replace_all(text, "").into_owned(),
        None => text.to_owned(),
    }
}

pub(super) fn print_json(value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::internal("the answer cannot be written as JSON").with_source(error))?;
    text.push('\n');
    print(&text)
}

/// Writes to standard output; a reader that has gone away (`| head`) is no fault.
pub(super) fn print(text: &str) -> Result<()> {
    print_bytes(text.as_bytes())
}

/// See [`print`].
pub(super) fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::unavailable("standard output cannot be written").with_source(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_and_names_stand_below_each_other() {
        let rows =
            [["1".to_owned(), "long é".to_owned(), String::new()], ["22".into(), "b".into(), "x".into()]];
        assert_eq!(table(["ID", "NAME", "END"], &rows), "ID  NAME    END\n1   long é\n22  b       x\n");
        let shown = properties([("a", Some("1".into())), ("gone", None), ("long", Some("2".into()))]);
        assert_eq!(shown, "a     1\nlong  2\n");
    }

    #[test]
    fn colours_go_and_text_stays() {
        assert_eq!(without_colours("\u{1b}[0;31mZero\u{1b}[0m [1] \u{1b}[Kend"), "Zero [1] end");
        assert_eq!(without_colours("\u{1b}]8;;http://x\u{7}link"), "link");
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(shortened("éab", 3), "éab");
        assert_eq!(shortened("éabc", 3), "éab…");
        assert_eq!(shortened("one\ntwo", 9), "one …");
    }
}
