//! Many servers, one of each tick.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};

use bindery::db::{ClaimLimits, Database, Finish};
use bindery::execution::ExecutionStatus;
use bindery::schedule::{CatchUp, Overlap, TickOutcome};
use jiff::{SignedDuration, Timestamp};

use super::{
    Firing, Site, create, due_times, hourly_but_not_now, minutes, new, outcomes, started, this_minute,
};
use crate::support::engine::until;

/// A `bindery serve` that executes nothing; killed with its end.
struct Server(Child);

impl Server {
    fn start(site: &Site, name: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bindery"));
        let data_dir = site.data_dir(name);
        command.args(["serve", "--no-worker", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data_dir);
        command.env("BINDERY_DATABASE_URL", &site.url).env("BINDERY_NOTEBOOKS_ROOT", site.root());
        command.current_dir(&data_dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_fire_each_of_fifty_ticks_once_though_one_is_killed() {
    // On both databases at the same time: it takes fifty seconds.
    let sites = Site::all().await.into_iter().map(each_of_fifty_fires_once);
    futures::future::join_all(sites).await;
}

async fn each_of_fifty_fires_once(site: Site) {
    let engine = site.engine("looker").await;
    let one = Server::start(&site, "one");
    let _two = Server::start(&site, "two");
    let id = create(&engine, new("* * * * * *", CatchUp::None, Overlap::Allow)).await.id;
    let wait_for = async |count: usize| {
        let begin = std::time::Instant::now();
        while due_times(&engine, id).await.len() < count {
            assert!(begin.elapsed().as_secs() < 90, "{:?}", due_times(&engine, id).await);
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    wait_for(20).await;
    // With SIGKILL, wherever it is.
    drop(one);
    wait_for(50).await;
    engine.pause_schedule(id).await.unwrap();

    let due = due_times(&engine, id).await;
    assert!(due.len() >= 50, "{}", due.len());
    for pair in due.windows(2) {
        assert_eq!(pair[0].duration_until(pair[1]), SignedDuration::from_secs(1), "none lost, none twice");
    }
    let recorded = outcomes(&engine, id).await;
    assert!(recorded.iter().all(|it| it.outcome == TickOutcome::Started && it.ticks == 1));
    assert_eq!(recorded.iter().map(|it| it.scheduled_time).collect::<Vec<_>>(), due);
    let executions: Vec<_> = started(&engine, id).await.iter().map(|it| it.id).collect();
    assert_eq!(recorded.iter().filter_map(|it| it.run?.execution_id()).collect::<Vec<_>>(), executions);
    let outputs: BTreeSet<_> =
        started(&engine, id).await.into_iter().map(|it| it.request.output_path).collect();
    assert_eq!(outputs.len(), due.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn four_that_look_at_the_same_moment_catch_up_each_tick_once() {
    for site in Site::all().await {
        let engine = site.engine("looker").await;
        let id = create(&engine, new("* * * * *", CatchUp::All, Overlap::Allow)).await.id;
        let first = this_minute() - minutes(60);
        site.make_due(id, first).await;
        let mut firing = Vec::new();
        for name in ["one", "two", "three", "four"] {
            firing.push(Firing::start(&site.engine(name).await));
        }
        until("all are there", async || {
            let next = engine.schedule(id).await.unwrap().next_run.unwrap();
            (next > Timestamp::now()).then_some(())
        })
        .await;
        let due = due_times(&engine, id).await;
        let expected: Vec<_> = (0..due.len()).map(|it| first + minutes(it as i64)).collect();
        assert!(due.len() >= 60, "{}", due.len());
        assert_eq!(due, expected);
        assert_eq!(engine.schedule(id).await.unwrap().skipped, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_outlives_its_servers_and_what_was_missed_goes_by_the_policy() {
    for site in Site::all().await {
        let engine = site.engine("looker").await;
        let (cron, hour) = hourly_but_not_now();
        let hours = |count: i64| SignedDuration::from_hours(count);
        for (catch_up, expected_late) in [
            (CatchUp::None, vec![]),
            (CatchUp::Last, vec![hour]),
            (CatchUp::All, vec![hour - hours(2), hour - hours(1), hour]),
        ] {
            let mut new = new(&cron, catch_up, Overlap::Allow);
            new.name = format!("{catch_up}");
            let id = create(&engine, new).await.id;
            site.make_due(id, hour - hours(2)).await;
            // A server that begins after all that.
            let server = site.engine("later").await;
            let firing = Firing::start(&server);
            until("it has gone on", async || {
                let next = engine.schedule(id).await.unwrap().next_run.unwrap();
                (next > hour).then_some(())
            })
            .await;
            drop(firing);
            assert_eq!(due_times(&engine, id).await, expected_late, "{catch_up}");
            let skipped = 3 - expected_late.len() as u64;
            assert_eq!(engine.schedule(id).await.unwrap().skipped, skipped, "{catch_up}");
            let recorded = outcomes(&engine, id).await;
            let told: u64 =
                recorded.iter().filter(|it| it.outcome == TickOutcome::Skipped).map(|it| it.ticks).sum();
            assert_eq!(told, skipped, "{catch_up}: {recorded:?}");
            assert!(recorded.iter().all(|it| it.outcome == TickOutcome::Started
                || it.reason.as_deref() == Some("no server ran when it was due")));
            engine.delete_schedule(id).await.unwrap();
            assert!(engine.schedule(id).await.is_err());
            // What it had started stays.
            assert_eq!(started(&engine, id).await.len(), expected_late.len());
            assert!(started(&engine, id).await.iter().all(|it| it.status == ExecutionStatus::Pending));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_begins_goes_by_the_rules_of_time_zones_as_they_are_now() {
    for site in Site::all().await {
        let engine = site.engine("looker").await;
        let schedule = create(&engine, new("0 3 * * *", CatchUp::Last, Overlap::Skip)).await;
        let right = schedule.next_run.unwrap();
        // As it was found by rules that have changed.
        site.make_due(schedule.id, right + SignedDuration::from_hours(1)).await;
        let _firing = Firing::start(&site.engine("later").await);
        until("the next run is right again", async || {
            (engine.schedule(schedule.id).await.unwrap().next_run == Some(right)).then_some(())
        })
        .await;
        assert!(started(&engine, schedule.id).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_tick_waits_for_a_cancelled_run_that_takes_its_time_though_servers_die() {
    for site in Site::all().await {
        let engine = site.engine("looker").await;
        let id = create(&engine, new("0 0 1 1 *", CatchUp::Last, Overlap::Cancel)).await.id;
        // All within their grace.
        let first = Timestamp::from_second(Timestamp::now().as_second() - 10).unwrap();
        let tick = |number: i64| first + SignedDuration::from_secs(number);
        let queued = async |at: Timestamp| {
            until("the tick waits", async || {
                (engine.schedule(id).await.unwrap().queued == Some(at)).then_some(())
            })
            .await;
        };
        let firing = Firing::start(&site.engine("one").await);
        site.make_due(id, tick(0)).await;
        let run = until("it is started", async || started(&engine, id).await.pop()).await;
        let database = Database::open(&site.url).await.unwrap();
        let lease = std::time::Duration::from_secs(3600);
        let lease = database.claim_execution("worker", lease, ClaimLimits::default(), Timestamp::now()).await;
        let lease = lease.unwrap().unwrap();
        assert_eq!(lease.id, run.id);
        site.make_due(id, tick(1)).await;
        queued(tick(1)).await;
        until("the run is asked to stop", async || {
            engine.execution(run.id).await.unwrap().cancel_requested.then_some(())
        })
        .await;
        drop(firing);
        let firing = Firing::start(&site.engine("two").await);
        site.make_due(id, tick(2)).await;
        queued(tick(2)).await;
        assert_eq!(due_times(&engine, id).await, [tick(0)]);
        drop(firing);
        let _firing = Firing::start(&site.engine("three").await);
        let finish = Finish::new(ExecutionStatus::Cancelled, None);
        assert!(database.finish_execution(&lease, &finish, Timestamp::now()).await.unwrap());
        until("the last tick is started", async || {
            (due_times(&engine, id).await == [tick(0), tick(2)]).then_some(())
        })
        .await;
        let recorded = outcomes(&engine, id).await;
        let skipped: Vec<_> = recorded.iter().filter(|it| it.outcome == TickOutcome::Skipped).collect();
        assert_eq!(skipped.len(), 1);
        assert_eq!(skipped[0].scheduled_time, tick(1));
        let told = "a later tick came before the cancelled run had ended";
        assert_eq!(skipped[0].reason.as_deref(), Some(told));
    }
}
