//! The notebook against papermill, nbformat and Python: tables that `tests/tools/` made with them, and real
//! notebooks.

mod bad_input;
mod corpus;
mod injection;
mod interpreters;
mod parameters;
mod path_template;
mod readers;
mod translators;
mod upgrades;
mod validation;
mod yaml;

use std::fs;
use std::path::{Path, PathBuf};

use bindery::notebook::ParameterValue;
use serde_json::Value;

fn tests_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The rows of `tests/fixtures/notebook/<name>`.
fn fixture(name: &str) -> Vec<Value> {
    let path = tests_folder().join("fixtures/notebook").join(name);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The real notebooks: path below `tests/notebooks` with `/`, and bytes.
fn real_notebooks() -> Vec<(String, Vec<u8>)> {
    let root = tests_folder().join("notebooks");
    let mut notebooks = Vec::new();
    for project in
        fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        for path in fs::read_dir(project).unwrap().map(|entry| entry.unwrap().path()) {
            if path.extension().is_some_and(|extension| extension == "ipynb") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
                notebooks.push((name, fs::read(path).unwrap()));
            }
        }
    }
    notebooks.sort();
    notebooks
}

/// A value as `tests/tools/notebook_fixtures.py` tags it.
fn untagged(value: &Value) -> ParameterValue {
    let text = || value[1].as_str().unwrap().to_owned();
    let list = || value[1].as_array().unwrap().iter();
    match value[0].as_str().unwrap() {
        "none" => ParameterValue::Null,
        "bool" => ParameterValue::Bool(value[1].as_bool().unwrap()),
        "int" => text().parse().map_or_else(|_| ParameterValue::BigInteger(text()), ParameterValue::Integer),
        "float" => ParameterValue::Float(text().parse().unwrap()),
        "str" => ParameterValue::String(text()),
        "list" => ParameterValue::List(list().map(untagged).collect()),
        "dict" => ParameterValue::Dict(
            list().map(|entry| (entry[0].as_str().unwrap().to_owned(), untagged(&entry[1]))).collect(),
        ),
        tag => panic!("the fixture has an unknown tag {tag}"),
    }
}
