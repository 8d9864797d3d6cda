use std::time::Duration;

use serde_json::json;

use super::*;

const NIGHTLY: &str = r#"
name: nightly
description: Trains on the day's data
parameters: {day: 2026-01-01, rows: 1000}
max_parallel: 4
timeout: 6h
steps:
  prepare:
    notebook: ada/prepare.ipynb
    parameters: {day: "${{ parameters.day }}"}
  train:
    template: ml/train.ipynb
    needs: prepare
    for_each: ${{ steps.prepare.results.folds }}
    max_parallel: 2
    fail_fast: yes
    retries: {limit: 3, delay: 10s, factor: 2, max_delay: 5m}
    timeout: 1h 30m
    output_path: "out/${{ workflow.id }}/${{ index }}.ipynb"
    parameters: {fold: "${{ item }}", name: "fold-${{ index }}"}
  report:
    notebook: ada/report.ipynb
    needs: [train]
    if: ${{ steps.train.results | length > 0 }}
    priority: -5
    parameters: {models: "${{ steps.train.results }}", when: "${{ steps.prepare.results.when }}"}
  notify:
    notebook: ada/notify.ipynb
    needs: [train, report]
    if: failure() or
      steps.report.status == 'failed'
    retries: 1
"#;

#[test]
fn a_workflow_is_read_as_it_is_meant() {
    let workflow = parse(NIGHTLY).unwrap();
    assert_eq!((workflow.name.as_str(), workflow.max_parallel), ("nightly", Some(4)));
    assert_eq!(workflow.parameters, *json!({"day": "2026-01-01", "rows": 1000}).as_object().unwrap());
    assert_eq!(workflow.timeout, Some(Duration::from_secs(21_600)));
    let names: Vec<_> = workflow.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["prepare", "train", "report", "notify"]);
    let train = workflow.step("train").unwrap();
    assert_eq!(train.source, StepSource::Template("ml/train.ipynb".into()));
    assert_eq!(train.needs, ["prepare"]);
    assert_eq!(train.for_each, Some(ForEach::Expression("${{ steps.prepare.results.folds }}".into())));
    assert_eq!((train.max_parallel, train.fail_fast), (Some(2), true));
    assert_eq!(train.timeout, Some(Duration::from_secs(5_400)));
    let seconds = Duration::from_secs;
    let retries = Retries { limit: 3, delay: seconds(10), factor: 2.0, max_delay: seconds(300) };
    assert_eq!(train.retries, retries);
    let report = workflow.step("report").unwrap();
    assert_eq!(report.condition.as_deref(), Some(" steps.train.results | length > 0 "));
    assert_eq!(report.priority, Some(-5));
    let notify = workflow.step("notify").unwrap();
    assert_eq!(notify.condition.as_deref(), Some("failure() or steps.report.status == 'failed'"));
    assert_eq!(notify.retries.limit, 1);
}

#[test]
fn json_is_read_as_well() {
    let json = json!({"name": "a 🙂", "steps": {"one": {"notebook": "a.ipynb", "for_each": [1, {"x": "${{ workflow.name }}"}, "yes"],
        "parameters": "${{ item }}", "timeout": 1.5, "needs": []}}});
    for text in [json.to_string(), serde_json::to_string_pretty(&json).unwrap().replace("  ", "\t")] {
        let workflow = parse(&text).unwrap();
        assert_eq!(workflow.name, "a 🙂");
        let step = &workflow.steps[0];
        let items = vec![json!(1), json!({"x": "${{ workflow.name }}"}), json!("yes")];
        assert_eq!(step.for_each, Some(ForEach::List(items)));
        assert_eq!(step.parameters, StepParameters::Expression("${{ item }}".into()));
        assert_eq!(step.timeout, Some(Duration::from_millis(1_500)));
    }
}

