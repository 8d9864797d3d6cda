//! Bindery beside papermill and `jupyter execute`: each notebook is run by all of them, and what differs must be a
//! decision that `tests/parity/decisions.json` lists. `tests/tools/compare_with_papermill.py` does the work.
//!
//! The peers' environment and what they made of each notebook are kept in the folder of test data, so only the first
//! run is slow.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::support::engine::prepared_data_dir;

/// Compares the notebooks at these paths, relative to `tests/`. `least` is how many there must be.
async fn compare(paths: &[&str], least: usize) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let peers = prepared_data_dir().join("peers");
    let output = Command::new(peers.join("bin/python"))
        .arg(tests.join("tools/compare_with_papermill.py"))
        .args(["--bindery", env!("CARGO_BIN_EXE_bindery")])
        .arg("--peers")
        .arg(&peers)
        .args(paths.iter().map(|path| tests.join(path)))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let compared = said.lines().find_map(|line| line.split_once(" notebooks (")?.0.parse::<usize>().ok());
    assert!(
        compared.is_some_and(|count| count >= least),
        "fewer than {least} notebooks were compared:\n{said}"
    );
}

#[tokio::test]
async fn real_notebooks_give_what_they_give_under_papermill() {
    // nbdime's are many and nearly the same: for a comparison by hand.
    let projects =
        ["jupytext", "nbclient", "nbconvert", "nbformat", "nbval", "nteract-scrapbook", "papermill"];
    let paths = projects.map(|name| format!("notebooks/{name}"));
    compare(&paths.iter().map(String::as_str).collect::<Vec<_>>(), 75).await;
}

/// Whatever flag papermill has, Bindery explains, and some row of the tests' tables runs.
#[tokio::test]
async fn no_flag_of_papermills_is_forgotten() {
    let help = async |program: &Path, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().await.unwrap();
        assert!(output.status.success(), "{program:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let papermills = help(&prepared_data_dir().join("peers/bin/papermill"), &["--help"]).await;
    let ours = help(Path::new(env!("CARGO_BIN_EXE_bindery")), &["execute", "--help"]).await;
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let rows = std::fs::read_to_string(tests.join("fixtures/command_line.json")).unwrap();
    let is_of_a_flag = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    let words = papermills.split(|letter: char| !is_of_a_flag(letter));
    let is_short = |word: &&str| word.len() == 2 && word.starts_with('-');
    let flags: std::collections::BTreeSet<_> =
        words.filter(|word| word.len() > 2 && word.starts_with("--") || is_short(word)).collect();
    assert!(flags.len() >= 40, "{flags:?}");
    for flag in flags {
        let shown = ours.split(|letter: char| !is_of_a_flag(letter)).any(|word| word == flag);
        // What is the same word spelled with `_` works, and need not be shown twice; `-h` is clap's.
        assert!(shown || flag.contains('_'), "`bindery execute --help` does not show {flag}");
        let is_run = rows.contains(&format!("\"{flag}\"")) || ["-h", "--help"].contains(&flag);
        assert!(is_run, "no row of command_line.json runs {flag}");
    }
}

#[tokio::test]
async fn odd_outputs_give_what_they_give_under_papermill() {
    compare(&["parity/odd/displays.cells", "parity/odd/streams.cells", "parity/odd/widgets.cells"], 80).await;
}

#[tokio::test]
async fn odd_endings_and_forms_give_what_they_give_under_papermill() {
    let names = ["errors", "ends", "magics", "parameters", "flags", "forms"];
    let paths = names.map(|name| format!("parity/odd/{name}.cells"));
    let mut paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    paths.extend(["parity/odd/format-3.ipynb", "parity/odd/format-3-with-a-kernel.ipynb"]);
    compare(&paths, 120).await;
}
