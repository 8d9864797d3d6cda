//! Kernels of other languages for tests: bash and Deno from PyPI, evcxr by cargo. R's comes from the system.

use std::path::Path;

use crate::cargo::{cargo, target_directory};
use crate::python::{pip_install, venv};
use crate::steps::{Failed, Steps};

const PACKAGES: [&str; 2] = ["bash_kernel==0.10.0", "deno==2.9.8"];
const EVCXR: &str = "evcxr_jupyter@0.22.0";

/// Installs into `languages` and `evcxr` in the data dir what is not there yet. evcxr takes minutes: it is built where
/// checks are binding, and elsewhere the tests take one from PATH or are passed over.
pub fn install(steps: &mut Steps, data_dir: &Path, is_binding: bool) -> Result<(), Failed> {
    let folder = data_dir.join("languages");
    if !folder.join("bin/deno").exists() {
        steps.run("kernels of bash and Deno: environment", &mut venv(&folder)?)?;
        steps.run("kernels of bash and Deno", pip_install(&folder).args(PACKAGES))?;
    }
    let evcxr = data_dir.join("evcxr");
    if !is_binding || evcxr.join("bin/evcxr_jupyter").exists() {
        return Ok(());
    }
    // Not optimised: it is started once or twice.
    let mut build = cargo(&["install", EVCXR, "--locked", "--debug", "--quiet", "--root"]);
    build.arg(&evcxr).arg("--target-dir").arg(target_directory()?.join("evcxr"));
    build.env("CARGO_PROFILE_DEV_DEBUG", "false");
    steps.run("kernel of Rust", &mut build)
}
