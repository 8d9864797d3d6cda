//! The widgets of a running notebook, as a front end would keep them (nbclient's `client.py` and
//! `output_widget.py`): their state for the notebook's metadata, and the outputs that Output widgets capture.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::streams::append_stream;

/// Where the notebook's metadata keep the widgets.
pub const WIDGET_STATE_MIME: &str = "application/vnd.jupyter.widget-state+json";

/// A `comm_open` or `comm_msg` of the kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommMessage {
    /// Which comm; a widget's model id.
    pub comm_id: String,
    /// The comm's target when this opens it.
    pub target_name: Option<String>,
    /// The message's `data`.
    pub data: Map<String, Value>,
    /// The message's binary parts in base64, in the order of `data.buffer_paths`.
    pub buffers: Vec<String>,
    /// What this says about whose outputs an Output widget captures.
    pub capture: Option<Capture>,
}

/// Whose outputs an Output widget captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capture {
    /// Those of the cell.
    Cell(usize),
    /// Nobody's any more.
    Released,
}

/// The widgets of one run.
#[derive(Debug, Default)]
pub struct Widgets {
    models: BTreeMap<String, Map<String, Value>>,
    /// By model and, as JSON text, path.
    buffers: HashMap<String, BTreeMap<String, Value>>,
    output_areas: HashMap<String, OutputArea>,
    /// For each cell the Output widgets that capture its outputs; the last one gets them.
    captures: HashMap<usize, Vec<String>>,
    /// Output widgets whose outputs the kernel does not know yet.
    unsent: Vec<String>,
}

#[derive(Debug, Default)]
struct OutputArea {
    outputs: Vec<Value>,
    clear_before_next_output: bool,
    cell: Option<usize>,
}

impl Widgets {
    /// Takes a message of the kernel to a widget.
    pub fn comm(&mut self, message: CommMessage) {
        let CommMessage { comm_id, target_name, data, buffers, capture } = message;
        if let Some(Value::Object(state)) = data.get("state") {
            if target_name.as_deref() == Some("jupyter.widget") && is_output_model(state) {
                let outputs = state.get("outputs").and_then(Value::as_array).cloned().unwrap_or_default();
                self.output_areas.insert(comm_id.clone(), OutputArea { outputs, ..OutputArea::default() });
            } else if data.get("method").and_then(Value::as_str) == Some("update")
                && let Some(area) = self.output_areas.get_mut(&comm_id)
                && let Some(outputs) = state.get("outputs").and_then(Value::as_array)
            {
                // `append_stdout`, or outputs that were assigned. An echo of what we sent is none of these.
                area.outputs = outputs.clone();
            }
            self.models.entry(comm_id.clone()).or_default().extend(state.clone());
            let paths = data.get("buffer_paths").and_then(Value::as_array).into_iter().flatten();
            for (path, buffer) in paths.zip(buffers) {
                let buffer = json!({"data": buffer, "encoding": "base64", "path": path});
                self.buffers.entry(comm_id.clone()).or_default().insert(path.to_string(), buffer);
            }
        }
        if let Some(capture) = capture
            && let Some(area) = self.output_areas.get_mut(&comm_id)
        {
            if let Some(cell) = area.cell.take()
                && let Some(capturing) = self.captures.get_mut(&cell)
                && let Some(last) = capturing.iter().rposition(|it| *it == comm_id)
            {
                capturing.remove(last);
            }
            if let Capture::Cell(cell) = capture {
                area.cell = Some(cell);
                self.captures.entry(cell).or_default().push(comm_id);
            }
        }
    }

    /// Gives an output to the widget that captures the cell's; gives it back when none does.
    pub fn capture(&mut self, cell: usize, output: Value) -> Option<Value> {
        let Some((comm_id, area)) = self.capturing(cell) else { return Some(output) };
        if std::mem::take(&mut area.clear_before_next_output) {
            area.outputs.clear();
        }
        let appended = area.outputs.last_mut().is_some_and(|last| append_stream(last, &output));
        if !appended {
            area.outputs.push(output);
        }
        self.changed(comm_id);
        None
    }

    /// Clears the outputs of the widget that captures the cell's; says whether one does.
    pub fn clear(&mut self, cell: usize, wait: bool) -> bool {
        let Some((comm_id, area)) = self.capturing(cell) else { return false };
        if wait {
            area.clear_before_next_output = true;
        } else {
            area.outputs.clear();
            self.changed(comm_id);
        }
        true
    }

