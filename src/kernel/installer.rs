//! The two programs that can fill an environment: uv, which is much faster, and Python's own venv with pip.
//!
//! The user's `PIP_*` and `UV_*` variables (indexes, proxies, caches, certificates) hold, except those that would send
//! packages somewhere else than into the environment.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::error::{Error, Result};

use super::environment::InstallProgress;
use super::launch::resolve_program;
use super::process;
use super::python::Python;
use super::shipped::ShippedKernel;

/// Variables that would have Python, pip or uv look or install outside the environment.
const MISLEADING: &[&str] = &[
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONEXECUTABLE",
    "PIP_PYTHON",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_TARGET",
    "PIP_USER",
    "UV_BREAK_SYSTEM_PACKAGES",
    "UV_PREFIX",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_TARGET",
];

/// Which program makes the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Installer {
    Uv(PathBuf),
    Pip,
}

/// What it is to make.
pub(super) struct Work<'a> {
    pub(super) kernel: &'a ShippedKernel,
    pub(super) environment: &'a Path,
    /// For temporary files; removed afterwards.
    pub(super) temporary: &'a Path,
    /// Handed to the program so that the lock lives as long as it does.
    pub(super) lock: &'a File,
}

impl fmt::Display for Installer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Uv(_) => "uv",
            Self::Pip => "pip",
        })
    }
}

impl Installer {
    /// uv when it is on `path`, else pip.
    pub(super) fn find(path: &OsStr) -> Self {
        resolve_program(OsStr::new("uv"), path).map_or(Self::Pip, Self::Uv)
    }

    /// Whether the Python itself must be able to make environments.
    pub(super) fn needs_venv(&self) -> bool {
        *self == Self::Pip
    }

    /// Makes the empty environment.
    pub(super) async fn make_environment(
        &self,
        work: &Work<'_>,
        python: &Python,
        progress: &dyn InstallProgress,
    ) -> Result<()> {
        let mut command = match self {
            Self::Uv(uv) => {
                let mut command = Command::new(uv);
                // With pip in it, as venv does: notebooks say `%pip install`.
                command.args(["venv", "--seed", "--no-project", "--python"]).arg(&python.executable);
                command
            }
            Self::Pip => {
                let mut command = Command::new(&python.executable);
                command.args(["-I", "-m", "venv"]);
                command
            }
        };
        command.arg(work.environment);
        self.run(work, &mut command, "make the virtual environment", progress).await
    }

    /// Installs the pinned packages into it.
    pub(super) async fn install_packages(
        &self,
        work: &Work<'_>,
        progress: &dyn InstallProgress,
    ) -> Result<()> {
        let python = work.environment.join("bin/python");
        let mut command = match self {
            Self::Uv(uv) => {
                let mut command = Command::new(uv);
                // pip compiles as it installs; without that, the first kernel would take seconds longer to start.
                command.args(["pip", "install", "--compile-bytecode", "--python"]).arg(&python);
                command
            }
            Self::Pip => {
                let mut command = Command::new(&python);
                command.args([
                    "-m",
                    "pip",
                    "install",
                    "--no-input",
                    "--disable-pip-version-check",
                    "--progress-bar",
                    "off",
                ]);
                // A `user = true` in the user's pip.conf is an error inside an environment.
                command.arg("--no-user");
                command
            }
        };
        // The lock alone: with it as constraints beside requirements.txt, pip reports an index that cannot be reached
        // as a conflict of versions.
        command.arg("-r").arg(work.environment.join("requirements.lock"));
        self.run(work, &mut command, "install the packages", progress).await
    }

    async fn run(
        &self,
        work: &Work<'_>,
        command: &mut Command,
        aim: &str,
        progress: &dyn InstallProgress,
    ) -> Result<()> {
        for name in MISLEADING {
            command.env_remove(name);
        }
        command.env("TMPDIR", work.temporary).env("PYTHONUNBUFFERED", "1").env("NO_COLOR", "1");
        let name = work.kernel.name;
        let finished =
            process::run(command, work.lock, &|line| progress.line(line)).await.map_err(|error| {
                Error::unavailable(format!("{self} could not be started to {aim} of {name} ({error})"))
                    .with_source(error)
            })?;
        if finished.status.success() {
            return Ok(());
        }
        let remedy = if finished.tail.iter().any(|line| line.contains("No space left on device")) {
            "the disk is full: free some space"
        } else if finished.status.code().is_none() {
            "it was killed, perhaps for want of memory"
        } else {
            "check the network; behind a proxy or a mirror, set HTTPS_PROXY, PIP_INDEX_URL or UV_INDEX_URL"
        };
        Err(Error::unavailable(format!(
            "{self} could not {aim} of {name} ({}); {remedy}, then run the command again; its last lines:\n  {}",
            finished.status,
            finished.tail.join("\n  "),
        )))
    }
}
