//! Recording an execution into its notebook.
//!
//! Everything that happens to a notebook while it runs is an [`Event`]; a [`Recorder`] applies events in
//! order. The engine applies each event when it happens and appends it to a journal; after a crash the
//! same events, read back from the journal, give the same notebook. Applying costs what the event
//! brings, never what the notebook already holds.
//!
//! Which message becomes which output follows nbclient (`client.py`); the `papermill` metadata follow
//! papermill (`engines.py`), but a run that was cut short does not call cells completed that never ran.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::streams::{append_stream, coalesce, split_stream_text};
use super::widgets::{CommMessage, Widgets};
use super::{Cell, Notebook, object_entry, split_lines};

/// One thing that happened. `cell` is an index into the notebook's cells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The kernel said what language it runs.
    LanguageInfo {
        /// For `metadata.language_info`.
        language_info: Value,
    },
    /// A cell's turn has come (of any type: papermill times them all).
    CellStarted {
        /// Which cell.
        cell: usize,
        /// When, RFC 3339 in UTC.
        time: String,
    },
    /// A time for `metadata.execution`, such as `iopub.status.busy` or `shell.execute_reply`.
    Timing {
        /// Which cell.
        cell: usize,
        /// The name of the moment.
        moment: String,
        /// As the kernel spelled it.
        time: String,
    },
    /// The kernel gave the cell its prompt number.
    ExecutionCount {
        /// Which cell.
        cell: usize,
        /// The number.
        count: u64,
    },
    /// An output in nbformat's shape; consecutive texts of one stream become one output.
    Output {
        /// Which cell.
        cell: usize,
        /// The output's JSON.
        output: Value,
        /// The name under which later updates find it.
        display_id: Option<String>,
    },
    /// `update_display_data`: replaces data and metadata of every output with this display id.
    UpdateDisplay {
        /// The display id.
        display_id: String,
        /// The new mimebundle.
        data: Map<String, Value>,
        /// Its metadata.
        metadata: Map<String, Value>,
    },
    /// `clear_output`; with `wait`, only once the next output comes.
    ClearOutput {
        /// Which cell.
        cell: usize,
        /// Whether to wait for the next output.
        wait: bool,
    },
    /// nbclient's `coalesce_streams`: each stream of the cell becomes one output.
    CoalesceStreams {
        /// Which cell.
        cell: usize,
    },
    /// The kernel said something to a widget.
    Comm(CommMessage),
    /// A cell is done.
    CellFinished {
        /// Which cell.
        cell: usize,
        /// When, RFC 3339 in UTC.
        time: String,
        /// Whether the run stops here.
        failed: bool,
    },
}

/// How a run ended, as far as the notebook's metadata tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// Every cell ran.
    Complete,
    /// It was cut short.
    Failed,
}

/// Applies events to a notebook.
#[derive(Debug)]
pub struct Recorder {
    notebook: Notebook,
    start_time: String,
    displays: HashMap<String, Vec<(usize, usize)>>,
    clear_before_next_output: Option<usize>,
    widgets: Widgets,
    stores_widget_state: bool,
}

impl Recorder {
    /// Takes a notebook that is about to run: clears what an earlier run left in its code cells and
    /// starts papermill's metadata. `start_time` is RFC 3339 in UTC.
    pub fn start(mut notebook: Notebook, start_time: &str) -> Self {
        let papermill = object_entry(notebook.metadata_mut(), "papermill");
        papermill.insert("start_time".into(), start_time.into());
        for field in ["end_time", "duration", "exception"] {
            papermill.insert(field.into(), Value::Null);
        }
        for cell in notebook.cells_mut() {
            if cell.is_code() {
                cell.set_execution_count(None);
                cell.outputs_mut().clear();
                cell.metadata_mut().remove("execution");
            }
            cell.metadata_mut().insert(
                "papermill".into(),
                json!({"duration": null, "end_time": null, "exception": null, "start_time": null, "status": "pending"}),
            );
        }
        Self::resume(notebook, start_time)
    }

    /// Takes a notebook that [`Recorder::start`] has prepared before, as it was saved then.
    pub fn resume(notebook: Notebook, start_time: &str) -> Self {
        Self {
            notebook,
            start_time: start_time.into(),
            displays: HashMap::new(),
            clear_before_next_output: None,
            widgets: Widgets::default(),
            stores_widget_state: true,
        }
    }

    /// Whether the state of widgets goes into the notebook's metadata; it does unless told otherwise.
    pub fn store_widget_state(&mut self, stores: bool) {
        self.stores_widget_state = stores;
    }

