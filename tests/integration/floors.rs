//! The floors of the source, as ARCHITECTURE.md tells them, and a few rules of the house that clippy lacks.

mod source;

use std::path::Path;

use self::source::Source;

/// From the ground up. A module imports from the floors below its own.
const FLOORS: &[(&str, &[&str])] = &[
    ("ground", &["error"]),
    ("ground", &["config"]),
    ("pure", &["notebook", "convert", "execution", "schedule", "workflow", "flow"]),
    ("hands", &["db", "store", "queue", "kernel", "deployment", "mlflow", "webhook", "hub"]),
    ("use cases", &["engine"]),
    ("ways in", &["api", "web", "worker"]),
    // `bindery serve` is a command that opens the other ways in.
    ("ways in", &["cli"]),
    // A process of its own: a kernel.
    ("ways in", &["rust_kernel"]),
    ("ways in", &["main"]),
];

/// Imports that go against the floors, each with a reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "config",
    "execution",
    "the limits of an execution are plain data, and configuration gives their defaults",
)];

/// What `lib.rs` gives again, and whose it is.
const FROM_THE_ROOT: &[(&str, &str)] = &[("Error", "error"), ("ErrorKind", "error"), ("Result", "error")];

/// What a module without I/O has no use for. `std::path` and `std::time::Duration` are only words.
const IO: &[&str] = &[
    "async",
    "tokio",
    "reqwest",
    "sqlx",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
];

/// The longest that a file may be, its tests module not counted. Most are to stay under 300; this is where a file
/// has become two ideas.
const LONGEST: usize = 400;

fn floor(module: &str) -> Option<(usize, &'static str)> {
    FLOORS
        .iter()
        .enumerate()
        .find(|(_, (_, modules))| modules.contains(&module))
        .map(|(at, (name, _))| (at, *name))
}

/// Why `from` must not import `to`, if so.
fn fault(from: &str, to: &str) -> Option<String> {
    let unknown = |module: &str| format!("`{module}` has no floor: give it one in {}", file!());
    let Some((from_height, from_floor)) = floor(from) else { return Some(unknown(from)) };
    let Some((to_height, to_floor)) = floor(to) else { return Some(unknown(to)) };
    let is_exception = EXCEPTIONS.iter().any(|(left, right, _)| (*left, *right) == (from, to));
    if from == to || is_exception {
        return None;
    }
    match (from_floor, to_floor) {
        ("pure", "pure") => None,
        ("hands", "hands") => Some(format!(
            "`{from}` and `{to}` are both hands, which never import each other: they meet in `engine`"
        )),
        ("ways in", "hands") => Some(format!("`{from}` is a way in and never touches `{to}`: ask `engine`")),
        _ if from_height > to_height => None,
        _ if from_height == to_height => {
            Some(format!("`{from}` imports `{to}` on its own floor ({to_floor})"))
        }
        _ => Some(format!("`{from}` ({from_floor}) imports `{to}` ({to_floor}), which is above it")),
    }
}

/// Everything that is wrong with files of `src/`, one line each.
fn faults(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        let mut tell = |line: usize, fault: String| faults.push(format!("{}:{line}: {fault}", source.path));
        for line in source.allowed_lints() {
            tell(line, "use `#[expect(…, reason = \"…\")]` instead of `#[allow(…)]`".into());
        }
        let length = source.lines_without_tests();
        if length > LONGEST {
            tell(length, format!("{length} lines without its tests, and {LONGEST} is the limit: split it"));
        }
        // The root declares the modules and imports nothing.
        let Some(top) = source.top() else { continue };
        for reference in source.references() {
            let again = FROM_THE_ROOT.iter().find(|(name, _)| *name == reference.name);
            if let Some(fault) = fault(top, again.map_or(&reference.name, |(_, module)| module)) {
                tell(reference.line, fault);
            }
        }
        if floor(top).is_some_and(|(_, floor)| floor == "pure") {
            for (line, word) in source.lines_with(IO) {
                tell(line, format!("`{top}` is pure: no `{word}`, no I/O, no async"));
            }
        }
    }
    faults
}

