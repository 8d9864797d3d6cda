//! A short form of `cargo xtask crash`: a few rounds of kill -9 over a mixed load.

use std::path::Path;
use std::process::Command;

use crate::support::engine::prepared_data_dir;
use crate::support::postgres;

/// Runs tests/tools/crash_rounds.py, which checks what must hold.
fn rounds(more: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tool = Command::new("python3");
    tool.arg(root.join("tests/tools/crash_rounds.py"))
        .args(["--bindery", env!("CARGO_BIN_EXE_bindery"), "--kernels"])
        .arg(prepared_data_dir())
        .args(["--rounds", "6", "--executions", "30", "--pause", "2"])
        .args(more);
    let done = tool.output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{told}");
}

#[test]
fn nothing_is_lost_or_run_twice_on_sqlite() {
    rounds(&["--database", "sqlite"]);
}

#[test]
fn nothing_is_lost_or_run_twice_on_postgresql() {
    let Some((cluster, programs)) = postgres::cluster() else { return };
    let (programs, folder) = (programs.to_string_lossy(), cluster.folder.to_string_lossy());
    let named =
        ["--postgres-url", &cluster.url, "--postgres-programs", &programs, "--postgres-folder", &folder];
    rounds(&[&["--database", "postgres"], &named[..]].concat());
}
