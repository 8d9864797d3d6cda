//! Finding a Python that a kernel environment can be made from.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;

use crate::error::{Error, Result};

use super::launch::resolve_program;

/// The oldest minor version of Python 3 that the pinned packages support.
const OLDEST: u32 = 10;
/// The newest one for which all of them have ready-made wheels; a newer Python is taken only when there is no other.
const NEWEST_WITH_WHEELS: u32 = 14;
/// Tried in this order: what the user means by Python first, then by version, the most common ones first.
const NAMES: &[&str] =
    &["python3", "python", "python3.13", "python3.12", "python3.11", "python3.10", "python3.14"];
/// A Python answers within a fraction of a second; a broken wrapper may never do so.
const ANSWER_TIME: Duration = Duration::from_secs(20);

const QUESTION: &str = "import importlib.util, json, sys; print(json.dumps({'executable': sys.executable, \
     'version': list(sys.version_info[:3]), 'has_venv': all(importlib.util.find_spec(name) is not None \
     for name in ('venv', 'ensurepip'))}))";

/// An interpreter that answered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Python {
    /// Its own path, behind wrappers.
    pub(super) executable: PathBuf,
    pub(super) version: Version,
    /// Whether it can make virtual environments with pip by itself.
    pub(super) has_venv: bool,
}

/// Major, minor and patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Version(u32, u32, u32);

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Version {
    fn is_supported(self) -> bool {
        self.0 == 3 && self.1 >= OLDEST
    }
}

/// A Python that is new enough: the one `wanted` (a path or a name), else the first suitable one on `path`.
///
/// `needs_venv` leaves out those that cannot make environments, unless `wanted` says so: that is an error of its own.
pub(super) async fn find_python(wanted: Option<&OsStr>, path: &OsStr, needs_venv: bool) -> Result<Python> {
    let names: Vec<OsString> = match wanted {
        Some(wanted) => vec![wanted.to_owned()],
        None => NAMES.iter().map(OsString::from).collect(),
    };
    let mut seen: Vec<Python> = Vec::new();
    for program in names.iter().filter_map(|name| resolve_program(name, path)) {
        let Some(python) = ask(&program).await else { continue };
        let is_usual = python.version.is_supported() && python.version.1 <= NEWEST_WITH_WHEELS;
        if is_usual && (python.has_venv || !needs_venv) {
            return Ok(python);
        }
        if !seen.contains(&python) {
            seen.push(python);
        }
    }
    let newer = seen.iter().find(|python| python.version.is_supported() && (python.has_venv || !needs_venv));
    match newer {
        Some(python) => Ok(python.clone()),
        None => Err(none_suitable(wanted, &seen)),
    }
}

fn none_suitable(wanted: Option<&OsStr>, seen: &[Python]) -> Error {
    if let Some(python) = seen.iter().find(|python| python.version.is_supported()) {
        let Version(major, minor, _) = python.version;
        return Error::unavailable(format!(
            "Python {} ({}) cannot make virtual environments because its venv module is incomplete; install \
             it (Debian, Ubuntu: `apt install python{major}.{minor}-venv`) or uv, then run the command again",
            python.version,
            python.executable.display(),
        ));
    }
    let found = match (wanted, seen) {
        (Some(wanted), []) => format!("{} does not run as a Python", Path::new(wanted).display()),
        (None, []) => "none was found on PATH".to_owned(),
        (_, seen) => {
            let found =
                seen.iter().map(|python| format!("{} ({})", python.version, python.executable.display()));
            format!("found: {}", found.collect::<Vec<_>>().join(", "))
        }
    };
    Error::unavailable(format!(
        "a kernel environment needs Python 3.{OLDEST} or newer; {found}; install one and put it on PATH, or name \
         it with --python"
    ))
}

/// What an interpreter says of itself; `None` when it does not run, as a pyenv shim without its version does not.
pub(super) async fn ask(program: &Path) -> Option<Python> {
    let mut command = Command::new(program);
    // Isolated: PYTHONPATH and the current folder must not lend it modules.
    command.args(["-I", "-c", QUESTION]).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(ANSWER_TIME, command.output()).await.ok()?.ok()?;
    serde_json::from_slice(&output.stdout).ok().filter(|_| output.status.success())
}

#[cfg(test)]
#[path = "python_tests.rs"]
mod tests;
