//! The errors that cells show, as against those that they answer with.

use serde_json::Value;

use super::messages::strings;
use super::recording::Recording;
use crate::execution::{CellError, CellPolicy};
use crate::notebook::Cell;

/// Whether an exception ends the notebook, and well: papermill's rule.
pub(super) fn is_polite_exit(ename: &str, evalue: &str) -> bool {
    ename == "SystemExit" && matches!(evalue, "" | "0")
}

/// The error that a cell shows although it ended well: `%run` of a script that fails, `showtraceback()`. It stops
/// nothing, and fails the run at its end, as it does under papermill (`raise_for_execution_errors`); nbclient lets
/// it pass. Where several cells show one, the last counts.
pub(super) fn shown_error(recording: &Recording, policy: &CellPolicy) -> Option<CellError> {
    let text = |output: &Value, field: &str| {
        output.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let error_in = |(index, cell): (usize, &Cell)| {
        if cell.has_tag("raises-exception") && !policy.force_raise_errors {
            return None;
        }
        let errors = cell.outputs().iter().filter(|output| text(output, "output_type") == "error");
        let mut errors = errors.map(|output| CellError {
            cell_index: Some(index),
            ename: text(output, "ename"),
            evalue: text(output, "evalue"),
            traceback: strings(output.get("traceback")),
        });
        errors.find(|error| !policy.allows(&error.ename) && !is_polite_exit(&error.ename, &error.evalue))
    };
    recording.cells().iter().enumerate().rev().find_map(error_in)
}

/// Some kernels (evcxr) leave out of their answer what they have shown: then the first error that was shown has it.
pub(super) fn with_shown_name(error: CellError, outputs: &[Value]) -> CellError {
    let shown = outputs.iter().find(|output| output.get("output_type").is_some_and(|it| it == "error"));
    match shown {
        Some(shown) if error.ename.is_empty() => {
            let text = |field: &str| shown.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
            let lines = shown.get("traceback").and_then(Value::as_array).into_iter().flatten();
            let traceback = lines.filter_map(Value::as_str).map(str::to_owned).collect();
            CellError { ename: text("ename"), evalue: text("evalue"), traceback, ..error }
        }
        _ => error,
    }
}
