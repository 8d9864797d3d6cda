//! `bindery execute` from its flags to its exit code.

use serde_json::Value;

use super::{Place, notebook, streams};

#[tokio::test]
async fn every_subcommand_explains_itself_with_an_example() {
    let place = Place::new();
    for subcommand in [
        "",
        "execute",
        "inspect",
        "serve",
        "worker",
        "demo",
        "prune",
        "config",
        "kernels list",
        "kernels install",
        "kernels check",
        "templates list",
        "templates upload",
        "templates show",
        "templates download",
        "templates delete",
        "templates url",
        "notebooks list",
        "notebooks create",
        "executions list",
        "executions show",
        "executions submit",
        "executions retry",
        "executions cancel",
        "executions release-kernel",
        "executions wait",
        "executions notebook",
    ] {
        let arguments: Vec<_> = subcommand.split_whitespace().chain(["--help"]).collect();
        let ended = place.run(&arguments).await;
        ended.check(0, "");
        assert!(ended.stdout.contains("Examples:\n  bindery "), "{subcommand}: {}", ended.stdout);
        assert!(
            ended.stdout.contains(&format!("Usage: bindery {subcommand}")),
            "{subcommand}: {}",
            ended.stdout
        );
    }
    assert!(place.run(&["--version"]).await.stdout.starts_with("bindery "));
    place.run(&["execute", "--no-such-flag"]).await.check(1, "--no-such-flag");
    place.run(&["templates"]).await.check(1, "upload");
}

#[tokio::test]
async fn parameters_arrive_with_their_types() {
    let place = Place::new();
    place.write(
        "in.ipynb",
        &notebook(&["# parameters\na=0\nb=0\nc=0\nd=0\ne=0\nf=0", "print([a, b, c, d, e, f])"]),
    );
    let flags = "execute in.ipynb out.ipynb -p a 1 -p b -2.5 -p c True -p d None -r e 1 --parameters f --x";
    let ended = place.run(&flags.split(' ').collect::<Vec<_>>()).await;
    ended.check(0, "");
    assert_eq!(ended.stderr, "", "a run that went well says nothing where nobody looks");
    let out = place.read("out.ipynb");
    assert_eq!(streams(&out), "[1, -2.5, True, None, '1', '--x']\n");
    let papermill = &out["metadata"]["papermill"];
    assert_eq!(papermill["parameters"]["b"], -2.5);
    assert_eq!(
        (&papermill["input_path"], &papermill["output_path"]),
        (&"in.ipynb".into(), &"out.ipynb".into())
    );
    assert_eq!(out["cells"][1]["metadata"]["tags"][0], "injected-parameters");

    // In place, with lines of progress when they are asked for.
    let ended = place.run(&["execute", "in.ipynb", "in.ipynb", "--progress-bar", "-p", "g", "1"]).await;
    ended.check(0, "Executing: 3/3 cells");
    assert!(ended.stderr.contains("warning: Passed unknown parameter: g"), "{}", ended.stderr);
    assert_eq!(streams(&place.read("in.ipynb")), "[0, 0, 0, 0, 0, 0]\n");
}

