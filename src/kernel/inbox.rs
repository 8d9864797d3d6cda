//! What a kernel has sent and the engine has not taken yet.
//!
//! It has no bound: a kernel drops what its reader leaves in the socket. But texts of one stream that wait one behind
//! the other become one message, so that a flood of prints takes the room of its text and is recorded in few steps.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::Notify;

use super::client::Incoming;
use super::message::Message;

/// The engine's side.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    shared: Arc<Shared>,
}

/// The side of one socket's reader.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
}

/// What of a kernel's messages is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Wanted {
    #[default]
    All,
    NoOutputs,
    Nothing,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Incoming>,
    writers: usize,
    wanted: Wanted,
    longest: Option<usize>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    /// Another side to write from.
    pub(super) fn writer(&self) -> Writer {
        self.shared.state().writers += 1;
        Writer { shared: Arc::clone(&self.shared) }
    }

    /// The next thing; `None` when nothing waits and nobody can write any more. Cancel safe.
    pub(super) async fn next(&self) -> Option<Incoming> {
        loop {
            {
                let mut state = self.shared.state();
                if let Some(incoming) = state.waiting.pop_front() {
                    return Some(incoming);
                }
                if state.writers == 0 {
                    return None;
                }
            }
            self.shared.changed.notified().await;
        }
    }

    /// Takes no outputs from now on, and forgets those that wait.
    pub(super) fn drop_outputs(&self) {
        let mut state = self.shared.state();
        state.wanted = Wanted::NoOutputs;
        state.waiting.retain(|it| !matches!(it, Incoming::Iopub(message) if message.is_output()));
    }

    /// Takes of a stream's text no more than about so many bytes of a message.
    pub(super) fn cut_at(&self, bytes: usize) {
        self.shared.state().longest = Some(bytes);
    }

    /// Takes nothing from now on, and forgets what waits.
    pub(super) fn drop_all(&self) {
        let mut state = self.shared.state();
        state.wanted = Wanted::Nothing;
        state.waiting.clear();
    }
}

impl Writer {
    /// What needs to be read.
    pub(super) fn wants(&self) -> Wanted {
        self.shared.state().wanted
    }

    /// Of how many bytes of a stream's message more are not read.
    pub(super) fn longest(&self) -> usize {
        self.shared.state().longest.unwrap_or(usize::MAX)
    }

    pub(super) fn push(&self, incoming: Incoming) {
        let mut state = self.shared.state();
        let is_wanted = match state.wanted {
            Wanted::All => true,
            Wanted::NoOutputs => !matches!(&incoming, Incoming::Iopub(message) if message.is_output()),
            Wanted::Nothing => false,
        };
        if !is_wanted {
            return;
        }
        let rest = match (state.waiting.back_mut(), incoming) {
            (Some(Incoming::Iopub(last)), Incoming::Iopub(message)) => {
                append_stream(last, message).map(Incoming::Iopub)
            }
            (_, incoming) => Some(incoming),
        };
        state.waiting.extend(rest);
        drop(state);
        self.shared.changed.notify_one();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.state().writers -= 1;
        self.shared.changed.notify_one();
    }
}

/// Appends the text of `message` when it continues `last`, else gives it back.
fn append_stream(last: &mut Message, message: Message) -> Option<Message> {
    let continues = message.msg_type == "stream"
        && last.msg_type == "stream"
        && last.parent_id == message.parent_id
        && last.content.get("name") == message.content.get("name");
    match (last.content.get_mut("text"), message.content.get("text")) {
        (Some(Value::String(text)), Some(Value::String(more))) if continues => {
            text.push_str(more);
            last.is_cut |= message.is_cut;
            last.heard = message.heard.or(last.heard);
            None
        }
        _ => Some(message),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stream(parent: &str, name: &str, text: &str) -> Incoming {
        Incoming::Iopub(Message {
            msg_type: "stream".into(),
            date: String::new(),
            parent_id: Some(parent.into()),
            content: json!({"name": name, "text": text}).as_object().cloned().unwrap_or_default(),
            buffers: Vec::new(),
            is_cut: false,
            heard: None,
        })
    }

    #[tokio::test]
    async fn texts_of_one_stream_and_request_wait_as_one() {
        let inbox = Inbox::default();
        let writer = inbox.writer();
        for (parent, name, text) in [
            ("1", "stdout", "a"),
            ("1", "stdout", "b"),
            ("1", "stderr", "c"),
            ("2", "stderr", "d"),
            ("2", "stderr", "e"),
        ] {
            writer.push(stream(parent, name, text));
        }
        drop(writer);
        let mut texts = Vec::new();
        while let Some(Incoming::Iopub(message)) = inbox.next().await {
            texts.push(message.text("text").to_owned());
        }
        assert_eq!(texts, ["ab", "c", "de"]);
    }

    #[tokio::test]
    async fn outputs_that_nobody_wants_any_more_do_not_wait() {
        let inbox = Inbox::default();
        let writer = inbox.writer();
        let status = || {
            let Incoming::Iopub(message) = stream("1", "stdout", "") else { unreachable!() };
            Incoming::Iopub(Message { msg_type: "status".into(), ..message })
        };
        for incoming in [stream("1", "stdout", "a"), status(), stream("1", "stdout", "b")] {
            writer.push(incoming);
        }
        inbox.drop_outputs();
        assert_eq!(writer.wants(), Wanted::NoOutputs);
        writer.push(stream("1", "stdout", "c"));
        writer.push(status());
        drop(writer);
        let mut left = Vec::new();
        while let Some(Incoming::Iopub(message)) = inbox.next().await {
            left.push(message.msg_type);
        }
        assert_eq!(left, ["status", "status"]);
    }

    #[tokio::test]
    async fn who_waits_hears_of_what_comes_and_of_the_end() {
        let inbox = Inbox::default();
        let (one, other) = (inbox.writer(), inbox.writer());
        let writing = tokio::spawn(async move {
            tokio::task::yield_now().await;
            one.push(stream("1", "stdout", "a"));
            drop(one);
            tokio::task::yield_now().await;
            drop(other);
        });
        assert!(inbox.next().await.is_some());
        assert!(inbox.next().await.is_none());
        writing.await.unwrap();
    }
}
