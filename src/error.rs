//! One error type for the whole of Bindery.
//!
//! An [`Error`] keeps two things apart: what a person outside may read (kind, message, field errors) and
//! the source, which only logs see. It knows nothing of HTTP or of exit codes: `api/error.rs` and
//! `cli/mod.rs` translate the kind, each in one place.

use std::error::Error as StdError;
use std::fmt;

/// `Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing went wrong, as far as a caller may want to act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A name, path, query or configuration value that can never be accepted as it stands.
    BadInput,
    /// The thing named does not exist.
    NotFound,
    /// The thing exists already, or is in a state that forbids the request.
    Conflict,
    /// More bytes than the configured limit.
    TooLarge,
    /// The bytes are not a notebook at all (not JSON, or JSON of another kind).
    NotANotebook,
    /// It is a notebook or a parameter, but a faulty one.
    Invalid,
    /// A signature or credential that is missing, wrong or out of date.
    Forbidden,
    /// A system around us (object store, database, disk, MLflow) cannot be used now.
    Unavailable,
    /// The kernel could not be started, or died, or never answered.
    Kernel,
    /// A fault of ours.
    Internal,
}

/// One fault in one place of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Where: a JSON path such as `cells[3].outputs[0].output_type`, or a field's name.
    pub field: String,
    /// What is wrong there, and what would be right.
    pub message: String,
}

/// An error with a public text and a private cause.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    fields: Vec<FieldError>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

macro_rules! constructors {
    ($($(#[$meta:meta])* $name:ident => $kind:ident;)*) => {
        $($(#[$meta])*
        pub fn $name(message: impl Into<String>) -> Self {
            Self::new(ErrorKind::$kind, message)
        })*
    };
}

impl Error {
    /// An error of `kind`; `message` is public: lower case, no full stop, with what to do next.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), fields: Vec::new(), source: None }
    }

    constructors! {
        /// See [`ErrorKind::BadInput`].
        bad_input => BadInput;
        /// See [`ErrorKind::NotFound`].
        not_found => NotFound;
        /// See [`ErrorKind::Conflict`].
        conflict => Conflict;
        /// See [`ErrorKind::TooLarge`].
        too_large => TooLarge;
        /// See [`ErrorKind::NotANotebook`].
        not_a_notebook => NotANotebook;
        /// See [`ErrorKind::Invalid`].
        invalid => Invalid;
        /// See [`ErrorKind::Forbidden`].
        forbidden => Forbidden;
        /// See [`ErrorKind::Unavailable`].
        unavailable => Unavailable;
        /// See [`ErrorKind::Kernel`].
        kernel => Kernel;
        /// See [`ErrorKind::Internal`].
        internal => Internal;
    }

    /// Adds the cause, which is logged but never shown to a client.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds one fault in one place.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.fields.push(FieldError { field: field.into(), message: message.into() });
        self
    }

    /// Adds many.
    #[must_use]
    pub fn with_fields(mut self, fields: impl IntoIterator<Item = FieldError>) -> Self {
        self.fields.extend(fields);
        self
    }

    /// The same error in a part of the input: its fields are fields of that part.
    #[must_use]
    pub fn within(mut self, part: &str) -> Self {
        for fault in &mut self.fields {
            fault.field = match fault.field.as_str() {
                "" => part.to_owned(),
                field => format!("{part}.{field}"),
            };
        }
        self
    }

    /// What kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The public text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The faults by place; empty when the message says it all.
    pub fn fields(&self) -> &[FieldError] {
        &self.fields
    }

    /// The chain of private causes as one line, for logs and for a shell user's own machine.
    pub fn cause(&self) -> Option<String> {
        let mut text = String::new();
        let mut next: Option<&(dyn StdError + 'static)> = self.source.as_deref().map(|e| e as _);
        while let Some(error) = next {
            let line = error.to_string();
            if !text.ends_with(&line) {
                if !text.is_empty() {
                    text.push_str(": ");
                }
                text.push_str(&line);
            }
            next = error.source();
        }
        (!text.is_empty()).then_some(text)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        for field in &self.fields {
            write!(formatter, "\n  {}: {}", field.field, field.message)?;
        }
        Ok(())
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}
