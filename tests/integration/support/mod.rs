//! What the tests of several nouns need.

pub mod s3;
//! Real things to test against.

pub mod mlflow;
