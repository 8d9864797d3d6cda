//! Literals against the languages themselves: what an interpreter makes of a cell is the value that was given.
//!
//! The values are those of the papermill table, hostile ones among them. Python, Bash, SQLite and the Rust
//! compiler are always there; Node.js, R, Julia, Go, Scala and Mono's C# are asked where they are installed.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use bindery::notebook::{ParameterValue, Parameters, Translator};
use serde_json::Value;
use sqlx::{Connection as _, Row as _, SqliteConnection};

use super::translators::tagged;
use super::{fixture, untagged};

/// The values that the language can hold, each with its cell; `x` is bound.
fn cells(translator: Translator) -> Vec<(ParameterValue, String)> {
    let mut cells = Vec::new();
    let texts: Vec<_> = hostile_texts().collect();
    let more = [
        ParameterValue::List(texts.iter().cloned().map(ParameterValue::String).collect()),
        // Keys that differ by more than case.
        ParameterValue::Dict(
            (0..)
                .zip(texts)
                .map(|(index, key)| (format!("{key}{index}"), ParameterValue::Bool(true)))
                .collect(),
        ),
    ];
    let table = fixture("translators.json").into_iter().map(|row| untagged(&row["value"]));
    for value in table.chain(more) {
        let mut parameters = Parameters::new();
        parameters.insert("x", value.clone()).unwrap();
        if let Ok(source) = translator.codify(&parameters, "*/ \" ' Parameters") {
            cells.push((value, source));
        }
    }
    cells
}

/// Texts of what is code in some language, in random order, always the same ones.
pub(super) fn hostile_texts() -> impl Iterator<Item = String> {
    const PIECES: &[&str] = &[
        "\"", "'", "`", "\\", "$", "${", "$(", "#{", "%{", "}", ")", "(", "{", "*)", "(*", "*/", "//", "--",
        "#", ";", "\n", "\r", "\t", "\u{1}", "\u{7f}", "\u{85}", "é", "\u{2028}", "\u{201c}", "\u{201d}",
        "日", "🙂", "x", "u", "n", "0", "a1", " ", "!", "~", "*", "?", "&", "|", "<", ">", "@", "=", "exit",
        "\\u000a", "\\x41", "%s", "\"\"\"", "''", "\\'", "\\\"",
    ];
    let mut state = 1_u64;
    let mut next = move |below: usize| {
        // Knuth's generator; the high bits are the random ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    (0..300).map(move |_| (0..=next(8)).map(|_| PIECES[next(PIECES.len())]).collect())
}

fn is_installed(program: &str) -> bool {
    let version = match program {
        "go" => "version",
        "scala" => "-version",
        _ => "--version",
    };
    let found = Command::new(program).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        eprintln!("{program} is not installed: its literals are not evaluated");
    }
    found
}

/// Standard output of a program that must succeed.
fn output_of(command: &mut Command) -> Vec<u8> {
    let output = command.env("LC_ALL", "C.UTF-8").output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The value as most languages see it: an integer that a double holds is the same number as the double.
fn as_numbers(value: &ParameterValue) -> ParameterValue {
    const MAX_SAFE: u64 = (1 << 53) - 1;
    match value {
        ParameterValue::Integer(value) if value.unsigned_abs() <= MAX_SAFE => {
            ParameterValue::Float(value.to_string().parse().unwrap())
        }
        other => map_inner(other, as_numbers),
    }
}

/// The value as R sees it: all numbers are doubles, and an empty dictionary is an empty list.
fn as_r(value: &ParameterValue) -> ParameterValue {
    match value {
        ParameterValue::Integer(value) => ParameterValue::Float(value.to_string().parse().unwrap()),
        ParameterValue::BigInteger(digits) => ParameterValue::Float(digits.parse().unwrap()),
        ParameterValue::Dict(entries) if entries.is_empty() => ParameterValue::List(Vec::new()),
        other => map_inner(other, as_r),
    }
}

fn map_inner(value: &ParameterValue, map: fn(&ParameterValue) -> ParameterValue) -> ParameterValue {
    match value {
        ParameterValue::List(values) => ParameterValue::List(values.iter().map(map).collect()),
        ParameterValue::Dict(entries) => {
            ParameterValue::Dict(entries.iter().map(|(key, value)| (key.clone(), map(value))).collect())
        }
        other => other.clone(),
    }
}

/// Every cell in one program, each followed by `emit(x)`, which prints the tagged value on a line.
fn check(
    translator: Translator,
    prelude: &str,
    body: impl Fn(&str) -> String,
    run: impl FnOnce(&str) -> Vec<u8>,
    seen_as: fn(&ParameterValue) -> ParameterValue,
) {
    let cells = cells(translator);
    assert!(cells.len() >= 200, "{translator:?}: only {} values", cells.len());
    let mut program = prelude.to_owned();
    for (_, source) in &cells {
        writeln!(program, "{}", body(source)).unwrap();
    }
    let output = String::from_utf8(run(&program)).unwrap();
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), cells.len(), "{translator:?}: code was run, or a value did not come");
    for ((value, source), line) in cells.iter().zip(lines) {
        let got = untagged(&serde_json::from_str::<Value>(line).unwrap());
        assert_eq!(tagged(&seen_as(&got)), tagged(&seen_as(value)), "{translator:?} {source}");
    }
}

