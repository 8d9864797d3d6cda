//! `bindery templates|notebooks|executions`: the AutoML flow from a shell.

use super::{Place, Served, notebook};

#[tokio::test]
async fn from_a_template_to_a_result_without_a_single_request() {
    let place = Place::new();
    place.write("train.ipynb", &notebook(&["# parameters\nalpha: float = 0.5  # Step", "print(alpha)"]));
    let upload =
        ["templates", "upload", "train.ipynb", "--category", "ml", "--description", "Trains", "--json"];
    let uploaded = place.json(&upload).await;
    assert_eq!(uploaded["template_name"], "ml/train.ipynb");
    assert_eq!(uploaded["parameters"][0]["name"], "alpha");
    place.run(&upload).await.check(1, "exists already");
    let mut overwrite = upload.to_vec();
    overwrite.push("--overwrite");
    place.run(&overwrite).await.check(0, "");

    // The data dir may be named behind either subcommand.
    let listed = place.json(&["templates", "--data-dir", "data", "list", "--json"]).await;
    assert_eq!(listed["templates"][0]["description"], "Trains");
    let table = place.run(&["templates", "list", "--category", "ml"]).await;
    assert!(table.stdout.starts_with("NAME "), "{}", table.stdout);
    let shown = place.run(&["templates", "show", "ml/train.ipynb"]).await;
    assert!(shown.stdout.contains("alpha      float  0.5      Step"), "{}", shown.stdout);
    let url = place.json(&["templates", "url", "ml/train.ipynb", "--expires", "60", "--json"]).await;
    let url = url["url"].as_str().unwrap();
    assert!(url.starts_with("http://127.0.0.1:8002/minio/download/ml/train.ipynb?expires="), "{url}");
    let bytes = place.run(&["templates", "download", "ml/train.ipynb", "-"]).await.stdout;
    assert_eq!(bytes.into_bytes(), std::fs::read(place.path("train.ipynb")).unwrap());
    place.run(&["templates", "download", "ml/train.ipynb"]).await.check(1, "add --overwrite");

    let create = ["notebooks", "create", "ml/train.ipynb", "--to", "ada", "-p", "alpha", "0.1", "--json"];
    let created = place.json(&create).await;
    assert_eq!(created["new_notebook_path"], "ada/train.ipynb");
    assert_eq!(created["parameters_applied"]["alpha"], 0.1);
    place.run(&create).await.check(1, "exists already");
    let listed = place.json(&["notebooks", "list", "--json"]).await;
    assert_eq!(listed["notebooks"][0]["template_name"], "ml/train.ipynb");

    let submit = ["executions", "submit", "ada/train.ipynb", "--output", "ada/out.ipynb"];
    let told = place.run(&[&submit[..], &["--listen", "127.0.0.1:1"]].concat()).await;
    told.check(0, "no service answers at http://127.0.0.1:1; unless one runs elsewhere on this data dir, execution 1 stays");
    place.run(&submit).await.check(1, "execution 1 is already pending or running");
    place.run(&["executions", "cancel", "1"]).await.check(0, "");
    assert_eq!(place.json(&["executions", "show", "1", "--json"]).await["status"], "cancelled");

    let served = Served::start(&place, &[]).await;
    let wait = [&submit[..], &["--wait", "--json", "--listen", served.url.strip_prefix("http://").unwrap()]]
        .concat();
    let done = place.json(&wait).await;
    assert_eq!((&done["execution_id"], &done["status"]), (&2.into(), &"success".into()));
    let fetched = place.run(&["executions", "notebook", "2", "-"]).await.stdout;
    assert_eq!(super::streams(&serde_json::from_str(&fetched).unwrap()), "0.1\n");
    let listed = place.json(&["executions", "list", "--status", "success", "--json"]).await;
    assert_eq!(listed["executions"].as_array().unwrap().len(), 1);
    let retried = place.json(&["executions", "retry", "2", "-p", "alpha", "0.2", "--wait", "--json"]).await;
    assert_eq!((&retried["execution_id"], &retried["status"]), (&3.into(), &"success".into()));
    let fetched = place.run(&["executions", "notebook", "3", "-"]).await.stdout;
    assert_eq!(super::streams(&serde_json::from_str(&fetched).unwrap()), "0.2\n");
    let once = [&submit[..], &["--idempotency-key", "monday", "--wait", "--json"]].concat();
    assert_eq!(place.json(&once).await["execution_id"], 4);
    assert_eq!(place.json(&once).await["execution_id"], 4);
    let told = place.run(&[&submit[..], &["--idempotency-key", "monday"]].concat()).await;
    told.check(0, "");
    assert_eq!(told.stdout, "execution 4 has ended before: success\n");
    place.run(&["executions", "wait", "1"]).await.check(1, "");
    place.run(&["executions", "cancel", "2"]).await.check(1, "execution 2 has already ended: success");
    place.run(&["executions", "show", "9"]).await.check(1, "there is no execution 9");
    place.run(&["executions", "show", "nine"]).await.check(1, "is not an execution id");
    place
        .run(&["executions", "submit", "../x.ipynb"])
        .await
        .check(1, "the path `../x.ipynb` may not hold `..`");
    place.run(&["templates", "delete", "ml/train.ipynb"]).await.check(0, "");
    place.run(&["templates", "show", "ml/train.ipynb"]).await.check(1, "ml/train.ipynb");
}

#[tokio::test]
async fn the_shell_and_http_say_the_same_of_an_execution() {
    let place = Place::new();
    let served = Served::start(&place, &[]).await;
    std::fs::write(place.path("data/notebooks/run.ipynb"), notebook(&["1 / 0"]).to_string()).unwrap();
    place.run(&["executions", "submit", "run.ipynb", "--username", "ada", "--wait"]).await.check(1, "");
    let shell = place.json(&["executions", "show", "1", "--json"]).await;
    let http =
        reqwest::get(format!("{}/execution-status/1", served.url)).await.unwrap().text().await.unwrap();
    assert_eq!(shell, serde_json::from_str::<serde_json::Value>(&http).unwrap());
    assert_eq!(shell["error"]["ename"], "ZeroDivisionError");
}

#[tokio::test]
async fn flags_that_make_no_sense_are_refused() {
    let place = Place::new();
    place.write("in.ipynb", &notebook(&["1"]));
    place.run(&["executions", "list", "--limit", "0"]).await.check(1, "--limit");
    place.run(&["notebooks", "list", "--limit", "0"]).await.check(1, "--limit");
    place.run(&["executions", "submit", "in.ipynb", "--username", ""]).await.check(1, "--username");
    place.run(&["templates", "upload", "nope.ipynb"]).await.check(1, "error: nope.ipynb does not exist");
    place.run(&["demo", "--once", "--data-dir", "in.ipynb"]).await.check(2, "choose another with --data-dir");
}
