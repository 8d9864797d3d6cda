//! Bindery runs parameterised Jupyter notebooks as production jobs.

pub mod error;
pub mod notebook;

pub use error::{Error, ErrorKind, Result};
