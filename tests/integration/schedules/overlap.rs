//! A tick while an earlier run goes on, with notebooks that really run.

use std::sync::atomic::{AtomicI64, Ordering};

use bindery::execution::{ExecutionId, ExecutionStatus};
use bindery::schedule::{CatchUp, Overlap, ScheduleId, TickOutcome};
use jiff::{SignedDuration, Timestamp};

use super::{
    create, database_in, due_times, hourly_but_not_now, minutes, new, outcomes, set_next_run, started,
    this_minute,
};
use crate::support::engine::{TestEngine, code_notebook, until};

/// Runs until there is a file `go`.
const WAITS: &str = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.02)";
/// So rarely that only what a test makes due comes.
const NEVER: &str = "0 0 1 1 *";

struct Scene {
    engine: TestEngine,
    id: ScheduleId,
    /// When the first tick is due.
    first: Timestamp,
    ticks: AtomicI64,
}

impl Scene {
    async fn new(cron: &str, catch_up: CatchUp, overlap: Overlap) -> Self {
        let engine = TestEngine::start().await;
        engine.put("a.ipynb", &code_notebook(&[WAITS]));
        let id = create(&engine.engine, new(cron, catch_up, overlap)).await.id;
        let first = Timestamp::from_second(Timestamp::now().as_second() - 10).unwrap();
        Self { engine, id, first, ticks: AtomicI64::new(0) }
    }

    async fn make_due(&self, at: Timestamp) {
        set_next_run(&database_in(&self.engine.engine.config().data_dir), self.id, at).await;
    }

    /// A tick that is due now: its time.
    async fn tick(&self) -> Timestamp {
        let before = self.recorded().await;
        // A second after the one before, all of them within their grace.
        let at = self.first + SignedDuration::from_secs(self.ticks.fetch_add(1, Ordering::Relaxed));
        self.make_due(at).await;
        until("the tick is taken", async || {
            let schedule = self.engine.engine.schedule(self.id).await.unwrap();
            let is_told = schedule.queued == Some(at) || self.recorded().await > before;
            (is_told && schedule.next_run.unwrap() > Timestamp::now()).then_some(())
        })
        .await;
        at
    }

    async fn recorded(&self) -> usize {
        outcomes(&self.engine.engine, self.id).await.len()
    }

    async fn runs(&self, id: ExecutionId) {
        until("it runs", async || {
            (self.engine.engine.execution(id).await.unwrap().progress.current_cell == Some(0)).then_some(())
        })
        .await;
    }

    fn go(&self) {
        std::fs::write(self.engine.root().join("go"), "").unwrap();
    }

    async fn all_end_with(&self, expected: &[ExecutionStatus]) {
        let ids: Vec<_> = started(&self.engine.engine, self.id).await.iter().map(|it| it.id).collect();
        let mut ended = Vec::new();
        for id in ids {
            ended.push(self.engine.end(id).await.status);
        }
        assert_eq!(ended, expected);
    }

