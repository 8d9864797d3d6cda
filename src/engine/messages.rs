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
    message: &Message,
    request: &str,
) -> bool {
    let Some(parent) = message.parent_id.as_deref() else { return false };
    let Some(&cell) = parents.get(parent) else { return false };
    let state = message.text("execution_state");
    if message.msg_type.starts_with("comm_") {
        recording.apply(Event::Comm(comm(message, parents)));
        return false;
    }
    for event in events(cell, message) {
        recording.apply(event);
    }
    message.msg_type == "status" && state == "idle" && parent == request
}

fn comm(message: &Message, parents: &HashMap<String, usize>) -> CommMessage {
    let data = message.content.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
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

/// What a broadcast means for its cell.
fn events(cell: usize, message: &Message) -> Vec<Event> {
    let content = &message.content;
    let field = |name: &str| content.get(name).cloned().unwrap_or(Value::Null);
    let map = |name: &str| content.get(name).and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
    let display_id = content.get("transient").and_then(|it| it.get("display_id")).and_then(Value::as_str);
    let mut events = Vec::new();
    if let Some(count) = content.get("execution_count").and_then(Value::as_u64) {
        events.push(Event::ExecutionCount { cell, count });
    }
    let output = match message.msg_type.as_str() {
        "stream" => {
            json!({"name": message.text("name"), "output_type": "stream", "text": message.text("text")})
        }
        "display_data" => {
            json!({"data": map("data"), "metadata": map("metadata"), "output_type": "display_data"})
        }
        "execute_result" => json!({
            "data": map("data"), "execution_count": field("execution_count"), "metadata": map("metadata"),
            "output_type": "execute_result",
        }),
        "error" => json!({
            "ename": message.text("ename"), "evalue": message.text("evalue"), "output_type": "error",
            "traceback": strings(content.get("traceback")),
        }),
        "clear_output" => {
            let wait = content.get("wait").and_then(Value::as_bool).unwrap_or(false);
            events.push(Event::ClearOutput { cell, wait });
            return events;
        }
        "status" | "execute_input" => {
            let moment = match (message.msg_type.as_str(), message.text("execution_state")) {
                ("execute_input", _) => "iopub.execute_input",
                (_, "busy") => "iopub.status.busy",
                (_, "idle") => "iopub.status.idle",
                _ => return events,
            };
            if !message.date.is_empty() {
                events.push(timing(cell, moment, message));
            }
            return events;
        }
        "update_display_data" => {
            if let Some(display_id) = display_id {
                let (data, metadata) = (map("data"), map("metadata"));
                events.push(Event::UpdateDisplay { display_id: display_id.into(), data, metadata });
            }
            return events;
        }
        _ => return events,
    };
    // A display that is shown once more updates where it was shown before.
    if let Some(display_id) = display_id {
        events.push(Event::UpdateDisplay {
            display_id: display_id.into(),
            data: map("data"),
            metadata: map("metadata"),
        });
    }
    events.push(Event::Output { cell, output, display_id: display_id.map(str::to_owned) });
    events
}