    /// The notebook as it stands; outputs of streams are one string each until [`Recorder::finish`].
    pub fn notebook(&self) -> &Notebook {
        &self.notebook
    }

    /// What the kernel must be told of its Output widgets after the last events: their comms and outputs.
    pub fn take_unsent_outputs(&mut self) -> Vec<(String, Value)> {
        self.widgets.take_unsent()
    }

    /// Applies one event. An event for a cell that does not exist is ignored.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::LanguageInfo { language_info } => {
                self.notebook.metadata_mut().insert("language_info".into(), language_info);
            }
            Event::CellStarted { cell, time } => {
                self.clear_before_next_output = None;
                if let Some(papermill) = self.papermill_of(cell) {
                    papermill.insert("start_time".into(), time.into());
                    papermill.insert("status".into(), "running".into());
                    papermill.insert("exception".into(), false.into());
                }
            }
            Event::Timing { cell, moment, time } => {
                if let Some(cell) = self.cell(cell) {
                    object_entry(cell.metadata_mut(), "execution").insert(moment, time.into());
                }
            }
            Event::ExecutionCount { cell, count } => {
                if let Some(cell) = self.cell(cell) {
                    cell.set_execution_count(Some(count));
                }
            }
            Event::Output { cell, output, display_id } => self.output(cell, output, display_id),
            Event::UpdateDisplay { display_id, data, metadata } => {
                self.update_display(&display_id, data, metadata)
            }
            Event::CoalesceStreams { cell } => self.coalesce_streams(cell),
            Event::Comm(message) => self.widgets.comm(message),
            Event::ClearOutput { cell, wait } if self.widgets.clear(cell, wait) => {}
            Event::ClearOutput { cell, wait } if wait => self.clear_before_next_output = Some(cell),
            Event::ClearOutput { cell, .. } => self.clear(cell),
            Event::CellFinished { cell, time, failed } => {
                if let Some(papermill) = self.papermill_of(cell) {
                    let duration =
                        papermill.get("start_time").and_then(Value::as_str).map(|it| seconds(it, &time));
                    papermill.insert("duration".into(), duration.into());
                    papermill.insert("end_time".into(), time.into());
                    papermill.insert("status".into(), if failed { "failed" } else { "completed" }.into());
                    papermill.insert("exception".into(), failed.into());
                }
            }
        }
    }

    /// Whether every cell has had its turn and none shows an error. A run that may show one without having failed is not
    /// taken for complete: what was allowed is not known here.
    pub fn is_complete(&self) -> bool {
        let ran = |cell: &Cell| {
            let status = cell.metadata().and_then(|it| it.get("papermill")?.get("status")?.as_str());
            let shows_error = || {
                cell.outputs().iter().any(|output| output.get("output_type").is_some_and(|it| it == "error"))
            };
            status == Some("completed") && !(cell.is_code() && shows_error())
        };
        !self.notebook.cells().is_empty() && self.notebook.cells().iter().all(ran)
    }

    /// Completes the notebook: run times, and every text in the shape in which Jupyter stores it.
    pub fn finish(mut self, end: RunEnd, end_time: &str) -> Notebook {
        for cell in self.notebook.cells_mut() {
            if cell.is_code() {
                cell.outputs_mut().iter_mut().for_each(split_stream_text);
            }
            // A run that was killed leaves its cell "running"; nobody should read that for ever.
            let papermill = object_entry(cell.metadata_mut(), "papermill");
            if papermill.get("status").and_then(Value::as_str) == Some("running") {
                papermill.insert("status".into(), "failed".into());
                papermill.insert("exception".into(), true.into());
            }
        }
        if let Some(widgets) = self.widgets.into_metadata().filter(|_| self.stores_widget_state) {
            self.notebook.metadata_mut().insert("widgets".into(), widgets);
        }
        let papermill = object_entry(self.notebook.metadata_mut(), "papermill");
        papermill.insert("end_time".into(), end_time.into());
        papermill.insert("duration".into(), seconds(&self.start_time, end_time).into());
        if end == RunEnd::Failed {
            papermill.insert("exception".into(), true.into());
        }
        self.notebook
    }

    fn cell(&mut self, index: usize) -> Option<&mut Cell> {
        self.notebook.cells_mut().get_mut(index)
    }

    fn papermill_of(&mut self, cell: usize) -> Option<&mut Map<String, Value>> {
        self.cell(cell).map(|cell| object_entry(cell.metadata_mut(), "papermill"))
    }

    fn output(&mut self, index: usize, output: Value, display_id: Option<String>) {
        let Some(mut output) = self.widgets.capture(index, output) else { return };
        if self.clear_before_next_output == Some(index) {
            self.clear_before_next_output = None;
            self.clear(index);
        }
        let Some(cell) = self.notebook.cells_mut().get_mut(index) else { return };
        let outputs = cell.outputs_mut();
        if let Some(last) = outputs.last_mut()
            && append_stream(last, &output)
        {
            return;
        }
        if let Some(data) = output.get_mut("data").and_then(Value::as_object_mut) {
            split_mimebundle(data);
        }
        if let Some(display_id) = display_id {
            self.displays.entry(display_id).or_default().push((index, outputs.len()));
        }
        outputs.push(output);
    }

    fn update_display(
        &mut self,
        display_id: &str,
        mut data: Map<String, Value>,
        metadata: Map<String, Value>,
    ) {
        split_mimebundle(&mut data);
        for (cell, output) in self.displays.get(display_id).into_iter().flatten() {
            if let Some(output) = self
                .notebook
                .cells_mut()
                .get_mut(*cell)
                .and_then(|cell| cell.outputs_mut().get_mut(*output))
                .and_then(Value::as_object_mut)
            {
                output.insert("data".into(), Value::Object(data.clone()));
                output.insert("metadata".into(), Value::Object(metadata.clone()));
            }
        }
    }

    fn coalesce_streams(&mut self, index: usize) {
        let Some(cell) = self.notebook.cells_mut().get_mut(index) else { return };
        let moved = coalesce(cell.outputs_mut());
        for (_, output) in self.displays.values_mut().flatten().filter(|(cell, _)| *cell == index) {
            *output = moved.get(*output).copied().unwrap_or(*output);
        }
    }

    fn clear(&mut self, index: usize) {
        if let Some(cell) = self.cell(index) {
            cell.outputs_mut().clear();
        }
        // Those without a place go: a loop that clears and displays anew would make each turn dearer than the last.
        self.displays.retain(|_, places| {
            places.retain(|(cell, _)| *cell != index);
            !places.is_empty()
        });
    }
}

