//! What has become of a cell whose kernel nobody listened to for a while: its connection broke, or its worker died and
//! another goes on with it.
//!
//! No cell is sent a second time unless it is known that it never began, and none is taken for done unless it is known
//! how it ended.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::messages::strings;
use super::recording::Recording;
use crate::execution::CellError;
use crate::kernel::remote::CaughtUp;
use crate::notebook::Cell;

/// How long what was sent meanwhile is waited for before a time limit that has passed meanwhile counts.
pub(super) const CATCH_UP: Duration = Duration::from_secs(15);

/// Where a run is begun or gone on with.
#[derive(Debug, Default)]
pub(super) struct Position {
    /// The first cell that is not done.
    pub(super) cell: usize,
    /// What is known of it, when it may have been sent.
    pub(super) in_flight: Option<InFlight>,
    /// Why there is nothing left to do: a cell before it has failed.
    pub(super) failed: Option<CellError>,
}

/// A cell that another process has begun.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) started: Instant,
    pub(super) seen: Seen,
}

/// What was seen of a cell's request.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Whether anything was.
    pub(super) began: bool,
    /// Its reply: with the exception, if it raised one.
    pub(super) reply: Option<Option<CellError>>,
    /// Whether all that it puts out has come.
    pub(super) idle: bool,
}

/// What has become of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fate {
    /// What is known is enough, or more is still to come.
    AsItIs,
    /// It has ended, though not all that says so has come.
    Ended { raised: Option<CellError>, warning: String },
    /// The kernel never had it.
    NeverBegan,
    /// It cannot be told.
    Unknown(CellError),
}

/// The same, recorded.
pub(super) fn caught_up_with(
    recording: &mut Recording,
    caught_up: &CaughtUp,
    request: &str,
    seen: &Seen,
    was_idle: bool,
    cell: usize,
) -> Fate {
    // Of an earlier cell no more is to be found out than that.
    if caught_up.request.as_deref() != Some(request)
        && let Some(count @ 1..) = caught_up.lost
    {
        recording.warn(format!("{count} messages of the kernel were lost on the way, before cell {cell}"));
    }
    let fate = fate(caught_up, request, seen, was_idle, recording.cells(), cell);
    if let Fate::Ended { raised, warning } = &fate {
        recording.replied(cell, raised);
        recording.warn(warning.clone());
    }
    fate
}

/// What has become of a cell, when all that its kernel had to say has come. `was_idle`: it was seen to be done before
/// the connection broke.
pub(super) fn fate(
    caught_up: &CaughtUp,
    request: &str,
    seen: &Seen,
    was_idle: bool,
    cells: &[Cell],
    cell: usize,
) -> Fate {
    // The look was for an earlier cell, whose end has been heard of.
    if caught_up.request.as_deref() != Some(request) {
        return Fate::AsItIs;
    }
    let unknown = |what: &str| {
        let text = format!("while nobody listened to the kernel gateway, {what}");
        Fate::Unknown(CellError::new(Some(cell), "ReplyLost", text))
    };
    let lost = |count: u64| format!("cell {cell}: {count} messages of the kernel were lost on the way");
    match &seen.reply {
        Some(_) if seen.idle && caught_up.lost.is_none_or(|lost| lost == 0) => return Fate::AsItIs,
        Some(raised) => {
            let warning = caught_up.lost.map_or_else(
                || format!("cell {cell} ended, but not all that it put out may have come"),
                lost,
            );
            return Fate::Ended { raised: raised.clone(), warning };
        }
        None => {}
    }
    if !seen.began && !caught_up.is_aborted {
        let before = cells.iter().take(cell).filter_map(Cell::execution_count).max().unwrap_or(0);
        return match caught_up.execution_count {
            Some(now) if now <= before && caught_up.was_large => {
                let text = "the kernel gateway closed the connection when the cell was sent: its code is longer than the \
                            gateway takes in a message (Tornado's `websocket_max_message_size`, 10 MiB as a rule)";
                Fate::Unknown(CellError::new(Some(cell), "MessageTooLarge", text))
            }
            Some(now) if now <= before => Fate::NeverBegan,
            Some(_) => unknown("the cell ran, and all that it said was lost"),
            None => unknown("the cell may have run; its kernel does not tell"),
        };
    }
    // Its answer is missing. What it raised is also shown.
    let is_complete = was_idle || caught_up.lost.is_some_and(|lost| lost <= 1);
    match shown(cells, cell) {
        Some(error) if is_complete || caught_up.is_aborted => {
            let warning = format!("cell {cell}: its answer was lost on the way; what it raised has come");
            Fate::Ended { raised: Some(error), warning }
        }
        None if is_complete && !caught_up.is_aborted => {
            let warning = format!("cell {cell}: its answer was lost on the way; it raised nothing");
            Fate::Ended { raised: None, warning }
        }
        _ => unknown("the cell ended, and whether it failed was lost"),
    }
}