    /// The Output widgets whose outputs have changed since this was last asked, with their outputs: the kernel
    /// must be told, for there the notebook's code reads them.
    pub fn take_unsent(&mut self) -> Vec<(String, Value)> {
        let areas = &self.output_areas;
        std::mem::take(&mut self.unsent)
            .into_iter()
            .filter_map(|comm_id| {
                let outputs = areas.get(&comm_id)?.outputs.iter().map(in_nbformats_order).collect();
                Some((comm_id, Value::Array(outputs)))
            })
            .collect()
    }

    /// What goes into the notebook's metadata; `None` when there were no comms with a state. Those that are no
    /// widgets are left out.
    pub fn into_metadata(mut self) -> Option<Value> {
        if self.models.is_empty() {
            return None;
        }
        for (comm_id, area) in self.output_areas {
            if let Some(state) = self.models.get_mut(&comm_id) {
                state.insert("outputs".into(), Value::Array(area.outputs));
            }
        }
        let mut models = Map::new();
        for (comm_id, state) in self.models.into_iter().filter(|(_, state)| state.contains_key("_model_name"))
        {
            let field = |name: &str| state.get(name).cloned().unwrap_or(Value::Null);
            let mut model = Map::new();
            if let Some(buffers) = self.buffers.remove(&comm_id) {
                model.insert("buffers".into(), buffers.into_values().collect());
            }
            model.insert("model_module".into(), field("_model_module"));
            model.insert("model_module_version".into(), field("_model_module_version"));
            model.insert("model_name".into(), field("_model_name"));
            model.insert("state".into(), Value::Object(state));
            models.insert(comm_id, Value::Object(model));
        }
        let state = json!({"state": models, "version_major": 2, "version_minor": 0});
        Some(json!({ WIDGET_STATE_MIME: state }))
    }

    fn capturing(&mut self, cell: usize) -> Option<(String, &mut OutputArea)> {
        let comm_id = self.captures.get(&cell)?.last()?;
        Some((comm_id.clone(), self.output_areas.get_mut(comm_id)?))
    }

    fn changed(&mut self, comm_id: String) {
        if !self.unsent.contains(&comm_id) {
            self.unsent.push(comm_id);
        }
    }
}

/// The order of fields in which nbformat makes outputs (`nbbase.py`): code that prints what was captured shows it.
fn in_nbformats_order(output: &Value) -> Value {
    const ORDER: [&str; 9] = [
        "output_type",
        "name",
        "text",
        "metadata",
        "data",
        "execution_count",
        "ename",
        "evalue",
        "traceback",
    ];
    let Value::Object(fields) = output else { return output.clone() };
    let mut fields = fields.clone();
    let first: Vec<_> = ORDER.iter().filter_map(|name| fields.shift_remove_entry(*name)).collect();
    Value::Object(first.into_iter().chain(fields).collect())
}