#[tokio::test]
async fn a_failed_cell_is_shown_and_saved() {
    let place = Place::new();
    place.write("in.ipynb", &notebook(&["print('before')", "1 / 0", "print('after')"]));
    let ended = place.run(&["execute", "in.ipynb", "out.ipynb"]).await;
    ended.check(1, "error: ZeroDivisionError in cell 1: division by zero");
    assert!(ended.stderr.contains("Exception encountered at \"In [2]\":"), "{}", ended.stderr);
    assert!(ended.stderr.contains("----> 1 1 / 0"), "{}", ended.stderr);
    assert!(!ended.stderr.contains('\u{1b}'), "no colours in a file");
    let out = place.read("out.ipynb");
    let tags: Vec<_> =
        out["cells"].as_array().unwrap().iter().map(|cell| cell["metadata"]["tags"].to_string()).collect();
    let marker = r#"["papermill-error-cell-tag"]"#;
    assert_eq!(tags, [marker, "[]", marker, "[]", "[]"]);
    assert_eq!(streams(&out), "before\n");
    assert_eq!(out["cells"][3]["metadata"]["papermill"]["exception"], true);
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_before_anything_is_written() {
    let place = Place::new();
    place.write("in.ipynb", &notebook(&["1"]));
    std::fs::write(place.path("text.ipynb"), "# not JSON").unwrap();
    std::fs::write(place.path("list.ipynb"), "[]").unwrap();
    std::fs::write(place.path("old.ipynb"), r#"{"nbformat": 1, "cells": []}"#).unwrap();
    std::fs::create_dir(place.path("folder")).unwrap();
    let check = async |arguments: &str, told: &str| {
        let arguments: Vec<_> = ["execute"].into_iter().chain(arguments.split(' ')).collect();
        place.run(&arguments).await.check(1, told);
        assert!(!place.path("out.ipynb").exists(), "{arguments:?}");
    };
    check("absent.ipynb out.ipynb", "there is no notebook `absent.ipynb`").await;
    check("in.ipynb absent/out.ipynb", "the output's folder absent does not exist").await;
    check("in.ipynb folder", "the output folder is a folder").await;
    check("folder out.ipynb", "`folder` is not a file").await;
    check("text.ipynb out.ipynb", "not a notebook: the file is not valid JSON").await;
    check("list.ipynb out.ipynb", "not a notebook").await;
    check("old.ipynb out.ipynb", "nbformat is 1").await;
    check("in.ipynb out.ipynb -k perl", "no kernel is called \"perl\"; there are: ").await;
    check("in.ipynb out.ipynb -p not-a-name 1", "parameters.not-a-name").await;
    check("in.ipynb out.ipynb --cwd absent", "the folder absent to run in does not exist").await;
    check("in.ipynb out.ipynb --config absent.toml", "absent.toml cannot be read").await;
}

#[tokio::test]
async fn a_kernel_that_dies_is_a_systems_fault_and_its_last_words_are_told() {
    let place = Place::new();
    place.write("in.ipynb", &notebook(&["print('before')", "import os; os._exit(7)"]));
    place.add_kernel("broken", "echo boom >&2; exit 3");
    place.add_kernel("silent", "exec sleep 600");
    let with_kernels = async |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.env("JUPYTER_PATH", place.path("jupyter"));
        super::Ended::of(command.spawn().unwrap()).await
    };
    let ended = with_kernels(&["execute", "in.ipynb", "out.ipynb", "--kernel", "broken"]).await;
    ended.check(2, "kernel `broken` died while it started (exit code 3); its last words: boom");

    let silent = ["execute", "in.ipynb", "out.ipynb", "--kernel", "silent", "--start-timeout", "1"];
    with_kernels(&silent).await.check(2, "kernel `silent` did not answer within 1 s of its start");

    let ended = with_kernels(&["execute", "in.ipynb", "out.ipynb"]).await;
    ended.check(2, "DeadKernelError in cell 1: the kernel died: exit code 7");
    assert_eq!(streams(&place.read("out.ipynb")), "before\n");
}

#[tokio::test]
async fn a_cell_that_takes_too_long_is_stopped() {
    let place = Place::new();
    place.write("in.ipynb", &notebook(&["import time", "print('before', flush=True); time.sleep(600)"]));
    let ended = place.run(&["execute", "in.ipynb", "out.ipynb", "--execution-timeout", "1"]).await;
    ended.check(1, "CellTimeoutError in cell 1: the cell took longer than 1 s");
    assert_eq!(streams(&place.read("out.ipynb")), "before\n");
}

#[tokio::test]
async fn a_notebook_can_be_prepared_and_its_code_hidden() {
    let place = Place::new();
    place.write("in.ipynb", &notebook(&["# parameters\na = 1", "raise SystemError"]));
    let ended = place
        .run(&["execute", "in.ipynb", "out.ipynb", "--prepare-only", "--report-mode", "-p", "a", "2"])
        .await;
    ended.check(0, "");
    let out = place.read("out.ipynb");
    assert_eq!(
        out["cells"][1]["source"].as_array().map_or(&out["cells"][1]["source"], |it| &it[1]),
        "a = 2\n"
    );
    assert_eq!(out["cells"][2]["metadata"]["jupyter"]["source_hidden"], true);
    assert_eq!(out["cells"][2]["execution_count"], Value::Null);
}
