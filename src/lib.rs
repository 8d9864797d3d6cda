//! Bindery runs parameterised Jupyter notebooks as production jobs.

pub mod cli;
pub mod db;
pub mod engine;
pub mod error;
pub mod execution;
pub mod kernel;
pub mod notebook;

pub use error::{Error, ErrorKind, Result};
