//! Where kernelspecs are looked for: Bindery's own folder, then the folders of Jupyter.
//!
//! The order is that of `jupyter_core.paths.jupyter_path` (5.9) followed by `jupyter_client.kernelspec` (8.x), which
//! adds IPython's old folder. Two things differ because Bindery is no Python program: there is no `sys.prefix`, so the
//! environment is the one that the Python module names ([`PYTHON_PREFIX`]), else the one that Bindery is installed in,
//! else the *active* one (`VIRTUAL_ENV`, else `CONDA_PREFIX`); and an empty entry of `JUPYTER_PATH`, as
//! `JUPYTER_PATH=/a:$JUPYTER_PATH` makes one, is passed over instead of standing for the current folder.
//!
//! Called by the Python module, Bindery's own folder comes after Jupyter's: what `python3` means to the program that
//! calls must not depend on the folder that it runs in.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How a value of the environment is asked for: `std::env::var_os`, or a table in tests.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The variable in which the Python module says its `sys.prefix`. Kernels do not inherit it.
pub const PYTHON_PREFIX: &str = "BINDERY_PYTHON_PREFIX";

/// The folders in which kernelspecs are searched, first come first served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPath {
    folders: Vec<PathBuf>,
    active_prefix: Option<PathBuf>,
}

impl SearchPath {
    /// The search path of this process for a data dir.
    pub fn from_process(data_dir: &Path) -> Self {
        Self::new(data_dir, &|name| match name {
            INSTALLED_IN => installed_in().map(PathBuf::into_os_string),
            name => std::env::var_os(name),
        })
    }

    /// The search path under the given environment variables.
    pub fn new(data_dir: &Path, variables: Variables<'_>) -> Self {
        let active_prefix = active_prefix(variables);
        let mut folders = Vec::new();
        let called_by_python = value(variables, PYTHON_PREFIX).is_some();
        if !called_by_python {
            folders.push(specs_folder(data_dir));
        }
        for folder in jupyter_path(variables, active_prefix.as_deref()) {
            push_new(&mut folders, folder.join("kernels"));
        }
        if called_by_python {
            push_new(&mut folders, specs_folder(data_dir));
        }
        push_new(&mut folders, ipython_folder(variables).join("kernels"));
        Self { folders, active_prefix }
    }

    /// The folders in order; each holds one folder per kernel, with a `kernel.json` in it.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// The environment that Bindery is called from, which stands in for Python's `sys.prefix`.
    pub fn active_prefix(&self) -> Option<&Path> {
        self.active_prefix.as_deref()
    }
}

/// The folder of the kernelspecs that Bindery installs. It is `kernels` in the data dir, so that
/// `JUPYTER_PATH=<data dir>` makes the same kernels known to Jupyter.
pub fn specs_folder(data_dir: &Path) -> PathBuf {
    let folder = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned()).join("kernels");
    // Several data dirs may share one folder through links; its kernels have one path whichever way they are reached.
    folder.canonicalize().unwrap_or(folder)
}

/// A variable that is set and not empty.
fn value(variables: Variables<'_>, name: &str) -> Option<OsString> {
    variables(name).filter(|value| !value.is_empty())
}

/// `jupyter_core.paths.envset`: `None` when unset, else whether the value is anything but a word for no.
fn switch(variables: Variables<'_>, name: &str) -> Option<bool> {
    let text = variables(name)?.to_string_lossy().to_lowercase();
    Some(!["no", "n", "false", "off", "0", "0.0"].contains(&text.as_str()))
}

/// The name under which [`SearchPath::new`] asks for the virtual environment that Bindery is installed in.
const INSTALLED_IN: &str = "the environment of this program";

/// The virtual environment of which this program is a script, as `pip install bindery` makes it one. Without kernels
/// (a tool's own environment, as pipx makes them) it is not what anybody means.
fn installed_in() -> Option<PathBuf> {
    let prefix = std::env::current_exe().ok()?.parent()?.parent()?.to_owned();
    (is_virtual(&prefix) && prefix.join("share/jupyter/kernels").is_dir()).then_some(prefix)
}

/// Whether Python takes the folder for a virtual environment.
fn is_virtual(prefix: &Path) -> bool {
    prefix.join("pyvenv.cfg").is_file()
}

fn active_prefix(variables: Variables<'_>) -> Option<PathBuf> {
    let names = [PYTHON_PREFIX, INSTALLED_IN, "VIRTUAL_ENV", "CONDA_PREFIX"];
    names.into_iter().find_map(|name| value(variables, name)).map(PathBuf::from)
}

/// Whether the environment that stands in for `sys.prefix` is a virtual one.
fn in_virtual(variables: Variables<'_>) -> bool {
    match value(variables, PYTHON_PREFIX) {
        Some(prefix) => is_virtual(Path::new(&prefix)),
        None => value(variables, INSTALLED_IN).is_some() || value(variables, "VIRTUAL_ENV").is_some(),
    }
}