#[test]
fn numbers_in_json_are_jsons() {
    let numbers = r#"[1e5, -2E-3, 0.1, -0, 18446744073709551615, true, null]"#;
    let text =
        format!(r#"{{"name": "x", "steps": {{"a": {{"notebook": "a.ipynb", "for_each": {numbers}}}}}}}"#);
    let expected =
        vec![json!(1e5), json!(-2e-3), json!(0.1), json!(0), json!(u64::MAX), json!(true), json!(null)];
    assert_eq!(parse(&text).unwrap().steps[0].for_each, Some(ForEach::List(expected)));
    let text = r#"{"name": "x", "steps": {"a": {"notebook": "a.ipynb", "for_each": [1e999, 123456789012345678901]}}}"#;
    check(text, &["1:67: steps.a.for_each[0]: is infinite", "1:74: steps.a.for_each[1]: is an integer that"]);
}

#[test]
fn parts_can_be_shared() {
    let text = "
name: x
steps:
  a: &step {notebook: a.ipynb, timeout: 5m, parameters: {x: 1}}
  b:
    <<: *step
    notebook: b.ipynb
    needs: a
";
    let workflow = parse(text).unwrap();
    let b = workflow.step("b").unwrap();
    assert_eq!(b.source, StepSource::Notebook("b.ipynb".into()));
    assert_eq!(b.timeout, Some(Duration::from_secs(300)));
}

/// The faults of a text as lines `LINE:COLUMN: FIELD: MESSAGE`; each expected one is how such a line begins, or with
/// `…` before it a part of it.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let found: Vec<_> = read(text).faults.iter().map(ToString::to_string).collect();
    let same = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| match expected.split_once('…') {
            Some((begin, part)) => found.starts_with(begin) && found.contains(part),
            None => found.starts_with(expected),
        });
    assert!(same, "{text}\nfound {found:#?}\nexpected {expected:#?}");
}

/// The same for a step `b` that needs a step `a`: `text` is in its mapping, from line 4 and column 5 on.
#[track_caller]
fn check_step(text: &str, expected: &[&str]) {
    let text = format!(
        "name: x\nparameters: {{day: 1}}\nsteps: {{a: {{notebook: a.ipynb}}, c: {{notebook: c.ipynb}}, b: {{notebook: b.ipynb, needs: a,\n    {text}}}}}"
    );
    check(&text, expected);
}

#[test]
fn what_is_no_workflow_is_told() {
    check("", &["1:1: there is nothing here"]);
    check("a: [", &["…this is not YAML"]);
    check("just text", &["1:1: must be a mapping with `name` and `steps`, not a text"]);
    check("name: x\n---\nname: y", &["2:1: a second document"]);
    check("name: x", &["1:1: steps: is missing"]);
    check("steps: {a: {notebook: a.ipynb}}", &["1:1: name: is missing"]);
    check("name: x\nsteps: {}", &["2:8: steps: there are none"]);
    check("name: x\nsteps: []", &["2:8: steps: must be a mapping of steps by name, not a list"]);
    check(
        "name: 5\nsteps:",
        &[
            "1:7: name: must be a text (put it between quotes), not an integer",
            "2:…: steps: must be a mapping of steps by name, not nothing",
        ],
    );
    check(
        "name: x\nsteps:\n  a: {notebook: a.ipynb}\n  a: {notebook: b.ipynb}\n",
        &["4:3: steps.a: is here twice"],
    );
}

