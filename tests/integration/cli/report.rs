//! `--report`: what other programs hear of a run. `tests/python` has the Python module, which lives on it.

use serde_json::{Value, json};

use super::{Ended, Place, notebook};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

/// The report on standard output, its last line apart.
fn split(ended: &Ended) -> (Vec<Value>, Value) {
    assert_eq!(ended.stderr, "", "what is reported is not said twice");
    let mut lines = lines(&ended.stdout);
    let end = lines.pop().unwrap();
    assert_eq!(end["event"], "end");
    assert_eq!(end["exit_code"], json!(ended.code));
    (lines, end)
}

#[tokio::test]
async fn a_run_is_reported_with_its_log_its_streams_and_its_notebook() {
    let place = Place::new();
    place.write("in.ipynb", &notebook(&["# parameters\na=0", "print(a)"]));
    let flags = "execute in.ipynb - -p a 7 -p b 8 --report - --report-streams --log-output";
    let (lines, end) = split(&place.run(&flags.split(' ').collect::<Vec<_>>()).await);
    let logged = of(&lines, "log");
    let warning = logged.iter().find(|line| line["level"] == "warning").unwrap();
    assert_eq!(warning["message"], "Passed unknown parameter: b");
    assert!(logged.iter().any(|line| line["message"] == "Executing notebook with kernel: python3"));
    assert!(logged.iter().any(|line| line["message"] == "7\n"));
    assert_eq!(of(&lines, "stream"), [&json!({"event": "stream", "name": "stdout", "text": "7\n"})]);
    assert_eq!((&end["error"], &end["cell_error"]), (&Value::Null, &Value::Null));
    assert_eq!(end["notebook"]["cells"].as_array().unwrap().len(), 3);

    // In a file of its own, it leaves standard output to the notebook.
    let ended = place.run(&["execute", "in.ipynb", "-", "--prepare-only", "--report", "report.jsonl"]).await;
    ended.check(0, "");
    let report = std::fs::read_to_string(place.path("report.jsonl")).unwrap();
    let printed: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(self::lines(&report).pop().unwrap()["notebook"], printed);
    place
        .run(&["execute", "in.ipynb", "-", "--report", "no/report"])
        .await
        .check(1, "its folder does not exist");
}

#[tokio::test]
async fn a_failed_cell_and_a_fault_are_told_apart() {
    let place = Place::new();
    place.write("in.ipynb", &notebook(&["1 / 0"]));
    let (_, end) = split(&place.run(&["execute", "in.ipynb", "out.ipynb", "--report", "-"]).await);
    let failure = &end["cell_error"];
    assert_eq!((&failure["cell_index"], &failure["exec_count"]), (&json!(0), &json!(1)));
    assert_eq!((&failure["ename"], &failure["raised"]), (&json!("ZeroDivisionError"), &json!(true)));
    assert_eq!(failure["source"], "1 / 0");
    for (arguments, kind, field) in [
        (vec!["execute", "gone.ipynb", "out.ipynb"], "not_found", Value::Null),
        (vec!["execute", "{x}.ipynb", "out.ipynb"], "bad_input", json!("parameters.x")),
        (vec!["execute", "in.ipynb", "out.ipynb", "-k", "gone"], "invalid", json!("kernel_name")),
        (vec!["inspect", "gone.ipynb"], "not_found", Value::Null),
    ] {
        let arguments: Vec<_> = arguments.into_iter().chain(["--report", "-"]).collect();
        let (_, end) = split(&place.run(&arguments).await);
        assert_eq!((&end["error"]["kind"], &end["error"]["field"]), (&json!(kind), &field), "{end}");
        assert_eq!((&end["exit_code"], &end["notebook"]), (&json!(1), &Value::Null));
    }
}

#[tokio::test]
async fn an_inspection_is_reported_and_its_path_is_filled_in() {
    let place = Place::new();
    place.write("a.ipynb", &notebook(&["# parameters\nb: int = 1  # help"]));
    let (_, end) = split(&place.run(&["inspect", "{name}.ipynb", "-p", "name", "a", "--report", "-"]).await);
    let expected = json!([{"name": "b", "inferred_type_name": "int", "default": "1", "help": "help"}]);
    assert_eq!(end["parameters"], expected);
}
