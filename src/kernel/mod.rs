//! Kernels: found, installed, started, spoken to over ZeroMQ.

mod child;
mod client;
pub mod launch;
pub mod message;
pub mod search_path;
pub mod spec;

pub use client::{Incoming, Kernel, KernelStart, Transport};
