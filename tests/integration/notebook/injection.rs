//! Injection into real notebooks, against papermill's results.

use std::collections::HashMap;

use bindery::notebook::inject::{
    InjectOptions, Placement, add_error_markers, inject, prepare_metadata, remove_error_markers,
};
use bindery::notebook::{Notebook, Parameters, Translator, infer_parameters};
use serde_json::{Value, json};

use super::{fixture, real_notebooks};

fn parameters() -> Parameters {
    Parameters::from_json(&json!({"alpha": 0.1, "msg": "a\n\"b\"", "flags": [true, null, {"k": [1]}]}))
        .unwrap()
}

fn inject_default(notebook: &mut Notebook, parameters: &Parameters) -> bindery::notebook::inject::Injected {
    inject(notebook, parameters, InjectOptions::default(), || "0badcafe".into()).unwrap().unwrap()
}

#[test]
fn parameters_stand_where_papermill_puts_them() {
    let real: HashMap<_, _> = real_notebooks().into_iter().collect();
    let mut compared = 0;
    for row in fixture("injection.json") {
        let name = row["notebook"].as_str().unwrap();
        let mut notebook = Notebook::parse(&real[name]).unwrap();
        if let Some(error) = row["error"].as_str() {
            // Papermill also refuses a notebook that names no kernel, and languages that Bindery knows besides;
            // Bindery asks for a known language only.
            let result = inject(&mut notebook, &parameters(), InjectOptions::default(), String::new);
            let is_known = Translator::for_notebook(&notebook, None, None).is_ok();
            assert!(result.is_err() || is_known || error != "PapermillException", "{name} {error}");
            continue;
        }
        assert_eq!(serde_json::to_value(infer_parameters(&notebook)).unwrap(), row["declared"], "{name}");
        let injected = inject_default(&mut notebook, &parameters());
        let cell = &notebook.cells()[injected.cell_index];
        assert_eq!(injected.cell_index, row["index"], "{name}");
        assert_eq!(notebook.cells().len(), row["cells"], "{name}");
        assert_eq!(cell.source(), row["source"].as_str().unwrap(), "{name}");
        assert_eq!(Value::from(cell.metadata().cloned()), row["metadata"], "{name}");
        assert_eq!(notebook.metadata().unwrap()["papermill"]["parameters"], row["parameters"], "{name}");
        compared += 1;
    }
    assert!(compared >= 100, "only {compared} notebooks were compared");
}

/// What injection added is taken out of the text again: what is left must be the text as it was.
#[test]
fn everything_else_survives_byte_for_byte() {
    let mut checked = 0;
    for (name, bytes) in real_notebooks() {
        let mut notebook = Notebook::parse(&bytes).unwrap();
        let before = notebook.to_bytes();
        let known_papermill = notebook.metadata().and_then(|it| it.get("papermill")).cloned();
        let options = InjectOptions { kernel_name: Some("python"), ..InjectOptions::default() };
        let injected = inject(&mut notebook, &parameters(), options, || "0badcafe".into()).unwrap().unwrap();
        if injected.placement == Placement::Replaced {
            continue;
        }
        let cell = notebook.cells_mut().remove(injected.cell_index);
        assert_eq!(
            cell.get("id").is_some(),
            notebook.minor() >= 5,
            "{name}: an id belongs to nbformat ≥ 4.5"
        );
        match known_papermill {
            Some(papermill) => notebook.metadata_mut()["papermill"] = papermill,
            None => drop(notebook.metadata_mut().shift_remove("papermill")),
        }
        assert!(notebook.to_bytes() == before, "{name}");
        checked += 1;
    }
    assert!(checked >= 200, "only {checked} notebooks were checked");
}

