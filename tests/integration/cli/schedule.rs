//! `bindery schedule`, and the service that keeps what it records.

use serde_json::json;

use super::{Place, Served, notebook, streams};
use crate::support::engine::until;

#[tokio::test]
async fn a_schedule_is_made_and_kept_by_the_service() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("data/notebooks")).unwrap();
    place.write(
        "data/notebooks/a.ipynb",
        &notebook(&["# parameters\nalpha = 1\nrun_date = ''", "print(alpha, run_date)"]),
    );
    let created = place
        .run(&[
            "schedule",
            "create",
            "every second",
            "a.ipynb",
            "--cron",
            "* * * * * *",
            "-p",
            "alpha",
            "2",
            "--scheduled-time-parameter",
            "run_date",
            "--output",
            "out-{scheduled_time:%H%M%S}.ipynb",
            "--paused",
        ])
        .await;
    created.check(0, "unless one runs elsewhere on this data dir, schedule `every second` runs nothing until `bindery serve");
    assert_eq!(created.stdout, "schedule `every second` is created, as number 1, and is paused\n");
    let listed = place.run(&["schedule", "list"]).await;
    assert!(listed.stdout.starts_with("ID  NAME          CRON         TIME ZONE  NEXT RUN  LAST RUN\n1   every second  * * * * * *  UTC        paused    -\n"), "{}", listed.stdout);

    let _served = Served::start(&place, &[]).await;
    place.run(&["schedule", "resume", "every second"]).await.check(0, "");
    until("a run has succeeded", async || {
        let runs = place.json(&["schedule", "runs", "every second", "--json"]).await;
        runs["runs"].as_array().unwrap().iter().any(|run| run["status"] == "success").then_some(())
    })
    .await;
    let paused = place.run(&["schedule", "pause", "1"]).await;
    assert_eq!(paused.stdout, "schedule `every second` is paused\n");
    let runs = place.json(&["schedule", "runs", "1", "--json"]).await;
    let run = runs["runs"].as_array().unwrap().iter().find(|run| run["status"] == "success").unwrap().clone();
    let time = run["scheduled_time"].as_str().unwrap();
    let output = format!("data/notebooks/out-{}.ipynb", time[11..19].replace(':', ""));
    assert_eq!(streams(&place.read(&output)), format!("2 {}\n", time.replace('Z', "+00:00")));

    let executed = place.json(&["schedule", "run", "every second", "--json"]).await;
    assert_eq!(executed["parent"]["id"], 1);
    let id = executed["execution_id"].to_string();
    place.run(&["executions", "wait", &id]).await.check(0, "");
    let updated = place
        .json(&[
            "schedule", "update", "1", "--rename", "yearly", "--cron", "@yearly", "-p", "beta", "3", "--json",
        ])
        .await;
    assert_eq!((&updated["name"], &updated["cron"]), (&json!("yearly"), &json!("@yearly")));
    assert_eq!(updated["execution"]["parameters"], json!({"alpha": 2, "beta": 3}));
    assert_eq!(updated["scheduled_time_parameter"], "run_date");
    let shown = place.run(&["schedule", "show", "yearly"]).await;
    for line in ["paused        yes\n", "overlap       skip\n", "notebook      a.ipynb\n"] {
        assert!(shown.stdout.contains(line), "{}", shown.stdout);
    }
    assert_eq!(place.run(&["schedule", "delete", "yearly"]).await.stdout, "schedule `yearly` is forgotten\n");
    place.run(&["schedule", "show", "yearly"]).await.check(1, "there is no schedule `yearly`");
    assert!(
        !place.json(&["executions", "list", "--parent", "schedule/1", "--json"]).await["executions"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn the_next_times_of_an_expression_are_shown_and_nonsense_is_told() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("data/notebooks")).unwrap();
    place.write("data/notebooks/a.ipynb", &notebook(&["1"]));
    let next = place
        .run(&["schedule", "next", "--cron", "0 2 * * *", "--time-zone", "Europe/Berlin", "-n", "3"])
        .await;
    assert_eq!(next.stdout.lines().count(), 3);
    assert!(next.stdout.lines().all(|line| line.contains(" 02:00:00 CE")), "{}", next.stdout);
    let create = async |cron: &str, more: &[&str]| {
        let arguments = [&["schedule", "create", "x", "a.ipynb", "--cron", cron], more].concat();
        place.run(&arguments).await
    };
    create("61 * * * *", &[]).await.check(1, "`cron`: minute: 61 is not from 0 to 59");
    create("0 0 31 4 *", &[])
        .await
        .check(1, "it would never fire, because no month of it has more than 30 days");
    create("@daily", &["--time-zone", "CET+1"]).await.check(1, "`CET+1` is no time zone");
    create("@daily", &["--overlap", "maybe"])
        .await
        .check(1, "`maybe` is no overlap policy; known are: skip, queue, cancel, allow");
    create("@daily", &["--output", "{x}.ipynb"]).await.check(1, "Missing parameter 'x'");
    place.run(&["schedule", "create", "x", "none.ipynb", "--cron", "@daily"]).await.check(1, "none.ipynb");
    place.run(&["schedule", "next"]).await.check(1, "<SCHEDULE>");
    place.run(&["schedule", "pause", "9"]).await.check(1, "there is no schedule 9");
    assert_eq!(
        place.json(&["schedule", "list", "--json"]).await,
        json!({"schedules": [], "next_cursor": null})
    );
}

