//! `bindery execute` in papermill's place: the command lines of `tests/tools/command_line_fixtures.py`, with what
//! papermill made of each.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use super::{Ended, Line, Place, notebook, streams};

fn fixture() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/command_line.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Where Bindery differs, and why.
const DECIDED: [(&str, &str); 2] = [
    ("absent.ipynb out.ipynb", "a kernel that is not there is found out before anything is written"),
    ("polite.ipynb out.ipynb", "a notebook that ended well has no exception in its metadata"),
];

/// Runs papermill's command line as `bindery execute`.
async fn run(place: &Place, arguments: &[&str], stdin: Option<&str>) -> Ended {
    let mut command = place.command(["execute"].iter().chain(arguments));
    if stdin.is_some() {
        command.stdin(std::process::Stdio::piped());
    }
    let mut child = command.spawn().unwrap();
    if let Some(text) = stdin {
        // Who refuses the command line does not read.
        let _ = child.stdin.take().unwrap().write_all(text.as_bytes()).await;
    }
    Ended::of(child).await
}

/// The generator's `seen`: what a notebook holds, as far as it is the same in every run.
fn seen(notebook: &Value) -> Value {
    let joined = |text: &Value| match text {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect::<String>(),
        text => text.as_str().unwrap_or_default().to_owned(),
    };
    let cell = |cell: &Value| {
        let outputs = cell["outputs"].as_array().cloned().unwrap_or_default();
        let of_type =
            |name: &str| outputs.iter().filter(move |it| it["output_type"] == name).collect::<Vec<_>>();
        let metadata = &cell["metadata"];
        json!({
            "source": joined(&cell["source"]),
            "tags": metadata.get("tags").cloned().unwrap_or_else(|| json!([])),
            "hidden": metadata["jupyter"]["source_hidden"] == true,
            "streams": of_type("stream").iter().map(|it| joined(&it["text"])).collect::<String>(),
            "errors": of_type("error").iter().map(|it| it["ename"].clone()).collect::<Vec<_>>(),
            "execution_count": cell["execution_count"],
        })
    };
    let papermill = &notebook["metadata"]["papermill"];
    json!({
        "cells": notebook["cells"].as_array().unwrap().iter().map(cell).collect::<Vec<_>>(),
        "parameters": papermill["parameters"],
        "input_path": papermill["input_path"],
        "output_path": papermill["output_path"],
        "exception": papermill["exception"],
    })
}