/// Whether nbformat writes the text of this type as a list of lines.
pub(super) fn is_split(mime: &str) -> bool {
    mime.starts_with("text/") || mime == "application/javascript" || mime == "image/svg+xml"
}

fn split_mimebundle(data: &mut Map<String, Value>) {
    for (mime, value) in data.iter_mut() {
        if let Value::String(text) = value
            && is_split(mime)
        {
            *value = split_lines(text);
        }
    }
}

/// Seconds between two RFC 3339 times; null when one cannot be read.
fn seconds(from: &str, to: &str) -> Option<f64> {
    let (from, to) = (from.parse::<jiff::Timestamp>().ok()?, to.parse::<jiff::Timestamp>().ok()?);
    Some(from.duration_until(to).as_micros() as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: &str = "2026-01-01T00:00:00.000000+00:00";
    const T1: &str = "2026-01-01T00:00:01.500000+00:00";

    fn notebook(cells: usize) -> Notebook {
        let cells: Vec<Value> = (0..cells)
            .map(|_| {
                json!({"cell_type": "code", "execution_count": 7, "metadata": {}, "outputs": [{"old": 1}], "source": ""})
            })
            .collect();
        Notebook::from_value(json!({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
            .unwrap()
    }

    fn stream(cell: usize, name: &str, text: &str) -> Event {
        let output = json!({"name": name, "output_type": "stream", "text": text});
        Event::Output { cell, output, display_id: None }
    }

    fn display(cell: usize, text: &str, display_id: &str) -> Event {
        let output = json!({"data": {"text/plain": text}, "metadata": {}, "output_type": "display_data"});
        Event::Output { cell, output, display_id: Some(display_id.into()) }
    }

    fn outputs_after(events: Vec<Event>) -> Vec<Value> {
        let mut recorder = Recorder::start(notebook(2), T0);
        events.into_iter().for_each(|event| recorder.apply(event));
        recorder.finish(RunEnd::Complete, T1).cells()[0].outputs().to_vec()
    }

    #[test]
    fn an_earlier_runs_traces_are_cleared() {
        let notebook = Recorder::start(notebook(1), T0).finish(RunEnd::Complete, T1);
        assert!(notebook.cells()[0].outputs().is_empty());
        assert_eq!(notebook.cells()[0].execution_count(), None);
        assert_eq!(notebook.metadata().unwrap()["papermill"]["duration"], json!(1.5));
    }

    #[test]
    fn texts_of_one_stream_become_one_output() {
        let outputs = outputs_after(vec![
            stream(0, "stdout", "a"),
            stream(0, "stdout", "b\nc"),
            stream(0, "stderr", "!"),
            stream(0, "stdout", "d"),
        ]);
        assert_eq!(
            outputs,
            vec![
                json!({"name": "stdout", "output_type": "stream", "text": ["ab\n", "c"]}),
                json!({"name": "stderr", "output_type": "stream", "text": ["!"]}),
                json!({"name": "stdout", "output_type": "stream", "text": ["d"]}),
            ]
        );
    }

    #[test]
    fn clearing_with_wait_clears_at_the_next_output() {
        let clear = |wait| Event::ClearOutput { cell: 0, wait };
        assert_eq!(outputs_after(vec![stream(0, "stdout", "a"), clear(false)]), Vec::<Value>::new());
        assert_eq!(outputs_after(vec![stream(0, "stdout", "a"), clear(true)]).len(), 1);
        assert_eq!(
            outputs_after(vec![stream(0, "stdout", "a"), clear(true), stream(0, "stdout", "b")]),
            vec![json!({"name": "stdout", "output_type": "stream", "text": ["b"]})]
        );
    }

    #[test]
    fn an_update_reaches_every_output_with_its_display_id() {
        let update = Event::UpdateDisplay {
            display_id: "d".into(),
            data: json!({"text/plain": "new\nline"}).as_object().unwrap().clone(),
            metadata: Map::new(),
        };
        let outputs =
            outputs_after(vec![display(0, "a", "d"), display(0, "b", "e"), display(0, "c", "d"), update]);
        let texts: Vec<&Value> = outputs.iter().map(|output| &output["data"]["text/plain"]).collect();
        assert_eq!(texts, vec![&json!(["new\n", "line"]), &json!(["b"]), &json!(["new\n", "line"])]);
    }

    #[test]
    fn a_cleared_display_is_not_updated_later() {
        let update = Event::UpdateDisplay {
            display_id: "d".into(),
            data: json!({"text/plain": "new"}).as_object().unwrap().clone(),
            metadata: Map::new(),
        };
        let clear = Event::ClearOutput { cell: 0, wait: false };
        let outputs = outputs_after(vec![display(0, "a", "d"), clear, stream(0, "stdout", "x"), update]);
        assert_eq!(outputs, vec![json!({"name": "stdout", "output_type": "stream", "text": ["x"]})]);
    }

    #[test]
    fn displays_that_were_cleared_are_forgotten() {
        let mut recorder = Recorder::start(notebook(2), T0);
        recorder.apply(display(1, "stays", "other cell"));
        for turn in 0..100 {
            recorder.apply(Event::ClearOutput { cell: 0, wait: false });
            recorder.apply(display(0, "x", &format!("d{turn}")));
        }
        assert_eq!(recorder.displays.len(), 2);
    }

    #[test]
    fn a_cell_cut_short_is_failed_and_later_ones_stay_pending() {
        let mut recorder = Recorder::start(notebook(2), T0);
        recorder.apply(Event::CellStarted { cell: 0, time: T0.into() });
        let notebook = recorder.finish(RunEnd::Failed, T1);
        let status = |cell: usize| notebook.cells()[cell].metadata().unwrap()["papermill"]["status"].clone();
        assert_eq!((status(0), status(1)), (json!("failed"), json!("pending")));
    }

    #[test]
    fn a_run_is_complete_when_every_cell_has_run_well() {
        let mut recorder = Recorder::start(notebook(2), T0);
        for cell in 0..2 {
            assert!(!recorder.is_complete());
            recorder.apply(Event::CellStarted { cell, time: T0.into() });
            assert!(!recorder.is_complete());
            recorder.apply(Event::CellFinished { cell, time: T1.into(), failed: false });
        }
        assert!(recorder.is_complete());
        let error = json!({"output_type": "error", "ename": "E", "evalue": "", "traceback": []});
        recorder.apply(Event::Output { cell: 1, output: error, display_id: None });
        assert!(!recorder.is_complete());
    }

    #[test]
    fn events_survive_the_journal() {
        for event in [
            stream(1, "stdout", "é\u{1b}[31m\n"),
            display(0, "x", "d"),
            Event::ClearOutput { cell: 0, wait: true },
        ] {
            let line = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
            assert!(!line.contains('\n'));
        }
    }
}
