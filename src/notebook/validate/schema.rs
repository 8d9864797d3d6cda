//! The tables: nbformat's `nbformat.v4.0.schema.json` to `nbformat.v4.5.schema.json`, which differ in a few
//! fields (see each `since`), and the check for duplicate cell ids that nbformat makes beside them.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::{Checker, Field, Others, Place, optional, required};
use crate::notebook::Cell;

const KERNELSPEC: &[Field] = &[required("name", string), required("display_name", string)];

const LANGUAGE_INFO: &[Field] = &[
    required("name", string),
    optional("codemirror_mode", string_or_object),
    optional("file_extension", string),
    optional("mimetype", string),
    optional("pygments_lexer", string),
];

const METADATA: &[Field] = &[
    optional("kernelspec", |checker, place, value| open(checker, place, value, KERNELSPEC)),
    optional("language_info", |checker, place, value| open(checker, place, value, LANGUAGE_INFO)),
    optional("orig_nbformat", orig_nbformat),
    optional("title", string).since(2),
    optional("authors", list).since(2),
];

const RAW_METADATA: &[Field] = &[
    optional("format", string),
    optional("jupyter", object).since(3),
    optional("name", cell_name),
    optional("tags", tags),
];

const MARKDOWN_METADATA: &[Field] =
    &[optional("name", cell_name), optional("tags", tags), optional("jupyter", object).since(3)];

const CODE_METADATA: &[Field] = &[
    optional("jupyter", object).since(3),
    optional("execution", execution).since(4),
    optional("collapsed", boolean),
    optional("scrolled", scrolled),
    optional("name", cell_name),
    optional("tags", tags),
];

const RAW_CELL: &[Field] = &[
    required("cell_type", any),
    required("id", cell_id).since(5),
    required("metadata", |checker, place, value| open(checker, place, value, RAW_METADATA)),
    optional("attachments", attachments),
    required("source", multiline),
];

const MARKDOWN_CELL: &[Field] = &[
    required("cell_type", any),
    required("id", cell_id).since(5),
    required("metadata", |checker, place, value| open(checker, place, value, MARKDOWN_METADATA)),
    optional("attachments", attachments),
    required("source", multiline),
];

const CODE_CELL: &[Field] = &[
    required("cell_type", any),
    required("id", cell_id).since(5),
    required("metadata", |checker, place, value| open(checker, place, value, CODE_METADATA)),
    required("source", multiline),
    required("outputs", outputs),
    required("execution_count", execution_count),
];

/// A cell of a type that only a later version knows.
const UNKNOWN_CELL: &[Field] = &[required("metadata", |checker, place, value| {
    open(checker, place, value, &[optional("name", cell_name), optional("tags", tags)]);
})];

const EXECUTE_RESULT: &[Field] = &[
    required("output_type", any),
    required("execution_count", execution_count),
    required("data", mimebundle),
    required("metadata", object),
];

const DISPLAY_DATA: &[Field] =
    &[required("output_type", any), required("data", mimebundle), required("metadata", object)];

const STREAM: &[Field] =
    &[required("output_type", any), required("name", string), required("text", multiline)];

const ERROR: &[Field] = &[
    required("output_type", any),
    required("ename", string),
    required("evalue", string),
    required("traceback", strings),
];

/// The whole notebook; `cells` stands apart from the other fields.
pub(super) fn notebook(checker: &mut Checker, fields: &Map<String, Value>, cells: &[Cell]) {
    const NOTEBOOK: &[Field] = &[
        required("nbformat", any),
        required("nbformat_minor", minor),
        required("metadata", |checker, place, value| open(checker, place, value, METADATA)),
        required("cells", any),
    ];
    checker.fields(Place::Root, fields, NOTEBOOK, Others::Forbidden);

    let place = Place::Field(&Place::Root, "cells");
    for (index, it) in cells.iter().enumerate() {
        cell(checker, Place::Item(&place, index), &it.0);
    }
    if checker.minor >= 5 {
        duplicate_ids(checker, place, cells);
    }
}

fn cell(checker: &mut Checker, place: Place<'_>, cell: &Map<String, Value>) {
    let known = match cell.get("cell_type") {
        None => return checker.fault(Place::Field(&place, "cell_type"), format_args!("is missing")),
        Some(Value::String(it)) if it == "code" => CODE_CELL,
        Some(Value::String(it)) if it == "markdown" => MARKDOWN_CELL,
        Some(Value::String(it)) if it == "raw" => RAW_CELL,
        Some(_) if checker.is_from_the_future() => UNKNOWN_CELL,
        Some(other) => {
            return checker.wrong(Place::Field(&place, "cell_type"), other, "one of code, markdown, raw");
        }
    };
    checker.fields(place, cell, known, Others::Forbidden);
}

fn duplicate_ids(checker: &mut Checker, place: Place<'_>, cells: &[Cell]) {
    let mut first_with = HashMap::with_capacity(cells.len());
    for (index, cell) in cells.iter().enumerate() {
        let Some(id) = cell.get("id").and_then(Value::as_str) else { continue };
        let first = *first_with.entry(id).or_insert(index);
        if first != index {
            let cell = Place::Item(&place, index);
            checker.fault(
                Place::Field(&cell, "id"),
                format_args!("is the id of cells[{first}] too: give each cell its own"),
            );
        }
    }
}

fn outputs(checker: &mut Checker, place: Place<'_>, value: &Value) {
    for (index, value) in checker.list(place, value).into_iter().flatten().enumerate() {
        output(checker, Place::Item(&place, index), value);
    }
}