fn run_file(command: &mut Command, name: &str, program: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), program).unwrap();
    output_of(command.arg(folder.path().join(name)))
}

#[test]
fn python_reads_what_was_given() {
    let run = |program: &str| run_file(&mut Command::new("python3"), "cells.py", program);
    let body = |cell: &str| format!("{cell}emit(x)");
    check(Translator::Python, include_str!("interpreters/tag.py"), body, run, Clone::clone);
}

#[test]
fn javascript_reads_what_was_given() {
    if !is_installed("node") {
        return;
    }
    let run = |program: &str| run_file(&mut Command::new("node"), "cells.js", program);
    let prelude = include_str!("interpreters/tag.js");
    check(Translator::JavaScript, prelude, |cell| format!("{cell}emit(x);"), run, as_numbers);
    check(Translator::TypeScript, prelude, |cell| format!("{{\n{cell}emit(x);\n}}"), run, as_numbers);
}

#[test]
fn r_reads_what_was_given() {
    if !is_installed("Rscript") {
        return;
    }
    let run = |program: &str| run_file(&mut Command::new("Rscript"), "cells.R", program);
    check(Translator::R, include_str!("interpreters/tag.R"), |cell| format!("{cell}emit(x)"), run, as_r);
}

#[test]
fn julia_reads_what_was_given() {
    if !is_installed("julia") {
        return;
    }
    let run = |program: &str| run_file(&mut Command::new("julia"), "cells.jl", program);
    let prelude = include_str!("interpreters/tag.jl");
    check(Translator::Julia, prelude, |cell| format!("{cell}emit(x)"), run, as_numbers);
}

#[test]
fn go_reads_what_was_given() {
    if !is_installed("go") {
        return;
    }
    let prelude = format!("{}\nfunc main() {{\n", include_str!("interpreters/tag.go"));
    // The program imports what a cell would import for itself.
    let body = |cell: &str| format!("{{\n{}emit(x)\n}}", cell.replace("import \"math\"\n", ""));
    let run = |program: &str| {
        run_file(Command::new("go").arg("run").env("GOFLAGS", ""), "cells.go", &format!("{program}}}\n"))
    };
    check(Translator::Go, &prelude, body, run, as_numbers);
}

#[test]
fn csharp_reads_what_was_given() {
    if !is_installed("mcs") || !is_installed("mono") {
        return;
    }
    let run = |program: &str| {
        let folder = tempfile::tempdir().unwrap();
        let (source, binary) = (folder.path().join("cells.cs"), folder.path().join("cells.exe"));
        std::fs::write(&source, format!("{program}}}}}\n")).unwrap();
        let out = format!("-out:{}", binary.display());
        output_of(Command::new("mcs").args(["-r:System.Numerics.dll", &out]).arg(&source));
        output_of(Command::new("mono").arg(&binary))
    };
    let body = |cell: &str| format!("{{\n{cell}emit(x);\n}}");
    check(Translator::CSharp, include_str!("interpreters/tag.cs"), body, run, as_numbers);
}

#[test]
fn scala_reads_what_was_given() {
    if !is_installed("scala") {
        return;
    }
    let run = |program: &str| run_file(&mut Command::new("scala"), "cells.scala", program);
    let body = |cell: &str| format!("new {{\n{cell}emit(x)\n}}");
    check(Translator::Scala, include_str!("interpreters/tag.scala"), body, run, as_numbers);
}