/// What differs from papermill in one row; nothing when all is the same.
async fn differences(files: &Value, row: &Value) -> Vec<String> {
    let place = Place::new();
    for (name, text) in files.as_object().unwrap() {
        fs::create_dir_all(place.path(name).parent().unwrap()).unwrap();
        fs::write(place.path(name), text.as_str().unwrap()).unwrap();
    }
    let arguments: Vec<_> = row["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let ended = run(&place, &arguments, row["stdin"].as_str()).await;
    let mut different = Vec::new();
    let mut check = |what: &str, ours: Value, papermills: &Value| {
        if ours != *papermills {
            different.push(format!(
                "{arguments:?}: {what}\n  ours       {ours}\n  papermill's {papermills}\n{}",
                ended.stderr
            ));
        }
    };
    check("exit is success", json!(ended.code == Some(0)), &json!(row["code"] == 0));
    if row["code"] != 0 {
        check("exit code is 1 or 2", json!(matches!(ended.code, Some(1 | 2))), &true.into());
        check(
            "no trace",
            json!(ended.stderr.contains("panicked") || ended.stderr.contains("src/")),
            &false.into(),
        );
    }
    let read = |text: &[u8]| {
        serde_json::from_slice(text).map_or_else(|error| json!(error.to_string()), |it| seen(&it))
    };
    for entry in fs::read_dir(place.path("")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let bytes = if path.is_file() { fs::read(&path).unwrap() } else { continue };
        if name.ends_with(".ipynb") && files[name].as_str().map(str::as_bytes) != Some(&bytes) {
            check(name, read(&bytes), &row["written"][name]);
        }
    }
    for (name, _) in row["written"].as_object().unwrap() {
        check(&format!("{name} is written"), place.path(name).is_file().into(), &true.into());
    }
    if let Some(help) = row["help"].as_str().filter(|help| !help.is_empty()) {
        let ours = ended.stdout.split_once('\n').map(|(_, text)| text);
        check("help", json!(ours), &help.into());
    }
    if row["stdout_notebook"].is_object() {
        check("notebook on standard output", read(ended.stdout.as_bytes()), &row["stdout_notebook"]);
    } else if let Some(stdout) = row["stdout"].as_str() {
        check("standard output", json!(ended.stdout), &stdout.into());
    }
    for (name, text) in row["texts"].as_object().into_iter().flatten() {
        check(name, json!(fs::read_to_string(place.path(name)).ok()), text);
    }
    if let Some(lines) = row["log"].as_array() {
        let ours: Vec<_> = ended.stderr.lines().map(|line| line.trim_start_matches("warning: ")).collect();
        let mut rest = ours.iter();
        let missing: Vec<_> =
            lines.iter().filter(|line| !rest.any(|ours| Some(*ours) == line.as_str())).collect();
        check("lines missing in the log", json!(missing), &json!([]));
    }
    different
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flag_does_what_it_does_for_papermill() {
    let fixture = fixture();
    let rows = fixture["rows"].as_array().unwrap();
    assert!(rows.len() >= 70);
    let mut running = JoinSet::new();
    let mut different = Vec::new();
    for row in rows.clone() {
        // A few kernels at a time.
        if running.len() == 4 {
            different.extend(running.join_next().await.unwrap().unwrap());
        }
        let files = fixture["files"].clone();
        running.spawn(async move {
            let different = differences(&files, &row).await;
            let arguments: Vec<_> =
                row["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            let arguments = arguments.join(" ");
            match DECIDED.iter().any(|(decided, _)| *decided == arguments) {
                true if different.is_empty() => vec![format!("no difference any more: {arguments}")],
                true => Vec::new(),
                false => different,
            }
        });
    }
    while let Some(more) = running.join_next().await {
        different.extend(more.unwrap());
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
}

#[tokio::test]
async fn bad_input_is_told_in_one_line() {
    let place = Place::new();
    place.write("in.ipynb", &notebook(&["# parameters\na = 1"]));
    fs::write(place.path("faulty.yaml"), "a: 1\nb: [1, 2\nc: 3\n").unwrap();
    fs::write(place.path("latin.yaml"), b"a: \xe9\n").unwrap();
    let check = async |arguments: &[&str], told: &str| {
        let ended = run(&place, &[&["in.ipynb", "out.ipynb"], arguments].concat(), None).await;
        ended.check(1, told);
        assert!(ended.stderr.trim_end().lines().count() <= 2, "{}", ended.stderr);
        assert!(!place.path("out.ipynb").exists(), "{arguments:?}");
    };
    check(&["-f", "faulty.yaml"], "error: faulty.yaml: line 3, column 2: this is not YAML: ").await;
    check(&["-f", "absent.yaml"], "error: the parameters file absent.yaml does not exist").await;
    check(&["-f", "latin.yaml"], "error: the parameters file latin.yaml is not text in UTF-8").await;
    check(&["-y", "[1"], "error: --parameters-yaml: line 2, column 1: this is not YAML: ").await;
    check(&["-y", "text"], "error: --parameters-yaml: parameters must be names with values").await;
    check(&["-b", "a"], "error: --parameters-base64: this is not base64").await;
    let place_of = async |arguments: &[&str], told: &str| run(&place, arguments, None).await.check(1, told);
    place_of(&["in.ipynb", "out.ipynb", "--engine", "other"], "[possible values: bindery, nbclient]").await;
    place_of(&["in.ipynb", "out.ipynb", "-p", "a"], "2 values required for '--parameters <NAME> <VALUE>'")
        .await;
    place_of(
        &["in.ipynb", "out.ipynb", "--no-such-flag"],
        "error: unexpected argument '--no-such-flag' found",
    )
    .await;
    place_of(&["in.ipynb", "out-{x}.ipynb"], "error: Missing parameter 'x' in the path `out-{x}.ipynb`")
        .await;
    place_of(&["in.ipynb", "out.ipynb", "--stdout-file", "absent/x"], "error: absent/x cannot be written")
        .await;
    place_of(&[], "error: no notebook to execute is named").await;
    run(&place, &["-", "out.ipynb"], Some("no notebook")).await.check(1, "error: not a notebook");
}

#[tokio::test]
async fn what_is_asked_for_is_saved_while_a_notebook_runs() {
    let place = Place::new();
    let check = async |flags: &[&str], during: Option<&str>| {
        let line = Line::new().await;
        // The cell waits until the test has looked.
        let waits = format!("print('early', flush=True)\n{}\nline.recv(1)", line.tell());
        place.write("in.ipynb", &notebook(&["print('first')", &waits, "print('last')"]));
        let _ = fs::remove_file(place.path("out.ipynb"));
        let arguments = [&["execute", "in.ipynb", "out.ipynb"], flags].concat();
        let child = place.command(arguments).spawn().unwrap();
        let mut kernel = line.told().await;
        if let Some(expected) = during {
            let reached = async {
                while !streams(&place.read("out.ipynb")).ends_with(expected) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(super::PATIENCE, reached).await.unwrap();
        } else {
            assert!(!place.path("out.ipynb").exists());
        }
        kernel.write_all(b"x").await.unwrap();
        Ended::of(child).await.check(0, "");
        assert_eq!(streams(&place.read("out.ipynb")), "first\nearly\nlast\n", "{flags:?}");
    };
    check(&[], Some("first\n")).await;
    check(&["--autosave-cell-every", "0"], Some("first\n")).await;
    check(&["--autosave-cell-every", "1"], Some("early\n")).await;
    check(&["--no-request-save-on-cell-execute"], None).await;
}

#[tokio::test]
async fn an_input_that_vanishes_while_it_runs_is_no_loss() {
    let (place, line) = (Place::new(), Line::new().await);
    place.write(
        "in.ipynb",
        &notebook(&["# parameters\na = 1", &format!("{}\nline.recv(1)", line.tell()), "print(a)"]),
    );
    let child = place.command(["execute", "in.ipynb", "out.ipynb"]).spawn().unwrap();
    let mut kernel = line.told().await;
    fs::remove_file(place.path("in.ipynb")).unwrap();
    kernel.write_all(b"x").await.unwrap();
    Ended::of(child).await.check(0, "");
    assert_eq!(streams(&place.read("out.ipynb")), "1\n");
    place
        .run(&["execute", "in.ipynb", "again.ipynb"])
        .await
        .check(1, "error: there is no notebook `in.ipynb`");
    assert!(!place.path("again.ipynb").exists());
}

#[tokio::test]
async fn names_are_filled_in_with_what_every_run_has() {
    let place = Place::new();
    place.write("in.ipynb", &notebook(&["print(1)"]));
    let name = "{pm[current_datetime_utc]:%Y}-{pm[current_datetime_local].year}-{pm[run_uuid]:.8}.ipynb";
    run(&place, &["in.ipynb", name, "--prepare-only"], None).await.check(0, "");
    let year = jiff::Timestamp::now().strftime("%Y").to_string();
    let written =
        fs::read_dir(place.path("")).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    let written: Vec<_> = written.filter(|name| name.starts_with(&format!("{year}-{year}-"))).collect();
    assert_eq!(written.len(), 1, "{written:?}");
    assert_eq!(place.read(&written[0])["metadata"]["papermill"]["output_path"], written[0].as_str());
}

#[tokio::test]
async fn a_notebooks_parameters_can_be_inspected() {
    let place = Place::new();
    let source = "# parameters\na = 1  # type: int how many\nb: str = 'x'\nc = None";
    place.write("in.ipynb", &notebook(&[source]));
    place.write("none.ipynb", &notebook(&["1"]));
    let inspected = place.json(&["inspect", "in.ipynb", "--json"]).await;
    assert_eq!(
        inspected,
        json!({
            "a": {"name": "a", "inferred_type_name": "int", "default": "1", "help": "how many"},
            "b": {"name": "b", "inferred_type_name": "str", "default": "'x'", "help": ""},
            "c": {"name": "c", "inferred_type_name": "None", "default": "None", "help": ""},
        })
    );
    let ended = place.run(&["inspect", "in.ipynb"]).await;
    assert_eq!(
        ended.stdout,
        "NAME  TYPE  DEFAULT  HELP\na     int   1        how many\nb     str   'x'\nc           None\n"
    );
    assert_eq!(place.run(&["inspect", "none.ipynb"]).await.stdout, "no cell is tagged `parameters`\n");
    place.run(&["inspect", "absent.ipynb"]).await.check(1, "there is no notebook `absent.ipynb`");
    assert_eq!(place.json(&["inspect", "none.ipynb", "--json"]).await, json!({}));
}