#[test]
fn every_fault_is_told_with_its_place() {
    let text = r#"
nmae: x
name: x
max_parallel: 0
timeout: soon
parameters: {day: 1, "a b": 2, big: 123456789012345678901234567890, e: "${{ 1 }}"}
steps:
  my-step: {notebook: a.ipynb}
  1st: {notebook: a.ipynb}
  yes: {notebook: a.ipynb}
  one:
    notebok: a.ipynb
    timeout: -5
    retries: {limits: 3, factor: 0.5}
    max_parallel: 2
  two:
    notebook: a.ipynb
    template: b.ipynb
    needs: [one, 1, one, {}]
    priority: 5000
    fail_fast: maybe
    for_each: 3
  three: no
"#;
    check(
        text,
        &[
            "2:1: nmae: there is no such field: did you mean `name`?",
            "4:15: max_parallel: must be a whole number from 1 to 10000",
            "5:10: timeout: `soon` is not a time: write it as 30s, 5m, 1h 30m or 1.5",
            "6:22: parameters.a b: is not a name",
            "6:37: parameters.big: is an integer that does not fit into 64 bits",
            "6:72: parameters.e: holds `${{`",
            "8:3: steps.my-step: is no name for a step: use a letter or `_`",
            "9:3: steps.1st: is no name for a step",
            "10:3: steps.True: this name is read as something else than a text",
            "11:3: steps.one: has no `notebook` and no `template`",
            "12:5: steps.one.notebok: there is no such field: did you mean `notebook`?",
            "13:14: steps.one.timeout: must be a time above 0",
            "14:14: steps.one.retries.limit: is missing",
            "14:15: steps.one.retries.limits: there is no such field: did you mean `limit`?",
            "14:34: steps.one.retries.factor: must be from 1 to 100",
            "15:19: steps.one.max_parallel: is for steps with `for_each`",
            "18:15: steps.two.template: a step has a `notebook` or a `template`, not both",
            "19:18: steps.two.needs[1]: must be a text (put it between quotes), not an integer",
            "19:21: steps.two.needs[2]: `one` is here twice",
            "19:26: steps.two.needs[3]: must be a text, not a mapping",
            "20:15: steps.two.priority: must be a whole number from -1000 to 1000",
            "21:16: steps.two.fail_fast: must be true or false, not a text",
            "21:16: steps.two.fail_fast: is for steps with `for_each`",
            "22:15: steps.two.for_each: must be a list, or one expression in `${{ }}`, not an integer",
            "23:10: steps.three: must be a mapping with `notebook` or `template`, not a truth value",
        ],
    );
}

#[test]
fn needs_are_steps_and_go_in_no_circle() {
    let steps = |steps: &str| format!("name: x\nsteps:\n{steps}");
    check(
        &steps("  prepare: {notebook: a.ipynb}\n  train: {notebook: a.ipynb, needs: [prepre]}\n"),
        &["4:38: steps.train.needs[0]: there is no step `prepre`: did you mean `prepare`?"],
    );
    check(
        &steps(
            "  a: {notebook: a.ipynb, needs: c}\n  b: {notebook: a.ipynb, needs: a}\n  c: {notebook: a.ipynb, needs: b}\n",
        ),
        &["3:33: steps.a.needs: these steps wait for each other for ever: a → c → b → a"],
    );
    check(
        &steps(
            "  a: {notebook: a.ipynb, needs: a}\n  b: {notebook: a.ipynb, needs: [c, d]}\n  c: {notebook: a.ipynb}\n  d: {notebook: a.ipynb, needs: b}\n",
        ),
        &[
            "3:33: steps.a.needs: these steps wait for each other for ever: a → a",
            "4:37: steps.b.needs[1]: these steps wait for each other for ever: b → d → b",
        ],
    );
}

