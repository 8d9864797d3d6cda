//! The integration tests: one binary, one module per noun.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail, and helpers belong to the tests"
)]

mod api;
mod cancel;
mod cli;
mod cluster;
mod crash;
mod crash_rounds;
mod database;
mod executions;
mod floors;
mod flows;
mod full_disk;
mod gateways;
mod kept_kernels;
mod kernels;
mod languages;
mod limits;
mod mlflow;
mod notebook;
mod output_limit;
mod parity;
mod schedules;
mod starter_templates;
mod store;
mod store_root;
mod support;
mod tracking;
mod warm;
