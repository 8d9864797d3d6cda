use jiff::Timestamp;

use super::{at, local};
use crate::schedule::Timetable;
use crate::schedule::cron::CronExpression;

#[test]
fn expressions_mean_what_vixies_cron_means() {
    // From a Tuesday, the 3rd of March 2026.
    let check = |cron: &str, expected: &[&str]| {
        let found = local(cron, "UTC", "2026-03-03T10:20:30Z", expected.len());
        let found: Vec<_> = found.iter().map(|time| time.trim_end_matches(" +0000")).collect();
        assert_eq!(found, expected, "{cron}");
    };
    check("* * * * *", &["03-03 10:21", "03-03 10:22"]);
    check("20 10 * * *", &["03-04 10:20", "03-05 10:20"]);
    check("*/20 * * * *", &["03-03 10:40", "03-03 11:00", "03-03 11:20"]);
    check("5/20 10 * * *", &["03-03 10:25", "03-03 10:45", "03-04 10:05"]);
    check("10-50/20 9,17 * * *", &["03-03 17:10", "03-03 17:30", "03-03 17:50", "03-04 09:10"]);
    check("0 6 1 * *", &["04-01 06:00", "05-01 06:00"]);
    check("0 0 31 * *", &["03-31 00:00", "05-31 00:00", "07-31 00:00"]);
    check("0 0 * feb,MAR *", &["03-04 00:00", "03-05 00:00"]);
    check("0 9 * * mon-fri", &["03-04 09:00", "03-05 09:00", "03-06 09:00", "03-09 09:00"]);
    check("0 9 * * 0", &["03-08 09:00", "03-15 09:00"]);
    check("0 9 * * 7", &["03-08 09:00", "03-15 09:00"]);
    check("0 9 * * sat-sun", &["03-07 09:00", "03-08 09:00", "03-14 09:00"]);
    check("0 9 * * 5-7", &["03-06 09:00", "03-07 09:00", "03-08 09:00", "03-13 09:00"]);
    // Either of the two days is enough when both are named …
    check("0 0 13 * fri", &["03-06 00:00", "03-13 00:00", "03-20 00:00"]);
    // … and both have to be right when one of the fields begins with an asterisk.
    check("0 0 */2 * tue", &["03-17 00:00", "03-31 00:00", "04-07 00:00"]);
    check("0 0 1-7 * *", &["03-04 00:00", "03-05 00:00"]);
    check("@hourly", &["03-03 11:00", "03-03 12:00"]);
    check("@Daily", &["03-04 00:00"]);
    check("@midnight", &["03-04 00:00"]);
    check("@weekly", &["03-08 00:00"]);
    check("@monthly", &["04-01 00:00"]);
    check("@yearly", &["01-01 00:00"]);
    check("@annually", &["01-01 00:00"]);
    check("  0   12 * * *  ", &["03-03 12:00"]);
}

#[test]
fn seconds_stand_before_the_minute() {
    let timetable = Timetable::parse("*/15 30 10 * * *", "UTC").unwrap();
    let ticks: Vec<_> = timetable.upcoming(at("2026-03-03T10:30:14.5Z"), 4);
    let expected = ["03T10:30:15", "03T10:30:30", "03T10:30:45", "04T10:30:00"];
    assert_eq!(ticks, expected.map(|it| at(&format!("2026-03-{it}Z"))));
}

#[test]
fn the_rarest_day_is_found() {
    let next = |cron: &str, after: &str| Timetable::parse(cron, "UTC").unwrap().next(at(after));
    assert_eq!(next("0 0 29 2 *", "2026-03-01T00:00:00Z"), Some(at("2028-02-29T00:00:00Z")));
    assert_eq!(next("0 0 29 2 *", "2096-03-01T00:00:00Z"), Some(at("2104-02-29T00:00:00Z")));
    // On a weekend: a Sunday in 2088, then a Saturday in 2116; 2100 has no such day.
    assert_eq!(next("0 0 29 2 */6", "2088-03-01T00:00:00Z"), Some(at("2116-02-29T00:00:00Z")));
    assert_eq!(next("0 0 1 1 *", "9999-06-01T00:00:00Z"), None);
    assert_eq!(next("* * * * *", "-009999-06-01T00:00:30.5Z"), Some(at("-009999-06-01T00:01:00Z")));
}

