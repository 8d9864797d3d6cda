//! Real things to test against, for the tests of several nouns.

pub mod emulators;
pub mod engine;
pub mod gateways;
pub mod mlflow;
pub mod postgres;
pub mod s3;
pub mod server;
