//! Trying out an installed kernel's environment: its interpreter starts and the modules can be imported.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::error::{Error, Result};

use super::discovery;
use super::launch::{launch_command, resolve_program};
use super::search_path::{SearchPath, specs_folder};
use super::shipped;

/// The first import of the whole data-science stack may take this long on a slow disk.
const IMPORT_TIME: Duration = Duration::from_secs(300);

/// Imports the modules named by its arguments and prints a report as the last line.
const SCRIPT: &str = r#"
import importlib, json, sys
report = {"python_version": "%d.%d.%d" % sys.version_info[:3], "modules": [], "faults": []}
for name in sys.argv[1:]:
    try:
        module = importlib.import_module(name)
        report["modules"].append({"name": name, "version": str(getattr(module, "__version__", ""))})
    except BaseException as fault:
        report["faults"].append([name, "%s: %s" % (type(fault).__name__, fault)])
print()
print(json.dumps(report))
"#;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// The kernel's name.
    pub name: String,
    /// The program that starts the kernel.
    pub program: PathBuf,
    /// Python's version; `None` for a kernel of another language.
    pub python_version: Option<String>,
    /// What was imported.
    pub modules: Vec<Module>,
}

/// An imported module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// Its `__version__`, empty when it has none.
    pub version: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ImportReport {
    python_version: String,
    modules: Vec<Module>,
    faults: Vec<(String, String)>,
}

/// Checks the kernel `name`: for a Python kernel, imports ipykernel and, for one that Bindery ships, the main module of
/// each requirement; for others, looks for the program.
///
/// Errors: `NotFound`, or `Kernel` with the faulty modules as field errors.
pub async fn check(name: &str, data_dir: &Path) -> Result<CheckReport> {
    let variables = |name: &str| std::env::var_os(name);
    let search_path = SearchPath::new(data_dir, &variables);
    let spec = discovery::find(&search_path, name)?;
    let command = launch_command(&spec, Path::new("connection.json"), &search_path, &variables);
    let path = variables("PATH").unwrap_or_default();
    let program = resolve_program(&command.program, &path).ok_or_else(|| missing_program(&spec.name))?;

    let is_ours = spec.resource_dir.starts_with(specs_folder(data_dir));
    let modules = match shipped::find(&spec.name).filter(|_| is_ours) {
        Some(kernel) => kernel.modules,
        None => &["ipykernel"],
    };
    let is_python_program =
        program.file_name().is_some_and(|file| file.to_string_lossy().starts_with("python"));
    if !(spec.is_python() && is_python_program) {
        return Ok(CheckReport { name: spec.name, program, python_version: None, modules: Vec::new() });
    }
    let report = import(&spec.name, program.as_os_str(), modules).await?;
    Ok(CheckReport {
        name: spec.name,
        program,
        python_version: Some(report.python_version),
        modules: report.modules,
    })
}

/// Imports `modules` with the interpreter `python`.
pub(super) async fn import(name: &str, python: &OsStr, modules: &[&str]) -> Result<ImportReport> {
    let broken =
        |what: &str| Error::kernel(format!("the environment of {name} is broken: {what}; {}", remedy(name)));
    let mut command = Command::new(python);
    command.args([OsString::from("-c"), SCRIPT.into()]).args(modules);
    command.env_remove("PYTHONHOME").env_remove("PYTHONPATH").env("GIT_PYTHON_REFRESH", "quiet");
    command.env("MLFLOW_DISABLE_TELEMETRY", "true").env("PYTHONSAFEPATH", "1");
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(IMPORT_TIME, command.output()).await {
        Ok(output) => output.map_err(|error| broken("its interpreter does not start").with_source(error))?,
        Err(elapsed) => return Err(broken("its packages take too long to import").with_source(elapsed)),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let report: Option<ImportReport> = text.lines().last().and_then(|line| serde_json::from_str(line).ok());
    let Some(report) = report else {
        let fault = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        return Err(broken("its interpreter ended early").with_source(fault));
    };
    if report.faults.is_empty() {
        return Ok(report);
    }
    let error =
        report.faults.into_iter().fold(broken("packages cannot be imported"), |error, (module, fault)| {
            error.with_field(module, fault)
        });
    Err(error)
}

fn missing_program(name: &str) -> Error {
    Error::kernel(format!("the program that starts the kernel {name} is not there; {}", remedy(name)))
}

fn remedy(name: &str) -> String {
    match shipped::find(name) {
        Some(kernel) => format!("`bindery kernels install {} --force` makes it anew", kernel.name),
        None => "repair it by the means it was installed with".to_owned(),
    }
}
