//! Schedules that start workflows and sweeps.

use bindery::engine::Engine;
use bindery::engine::flows::FlowFilter;
use bindery::engine::schedules::{NewSchedule, SweepTarget, Target, WorkflowTarget};
use bindery::execution::{ExecutionStatus, ParentKind};
use bindery::flow::Flow;
use bindery::schedule::{CatchUp, Overlap, ScheduleId, ScheduledRun, TickOutcome};
use bindery::workflow::{StepSource, SweepRequest};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Firing, Site, create, database_in, minutes, new, outcomes, set_next_run, this_minute};
use crate::support::engine::{TestEngine, code_cell, code_notebook, notebook, until};
use crate::support::server::{TestServer, json_of};

/// So rarely that only what a test makes due comes.
const NEVER: &str = "0 0 1 1 *";
const NIGHTLY: &str = "name: nightly\nparameters: {day: ''}\nsteps:\n  one:\n    notebook: a.ipynb\n    \
                       parameters: {day: \"${{ parameters.day }}\"}\n  two:\n    notebook: b.ipynb\n    needs: one\n";
/// Runs until there is a file `go`.
const WAITS: &str = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.02)";

fn workflow(text: &str, overlap: Overlap) -> NewSchedule {
    let target = WorkflowTarget { text: text.into(), ..WorkflowTarget::default() };
    NewSchedule { target: Target::Workflow(Box::new(target)), ..new(NEVER, CatchUp::Last, overlap) }
}

fn sweep(parameters: Value) -> NewSchedule {
    let Value::Object(parameters) = parameters else { panic!("{parameters}") };
    let request = SweepRequest { parameters, ..SweepRequest::new(StepSource::Notebook("a.ipynb".into())) };
    let target = SweepTarget { request, scheduled_time_parameter: Some("day".into()) };
    NewSchedule { target: Target::Sweep(Box::new(target)), ..new(NEVER, CatchUp::Last, Overlap::Skip) }
}

/// What a schedule has started, the first at first.
async fn flows_of(engine: &Engine, id: ScheduleId) -> Vec<Flow> {
    let filter = FlowFilter { limit: 1000, ..FlowFilter::default() };
    let mut flows = engine.list_flows(&filter).await.unwrap();
    flows.retain(|flow| {
        let parent = flow.parent.as_ref().unwrap();
        (parent.kind, parent.id) == (ParentKind::Schedule, id.0)
    });
    flows.reverse();
    flows
}

async fn make_due(test: &TestEngine, id: ScheduleId, seconds_ago: i64) -> Timestamp {
    let at = Timestamp::from_second(Timestamp::now().as_second() - seconds_ago).unwrap();
    set_next_run(&database_in(&test.engine.config().data_dir), id, at).await;
    at
}

