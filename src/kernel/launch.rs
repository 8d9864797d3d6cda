//! From a kernelspec to the command that starts its kernel, as `jupyter_client` 8.x makes it
//! (`KernelManager.format_kernel_cmd` and `KernelProvisionerBase.pre_launch`).

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::search_path::{PYTHON_PREFIX, SearchPath, Variables};
use super::spec::KernelSpec;

const HISTORY_FILE: &str = "--HistoryManager.hist_file=";

/// A command ready to be run; no shell is involved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchCommand {
    /// The program: a path, or a bare name to be found on `PATH`.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables to set on top of the inherited ones.
    pub env: Vec<(String, OsString)>,
    /// Variables that the kernel must not inherit.
    pub env_remove: Vec<&'static str>,
}

/// The command for `spec` with the connection file at `connection_file` (an absolute path).
///
/// A bare `python`, `python3` or `python3.N` is that of the environment which holds the spec
/// (`PREFIX/share/jupyter/kernels/NAME`), else that of the active environment, else left to `PATH`.
pub fn launch_command(
    spec: &KernelSpec,
    connection_file: &Path,
    search_path: &SearchPath,
    variables: Variables<'_>,
) -> LaunchCommand {
    let own_prefix = prefix_of(&spec.resource_dir);
    let prefix = own_prefix.or(search_path.active_prefix());
    let fill = |argument: &String| {
        fill_placeholders(argument, |key| match key {
            "connection_file" => Some(connection_file.as_os_str()),
            "resource_dir" => Some(spec.resource_dir.as_os_str()),
            "prefix" => prefix.map(Path::as_os_str),
            _ => None,
        })
    };
    let mut words = spec.argv.iter().map(fill);
    let program = words.next().unwrap_or_default();
    let program = match is_bare_python(&spec.argv[0]) {
        true => {
            find_python(&program, [own_prefix, search_path.active_prefix()], variables).unwrap_or(program)
        }
        false => program,
    };
    let mut args: Vec<OsString> = words.collect();
    // A job's cells are nobody's history, and jobs that run at the same time would wait for its file (nbclient).
    let is_ipykernel = args.iter().any(|word| word == "ipykernel_launcher");
    if is_ipykernel && !args.iter().any(|word| word.as_encoded_bytes().starts_with(HISTORY_FILE.as_bytes())) {
        args.push(format!("{HISTORY_FILE}:memory:").into());
    }
    let env = spec.env.iter().map(|(key, value)| (key.clone(), fill_variables(value, variables))).collect();
    // Set for the parent's interpreter, it would mislead the kernel's (jupyter_client drops it for Python kernels).
    let env_remove =
        if spec.is_python() { vec![PYTHON_PREFIX, "PYTHONEXECUTABLE"] } else { vec![PYTHON_PREFIX] };
    LaunchCommand { program, args, env, env_remove }
}

/// `PREFIX` when the folder is `PREFIX/share/jupyter/kernels/NAME`.
fn prefix_of(resource_dir: &Path) -> Option<&Path> {
    let parent = resource_dir.parent()?;
    parent.ends_with("share/jupyter/kernels").then(|| parent.ancestors().nth(3)).flatten()
}

fn is_bare_python(program: &str) -> bool {
    program.strip_prefix("python").is_some_and(|version| {
        version.is_empty()
            || version == "3"
            || version.strip_prefix("3.").is_some_and(|minor| minor.parse::<u8>().is_ok())
    })
}

fn find_python(name: &OsStr, prefixes: [Option<&Path>; 2], variables: Variables<'_>) -> Option<OsString> {
    let in_prefix = |prefix: &Path| {
        let names = [name, OsStr::new("python"), OsStr::new("python3")];
        names.into_iter().map(|name| prefix.join("bin").join(name)).find(|path| path.is_file())
    };
    if let Some(path) = prefixes.into_iter().flatten().find_map(in_prefix) {
        return Some(path.into());
    }
    // Some systems have `python3` and no `python`; the kernels that ipykernel registers say `python`.
    let path = variables("PATH")?;
    let on_path = |name: &OsStr| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    (!on_path(name) && on_path(OsStr::new("python3"))).then(|| "python3".into())
}

/// Replaces each `{key}` that is known, and leaves the others, as `format_kernel_cmd` does.
fn fill_placeholders<'a>(text: &str, value: impl Fn(&str) -> Option<&'a OsStr>) -> OsString {
    let is_key = |key: &str| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let mut filled = OsString::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let after = &rest[start + 1..];
        let end = after.find('}').filter(|end| is_key(&after[..*end]));
        match end.and_then(|end| Some((value(&after[..end])?, end))) {
            Some((value, end)) => {
                filled.push(&rest[..start]);
                filled.push(value);
                rest = &after[end + 1..];
            }
            None => {
                filled.push(&rest[..=start]);
                rest = after;
            }
        }
    }
    filled.push(rest);
    filled
}

/// `string.Template(text).safe_substitute(environment)`: `$NAME`, `${NAME}`, `$$`; what is unknown stays.
fn fill_variables(text: &str, variables: Variables<'_>) -> OsString {
    let mut filled = OsString::new();
    let mut rest = text;
    while let Some(start) = rest.find('$') {
        filled.push(&rest[..start]);
        let after = &rest[start + 1..];
        if let Some(after_escape) = after.strip_prefix('$') {
            filled.push("$");
            rest = after_escape;
            continue;
        }
        let braced = after.strip_prefix('{');
        let name = identifier(braced.unwrap_or(after));
        let length = if braced.is_some() { name.len() + 2 } else { name.len() };
        let is_whole = !name.is_empty() && (braced.is_none() || after[1 + name.len()..].starts_with('}'));
        match is_whole.then(|| variables(name)).flatten() {
            Some(value) => {
                filled.push(value);
                rest = &after[length..];
            }
            None => {
                filled.push("$");
                rest = after;
            }
        }
    }
    filled.push(rest);
    filled
}

/// The longest `[_a-zA-Z][_a-zA-Z0-9]*` at the start.
fn identifier(text: &str) -> &str {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return "";
    }
    let end = text.find(|next: char| !next.is_ascii_alphanumeric() && next != '_').unwrap_or(text.len());
    &text[..end]
}

/// The file that a program's name stands for: itself when it has a slash, else the first of that name on `PATH`.
pub(super) fn resolve_program(program: &OsStr, path: &OsStr) -> Option<PathBuf> {
    if Path::new(program).components().count() > 1 {
        return Some(PathBuf::from(program)).filter(|file| file.is_file());
    }
    std::env::split_paths(path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
#[path = "launch_tests.rs"]
mod tests;
