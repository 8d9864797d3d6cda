//! A message of the Jupyter protocol, as far as an engine needs it.
//!
//! The content stays plain JSON: outputs go into the notebook with every mime type and field that the
//! kernel sent, in its order, which a typed form would not keep.

use std::borrow::Cow;

use bytes::Bytes;
use hmac::{Hmac, Mac as _};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::error::{Error, Result};

/// What ends the routing addresses.
const DELIMITER: &[u8] = b"<IDS|MSG>";
/// Header, parent header, metadata and content: what is signed.
const SIGNED: usize = 4;

/// What puts out something, as against what tells how a request goes on.
const OUTPUTS: [&str; 9] = [
    "stream",
    "display_data",
    "execute_result",
    "update_display_data",
    "error",
    "clear_output",
    "comm_open",
    "comm_msg",
    "comm_close",
];

/// Checks signatures: HMAC-SHA256 with the connection's key. Part by part, without putting together a copy of them all,
/// as `jupyter-zmq-client` does, which for a large output is as much memory again.
pub(super) type Signature = Hmac<Sha256>;

/// A received message.
#[derive(Debug, Clone)]
pub struct Message {
    /// `header.msg_type`.
    pub msg_type: String,
    /// `header.date`, as the kernel spelled it; empty when it sent none.
    pub date: String,
    /// `parent_header.msg_id`: the request that this belongs to.
    pub parent_id: Option<String>,
    /// `content`.
    pub content: Map<String, Value>,
    /// Binary parts, for widgets.
    pub buffers: Vec<Bytes>,
    /// Whether a stream's text was so long that only its begin was read.
    pub is_cut: bool,
    /// Which it is, where a gateway is in between.
    pub heard: Option<HeardAt>,
}

/// Where a message is among those that came from a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, Deserialize)]
pub struct HeardAt {
    /// The how manieth frame it came in.
    pub arrival: u64,
    /// Which of the messages of its kernel it is, where that counts them.
    pub number: Option<u64>,
}

/// The parts of a message that are read.
pub(super) struct Parts {
    pub(super) header: Bytes,
    pub(super) parent: Bytes,
    pub(super) content: Bytes,
    pub(super) buffers: Vec<Bytes>,
}

/// What a header says, as far as it is read.
#[derive(Deserialize, Default)]
pub(super) struct Header {
    #[serde(default)]
    pub(super) msg_id: Option<String>,
    #[serde(default)]
    pub(super) msg_type: String,
    #[serde(default)]
    date: String,
    /// Who sent it.
    #[serde(default)]
    pub(super) session: String,
}

impl Message {
    /// Reads a message as it came over the wire (jupyter_client's `session.py`). One that only puts out something is
    /// left unread with `without_outputs`: then there is `None`. Of a stream's text whose content has more bytes than
    /// `longest`, about so many are read.
    ///
    /// # Errors
    /// `Kernel` when a part is missing, the signature is another's, or a part is not the JSON that the protocol asks
    /// for.
    pub(super) fn read(
        frames: Vec<Bytes>,
        signature: &Signature,
        without_outputs: bool,
        longest: usize,
    ) -> Result<Option<Self>> {
        let mut frames = frames.into_iter();
        if !frames.by_ref().any(|frame| frame == DELIMITER) {
            return Err(Error::kernel("the kernel sent what is no message"));
        }
        let sent = frames.next().unwrap_or_default();
        let signed: Vec<Bytes> = frames.by_ref().take(SIGNED).collect();
        // Before all else: a notebook that prints for ever sends a hundred megabytes in a message.
        if without_outputs
            && let Some(Ok(header)) = signed.first().map(|part| decode_part::<Header>("header", part))
            && header.is_output()
        {
            return Ok(None);
        }
        let mut expected = signature.clone();
        signed.iter().for_each(|part| expected.update(part));
        expected.verify_slice(&from_hex(&sent)).map_err(|error| {
            Error::kernel("the kernel sent a message without a valid signature").with_source(error)
        })?;
        let [header, parent, _metadata, content]: [Bytes; SIGNED] =
            signed.try_into().map_err(|_| Error::kernel("the kernel sent a message that lacks parts"))?;
        let parts = Parts { header, parent, content, buffers: frames.collect() };
        let header = parts.header()?;
        Self::decode(header, parts, longest).map(Some)
    }

    /// Reads what came with this header; of a long stream as [`Message::read`].
    ///
    /// # Errors
    /// `Kernel` when the content is not JSON.
    pub(super) fn decode(header: Header, parts: Parts, longest: usize) -> Result<Self> {
        let Parts { parent, content, buffers, .. } = parts;
        let parent: Header = serde_json::from_slice(&parent).unwrap_or_default();
        let begin = (header.msg_type == "stream" && content.len() > longest)
            .then(|| begin_of_stream(&content, longest))
            .flatten();
        let is_cut = begin.is_some();
        Ok(Self {
            is_cut,
            msg_type: header.msg_type,
            date: header.date,
            parent_id: parent.msg_id,
            content: begin.map_or_else(|| decode_part("content", &content), Ok)?,
            buffers,
            heard: None,
        })
    }

    /// Whether it only puts out something.
    pub(super) fn is_output(&self) -> bool {
        OUTPUTS.contains(&self.msg_type.as_str())
    }

    /// A text field of the content; empty when absent.
    pub fn text(&self, field: &str) -> &str {
        self.content.get(field).and_then(Value::as_str).unwrap_or_default()
    }
}

