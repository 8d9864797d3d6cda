//! The kernelspec of Rust: evcxr, in this binary when it was built with it, else the `evcxr_jupyter` on PATH.

use std::path::Path;

use serde_json::Value;

use super::environment::Installed;
use super::files::write_whole;
use super::launch::resolve_program;
use super::search_path::specs_folder;
use crate::error::{Error, Result};

/// The kernel's name.
pub const NAME: &str = "rust";

const KERNEL_JSON: &str = include_str!("../../kernels/rust/kernel.json");

/// A value of the kernelspec as text, empty when it is not there.
pub(super) fn field(pointer: &str) -> String {
    let spec: Value = serde_json::from_str(KERNEL_JSON).unwrap_or_default();
    spec.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Writes the kernelspec of Rust under `data_dir`.
///
/// # Errors
/// `Unavailable` when there is neither a kernel in this binary nor an `evcxr_jupyter`, or cargo and rustc, which both
/// need, are not on PATH; or when the file cannot be written.
pub(super) fn install(data_dir: &Path) -> Result<Installed> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let find = |program: &str| resolve_program(program.as_ref(), &path);
    for needed in ["cargo", "rustc"] {
        if find(needed).is_none() {
            return Err(Error::unavailable(format!(
                "the Rust kernel compiles each cell, and `{needed}` is not on PATH: install Rust (rustup) first"
            )));
        }
    }
    let mut spec: Value = serde_json::from_str(KERNEL_JSON)
        .map_err(|error| Error::internal("a shipped kernel.json is malformed").with_source(error))?;
    let program = if cfg!(feature = "evcxr") {
        std::env::current_exe().map_err(|error| {
            Error::unavailable("the place of this program is not known").with_source(error)
        })?
    } else {
        spec["argv"][1] = "--control_file".into();
        find("evcxr_jupyter").ok_or_else(|| {
            Error::unavailable(
                "there is no Rust kernel: install evcxr (`cargo install evcxr_jupyter --locked`), or use a Bindery \
                 that has it inside (`cargo install --path . --features evcxr`)",
            )
        })?
    };
    let program_text = program
        .to_str()
        .ok_or_else(|| Error::bad_input("the kernel's path is not UTF-8, which a kernel.json cannot hold"))?;
    spec["argv"][0] = program_text.into();
    let folder = specs_folder(data_dir).join(NAME);
    let kernel_json = folder.join("kernel.json");
    let mut text = serde_json::to_string_pretty(&spec).unwrap_or_default();
    text.push('\n');
    let was_installed = std::fs::read_to_string(&kernel_json).is_ok_and(|there| there == text);
    if !was_installed {
        std::fs::create_dir_all(&folder).map_err(|error| {
            Error::unavailable("the kernelspec's folder cannot be made").with_source(error)
        })?;
        write_whole(&kernel_json, &text)?;
    }
    Ok(Installed { name: NAME.to_owned(), program, python_version: None, kernel_json, was_installed })
}
