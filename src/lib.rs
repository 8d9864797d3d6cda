//! Bindery runs parameterised Jupyter notebooks as production jobs.

pub mod error;

pub use error::{Error, ErrorKind, Result};
