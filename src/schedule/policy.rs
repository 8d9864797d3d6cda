//! What becomes of a tick that comes late, and of one that comes while an earlier run goes on.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::timetable::Timetable;
use crate::error::Error;

/// How many missed ticks are caught up at most; older ones are skipped.
pub const MOST_CAUGHT_UP: usize = 1000;
/// How far skipped ticks are counted.
pub const MOST_COUNTED: usize = 1000;
/// How late a tick may come and still count as on time, when nothing else is said.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(60);

macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $what:literal: $($(#[$variant_meta:meta])* $variant:ident => $word:literal,)*) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "lowercase", try_from = "String")]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)*
        }

        impl $name {
            /// The word used in JSON, in the database and on the command line.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => {
                        let shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
                        let known = [$($word),*].join(", ");
                        Err(Error::bad_input(format!("`{shown}` is no {}; known are: {known}", $what)))
                    }
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                text.parse()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What becomes of ticks that were missed because no server ran.
    #[derive(Default)]
    CatchUp, "catch-up policy":
    /// They are skipped.
    None => "none",
    /// The latest of them runs, the others are skipped.
    #[default]
    Last => "last",
    /// Each runs, in order, but at most [`MOST_CAUGHT_UP`].
    All => "all",
}

words! {
    /// What becomes of a tick while an earlier run of the same schedule has not ended.
    #[derive(Default)]
    Overlap, "overlap policy":
    /// It is skipped.
    #[default]
    Skip => "skip",
    /// It waits for the earlier run; of several that come meanwhile, the first.
    Queue => "queue",
    /// The earlier run is cancelled, then it runs; of several that come meanwhile, the last.
    Cancel => "cancel",
    /// It runs beside the earlier one.
    Allow => "allow",
}

/// Ticks that are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// The first of them.
    pub first: Timestamp,
    /// The last.
    pub last: Timestamp,
    /// How many they are, counted up to [`MOST_COUNTED`].
    pub count: usize,
}

/// A tick whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// When it was due.
    pub time: Timestamp,
    /// Whether it comes later than its grace.
    pub is_late: bool,
}

/// What is next for a schedule whose tick is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// What was missed and is not caught up.
    pub missed: Option<Missed>,
    /// Whose turn it is.
    pub tick: Option<Tick>,
    /// The tick after all these.
    pub next_run: Option<Timestamp>,
}

/// Whose turn it is when the tick `due` was next and it is `now`.
pub fn turn(
    timetable: &Timetable,
    due: Timestamp,
    now: Timestamp,
    catch_up: CatchUp,
    grace: Duration,
) -> Turn {
    let grace = SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX);
    let is_late = |tick: Timestamp| tick.duration_until(now) > grace;
    let run = |time: Timestamp| Turn {
        missed: None,
        tick: Some(Tick { time, is_late: is_late(time) }),
        next_run: timetable.next(time),
    };
    if !is_late(due) {
        return run(due);
    }
    let first_taken = match catch_up {
        // Those that are on time have a turn of their own.
        CatchUp::None => {
            let on_time = now - grace - SignedDuration::from_nanos(1);
            return Turn {
                missed: missed(timetable, due, on_time),
                tick: None,
                next_run: timetable.next(on_time),
            };
        }
        CatchUp::Last => timetable.latest(due, now),
        CatchUp::All => timetable.last_few(due, now, MOST_CAUGHT_UP),
    };
    // The expression may have been another when `due` was found.
    let first_taken = first_taken.unwrap_or(due);
    let before = first_taken - SignedDuration::from_nanos(1);
    Turn { missed: missed(timetable, due, before), ..run(first_taken) }
}

fn missed(timetable: &Timetable, first: Timestamp, until: Timestamp) -> Option<Missed> {
    if first > until {
        return None;
    }
    let last = timetable.latest(first, until).unwrap_or(first);
    Some(Missed { first, last, count: timetable.count(first, last, MOST_COUNTED).max(1) })
}

/// How a schedule stands when a tick's turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether an earlier run has not ended.
    pub runs: bool,
    /// Whether an earlier tick waits for such a run.
    pub waits: bool,
}

/// What becomes of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It runs now.
    Start,
    /// It is skipped, and why.
    Skip(&'static str),
    /// It waits for the earlier run.
    Queue,
    /// It waits in the place of the tick that waited, and the earlier run is cancelled.
    CancelAndQueue,
    /// Its turn comes again when the earlier run has ended.
    Wait,
}

/// Why a tick of [`Overlap::Skip`] is skipped.
pub const EARLIER_RUNS: &str = "the run before it had not ended";
/// Why a tick of [`Overlap::Queue`] is skipped.
pub const ANOTHER_WAITS: &str = "another tick waited already for the run before it to end";
/// Why a tick of [`Overlap::Cancel`] that waited is skipped.
pub const LATER_CAME: &str = "a later tick came before the cancelled run had ended";
/// Why a missed tick is skipped.
pub const MISSED: &str = "no server ran when it was due";
/// Why a tick that waited is skipped.
pub const PAUSED: &str = "the schedule was paused while it waited";

/// What becomes of a tick whose turn it is. Missed ticks that are all caught up wait for each other and never cancel or
/// skip one another; the latest of the missed ones, caught up alone, waits for a run that goes on.
pub fn decide(tick: Tick, catch_up: CatchUp, overlap: Overlap, standing: Standing) -> Decision {
    let is_free = !standing.runs && !standing.waits;
    match (overlap, tick.is_late, catch_up) {
        (Overlap::Allow, ..) => Decision::Start,
        _ if is_free => Decision::Start,
        (_, true, CatchUp::All) => Decision::Wait,
        (Overlap::Skip, false, _) => Decision::Skip(EARLIER_RUNS),
        (Overlap::Cancel, false, _) => Decision::CancelAndQueue,
        (Overlap::Queue, ..) | (_, true, _) if standing.waits => Decision::Skip(ANOTHER_WAITS),
        (Overlap::Queue, ..) | (_, true, _) => Decision::Queue,
    }
}
