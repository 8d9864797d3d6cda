//! The HTTP service, over real connections.

mod bad_input;
mod executions;
mod flow;
mod service;
mod workflows;

use serde_json::Value;

/// The names of an object's fields, sorted.
fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}
