//! Which translator is found, which names it takes, and comments.

use serde_json::json;

use super::*;

#[test]
fn papermills_names_are_found_as_papermill_finds_them() {
    let check = |kernel: &str, language: &str, expected: Translator| {
        assert_eq!(Translator::find(Some(kernel), Some(language)).unwrap(), expected, "{kernel} {language}");
    };
    check("python", "R", Translator::Python);
    check("python3", "python", Translator::Python);
    check("pysparkkernel", "scala", Translator::Python);
    check("sparkkernel", "python", Translator::Scala);
    check("sparkrkernel", "", Translator::R);
    check(".net-csharp", "C#", Translator::CSharp);
    check(".net-fsharp", "F#", Translator::FSharp);
    check(".net-powershell", "PowerShell", Translator::PowerShell);
    check("ir", "R", Translator::R);
    check("julia-1.10", "julia", Translator::Julia);
    check("jupyter_matlab_kernel", "matlab", Translator::Matlab);
    check("bash", "bash", Translator::Bash);
    // A language of papermill's goes before a kernel that only we know.
    check("sql", "python", Translator::Python);
}

#[test]
fn further_kernels_and_languages_are_found_whatever_their_case() {
    let check = |name: &str, expected: Translator| {
        assert_eq!(Translator::find(Some(name), None).unwrap(), expected, "{name}");
        assert_eq!(Translator::find(Some("my-own"), Some(name)).unwrap(), expected, "{name}");
    };
    check("ir", Translator::R);
    check("r", Translator::R);
    check("Julia-1.9", Translator::Julia);
    check("C#", Translator::CSharp);
    check("F#", Translator::FSharp);
    check("powershell", Translator::PowerShell);
    check("MATLAB", Translator::Matlab);
    check("sh", Translator::Bash);
    check("rust", Translator::Rust);
    check("evcxr", Translator::Rust);
    check("javascript", Translator::JavaScript);
    check("deno", Translator::TypeScript);
    check("typescript", Translator::TypeScript);
    check("tslab", Translator::TypeScript);
    check("jslab", Translator::TypeScript);
    check("gonb", Translator::Go);
    check("gophernotes", Translator::Go);
    check("xsql", Translator::Sql);
    check("xeus-sql", Translator::Sql);
    check("sqlite", Translator::StandardSql);
}

#[test]
fn an_unknown_language_names_the_known_ones() {
    let error = Translator::find(Some("xcpp17"), Some("C++")).unwrap_err();
    assert_eq!(
        error.message(),
        "no way is known to write parameters for kernel `xcpp17` or language `C++`: choose one of python, R, \
         scala, julia, matlab, csharp, fsharp, powershell, bash, rust, javascript, typescript, go, sql, sqlite, \
         postgresql, duckdb"
    );
    for name in registry::LANGUAGES {
        assert!(Translator::find(Some(name), None).is_ok(), "{name}");
    }
}

