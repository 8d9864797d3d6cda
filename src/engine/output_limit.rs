//! How much a run may put out: its outputs are kept in memory until it ends, and a notebook may print for ever.

use std::io::Write;

use serde_json::{Map, Value};

use crate::notebook::record::Event;
use crate::notebook::{Notebook, json};

/// Between two looks at how large a notebook is, this part of the limit may come at least.
const LEAST_PART: u64 = 16;

/// What counts is what the notebook holds: an output that is cleared or updated makes room.
#[derive(Debug)]
pub(super) struct OutputLimit {
    /// In bytes.
    limit: u64,
    /// What may come before the notebook is measured, in bytes.
    room: u64,
    hit: bool,
    told: bool,
}

impl OutputLimit {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, room: limit, hit: false, told: false }
    }

    /// An event if what it brings has room in `notebook`, a text cut to what has; nothing has once the limit was hit.
    pub(super) fn admit(&mut self, mut event: Event, notebook: &Notebook) -> Option<Event> {
        let size = size_of_event(&event);
        if size == 0 {
            return Some(event);
        }
        if self.hit {
            return None;
        }
        if size > self.room {
            let left = self.limit.saturating_sub(written_size(notebook));
            self.hit = size > left;
            if self.hit {
                return cut(&mut event, left).then_some(event);
            }
            // Measuring takes its time: also a notebook that is nearly full is not measured at every output.
            self.room = left.max(self.limit / LEAST_PART);
        }
        self.room = self.room.saturating_sub(size);
        Some(event)
    }

    /// More has come than there is room for in any case.
    pub(super) fn hit(&mut self) {
        self.hit = true;
    }

    /// The limit in bytes when it has been hit; only once.
    pub(super) fn take_hit(&mut self) -> Option<u64> {
        (self.hit && !std::mem::replace(&mut self.told, true)).then_some(self.limit)
    }
}

/// Cuts a stream's text to so many bytes. `false`: what the event brings is whole or nothing.
fn cut(event: &mut Event, length: u64) -> bool {
    let Event::Output { output, .. } = event else { return false };
    let is_stream = output.get("output_type").is_some_and(|it| it == "stream");
    let Some(Value::String(text)) = output.get_mut("text").filter(|_| is_stream) else { return false };
    text.truncate(text.floor_char_boundary(usize::try_from(length).unwrap_or(usize::MAX)));
    // What was cut off may have been much more than what is left.
    text.shrink_to_fit();
    !text.is_empty()
}

fn size_of_event(event: &Event) -> u64 {
    match event {
        Event::Output { output, .. } => size_of(output),
        Event::UpdateDisplay { data, .. } => size_of_map(data),
        Event::Comm(message) => {
            size_of_map(&message.data) + message.buffers.iter().map(|buffer| buffer.len() as u64).sum::<u64>()
        }
        _ => 0,
    }
}

fn size_of(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64,
        Value::Array(values) => values.iter().map(size_of).sum(),
        Value::Object(map) => size_of_map(map),
        _ => 1,
    }
}

fn size_of_map(map: &Map<String, Value>) -> u64 {
    map.iter().map(|(name, value)| name.len() as u64 + size_of(value)).sum()
}

fn written_size(notebook: &Notebook) -> u64 {
    struct Count(u64);
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // It refuses nothing.
    let _ = json::write(&mut count, notebook);
    count.0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::notebook::record::Recorder;

    #[test]
    fn what_is_held_counts_and_what_was_cleared_does_not() {
        let cells = json!([{"cell_type": "code", "execution_count": null, "metadata": {}, "outputs": [], "source": ""}]);
        let notebook = json!({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4});
        let mut recorder = Recorder::start(Notebook::from_value(notebook).unwrap(), "");
        let mut limit = OutputLimit::new(100_000);
        let put_out = |recorder: &mut Recorder, limit: &mut OutputLimit, event: Event| {
            let admitted = limit.admit(event, recorder.notebook());
            let is_admitted = admitted.is_some();
            admitted.into_iter().for_each(|event| recorder.apply(event));
            is_admitted
        };
        let print = || Event::Output {
            cell: 0,
            output: json!({"name": "stdout", "output_type": "stream", "text": "x".repeat(10_000)}),
            display_id: None,
        };
        for _ in 0..100 {
            assert!(put_out(&mut recorder, &mut limit, print()));
            assert!(put_out(&mut recorder, &mut limit, Event::ClearOutput { cell: 0, wait: false }));
        }
        assert_eq!(limit.take_hit(), None);
        let admitted = (0..100).filter(|_| put_out(&mut recorder, &mut limit, print())).count();
        // Beside the texts there is the notebook itself, and the last text is cut.
        assert!((9..=10).contains(&admitted), "{admitted}");
        assert!((99_000..101_000).contains(&written_size(recorder.notebook())));
        assert_eq!((limit.take_hit(), limit.take_hit()), (Some(100_000), None));
        assert!(put_out(&mut recorder, &mut limit, Event::ExecutionCount { cell: 0, count: 1 }));
    }
}