fn put_nightly(test: &TestEngine) {
    let cells = vec![code_cell(0, "day = ''", &["parameters"]), code_cell(1, "print(day)", &[])];
    test.put("a.ipynb", &notebook(cells));
    test.put("b.ipynb", &code_notebook(&["1"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_begins_at_its_time_and_knows_it() {
    let test = TestEngine::start().await;
    put_nightly(&test);
    let mut schedule = workflow(NIGHTLY, Overlap::Skip);
    schedule.time_zone = Some("Europe/Berlin".into());
    let Target::Workflow(target) = &mut schedule.target else { unreachable!() };
    target.scheduled_time_parameter = Some("day".into());
    target.output_directory = Some("out/{scheduled_time:%Y%m%d}".into());
    let id = create(&test.engine, schedule).await.id;
    let due = make_due(&test, id, 3).await;
    let flow = until("it is started", async || flows_of(&test.engine, id).await.pop()).await;
    let local = due.in_tz("Europe/Berlin").unwrap();
    assert_eq!(flow.parent.as_ref().unwrap().child, due.to_string());
    assert_eq!(flow.output_directory, local.strftime("out/%Y%m%d").to_string());
    let flow = test.engine.wait_for_flow(ParentKind::Workflow, flow.id).await.unwrap();
    assert_eq!(flow.status, ExecutionStatus::Success, "{:?}", flow.error);
    let output = test.read(&format!("{}/one.ipynb", flow.output_directory));
    let told = local.strftime("%Y-%m-%dT%H:%M:%S%:z\n").to_string();
    assert_eq!(output.cells().last().unwrap().outputs()[0]["text"], json!([told]));
    let recorded = outcomes(&test.engine, id).await;
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0].run, Some(ScheduledRun::Workflow(flow.id)));
    assert_eq!(recorded[0].status, Some(ExecutionStatus::Success));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_begins_at_its_time_with_the_time_in_every_point() {
    let test = TestEngine::start().await;
    let cells = vec![code_cell(0, "alpha = 0\nday = ''", &["parameters"]), code_cell(1, "alpha, day", &[])];
    test.put("a.ipynb", &notebook(cells));
    let id = create(&test.engine, sweep(json!({"alpha": [1, 2]}))).await.id;
    let due = make_due(&test, id, 3).await;
    let flow = until("it is started", async || flows_of(&test.engine, id).await.pop()).await;
    let flow = test.engine.wait_for_flow(ParentKind::Sweep, flow.id).await.unwrap();
    assert_eq!(flow.status, ExecutionStatus::Success, "{:?}", flow.error);
    let tasks = test.engine.flow_tasks(flow.id, None).await.unwrap();
    let given: Vec<Value> = tasks.iter().map(|it| serde_json::from_str(&it.parameters).unwrap()).collect();
    let day = due.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string();
    assert_eq!(given, [json!({"alpha": 1, "day": day}), json!({"alpha": 2, "day": day})]);
    let recorded = outcomes(&test.engine, id).await;
    assert_eq!(recorded[0].run, Some(ScheduledRun::Sweep(flow.id)));

    // By hand it is another.
    let by_hand = test.engine.run_schedule(id).await.unwrap().sweep_id().unwrap();
    let ended = test.engine.wait_for_flow(ParentKind::Sweep, by_hand).await.unwrap();
    assert_eq!(ended.status, ExecutionStatus::Success);
    assert!(ended.parent.unwrap().child.starts_with("manual/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_goes_on_is_an_earlier_run_and_is_cancelled_whole() {
    let test = TestEngine::start().await;
    put_nightly(&test);
    test.put("a.ipynb", &code_notebook(&[WAITS]));
    let text = NIGHTLY.replace("    parameters: {day: \"${{ parameters.day }}\"}\n", "");
    let id = create(&test.engine, workflow(&text, Overlap::Skip)).await.id;
    make_due(&test, id, 9).await;
    let first = until("it is started", async || flows_of(&test.engine, id).await.pop()).await;
    let second = make_due(&test, id, 7).await;
    let skipped =
        until("the second is told", async || outcomes(&test.engine, id).await.into_iter().nth(1)).await;
    assert_eq!((skipped.outcome, skipped.scheduled_time), (TickOutcome::Skipped, second));
    assert_eq!(skipped.reason.as_deref(), Some("the run before it had not ended"));

    test.engine.update_schedule(id, workflow(&text, Overlap::Cancel)).await.unwrap();
    let third = make_due(&test, id, 5).await;
    let ended = test.engine.wait_for_flow(ParentKind::Workflow, first.id).await.unwrap();
    assert_eq!(ended.status, ExecutionStatus::Cancelled);
    let next =
        until("the third is started", async || flows_of(&test.engine, id).await.into_iter().nth(1)).await;
    assert_eq!(next.parent.unwrap().child, third.to_string());
    std::fs::write(test.root().join("go"), "").unwrap();
    let ended = test.engine.wait_for_flow(ParentKind::Workflow, next.id).await.unwrap();
    assert_eq!(ended.status, ExecutionStatus::Success, "{:?}", ended.error);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_whose_notebook_is_gone_is_told_and_holds_up_nothing() {
    let test = TestEngine::start().await;
    put_nightly(&test);
    let id = create(&test.engine, workflow(NIGHTLY, Overlap::Skip)).await.id;
    std::fs::remove_file(test.root().join("b.ipynb")).unwrap();
    make_due(&test, id, 5).await;
    let told = until("it is told", async || outcomes(&test.engine, id).await.pop()).await;
    assert_eq!((told.outcome, told.run), (TickOutcome::Failed, None));
    let reason = told.reason.unwrap();
    assert!(reason.contains("steps.two.notebook") && reason.contains("b.ipynb"), "{reason}");
    assert_eq!(test.engine.schedule(id).await.unwrap().last_error, Some(reason));
    put_nightly(&test);
    make_due(&test, id, 3).await;
    let flow = until("the next is started", async || flows_of(&test.engine, id).await.pop()).await;
    let ended = test.engine.wait_for_flow(ParentKind::Workflow, flow.id).await.unwrap();
    assert_eq!(ended.status, ExecutionStatus::Success);
    assert_eq!(test.engine.schedule(id).await.unwrap().last_error, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_that_look_at_the_same_moment_make_one_flow_of_each_tick() {
    for site in Site::all().await {
        let engine = site.engine("looker").await;
        let text = "name: w\nsteps: {one: {notebook: a.ipynb}}";
        let schedule = NewSchedule {
            cron: "* * * * *".into(),
            catch_up: CatchUp::All,
            ..workflow(text, Overlap::Allow)
        };
        let id = create(&engine, schedule).await.id;
        let first = this_minute() - minutes(20);
        site.make_due(id, first).await;
        let firing = [Firing::start(&site.engine("one").await), Firing::start(&site.engine("two").await)];
        until("all are there", async || {
            let next = engine.schedule(id).await.unwrap().next_run.unwrap();
            (next > Timestamp::now()).then_some(())
        })
        .await;
        drop(firing);
        let flows = flows_of(&engine, id).await;
        let due: Vec<Timestamp> =
            flows.iter().map(|it| it.parent.as_ref().unwrap().child.parse().unwrap()).collect();
        let expected: Vec<_> = (0..due.len()).map(|it| first + minutes(it as i64)).collect();
        assert!(due.len() >= 20, "{}", due.len());
        assert_eq!(due, expected);
        let runs: Vec<_> = outcomes(&engine, id).await.iter().map(|it| it.run).collect();
        assert_eq!(runs, flows.iter().map(|it| Some(ScheduledRun::Workflow(it.id))).collect::<Vec<_>>());

        // A tick that has its flow already gets no other, as when a clock was put back.
        site.make_due(id, first).await;
        let firing = Firing::start(&site.engine("three").await);
        until("it has gone on", async || {
            let next = engine.schedule(id).await.unwrap().next_run.unwrap();
            (next > Timestamp::now()).then_some(())
        })
        .await;
        drop(firing);
        let again = flows_of(&engine, id).await;
        assert_eq!(again[..flows.len()], flows[..]);
        assert!(again.len() <= flows.len() + 1, "at most the minute that has begun since");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_a_schedule_takes_a_workflow_or_a_sweep_and_shows_it() {
    let server = TestServer::start().await;
    std::fs::create_dir_all(server.root()).unwrap();
    let cells = vec![code_cell(0, "alpha = 1", &["parameters"]), code_cell(1, "alpha", &[])];
    std::fs::write(server.root().join("a.ipynb"), notebook(cells).to_string()).unwrap();
    let yaml = "name: w\nparameters: {alpha: 1}\nsteps: {one: {notebook: a.ipynb}}";
    let workflow = json!({"yaml": yaml, "parameters": {"alpha": 2}, "username": "ada"});
    let sweep = json!({"notebook_path": "a.ipynb", "username": "ada", "parameters": {"alpha": [1, 2]},
        "method": "grid", "fail_fast": false, "timeout": 90.0, "retries":
        {"limit": 2, "delay": 1.0, "factor": 2.0, "max_delay": 300.0}});
    for (field, asked) in [("workflow", workflow), ("sweep", sweep)] {
        let body = json!({"name": field, "cron": "@yearly", field: asked, "paused": true});
        let created = json_of(server.post("/api/v1/schedules", body.clone()).await, 201).await;
        assert_eq!((&created[field], &created["execution"]), (&asked, &Value::Null));
        json_of(server.post("/api/v1/schedules", body).await, 200).await;
        let path = format!("/api/v1/schedules/{}", created["schedule_id"]);
        let answer = server.post(&format!("{path}/run"), json!({})).await;
        let location = answer.headers()["location"].to_str().unwrap().to_owned();
        let flow = json_of(answer, 202).await;
        assert_eq!(location, format!("{}/api/v1/{field}s/{}", server.base, flow["id"]));
        assert_eq!((&flow["kind"], &flow["parent"]["kind"]), (&json!(field), &json!("schedule")));
        let runs = json_of(server.get(&format!("{path}/runs")).await, 200).await;
        assert_eq!(runs["runs"][0][format!("{field}_id")], flow["id"]);
        assert_eq!(runs["runs"][0]["execution_id"], Value::Null);
        until("it has ended", async || {
            let runs = json_of(server.get(&format!("{path}/runs")).await, 200).await;
            (runs["runs"][0]["status"] == "success").then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_workflow_or_sweep_is_refused_with_its_field() {
    let server = TestServer::start_with(|_| {}, None).await;
    std::fs::create_dir_all(server.root()).unwrap();
    std::fs::write(server.root().join("a.ipynb"), code_notebook(&["1"]).to_string()).unwrap();
    let check = async |body: Value, status: u16, field: &str, told: &str| {
        let mut whole = json!({"name": "x", "cron": "@daily"});
        whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let problem = server.problem(server.post("/api/v1/schedules", whole).await, status).await;
        let error = &problem["errors"][0];
        assert_eq!(error["field"], field, "{problem}");
        assert!(error["message"].as_str().unwrap().contains(told), "{problem}");
    };
    let yaml = |text: &str| json!({"workflow": {"yaml": text}});
    check(yaml("name: w\nsteps: {a: {notebook: none.ipynb}}"), 422, "workflow.steps.a.notebook", "line 2")
        .await;
    check(yaml("name: w\nsteps: {a: {notebook: a.ipynb, needs: b}}"), 422, "workflow.steps.a.needs", "`b`")
        .await;
    check(yaml("steps: {a: {notebook: a.ipynb}}"), 422, "workflow.name", "is missing").await;
    check(json!({"workflow": {"workflow": {"name": "w", "steps": {}}}}), 422, "workflow.steps", "").await;
    check(json!({"workflow": {}}), 422, "workflow.yaml", "must be given").await;
    let good = "name: w\nparameters: {day: ''}\nsteps: {a: {notebook: a.ipynb}}";
    let given = json!({"workflow": {"yaml": good, "parameters": {"x": 1}}});
    check(given, 422, "workflow.parameters.x", "the workflow declares `day`").await;
    let undeclared = json!({"workflow": {"yaml": good}, "scheduled_time_parameter": "date"});
    check(undeclared, 422, "scheduled_time_parameter", "declares no parameter `date`").await;
    let twice =
        json!({"workflow": {"yaml": good, "parameters": {"day": 1}}, "scheduled_time_parameter": "day"});
    check(twice, 422, "scheduled_time_parameter", "is among the parameters, too").await;
    let of = |change: Value| {
        let mut body = json!({"notebook_path": "a.ipynb", "username": "ada", "parameters": {"a": [1, 2]}});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({"sweep": body})
    };
    check(of(json!({"parameters": {"a": 1}})), 422, "sweep.parameters", "has nothing to try").await;
    check(of(json!({"parameters": {"a": {"range": [1_000_000]}}})), 422, "sweep.parameters", "the limit")
        .await;
    check(of(json!({"notebook_path": "none.ipynb"})), 422, "sweep.notebook_path", "none.ipynb").await;
    check(of(json!({"max_parallel": 0})), 422, "sweep.max_parallel", "must be from 1").await;
    check(of(json!({"output_directory": "{x}"})), 400, "sweep.output_directory", "no parameters").await;
    check(json!({}), 422, "execution", "or give a `sweep` or a `workflow`").await;
    let both = json!({"workflow": {"yaml": good}, "sweep": of(json!({}))["sweep"]});
    check(both, 422, "workflow", "only one of").await;
    let page = json_of(server.get("/api/v1/schedules").await, 200).await;
    assert_eq!(page["schedules"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_s_own_clock_is_that_of_its_time_also_in_a_sweep_s_folder() {
    let site = Site::on_file();
    let engine = site.engine("looker").await;
    let mut schedule = sweep(json!({"alpha": [1, 2]}));
    schedule.time_zone = Some("Asia/Tokyo".into());
    let Target::Sweep(target) = &mut schedule.target else { unreachable!() };
    target.request.output_directory = Some("out/{scheduled_time:%Y-%m-%d_%H}".into());
    let id = create(&engine, schedule).await.id;
    site.make_due(id, "2025-12-31T15:00:00Z".parse().unwrap()).await;
    let _firing = Firing::start(&engine);
    let flow = until("it is started", async || flows_of(&engine, id).await.pop()).await;
    let at: Timestamp = flow.parent.unwrap().child.parse().unwrap();
    // The first of January there, of whichever year is the last.
    let folder = at.in_tz("Asia/Tokyo").unwrap().strftime("out/%Y-01-01_00").to_string();
    assert_eq!(flow.output_directory, folder);
}