#[test]
fn a_name_is_judged_by_the_languages_own_rule() {
    let check = |translator: Translator, good: &[&str], bad: &[&str]| {
        for (names, is_good) in [(good, true), (bad, false)] {
            for name in names {
                let result = codify(translator, name, ParameterValue::Bool(true));
                assert_eq!(result.is_ok(), is_good, "{translator:?} {name}: {result:?}");
            }
        }
    };
    check(Translator::Python, &["a", "größe", "next"], &["a.b", "$a", "class", "1a"]);
    check(
        Translator::R,
        &["a.b", ".hidden", "class", "_a", "größe"],
        &["TRUE", "_", "__TRUE", "..1", "...", ".2x", "1a", "a$b", "if", "_.1"],
    );
    check(Translator::Scala, &["a", "größe", "a$b"], &["val", "a.b", "Map", "_"]);
    check(Translator::Julia, &["a", "a!", "größe"], &["end", "a.b", "!a", "__", "NaN"]);
    check(Translator::Matlab, &["a", "A_1"], &["_a", "end", "größe", "a.b", "true", &"a".repeat(64)]);
    check(Translator::CSharp, &["a", "_a", "größe"], &["class", "a.b", "a$"]);
    check(Translator::FSharp, &["a", "_a"], &["let", "a.b", "_", "nan"]);
    check(
        Translator::PowerShell,
        &["a", "größe", "class"],
        &["true", "NULL", "PID", "a.b", "a$b", "e\u{301}"],
    );
    check(Translator::Bash, &["a", "_a", "class"], &["größe", "a.b", "UID", "PS4", "PROMPT_COMMAND", "_"]);
    check(Translator::Rust, &["a", "class"], &["fn", "a.b", "_", "None", "a!"]);
    check(Translator::JavaScript, &["a", "$a", "größe"], &["class", "let", "a.b", "NaN", "a!"]);
    check(Translator::Go, &["a", "class"], &["func", "main", "_", "nil", "a$b"]);
    check(Translator::Sql, &["a", "class"], &["select", "Order", "größe", "a.b"]);
    for translator in ALL {
        check(
            translator,
            &["alpha", "alpha_2"],
            &["1a", "a.", "a!b"].map(|it| if translator == Translator::R && it == "a." { "a!" } else { it }),
        );
    }
}

#[test]
fn a_name_that_is_another_to_the_language_is_refused() {
    let check = |translator: Translator, first: &str, second: &str, told: &str| {
        let parameters = Parameters::from_json(&json!({first: 1, second: 2})).unwrap();
        let error = translator.codify(&parameters, "Parameters").unwrap_err();
        assert_eq!(error.fields()[0].field, format!("parameters.{second}"));
        assert!(error.message().contains(told), "{error}");
    };
    check(Translator::Python, "ﬁ", "fi", "is the same name to Python as another parameter");
    check(Translator::R, "a", "__a", "is the same name to R as another parameter");
    check(Translator::PowerShell, "alpha", "Alpha", "is the same name to PowerShell as another parameter");
    check(Translator::Sql, "alpha", "ALPHA", "is the same name to SQL as another parameter");
    check(Translator::Rust, "e\u{301}", "\u{e9}", "is the same name to Rust as another parameter");
    let both = Parameters::from_json(&json!({"alpha": 1, "Alpha": 2})).unwrap();
    assert!(Translator::Bash.codify(&both, "").is_ok());
}

#[test]
fn every_fault_is_told_with_its_place() {
    let parameters = Parameters::from_json(&json!({"a.b": 1, "b": {"k": 1}, "c": 1, "d": [[1]]})).unwrap();
    let error = Translator::Bash.codify(&parameters, "Parameters").unwrap_err();
    let fields: Vec<_> = error.fields().iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["parameters.a.b", "parameters.b", "parameters.d"]);
    assert_eq!(
        error.message(),
        "parameters.a.b is not a name that Bash accepts: use ASCII letters, digits and `_`, and no digit at the start"
    );
}

#[test]
fn a_comment_never_becomes_code() {
    let check = |translator: Translator, comment: &str, expected: &str| {
        let source = translator.codify(&Parameters::new(), comment).unwrap();
        assert_eq!(source, format!("{expected}\n"), "{translator:?}");
    };
    for translator in ALL {
        let source = translator.codify(&Parameters::new(), "a\nb\r\u{2028}c\u{85}\0").unwrap();
        assert_eq!(source.lines().count(), 1, "{source:?}");
        assert!(!source.contains(['\u{2028}', '\u{85}', '\0', '\r']), "{source:?}");
    }
    check(Translator::Python, "", "#");
    check(Translator::R, "x", "# x");
    check(Translator::Scala, r"\u000a exit() \x", r"// \ u000a exit() \x");
    check(Translator::Matlab, "x", "% x");
    check(Translator::FSharp, "", "(*  *)");
    check(Translator::FSharp, "*) exit 0 (* \" (*)", "(* * ) exit 0 ( * ' ( * ) *)");
    check(Translator::Sql, "x", "-- x");
    check(Translator::Rust, "", "//");
}
