//! What a gateway knows us by.

use reqwest::header::HeaderValue;

use crate::error::{Error, Result};

/// What a gateway lets in. It is sent in a header, and is in no text of ours.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token as it stands in a file or a variable: without the white space around it. `None` when nothing is left.
    ///
    /// # Errors
    /// `BadInput` when it has characters that no header has.
    pub fn new(text: &str) -> Result<Option<Self>> {
        let text = text.trim();
        if text.chars().any(|it| !it.is_ascii_graphic()) {
            return Err(Error::bad_input(
                "the token of a kernel gateway has characters that no token has: it must be one word of ASCII",
            ));
        }
        Ok((!text.is_empty()).then(|| Self(text.to_owned())))
    }

    /// The value of the header `Authorization`.
    pub(super) fn header(&self) -> Result<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("token {}", self.0))
            .map_err(|error| Error::internal("a token cannot be sent").with_source(error))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// A text without it.
    pub(super) fn masked(&self, text: &str) -> String {
        text.replace(&self.0, "***")
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_word_and_shows_nowhere() {
        let token = Token::new(" s3cret\n").unwrap().unwrap();
        assert_eq!(token.header().unwrap().to_str().unwrap(), "token s3cret");
        assert_eq!((format!("{token:?}"), token.masked("no s3cret!")), ("***".into(), "no ***!".into()));
        assert_eq!(Token::new(" \n").unwrap(), None);
        assert!(Token::new("two words").is_err());
    }
}
