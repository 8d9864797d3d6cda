//! Notebooks of other languages on their own kernels: bash, R, TypeScript on Deno, Rust on evcxr.
//!
//! `cargo xtask test` prepares the kernels of bash and Deno; R's is Debian's `r-cran-irkernel`, and `evcxr_jupyter` is
//! built by cargo. Where one is absent its tests are passed over, and fail where checks are binding (`CI=true`).

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::engine::prepared_data_dir;

/// One language: its kernel, and the same notebook in its words.
struct Language {
    kernel: &'static str,
    spec: Value,
    /// The program without which there is no kernel.
    program: PathBuf,
    /// As the kernel reports it.
    language: &'static str,
    /// A cell that declares `count` and `text`.
    parameters: &'static str,
    /// A cell that prints `count` and `text` with a space between.
    show: &'static str,
    /// A cell whose last expression is 6 × 7, or that prints it.
    result: &'static str,
    /// A cell that fails, and what its error or traceback tells.
    fails: (&'static str, &'static str),
    /// A cell that prints `up` and then runs for a minute or more.
    sleeps: &'static str,
}

fn languages_folder() -> PathBuf {
    prepared_data_dir().join("languages")
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn bash() -> Language {
    let python = languages_folder().join("bin/python");
    Language {
        kernel: "bash",
        spec: json!({"argv": [python, "-m", "bash_kernel", "-f", "{connection_file}"], "language": "bash", "env": {"PS1": "$"}}),
        program: languages_folder().join("lib"),
        language: "bash",
        parameters: "count=1\ntext=a",
        show: "echo \"$count $text\"",
        result: "echo $((6 * 7))",
        fails: ("ls /no/such/folder/there", "1"),
        sleeps: "echo up; sleep 60",
    }
}

fn r() -> Language {
    let program = Path::new("/usr/lib/R/site-library/IRkernel").to_owned();
    Language {
        kernel: "ir",
        spec: json!({"argv": ["R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}"], "language": "R"}),
        program,
        language: "R",
        parameters: "count <- 1L\ntext <- 'a'",
        show: "cat(count, text)",
        result: "6 * 7",
        fails: ("stop('it went wrong')", "it went wrong"),
        sleeps: "cat('up\\n'); flush.console(); Sys.sleep(60)",
    }
}

fn deno() -> Language {
    let program = languages_folder().join("bin/deno");
    Language {
        kernel: "deno",
        spec: json!({"argv": [program, "jupyter", "--kernel", "--conn", "{connection_file}"], "language": "typescript"}),
        program,
        language: "typescript",
        parameters: "let count: number = 1;\nlet text = 'a';",
        show: "console.log(count + ' ' + text)",
        result: "6 * 7",
        fails: ("throw new Error('it went wrong')", "it went wrong"),
        sleeps: "console.log('up'); await new Promise((done) => setTimeout(done, 60000))",
    }
}

fn evcxr() -> Language {
    let own = prepared_data_dir().join("evcxr/bin/evcxr_jupyter");
    let program = if own.is_file() { own } else { on_path("evcxr_jupyter").unwrap_or(own) };
    Language {
        kernel: "rust",
        spec: json!({
            "argv": [program, "--control_file", "{connection_file}"], "language": "rust", "interrupt_mode": "message",
        }),
        program,
        language: "Rust",
        parameters: "let count: i64 = 1;\nlet text = \"a\";",
        show: "println!(\"{count} {text}\");",
        result: "6 * 7",
        fails: ("let x: u8 = \"it went wrong\";", "E0308"),
        sleeps: "println!(\"up\"); std::thread::sleep(std::time::Duration::from_secs(600));",
    }
}

/// A folder in which `bindery execute` finds the language's kernel; `None` when that is not installed.
fn place(language: &Language) -> Option<tempfile::TempDir> {
    if !language.program.exists() {
        let told = format!(
            "the kernel `{}` is not installed ({} is absent)",
            language.kernel,
            language.program.display()
        );
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{told}");
        eprintln!("{told}: not tested");
        return None;
    }
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("jupyter/kernels").join(language.kernel);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("kernel.json"), language.spec.to_string()).unwrap();
    Some(place)
}

fn notebook(language: &Language, cells: &[&str]) -> Value {
    let cell = |(index, source): (usize, &&str)| {
        let tags = if index == 0 { json!(["parameters"]) } else { json!([]) };
        json!({
            "cell_type": "code", "id": format!("cell-{index}"), "metadata": {"tags": tags}, "source": source,
            "execution_count": null, "outputs": [],
        })
    };
    json!({
        "cells": cells.iter().enumerate().map(cell).collect::<Vec<_>>(),
        "metadata": {"kernelspec": {"name": language.kernel, "display_name": "x", "language": language.spec["language"]}},
        "nbformat": 4, "nbformat_minor": 5,
    })
}

/// Executes; gives the exit code, what was said, and the notebook.
async fn execute(place: &Path, notebook: &Value, flags: &[&str]) -> (Option<i32>, String, Value) {
    std::fs::write(place.join("in.ipynb"), notebook.to_string()).unwrap();
    let running = Command::new(env!("CARGO_BIN_EXE_bindery"))
        .args(["execute", "in.ipynb", "out.ipynb", "--start-timeout", "120"])
        .args(flags)
        .env("JUPYTER_PATH", place.join("jupyter"))
        .env("BINDERY_TEST_LANGUAGES", place)
        .env("DENO_DIR", place.join("deno"))
        .current_dir(place)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(300), running).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let written = std::fs::read(place.join("out.ipynb")).unwrap_or_else(|_| panic!("{said}"));
    (output.status.code(), said, serde_json::from_slice(&written).unwrap())
}