impl Parts {
    /// # Errors
    /// `Kernel` when it is not JSON.
    pub(super) fn header(&self) -> Result<Header> {
        decode_part("header", &self.header)
    }
}

impl Header {
    /// Whether such a message only puts out something.
    pub(super) fn is_output(&self) -> bool {
        OUTPUTS.contains(&self.msg_type.as_str())
    }
}

/// The content of a stream with about the first `length` bytes of its text, so that what has no room is not decoded,
/// which takes several times its size; `None` when its text is not what it ends with.
fn begin_of_stream(content: &[u8], length: usize) -> Option<Map<String, Value>> {
    let mut begin = content.get(..length)?;
    // Not in the middle of a character, nor of an escape, which has six bytes at most.
    let is_inside = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    while content.get(begin.len()).is_some_and(|next| is_inside(*next)) {
        begin = &begin[..begin.len() - 1];
    }
    (0..6)
        .find_map(|shorter| {
            let mut text = begin.get(..begin.len().checked_sub(shorter)?)?.to_vec();
            text.extend_from_slice(b"\"}");
            decode_part::<Map<String, Value>>("content", &text).ok()
        })
        .filter(|content| content.get("text").is_some_and(Value::is_string))
}

/// The bytes that pairs of hexadecimal digits stand for; none when they are no such.
fn from_hex(digits: &[u8]) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(byte).collect::<Option<_>>().unwrap_or_default()
}

/// Python writes text that holds bytes of another encoding (a file's name, say) as those bytes, which is no
/// UTF-8. `jupyter_client` reads them as U+FFFD, and so does this.
fn decode_part<T: serde::de::DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T> {
    let decoded = match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => serde_json::from_str(text),
        Cow::Owned(text) => serde_json::from_str(&text),
    };
    decoded.map_err(|error| {
        Error::kernel(format!("the kernel sent a message with a broken {name}")).with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature() -> Signature {
        Signature::new_from_slice(b"key").unwrap()
    }

    fn frames(sent: &str, parts: &[&'static str]) -> Vec<Bytes> {
        let mut frames = vec![Bytes::from_static(b"kernel.x.stream"), Bytes::from_static(DELIMITER)];
        frames.push(Bytes::copy_from_slice(sent.as_bytes()));
        frames.extend(parts.iter().map(|part| Bytes::from_static(part.as_bytes())));
        frames
    }

    #[test]
    fn only_what_is_signed_with_the_key_is_read() {
        // printf '%s' '{"msg_type":"stream"}{"msg_id":"1"}{}{"text":"a"}' | openssl dgst -sha256 -hmac key
        let sent = "9da02ee76832387d99d0f36b8d2626f9f3ea4d8f3274d58f719fbf9132925340";
        let parts = [r#"{"msg_type":"stream"}"#, r#"{"msg_id":"1"}"#, "{}", r#"{"text":"a"}"#, "buffer"];
        let read =
            |frames: Vec<Bytes>, signature: &Signature| Message::read(frames, signature, false, usize::MAX);
        let message = read(frames(sent, &parts), &signature()).unwrap().unwrap();
        assert_eq!((message.msg_type.as_str(), message.parent_id.as_deref()), ("stream", Some("1")));
        assert_eq!((message.text("text"), message.buffers.len()), ("a", 1));
        let other = Signature::new_from_slice(b"other").unwrap();
        assert!(read(frames(sent, &parts), &other).is_err());
        assert!(read(frames("", &parts), &signature()).is_err());
        assert!(read(frames("xyz", &parts), &signature()).is_err());
        assert!(read(frames(sent, &parts[..3]), &signature()).is_err());
        assert!(read(parts.map(Bytes::from).to_vec(), &signature()).is_err());
    }

    #[test]
    fn of_a_text_that_is_too_long_the_begin_is_read() {
        let content = r#"{"name": "stdout", "text": "aé\n\u001b\\zzzzzzzz"}"#.as_bytes();
        let text = |length: usize| {
            let content = begin_of_stream(content, length)?;
            content["text"].as_str().map(str::to_owned)
        };
        let whole = "aé\n\u{1b}\\zzzzzzzz";
        let start = content.windows(3).position(|bytes| bytes == "aé".as_bytes()).unwrap();
        for length in start..content.len() - 2 {
            let begin = text(length).unwrap();
            assert!(whole.starts_with(&begin), "{length}: {begin:?}");
            assert!(begin.len() + 6 >= (length - start).saturating_sub(6), "{length}: {begin:?}");
        }
        assert_eq!(text(5), None);
        let other_order = br#"{"text": "aaaaaaaaaaaaaaaaaaa", "name": "stdout"}"#;
        assert_eq!(begin_of_stream(other_order, 35), None);
    }

    #[test]
    fn outputs_that_nobody_wants_are_not_read() {
        let read = |header: &'static str| {
            Message::read(
                frames("", &[header, "{}", "{}", "what is no JSON"]),
                &signature(),
                true,
                usize::MAX,
            )
        };
        assert!(read(r#"{"msg_type":"stream"}"#).unwrap().is_none());
        assert!(read(r#"{"msg_type":"status"}"#).is_err());
    }

    #[test]
    fn bytes_that_are_no_utf8_are_replaced_and_lose_no_output() {
        let content: Map<String, Value> =
            decode_part("content", b"{\"name\":\"stdout\",\"text\":\"caf\xe9\\n\"}").unwrap();
        assert_eq!(content["text"], "caf\u{fffd}\n");
        assert!(decode_part::<Map<String, Value>>("content", b"{\"name\":").is_err());
    }
}
