use serde_json::json;

use super::super::definition::StepSource;
use super::*;

fn context() -> Context {
    Context::new(&json!({
        "parameters": {"day": "2026-01-01", "rows": i64::MAX, "rate": 0.1, "secret": "hunter2", "none": null},
        "workflow": {"id": 7, "name": "nightly"},
        "steps": {
            "prepare": {"status": "success", "results": {"folds": [1, 2, 3], "uri": "s3://a"}, "execution_id": 3},
            "train": {"status": "failed", "results": [{"auc": 0.5}, {"auc": 0.75}], "execution_id": [4, 5]},
        },
    }))
}

fn step() -> Step {
    Step::new("it", StepSource::Notebook("a.ipynb".into()))
}

fn value(text: &str) -> Result<Value> {
    evaluate_text("parameters.x", text, &context().with_item(&json!({"a": [1]}), 2))
}

#[test]
fn one_expression_keeps_its_type_and_others_become_text() {
    let check = |text: &str, expected: Value| {
        let value = value(text).unwrap();
        assert_eq!(value.to_string(), expected.to_string(), "{text}");
    };
    check("plain", json!("plain"));
    check("${{ parameters.rows }}", json!(i64::MAX));
    check("\n ${{ parameters.rate }} \n", json!(0.1));
    check("${{ parameters.none }}", json!(null));
    check("${{ steps.prepare.results.folds }}", json!([1, 2, 3]));
    check("${{ steps.train.results | map(attribute='auc') | max }}", json!(0.75));
    check("${{ {'b': item.a, 'a': index} }}", json!({"b": [1], "a": 2}));
    check("${{ steps.prepare.results.folds[1:] }}", json!([2, 3]));
    check("${{ range(3) }}", json!([0, 1, 2]));
    check("${{ 'x' if parameters.rows > 1 else 'y' }}", json!("x"));
    check("${{ parameters.nope | default(1) }}", json!(1));
    check("${{ parameters.nope is defined }}", json!(false));
    check("${{ parameters.rows // 2 }}", json!(i64::MAX / 2));
    check("run ${{ parameters.day }}/${{ index }}", json!("run 2026-01-01/2"));
    check(" ${{ index }}-", json!(" 2-"));
    check(
        "${{ parameters.rate }}|${{ item }}|${{ parameters.none }}|${{ true }}",
        json!("0.1|{\"a\":[1]}|null|true"),
    );
    check("${{ '${{' }} and ${{ '}}' }}", json!("${{ and }}"));
    check("<${{ '<&>' }}>", json!("<<&>>"));
    check("${{ 'ä' | upper }}", json!("Ä"));
}

#[test]
fn what_cannot_be_is_told_without_any_value() {
    let check = |text: &str, expected: &str| {
        let error = value(text).unwrap_err();
        assert!(error.message().contains(expected), "{error}");
        assert_eq!(error.fields()[0].field, "parameters.x", "{text}");
        assert!(!format!("{error} {:?}", error.cause()).contains("hunter2"), "{error}");
    };
    check("${{ parameters.dya }}", "`parameters.dya` is not known: `parameters` has `day`, `rows`, `rate`");
    check("${{ nope }}", "`nope` is not known: known are `parameters`, `workflow`, `steps`, `item`, `index`");
    check("${{ steps.prepare.results.url }}", "`steps.prepare.results` has `folds`, `uri`");
    check(
        "a ${{ steps.train.results.auc }}",
        "`steps.train.results.auc` is not known: `steps.train.results` has nothing",
    );
    check("${{ steps.prepare.results.folds[7] }}", "a name in it is not known");
    check("${{ [parameters.nope] }}", "`parameters.nope` is not known");
    check("${{ parameters.secret + 1 }}", "its type does not allow");
    check("${{ parameters.secret // 0 }}", "its type does not allow");
    check("${{ parameters.secret | int }}", "its type does not allow");
    check("${{ 1 // 0 }}", "its type does not allow");
    check("${{ 1 / 0 }}", "");
    check("${{ 9223372036854775807 * 4 }}", "64 bits");
    check("${{ a b }}", "not an expression");
    check("${{ item", "has no `}}`");
    check("${{ parameters.secret | nope }}", "a filter that is not known");
    check("${{ parameters.secret is nope }}", "a test that is not known");
    check("${{ success() }}", "a function that is not known");
    check("${{ debug() }}", "a function that is not known");
    check("${{ parameters.secret.nope() }}", "");
}