#[test]
fn expressions_speak_of_what_there_is() {
    check_step("parameters: {x: '${{ parameters.day }}'}", &[]);
    check_step(
        "parameters: {x: '${{ parameters.dya }}'}",
        &["4:26: steps.b.parameters.x: the workflow has no parameter `dya`: did you mean `day`?"],
    );
    check_step(
        "parameters: {x: [1, {y: 'ä ${{ steps.aa.status }} ${{ stesp.a.status }}'}]}",
        &[
            "4:36: steps.b.parameters.x[1].y: there is no step `aa`: did you mean `a`?",
            "4:59: steps.b.parameters.x[1].y: `stesp` is not known: known are `parameters`, `steps`, `workflow`",
        ],
    );
    check_step("parameters: {x: '${{ steps.c.status }}'}", &["4:26: …`c` is not among what this step needs"]);
    check_step("parameters: {x: '${{ steps.b.status }}'}", &["4:26: …`steps.b` is this step itself"]);
    check_step(
        "parameters: {x: '${{ steps.a.auc }}'}",
        &[
            "4:26: …`steps.a.auc` is not known: `steps.a` has `status`, `results`, `execution_id`, `output_path`; what",
        ],
    );
    check_step("parameters: {x: '${{ workflow.ident }}'}", &["4:26: …`workflow` has `id`, `name`"]);
    check_step("parameters: {x: '${{ a + }}'}", &["4:…: steps.b.parameters.x: not an expression"]);
    check_step("parameters: {x: 'a ${{ b'}", &["4:24: steps.b.parameters.x: `${{` has no `}}`"]);
    check_step(
        "parameters: {x: '${{ 1 | lenght }}'}",
        &["4:…: steps.b.parameters.x: there is no filter `lenght`"],
    );
    check_step("parameters: {x: '${{ 1 is od }}'}", &["4:…: steps.b.parameters.x: there is no test `od`"]);
    check_step(
        "parameters: {x: '${{ rnage(3) }}'}",
        &["4:26: …there is no function `rnage`: did you mean `range`?"],
    );
    check_step("parameters: {x: '${{ always() }}'}", &["4:26: …`always()` can be asked in `if` only"]);
    check_step("parameters: {x: '${{ item }}'}", &["4:26: …`item` is for steps with `for_each`"]);
    check_step("parameters: '${{ steps.a.results }}'", &[]);
    check_step("parameters: '${{ steps.c.results }}'", &["4:22: steps.b.parameters: `c` is not among"]);
    check_step("parameters: 'text'", &["4:17: steps.b.parameters: must be names with values, not a text"]);
    check_step("for_each: [1], parameters: {x: '${{ item + index }}'}", &[]);
    check_step(
        "for_each: ['${{ item }}']",
        &["4:21: steps.b.for_each[0]: `item` is not known in `for_each`"],
    );
    check_step("for_each: [1], if: item > 0", &["4:24: steps.b.if: `item` is not known in `if`"]);
    check_step("if: success() and steps.a.results.n > 0", &[]);
    check_step("if: sucess()", &["4:9: steps.b.if: there is no function `sucess`: did you mean `success`?"]);
    check_step("if: 'a ${{ true }}'", &["4:9: steps.b.if: is text and expressions mixed"]);
    check_step(
        "for_each: [1, 2], output_path: 'o/x.ipynb'",
        &["4:36: steps.b.output_path: is the same for every item"],
    );
    check_step("for_each: [1, 2], output_path: 'o/${{ item }}.ipynb'", &[]);
    check_step("notebook: '${{ parameters.day }}.ipynb'", &["…is here twice"]);
}

#[test]
fn the_place_in_a_block_of_text_is_its_line() {
    let text = "name: x\nsteps:\n  a:\n    notebook: a.ipynb\n    parameters:\n      sql: |\n        select 1\n        where x = ${{ parameters.nope }}\n      folded: >-\n        a\n        ${{ nope }}\n      escaped: \"\\n ${{ nope }}\"\n";
    check(
        text,
        &[
            "8:23: steps.a.parameters.sql: the workflow has no parameter `nope`: it has none",
            "10:9: steps.a.parameters.folded: `nope` is not known",
            "12:24: steps.a.parameters.escaped: `nope` is not known",
        ],
    );
}

#[test]
fn what_is_too_much_is_refused_with_its_count() {
    let many: String = (0..=MAX_STEPS).map(|step| format!("  s{step}: {{notebook: a.ipynb}}\n")).collect();
    check(&format!("name: x\nsteps:\n{many}"), &["3:3: steps: there are 1001; the limit is 1000"]);
    let items = vec!["1"; MAX_ITEMS + 1].join(",");
    check_step(
        &format!("for_each: [{items}]"),
        &["4:15: steps.b.for_each: has 10001 items; the limit is 10000"],
    );
    let faults: String = (0..200).map(|step| format!("  s{step}: {{}}\n")).collect();
    let reading = read(&format!("name: x\nsteps:\n{faults}"));
    assert_eq!(reading.faults.len(), fault::MAX_FAULTS);
    let error = reading.finish().unwrap_err();
    assert_eq!(error.fields().len(), fault::MAX_FAULTS);
    assert!(error.message().contains("steps.s0: line 3, column 3: has no `notebook`"), "{error}");
    assert!(error.message().ends_with("(and 99 more faults)"), "{error}");
}

#[test]
fn a_thousand_steps_are_read_at_once() {
    let steps: String = (0..MAX_STEPS)
        .map(|step| {
            let needs: Vec<_> = (step.saturating_sub(5)..step).map(|step| format!("s{step}")).collect();
            format!(
                "  s{step}: {{notebook: a.ipynb, needs: [{}], if: 'workflow.id > 0'}}\n",
                needs.join(", ")
            )
        })
        .collect();
    let begin = std::time::Instant::now();
    assert_eq!(parse(&format!("name: x\nsteps:\n{steps}")).unwrap().steps.len(), MAX_STEPS);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}
