//! The clouds' storage for tests: Azurite from npm, and an emulator of Google's from PyPI.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::cargo::command;
use crate::python::{pip_install, venv};
use crate::steps::{Failed, Steps};

const AZURITE: &str = "azurite@3.37.0";
const GOOGLE: &str = "gcp-storage-emulator==2026.7.19";

/// Installs into `emulators` in the data dir what is not there yet. Without npm the tests of Azure are skipped, but
/// not where checks are binding.
pub fn install(steps: &mut Steps, data_dir: &Path, is_binding: bool) -> Result<(), Failed> {
    let folder = data_dir.join("emulators");
    let google = folder.join("gcs");
    if !google.join("bin/gcp-storage-emulator").exists() {
        steps.run("emulator of Google's storage: environment", &mut venv(&google)?)?;
        steps.run("emulator of Google's storage", pip_install(&google).arg(GOOGLE))?;
    }
    let azure = folder.join("azurite");
    if azure.join("node_modules/.bin/azurite-blob").exists() {
        return Ok(());
    }
    if !is_binding && !has_npm() {
        steps.skip("emulator of Azure's storage", "npm is not installed, so the tests of abs:// are skipped");
        return Ok(());
    }
    std::fs::create_dir_all(&azure)
        .map_err(|error| Failed(format!("{} cannot be made: {error}", azure.display())))?;
    let mut npm = command("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", "--prefix"]);
    steps.run("emulator of Azure's storage", npm.arg(&azure).arg(AZURITE))
}

fn has_npm() -> bool {
    let mut npm = Command::new("npm");
    npm.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    npm.status().is_ok_and(|status| status.success())
}