#[test]
fn no_expression_takes_long_or_fills_the_memory() {
    let begin = std::time::Instant::now();
    for text in [
        "${{ 'x' * 100000000 }}",
        "${{ [0] * 100000000 }}",
        "${{ range(100000000) | list }}",
        "${{ range(1000) | map('string') | list * 1000 | join }}",
        "${{ [[[[[[0] * 99] * 99] * 99] * 99] * 99] * 99 }}",
        "${{ 9 ** 9 ** 9 }}",
        "${{ '%1000000000d' | format(1) }}",
        "${{ 'x' | indent(1000000000, true) }}",
        "${{ [1] | batch(1000000000, 0) | list }}",
        "${{ 1 | round(1000000000) ~ ('a' | replace('', 'b' * 10000)) * 10000 }}",
    ] {
        let error = value(text).expect_err(text);
        assert!(error.message().len() < 300, "{error}");
    }
    let deep = format!("${{{{ {}1{} }}}}", "(".repeat(900), ")".repeat(900));
    assert!(value(&deep).is_err());
    let long = format!("${{{{ 1{} }}}}", "+1".repeat(900));
    assert_eq!(value(&long).unwrap(), json!(901));
    assert!(begin.elapsed() < std::time::Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn a_condition_without_word_of_the_needs_wants_them_to_have_succeeded() {
    let check = |source: Option<&str>, [well, failed, skipped]: [bool; 3]| {
        let step = Step { condition: source.map(str::to_owned), ..step() };
        let needs = [(true, false), (false, true), (false, false)];
        let found =
            needs.map(|(success, failure)| condition(&step, &context(), Needs { success, failure }).unwrap());
        assert_eq!(found, [well, failed, skipped], "{source:?}");
    };
    check(None, [true, false, false]);
    check(Some("true"), [true, false, false]);
    check(Some("success()"), [true, false, false]);
    check(Some("failure()"), [false, true, false]);
    check(Some("always()"), [true, true, true]);
    check(Some("not success()"), [false, true, true]);
    check(Some("always() and steps.train.status == 'failed'"), [true, true, true]);
    check(Some("steps.train.results | length > 2"), [false, false, false]);
    check(Some("0"), [false, false, false]);
    let unknown = Step { condition: Some("parameters.nope".into()), ..step() };
    let well = Needs { success: true, failure: false };
    assert_eq!(condition(&unknown, &context(), well).unwrap_err().fields()[0].field, "if");
    let needs = Needs { success: false, failure: true };
    assert!(!condition(&unknown, &context(), needs).unwrap(), "what does not run is not evaluated");
}

#[test]
fn a_step_is_bound_item_by_item() {
    let map = json!({"fold": "${{ item }}", "name": "fold-${{ index }}", "deep": [{"${{ key }}": "${{ item + 1 }}"}], "n": 1});
    let mut step = Step {
        for_each: Some(ForEach::Expression("${{ steps.prepare.results.folds }}".into())),
        parameters: serde_json::from_value(map).unwrap(),
        output_path: Some("out/${{ workflow.id }}-${{ index }}.ipynb".into()),
        ..step()
    };
    let context = context();
    let items = items(&step, &context).unwrap().unwrap();
    assert_eq!(items, [json!(1), json!(2), json!(3)]);
    let second = context.with_item(&items[1], 1);
    let expected = json!({"fold": 2, "name": "fold-1", "deep": [{"${{ key }}": 3}], "n": 1});
    assert_eq!(Value::Object(bind(&step, &second).unwrap()), expected);
    assert_eq!(output_path(&step, &second).unwrap().unwrap(), "out/7-1.ipynb");
    step.parameters = StepParameters::Expression("${{ item }}".into());
    let error = bind(&step, &second).unwrap_err();
    assert_eq!(error.message(), "`parameters` must come to an object of names and values, not to an integer");
}

#[test]
fn items_are_a_list_of_bearable_length() {
    let items = |for_each: ForEach| items(&Step { for_each: Some(for_each), ..step() }, &context());
    let list = vec![json!("${{ parameters.day }}"), json!(["${{ workflow.name }}"])];
    assert_eq!(items(ForEach::List(list)).unwrap().unwrap(), [json!("2026-01-01"), json!(["nightly"])]);
    let error = items(ForEach::Expression("${{ parameters.day }}".into())).unwrap_err();
    assert_eq!(error.message(), "`for_each` must come to a list, not to a text");
    let error = items(ForEach::Expression("${{ range(10001) }}".into())).unwrap_err();
    assert_eq!(error.message(), "`for_each` comes to 10001 items; the limit is 10000");
}

#[test]
fn what_a_sweep_gives_is_never_an_expression() {
    let point = json!({"text": "${{ parameters.secret }}", "n": 18_446_744_073_709_551_615_u64});
    let step =
        Step { for_each: Some(ForEach::List(vec![point.clone()])), literal_parameters: true, ..step() };
    let items = items(&step, &context()).unwrap().unwrap();
    assert_eq!(items, std::slice::from_ref(&point));
    assert_eq!(Value::Object(bind(&step, &context().with_item(&items[0], 0)).unwrap()), point);
}

#[test]
fn filters_and_tests_are_known_by_name() {
    assert!(has_filter("length") && has_filter("tojson") && !has_filter("nope"));
    assert!(has_test("odd") && !has_test("nope"));
}