#[test]
fn rust_reads_what_was_given() {
    let prelude = format!("{}\nfn main() {{\n", include_str!("interpreters/tag.rs.txt"));
    let run = |program: &str| {
        let folder = tempfile::tempdir().unwrap();
        let (source, binary) = (folder.path().join("cells.rs"), folder.path().join("cells"));
        std::fs::write(&source, format!("{program}}}\n")).unwrap();
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        output_of(Command::new(rustc).args(["--edition", "2021", "-o"]).arg(&binary).arg(&source));
        output_of(&mut Command::new(binary))
    };
    check(Translator::Rust, &prelude, |cell| format!("{{\n{cell}emit(x);\n}}"), run, as_numbers);
}

/// Bash has words only: an array of them, or one.
#[test]
fn bash_reads_what_was_given() {
    fn word(value: &ParameterValue) -> String {
        match value {
            ParameterValue::Null => String::new(),
            ParameterValue::String(text) => text.clone(),
            ParameterValue::Float(value) if value.is_nan() => "nan".into(),
            other => other.to_json().to_string().replace('"', ""),
        }
    }
    fn words(value: &ParameterValue) -> Vec<String> {
        match value {
            ParameterValue::List(values) => values.iter().map(word).collect(),
            other => vec![word(other)],
        }
    }

    let cells = cells(Translator::Bash);
    assert!(cells.len() >= 200);
    let mut program = String::new();
    for (_, source) in &cells {
        writeln!(program, "unset x\n{source}printf '%s\\0' \"${{#x[@]}}\" \"${{x[@]}}\"").unwrap();
    }
    for locale in ["C", "C.UTF-8"] {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("cells.sh");
        std::fs::write(&script, &program).unwrap();
        let output = Command::new("bash").arg(&script).env("LC_ALL", locale).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let output = String::from_utf8(output.stdout).unwrap();
        let mut fields = output.split_terminator('\0');
        for (value, source) in &cells {
            let count: usize = fields.next().unwrap().parse().unwrap();
            let got: Vec<_> = fields.by_ref().take(count).map(as_bash_number).collect();
            let expected: Vec<_> = words(value).iter().map(|word| as_bash_number(word)).collect();
            assert_eq!(got, expected, "{source}");
        }
        assert_eq!(fields.next(), None);
    }

    /// JSON spells floats and infinities in its own way; the number is the same.
    fn as_bash_number(word: &str) -> String {
        match word {
            "Infinity" => "inf".into(),
            "-Infinity" => "-inf".into(),
            _ if word.contains('e') || word.contains('.') => {
                word.parse::<f64>().map_or_else(|_| word.to_owned(), |it| format!("{it:?}"))
            }
            _ => word.to_owned(),
        }
    }
}

#[tokio::test]
async fn sqlite_reads_what_was_given() {
    let cells = cells(Translator::StandardSql);
    assert!(cells.len() >= 200);
    for (value, source) in cells {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(source.clone())).execute(&mut connection).await.unwrap();
        let query = "SELECT typeof(x), CAST(x AS TEXT), x FROM parameters";
        let row = sqlx::query(query).fetch_one(&mut connection).await.unwrap();
        let of_type: String = row.get(0);
        let got = match of_type.as_str() {
            "null" => ParameterValue::Null,
            "integer" => ParameterValue::Integer(row.get(2)),
            "real" => ParameterValue::Float(row.get(2)),
            "text" => ParameterValue::String(row.get(1)),
            other => panic!("{source} has the type {other}"),
        };
        match &value {
            ParameterValue::Bool(value) => {
                assert_eq!(got, ParameterValue::Integer((*value).into()), "{source}")
            }
            ParameterValue::List(_) | ParameterValue::Dict(_) => {
                let ParameterValue::String(json) = got else { panic!("{source}") };
                let parameters = format!(r#"{{"x": {json}}}"#);
                let parameters = serde_json::value::RawValue::from_string(parameters).unwrap();
                let back = Parameters::from_json_text(&parameters).unwrap();
                assert_eq!(tagged(back.get("x").unwrap()), tagged(&value), "{source}");
            }
            value => assert_eq!(tagged(&got), tagged(value), "{source}"),
        }
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_temp_master")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(tables, 1, "{source}");
    }
}