fn home(variables: Variables<'_>) -> PathBuf {
    let home =
        value(variables, "HOME").map(PathBuf::from).or_else(std::env::home_dir).unwrap_or_else(|| "/".into());
    std::fs::canonicalize(&home).unwrap_or(home)
}

fn jupyter_path(variables: Variables<'_>, active_prefix: Option<&Path>) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    if let Some(list) = value(variables, "JUPYTER_PATH") {
        for entry in std::env::split_paths(&list).filter(|entry| !entry.as_os_str().is_empty()) {
            push_new(&mut paths, entry);
        }
    }
    let system = system_folders(variables);
    let environment =
        active_prefix.map(|prefix| prefix.join("share/jupyter")).filter(|path| !system.contains(path));
    let user = user_folders(variables);
    if prefers_environment(variables, active_prefix) {
        paths.extend(environment);
        paths.extend(user);
    } else {
        paths.extend(user);
        paths.extend(environment);
    }
    for folder in system {
        push_new(&mut paths, folder);
    }
    paths
}

fn push_new(paths: &mut Vec<PathBuf>, path: PathBuf) {
    if !paths.contains(&path) {
        paths.push(path);
    }
}

/// `JUPYTER_DATA_DIR` or its default, and Python's user base, which a virtual environment switches off.
fn user_folders(variables: Variables<'_>) -> Vec<PathBuf> {
    let mut folders = vec![jupyter_data_dir(variables)];
    let has_user_site = !in_virtual(variables) && value(variables, "PYTHONNOUSERSITE").is_none();
    if has_user_site {
        let user_base = value(variables, "PYTHONUSERBASE")
            .map(PathBuf::from)
            .unwrap_or_else(|| home(variables).join(".local"));
        push_new(&mut folders, user_base.join("share/jupyter"));
    }
    folders
}

fn uses_platform_folders(variables: Variables<'_>) -> bool {
    switch(variables, "JUPYTER_PLATFORM_DIRS").unwrap_or(false)
}

fn jupyter_data_dir(variables: Variables<'_>) -> PathBuf {
    if let Some(folder) = value(variables, "JUPYTER_DATA_DIR") {
        return folder.into();
    }
    let home = home(variables);
    if cfg!(target_os = "macos") {
        let below = if uses_platform_folders(variables) { "Application Support/Jupyter" } else { "Jupyter" };
        return home.join("Library").join(below);
    }
    let share = value(variables, "XDG_DATA_HOME").map_or_else(|| home.join(".local/share"), PathBuf::from);
    share.join("jupyter")
}

fn system_folders(variables: Variables<'_>) -> Vec<PathBuf> {
    if !uses_platform_folders(variables) {
        return vec!["/usr/local/share/jupyter".into(), "/usr/share/jupyter".into()];
    }
    if cfg!(target_os = "macos") {
        return vec!["/Library/Application Support/Jupyter".into()];
    }
    let list =
        value(variables, "XDG_DATA_DIRS").unwrap_or_else(|| OsString::from("/usr/local/share:/usr/share"));
    std::env::split_paths(&list)
        .filter(|entry| !entry.as_os_str().is_empty())
        .map(|entry| entry.join("jupyter"))
        .collect()
}

/// IPython's own folder (`IPython.paths.get_ipython_dir`), which Jupyter still searches last.
fn ipython_folder(variables: Variables<'_>) -> PathBuf {
    match value(variables, "IPYTHONDIR").map(PathBuf::from) {
        Some(folder) => match folder.strip_prefix("~") {
            Ok(below) => home(variables).join(below),
            Err(_) => folder,
        },
        None => home(variables).join(".ipython"),
    }
}

/// `jupyter_core.paths.prefer_environment_over_user`: what `JUPYTER_PREFER_ENV_PATH` says, else yes in a virtual
/// environment, or a conda environment other than the base one, that belongs to this user.
fn prefers_environment(variables: Variables<'_>, active_prefix: Option<&Path>) -> bool {
    if let Some(said) = switch(variables, "JUPYTER_PREFER_ENV_PATH") {
        return said;
    }
    let Some(prefix) = active_prefix else { return false };
    let is_conda_base = value(variables, "CONDA_DEFAULT_ENV").is_none_or(|name| name == OsStr::new("base"));
    let in_conda = value(variables, "CONDA_PREFIX").is_some_and(|conda| prefix.starts_with(conda));
    (in_virtual(variables) || (in_conda && !is_conda_base)) && is_mine(prefix)
}

/// Whether this user owns the path, or the nearest parent of it that exists.
fn is_mine(path: &Path) -> bool {
    path.ancestors()
        .find_map(|ancestor| std::fs::metadata(ancestor).ok())
        .is_some_and(|metadata| metadata.uid() == rustix::process::geteuid().as_raw())
}

#[cfg(test)]
#[path = "search_path_tests.rs"]
mod tests;
