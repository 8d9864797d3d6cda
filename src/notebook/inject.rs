//! Writing parameters into a notebook, and the marks that papermill leaves where a run failed.
//!
//! Papermill's rules (`papermill/parameterize.py`, `papermill/execute.py`), with one difference: nothing is
//! changed that need not be. Papermill adds empty tags and metadata to every cell; here every other cell stays as it
//! was, byte for byte.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::inspect::{PARAMETERS_TAG, infer_parameters_as};
use super::translate::Translator;
use super::{Cell, Notebook, Parameters, object_entry};
use crate::error::Result;

/// The tag of the cell that holds the bound parameters.
pub const INJECTED_TAG: &str = "injected-parameters";
/// The tag of the cells that mark where a run failed.
pub const ERROR_MARKER_TAG: &str = "papermill-error-cell-tag";
/// The comment over the bound parameters when the caller gives no other.
pub const DEFAULT_COMMENT: &str = "Parameters";

/// How to inject; the default takes everything from the notebook.
#[derive(Debug, Clone, Copy, Default)]
pub struct InjectOptions<'a> {
    /// The comment on the injected cell's first line instead of [`DEFAULT_COMMENT`].
    pub comment: Option<&'a str>,
    /// The kernel that will run the notebook, when it is not the notebook's own.
    pub kernel_name: Option<&'a str>,
    /// The language, when it is not the notebook's own.
    pub language: Option<&'a str>,
    /// Whether the injected cell's source is hidden.
    pub report_mode: bool,
}

/// Where the injected cell came to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// In place of the first cell tagged `injected-parameters`.
    Replaced,
    /// After the first cell tagged `parameters`.
    AfterParameters,
    /// On top, for want of a cell tagged `parameters`: worth a warning.
    Top,
}

/// What [`inject`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    /// The index of the injected cell.
    pub cell_index: usize,
    /// Where that is.
    pub placement: Placement,
    /// The parameters given that the notebook does not declare: worth a warning each. None where the language
    /// is not inspected: papermill warns of every parameter then.
    pub unknown_parameters: Vec<String>,
}

/// Writes `parameters` into the notebook as a cell of literals, and into `metadata.papermill.parameters`.
/// Without parameters nothing is done.
///
/// `random` makes the new cell's id: 1 to 64 letters, digits, `-` and `_`; it is asked only in nbformat ≥ 4.5.
///
/// # Errors
/// `Invalid` when no translator is known for the notebook's kernel and language, and as [`Translator::codify`];
/// the notebook is then as it was.
pub fn inject(
    notebook: &mut Notebook,
    parameters: &Parameters,
    options: InjectOptions<'_>,
    random: impl FnOnce() -> String,
) -> Result<Option<Injected>> {
    if parameters.is_empty() {
        return Ok(None);
    }
    let translator = Translator::for_notebook(notebook, options.kernel_name, options.language)?;
    let source = translator.codify(parameters, options.comment.unwrap_or(DEFAULT_COMMENT))?;
    let declared = infer_parameters_as(notebook, translator);
    let declared: HashSet<_> = declared.iter().map(|it| translator.stored_name(&it.name)).collect();
    let unknown_parameters = parameters
        .iter()
        .filter(|(name, _)| translator.inspects() && !declared.contains(&translator.stored_name(name)))
        .map(|(name, _)| name.to_owned())
        .collect();

    let mut cell = Cell::code(notebook.cell_id(random), &source);
    cell.set_tag(INJECTED_TAG);
    if options.report_mode {
        hide_source(&mut cell);
    }

    let tagged = |tag| notebook.cells().iter().position(|cell| cell.has_tag(tag));
    let (placement, cell_index) = match (tagged(INJECTED_TAG), tagged(PARAMETERS_TAG)) {
        (Some(index), _) => (Placement::Replaced, index),
        (None, Some(index)) => (Placement::AfterParameters, index + 1),
        (None, None) => (Placement::Top, 0),
    };
    match placement {
        Placement::Replaced => notebook.cells_mut()[cell_index] = cell,
        _ => notebook.cells_mut().insert(cell_index, cell),
    }
    papermill_metadata(notebook).insert("parameters".into(), parameters.to_json());
    Ok(Some(Injected { cell_index, placement, unknown_parameters }))
}

/// Notes in `metadata.papermill` where the notebook came from and goes to, as papermill does before every run,
/// and in report mode hides the source of every code cell.
///
/// Papermill's report mode throws away what else stands in a cell's `metadata.jupyter`; here it is kept.
pub fn prepare_metadata(
    notebook: &mut Notebook,
    input_path: Option<&str>,
    output_path: Option<&str>,
    report_mode: bool,
) {
    if report_mode {
        notebook.cells_mut().iter_mut().filter(|cell| cell.is_code()).for_each(hide_source);
    }
    let metadata = papermill_metadata(notebook);
    metadata.insert("input_path".into(), input_path.into());
    metadata.insert("output_path".into(), output_path.into());
}

/// `metadata.papermill`, with papermill's fields when it is new; `version` is Bindery's.
pub fn papermill_metadata(notebook: &mut Notebook) -> &mut Map<String, Value> {
    let metadata = notebook.metadata_mut();
    if !metadata.get("papermill").is_some_and(Value::is_object) {
        let fresh = json!({
            "default_parameters": {},
            "environment_variables": {},
            "parameters": {},
            "version": env!("CARGO_PKG_VERSION"),
        });
        metadata.insert("papermill".into(), fresh);
    }
    object_entry(metadata, "papermill")
}

/// Takes away the marks that an earlier failed run left.
pub fn remove_error_markers(notebook: &mut Notebook) {
    notebook.cells_mut().retain(|cell| !cell.has_tag(ERROR_MARKER_TAG));
}

/// Marks the cell at `cell_index` as the one that failed: a note just before it, and one on top of the
/// notebook that links to it. The indexes of the cells grow by two from there on, by one before.
///
/// `random` makes the cells' ids, as for [`inject`].
pub fn add_error_markers(
    notebook: &mut Notebook,
    cell_index: usize,
    execution_count: Option<u64>,
    mut random: impl FnMut() -> String,
) {
    const STYLE: &str =
        r#"style="color:red; font-family:Helvetica Neue, Helvetica, Arial, sans-serif; font-size:2em;""#;

    let prompt = execution_count.map_or_else(|| "None".to_owned(), |count| count.to_string());
    let message = format!(
        r##"<span {STYLE}>An Exception was encountered at '<a href="#papermill-error-cell">In [{prompt}]</a>'.</span>"##
    );
    let anchor = format!(
        r#"<span id="papermill-error-cell" {STYLE}>Execution using papermill encountered an exception here and stopped:</span>"#
    );
    let index = cell_index.min(notebook.cells().len());
    for (index, source) in [(index, anchor), (0, message)] {
        let mut cell = Cell::markdown(notebook.cell_id(&mut random), &source);
        cell.set_tag(ERROR_MARKER_TAG);
        notebook.cells_mut().insert(index, cell);
    }
}

fn hide_source(cell: &mut Cell) {
    object_entry(cell.metadata_mut(), "jupyter").insert("source_hidden".into(), true.into());
}