fn notebook(minor: u64, tags: &[&str]) -> Notebook {
    let cells: Vec<_> = tags
        .iter()
        .enumerate()
        .map(|(index, tag)| {
            let mut cell = json!({"cell_type": "code", "execution_count": null, "metadata": {"tags": [tag], "mine": index},
                "outputs": [], "source": ["alpha = 1  # help\n", format!("beta = {index}")]});
            if minor >= 5 {
                cell["id"] = format!("id-{index}").into();
            }
            cell
        })
        .collect();
    let metadata =
        json!({"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}});
    Notebook::from_value(
        json!({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": minor}),
    )
    .unwrap()
}

#[test]
fn the_first_fitting_place_is_taken() {
    let check = |tags: &[&str], index: usize, placement: Placement, cells: usize| {
        let mut notebook = notebook(5, tags);
        let injected = inject_default(&mut notebook, &parameters());
        assert_eq!((injected.cell_index, injected.placement), (index, placement), "{tags:?}");
        assert_eq!(notebook.cells().len(), cells, "{tags:?}");
        notebook.validate().unwrap();
    };
    check(&[], 0, Placement::Top, 1);
    check(&["a", "b"], 0, Placement::Top, 3);
    check(&["a", "parameters", "parameters"], 2, Placement::AfterParameters, 4);
    check(&["a", "parameters", "injected-parameters", "injected-parameters"], 2, Placement::Replaced, 4);
    check(&["injected-parameters", "parameters"], 0, Placement::Replaced, 2);
}

#[test]
fn unknown_parameters_are_told_and_metadata_is_papermills() {
    let mut notebook = notebook(4, &["parameters"]);
    let injected = inject_default(&mut notebook, &parameters());
    assert_eq!(injected.unknown_parameters, ["msg", "flags"]);
    prepare_metadata(&mut notebook, Some("in.ipynb"), None, false);
    assert_eq!(
        notebook.metadata().unwrap()["papermill"],
        json!({"default_parameters": {}, "environment_variables": {}, "parameters": parameters().to_json(),
            "version": env!("CARGO_PKG_VERSION"), "input_path": "in.ipynb", "output_path": null})
    );
    assert_eq!(notebook.minor(), 4);
}

#[test]
fn nothing_is_done_without_parameters() {
    let mut notebook = notebook(5, &["parameters"]);
    let before = notebook.to_bytes();
    let injected = inject(&mut notebook, &Parameters::new(), InjectOptions::default(), String::new).unwrap();
    assert_eq!((injected, notebook.to_bytes()), (None, before));
}

#[test]
fn report_mode_hides_the_source_of_code_cells() {
    let mut notebook = notebook(5, &["parameters"]);
    notebook.cells_mut()[0].metadata_mut().insert("jupyter".into(), json!({"outputs_hidden": true}));
    let options = InjectOptions { report_mode: true, comment: Some("Bound"), ..InjectOptions::default() };
    inject(&mut notebook, &parameters(), options, || "new".into()).unwrap();
    prepare_metadata(&mut notebook, None, None, true);
    let jupyter = |index: usize| &notebook.cells()[index].metadata().unwrap()["jupyter"];
    assert_eq!(jupyter(0), &json!({"outputs_hidden": true, "source_hidden": true}));
    assert_eq!(jupyter(1), &json!({"source_hidden": true}));
    assert!(notebook.cells()[1].source().starts_with("# Bound\nalpha = 0.1\n"));
}

#[test]
fn the_kernel_and_language_given_go_before_the_notebooks_own() {
    let mut notebook = notebook(5, &[]);
    let options = InjectOptions { language: Some("C++"), ..InjectOptions::default() };
    let error = inject(&mut notebook, &parameters(), options, String::new).unwrap_err();
    assert!(error.message().contains("language `C++`"), "{error}");
    assert_eq!(notebook.cells().len(), 0, "a refused injection leaves the notebook alone");
}

#[test]
fn notebooks_of_other_languages_get_papermills_cell() {
    let real: HashMap<_, _> = real_notebooks().into_iter().collect();
    let rows = fixture("translators_notebooks.json");
    let parameters = Parameters::from_json(&json!({"alpha": 0.1, "message": "a \"b\"", "n": 3})).unwrap();
    assert!(rows.len() >= 10);
    for row in rows {
        let name = row["notebook"].as_str().unwrap();
        let mut notebook = Notebook::parse(&real[name]).unwrap();
        let injected = inject_default(&mut notebook, &parameters);
        assert_eq!(injected.cell_index, row["index"], "{name}");
        assert_eq!(notebook.cells()[injected.cell_index].source(), row["source"].as_str().unwrap(), "{name}");
        // Papermill warns of every parameter here, for want of an inspection.
        assert!(injected.unknown_parameters.is_empty(), "{name}");
    }
}

#[test]
fn a_value_that_the_language_cannot_hold_leaves_the_notebook_alone() {
    let mut notebook = notebook(5, &["parameters"]);
    let before = notebook.to_bytes();
    let options = InjectOptions { kernel_name: Some("bash"), ..InjectOptions::default() };
    let error = inject(&mut notebook, &parameters(), options, String::new).unwrap_err();
    assert_eq!(error.fields()[0].field, "parameters.flags");
    assert!(notebook.to_bytes() == before);
}

#[test]
fn error_markers_are_papermills_and_can_be_removed() {
    for row in fixture("error_markers.json") {
        let mut notebook = notebook(5, &["a", "b", "c"]);
        let before = notebook.to_bytes();
        let mut ids = ["x", "y"].into_iter();
        add_error_markers(&mut notebook, 1, row["execution_count"].as_u64(), || {
            ids.next().unwrap().to_owned()
        });
        notebook.validate().unwrap();
        for (index, expected) in row["cells"].as_array().unwrap().iter().enumerate() {
            let cell = &notebook.cells()[index];
            assert_eq!(cell.get("cell_type").unwrap(), &expected[0]);
            if expected[0] == "markdown" {
                assert_eq!(Value::from(cell.metadata().cloned()), expected[1]);
                assert_eq!(cell.source(), expected[2].as_str().unwrap());
            }
        }
        remove_error_markers(&mut notebook);
        assert!(notebook.to_bytes() == before);
    }
}
