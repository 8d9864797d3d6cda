//! Giving a kernel that runs already its working folder and variables, in the words of its language.
//!
//! For kernels that cannot be told in another way. The code is executed silently, before the first cell.

use std::path::Path;

use serde_json::{Map, Value};

/// The source that moves a kernel of `language` to `cwd`, sets the variables of `set` and takes away those of `unset`;
/// `None` for a language that has no words for it, and for a folder whose name is no UTF-8.
pub(super) fn source(language: &str, cwd: &Path, set: &Map<String, Value>, unset: &[&str]) -> Option<String> {
    let language = Language::of(language)?;
    let mut lines = vec![language.enter(cwd.to_str()?)];
    lines.extend(set.iter().filter_map(|(name, value)| Some(language.set(name, value.as_str()?))));
    lines.extend(unset.iter().map(|name| language.unset(name)));
    Some(lines.join("\n"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Bash,
    R,
    Julia,
    Node,
    Deno,
    Python,
}

impl Language {
    fn of(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "bash" => Self::Bash,
            "r" => Self::R,
            "julia" => Self::Julia,
            "javascript" => Self::Node,
            "typescript" => Self::Deno,
            name if name.starts_with("python") => Self::Python,
            _ => return None,
        })
    }

    fn enter(self, folder: &str) -> String {
        let folder = self.text(folder);
        match self {
            Self::Bash => format!("cd {folder}"),
            Self::R => format!("invisible(setwd({folder}))"),
            Self::Julia => format!("cd({folder})"),
            Self::Node => format!("process.chdir({folder});"),
            Self::Deno => format!("Deno.chdir({folder});"),
            Self::Python => format!("__import__('os').chdir({folder})"),
        }
    }

    fn set(self, name: &str, value: &str) -> String {
        let (key, value) = (self.text(name), self.text(value));
        match self {
            Self::Bash => format!("export {name}={value}"),
            Self::R => format!("invisible(do.call(Sys.setenv, setNames(list({value}), {key})))"),
            Self::Julia => format!("ENV[{key}] = {value};"),
            Self::Node => format!("process.env[{key}] = {value};"),
            Self::Deno => format!("Deno.env.set({key}, {value});"),
            Self::Python => format!("__import__('os').environ[{key}] = {value}"),
        }
    }

    fn unset(self, name: &str) -> String {
        let key = self.text(name);
        match self {
            Self::Bash => format!("unset {name}"),
            Self::R => format!("invisible(Sys.unsetenv({key}))"),
            Self::Julia => format!("delete!(ENV, {key});"),
            Self::Node => format!("delete process.env[{key}];"),
            Self::Deno => format!("Deno.env.delete({key});"),
            Self::Python => format!("__import__('os').environ.pop({key}, None)"),
        }
    }

    /// A literal of the language.
    fn text(self, text: &str) -> String {
        // JSON's escapes mean the same in all of them but Bash; in Julia a dollar sign would interpolate.
        let json = Value::from(text).to_string();
        match self {
            Self::Bash => format!("'{}'", text.replace('\'', r"'\''")),
            Self::Julia => json.replace('$', r"\$"),
            _ => json,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::json;

    use super::*;

    /// Runs `program FLAG`, given the source and then one that prints what came of it, where it is installed.
    fn check(language: &str, program: &str, flag: &str, show: &str) {
        let folder = tempfile::tempdir().unwrap();
        let cwd = folder.path().join("a 'b' $c");
        std::fs::create_dir(&cwd).unwrap();
        let value = "x\"y'z$HOME\\`\ttab é";
        let set = json!({"BINDERY_A": value}).as_object().unwrap().clone();
        let moved = source(language, &cwd, &set, &["BINDERY_B"]).unwrap();
        let run =
            Command::new(program).arg(flag).arg(format!("{moved}\n{show}")).env("BINDERY_B", "1").output();
        match run {
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stdout);
                let expected = format!("{}|{value}|", cwd.canonicalize().unwrap().display());
                assert_eq!(
                    text.trim_end_matches('\n'),
                    expected,
                    "{}",
                    String::from_utf8_lossy(&output.stderr)
                );
            }
            Err(error) => eprintln!("{program} is not here ({error}): not checked"),
        }
    }

    #[test]
    fn each_language_does_what_it_is_told() {
        check("bash", "bash", "-c", r#"printf '%s|%s|%s' "$PWD" "$BINDERY_A" "$BINDERY_B""#);
        check(
            "javascript",
            "node",
            "-e",
            "console.log([process.cwd(), process.env.BINDERY_A, process.env.BINDERY_B ?? ''].join('|'))",
        );
        check(
            "Python",
            "python3",
            "-c",
            "import os; print(os.getcwd(), os.environ['BINDERY_A'], os.environ.get('BINDERY_B', ''), sep='|')",
        );
        check(
            "R",
            "Rscript",
            "-e",
            "cat(getwd(), Sys.getenv('BINDERY_A'), Sys.getenv('BINDERY_B'), sep='|')",
        );
        check(
            "julia",
            "julia",
            "-e",
            r#"print(pwd(), "|", ENV["BINDERY_A"], "|", get(ENV, "BINDERY_B", ""))"#,
        );
        assert!(source("cobol", Path::new("/"), &Map::new(), &[]).is_none());
    }
}
