//! Workflows and sweeps over HTTP.

use std::path::Path;

use bindery::execution::ParentKind;
use bindery::flow::FlowId;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::server::{TestServer, json_of};

const WORKFLOWS: &str = "/api/v1/workflows";
const SWEEPS: &str = "/api/v1/sweeps";

fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

async fn upload_templates(server: &TestServer) {
    for name in ["prepare", "train", "report"] {
        let notebook = file(&format!("templates/workflow/{name}.ipynb"));
        let fields = [("category", "workflow")];
        let answer = server.upload(&format!("{name}.ipynb"), notebook.as_bytes(), &fields).await;
        json_of(answer, 200).await;
    }
}

async fn post_yaml(server: &TestServer, path: &str, yaml: &str) -> Response {
    let request = server.request(Method::POST, path).header("content-type", "application/yaml");
    request.body(yaml.to_owned()).send().await.unwrap()
}

/// Waits for the end of what was started, and gives it as it is then.
async fn end(server: &TestServer, kind: ParentKind, started: &Value) -> Value {
    let id = started["id"].as_i64().unwrap();
    let waiting = server.engine.wait_for_flow(kind, FlowId(id));
    tokio::time::timeout(std::time::Duration::from_secs(120), waiting)
        .await
        .expect("it does not end")
        .unwrap();
    json_of(server.get(&format!("/api/v1/{kind}s/{id}")).await, 200).await
}

