//! Notebooks of older formats, made into nbformat 4.5 as nbformat does (`nbformat/v4/convert.py`,
//! `v3/rwbase.py`): IPython wrote 2 until 2012 and 3 until 2014.
//!
//! Different from nbformat: cell ids are derived and not random, so that a notebook is upgraded to the same one
//! every time; and absent metadata and outputs are taken for empty ones.

use std::collections::HashSet;

use sha2::{Digest as _, Sha256};

use serde_json::{Map, Value, json};

use super::validate::NEWEST_MINOR;
use super::{Notebook, object_entry};
use crate::error::{Error, Result};

/// A version of the notebook format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// `nbformat`.
    pub major: u64,
    /// `nbformat_minor`.
    pub minor: u64,
}

impl std::fmt::Display for Format {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

/// Metadata of a notebook that nbformat does not keep.
const TRANSIENT: [&str; 3] = ["signature", "orig_nbformat", "orig_nbformat_minor"];

impl Notebook {
    /// Makes a notebook of nbformat 4.0 to 4.4 one of 4.5, as papermill does with every notebook that it loads:
    /// its cells get ids. In a later one, cells without an id and with the id of an earlier cell get one. What
    /// nbformat never writes into a file goes, too.
    pub fn upgrade_minor(&mut self) {
        self.strip_transient();
        let minor = self.minor();
        if minor >= NEWEST_MINOR {
            self.repair_ids();
            return;
        }
        for (index, cell) in self.cells.iter_mut().enumerate() {
            let id = derived_id(index, &cell.source());
            insert_sorted(&mut cell.0, "id", id.into());
        }
        self.fields.insert("nbformat_minor".into(), NEWEST_MINOR.into());
        self.upgraded_from.get_or_insert(Format { major: 4, minor });
    }

    /// What belongs to an open notebook and not to a file (`v4/rwbase.py`, `strip_transient`).
    fn strip_transient(&mut self) {
        for name in TRANSIENT {
            self.metadata_mut().shift_remove(name);
        }
        for cell in &mut self.cells {
            if let Some(Value::Object(metadata)) = cell.0.get_mut("metadata") {
                metadata.shift_remove("trusted");
            }
        }
    }

    /// nbformat does this to whatever it reads (`validator.py`, `_normalize`).
    fn repair_ids(&mut self) {
        let mut seen = HashSet::new();
        for (index, cell) in self.cells.iter_mut().enumerate() {
            let id = cell.get("id").cloned();
            if id.is_none_or(|id| !seen.insert(id)) {
                let id = derived_id(index, &cell.source());
                insert_sorted(&mut cell.0, "id", id.into());
            }
        }
    }

