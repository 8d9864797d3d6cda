//! Messages as they go over a gateway's websocket: in parts (`v1.kernel.websocket.jupyter.org`), or as one JSON object,
//! which is all that older Enterprise Gateways know.
//!
//! Both are described in Jupyter Server's documentation ("WebSocket kernel wire protocols"). Nothing is signed: the
//! gateway does that.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::error::{Error, Result};
use crate::kernel::message::Parts;

/// The subprotocol in which messages come in parts.
pub(super) const V1: &str = "v1.kernel.websocket.jupyter.org";
/// The length of a number in it, in bytes; the low ones first.
const NUMBER: usize = 8;
/// Header, parent header, metadata and content.
const FIXED_PARTS: usize = 4;

/// How messages are put into frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    V1,
    Json,
}

/// A message and the channel that it came on.
pub(super) struct Received {
    pub(super) channel: String,
    pub(super) parts: Parts,
}

impl Framing {
    /// A request for the channel `shell`.
    pub(super) fn write(self, header: &Value, content: &Value) -> Frame {
        match self {
            Self::Json => Frame::text(
                json!({"channel": "shell", "header": header, "parent_header": {}, "metadata": {},
                    "content": content, "buffers": []})
                .to_string(),
            ),
            Self::V1 => {
                let parts =
                    ["shell".into(), header.to_string(), "{}".into(), "{}".into(), content.to_string()];
                // The number of offsets, the offsets (of each part, and of the end), the parts.
                let count = parts.len() + 1;
                let mut at = NUMBER * (1 + count);
                let mut frame = (count as u64).to_le_bytes().to_vec();
                frame.extend((at as u64).to_le_bytes());
                for part in &parts {
                    at += part.len();
                    frame.extend((at as u64).to_le_bytes());
                }
                parts.iter().for_each(|part| frame.extend(part.as_bytes()));
                Frame::binary(frame)
            }
        }
    }

    /// Reads a frame; `None` for one that holds no message (ping, pong).
    ///
    /// # Errors
    /// `Kernel` when it is not what the framing asks for.
    pub(super) fn read(self, frame: Frame) -> Result<Option<Received>> {
        let read = match (self, frame) {
            (Self::V1, Frame::Binary(bytes)) => read_v1(&bytes),
            (Self::Json, Frame::Binary(bytes)) => read_json_with_buffers(&bytes),
            (_, Frame::Text(text)) => read_json(Bytes::from(text), Vec::new()),
            _ => return Ok(None),
        };
        read.map(Some).ok_or_else(|| Error::kernel("the gateway sent what is no message"))
    }
}

fn read_v1(frame: &Bytes) -> Option<Received> {
    let number = |at: usize| {
        let bytes = frame.get(at * NUMBER..(at + 1) * NUMBER)?;
        usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let count = number(0)?;
    // Each offset takes room of its own.
    if count > frame.len() / NUMBER {
        return None;
    }
    let offsets: Vec<usize> = (1..=count).map(number).collect::<Option<_>>()?;
    let mut parts = offsets.windows(2).map(|pair| {
        let (start, end) = (pair[0], pair[1]);
        (start <= end && end <= frame.len()).then(|| frame.slice(start..end))
    });
    let channel = String::from_utf8(parts.next()??.to_vec()).ok()?;
    let parts: Vec<Bytes> = parts.collect::<Option<_>>()?;
    if parts.len() < FIXED_PARTS {
        return None;
    }
    let mut parts = parts.into_iter();
    let [header, parent, _metadata, content] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    Some(Received { channel, parts: Parts { header, parent, content, buffers: parts.collect() } })
}

#[derive(Deserialize)]
struct JsonFrame<'a> {
    #[serde(default)]
    channel: Option<String>,
    #[serde(borrow)]
    header: &'a RawValue,
    #[serde(borrow, default)]
    parent_header: Option<&'a RawValue>,
    #[serde(borrow)]
    content: &'a RawValue,
}

fn read_json(text: Bytes, buffers: Vec<Bytes>) -> Option<Received> {
    let frame: JsonFrame = serde_json::from_slice(&text).ok()?;
    let part = |raw: &RawValue| text.slice_ref(raw.get().as_bytes());
    let parts = Parts {
        header: part(frame.header),
        parent: frame.parent_header.map_or_else(Bytes::new, part),
        content: part(frame.content),
        buffers,
    };
    Some(Received { channel: frame.channel.unwrap_or_default(), parts })
}

