//! Tests against real things, one module per noun.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod mlflow;
mod support;
