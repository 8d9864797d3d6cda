//! What is documented in `docs/schedules.md` about clocks that are put forward and back.

use super::{at, local};
use crate::schedule::Timetable;

fn check(cron: &str, zone: &str, after: &str, expected: &[&str]) {
    assert_eq!(local(cron, zone, after, expected.len()), expected, "{cron} in {zone}");
}

/// 2026-03-29, 02:00 becomes 03:00.
#[test]
fn in_berlin_a_time_that_is_skipped_comes_an_hour_later() {
    let check =
        |cron: &str, expected: &[&str]| check(cron, "Europe/Berlin", "2026-03-28T22:30:00Z", expected);
    check("30 2 * * *", &["03-29 03:30 +0200", "03-30 02:30 +0200"]);
    check("0 2 * * *", &["03-29 03:00 +0200", "03-30 02:00 +0200"]);
    check("0 3 * * *", &["03-29 03:00 +0200", "03-30 03:00 +0200"]);
    check("59 1 * * *", &["03-29 01:59 +0100", "03-30 01:59 +0200"]);
    // Two jobs keep their distance, and what falls on one moment is one tick.
    check("0,30 2 * * *", &["03-29 03:00 +0200", "03-29 03:30 +0200", "03-30 02:00 +0200"]);
    check("30 2,3 * * *", &["03-29 03:30 +0200", "03-30 02:30 +0200", "03-30 03:30 +0200"]);
    check("0 */2 * * *", &["03-29 00:00 +0100", "03-29 03:00 +0200", "03-29 04:00 +0200"]);
    // Only on that Sunday.
    check("30 2 29 3 *", &["03-29 03:30 +0200", "03-29 02:30 +0200"]);
}

/// 2026-10-25, 03:00 becomes 02:00.
#[test]
fn in_berlin_a_time_that_comes_twice_counts_once() {
    let check =
        |cron: &str, expected: &[&str]| check(cron, "Europe/Berlin", "2026-10-24T21:30:00Z", expected);
    check("30 2 * * *", &["10-25 02:30 +0200", "10-26 02:30 +0100"]);
    check("0 2 * * *", &["10-25 02:00 +0200", "10-26 02:00 +0100"]);
    check("0 3 * * *", &["10-25 03:00 +0100", "10-26 03:00 +0100"]);
    check("0 */2 * * *", &["10-25 00:00 +0200", "10-25 02:00 +0200", "10-25 04:00 +0100"]);
}

#[test]
fn in_berlin_an_hourly_expression_loses_and_doubles_no_hour() {
    let check = |cron: &str, after: &str, expected: &[&str]| check(cron, "Europe/Berlin", after, expected);
    check(
        "0 * * * *",
        "2026-03-28T23:30:00Z",
        &["03-29 01:00 +0100", "03-29 03:00 +0200", "03-29 04:00 +0200"],
    );
    check(
        "30 * * * *",
        "2026-10-24T23:45:00Z",
        &["10-25 02:30 +0200", "10-25 02:30 +0100", "10-25 03:30 +0100"],
    );
    for after in ["2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z"] {
        let ticks = Timetable::parse("*/10 * * * *", "Europe/Berlin").unwrap().upcoming(at(after), 288);
        assert!(ticks.windows(2).all(|pair| pair[0].duration_until(pair[1]).as_mins() == 10));
    }
}

/// 2026-03-08, 02:00 becomes 03:00; 2026-11-01, 02:00 becomes 01:00.
#[test]
fn in_new_york_it_is_the_same() {
    let check = |cron: &str, after: &str, expected: &[&str]| check(cron, "America/New_York", after, expected);
    check("15 2 * * *", "2026-03-08T01:00:00Z", &["03-08 03:15 -0400", "03-09 02:15 -0400"]);
    check("15 1 * * *", "2026-10-31T12:00:00Z", &["11-01 01:15 -0400", "11-02 01:15 -0500"]);
    check("0 1,2 * * *", "2026-10-31T12:00:00Z", &["11-01 01:00 -0400", "11-01 02:00 -0500"]);
}

/// 2026-10-04, 02:00 becomes 02:30; 2026-04-05, 02:00 becomes 01:30.
#[test]
fn on_lord_howe_the_clock_goes_by_half_an_hour() {
    let check =
        |cron: &str, after: &str, expected: &[&str]| check(cron, "Australia/Lord_Howe", after, expected);
    check("0 2 * * *", "2026-10-03T12:00:00Z", &["10-04 02:30 +1100", "10-05 02:00 +1100"]);
    check(
        "15,30 2 * * *",
        "2026-10-03T12:00:00Z",
        &["10-04 02:30 +1100", "10-04 02:45 +1100", "10-05 02:15 +1100"],
    );
    check("45 1 * * *", "2026-04-04T12:00:00Z", &["04-05 01:45 +1100", "04-06 01:45 +1030"]);
    check("15 1 * * *", "2026-04-04T12:00:00Z", &["04-05 01:15 +1100", "04-06 01:15 +1030"]);
    // By the clock on the wall: at each moment that shows a full hour.
    check("0 * * * *", "2026-10-03T14:00:00Z", &["10-04 01:00 +1030", "10-04 03:00 +1100"]);
    check(
        "45 * * * *",
        "2026-04-04T14:00:00Z",
        &["04-05 01:45 +1100", "04-05 01:45 +1030", "04-05 02:45 +1030"],
    );
}

#[test]
fn where_midnight_is_skipped_the_day_begins_an_hour_later() {
    let sao_paulo =
        |cron: &str, expected: &[&str]| check(cron, "America/Sao_Paulo", "2018-11-03T12:00:00Z", expected);
    sao_paulo("@daily", &["11-04 01:00 -0200", "11-05 00:00 -0200"]);
    sao_paulo("20 0 * * *", &["11-04 01:20 -0200", "11-05 00:20 -0200"]);
    sao_paulo("0 0 4 11 *", &["11-04 01:00 -0200", "11-04 00:00 -0300"]);
    // And where it comes twice, the day has one.
    check(
        "59 23 * * *",
        "America/Sao_Paulo",
        "2018-02-17T12:00:00Z",
        &["02-17 23:59 -0200", "02-18 23:59 -0300"],
    );
    check("@daily", "Asia/Beirut", "2026-03-28T12:00:00Z", &["03-29 01:00 +0300", "03-30 00:00 +0300"]);
}

/// Samoa had no 30th of December in 2011.
#[test]
fn a_day_that_is_skipped_comes_with_the_next() {
    check("0 9 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", &["12-31 09:00 +1400", "12-30 09:00 +1400"]);
    check(
        "0 9 * * *",
        "Pacific/Apia",
        "2011-12-29T00:00:00Z",
        &["12-29 09:00 -1000", "12-31 09:00 +1400", "01-01 09:00 +1400"],
    );
}
