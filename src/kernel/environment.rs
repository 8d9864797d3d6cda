//! Making the environment of a shipped kernel: a virtual environment in the data dir with pinned packages, and the
//! kernelspec that points to it.
//!
//! Layout below `<data dir>/kernels`: `envs/NAME` the environment, `envs/.NAME.lock` held while it is worked on,
//! `NAME/kernel.json` the kernelspec. An environment is complete when `envs/NAME/bindery.json` is there, which is
//! written after everything has been installed and imported; without it the folder is removed and made anew. A
//! virtual environment cannot be moved, so it is built where it stays. Nothing is written outside the data dir but the
//! installer's own cache. Error texts here show paths: they are for a shell, never for HTTP.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use super::check;
use super::files::{lock, remove_folder, unwritable, write_whole};
use super::installer::Installer;
use super::python::{ask, find_python};
use super::rust;
use super::search_path::specs_folder;
use super::shipped::{self, SHIPPED, ShippedKernel};

/// Hears how an installation goes on.
pub trait InstallProgress: Send + Sync {
    /// A new step begins, such as "making a virtual environment with Python 3.12.1".
    fn step(&self, step: &str);
    /// A line that the installer printed.
    fn line(&self, line: &str);
}

/// What an installation may be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstallOptions {
    /// The Python to make the environment from, a path or a name on `PATH`; else one is looked for.
    pub python: Option<OsString>,
    /// Makes the environment anew also when it looks complete.
    pub force: bool,
}

/// A kernel that is installed now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Installed {
    /// The kernel's name.
    pub name: String,
    /// The program that starts the kernel: the environment's interpreter, of a kernel of Python.
    pub program: PathBuf,
    /// Python's version, such as `3.12.1`; `None` for a kernel of another language.
    pub python_version: Option<String>,
    /// The kernelspec.
    pub kernel_json: PathBuf,
    /// Whether there was nothing to do.
    pub was_installed: bool,
}

/// How an environment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentState {
    /// Complete and up to date.
    Installed,
    /// Complete, but made from other requirements than this Bindery ships.
    Outdated,
    /// Begun and not finished, or damaged since.
    Incomplete,
    /// Not there.
    Absent,
}

/// `bindery.json` in a complete environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    requirements: String,
    python: String,
}

/// The folders and files of one environment.
struct Places {
    environment: PathBuf,
    python: PathBuf,
    stamp: PathBuf,
    lock: PathBuf,
    temporary: PathBuf,
    spec_folder: PathBuf,
}

impl Places {
    fn of(kernel: &ShippedKernel, data_dir: &Path) -> Self {
        let specs = specs_folder(data_dir);
        let environments = specs.join("envs");
        let environment = environments.join(kernel.name);
        Self {
            python: environment.join("bin/python"),
            stamp: environment.join("bindery.json"),
            lock: environments.join(format!(".{}.lock", kernel.name)),
            temporary: environments.join(format!(".{}.tmp", kernel.name)),
            spec_folder: specs.join(kernel.name),
            environment,
        }
    }

    fn stamp(&self) -> Option<Stamp> {
        serde_json::from_slice(&std::fs::read(&self.stamp).ok()?).ok()
    }
}

/// Installs the shipped kernel `name` under `data_dir`, or finds that it is installed.
///
/// Two calls at once, also from two processes, work one after the other. When the future is dropped, the installer and
/// its children are killed; the next call starts over. Errors: `NotFound` for a kernel that Bindery does not ship,
/// `Unavailable` for anything that the machine or the network lacks.
pub async fn install(
    name: &str,
    data_dir: &Path,
    options: &InstallOptions,
    progress: &dyn InstallProgress,
) -> Result<Installed> {
    if name.eq_ignore_ascii_case(rust::NAME) {
        return rust::install(data_dir);
    }
    let kernel = shipped::find(name).ok_or_else(|| not_shipped(name))?;
    let places = Places::of(kernel, data_dir);
    // Before any lock: what is there and right must be found at once, also in a data dir that cannot be written.
    if !options.force
        && let Some(stamp) = complete(kernel, &places, options).await
        && has_spec(kernel, &places)
    {
        return Ok(installed(kernel, &places, stamp, true));
    }
    let lock =
        lock(&places.lock, &|| progress.step("another installation of it is under way; waiting")).await?;
    let (stamp, was_installed) = match complete(kernel, &places, options).await {
        Some(stamp) if !options.force => (stamp, true),
        _ => (build(kernel, &places, options, progress, &lock).await?, false),
    };
    write_spec(kernel, &places)?;
    Ok(installed(kernel, &places, stamp, was_installed))
}

