//! What a run knows of its time, and what becomes of one that cannot be.

use std::time::Duration;

use bindery::ErrorKind;
use bindery::engine::executions::SubmitExecution;
use bindery::engine::schedules::{ExecutionTarget, Target};
use bindery::execution::ExecutionStatus;
use bindery::schedule::{CatchUp, Overlap, TickOutcome};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{create, database_in, new, outcomes, set_next_run, started};
use crate::support::engine::{TestEngine, code_cell, code_notebook, notebook, until};

/// A change of the target.
fn with(
    mut schedule: bindery::engine::schedules::NewSchedule,
    change: impl FnOnce(&mut SubmitExecution),
) -> bindery::engine::schedules::NewSchedule {
    change(&mut execution(&mut schedule.target).submit);
    schedule
}

fn execution(target: &mut Target) -> &mut ExecutionTarget {
    match target {
        Target::Execution(target) => target,
        other => panic!("{other:?}"),
    }
}

fn json_text(value: serde_json::Value) -> Option<Box<serde_json::value::RawValue>> {
    Some(serde_json::value::to_raw_value(&value).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_knows_when_it_was_due_on_the_clock_of_its_zone() {
    let test = TestEngine::start().await;
    let cells = vec![
        code_cell(0, "run_date = ''\nregion = ''", &["parameters"]),
        code_cell(
            1,
            "from datetime import datetime\nprint(region, datetime.fromisoformat(run_date).isoformat())",
            &[],
        ),
    ];
    test.put("a.ipynb", &notebook(cells));
    let mut schedule = with(new("0 2 * * *", CatchUp::Last, Overlap::Skip), |submit| {
        submit.parameters = json_text(json!({"region": "eu"}));
        submit.output_path = Some("out/{region}-{scheduled_time:%Y-%m-%d_%H%M%z}.ipynb".into());
    });
    schedule.time_zone = Some("Europe/Berlin".into());
    execution(&mut schedule.target).scheduled_time_parameter = Some("run_date".into());
    let id = create(&test.engine, schedule).await.id;
    // A summer's night, long ago: the latest is caught up, so it is the night before now that runs.
    let due: Timestamp = "2026-07-01T00:00:00Z".parse().unwrap();
    set_next_run(&database_in(&test.engine.config().data_dir), id, due).await;
    let run = until("it is started", async || started(&test.engine, id).await.pop()).await;
    let ended = test.end(run.id).await;
    assert_eq!(ended.status, ExecutionStatus::Success, "{:?}", ended.error);
    let child = &ended.request.parent.as_ref().unwrap().child;
    let local = child.parse::<Timestamp>().unwrap().in_tz("Europe/Berlin").unwrap();
    assert_eq!((local.hour(), local.minute()), (2, 0));
    assert_eq!(ended.request.output_path, local.strftime("out/eu-%Y-%m-%d_0200%z.ipynb").to_string());
    let output = test.read(&ended.request.output_path);
    assert_eq!(
        output.cells()[2].outputs()[0]["text"],
        json!([local.strftime("eu %Y-%m-%dT02:00:00%:z\n").to_string()])
    );
    // All but the last night were skipped, and are told as one.
    let recorded = outcomes(&test.engine, id).await;
    assert_eq!((recorded[0].outcome, recorded[0].scheduled_time), (TickOutcome::Skipped, due));
    assert!(recorded[0].ticks > 30 && recorded[0].ticks == test.engine.schedule(id).await.unwrap().skipped);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_output_path_the_result_goes_beside_the_notebook_with_the_time_in_utc() {
    let test = TestEngine::start().await;
    test.put("ada/a.ipynb", &code_notebook(&["1"]));
    let schedule = with(new("0 0 1 1 *", CatchUp::Last, Overlap::Skip), |submit| {
        submit.notebook_path = "ada/a.ipynb".into();
    });
    let id = create(&test.engine, schedule).await.id;
    let due: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    set_next_run(&database_in(&test.engine.config().data_dir), id, due).await;
    let run = until("it is started", async || started(&test.engine, id).await.pop()).await;
    let ended = test.end(run.id).await;
    assert_eq!(ended.request.output_path, "ada/a.schedule-1.20260101T000000Z.ipynb");
    assert_eq!(ended.status, ExecutionStatus::Success);
    assert_eq!(test.read(&ended.request.output_path).cells().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notebook_that_is_gone_makes_a_failed_execution_and_the_next_run_is_not_held_up() {
    let test = TestEngine::start().await;
    let url = database_in(&test.engine.config().data_dir);
    test.put("a.ipynb", &code_notebook(&["1"]));
    let id = create(&test.engine, new("0 0 1 1 *", CatchUp::Last, Overlap::Skip)).await.id;
    std::fs::remove_file(test.root().join("a.ipynb")).unwrap();
    let now = |back: i64| Timestamp::now() - SignedDuration::from_secs(back);
    set_next_run(&url, id, now(3)).await;
    let run = until("it is started", async || started(&test.engine, id).await.pop()).await;
    let ended = test.end(run.id).await;
    assert_eq!(ended.status, ExecutionStatus::Failed);
    assert!(ended.error.unwrap().evalue.contains("a.ipynb"));
    test.put("a.ipynb", &code_notebook(&["1"]));
    set_next_run(&url, id, now(1)).await;
    let run = until("the next is started", async || started(&test.engine, id).await.into_iter().nth(1)).await;
    assert_eq!(test.end(run.id).await.status, ExecutionStatus::Success);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_another_writes_is_told_and_the_next_run_is_not_held_up() {
    let test = TestEngine::start().await;
    let url = database_in(&test.engine.config().data_dir);
    let waits = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.02)";
    test.put("a.ipynb", &code_notebook(&[waits]));
    let schedule = with(new("0 0 1 1 *", CatchUp::Last, Overlap::Allow), |submit| {
        submit.output_path = Some("out.ipynb".into());
    });
    let id = create(&test.engine, schedule).await.id;
    let now = |back: i64| Timestamp::now() - SignedDuration::from_secs(back);
    set_next_run(&url, id, now(5)).await;
    until("it is started", async || started(&test.engine, id).await.pop()).await;
    set_next_run(&url, id, now(3)).await;
    let told = until("the other is told", async || outcomes(&test.engine, id).await.into_iter().nth(1)).await;
    assert_eq!(told.outcome, TickOutcome::Failed);
    let reason = told.reason.unwrap();
    assert!(reason.contains("is pending or running on `out.ipynb`: give the output a time"), "{reason}");
    assert_eq!(test.engine.schedule(id).await.unwrap().last_error, Some(reason));
    let error = test.engine.run_schedule(id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    std::fs::write(test.root().join("go"), "").unwrap();
    let first = started(&test.engine, id).await[0].id;
    assert_eq!(test.end(first).await.status, ExecutionStatus::Success);
    set_next_run(&url, id, now(1)).await;
    let run = until("the next is started", async || started(&test.engine, id).await.into_iter().nth(1)).await;
    assert_eq!(test.end(run.id).await.status, ExecutionStatus::Success);
    assert_eq!(test.engine.schedule(id).await.unwrap().last_error, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_checked_is_checked_when_a_schedule_is_created() {
    let test = TestEngine::start_with(|_| {}).await;
    test.put("a.ipynb", &code_notebook(&["1"]));
    std::fs::write(test.root().join("broken.ipynb"), "{}").unwrap();
    let base = || new("0 0 1 1 *", CatchUp::Last, Overlap::Skip);
    let check = async |schedule, field: &str, told: &str| {
        let error = test.engine.create_schedule(schedule, false).await.unwrap_err();
        assert!(error.message().contains(told), "{error:?}");
        let fields: Vec<_> = error.fields().iter().map(|it| it.field.as_str()).collect();
        assert!(fields.contains(&field) || field.is_empty(), "{fields:?}");
    };
    check(with(base(), |it| it.notebook_path = "none.ipynb".into()), "", "none.ipynb").await;
    check(with(base(), |it| it.notebook_path = "broken.ipynb".into()), "", "not a notebook").await;
    check(with(base(), |it| it.notebook_path = "../a.ipynb".into()), "", "..").await;
    check(with(base(), |it| it.kernel_name = Some("none".into())), "kernel_name", "none").await;
    check(
        with(base(), |it| it.parameters = json_text(json!({"not a name": 1}))),
        "parameters.not a name",
        "",
    )
    .await;
    check(
        with(base(), |it| it.output_path = Some("{region}.ipynb".into())),
        "output_path",
        "Missing parameter 'region'",
    )
    .await;
    check(
        with(base(), |it| it.output_path = Some("{scheduled_time:%Q}.ipynb".into())),
        "output_path",
        "%Q is no directive",
    )
    .await;
    check(with(base(), |it| it.output_path = Some("../{scheduled_time}.ipynb".into())), "", "..").await;
    check(
        with(base(), |it| it.keep_kernel_on_failure = Some(Duration::from_secs(1_000_000))),
        "keep_kernel_on_failure",
        "",
    )
    .await;
    let mut faulty = with(base(), |it| it.parameters = json_text(json!({"run_date": 1})));
    execution(&mut faulty.target).scheduled_time_parameter = Some("run_date".into());
    check(faulty, "scheduled_time_parameter", "is among the parameters, too").await;
    let mut faulty = base();
    execution(&mut faulty.target).scheduled_time_parameter = Some("run date".into());
    check(faulty, "scheduled_time_parameter", "is no name for a parameter").await;
    let faulty = bindery::engine::schedules::NewSchedule { misfire_grace: Some(Duration::MAX), ..base() };
    check(faulty, "misfire_grace", "must be from 0").await;
    assert!(test.engine.list_schedules(bindery::schedule::ScheduleId(0), 10).await.unwrap().is_empty());
}