/// The exception that a cell shows last.
fn shown(cells: &[Cell], cell: usize) -> Option<CellError> {
    let text = |output: &Value, field: &str| output[field].as_str().unwrap_or_default().to_owned();
    let output = cells.get(cell)?.outputs().iter().rfind(|output| output["output_type"] == "error")?;
    Some(CellError {
        cell_index: Some(cell),
        ename: text(output, "ename"),
        evalue: text(output, "evalue"),
        traceback: strings(output.get("traceback")),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::notebook::Notebook;

    fn notebook(outputs: Value) -> Notebook {
        let cell = |count: Value, outputs: Value| json!({"cell_type": "code", "execution_count": count, "metadata": {}, "outputs": outputs, "source": "x"});
        let cells = [cell(json!(4), json!([])), cell(Value::Null, outputs)];
        Notebook::from_value(json!({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}))
            .unwrap()
    }

    fn caught_up() -> CaughtUp {
        CaughtUp {
            request: Some("1".into()),
            execution_count: Some(4),
            is_aborted: false,
            lost: None,
            was_large: false,
        }
    }

    fn check(caught_up: &CaughtUp, seen: &Seen, was_idle: bool, outputs: Value) -> Fate {
        fate(caught_up, "1", seen, was_idle, notebook(outputs).cells(), 1)
    }

    #[test]
    fn a_cell_is_sent_again_only_when_the_kernel_never_had_it() {
        let nothing = Seen::default();
        let fate = |caught_up: CaughtUp| check(&caught_up, &nothing, false, json!([]));
        assert_eq!(fate(caught_up()), Fate::NeverBegan);
        let other = CaughtUp { request: Some("0".into()), ..caught_up() };
        assert_eq!(fate(other), Fate::AsItIs, "the look was for another cell");
        for ran in [
            CaughtUp { execution_count: Some(5), ..caught_up() },
            CaughtUp { execution_count: None, ..caught_up() },
            CaughtUp { is_aborted: true, ..caught_up() },
        ] {
            assert!(
                matches!(fate(ran.clone()), Fate::Unknown(error) if error.ename == "ReplyLost"),
                "{ran:?}"
            );
        }
        let large = CaughtUp { was_large: true, ..caught_up() };
        assert!(matches!(fate(large), Fate::Unknown(error) if error.ename == "MessageTooLarge"));
    }

    #[test]
    fn a_cell_whose_answer_was_lost_is_done_only_when_nothing_else_was() {
        let began = Seen { began: true, ..Seen::default() };
        let error = json!([{"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["t"]}]);
        let ended = |lost, was_idle, outputs: &Value| match check(
            &CaughtUp { lost, ..caught_up() },
            &began,
            was_idle,
            outputs.clone(),
        ) {
            Fate::Ended { raised, .. } => Some(raised.map(|error| error.ename)),
            _ => None,
        };
        assert_eq!(ended(Some(1), false, &json!([])), Some(None));
        assert_eq!(ended(None, true, &json!([])), Some(None));
        assert_eq!(ended(Some(1), false, &error), Some(Some("E".into())));
        assert_eq!(ended(Some(2), false, &json!([])), None, "it may have been what it raised");
        assert_eq!(ended(None, false, &json!([])), None);
    }

    #[test]
    fn what_was_lost_of_a_cell_that_answered_is_told() {
        let replied = Seen { began: true, reply: Some(None), idle: true };
        let fate = |lost| check(&CaughtUp { lost, ..caught_up() }, &replied, false, json!([]));
        assert_eq!((fate(None), fate(Some(0))), (Fate::AsItIs, Fate::AsItIs));
        assert!(matches!(fate(Some(3)), Fate::Ended { warning, .. } if warning.contains("3 messages")));
    }
}
