//! What a kernel's messages mean for the notebook: which events they become, under which cell.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::recording::Recording;
use crate::execution::CellError;
use crate::kernel::message::Message;
use crate::notebook::record::Event;
use crate::notebook::widgets::{Capture, CommMessage};

/// The exception in an `execute_reply`, if it holds one.
pub(super) fn raised(cell: usize, reply: &Message) -> Option<CellError> {
    match reply.text("status") {
        "error" => Some(CellError {
            cell_index: Some(cell),
            ename: reply.text("ename").to_owned(),
            evalue: reply.text("evalue").to_owned(),
            traceback: strings(reply.content.get("traceback")),
        }),
        "aborted" | "abort" => Some(CellError::new(
            Some(cell),
            "Aborted",
            "the kernel refused to run the cell after an earlier error",
        )),
        _ => None,
    }
}

pub(super) fn strings(value: Option<&Value>) -> Vec<String> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

pub(super) fn timing(cell: usize, moment: &str, message: &Message) -> Event {
    Event::Timing { cell, moment: moment.into(), time: message.date.clone() }
}

/// Records a broadcast under the cell that it belongs to; true when it says that `request` is done.
pub(super) fn record(
    recording: &mut Recording,
    parents: &HashMap<String, usize>,
    message: Message,
    request: &str,
) -> bool {
    let Some(parent) = message.parent_id.as_deref() else { return false };
    let Some(&cell) = parents.get(parent) else { return false };
    if message.msg_type.starts_with("comm_") {
        recording.apply(Event::Comm(comm(message, parents)));
        return false;
    }
    let is_idle = message.msg_type == "status" && message.text("execution_state") == "idle";
    let is_done = is_idle && parent == request;
    events(cell, message, |event| recording.apply(event));
    is_done
}

fn comm(mut message: Message, parents: &HashMap<String, usize>) -> CommMessage {
    let data = object(message.content.remove("data"));
    let target_name = message.content.get("target_name").and_then(Value::as_str);
    // An Output widget names the request whose outputs it captures, and none when it is done.
    let captured = data.get("state").and_then(|state| state.get("msg_id")).and_then(Value::as_str);
    CommMessage {
        comm_id: message.text("comm_id").to_owned(),
        capture: captured
            .map(|request| parents.get(request).map_or(Capture::Released, |cell| Capture::Cell(*cell))),
        // The message that opens a comm says how the widget is, not what it does.
        target_name: target_name.map(str::to_owned),
        buffers: message.buffers.iter().map(|buffer| BASE64_STANDARD.encode(buffer)).collect(),
        data,
    }
}

/// Tells what a broadcast means for its cell. What may be large (texts, images) is moved, not copied.
fn events(cell: usize, message: Message, mut tell: impl FnMut(Event)) {
    let Message { msg_type, date, mut content, .. } = message;
    if let Some(count) = content.get("execution_count").and_then(Value::as_u64) {
        tell(Event::ExecutionCount { cell, count });
    }
    let mut text = |name: &str| match content.remove(name) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    match msg_type.as_str() {
        "stream" => {
            let (name, text) = (text("name"), text("text"));
            let output = [("name", name), ("output_type", msg_type), ("text", text)];
            let output = output.map(|(field, text)| (field.to_owned(), Value::from(text)));
            tell(Event::Output { cell, output: Value::from_iter(output), display_id: None });
        }
        "display_data" | "execute_result" | "update_display_data" => {
            displayed(cell, &msg_type, content, tell)
        }
        "error" => {
            let (ename, evalue) = (text("ename"), text("evalue"));
            let traceback = strings(content.get("traceback"));
            let output =
                json!({"ename": ename, "evalue": evalue, "output_type": "error", "traceback": traceback});
            tell(Event::Output { cell, output, display_id: None });
        }
        "clear_output" => {
            let wait = content.get("wait").and_then(Value::as_bool).unwrap_or(false);
            tell(Event::ClearOutput { cell, wait });
        }
        "status" | "execute_input" if !date.is_empty() => {
            let moment = match (msg_type.as_str(), text("execution_state").as_str()) {
                ("execute_input", _) => "iopub.execute_input",
                (_, "busy") => "iopub.status.busy",
                (_, "idle") => "iopub.status.idle",
                _ => return,
            };
            tell(Event::Timing { cell, moment: moment.into(), time: date });
        }
        _ => {}
    }
}

/// What is shown by a mimebundle; with a display id, it updates as well where it was shown before.
fn displayed(cell: usize, msg_type: &str, mut content: Map<String, Value>, mut tell: impl FnMut(Event)) {
    let (data, metadata) = (object(content.remove("data")), object(content.remove("metadata")));
    let display_id = content.get("transient").and_then(|it| it.get("display_id")).and_then(Value::as_str);
    let is_update = msg_type == "update_display_data";
    if let Some(display_id) = display_id {
        let (data, metadata, display_id) = match is_update {
            true => return tell(Event::UpdateDisplay { display_id: display_id.into(), data, metadata }),
            false => (data.clone(), metadata.clone(), display_id.to_owned()),
        };
        tell(Event::UpdateDisplay { display_id, data, metadata });
    }
    if is_update {
        return;
    }
    let mut output = Map::new();
    output.insert("data".into(), data.into());
    if msg_type == "execute_result" {
        let count = content.get("execution_count").cloned().unwrap_or_default();
        output.insert("execution_count".into(), count);
    }
    output.insert("metadata".into(), metadata.into());
    output.insert("output_type".into(), msg_type.into());
    tell(Event::Output { cell, output: output.into(), display_id: display_id.map(str::to_owned) });
}

fn object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}