/// The texts of a cell's outputs, of streams and of results.
fn text(cell: &Value) -> String {
    let joined = |value: &Value| match value {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect::<String>(),
        value => value.as_str().unwrap_or_default().to_owned(),
    };
    let outputs = cell["outputs"].as_array().unwrap().iter();
    outputs.map(|output| joined(&output["text"]) + &joined(&output["data"]["text/plain"])).collect()
}

/// Processes that a kernel of this place has left.
fn left_in(place: &Path) -> Vec<String> {
    let mark = format!("BINDERY_TEST_LANGUAGES={}", place.display());
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let is_left = |pid: &String| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    processes.filter_map(|entry| entry.file_name().into_string().ok()).filter(is_left).collect()
}

async fn check(language: Language) {
    let Some(place) = place(&language) else { return };
    let place = place.path();
    let hostile = "it's \"é🙂\" $HOME\\n `x`";

    let good = notebook(&language, &[language.parameters, language.show, language.result]);
    let flags = ["-p", "count", "7", "-r", "text", hostile];
    let (code, said, out) = execute(place, &good, &flags).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(out["cells"][1]["metadata"]["tags"][0], "injected-parameters");
    assert_eq!(text(&out["cells"][2]).trim_end(), format!("7 {hostile}"));
    assert!(text(&out["cells"][3]).contains("42"), "{}", out["cells"][3]);
    assert_eq!(out["metadata"]["language_info"]["name"].as_str().unwrap(), language.language);
    assert_eq!(left_in(place), [""; 0]);

    let (source, told) = language.fails;
    let (code, said, out) =
        execute(place, &notebook(&language, &[language.parameters, source, language.show]), &[]).await;
    assert_eq!(code, Some(1), "{said}");
    let marker = &out["cells"][0]["metadata"]["tags"][0];
    assert_eq!(marker, "papermill-error-cell-tag");
    let failed = &out["cells"][3];
    assert_eq!(failed["metadata"]["papermill"]["status"], "failed", "{out}");
    let error = failed["outputs"].as_array().unwrap().iter().find(|it| it["output_type"] == "error");
    if language.kernel != "bash" {
        assert!(error.unwrap().to_string().contains(told), "{failed}");
    }
    assert!(said.contains(told), "{said}");
    assert_eq!(text(&out["cells"][4]), "", "what follows is not executed");

    let flags = ["--execution-timeout", if language.kernel == "rust" { "45" } else { "2" }];
    let (code, said, out) =
        execute(place, &notebook(&language, &[language.sleeps, language.show]), &flags).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("CellTimeoutError in cell 0"), "{said}");
    assert!(text(&out["cells"][2]).starts_with("up"), "{out}");
    assert_eq!(left_in(place), [""; 0]);
}

#[tokio::test]
async fn bash_notebooks_run() {
    check(bash()).await;
}

#[tokio::test]
async fn r_notebooks_run() {
    check(r()).await;
}

#[tokio::test]
async fn typescript_notebooks_run() {
    check(deno()).await;
}

#[tokio::test]
async fn rust_notebooks_run_on_an_installed_evcxr() {
    check(evcxr()).await;
}

/// `bindery kernels install rust`, with the programs that are in `path` only.
async fn install_rust(data_dir: &Path, path: &Path) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_bindery"))
        .args(["kernels", "install", "rust", "--data-dir"])
        .arg(data_dir)
        .env("PATH", path)
        .output()
        .await
        .unwrap()
}

/// A folder with links to these programs.
fn programs(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        std::os::unix::fs::symlink(on_path(name).unwrap(), folder.path().join(name)).unwrap();
    }
    folder
}

#[tokio::test]
async fn a_rust_kernel_needs_rust() {
    let (data_dir, empty) = (tempfile::tempdir().unwrap(), programs(&[]));
    let output = install_rust(data_dir.path(), empty.path()).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("`cargo` is not on PATH: install Rust"), "{said}");
}

#[cfg(not(feature = "evcxr"))]
#[tokio::test]
async fn without_any_evcxr_both_ways_to_one_are_named() {
    let (data_dir, rust) = (tempfile::tempdir().unwrap(), programs(&["cargo", "rustc"]));
    let output = install_rust(data_dir.path(), rust.path()).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("cargo install evcxr_jupyter") && said.contains("--features evcxr"), "{said}");

    std::fs::write(rust.path().join("evcxr_jupyter"), "").unwrap();
    let output = install_rust(data_dir.path(), rust.path()).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let spec = std::fs::read(data_dir.path().join("kernels/rust/kernel.json")).unwrap();
    let spec: Value = serde_json::from_slice(&spec).unwrap();
    assert_eq!(spec["argv"][1], "--control_file");
}

#[cfg(feature = "evcxr")]
#[tokio::test]
async fn rust_notebooks_run_on_the_kernel_inside() {
    let data_dir = tempfile::tempdir().unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let output = install_rust(data_dir.path(), Path::new(&path)).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let spec = std::fs::read(data_dir.path().join("kernels/rust/kernel.json")).unwrap();
    let spec: Value = serde_json::from_slice(&spec).unwrap();
    assert_eq!(spec["argv"][1], "rust-kernel");
    let program = PathBuf::from(env!("CARGO_BIN_EXE_bindery"));
    check(Language { spec: spec.clone(), program: program.clone(), ..evcxr() }).await;

    // A panic is the cell's, and what was defined before it stays.
    let language = Language { spec, program, ..evcxr() };
    let place = place(&language).unwrap();
    let cells = ["let kept = 3;", "panic!(\"it went wrong\")", "println!(\"{kept}\");"];
    let (code, said, out) = execute(place.path(), &notebook(&language, &cells), &["--allow-errors"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(out["cells"][1]["outputs"].to_string().contains("it went wrong"), "{out}");
    assert_eq!(text(&out["cells"][2]), "3\n");
}