/// The number of parts, the offset of each, the parts: first the JSON, then the buffers. Numbers have four bytes, the
/// high ones first.
fn read_json_with_buffers(frame: &Bytes) -> Option<Received> {
    const SHORT: usize = 4;
    let number = |at: usize| {
        let bytes = frame.get(at * SHORT..(at + 1) * SHORT)?;
        usize::try_from(u32::from_be_bytes(bytes.try_into().ok()?)).ok()
    };
    let count = number(0)?;
    if count > frame.len() / SHORT {
        return None;
    }
    let mut offsets: Vec<usize> = (1..=count).map(number).collect::<Option<_>>()?;
    offsets.push(frame.len());
    let mut parts = offsets.windows(2).map(|pair| {
        let (start, end) = (pair[0], pair[1]);
        (start <= end && end <= frame.len()).then(|| frame.slice(start..end))
    });
    let text = parts.next()??;
    read_json(text, parts.collect::<Option<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(received: &Received) -> [String; 3] {
        let parts = &received.parts;
        [&parts.header, &parts.parent, &parts.content].map(|part| String::from_utf8(part.to_vec()).unwrap())
    }

    #[test]
    fn what_is_written_reads_back_in_both_framings() {
        let (header, content) = (json!({"msg_id": "1"}), json!({"code": "é"}));
        for framing in [Framing::V1, Framing::Json] {
            let received = framing.read(framing.write(&header, &content)).unwrap().unwrap();
            assert_eq!(received.channel, "shell");
            assert_eq!(texts(&received), [r#"{"msg_id":"1"}"#, "{}", r#"{"code":"é"}"#]);
            assert!(received.parts.buffers.is_empty());
        }
    }

    #[test]
    fn buffers_come_behind_the_message() {
        let parts: [&[u8]; 7] = [b"iopub", b"{\"a\":1}", b"{}", b"{}", b"{\"b\":2}", b"one", b""];
        let mut at = NUMBER * (2 + parts.len());
        let mut frame = (parts.len() as u64 + 1).to_le_bytes().to_vec();
        frame.extend((at as u64).to_le_bytes());
        for part in parts {
            at += part.len();
            frame.extend((at as u64).to_le_bytes());
        }
        parts.iter().for_each(|part| frame.extend(*part));
        let received = Framing::V1.read(Frame::binary(frame)).unwrap().unwrap();
        assert_eq!(received.channel, "iopub");
        assert_eq!(received.parts.buffers, [Bytes::from_static(b"one"), Bytes::new()]);

        let text = br#"{"channel": "iopub", "header": {"a": 1}, "parent_header": {}, "content": {"b": 2}}"#;
        let mut frame = 2u32.to_be_bytes().to_vec();
        frame.extend(12u32.to_be_bytes());
        frame.extend((12 + text.len() as u32).to_be_bytes());
        frame.extend(text);
        frame.extend(b"one");
        let received = Framing::Json.read(Frame::binary(frame)).unwrap().unwrap();
        assert_eq!(texts(&received), [r#"{"a": 1}"#, "{}", r#"{"b": 2}"#]);
        assert_eq!(received.parts.buffers, [Bytes::from_static(b"one")]);
    }

    #[test]
    fn nonsense_is_refused_and_does_not_panic() {
        let whole = match Framing::V1.write(&json!({}), &json!({})) {
            Frame::Binary(bytes) => bytes,
            frame => panic!("{frame:?}"),
        };
        for length in 0..whole.len() - 2 {
            assert!(Framing::V1.read(Frame::binary(whole.slice(..length))).is_err(), "{length}");
        }
        for nonsense in [&b"\xff\xff\xff\xff\xff\xff\xff\xff\xff"[..], b"", b"<html>"] {
            for framing in [Framing::V1, Framing::Json] {
                assert!(framing.read(Frame::binary(nonsense.to_vec())).is_err());
            }
        }
        assert!(Framing::Json.read(Frame::text("{}")).is_err());
        assert!(Framing::V1.read(Frame::Ping(Bytes::new())).unwrap().is_none());
    }
}
