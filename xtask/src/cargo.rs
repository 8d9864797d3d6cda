//! Calling cargo and what it knows.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::steps::Failed;

/// Variables that `cargo run` sets for this program alone. Handed on to another cargo they would change the
/// fingerprint of build scripts that read them (ring's does), and half the tree would be compiled again.
const OURS_ALONE: &[&str] = &["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_NAME", "CARGO_BIN_NAME"];

/// The cargo that runs this program, in the root of the workspace.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = command(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    command.args(arguments);
    command
}

/// A program in the root of the workspace, with the environment that this one was called in.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| OURS_ALONE.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    command
}

/// Whether cargo has this subcommand, a component (`fmt`, `clippy`) or a plugin (`nextest`).
pub fn has(subcommand: &str) -> bool {
    let mut command = cargo(&[subcommand, "--version"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The folder that cargo builds in, wherever configuration has put it.
pub fn target_directory() -> Result<PathBuf, Failed> {
    let unknown = |cause: String| Failed(format!("cargo does not tell where it builds: {cause}"));
    let output = cargo(&["metadata", "--format-version", "1", "--no-deps"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| unknown(error.to_string()))?;
    let metadata = String::from_utf8_lossy(&output.stdout);
    string_field(&metadata, "target_directory")
        .map(PathBuf::from)
        .ok_or_else(|| unknown(format!("`cargo metadata` ended with {}", output.status)))
}

/// The text of a field whose name occurs once in the JSON that cargo writes, which has no white space.
fn string_field(json: &str, name: &str) -> Option<String> {
    let start = format!("\"{name}\":\"");
    let mut characters = json[json.find(&start)? + start.len()..].chars();
    let mut text = String::new();
    loop {
        match characters.next()? {
            '"' => return Some(text),
            // Of JSON's escapes, those that a path can have.
            '\\' => text.push(characters.next().filter(|escaped| "\"\\/".contains(*escaped))?),
            character => text.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_the_metadata_is_read_with_its_escapes() {
        let json = r#"{"a":[{"b":"c"}],"target_directory":"/a \"b\"\\c","x":1}"#;
        assert_eq!(string_field(json, "target_directory").as_deref(), Some(r#"/a "b"\c"#));
        assert_eq!(string_field(json, "absent"), None);
        assert_eq!(string_field(r#"{"a":"cut"#, "a"), None);
    }

    #[test]
    fn cargo_tells_where_it_builds() {
        assert!(target_directory().is_ok_and(|folder| folder.is_absolute()));
    }
}
