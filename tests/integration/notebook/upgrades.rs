//! Notebooks of older formats become what nbformat makes of them (`tests/tools/upgrade_fixtures.py`).

use std::collections::HashSet;

use bindery::notebook::Notebook;
use serde_json::{Value, json};

use super::fixture;

/// nbformat refuses them for what can be taken for empty.
const TAKEN_ALL_THE_SAME: [&str; 2] = ["test3_no_metadata.ipynb", "no outputs"];

#[test]
fn old_notebooks_become_what_nbformat_makes_of_them() {
    for row in fixture("upgrades.json") {
        let name = row["name"].as_str().unwrap();
        let read = Notebook::from_value(row["notebook"].clone());
        if row["upgraded"].is_null() {
            assert_eq!(read.is_ok(), TAKEN_ALL_THE_SAME.contains(&name), "{name}");
            continue;
        }
        let mut notebook = read.unwrap();
        notebook.upgrade_minor();
        let from = notebook.upgraded_from().unwrap();
        assert_eq!(from.major, row["notebook"]["nbformat"].as_u64().unwrap(), "{name}");
        let mut upgraded = notebook.to_value();
        // What was broken may stay so in another way.
        if row["valid"] == false {
            continue;
        }
        notebook.validate().unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut ids = HashSet::new();
        for cell in upgraded["cells"].as_array_mut().unwrap() {
            let id = cell.as_object_mut().unwrap().shift_remove("id").unwrap();
            assert!(ids.insert(id.as_str().unwrap().to_owned()), "{name}: {id} twice");
        }
        let mut expected: Value = row["upgraded"].clone();
        if from.major == 4 {
            // Nothing else is touched, not even what nbformat would write as one text and not as lines.
            expected = row["notebook"].clone();
            expected["nbformat_minor"] = 5.into();
        }
        assert!(upgraded == expected, "{name}\n ours {upgraded}\n nbformat {expected}");
        if from.major < 4 {
            let text = |value: &Value| serde_json::to_string(value).unwrap();
            assert_eq!(text(&upgraded), text(&expected), "{name}: the order of keys");
        }
    }
}

#[test]
fn what_nbformat_repairs_or_never_writes_is_no_more() {
    let cell = |id: &str| json!({"cell_type": "raw", "id": id, "metadata": {"trusted": true}, "source": id});
    let mut notebook = json!({"cells": [cell("a"), cell("b"), cell("a"), cell("a")], "nbformat": 4, "nbformat_minor": 5,
        "metadata": {"signature": "s", "orig_nbformat": 2, "orig_nbformat_minor": 1, "own": 1}});
    notebook["cells"][1].as_object_mut().unwrap().shift_remove("id");
    let mut notebook = Notebook::from_value(notebook).unwrap();
    notebook.upgrade_minor();
    notebook.validate().unwrap();
    let value = notebook.to_value();
    assert_eq!(value["cells"][0]["id"], "a");
    assert_eq!(value["cells"][0]["metadata"], json!({}));
    assert_eq!(value["metadata"], json!({"own": 1}));
}

#[test]
fn an_upgrade_gives_the_same_notebook_every_time() {
    let row = fixture("upgrades.json").into_iter().find(|row| row["name"] == "test3.ipynb").unwrap();
    let read = || Notebook::from_value(row["notebook"].clone()).unwrap().to_bytes();
    assert_eq!(read(), read());
}
