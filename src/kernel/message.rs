//! A message of the Jupyter protocol, as far as an engine needs it.
//!
//! The content stays plain JSON: outputs go into the notebook with every mime type and field that the
//! kernel sent, in its order, which a typed form would not keep.

use std::borrow::Cow;

use bytes::Bytes;
use jupyter_zmq_client::connection::RawMessage;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

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
}

#[derive(Deserialize, Default)]
struct Header {
    #[serde(default)]
    msg_id: Option<String>,
    #[serde(default)]
    msg_type: String,
    #[serde(default)]
    date: String,
}

impl Message {
    /// Takes a message whose signature has been verified.
    ///
    /// # Errors
    /// `Kernel` when a part is not the JSON that the protocol asks for.
    pub fn decode(raw: RawMessage) -> Result<Self> {
        let mut parts = raw.jparts.into_iter();
        let mut part = || parts.next().unwrap_or_default();
        let (header, parent, _metadata, content) = (part(), part(), part(), part());
        let header: Header = decode_part("header", &header)?;
        let parent: Header = serde_json::from_slice(&parent).unwrap_or_default();
        Ok(Self {
            msg_type: header.msg_type,
            date: header.date,
            parent_id: parent.msg_id,
            content: decode_part("content", &content)?,
            buffers: parts.collect(),
        })
    }

    /// A text field of the content; empty when absent.
    pub fn text(&self, field: &str) -> &str {
        self.content.get(field).and_then(Value::as_str).unwrap_or_default()
    }
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

    #[test]
    fn bytes_that_are_no_utf8_are_replaced_and_lose_no_output() {
        let content: Map<String, Value> =
            decode_part("content", b"{\"name\":\"stdout\",\"text\":\"caf\xe9\\n\"}").unwrap();
        assert_eq!(content["text"], "caf\u{fffd}\n");
        assert!(decode_part::<Map<String, Value>>("content", b"{\"name\":").is_err());
    }
}
