//! `bindery workflow` and `bindery sweep`, and the service that executes what they begin.

use super::{Ended, Place, Served, notebook};

const GOOD: &str = "name: two steps
parameters: {n: 2}
steps:
  first:
    notebook: first.ipynb
    parameters: {n: '${{ parameters.n }}'}
  second:
    notebook: second.ipynb
    needs: first
    for_each: ${{ steps.first.results.items }}
    parameters: {item: '${{ item }}'}
";

fn place() -> Place {
    let place = Place::new();
    std::fs::create_dir_all(place.path("data/notebooks")).unwrap();
    place.write(
        "data/notebooks/first.ipynb",
        &notebook(&[
            "# parameters\nn: int = 1",
            "display({'application/json': list(range(n))}, raw=True, metadata={'bindery': {'result': 'items'}})",
        ]),
    );
    // Fails until a file is there.
    place.write(
        "data/notebooks/second.ipynb",
        &notebook(&[
            "# parameters\nitem: int = 0",
            &format!("import os\nassert item == 0 or os.path.exists({:?})", place.path("ready")),
            "display(item * 10, metadata={'bindery': {'result': 'ten'}})",
        ]),
    );
    std::fs::write(place.path("good.yaml"), GOOD).unwrap();
    place
}

fn last_line(ended: &Ended) -> &str {
    ended.stdout.trim_end().lines().next_back().unwrap_or_default()
}

#[tokio::test]
async fn a_workflow_is_checked_then_run_then_taken_up_again() {
    let place = place();
    let faulty = GOOD.replace("needs: first", "needs: frist").replace("parameters.n }}", "parameters.m }}");
    std::fs::write(place.path("faulty.yaml"), faulty).unwrap();
    for command in ["validate", "run"] {
        let refused = place.run(&["workflow", command, "faulty.yaml"]).await;
        refused.check(1, "faulty.yaml:6:26: steps.first.parameters.n: the workflow has no parameter `m`: did you mean `n`?\n");
        refused.check(
            1,
            "faulty.yaml:9:12: steps.second.needs: there is no step `frist`: did you mean `first`?\n",
        );
        assert_eq!(refused.stdout, "");
    }
    place.run(&["workflow", "validate", "nope.yaml"]).await.check(1, "nope.yaml does not exist");
    let checked = place.run(&["workflow", "validate", "good.yaml"]).await;
    assert_eq!(checked.stdout, "good.yaml is good: workflow `two steps` with 2 steps\n");
    let drawn = place.run(&["workflow", "graph", "good.yaml"]).await;
    assert_eq!(drawn.stdout, "first\n  second (for each item) ← first\n");
    let unknown = place.run(&["workflow", "run", "good.yaml", "-p", "m", "1"]).await;
    unknown.check(1, "parameter `m` is unknown: the workflow declares `n`");
    assert_eq!(place.json(&["workflow", "list", "--json"]).await["flows"], serde_json::json!([]));

    let _served = Served::start(&place, &[]).await;
    let run = place.run(&["workflow", "run", "good.yaml", "-p", "n", "3", "--wait"]).await;
    run.check(1, "");
    assert!(
        run.stdout.contains("\nstatus      failed\n") && run.stdout.contains("AssertionError"),
        "{}",
        run.stdout
    );
    assert!(last_line(&run).starts_with("second  failed   3/3   first"), "{}", run.stdout);
    std::fs::write(place.path("ready"), "").unwrap();
    let resumed = place.json(&["workflow", "resume", "1", "--wait", "--json"]).await;
    assert_eq!((&resumed["status"], &resumed["progress"]["success"]), (&"success".into(), &4.into()));
    let executions = place.json(&["executions", "list", "--parent", "workflow/1", "--json"]).await;
    assert_eq!(executions["executions"].as_array().unwrap().len(), 6, "what had ended well is not run again");
    let csv = place.run(&["workflow", "results", "1", "--csv"]).await.stdout;
    let rows: Vec<_> =
        csv.lines().map(|line| line.split(',').take(4).collect::<Vec<_>>().join(",")).collect();
    assert_eq!(rows, ["index,item,ten,status", "0,0,0,success", "1,1,10,success", "2,2,20,success"]);
    let dot = place.run(&["workflow", "graph", "1", "--dot"]).await.stdout;
    assert!(
        dot.contains("second [label=\"second\\nsuccess\", peripheries=2];\n  first -> second;\n"),
        "{dot}"
    );
    let listed = place.run(&["workflow", "list"]).await.stdout;
    assert!(listed.contains("1   success  two steps  -     4/4"), "{listed}");
    place.run(&["workflow", "cancel", "1"]).await.check(1, "workflow 1 has already ended: success");
}

#[tokio::test]
async fn a_sweep_is_counted_then_run_and_its_table_shown() {
    let place = place();
    let run = ["sweep", "run", "second.ipynb"];
    let with = |more: &[&'static str]| [&run, more].concat();
    place
        .run(&with(&["--try", "item", "{range: [1000000]}"]))
        .await
        .check(1, "1,000,000 points; the limit is 10,000");
    place.run(&with(&["--try", "item", "a,b"])).await.check(1, "parameters.item");
    place.run(&with(&["-p", "item", "1"])).await.check(1, "nothing to try");
    place
        .run(&with(&["--try", "item", "1", "--samples", "2"]))
        .await
        .check(1, "`samples` is for the method `random`");

    let served = Served::start(&place, &[]).await;
    let ended =
        place.run(&with(&["--try", "item", "0,0", "-y", "other: x", "--max-parallel", "1", "--wait"])).await;
    ended.check(0, "warning: parameters.other: Passed unknown parameter: other");
    assert!(ended.stdout.contains("\nvaried      item\n"), "{}", ended.stdout);
    let table = place.run(&["sweep", "results", "1"]).await.stdout;
    assert!(
        table.starts_with(
            "INDEX  OTHER  ITEM  TEN  STATUS   DURATION  EXECUTION\n0      x      0     0    success"
        ),
        "{table}"
    );
    let failed = place
        .run(&with(&["--try", "item", "1,0", "--max-parallel", "1", "--fail-fast", "--wait", "--json"]))
        .await;
    failed.check(1, "");
    let failed: serde_json::Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!((&failed["progress"]["failed"], &failed["progress"]["cancelled"]), (&1.into(), &1.into()));

    // The example, with curl as a reader would.
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut script = tokio::process::Command::new("sh");
    script.arg("examples/sweep.sh").arg(&served.url).current_dir(example);
    let output =
        tokio::time::timeout(super::PATIENCE, script.output()).await.expect("it does not end").unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("index,alpha,noise,rows,fold,slope,rmse,status,"), "{told}");
    assert_eq!(told.matches(",success,").count(), 12, "{told}");
}
