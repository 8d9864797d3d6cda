//! Bindery runs parameterised Jupyter notebooks as production jobs.

pub mod api;
pub mod cli;
pub mod config;
pub mod convert;
pub mod db;
pub mod engine;
pub mod error;
pub mod execution;
pub mod flow;
pub mod kernel;
pub mod mlflow;
pub mod notebook;
pub mod queue;
#[cfg(feature = "evcxr")]
pub mod rust_kernel;
pub mod schedule;
pub mod store;
pub mod workflow;

pub use error::{Error, ErrorKind, Result};
