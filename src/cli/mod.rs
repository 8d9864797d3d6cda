//! The command line.

pub mod kernels;