fn read(folder: &Path, sources: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap();
            sources.push(Source::new(name, &std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn imports_go_down_only_and_the_rules_of_the_house_hold() {
    let mut sources = Vec::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sources);
    assert!(sources.len() > 50, "only {} files were found", sources.len());
    let faults = faults(&sources);
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn tests_and_tasks_switch_no_lint_off_in_silence() {
    let mut sources = Vec::new();
    for folder in ["tests", "xtask/src"] {
        read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut sources);
    }
    let lines: Vec<String> = sources
        .iter()
        .flat_map(|source| {
            source.allowed_lints().into_iter().map(move |line| format!("{}:{line}", source.path))
        })
        .collect();
    assert!(lines.is_empty(), "use `#[expect]` instead of `#[allow]`: {lines:?}");
}

mod the_checker {
    use super::*;

    /// Checks one file: each expected fault is a part of one that was found, in order, and there are no others.
    fn check(path: &str, text: &str, expected: &[&str]) {
        let found = faults(&[Source::new(path, text)]);
        assert_eq!(found.len(), expected.len(), "{path}: {found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} has no {expected}");
        }
    }

    #[test]
    fn imports_that_go_down_pass() {
        check("src/lib.rs", "pub mod db; pub use error::Result;", &[]);
        check("src/config.rs", "use crate::execution::Limits; use crate::Error;", &[]);
        check("src/convert/html/mod.rs", "use crate::notebook::Cell;", &[]);
        check("src/db/mod.rs", "use crate::{config::Config, error::{Error, Result}, execution};", &[]);
        check("src/engine/runs.rs", "use crate::{db, kernel, store::TemplateStore};", &[]);
        check("src/api/mod.rs", "use crate::engine::Engine; use crate::notebook::Parameters;", &[]);
        check("src/cli/serve.rs", "use crate::{api, worker};", &[]);
        check("src/main.rs", "fn main() { bindery::cli::run() }", &[]);
    }

    #[test]
    fn imports_that_go_up_or_sideways_fail() {
        check(
            "src/error.rs",
            "use crate::config::Config;",
            &["src/error.rs:1: `error` (ground) imports `config`"],
        );
        check(
            "src/notebook/cell.rs",
            "\nuse crate::store::X;",
            &["cell.rs:2: `notebook` (pure) imports `store`"],
        );
        check("src/db/mod.rs", "use crate::engine::Engine;", &["`db` (hands) imports `engine` (use cases)"]);
        check(
            "src/kernel/client.rs",
            "use crate::db::Database;",
            &["both hands, which never import each other"],
        );
        check(
            "src/engine/mod.rs",
            "use crate::api::Body;",
            &["`engine` (use cases) imports `api` (ways in)"],
        );
        check("src/api/templates.rs", "use crate::store::Store;", &["is a way in and never touches `store`"]);
        check("src/api/mod.rs", "use crate::web;", &["`api` imports `web` on its own floor"]);
        check("src/main.rs", "use bindery::db::Database;", &["`main` is a way in and never touches `db`"]);
    }

    #[test]
    fn every_form_of_an_import_is_seen() {
        let above = "imports `engine`";
        check("src/queue.rs", "fn f() -> crate::engine::Engine { crate::engine::new() }", &[above, above]);
        check("src/queue.rs", "use super::engine;", &[above]);
        check("src/db/rows/mod.rs", "use super::super::{error, engine::{self, X},};", &[above]);
        check("src/db/rows/mod.rs", "use super::{super::engine, error};", &[above]);
        check("src/queue.rs", "mod tests { use super::super::engine::Engine; use super::*; }", &[above]);
        check(
            "src/kernel/launch_tests.rs",
            "use super::super::spec::Spec; use super::super::super::engine;",
            &[above],
        );
        check("src/queue.rs", "macro_rules! m { () => { $crate::engine::f() } }", &[above]);
        check("src/queue.rs", "use crate::r#engine::X;", &[above]);
        check("src/queue.rs", "use crate::*;", &["`*` has no floor"]);
        check("src/novel/mod.rs", "use crate::error::Error;", &["`novel` has no floor"]);
    }

    #[test]
    fn what_is_no_code_is_not_seen() {
        let text = r####"
            //! [`crate::engine`]
            /* crate::engine /* #[allow(x)] */ crate::engine */
            const A: &str = "use crate::engine; \" #[allow(unused)] std::fs";
            const B: &str = r#"crate::engine" "#;
            const C: (char, char, u8) = ('"', '\'', b'"');
            fn f<'a>(text: &'a str, allow: fn(&str)) { allow(text) }
            pub(crate) struct D;
        "####;
        check("src/execution.rs", text, &[]);
        check("src/execution.rs", &format!("{text}\nuse crate::engine;"), &["execution.rs:10"]);
    }

    #[test]
    fn a_lint_that_is_switched_off_in_silence_fails() {
        let expected = &["src/db/mod.rs:2: use `#[expect("];
        check("src/db/mod.rs", "\n#[allow(dead_code)]\nfn f() {}", expected);
        check("src/db/mod.rs", "\n#![allow(dead_code)]", expected);
        check("src/db/mod.rs", "#[cfg_attr(\ntest, allow(dead_code))]\nfn f() {}", expected);
        check("src/db/mod.rs", "#[expect(dead_code, reason = \"x\")]\nfn f() {}", &[]);
    }

    #[test]
    fn what_is_pure_does_no_io_outside_of_its_tests() {
        check(
            "src/notebook/mod.rs",
            "\nuse std::fs;",
            &["notebook/mod.rs:2: `notebook` is pure: no `std::fs`"],
        );
        check("src/notebook/mod.rs", "async fn f() { tokio::spawn(g()) }", &["no `async`", "no `tokio`"]);
        check("src/notebook/mod.rs", "use std::path::Path; #[cfg(test)] mod tests { use std::fs; }", &[]);
        check("src/notebook/json_tests.rs", "use std::fs;", &[]);
        check("src/db/mod.rs", "use std::fs;", &[]);
    }

    #[test]
    fn a_file_that_is_too_long_fails_and_its_tests_do_not_count() {
        let lines = |count: usize| "fn f() {}\n".repeat(count);
        check("src/db/mod.rs", &lines(LONGEST), &[]);
        check("src/db/mod.rs", &lines(LONGEST + 1), &[&format!("{} lines without its tests", LONGEST + 1)]);
        let tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", lines(LONGEST), lines(500));
        check("src/db/mod.rs", &tests, &[]);
    }
}