#[test]
fn what_is_wrong_is_told_with_its_field_and_what_would_be_right() {
    let check = |cron: &str, expected: &str| {
        let fault = cron.parse::<CronExpression>().unwrap_err().to_string();
        assert!(fault.starts_with(expected), "{cron}: {fault}");
    };
    check("61 * * * *", "minute: 61 is not from 0 to 59");
    check("* 24 * * *", "hour: 24 is not from 0 to 23");
    check("* * 0 * *", "day of month: 0 is not from 1 to 31");
    check("* * * 13 *", "month: 13 is not from 1 to 12");
    check("* * * * 8", "day of week: 8 is not from 0 to 7");
    check("60 * * * * *", "second: 60 is not from 0 to 59");
    check("99999999999999999999 * * * *", "minute: 99999999999999999999 is not from 0 to 59");
    check("-1 * * * *", "minute: `` is no number from 0 to 59: a number is missing");
    check("+1 * * * *", "minute: `+1` is no number from 0 to 59");
    check("* * * foo *", "month: `foo` is no number from 1 to 12 and no name from jan to dec");
    check("* * * * funday", "day of week: `funday` is no number from 0 to 7 and no name from sun to sat");
    check("* * ? * *", "day of month: `?` is no number from 1 to 31: write *");
    check("0 0 L * *", "day of month: `L` is no number from 1 to 31: L, W and # are not known here");
    check("*/0 * * * *", "minute: the step 0 is not from 1 to 59");
    check("*/90 * * * *", "minute: the step 90 is not from 1 to 59");
    check("*/x * * * *", "minute: the step `x` is not from 1 to 59");
    check("1,,2 * * * *", "minute: a comma has nothing on one side of it");
    check("* 22-4 * * *", "hour: `22-4` goes backwards: write 22-23,0-4");
    check("* * * * fri-mon", "day of week: `fri-mon` goes backwards: write fri-6,0-mon");
    check("*5 * * * *", "minute: `*5` is no number from 0 to 59");
    check("", "an expression has five fields (minute, hour, day of month, month, day of week), or six");
    check("* * * *", "an expression has five fields");
    check("* * * * * * *", "an expression has five fields");
    check("every day", "an expression has five fields");
    check("@reboot", "`@reboot` is not known; known are: @yearly, @annually, @monthly");
    check("0 0 30 2 *", "day of month: it would never fire, because no month of it has more than 29 days");
    check(
        "0 0 31 2,4,jun *",
        "day of month: it would never fire, because no month of it has more than 30 days",
    );
    check(&"*".repeat(1001), "an expression has at most 1000 characters");
}

#[test]
fn a_day_that_never_comes_is_allowed_beside_one_of_the_week() {
    assert_eq!(local("0 0 30 2 mon", "UTC", "2026-01-01T00:00:00Z", 1), ["02-02 00:00 +0000"]);
}

#[test]
fn zones_have_the_names_of_the_iana_database() {
    let zone = |name: &str| Timetable::parse("* * * * *", name).map(|it| it.time_zone().to_owned());
    assert_eq!(zone("europe/berlin").unwrap(), "Europe/Berlin");
    assert_eq!(zone("UTC").unwrap(), "UTC");
    for wrong in ["Europe/Bonn", "", "CEST+1", "+01:00", "../../etc/passwd", "Europe/Berlin\n"] {
        let error = zone(wrong).unwrap_err();
        assert_eq!(error.fields()[0].field, "time_zone", "{wrong}");
        assert!(error.message().contains("take a name such as `UTC`"), "{error}");
    }
    let error = Timetable::parse("61 * * * *", "UTC").unwrap_err();
    assert_eq!(error.message(), "`cron`: minute: 61 is not from 0 to 59");
    assert_eq!(
        (error.fields()[0].field.as_str(), error.fields()[0].message.as_str()),
        ("cron", "minute: 61 is not from 0 to 59")
    );
}

/// Minute by minute, by the definition, against what jumps from tick to tick.
#[test]
fn a_search_that_jumps_finds_what_one_that_walks_finds() {
    for (cron, zone) in [
        ("*/7 1-3 * * *", "Europe/Berlin"),
        ("13 */2 * * sun", "America/New_York"),
        ("30 * * 3,10 *", "Australia/Lord_Howe"),
        ("0,45 2 28-31 * *", "Europe/Berlin"),
        ("5 0 * * *", "Asia/Beirut"),
    ] {
        let timetable = Timetable::parse(cron, zone).unwrap();
        for (from, until) in [
            ("2026-03-27T00:00:00Z", "2026-04-08T00:00:00Z"),
            ("2026-09-30T00:00:00Z", "2026-11-03T00:00:00Z"),
        ] {
            let (from, until) = (at(from), at(until));
            let walked: Vec<Timestamp> = walk(cron, zone, from, until);
            let jumped: Vec<_> = std::iter::successors(timetable.next(from), |tick| timetable.next(*tick))
                .take_while(|tick| *tick <= until)
                .collect();
            assert_eq!(jumped, walked, "{cron} {zone}");
            // These count a tick at the begin, too.
            let from = from + jiff::SignedDuration::from_nanos(1);
            assert_eq!(timetable.latest(from, until), walked.last().copied());
            assert_eq!(timetable.count(from, until, 10_000), walked.len());
            let few = walked.len().min(3);
            assert_eq!(timetable.last_few(from, until, few), Some(walked[walked.len() - few]));
            assert_eq!(timetable.last_few(from, until, 10_000), walked.first().copied());
        }
    }
}

/// The ticks after `from` up to `until`: an hourly expression by the clock on the wall, another by its local times, of which
/// each comes once.
fn walk(cron: &str, zone: &str, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
    use jiff::{ToSpan, tz::TimeZone};
    let expression: CronExpression = cron.parse().unwrap();
    let zone = TimeZone::get(zone).unwrap();
    let fits = |time: jiff::civil::DateTime| expression.at_or_after(time, time) == Some(time);
    let mut ticks = std::collections::BTreeSet::new();
    let mut time = zone.to_datetime(from - 48.hours()).with().second(0).subsec_nanosecond(0).build().unwrap();
    if expression.is_hourly() {
        let mut instant = from - 48.hours();
        while instant <= until {
            if fits(zone.to_datetime(instant)) {
                ticks.insert(instant);
            }
            instant += 1.minute();
        }
    }
    while !expression.is_hourly() && time <= zone.to_datetime(until) {
        if fits(time) {
            // `compatible`: in a gap the time later, in a fold the earlier of the two.
            ticks.insert(zone.to_ambiguous_timestamp(time).compatible().unwrap());
        }
        time += 1.minute();
    }
    ticks.into_iter().filter(|tick| *tick > from && *tick <= until).collect()
}