#[tokio::test]
async fn a_workflow_and_a_sweep_are_scheduled_from_files_and_faults_are_told_with_their_places() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("data/notebooks")).unwrap();
    place.write("data/notebooks/a.ipynb", &notebook(&["# parameters\nalpha = 1\nday = ''", "alpha"]));
    let good = "name: nightly\nparameters: {day: ''}\nsteps:\n  one: {notebook: a.ipynb}\n";
    std::fs::write(place.path("good.yaml"), good).unwrap();
    std::fs::write(place.path("bad.yaml"), good.replace("a.ipynb", "none.ipynb")).unwrap();
    let grid = "notebook_path: a.ipynb\nparameters:\n  alpha: [1, 2]\n";
    std::fs::write(place.path("grid.yaml"), grid).unwrap();
    std::fs::write(place.path("million.yaml"), grid.replace("[1, 2]", "{range: [1000000]}")).unwrap();
    std::fs::write(place.path("word.yaml"), format!("{grid}methud: zip\n")).unwrap();
    let create = async |name: &str, more: &[&str]| {
        let arguments = [&["schedule", "create", name, "--cron", "@yearly", "--paused"], more].concat();
        place.run(&arguments).await
    };

    create("x", &["--workflow", "bad.yaml"]).await.check(1, "bad.yaml:4:");
    create("x", &["--sweep", "million.yaml"])
        .await
        .check(1, "million.yaml:3:3: parameters: 1,000,000 points");
    create("x", &["--sweep", "word.yaml"]).await.check(1, "word.yaml:4:1: methud: there is no such field");
    create("x", &["--sweep", "none.yaml"]).await.check(1, "none.yaml does not exist");
    create("x", &[]).await.check(1, "NOTEBOOK");
    create("x", &["a.ipynb", "--sweep", "grid.yaml"]).await.check(1, "cannot be used with");
    create("x", &["--sweep", "grid.yaml", "--timeout", "5s"])
        .await
        .check(1, "--timeout cannot be given with");
    assert_eq!(place.json(&["schedule", "list", "--json"]).await["schedules"], json!([]));

    create("flow", &["--workflow", "good.yaml", "-r", "day", "today", "--output-directory", "out"])
        .await
        .check(0, "");
    create("grid", &["--sweep", "grid.yaml", "--username", "ada", "--scheduled-time-parameter", "day"])
        .await
        .check(0, "");
    let flow = place.json(&["schedule", "show", "flow", "--json"]).await;
    let asked = json!({"yaml": good, "parameters": {"day": "today"}, "output_directory": "out"});
    assert_eq!((&flow["workflow"], &flow["execution"]), (&asked, &json!(null)));
    let shown = place.run(&["schedule", "show", "flow"]).await.stdout;
    for line in ["workflow   nightly\n", "output     out\n"] {
        assert!(shown.contains(line), "{shown}");
    }
    let grid = place.json(&["schedule", "update", "grid", "-y", "alpha: [3]", "--json"]).await;
    assert_eq!(grid["sweep"]["parameters"], json!({"alpha": [3]}));
    assert_eq!(grid["sweep"]["username"], "ada");
    place
        .run(&["schedule", "update", "flow", "--notebook", "a.ipynb"])
        .await
        .check(1, "--notebook is not for schedule `flow`, which is for a workflow: create another schedule");
    let run = place.run(&["schedule", "run", "grid"]).await;
    run.check(0, "sweep 1 waits until `bindery serve");
    assert_eq!(run.stdout, "sweep 1 is running: `bindery sweep wait 1` waits for its end\n");
    let runs = place.json(&["schedule", "runs", "grid", "--json"]).await;
    assert_eq!((&runs["runs"][0]["sweep_id"], &runs["runs"][0]["execution_id"]), (&json!(1), &json!(null)));
}
