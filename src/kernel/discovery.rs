//! Finding kernelspecs by name in the folders of a [`SearchPath`], as `jupyter_client.kernelspec` does.
//!
//! Names are compared in lower case; the first folder that has a name wins, also when its `kernel.json` is malformed.
//! A name is only ever compared with the entries of a folder, so it can be no path out of it.

use std::path::PathBuf;

use crate::error::Error;

use super::rust;
use super::search_path::SearchPath;
use super::shipped;
use super::spec::{KernelSpec, MalformedSpec};

/// The name that stands for Jupyter's native kernel, as `jupyter_client.manager` reads it.
const NATIVE_ALIAS: (&str, &str) = ("python", "python3");

/// How much of an unknown name an error repeats.
const SHOWN_CHARACTERS: usize = 80;

/// No folder holds a kernelspec of that name. Its text shows the folders: for a shell, not for HTTP.
#[derive(Debug, thiserror::Error)]
#[error("{}\nfolders searched:{}", public_text(self), folder_lines(&self.searched_paths))]
pub struct KernelNotFound {
    /// What was asked for.
    pub name: String,
    /// The names that could have been asked for, sorted.
    pub available: Vec<String>,
    /// The folders that were searched, in order.
    pub searched_paths: Vec<PathBuf>,
}

/// Why a kernelspec was not found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// There is none.
    #[error(transparent)]
    NotFound(#[from] KernelNotFound),
    /// There is one, which cannot be used.
    #[error(transparent)]
    Malformed(#[from] MalformedSpec),
}

impl From<FindError> for Error {
    fn from(error: FindError) -> Self {
        match error {
            FindError::NotFound(error) => error.into(),
            FindError::Malformed(error) => error.into(),
        }
    }
}

impl From<KernelNotFound> for Error {
    fn from(error: KernelNotFound) -> Self {
        let folders: Vec<String> =
            error.searched_paths.iter().map(|folder| folder.display().to_string()).collect();
        Self::not_found(public_text(&error)).with_source(format!("folders searched: {}", folders.join(", ")))
    }
}

impl From<MalformedSpec> for Error {
    fn from(error: MalformedSpec) -> Self {
        let message =
            format!("the kernelspec of {:?} is malformed: {}; repair or remove it", error.name, error.fault);
        Self::kernel(message).with_source(error)
    }
}

/// Whether Jupyter calls this a valid name: ASCII letters, digits, `-`, `.` and `_`.
pub fn is_valid_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// The kernelspec of that name; `python` means `python3`.
pub fn find(search_path: &SearchPath, name: &str) -> Result<KernelSpec, FindError> {
    let wanted = if name == NATIVE_ALIAS.0 { NATIVE_ALIAS.1.to_owned() } else { name.to_lowercase() };
    for (found, resource_dir) in resource_dirs(search_path) {
        if found == wanted {
            return Ok(KernelSpec::read(&found, &resource_dir)?);
        }
    }
    let available = find_all(search_path).into_iter().map(|spec| spec.name).collect();
    let searched_paths = search_path.folders().to_vec();
    Err(KernelNotFound { name: name.to_owned(), available, searched_paths }.into())
}

/// Every usable kernelspec, sorted by name. A malformed one is left out with a warning in the log.
pub fn find_all(search_path: &SearchPath) -> Vec<KernelSpec> {
    let mut specs = Vec::new();
    for (name, resource_dir) in resource_dirs(search_path) {
        match KernelSpec::read(&name, &resource_dir) {
            Ok(spec) => specs.push(spec),
            Err(error) => tracing::warn!(kernel.name = name, "a kernelspec was passed over: {error}"),
        }
    }
    specs.sort_by(|a, b| a.name.cmp(&b.name));
    specs
}

/// Name and folder of each kernelspec, without those hidden by an earlier one of the same name.
fn resource_dirs(search_path: &SearchPath) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for folder in search_path.folders() {
        // A folder that is missing or closed to us holds no kernels: so it is for Jupyter.
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().and_then(|name| name.to_str()).map(str::to_lowercase);
            // A name with other characters than the valid ones is listed all the same: Jupyter only warns.
            let Some(name) = name else { continue };
            let is_new = found.iter().all(|(known, _)| *known != name);
            if is_new && path.join("kernel.json").is_file() {
                found.push((name, path));
            }
        }
    }
    found
}

fn public_text(error: &KernelNotFound) -> String {
    // Cut, because a name may come from outside and be of any length.
    let name: &str = &error.name.chars().take(SHOWN_CHARACTERS).collect::<String>();
    let available = match error.available.as_slice() {
        [] => "there is none yet".to_owned(),
        names => format!("there are: {}", names.join(", ")),
    };
    let count = error.searched_paths.len();
    let shipped = shipped::find(name).map(|kernel| kernel.name);
    let shipped = shipped.or(name.eq_ignore_ascii_case(rust::NAME).then_some(rust::NAME));
    let remedy = if let Some(name) = shipped {
        format!("install it with `bindery kernels install {name}`")
    } else if is_valid_name(name) {
        format!(
            "name one of these or install a kernelspec called {name}, for a Python environment with `python -m \
             ipykernel install --user --name {name}`; `bindery kernels list` shows what can be had"
        )
    } else {
        "a kernel's name has only ASCII letters, digits, hyphens, periods and underscores".to_owned()
    };
    format!("no kernel is called {name:?}; {available} ({count} folders were searched); {remedy}")
}

fn folder_lines(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| format!("\n  {}", folder.display())).collect()
}

#[cfg(test)]
#[path = "discovery_tests.rs"]
mod tests;
