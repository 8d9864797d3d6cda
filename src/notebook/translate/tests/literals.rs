//! Literals of our own languages, and where papermill writes something else.

use serde_json::json;

use super::*;

#[test]
fn literals_of_rust() {
    let check = |value, expected: &str| check(Translator::Rust, value, expected);
    check(json!("a\"\\\n\t\0é🙂{}"), r#"let x: String = String::from("a\"\\\n\t\u{0}\u{e9}\u{1f642}{}");"#);
    check(json!(true), "let x: bool = true;");
    check(json!(-5), "let x: i32 = -5;");
    check(json!(3_000_000_000_i64), "let x: i64 = 3000000000;");
    check(json!(u64::MAX), "let x: i128 = 18446744073709551615;");
    check(json!(1e-5), "let x: f64 = 1e-05;");
    check(json!(null), "let x: Option<()> = None;");
    check(json!([1, 2.5, null]), "let x: Vec<Option<f64>> = vec![Some(1.0), Some(2.5), None];");
    check(json!([[], [[1]]]), "let x: Vec<Vec<Vec<i32>>> = vec![vec![], vec![vec![1]]];");
    check(json!([1, 3_000_000_000_i64]), "let x: Vec<i64> = vec![1, 3000000000];");
    check(
        json!({"k": ["v"]}),
        r#"let x: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::from([(String::from("k"), vec![String::from("v")])]);"#,
    );
    self::check(Translator::Rust, f64::NAN, "let x: f64 = f64::NAN;");
    self::check(Translator::Rust, f64::NEG_INFINITY, "let x: f64 = f64::NEG_INFINITY;");
    check_refused(Translator::Rust, json!([1, "a"]), "several types");
    check_refused(Translator::Rust, json!([3_000_000_000_i64, 0.5]), "several types");
    check_refused(Translator::Rust, big(&"9".repeat(40)), "128 bits");
}

#[test]
fn literals_of_javascript_and_typescript() {
    check(Translator::TypeScript, json!([1, "a", null]), r#"let x = [1, "a", null];"#);
    let check = |value, expected: &str| check(Translator::JavaScript, value, expected);
    check(json!("`${1}` </script>\u{2028}é🙂\0"), r#"x = "`${1}` </script>\u2028\xe9\u{1f642}\x00";"#);
    check(json!((1_i64 << 53) - 1), "x = 9007199254740991;");
    check(json!(1_i64 << 53), "x = 9007199254740992n;");
    check(json!({"__proto__": {"a": true}}), r#"x = {["__proto__"]: {"a": true}};"#);
    self::check(Translator::JavaScript, f64::NEG_INFINITY, "x = -Infinity;");
}

#[test]
fn literals_of_go() {
    let check = |value, expected: &str| check(Translator::Go, value, expected);
    check(json!("a\"$`é🙂\u{1}"), r#"var x = "a\"$`\u00e9\U0001f642\x01""#);
    check(json!(null), "var x interface{} = nil");
    check(json!(u64::MAX), "var x = uint64(18446744073709551615)");
    check(json!([1, 2]), "var x = []int{1, 2}");
    check(json!([1, 2.5]), "var x = []float64{1, 2.5}");
    check(json!([1, "a", null, []]), r#"var x = []interface{}{1, "a", nil, []interface{}{}}"#);
    check(json!({"a": {"b": 1}}), r#"var x = map[string]map[string]int{"a": map[string]int{"b": 1}}"#);
    check(json!({}), "var x = map[string]interface{}{}");
    self::check(Translator::Go, f64::NAN, "import \"math\"\nvar x = math.NaN()");
    self::check(Translator::Go, -0.0, "import \"math\"\nvar x = math.Copysign(0, -1)");
    check_refused(Translator::Go, big("-9223372036854775809"), "64 bits");
}

#[test]
fn literals_of_sql() {
    let parameters =
        Parameters::from_json(&json!({"a": 0.5, "b": "it's", "c": [1, null, {"k": true}]})).unwrap();
    assert_eq!(
        Translator::Sql.codify(&parameters, "Parameters").unwrap(),
        "-- Parameters\nCREATE TEMPORARY VIEW parameters AS SELECT\n    0.5 AS a,\n    'it''s' AS b,\n    \
         '[1, null, {\"k\": true}]' AS c;\n"
    );
    check(
        Translator::StandardSql,
        json!(r"\'"),
        "CREATE TEMPORARY VIEW parameters AS SELECT\n    '\\''' AS x;",
    );
    check_refused(Translator::Sql, json!(r"\'; DROP TABLE t; --"), "backslash");
    check_refused(Translator::Sql, json!(["a\n"]), "backslash");
    check_refused(Translator::StandardSql, json!("\0"), "U+0000");
    check_refused(Translator::StandardSql, json!(u64::MAX), "64 bits");
    check_refused(Translator::StandardSql, f64::INFINITY, "not finite");
    check_refused(Translator::StandardSql, ParameterValue::List(vec![f64::NAN.into()]), "not finite");
    assert_eq!(Translator::Sql.codify(&Parameters::new(), "none").unwrap(), "-- none\n");
}

/// Where papermill writes something else: `docs/adr/0004-literals-mean-their-value.md`.
#[test]
fn what_papermill_gets_wrong_is_right() {
    check(Translator::R, json!("é\u{1}"), r#"x = "\u00e9\u0001""#);
    check(Translator::R, f64::NEG_INFINITY, "x = -Inf");
    check(Translator::R, json!({"": 1, "b": null}), r#"x = structure(list(1, NULL), names = c("", "b"))"#);
    check_refused(Translator::R, json!(["\0"]), "U+0000");
    check_refused(Translator::R, big(&"9".repeat(400)), "largest double");

    check(Translator::Scala, json!("é\u{1}🙂"), r#"val x = "\u00e9\u0001\ud83d\ude42""#);
    check(Translator::Scala, json!(u64::MAX), r#"val x = BigInt("18446744073709551615")"#);
    check(Translator::Scala, json!([i64::MAX, 0.5]), "val x = Seq[Any](9223372036854775807L, 0.5)");
    check(Translator::Scala, f64::NAN, "val x = Double.NaN");

    check(Translator::Julia, json!("$(exit())é\\"), r#"x = "\$(exit())\u00e9\\""#);
    check(Translator::Julia, json!([[true], [1]]), "x = Any[[true], [1]]");
    check(Translator::Julia, json!([i64::MAX, 0.5]), "x = Any[9223372036854775807, 0.5]");
    check(Translator::Julia, json!([1, 0.5]), "x = [1, 0.5]");
    check(Translator::Julia, f64::INFINITY, "x = Inf");

    check(
        Translator::Matlab,
        json!("C:\\new \"é🙂\"\n"),
        "x = (\"C:\\new \"\"\" + char([233 55357 56898]) + \"\"\"\" + char(10));",
    );
    check(Translator::Matlab, json!("\t"), "x = (\"\" + char(9));");
    check(
        Translator::Matlab,
        json!({"it's\n": 1, "\n": 2}),
        "x = containers.Map({['it''s', char(10)], char(10)}, {1, 2});",
    );

    check(Translator::CSharp, json!("\u{1}a\u{1}g"), r#"var x = "\u0001a\x01g";"#);
    check(Translator::CSharp, json!([]), "var x = new object[] {  };");
    check(Translator::CSharp, json!([1, "a"]), r#"var x = new object[] { 1, "a" };"#);
    check(Translator::CSharp, json!([[1], [0.5]]), "var x = new object[] { new [] { 1 }, new [] { 0.5 } };");
    check(
        Translator::CSharp,
        json!([1, i64::MAX, 0.5]),
        "var x = new object[] { 1, 9223372036854775807L, 0.5 };",
    );
    check(Translator::CSharp, json!(u64::MAX), "var x = 18446744073709551615L;");
    check(
        Translator::CSharp,
        big("-9223372036854775809"),
        r#"var x = System.Numerics.BigInteger.Parse("-9223372036854775809");"#,
    );
    check(Translator::CSharp, f64::NEG_INFINITY, "var x = double.NegativeInfinity;");
    check_refused(Translator::CSharp, json!({"a": [null]}), "null");

    check(Translator::FSharp, json!([1, "a"]), r#"let x = [ 1 :> IComparable; "a" :> IComparable ]"#);
    check(Translator::FSharp, json!([[], [1]]), "let x = [ [  ]; [ 1 ] ]");
    check(Translator::FSharp, json!({}), "let x = Map.empty<string, IComparable>");
    check(Translator::FSharp, json!(u64::MAX), "let x = 18446744073709551615I");
    check(Translator::FSharp, f64::NEG_INFINITY, "let x = -infinity");
    check(Translator::FSharp, f64::NAN, "let x = nan");

    check(
        Translator::PowerShell,
        json!("$(rm) `n C:\\é\u{201d}\n\0"),
        "$x = \"`$(rm) ``n C:\\`u{e9}`u{201d}`n`u{0}\"",
    );
    check(Translator::PowerShell, json!([[[1]]]), "$x = @(,@(,@(1)))");
    check(
        Translator::PowerShell,
        big(&"9".repeat(29)),
        &format!("$x = [bigint]::Parse(\"{}\")", "9".repeat(29)),
    );
    check_refused(Translator::PowerShell, json!({"a": 1, "A": 2}), "differ in case only");

    check(Translator::Bash, json!("tab\t\u{3}1 \\ '!"), r"x=$'tab\t\0031 \\ \'!'");
    check(Translator::Bash, json!([null, "a b", true]), "x=('' 'a b' true)");
    check_refused(Translator::Bash, json!("a\0"), "U+0000");
    check_refused(Translator::Bash, json!([[1]]), "list that holds a list");
    check_refused(Translator::Bash, json!([{"a": 1}]), "dictionary");
}