fn is_output_model(state: &Map<String, Value>) -> bool {
    let is = |field: &str, value: &str| state.get(field).and_then(Value::as_str) == Some(value);
    is("_model_module", "@jupyter-widgets/output") && is("_model_name", "OutputModel")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(comm_id: &str, target: Option<&str>, state: Value, capture: Option<Capture>) -> CommMessage {
        let data = json!({"state": state, "buffer_paths": [["value"]]}).as_object().unwrap().clone();
        CommMessage {
            comm_id: comm_id.into(),
            target_name: target.map(str::to_owned),
            data,
            buffers: vec!["AAE=".into()],
            capture,
        }
    }

    fn with_output_widget() -> Widgets {
        let mut widgets = Widgets::default();
        let state =
            json!({"_model_module": "@jupyter-widgets/output", "_model_name": "OutputModel", "outputs": []});
        widgets.comm(message("out", Some("jupyter.widget"), state, None));
        widgets
    }

    fn text(text: &str) -> Value {
        json!({"name": "stdout", "output_type": "stream", "text": text})
    }

    #[test]
    fn state_is_merged_and_its_buffers_kept_by_path() {
        let mut widgets = Widgets::default();
        let state =
            json!({"_model_module": "m", "_model_name": "Slider", "_model_module_version": "2", "value": 1});
        widgets.comm(message("a", Some("jupyter.widget"), state, None));
        widgets.comm(message("a", None, json!({"value": 2}), None));
        widgets.comm(message("no model", None, json!({"value": 2}), None));
        let metadata = widgets.into_metadata().unwrap();
        assert_eq!(
            metadata[WIDGET_STATE_MIME]["state"],
            json!({"a": {
                "buffers": [{"data": "AAE=", "encoding": "base64", "path": ["value"]}],
                "model_module": "m", "model_module_version": "2", "model_name": "Slider",
                "state": {"_model_module": "m", "_model_name": "Slider", "_model_module_version": "2", "value": 2},
            }})
        );
        assert_eq!(Widgets::default().into_metadata(), None);
    }

    #[test]
    fn an_output_widget_captures_until_it_is_released() {
        let mut widgets = with_output_widget();
        assert_eq!(widgets.capture(3, text("before")), Some(text("before")));
        widgets.comm(message("out", None, json!({"msg_id": "m"}), Some(Capture::Cell(3))));
        assert_eq!(widgets.capture(3, text("a")), None);
        assert_eq!(widgets.capture(3, text("b")), None);
        assert_eq!(widgets.capture(4, text("another cell's")), Some(text("another cell's")));
        assert_eq!(widgets.take_unsent(), [("out".to_owned(), json!([text("ab")]))]);
        assert!(widgets.take_unsent().is_empty());
        widgets.comm(message("out", None, json!({"msg_id": ""}), Some(Capture::Released)));
        assert_eq!(widgets.capture(3, text("after")), Some(text("after")));
        let metadata = widgets.into_metadata().unwrap();
        assert_eq!(metadata[WIDGET_STATE_MIME]["state"]["out"]["state"]["outputs"], json!([text("ab")]));
    }

    #[test]
    fn outputs_that_the_kernel_assigns_are_the_widgets() {
        let mut widgets = with_output_widget();
        let update = |method: &str, outputs: Value| CommMessage {
            data: json!({"method": method, "state": {"outputs": outputs}}).as_object().unwrap().clone(),
            ..message("out", None, json!({}), None)
        };
        widgets.comm(update("update", json!([text("assigned")])));
        widgets.comm(update("echo_update", json!([])));
        widgets.comm(message("out", None, json!({"msg_id": "m"}), Some(Capture::Cell(0))));
        widgets.capture(0, text(" and captured"));
        assert_eq!(widgets.take_unsent(), [("out".to_owned(), json!([text("assigned and captured")]))]);
        widgets.comm(update("update", json!([])));
        let metadata = widgets.into_metadata().unwrap();
        assert_eq!(metadata[WIDGET_STATE_MIME]["state"]["out"]["state"]["outputs"], json!([]));
    }

    #[test]
    fn what_was_captured_is_told_in_the_order_of_nbformats_fields() {
        let mut widgets = with_output_widget();
        widgets.comm(message("out", None, json!({"msg_id": "m"}), Some(Capture::Cell(0))));
        widgets.capture(
            0,
            json!({"ename": "E", "evalue": "v", "output_type": "error", "own": 1, "traceback": []}),
        );
        let unsent = serde_json::to_string(&widgets.take_unsent()[0].1).unwrap();
        assert_eq!(unsent, r#"[{"output_type":"error","ename":"E","evalue":"v","traceback":[],"own":1}]"#);
    }

    #[test]
    fn nested_output_widgets_capture_innermost_first() {
        let mut widgets = with_output_widget();
        let state = json!({"_model_module": "@jupyter-widgets/output", "_model_name": "OutputModel"});
        widgets.comm(message("inner", Some("jupyter.widget"), state, None));
        widgets.comm(message("out", None, json!({"msg_id": "m"}), Some(Capture::Cell(0))));
        widgets.comm(message("inner", None, json!({"msg_id": "m"}), Some(Capture::Cell(0))));
        widgets.capture(0, text("inner"));
        widgets.comm(message("inner", None, json!({"msg_id": ""}), Some(Capture::Released)));
        widgets.capture(0, text("outer"));
        let unsent = widgets.take_unsent();
        assert_eq!(
            unsent,
            [("inner".to_owned(), json!([text("inner")])), ("out".to_owned(), json!([text("outer")]))]
        );
    }

    #[test]
    fn clearing_clears_the_widget_and_not_the_cell() {
        let mut widgets = with_output_widget();
        assert!(!widgets.clear(0, false));
        widgets.comm(message("out", None, json!({"msg_id": "m"}), Some(Capture::Cell(0))));
        widgets.capture(0, text("a"));
        assert!(widgets.clear(0, true));
        widgets.capture(0, text("b"));
        assert_eq!(widgets.take_unsent(), [("out".to_owned(), json!([text("b")]))]);
        assert!(widgets.clear(0, false));
        assert_eq!(widgets.take_unsent(), [("out".to_owned(), json!([]))]);
    }
}