    async fn reasons(&self) -> Vec<(Timestamp, String)> {
        let recorded = outcomes(&self.engine.engine, self.id).await;
        let skipped = recorded.into_iter().filter(|it| it.outcome == TickOutcome::Skipped);
        skipped.map(|it| (it.scheduled_time, it.reason.unwrap())).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn skip_leaves_a_tick_out_while_the_run_before_it_goes_on() {
    let scene = Scene::new(NEVER, CatchUp::Last, Overlap::Skip).await;
    let first = scene.tick().await;
    let second = scene.tick().await;
    assert_eq!(scene.reasons().await, [(second, "the run before it had not ended".to_owned())]);
    scene.go();
    scene.all_end_with(&[ExecutionStatus::Success]).await;
    let third = scene.tick().await;
    assert_eq!(due_times(&scene.engine.engine, scene.id).await, [first, third]);
    assert_eq!(scene.engine.engine.schedule(scene.id).await.unwrap().skipped, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn queue_lets_one_tick_wait_for_the_run_before_it() {
    let scene = Scene::new(NEVER, CatchUp::Last, Overlap::Queue).await;
    let first = scene.tick().await;
    let second = scene.tick().await;
    let third = scene.tick().await;
    assert_eq!(scene.engine.engine.schedule(scene.id).await.unwrap().queued, Some(second));
    assert_eq!(due_times(&scene.engine.engine, scene.id).await, [first]);
    let told = "another tick waited already for the run before it to end".to_owned();
    assert_eq!(scene.reasons().await, [(third, told)]);
    scene.go();
    until("the one that waits is started", async || {
        (due_times(&scene.engine.engine, scene.id).await == [first, second]).then_some(())
    })
    .await;
    scene.all_end_with(&[ExecutionStatus::Success, ExecutionStatus::Success]).await;
    let runs = started(&scene.engine.engine, scene.id).await;
    assert!(runs[0].end_time.unwrap() <= runs[1].start_time.unwrap());
    assert_eq!(scene.engine.engine.schedule(scene.id).await.unwrap().queued, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_stops_the_run_before_it_and_then_runs() {
    let scene = Scene::new(NEVER, CatchUp::Last, Overlap::Cancel).await;
    let first = scene.tick().await;
    let id = started(&scene.engine.engine, scene.id).await[0].id;
    scene.runs(id).await;
    let second = scene.tick().await;
    assert_eq!(scene.engine.end(id).await.status, ExecutionStatus::Cancelled);
    until("the other is started", async || {
        (due_times(&scene.engine.engine, scene.id).await == [first, second]).then_some(())
    })
    .await;
    scene.go();
    scene.all_end_with(&[ExecutionStatus::Cancelled, ExecutionStatus::Success]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn allow_runs_both_at_the_same_time() {
    let scene = Scene::new(NEVER, CatchUp::Last, Overlap::Allow).await;
    scene.tick().await;
    scene.tick().await;
    for execution in started(&scene.engine.engine, scene.id).await {
        scene.runs(execution.id).await;
    }
    scene.go();
    scene.all_end_with(&[ExecutionStatus::Success, ExecutionStatus::Success]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_ticks_that_are_all_caught_up_wait_for_each_other() {
    let (cron, last) = hourly_but_not_now();
    let scene = Scene::new(&cron, CatchUp::All, Overlap::Skip).await;
    let due: Vec<_> = [2, 1, 0].map(|before| last - minutes(60 * before)).to_vec();
    scene.make_due(due[0]).await;
    until("the first is started", async || {
        (due_times(&scene.engine.engine, scene.id).await == due[..1]).then_some(())
    })
    .await;
    let id = started(&scene.engine.engine, scene.id).await[0].id;
    scene.runs(id).await;
    assert_eq!(scene.engine.engine.schedule(scene.id).await.unwrap().next_run, Some(due[1]), "it waits");
    scene.go();
    until("all have had their turn", async || {
        (due_times(&scene.engine.engine, scene.id).await.len() >= 3).then_some(())
    })
    .await;
    let runs = started(&scene.engine.engine, scene.id).await;
    assert_eq!(due_times(&scene.engine.engine, scene.id).await[..3], due);
    for run in &runs {
        assert_eq!(scene.engine.end(run.id).await.status, ExecutionStatus::Success);
    }
    let runs = started(&scene.engine.engine, scene.id).await;
    for pair in runs.windows(2) {
        assert!(pair[0].end_time.unwrap() <= pair[1].start_time.unwrap(), "one after the other");
    }
    assert_eq!(scene.reasons().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missed_while_paused_is_never_caught_up_and_what_waits_is_skipped() {
    let scene = Scene::new(NEVER, CatchUp::All, Overlap::Queue).await;
    let engine = &scene.engine.engine;
    let first = scene.tick().await;
    let second = scene.tick().await;
    let paused = engine.pause_schedule(scene.id).await.unwrap();
    assert!(paused.paused && paused.queued.is_none());
    assert_eq!(scene.reasons().await, [(second, "the schedule was paused while it waited".to_owned())]);
    assert!(engine.next_runs(&paused, 5).is_empty());
    scene.go();
    scene.all_end_with(&[ExecutionStatus::Success]).await;
    scene.make_due(this_minute() - minutes(90)).await;
    // By hand it runs all the same.
    let by_hand = engine.run_schedule(scene.id).await.unwrap().execution_id().unwrap();
    assert_eq!(scene.engine.end(by_hand).await.status, ExecutionStatus::Success);
    let resumed = engine.resume_schedule(scene.id).await.unwrap();
    assert!(!resumed.paused && resumed.next_run.unwrap() > Timestamp::now());
    assert_eq!(engine.resume_schedule(scene.id).await.unwrap().revision, resumed.revision);
    let third = scene.tick().await;
    let recorded: Vec<_> = outcomes(engine, scene.id).await.into_iter().filter(|it| !it.manual).collect();
    let times: Vec<_> = recorded.iter().map(|it| it.scheduled_time).collect();
    assert_eq!(times, [first, second, third]);
}