/// How the environment of a shipped kernel stands; cheap, no process is started.
pub fn state(kernel: &ShippedKernel, data_dir: &Path) -> EnvironmentState {
    let places = Places::of(kernel, data_dir);
    match places.stamp() {
        Some(_) if !places.python.is_file() || !places.spec_folder.join("kernel.json").is_file() => {
            EnvironmentState::Incomplete
        }
        Some(stamp) if stamp.requirements != kernel.digest() => EnvironmentState::Outdated,
        Some(_) => EnvironmentState::Installed,
        None if places.environment.exists() => EnvironmentState::Incomplete,
        None => EnvironmentState::Absent,
    }
}

fn installed(kernel: &ShippedKernel, places: &Places, stamp: Stamp, was_installed: bool) -> Installed {
    Installed {
        name: kernel.name.to_owned(),
        program: places.python.clone(),
        python_version: Some(stamp.python),
        kernel_json: places.spec_folder.join("kernel.json"),
        was_installed,
    }
}

fn not_shipped(name: &str) -> Error {
    let names = SHIPPED.iter().map(|kernel| kernel.name).chain([rust::NAME]).collect::<Vec<_>>().join(", ");
    Error::not_found(format!(
        "Bindery ships no kernel called {name:?}, only: {names}; a kernel that is installed by other means is found \
         in Jupyter's folders, see `bindery kernels list`"
    ))
}

/// The stamp, when the environment is whole, of these requirements, and of the Python that is asked for.
async fn complete(kernel: &ShippedKernel, places: &Places, options: &InstallOptions) -> Option<Stamp> {
    let stamp = places.stamp().filter(|stamp| stamp.requirements == kernel.digest())?;
    // An environment breaks when the Python it was made from is upgraded or removed.
    let python = ask(&places.python).await?;
    let is_same = |version: &dyn std::fmt::Display| version.to_string() == stamp.python;
    if !is_same(&python.version) {
        return None;
    }
    match &options.python {
        Some(wanted) => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let wanted = find_python(Some(wanted), &path, false).await.ok()?;
            is_same(&wanted.version).then_some(stamp)
        }
        None => Some(stamp),
    }
}

/// Makes the environment from nothing; the caller holds the lock.
async fn build(
    kernel: &ShippedKernel,
    places: &Places,
    options: &InstallOptions,
    progress: &dyn InstallProgress,
    lock: &std::fs::File,
) -> Result<Stamp> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installer = Installer::find(&path);
    let python = find_python(options.python.as_deref(), &path, installer.needs_venv()).await?;

    if places.environment.exists() {
        progress.step("removing the unfinished, damaged or outdated environment");
    }
    // The kernelspec goes first: as long as it is there, a kernel may be started from it.
    for folder in [&places.spec_folder, &places.environment, &places.temporary] {
        remove_folder(folder).await?;
    }
    std::fs::create_dir_all(&places.temporary).map_err(|error| unwritable(&places.temporary, error))?;
    let work = super::installer::Work {
        kernel,
        environment: &places.environment,
        temporary: &places.temporary,
        lock,
    };

    progress.step(&format!("making a virtual environment with Python {} ({installer})", python.version));
    installer.make_environment(&work, &python, progress).await?;
    write_whole(&places.environment.join("requirements.lock"), kernel.lock)?;
    progress.step("installing packages");
    installer.install_packages(&work, progress).await?;
    progress.step("importing them");
    check::import(kernel.name, places.python.as_os_str(), kernel.modules).await?;

    remove_folder(&places.temporary).await?;
    let stamp = Stamp { requirements: kernel.digest(), python: python.version.to_string() };
    write_whole(&places.stamp, &json_text(&stamp)?)?;
    Ok(stamp)
}

/// The text of `kernel.json` with the interpreter's path in it.
fn spec_text(kernel: &ShippedKernel, places: &Places) -> Result<String> {
    let mut spec: serde_json::Value = serde_json::from_str(kernel.kernel_json)
        .map_err(|error| Error::internal("a shipped kernel.json is malformed").with_source(error))?;
    let python = places.python.to_str().ok_or_else(|| {
        Error::bad_input(
            "the data dir's path is not UTF-8, which a kernel.json cannot hold; choose another --data-dir",
        )
    })?;
    if let Some(program) = spec.pointer_mut("/argv/0") {
        *program = python.into();
    }
    json_text(&spec)
}

fn has_spec(kernel: &ShippedKernel, places: &Places) -> bool {
    let text = std::fs::read_to_string(places.spec_folder.join("kernel.json"));
    spec_text(kernel, places).is_ok_and(|expected| text.is_ok_and(|text| text == expected))
}

fn write_spec(kernel: &ShippedKernel, places: &Places) -> Result<()> {
    std::fs::create_dir_all(&places.spec_folder).map_err(|error| unwritable(&places.spec_folder, error))?;
    write_whole(&places.spec_folder.join("kernel.json"), &spec_text(kernel, places)?)
}

/// JSON as Jupyter writes it: one space of indentation, a newline at the end.
fn json_text(value: &impl Serialize) -> Result<String> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b" ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    value
        .serialize(&mut serializer)
        .map_err(|error| Error::internal("JSON could not be written").with_source(error))?;
    bytes.push(b'\n');
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