async fn text_of(response: Response) -> String {
    assert_eq!(response.status(), 200);
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/csv"));
    response.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_runs_from_yaml_to_a_table() {
    let server = TestServer::start().await;
    upload_templates(&server).await;
    let yaml = file("examples/workflow.yaml");
    let checked = json_of(post_yaml(&server, &format!("{WORKFLOWS}/validate"), &yaml).await, 200).await;
    assert_eq!(checked, json!({"valid": true, "errors": [], "warnings": []}));

    let body = json!({"yaml": yaml, "username": "ada", "parameters": {"day": "2026-11-21"}});
    let start = || {
        let request = server.request(Method::POST, WORKFLOWS).header("content-type", "application/json");
        request.header("idempotency-key", "nightly-1").body(body.to_string()).send()
    };
    let answer = start().await.unwrap();
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let started = json_of(answer, 201).await;
    assert!(location.ends_with(&format!("{WORKFLOWS}/{}", started["id"])), "{location}");
    assert_eq!((&started["kind"], &started["name"]), (&json!("workflow"), &json!("nightly")));
    assert_eq!(json_of(start().await.unwrap(), 201).await["id"], started["id"], "the same request");
    let other = server.request(Method::POST, WORKFLOWS).header("content-type", "application/json");
    let other = other.header("idempotency-key", "nightly-1").body(json!({"yaml": yaml}).to_string());
    server.problem(other.send().await.unwrap(), 422).await;

    let ended = end(&server, ParentKind::Workflow, &started).await;
    assert_eq!(ended["status"], "success", "{ended:#}");
    assert_eq!(ended["parameters"], json!({"day": "2026-11-21", "folds": 5, "alpha": 0.1}));
    assert_eq!((&ended["progress"]["total"], &ended["progress"]["success"]), (&json!(7), &json!(7)));
    let [prepare, train, report] = ended["steps"].as_array().unwrap().as_slice() else { panic!("{ended:#}") };
    assert_eq!(prepare["results"]["folds"].as_array().unwrap().len(), 5);
    assert_eq!((&train["fans_out"], &train["results"]), (&json!(true), &json!(null)));
    assert_eq!(report["results"]["count"], 5);
    let notebook = server.read_notebook(report["output_path"].as_str().unwrap());
    assert!(notebook.to_string().contains("Models of 2026-11-21"));

    let path = format!("{WORKFLOWS}/{}", started["id"]);
    let graph = json_of(server.get(&format!("{path}/graph")).await, 200).await;
    assert_eq!(graph["levels"], json!([["prepare"], ["train"], ["report"]]));
    assert_eq!(
        graph["edges"],
        json!([{"from": "prepare", "to": "train"}, {"from": "train", "to": "report"}])
    );
    let train = &graph["nodes"][1];
    assert_eq!((&train["status"], &train["done"]), (&json!("success"), &json!(5)));
    let table = json_of(server.get(&format!("{path}/results")).await, 200).await;
    assert_eq!(table["columns"]["results"], json!(["fold", "slope", "rmse"]));
    let folds: Vec<_> =
        table["rows"].as_array().unwrap().iter().map(|row| row["results"]["fold"].clone()).collect();
    assert_eq!(folds, [0, 1, 2, 3, 4]);
    let csv = text_of(server.get(&format!("{path}/results.csv?step=report")).await).await;
    assert!(csv.starts_with("index,title,models,best,count,status,"), "{csv}");
    server.problem(server.get(&format!("{path}/results?step=nope")).await, 404).await;

    let page = json_of(server.get(&format!("{WORKFLOWS}?status=success&limit=1")).await, 200).await;
    assert_eq!(page["flows"][0]["id"], started["id"]);
    assert_eq!(
        json_of(server.get(&format!("{WORKFLOWS}?status=failed")).await, 200).await["flows"],
        json!([])
    );
    assert_eq!(json_of(server.get(SWEEPS).await, 200).await["flows"], json!([]), "it is no sweep");
    server.problem(server.get(&format!("{SWEEPS}/{}", started["id"])).await, 404).await;
    for action in ["cancel", "resume"] {
        let answer = server.post(&format!("{path}/{action}"), json!({})).await;
        server.problem(answer, 409).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_workflow_is_told_with_its_place_and_nothing_begins() {
    let server = TestServer::start_with(|_| {}, None).await;
    upload_templates(&server).await;
    let yaml = r#"name: faulty
steps:
  prepare:
    template: workflow/prepare.ipynb
    needs: report
    parameters: {rows: many, folds: 2.5, color: red}
  train:
    template: workflow/trian.ipynb
    needs: [prepare]
    parameters: {alpha: "${{ steps.prepare.results.alpha }}", rows: "${{ parameters.rows }}"}
  report:
    notebook: ../report.ipynb
    needs: [train, prepre]
    parameters: {models: "${{ steps.report.results }}"}
"#;
    let expected = [
        (5, 12, "steps.prepare.needs", "for ever: prepare → report → train → prepare"),
        (6, 24, "steps.prepare.parameters.rows", "must be an integer, not a text: it is declared as `int`"),
        (6, 37, "steps.prepare.parameters.folds", "must be an integer, not a float"),
        (8, 15, "steps.train.template", "workflow/trian.ipynb"),
        (10, 74, "steps.train.parameters.rows", "the workflow has no parameter `rows`"),
        (12, 15, "steps.report.notebook", "may not"),
        (13, 20, "steps.report.needs[1]", "there is no step `prepre`: did you mean `prepare`?"),
        (14, 31, "steps.report.parameters.models", "is this step itself"),
    ];
    let compare = |errors: &Value| {
        let errors = errors.as_array().unwrap();
        assert_eq!(errors.len(), expected.len(), "{errors:#?}");
        for (error, (line, column, field, message)) in errors.iter().zip(expected) {
            assert_eq!((&error["line"], &error["column"]), (&json!(line), &json!(column)), "{error}");
            assert_eq!(error["field"], field, "{error}");
            assert!(error["message"].as_str().unwrap().contains(message), "{error}");
        }
    };
    let checked = json_of(post_yaml(&server, &format!("{WORKFLOWS}/validate"), yaml).await, 200).await;
    assert_eq!(checked["valid"], false);
    compare(&checked["errors"]);
    let warning = &checked["warnings"][0];
    assert_eq!(
        (&warning["line"], &warning["message"]),
        (&json!(6), &json!("Passed unknown parameter: color"))
    );
    let problem = server.problem(post_yaml(&server, WORKFLOWS, yaml).await, 422).await;
    compare(&problem["faults"]);
    assert_eq!(problem["errors"][0]["field"], "steps.prepare.needs");
    assert!(problem["detail"].as_str().unwrap().contains("line 5, column 12"), "{problem}");

    // In JSON the places are those of the body.
    let body = "{\"username\": \"ada\",\n \"workflow\": {\"name\": \"x\",\n  \"steps\": {\"a\": {\"notebook\": \"a.ipynb\", \"needs\": [\"b\"]}}}}";
    let answer =
        server.request(Method::POST, WORKFLOWS).header("content-type", "application/json").body(body);
    let problem = server.problem(answer.send().await.unwrap(), 422).await;
    let fault = |at: usize| (problem["faults"][at]["line"].clone(), problem["faults"][at]["column"].clone());
    assert_eq!(fault(0), (json!(3), json!(31)), "{problem}");
    assert_eq!(fault(1), (json!(3), json!(52)), "{problem}");

    let good = "name: x\nparameters: {a: 1}\nsteps: {a: {template: workflow/prepare.ipynb}}";
    let refused = [
        (json!({"yaml": good, "parameters": {"b": 1}}), 422),
        (
            json!({"yaml": good, "parameters": {"a": 123_456_789_012_345_678_901_234_567_890_f64}, "username": ""}),
            422,
        ),
        (json!({"yaml": good, "output_directory": "../out"}), 400),
        (json!({"yaml": good, "workflow": {}}), 422),
        (json!({"username": "ada"}), 422),
    ];
    for (body, status) in refused {
        server.problem(server.post(WORKFLOWS, body).await, status).await;
    }
    let form = server.request(Method::POST, WORKFLOWS).header("content-type", "text/plain").body(good);
    server.problem(form.send().await.unwrap(), 415).await;
    server.problem(post_yaml(&server, WORKFLOWS, "a: [").await, 422).await;
    server.problem(post_yaml(&server, WORKFLOWS, "").await, 422).await;
    for path in ["/api/v1/executions", WORKFLOWS] {
        let page = json_of(server.get(path).await, 200).await;
        let listed = page.get("executions").or_else(|| page.get("flows"));
        assert_eq!(listed, Some(&json!([])), "nothing has begun");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_is_counted_and_checked_and_then_runs_point_by_point() {
    let server = TestServer::start().await;
    upload_templates(&server).await;
    let sweep = |parameters: Value, more: Value| {
        let mut body =
            json!({"template_name": "workflow/train.ipynb", "username": "ada", "parameters": parameters});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let million = json!({"alpha": {"range": [10]}, "noise": {"range": [100]}, "seed": {"range": [1000]}});
    for (body, field, message) in [
        (sweep(million, json!({})), "parameters", "10 × 100 × 1000 = 1,000,000 points; the limit is 10,000"),
        (sweep(json!({"alpha": 1}), json!({})), "parameters", "nothing to try"),
        (sweep(json!({"rows": [1, "two"]}), json!({})), "parameters.rows", "must be an integer, not a text"),
        (sweep(json!({"rows": [1.5]}), json!({"method": "zip"})), "parameters.rows", "must be an integer"),
        (
            sweep(json!({"rows": [1, 2], "seed": [1]}), json!({"method": "zip"})),
            "parameters",
            "`rows` has 2, `seed` has 1",
        ),
        (sweep(json!({"alpha": {"uniform": [0, 1]}}), json!({})), "parameters.alpha", "`random`"),
        (sweep(json!({"alpha": {"uniform": [0, 1]}}), json!({"method": "random"})), "samples", "how many"),
        (sweep(json!({"rows": [1]}), json!({"retries": {"limit": 101}})), "retries.limit", "from 0 to 100"),
        (sweep(json!({"rows": [1]}), json!({"max_parallel": 0})), "max_parallel", "from 1 to 10000"),
        (
            sweep(json!({"rows": [1]}), json!({"template_name": "workflow/nope.ipynb"})),
            "template_name",
            "nope",
        ),
        (sweep(json!({"rows": [1]}), json!({"notebook_path": "a.ipynb"})), "notebook_path", "one of the two"),
    ] {
        let problem = server.problem(server.post(SWEEPS, body).await, 422).await;
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
        assert!(problem["errors"][0]["message"].as_str().unwrap().contains(message), "{problem}");
    }
    assert_eq!(json_of(server.get("/api/v1/executions").await, 200).await["executions"], json!([]));

    let parameters =
        json!({"alpha": [0.1, 10], "rows": {"range": [100, 300, 100]}, "noise": 0.1, "color": "red"});
    let more = json!({"name": "lines", "max_parallel": 2, "output_directory": "ada/lines"});
    let started = json_of(server.post(SWEEPS, sweep(parameters, more)).await, 201).await;
    assert_eq!(started["warnings"], json!(["parameters.color: Passed unknown parameter: color"]));
    let ended = end(&server, ParentKind::Sweep, &started).await;
    assert_eq!(
        (&ended["status"], &ended["progress"]["success"]),
        (&json!("success"), &json!(4)),
        "{ended:#}"
    );
    assert_eq!(ended["sweep"], json!({"method": "grid", "varied": ["alpha", "rows"]}));
    let path = format!("{SWEEPS}/{}", started["id"]);
    let csv = text_of(server.get(&format!("{path}/results.csv")).await).await;
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines[0][..8], ["index", "alpha", "rows", "noise", "color", "fold", "slope", "rmse"]);
    let points: Vec<_> = lines[1..].iter().map(|line| line[..3].join(" ")).collect();
    assert_eq!(points, ["0 0.1 100", "1 0.1 200", "2 10 100", "3 10 200"]);
    let table = json_of(server.get(&format!("{path}/results")).await, 200).await;
    let slope = |at: usize| table["rows"][at]["results"]["slope"].as_f64().unwrap();
    assert!(slope(0) > slope(2), "it is held back more: {table:#}");
    assert_eq!(table["rows"][3]["output_path"], "ada/lines/train-3.ipynb");

    let random = json!({"alpha": {"log_uniform": [0.001, 1]}});
    let started =
        json_of(server.post(SWEEPS, sweep(random, json!({"method": "random", "samples": 2}))).await, 201)
            .await;
    assert!(started["sweep"]["seed"].is_u64(), "{started:#}");
    let path = format!("{SWEEPS}/{}", started["id"]);
    json_of(server.post(&format!("{path}/cancel"), json!({})).await, 200).await;
    let stopped = end(&server, ParentKind::Sweep, &started).await;
    assert_eq!(stopped["status"], "cancelled");
    json_of(server.post(&format!("{path}/resume"), json!({})).await, 200).await;
    let resumed = end(&server, ParentKind::Sweep, &started).await;
    assert_eq!((&resumed["status"], &resumed["progress"]["success"]), (&json!("success"), &json!(2)));
}