    /// The format that the notebook was read in, when that was an older one than it has now.
    pub fn upgraded_from(&self) -> Option<Format> {
        self.upgraded_from
    }
}

/// Puts a field where it belongs by name, for files whose keys are sorted.
fn insert_sorted(fields: &mut Map<String, Value>, name: &str, value: Value) {
    let at = fields.keys().position(|key| key.as_str() >= name).unwrap_or(fields.len());
    fields.shift_insert(at, name.into(), value);
}

/// An id that a cell in this place with this source always gets; 1 to 64 letters and digits.
fn derived_id(index: usize, source: &str) -> String {
    let digest = Sha256::new().chain_update(index.to_le_bytes()).chain_update(source).finalize();
    digest[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The fields of a notebook of format 2 or 3 as those of 4.5.
///
/// # Errors
/// `Invalid`, with the place, where a list is none or the text of an `application/json` output is no JSON.
pub(super) fn from_v3(mut fields: Map<String, Value>) -> Result<Map<String, Value>> {
    let mut cells = Vec::new();
    for (sheet, worksheet) in list(fields.remove("worksheets"), "worksheets")?.into_iter().enumerate() {
        let place = format!("worksheets[{sheet}].cells");
        let Value::Object(mut worksheet) = worksheet else { return Err(not_a("list of cells", &place)) };
        for cell in list(worksheet.remove("cells"), &place)? {
            let place = format!("{place}[{}]", cells.len());
            let Value::Object(cell) = cell else { return Err(not_a("cell", &place)) };
            let cell = upgrade_cell(cell, &place)?;
            cells.push(with_id(cell, cells.len()));
        }
    }
    let metadata = object_entry(&mut fields, "metadata");
    metadata.shift_remove("name");
    for transient in TRANSIENT {
        metadata.shift_remove(transient);
    }
    for transient in ["orig_nbformat", "orig_nbformat_minor"] {
        fields.remove(transient);
    }
    fields.insert("cells".into(), Value::Array(cells));
    fields.insert("nbformat".into(), 4.into());
    fields.insert("nbformat_minor".into(), NEWEST_MINOR.into());
    let mut notebook = Value::Object(fields);
    // Jupyter wrote every notebook of that time with sorted keys.
    notebook.sort_all_objects();
    match notebook {
        Value::Object(fields) => Ok(fields),
        _ => unreachable!("it was made an object just above"),
    }
}

fn with_id(mut cell: Map<String, Value>, index: usize) -> Value {
    let source = cell.get("source").map(super::join_lines).unwrap_or_default();
    let id = derived_id(index, &source);
    cell.insert("id".into(), id.into());
    Value::Object(cell)
}

fn list(value: Option<Value>, place: &str) -> Result<Vec<Value>> {
    match value {
        Some(Value::Array(values)) => Ok(values),
        _ => Err(not_a("list", place)),
    }
}

fn not_a(what: &str, place: &str) -> Error {
    Error::invalid(format!("`{place}` is not a {what}, as nbformat 3 has it"))
        .with_field(place, format!("must be a {what}"))
}

/// A text that may be a list of lines, written with their ends or, by a fault of that time, without
/// (`_join_lines`).
fn joined(value: Value) -> Value {
    let Value::Array(lines) = &value else { return value };
    let lines: Vec<&str> = lines.iter().filter_map(Value::as_str).collect();
    let has_ends = lines.first().is_some_and(|line| line.ends_with(['\n', '\r']));
    lines.join(if has_ends { "" } else { "\n" }).into()
}

fn split(value: Value) -> Value {
    match joined(value) {
        Value::String(text) => super::split_lines(&text),
        other => other,
    }
}

fn upgrade_cell(mut cell: Map<String, Value>, place: &str) -> Result<Map<String, Value>> {
    let cell_type = cell.get("cell_type").and_then(Value::as_str).unwrap_or_default().to_owned();
    cell.remove("trusted");
    object_entry(&mut cell, "metadata").remove("trusted");
    if cell_type == "code" {
        cell.remove("language");
        if let Some(collapsed) = cell.remove("collapsed") {
            object_entry(&mut cell, "metadata").insert("collapsed".into(), collapsed);
        }
        let source = cell.remove("input").unwrap_or_else(|| "".into());
        cell.insert("source".into(), split(source));
        let count = cell.remove("prompt_number").unwrap_or_default();
        cell.insert("execution_count".into(), count);
        let outputs = cell.remove("outputs").unwrap_or_else(|| json!([]));
        let outputs = list(Some(outputs), &format!("{place}.outputs"))?.into_iter().enumerate().map(
            |(index, output)| match output {
                Value::Object(output) => upgrade_output(output, &format!("{place}.outputs[{index}]")),
                _ => Err(not_a("output", &format!("{place}.outputs[{index}]"))),
            },
        );
        let outputs = outputs.collect::<Result<_>>()?;
        cell.insert("outputs".into(), Value::Array(outputs));
        return Ok(cell);
    }
    if let Some(rendered) = cell.remove("rendered") {
        cell.insert("rendered".into(), joined(rendered));
    }
    let source = joined(cell.remove("source").unwrap_or_else(|| "".into()));
    let source = if cell_type == "heading" {
        let level = cell.remove("level").and_then(|level| level.as_u64()).unwrap_or(1).clamp(1, 6);
        let lines = super::split_lines(source.as_str().unwrap_or_default());
        let line = lines.as_array().into_iter().flatten().filter_map(Value::as_str);
        let line: Vec<&str> = line.map(|line| line.trim_end_matches(['\r', '\n'])).collect();
        Value::String(format!("{} {}", "#".repeat(usize::try_from(level).unwrap_or(1)), line.join(" ")))
    } else {
        source
    };
    cell.insert("source".into(), split(source));
    if matches!(cell_type.as_str(), "heading" | "html") {
        cell.insert("cell_type".into(), "markdown".into());
    }
    Ok(cell)
}

/// The short names of mime types in format 3.
const MIME_TYPES: [(&str, &str); 8] = [
    ("text", "text/plain"),
    ("html", "text/html"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("jpeg", "image/jpeg"),
    ("latex", "text/latex"),
    ("json", "application/json"),
    ("javascript", "application/javascript"),
];

fn mime_type(name: &str) -> &str {
    MIME_TYPES.iter().find(|(short, _)| *short == name).map_or(name, |(_, mime)| mime)
}

fn upgrade_output(mut output: Map<String, Value>, place: &str) -> Result<Value> {
    match output.get("output_type").and_then(Value::as_str) {
        Some(kind @ ("pyout" | "display_data")) => {
            let is_result = kind == "pyout";
            let count = is_result.then(|| output.remove("prompt_number").unwrap_or_default());
            let metadata = std::mem::take(object_entry(&mut output, "metadata"));
            output.remove("metadata");
            output.remove("output_type");
            let mut data = Map::new();
            for (name, value) in output {
                let mime = mime_type(&name);
                // Only these were ever written as lists of lines.
                let value = if mime != name { joined(value) } else { value };
                let value = match (mime, value) {
                    ("application/json", Value::String(text)) => parse_json(&text, place)?,
                    (mime, value) if super::record::is_split(mime) => split(value),
                    (_, value) => value,
                };
                data.insert(mime.to_owned(), value);
            }
            let metadata: Map<_, _> =
                metadata.into_iter().map(|(name, value)| (mime_type(&name).to_owned(), value)).collect();
            let kind = if is_result { "execute_result" } else { "display_data" };
            let mut upgraded = json!({"data": data, "metadata": metadata, "output_type": kind});
            if let (Some(count), Some(upgraded)) = (count, upgraded.as_object_mut()) {
                upgraded.insert("execution_count".into(), count);
            }
            return Ok(upgraded);
        }
        Some("pyerr") => {
            output.insert("output_type".into(), "error".into());
        }
        Some("stream") => {
            let name = output.remove("stream").unwrap_or_else(|| "stdout".into());
            output.insert("name".into(), name);
            if let Some(text) = output.remove("text") {
                output.insert("text".into(), split(text));
            }
        }
        _ => {}
    }
    Ok(Value::Object(output))
}

fn parse_json(text: &str, place: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| {
        Error::invalid(format!("`{place}.json` is not JSON: {error}"))
            .with_field(format!("{place}.json"), "must be the text of a JSON value")
    })
}
