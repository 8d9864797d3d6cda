//! The integration tests: one binary, one module per noun.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod kernels;
