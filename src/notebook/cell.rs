//! One cell of a notebook, over its JSON object.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};

/// A cell's JSON object; fields that Bindery does not know are kept as they are.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Cell(pub(super) Map<String, Value>);

/// The cell types of nbformat 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellType {
    /// Executed by the kernel.
    Code,
    /// Markdown text.
    Markdown,
    /// Anything else: `raw`, or a type of a later format.
    Other,
}

impl Cell {
    /// A new code cell, its keys in the order in which Jupyter writes them. `id` is for nbformat ≥ 4.5.
    pub fn code(id: Option<String>, source: &str) -> Self {
        let mut fields = Map::new();
        fields.insert("cell_type".into(), "code".into());
        fields.insert("execution_count".into(), Value::Null);
        if let Some(id) = id {
            fields.insert("id".into(), id.into());
        }
        fields.insert("metadata".into(), Value::Object(Map::new()));
        fields.insert("outputs".into(), Value::Array(Vec::new()));
        fields.insert("source".into(), split_lines(source));
        Self(fields)
    }

    /// A new markdown cell; see [`Cell::code`].
    pub fn markdown(id: Option<String>, source: &str) -> Self {
        let mut fields = Map::new();
        fields.insert("cell_type".into(), "markdown".into());
        if let Some(id) = id {
            fields.insert("id".into(), id.into());
        }
        fields.insert("metadata".into(), Value::Object(Map::new()));
        fields.insert("source".into(), split_lines(source));
        Self(fields)
    }

    /// The cell's type.
    pub fn cell_type(&self) -> CellType {
        match self.0.get("cell_type").and_then(Value::as_str) {
            Some("code") => CellType::Code,
            Some("markdown") => CellType::Markdown,
            _ => CellType::Other,
        }
    }

    /// Whether this is a code cell.
    pub fn is_code(&self) -> bool {
        self.cell_type() == CellType::Code
    }

    /// The source as one text, whether the file holds it as a string or as a list of lines.
    pub fn source(&self) -> Cow<'_, str> {
        self.0.get("source").map_or(Cow::Borrowed(""), join_lines)
    }

    /// The tags in `metadata.tags`.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.metadata()
            .and_then(|metadata| metadata.get("tags"))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
    }

    /// Whether `metadata.tags` holds `tag`.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags().any(|it| it == tag)
    }

    /// Sets `metadata.tags` to just `tag`.
    pub fn set_tag(&mut self, tag: &str) {
        self.metadata_mut().insert("tags".into(), Value::Array(vec![tag.into()]));
    }

    /// The metadata, if the cell has any.
    pub fn metadata(&self) -> Option<&Map<String, Value>> {
        self.0.get("metadata").and_then(Value::as_object)
    }

    /// The metadata, made when absent.
    pub fn metadata_mut(&mut self) -> &mut Map<String, Value> {
        object_entry(&mut self.0, "metadata")
    }

    /// The outputs; empty for anything but a code cell.
    pub fn outputs(&self) -> &[Value] {
        self.0.get("outputs").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The outputs, made when absent.
    pub fn outputs_mut(&mut self) -> &mut Vec<Value> {
        let outputs = self.0.entry("outputs").or_insert(Value::Null);
        if !outputs.is_array() {
            *outputs = Value::Array(Vec::new());
        }
        match outputs {
            Value::Array(outputs) => outputs,
            _ => unreachable!("it was made an array just above"),
        }
    }

    /// The prompt number, when the cell has been executed.
    pub fn execution_count(&self) -> Option<u64> {
        self.0.get("execution_count").and_then(Value::as_u64)
    }

    /// Sets or clears the prompt number.
    pub fn set_execution_count(&mut self, count: Option<u64>) {
        self.0.insert("execution_count".into(), count.map_or(Value::Null, Value::from));
    }

    /// A field of the cell's JSON.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field)
    }
}

/// The object at `key`, made (or put in place of what is no object) when absent.
pub(crate) fn object_entry<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let entry = map.entry(key).or_insert(Value::Null);
    if !entry.is_object() {
        *entry = Value::Object(Map::new());
    }
    match entry {
        Value::Object(entry) => entry,
        _ => unreachable!("it was made an object just above"),
    }
}

/// A multi-line text as nbformat holds it: a string, or a list of strings to be joined with nothing.
pub fn join_lines(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Array(lines) => Cow::Owned(lines.iter().filter_map(Value::as_str).collect()),
        _ => Cow::Borrowed(""),
    }
}

/// The text as the list of lines that Jupyter writes, each with its line end (Python's
/// `str.splitlines(True)`, which also ends a line at `\r`, `\x0b`, `\x0c`, `\x1c`–`\x1e`, `\x85`, U+2028 and U+2029).
pub fn split_lines(text: &str) -> Value {
    let mut lines = Vec::new();
    let mut start = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let ends = matches!(
            character,
            '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
        );
        if !ends {
            continue;
        }
        let mut end = at + character.len_utf8();
        if character == '\r' && characters.next_if(|(_, next)| *next == '\n').is_some() {
            end += 1;
        }
        lines.push(Value::from(&text[start..end]));
        start = end;
    }
    if start < text.len() {
        lines.push(Value::from(&text[start..]));
    }
    Value::Array(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_python_splits_them() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(split_lines(text), Value::from(expected.to_vec()), "{text:?}")
        };
        check("", &[]);
        check("a", &["a"]);
        check("a\nb", &["a\n", "b"]);
        check("a\r\nb\rc\n", &["a\r\n", "b\r", "c\n"]);
        check("\n\r\n", &["\n", "\r\n"]);
        check("x\u{2028}y\u{85}z", &["x\u{2028}", "y\u{85}", "z"]);
    }

    #[test]
    fn joining_undoes_splitting() {
        let text = "a\r\nb\u{2029}\n\nc";
        assert_eq!(join_lines(&split_lines(text)), text);
    }
}
