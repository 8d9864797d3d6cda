//! Real things to test against.

pub mod mlflow;
