//! What the tests of several nouns need.

pub mod s3;
