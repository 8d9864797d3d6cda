//! Inspection: which parameters a notebook declares in its cell tagged `parameters`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::translate::Translator;
use super::{Cell, Notebook};

/// The tag of the cell that declares parameters and their defaults.
pub const PARAMETERS_TAG: &str = "parameters";

/// A parameter that a notebook declares. The field names are papermill's, and so are the values: all are text
/// as it stands in the cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Parameter {
    /// The variable's name.
    pub name: String,
    /// The type by annotation or `# type:` comment; `None` (the word) when neither is there.
    pub inferred_type_name: String,
    /// The default value as source text.
    pub default: String,
    /// The trailing comment; empty when there is none.
    pub help: String,
}

/// The parameters that the first cell tagged `parameters` declares, in order; none when no cell is so tagged
/// or its language cannot be inspected.
pub fn infer_parameters(notebook: &Notebook) -> Vec<Parameter> {
    Translator::for_notebook(notebook, None, None)
        .map(|translator| infer_parameters_as(notebook, translator))
        .unwrap_or_default()
}

/// [`infer_parameters`] when the language is already known.
pub fn infer_parameters_as(notebook: &Notebook, translator: Translator) -> Vec<Parameter> {
    notebook
        .cells()
        .iter()
        .find(|cell: &&Cell| cell.has_tag(PARAMETERS_TAG))
        .map(|cell| translator.inspect(&cell.source()))
        .unwrap_or_default()
}
