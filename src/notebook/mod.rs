//! The notebook: a thin type over order-preserving JSON.
//!
//! What Bindery does not change it keeps: unknown fields, key order, the spelling of everything (but of
//! integers beyond 64 bits, which become floats, as they do in every browser). Pure: no
//! I/O and no async here. Submodules: [`json`] writes the format, [`Cell`] is one cell, and what is done to
//! a notebook (validation, parameters, recording an execution) stands in a file of its own.

mod cell;
mod exact_json;
pub mod inject;
pub mod inspect;
pub mod json;
pub mod parameters;
pub mod path_template;
mod python_rules;
pub mod record;
pub mod results;
mod streams;
pub mod translate;
mod upgrade;
pub mod validate;
mod value;
pub mod widgets;
pub mod yaml;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
pub(crate) use cell::object_entry;
pub use cell::{Cell, CellType, join_lines, split_lines};
pub use inspect::{Parameter, infer_parameters};
pub use parameters::Parameters;
pub use translate::Translator;
pub use upgrade::Format;
pub use value::{ParameterValue, parse_cli_value};

/// A notebook of nbformat 4; those of 2 and 3 are upgraded when they are read, as nbformat does.
#[derive(Debug, Clone, PartialEq)]
pub struct Notebook {
    /// Every top-level field in file order; the value of `cells` is a placeholder.
    fields: Map<String, Value>,
    cells: Vec<Cell>,
    upgraded_from: Option<Format>,
}

impl Notebook {
    /// Reads a notebook.
    ///
    /// # Errors
    /// `NotANotebook` when the bytes are not JSON (with line and column) or JSON of another kind;
    /// `Invalid` when it is a notebook of a format other than 4, 3 and 2, or its cells are none.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        // Python's json module, and with it Jupyter, refuses these two as well.
        if bytes.starts_with(b"\xef\xbb\xbf") {
            return Err(Error::not_a_notebook(
                "not a notebook: the file begins with a byte order mark: save it as UTF-8 without one",
            ));
        }
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            return Err(Error::not_a_notebook("not a notebook: the file is in UTF-16: save it as UTF-8"));
        }
        let value: Value = serde_json::from_slice(bytes).map_err(|error| {
            // Python writes them all the same, papermill for one, and no editor opens the notebook then.
            let hint = if has_bare_float_word(bytes, error.line(), error.column()) {
                ": NaN and Infinity are not JSON: put null or a string in their place"
            } else {
                ""
            };
            Error::not_a_notebook(format!("not a notebook: the file is not valid JSON ({error}){hint}"))
        })?;
        Self::from_value(value)
    }

    /// Takes a notebook from its JSON; see [`Notebook::parse`].
    ///
    /// # Errors
    /// As [`Notebook::parse`].
    pub fn from_value(value: Value) -> Result<Self> {
        let Value::Object(mut fields) = value else {
            return Err(Error::not_a_notebook("not a notebook: the JSON is not an object"));
        };
        let Some(format) = fields.get("nbformat") else {
            return Err(Error::not_a_notebook("not a notebook: the JSON object has no `nbformat` field"));
        };
        let upgraded_from = match format.as_u64() {
            Some(4) => None,
            Some(major @ 2..4) => {
                let minor = fields.get("nbformat_minor").and_then(Value::as_u64).unwrap_or(0);
                fields = upgrade::from_v3(fields)?;
                Some(Format { major, minor })
            }
            _ => {
                return Err(Error::invalid(format!("nbformat is {format}; known are nbformat 4, 3 and 2"))
                    .with_field("nbformat", "must be 4, 3 or 2"));
            }
        };
        let Some(cells) = fields.get_mut("cells").map(Value::take) else {
            return Err(
                Error::invalid("the notebook has no `cells`").with_field("cells", "must be a list of cells")
            );
        };
        let Value::Array(cells) = cells else {
            return Err(
                Error::invalid("`cells` is not a list").with_field("cells", "must be a list of cells")
            );
        };
        let cells = cells
            .into_iter()
            .enumerate()
            .map(|(index, cell)| match cell {
                Value::Object(cell) => Ok(Cell(cell)),
                _ => Err(Error::invalid(format!("cell {index} is not an object"))
                    .with_field(format!("cells[{index}]"), "must be an object")),
            })
            .collect::<Result<_>>()?;
        Ok(Self { fields, cells, upgraded_from })
    }

    /// The notebook as Jupyter would write it; see [`json`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        #[expect(clippy::expect_used, reason = "a Vec takes every byte, and JSON values always serialise")]
        json::write(&mut out, self).expect("serialising to memory cannot fail");
        out
    }

    /// The notebook as one JSON value.
    pub fn to_value(&self) -> Value {
        let mut fields = self.fields.clone();
        fields.insert("cells".into(), self.cells.iter().map(|cell| Value::Object(cell.0.clone())).collect());
        Value::Object(fields)
    }

    /// The cells in order.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The cells in order, for changing.
    pub fn cells_mut(&mut self) -> &mut Vec<Cell> {
        &mut self.cells
    }

    /// How many cells are code cells.
    pub fn code_cell_count(&self) -> usize {
        self.cells.iter().filter(|cell| cell.is_code()).count()
    }

    /// The notebook's metadata, if it has any.
    pub fn metadata(&self) -> Option<&Map<String, Value>> {
        self.fields.get("metadata").and_then(Value::as_object)
    }

    /// The notebook's metadata, made when absent.
    pub fn metadata_mut(&mut self) -> &mut Map<String, Value> {
        object_entry(&mut self.fields, "metadata")
    }

    /// `nbformat_minor`; 0 when absent.
    pub fn minor(&self) -> u64 {
        self.fields.get("nbformat_minor").and_then(Value::as_u64).unwrap_or(0)
    }

    /// `metadata.kernelspec.name`: the kernel that the notebook asks for.
    pub fn kernel_name(&self) -> Option<&str> {
        self.metadata()?.get("kernelspec")?.get("name")?.as_str()
    }

    /// The language: `metadata.language_info.name`, else `metadata.kernelspec.language` (papermill's order,
    /// `papermill/utils.py`, `nb_language`).
    pub fn language(&self) -> Option<&str> {
        let metadata = self.metadata()?;
        let of = |section: &str, field: &str| metadata.get(section)?.get(field)?.as_str();
        of("language_info", "name").or_else(|| of("kernelspec", "language"))
    }

    /// A cell id for this notebook, from `random`, or `None` where the format has no ids (before 4.5).
    pub fn cell_id(&self, random: impl FnOnce() -> String) -> Option<String> {
        (self.minor() >= 5).then(random)
    }
}

/// Whether a bare `NaN` or `Infinity` stands where the JSON went wrong (line and column from 1, in bytes).
fn has_bare_float_word(bytes: &[u8], line: usize, column: usize) -> bool {
    let Some(line) = bytes.split(|byte| *byte == b'\n').nth(line.saturating_sub(1)) else { return false };
    let around = &line[column.saturating_sub(2).min(line.len())..(column + 8).min(line.len())];
    ["NaN", "Infinity"].iter().any(|word| around.windows(word.len()).any(|at| at == word.as_bytes()))
}

impl Serialize for Notebook {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len()))?;
        for (name, value) in &self.fields {
            if name == "cells" {
                map.serialize_entry(name, &self.cells)?;
            } else {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}
