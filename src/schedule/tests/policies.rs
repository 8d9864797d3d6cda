use std::time::Duration;

use super::at;
use crate::schedule::policy::{
    ANOTHER_WAITS, Decision, EARLIER_RUNS, MOST_CAUGHT_UP, MOST_COUNTED, Missed, Standing, Tick, Turn,
    decide, turn,
};
use crate::schedule::{CatchUp, Overlap, Timetable};

const GRACE: Duration = Duration::from_secs(60);

fn on(cron: &str, due: &str, now: &str, catch_up: CatchUp) -> Turn {
    turn(&Timetable::parse(cron, "UTC").unwrap(), at(due), at(now), catch_up, GRACE)
}

#[test]
fn a_tick_within_its_grace_is_on_time_whatever_the_policy() {
    for catch_up in [CatchUp::None, CatchUp::Last, CatchUp::All] {
        let turn = on("0 * * * *", "2026-03-03T10:00:00Z", "2026-03-03T10:01:00Z", catch_up);
        let tick = Some(Tick { time: at("2026-03-03T10:00:00Z"), is_late: false });
        assert_eq!(turn, Turn { missed: None, tick, next_run: Some(at("2026-03-03T11:00:00Z")) });
    }
}

#[test]
fn missed_ticks_are_skipped_but_the_last_or_all_run() {
    // Ten were due; the last was due a quarter of an hour ago.
    let check = |catch_up, missed: Option<(&str, usize)>, tick: Option<&str>, next: &str| {
        let turn = on("0 * * * *", "2026-03-03T01:00:00Z", "2026-03-03T10:15:00Z", catch_up);
        let hour = |hour: &str| at(&format!("2026-03-03T{hour}:00:00Z"));
        assert_eq!(
            turn.missed.map(|it| (it.first, it.last, it.count)),
            missed.map(|(last, count)| (hour("01"), hour(last), count))
        );
        assert_eq!(turn.tick, tick.map(|it| Tick { time: hour(it), is_late: true }), "{catch_up}");
        assert_eq!(turn.next_run, Some(hour(next)), "{catch_up}");
    };
    check(CatchUp::None, Some(("10", 10)), None, "11");
    check(CatchUp::Last, Some(("09", 9)), Some("10"), "11");
    check(CatchUp::All, None, Some("01"), "02");
}

#[test]
fn of_missed_ticks_the_one_that_is_on_time_still_runs() {
    // Every minute, away for ten: the last is 30 s old.
    let turn = on("* * * * *", "2026-03-03T10:00:00Z", "2026-03-03T10:10:30Z", CatchUp::None);
    let missed = Missed { first: at("2026-03-03T10:00:00Z"), last: at("2026-03-03T10:09:00Z"), count: 10 };
    assert_eq!(turn, Turn { missed: Some(missed), tick: None, next_run: Some(at("2026-03-03T10:10:00Z")) });
    let turn = on("* * * * *", "2026-03-03T10:00:00Z", "2026-03-03T10:10:30Z", CatchUp::Last);
    assert_eq!(turn.tick, Some(Tick { time: at("2026-03-03T10:10:00Z"), is_late: false }));
}

#[test]
fn what_is_caught_up_and_what_is_counted_is_bounded() {
    let due = "2026-01-01T00:00:00Z";
    let now = "2026-06-01T00:00:00Z";
    let all = on("* * * * *", due, now, CatchUp::All);
    let first = at(now) - jiff::SignedDuration::from_mins(MOST_CAUGHT_UP as i64 - 1);
    assert_eq!(all.tick, Some(Tick { time: first, is_late: true }));
    assert_eq!(all.missed.unwrap().count, MOST_COUNTED);
    assert_eq!(all.missed.unwrap().last, first - jiff::SignedDuration::from_mins(1));
    let last = on("* * * * * *", due, now, CatchUp::Last);
    assert_eq!(last.tick, Some(Tick { time: at(now), is_late: false }));
    assert_eq!(last.missed.unwrap().count, MOST_COUNTED);
}

#[test]
fn an_expression_that_was_changed_runs_what_was_due() {
    // Nothing of the new expression lies between.
    let turn = on("0 0 1 1 *", "2026-03-03T10:00:00Z", "2026-03-03T12:00:00Z", CatchUp::Last);
    assert_eq!(turn.tick.unwrap().time, at("2026-03-03T10:00:00Z"));
    assert_eq!(turn.next_run, Some(at("2027-01-01T00:00:00Z")));
}

#[test]
fn the_overlap_policy_decides_about_ticks_that_are_on_time() {
    const FREE: Standing = Standing { runs: false, waits: false };
    const RUNS: Standing = Standing { runs: true, waits: false };
    const WAITS: Standing = Standing { runs: true, waits: true };
    let check = |overlap, standing, is_late, catch_up, expected| {
        let tick = Tick { time: at("2026-03-03T10:00:00Z"), is_late };
        let decision = decide(tick, catch_up, overlap, standing);
        assert_eq!(decision, expected, "{overlap} {standing:?} late {is_late} {catch_up}");
    };
    for catch_up in [CatchUp::None, CatchUp::Last, CatchUp::All] {
        for overlap in [Overlap::Skip, Overlap::Queue, Overlap::Cancel, Overlap::Allow] {
            check(overlap, FREE, false, catch_up, Decision::Start);
            check(overlap, FREE, true, catch_up, Decision::Start);
        }
        check(Overlap::Skip, RUNS, false, catch_up, Decision::Skip(EARLIER_RUNS));
        check(Overlap::Queue, RUNS, false, catch_up, Decision::Queue);
        check(Overlap::Queue, WAITS, false, catch_up, Decision::Skip(ANOTHER_WAITS));
        check(Overlap::Cancel, RUNS, false, catch_up, Decision::CancelAndQueue);
        check(Overlap::Cancel, WAITS, false, catch_up, Decision::CancelAndQueue);
        check(Overlap::Allow, WAITS, false, catch_up, Decision::Start);
    }
    // What is late: all of them wait for each other, the last one waits for what runs.
    for overlap in [Overlap::Skip, Overlap::Queue, Overlap::Cancel] {
        check(overlap, RUNS, true, CatchUp::All, Decision::Wait);
        check(overlap, WAITS, true, CatchUp::All, Decision::Wait);
        check(overlap, RUNS, true, CatchUp::Last, Decision::Queue);
        check(overlap, WAITS, true, CatchUp::Last, Decision::Skip(ANOTHER_WAITS));
    }
    check(Overlap::Allow, RUNS, true, CatchUp::All, Decision::Start);
    check(Overlap::Allow, RUNS, true, CatchUp::Last, Decision::Start);
}

#[test]
fn policies_have_words() {
    for word in ["none", "last", "all"] {
        assert_eq!(word.parse::<CatchUp>().unwrap().to_string(), word);
    }
    for word in ["skip", "queue", "cancel", "allow"] {
        assert_eq!(word.parse::<Overlap>().unwrap().to_string(), word);
    }
    let error = "sometimes".parse::<CatchUp>().unwrap_err();
    assert_eq!(error.message(), "`sometimes` is no catch-up policy; known are: none, last, all");
}

#[test]
fn names_are_plain_and_no_numbers() {
    use crate::schedule::check_name;
    for name in ["nightly", "Umsätze täglich", "a.b-c_d", "2026 report", &"x".repeat(100)] {
        assert!(check_name(name).is_ok(), "{name}");
    }
    for name in ["", " a", "a ", "17", "a/b", "a\nb", "a\"b", &"x".repeat(101)] {
        assert_eq!(check_name(name).unwrap_err().fields()[0].field, "name", "{name:?}");
    }
}
