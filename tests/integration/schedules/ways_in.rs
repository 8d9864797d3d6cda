//! Schedules by HTTP and by command line.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::engine::{code_cell, notebook};
use crate::support::server::{TestServer, json_of};

fn body() -> Value {
    json!({"name": "nightly", "cron": "0  2 * * mon-fri", "time_zone": "europe/berlin",
        "execution": {"notebook_path": "a.ipynb", "username": "ada", "parameters": {"alpha": 0.10, "big": 123456789012345678901234567890_u128 as f64},
            "timeout": 90, "priority": 2, "output_path": "out-{scheduled_time:%Y%m%d}.ipynb"},
        "scheduled_time_parameter": "run_date", "catch_up": "all", "misfire_grace": 30, "overlap": "queue"})
}

fn put_notebook(server: &TestServer) {
    let cells = vec![code_cell(0, "alpha = 1\nrun_date = ''", &["parameters"]), code_cell(1, "alpha", &[])];
    std::fs::create_dir_all(server.root()).unwrap();
    std::fs::write(server.root().join("a.ipynb"), notebook(cells).to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_created_looked_at_changed_run_paused_and_deleted() {
    let server = TestServer::start().await;
    put_notebook(&server);
    let answer = server.post("/api/v1/schedules", body()).await;
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let created = json_of(answer, 201).await;
    let id = created["schedule_id"].as_i64().unwrap();
    let path = format!("/api/v1/schedules/{id}");
    assert_eq!(location, format!("{}{path}", server.base));
    assert_eq!(created["cron"], "0 2 * * mon-fri");
    assert_eq!(created["time_zone"], "Europe/Berlin");
    assert_eq!(
        created["execution"],
        body()["execution"]
            .as_object()
            .unwrap()
            .clone()
            .into_iter()
            .map(|(name, value)| match name.as_str() {
                "timeout" => (name, json!(90.0)),
                _ => (name, value),
            })
            .collect::<Value>()
    );
    for (field, expected) in [
        ("catch_up", json!("all")),
        ("misfire_grace", json!(30.0)),
        ("overlap", json!("queue")),
        ("scheduled_time_parameter", json!("run_date")),
        ("paused", json!(false)),
        ("last_run", Value::Null),
        ("last_error", Value::Null),
    ] {
        assert_eq!(created[field], expected, "{field}");
    }
    let next_runs = created["next_runs"].as_array().unwrap();
    assert_eq!((next_runs.len(), &next_runs[0]), (5, &created["next_run"]));
    assert_eq!(json_of(server.get(&path).await, 200).await, created);
    let preview = json_of(
        server.get("/api/v1/schedules/preview?cron=0+2+*+*+mon-fri&time_zone=Europe/Berlin").await,
        200,
    )
    .await;
    assert_eq!(preview["next_runs"], created["next_runs"]);

    // The same again is the same; another of the name is refused.
    let again = json_of(server.post("/api/v1/schedules", body()).await, 200).await;
    assert_eq!(again, created);
    let mut other = body();
    other["cron"] = json!("@hourly");
    let problem = server.problem(server.post("/api/v1/schedules", other.clone()).await, 409).await;
    assert!(
        problem["detail"].as_str().unwrap().contains("`nightly` exists already and is for something else")
    );

    other["name"] = json!("other");
    other["paused"] = json!(true);
    let second = json_of(server.post("/api/v1/schedules", other.clone()).await, 201).await;
    assert_eq!(
        (&second["paused"], &second["next_run"], &second["next_runs"]),
        (&json!(true), &Value::Null, &json!([]))
    );
    let page = json_of(server.get("/api/v1/schedules?limit=1").await, 200).await;
    assert_eq!(page["schedules"][0]["name"], "nightly");
    let rest = format!("/api/v1/schedules?cursor={}", page["next_cursor"].as_str().unwrap());
    let rest = json_of(server.get(&rest).await, 200).await;
    assert_eq!((&rest["schedules"][0]["name"], &rest["next_cursor"]), (&json!("other"), &Value::Null));

    // A change is the whole of it.
    let put = |path: String, body: Value| {
        server
            .request(Method::PUT, &path)
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
    };
    let mut changed = body();
    changed["name"] = json!("other");
    server.problem(put(path.clone(), changed.clone()).await.unwrap(), 409).await;
    changed["name"] = json!("renamed");
    changed["cron"] = json!("@yearly");
    changed.as_object_mut().unwrap().remove("overlap");
    let view = json_of(put(path.clone(), changed).await.unwrap(), 200).await;
    assert_eq!((&view["name"], &view["overlap"]), (&json!("renamed"), &json!("skip")));
    assert!(view["next_run"].as_str().unwrap().ends_with("-12-31T23:00:00Z"));

    let paused = json_of(server.post(&format!("{path}/pause"), json!({})).await, 200).await;
    assert_eq!((&paused["paused"], &paused["next_run"]), (&json!(true), &Value::Null));
    let started = json_of(server.post(&format!("{path}/run"), json!({})).await, 202).await;
    let execution = started["execution_id"].as_i64().unwrap();
    let ended = server.poll_to_end(execution).await;
    assert_eq!(ended["status"], "success", "{ended}");
    assert_eq!((&ended["parent"]["kind"], &ended["parent"]["id"]), (&json!("schedule"), &json!(id)));
    let listed = json_of(server.get(&format!("/api/v1/executions?parent=schedule/{id}")).await, 200).await;
    assert_eq!(listed["executions"][0]["execution_id"], execution);
    let resumed = json_of(server.post(&format!("{path}/resume"), json!({})).await, 200).await;
    assert_eq!((&resumed["paused"], &resumed["next_run"]), (&json!(false), &view["next_run"]));
    assert_eq!(resumed["last_run"]["status"], "success");
    let runs = json_of(server.get(&format!("{path}/runs")).await, 200).await;
    assert_eq!(runs["runs"], json!([resumed["last_run"]]));
    assert_eq!(
        (&runs["runs"][0]["manual"], &runs["runs"][0]["execution_id"]),
        (&json!(true), &json!(execution))
    );

    let gone = json_of(server.delete(&path).await, 200).await;
    assert_eq!(gone, json!({"status": "success", "schedule_id": id}));
    for answer in [
        server.get(&path).await,
        server.delete(&path).await,
        server.get(&format!("{path}/runs")).await,
        server.post(&format!("{path}/pause"), json!({})).await,
        server.post(&format!("{path}/run"), json!({})).await,
    ] {
        server.problem(answer, 404).await;
    }
    json_of(server.get(&format!("/execution-status/{execution}")).await, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_told_with_its_field_and_nothing_is_created() {
    let server = TestServer::start_with(|_| {}, None).await;
    put_notebook(&server);
    let check = async |change: Value, status: u16, field: &str, told: &str| {
        let mut body = body();
        for (name, value) in change.as_object().unwrap() {
            match name.strip_prefix("execution.") {
                Some(name) => body["execution"][name] = value.clone(),
                None => body[name.as_str()] = value.clone(),
            }
        }
        let problem = server.problem(server.post("/api/v1/schedules", body).await, status).await;
        let error = &problem["errors"][0];
        assert_eq!(error["field"], field, "{problem}");
        assert!(error["message"].as_str().unwrap().contains(told), "{problem}");
    };
    check(json!({"cron": "61 * * * *"}), 422, "cron", "minute: 61 is not from 0 to 59").await;
    check(json!({"cron": "0 0 30 2 *"}), 422, "cron", "day of month: it would never fire").await;
    check(json!({"cron": "daily"}), 422, "cron", "an expression has five fields").await;
    check(json!({"cron": 5}), 422, "cron", "expected a string").await;
    check(json!({"time_zone": "Mars/Olympus"}), 422, "time_zone", "`Mars/Olympus` is no time zone").await;
    check(
        json!({"catch_up": "sometimes"}),
        422,
        "catch_up",
        "`sometimes` is no catch-up policy; known are: none, last, all",
    )
    .await;
    check(json!({"overlap": 1}), 422, "overlap", "expected a string").await;
    check(json!({"misfire_grace": -1}), 422, "misfire_grace", "must be from 0").await;
    check(json!({"name": "7"}), 422, "name", "must not be a number").await;
    check(json!({"execution": null}), 422, "execution", "is missing").await;
    check(json!({"execution.timeout": 0}), 422, "execution.timeout", "must be from above 0").await;
    check(json!({"execution.username": ".."}), 422, "execution.username", "must not be").await;
    check(json!({"execution.kernel_name": "none"}), 422, "execution.kernel_name", "none").await;
    check(json!({"execution.parameters": {"1x": 1}}), 422, "execution.parameters.1x", "").await;
    check(json!({"execution.output_path": "{x}.ipynb"}), 400, "execution.parameters.x", "Missing parameter")
        .await;
    let mut gone = body();
    gone["execution"]["notebook_path"] = json!("none.ipynb");
    server.problem(server.post("/api/v1/schedules", gone).await, 404).await;
    for (query, status, field) in [
        ("cron=61+*+*+*+*", 422, "cron"),
        ("cron=@daily&time_zone=x", 422, "time_zone"),
        ("cron=@daily&count=0", 400, "count"),
        ("cron=@daily&count=101", 400, "count"),
        ("", 400, "cron"),
    ] {
        let problem =
            server.problem(server.get(&format!("/api/v1/schedules/preview?{query}")).await, status).await;
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    let page = json_of(server.get("/api/v1/schedules").await, 200).await;
    assert_eq!(page, json!({"schedules": [], "next_cursor": null}));
}
