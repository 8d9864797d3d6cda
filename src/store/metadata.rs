//! What is kept beside a template's bytes, and the form it takes in an object store's headers.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::error::{Error, Result};

/// The longest description, in bytes of its percent-encoded form. S3 gives all user metadata of an object
/// 2 KB; the folder store keeps to the same limit, so that templates can move between stores.
pub const MAX_ENCODED_DESCRIPTION: usize = 1800;

/// Spaces are encoded as well: headers lose those at the ends, and signatures fold those in a row.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'"').add(b'\\');

/// What the uploader says about a template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateMetadata {
    description: String,
}

impl TemplateMetadata {
    /// Metadata with a description, which may be empty and may hold any text.
    ///
    /// # Errors
    /// `BadInput` when the description is too long for an object store's headers.
    pub fn new(description: impl Into<String>) -> Result<Self> {
        let description = description.into();
        let length = encode(&description).len();
        if length > MAX_ENCODED_DESCRIPTION {
            return Err(Error::bad_input(format!(
                "the description is too long: {length} bytes once percent-encoded, allowed are \
                 {MAX_ENCODED_DESCRIPTION} (about {MAX_ENCODED_DESCRIPTION} plain letters); shorten it"
            )));
        }
        Ok(Self { description })
    }

    /// The description.
    pub fn description(&self) -> &str {
        &self.description
    }
}

/// A description as a header value: ASCII only.
pub(super) fn encode(description: &str) -> Cow<'_, str> {
    utf8_percent_encode(description, ENCODED).into()
}

/// The reverse of [`encode`]; what other tools wrote without encoding stays as it is.
pub(super) fn decode(value: &str) -> String {
    percent_decode_str(value).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_survives_a_header() {
        for text in [
            "",
            "plain",
            " two  spaces ",
            "100 % sure",
            "été — 機械学習 🚀",
            "a\r\nX-Evil: 1\t\0",
            "\"q\" \\ %41",
        ] {
            let header = encode(text);
            assert!(header.is_ascii() && !header.contains(|c: char| c.is_control() || c == ' '), "{header}");
            assert_eq!(decode(&header), text);
        }
    }

    #[test]
    fn text_of_other_tools_is_left_alone() {
        assert_eq!(decode("100% sure"), "100% sure");
        assert_eq!(decode("Trains a model"), "Trains a model");
    }

    #[test]
    fn a_description_that_no_object_store_holds_is_refused() {
        assert!(TemplateMetadata::new("x".repeat(MAX_ENCODED_DESCRIPTION)).is_ok());
        assert!(TemplateMetadata::new("字".repeat(200)).is_ok());
        let error = TemplateMetadata::new("字".repeat(201)).unwrap_err();
        assert!(error.message().contains("1809 bytes"), "{error}");
    }
}
