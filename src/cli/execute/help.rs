//! `--help-notebook`: what a notebook takes, in papermill's words.

use crate::notebook::Parameter;

/// What papermill prints of a notebook's parameters (`papermill/inspection.py`, `display_notebook_help`).
pub(super) fn notebook_help(notebook: &str, declared: Option<&[Parameter]>) -> String {
    let mut text = format!(
        "Usage: bindery execute [OPTIONS] [IN] [OUT]\n\nParameters inferred for notebook '{notebook}':\n"
    );
    match declared {
        None => text.push_str("\n  No cell tagged 'parameters'\n"),
        Some([]) => text.push_str(
            "\n  Can't infer anything about this notebook's parameters. It may not have any parameter defined.\n",
        ),
        Some(parameters) => parameters.iter().for_each(|Parameter { name, inferred_type_name, default, help }| {
            let type_name = if inferred_type_name == "None" { "Unknown type" } else { inferred_type_name };
            let definition = format!("  {name}: {type_name} (default {default})");
            text.push_str(&match (definition.chars().count(), help.is_empty()) {
                (..=30, _) => format!("{definition:<34}{help}\n"),
                (_, true) => format!("{definition}\n"),
                (_, false) => format!("{definition}\n{:34}{help}\n", ""),
            });
        }),
    }
    text
}