fn output(checker: &mut Checker, place: Place<'_>, value: &Value) {
    let Some(output) = checker.object(place, value) else { return };
    let known = match output.get("output_type") {
        None => return checker.fault(Place::Field(&place, "output_type"), format_args!("is missing")),
        Some(Value::String(it)) if it == "execute_result" => EXECUTE_RESULT,
        Some(Value::String(it)) if it == "display_data" => DISPLAY_DATA,
        Some(Value::String(it)) if it == "stream" => STREAM,
        Some(Value::String(it)) if it == "error" => ERROR,
        Some(_) if checker.is_from_the_future() => return,
        Some(other) => {
            let expected = "one of execute_result, display_data, stream, error";
            return checker.wrong(Place::Field(&place, "output_type"), other, expected);
        }
    };
    checker.fields(place, output, known, Others::Forbidden);
}

fn any(_: &mut Checker, _: Place<'_>, _: &Value) {}

fn open(checker: &mut Checker, place: Place<'_>, value: &Value, known: &[Field]) {
    if let Some(object) = checker.object(place, value) {
        checker.fields(place, object, known, Others::Allowed);
    }
}

fn string(checker: &mut Checker, place: Place<'_>, value: &Value) {
    if !value.is_string() {
        checker.wrong(place, value, "a string");
    }
}

fn boolean(checker: &mut Checker, place: Place<'_>, value: &Value) {
    if !value.is_boolean() {
        checker.wrong(place, value, "true or false");
    }
}

fn object(checker: &mut Checker, place: Place<'_>, value: &Value) {
    checker.object(place, value);
}

fn list(checker: &mut Checker, place: Place<'_>, value: &Value) {
    checker.list(place, value);
}

fn strings(checker: &mut Checker, place: Place<'_>, value: &Value) {
    for (index, value) in checker.list(place, value).into_iter().flatten().enumerate() {
        string(checker, Place::Item(&place, index), value);
    }
}

fn string_or_object(checker: &mut Checker, place: Place<'_>, value: &Value) {
    if !value.is_string() && !value.is_object() {
        checker.wrong(place, value, "a string or an object");
    }
}

/// Text, in one piece or in lines.
fn multiline(checker: &mut Checker, place: Place<'_>, value: &Value) {
    match value {
        Value::String(_) => {}
        Value::Array(_) => strings(checker, place, value),
        _ => checker.wrong(place, value, "a string or a list of strings"),
    }
}

fn minor(checker: &mut Checker, place: Place<'_>, value: &Value) {
    if !value.is_u64() {
        checker.wrong(place, value, "an integer of 0 or more");
    }
}

fn orig_nbformat(checker: &mut Checker, place: Place<'_>, value: &Value) {
    if value.as_u64().is_none_or(|number| number < 1) {
        checker.wrong(place, value, "an integer of 1 or more");
    }
}

fn execution_count(checker: &mut Checker, place: Place<'_>, value: &Value) {
    if !value.is_null() && !value.is_u64() {
        checker.wrong(place, value, "an integer of 0 or more or null");
    }
}

fn scrolled(checker: &mut Checker, place: Place<'_>, value: &Value) {
    if !value.is_boolean() && value != "auto" {
        checker.wrong(place, value, "true, false or \"auto\"");
    }
}

/// Timestamps by name; other names are allowed, other values not.
fn execution(checker: &mut Checker, place: Place<'_>, value: &Value) {
    for (name, value) in checker.object(place, value).into_iter().flatten() {
        string(checker, Place::Field(&place, name), value);
    }
}

fn cell_id(checker: &mut Checker, place: Place<'_>, value: &Value) {
    let is_good = |id: &str| {
        (1..=64).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if !value.as_str().is_some_and(is_good) {
        checker.wrong(place, value, "1 to 64 of the characters a-z, A-Z, 0-9, - and _");
    }
}

fn cell_name(checker: &mut Checker, place: Place<'_>, value: &Value) {
    if !value.as_str().is_some_and(|name| !name.is_empty() && !name.contains('\n')) {
        checker.wrong(place, value, "a non-empty string of one line");
    }
}

fn tags(checker: &mut Checker, place: Place<'_>, value: &Value) {
    let mut seen = HashSet::new();
    for (index, tag) in checker.list(place, value).into_iter().flatten().enumerate() {
        let place = Place::Item(&place, index);
        match tag.as_str() {
            Some(tag) if !tag.is_empty() && !tag.contains(',') => {
                if !seen.insert(tag) {
                    checker.fault(place, format_args!("is a tag that the list holds already: {tag:?}"));
                }
            }
            _ => checker.wrong(place, tag, "a non-empty string without a comma"),
        }
    }
}

fn attachments(checker: &mut Checker, place: Place<'_>, value: &Value) {
    for (name, value) in checker.object(place, value).into_iter().flatten() {
        mimebundle(checker, Place::Field(&place, name), value);
    }
}

/// Data by MIME type: JSON types hold anything, the others text.
fn mimebundle(checker: &mut Checker, place: Place<'_>, value: &Value) {
    let Some(bundle) = checker.object(place, value) else { return };
    if checker.is_from_the_future() {
        return;
    }
    for (mime, value) in bundle {
        if !is_json_mime(mime) {
            multiline(checker, Place::Field(&place, mime), value);
        }
    }
}

/// `^application/(.*\+)?json$`
fn is_json_mime(mime: &str) -> bool {
    mime.strip_prefix("application/").is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
}
