//! Kernels: found, installed, started, spoken to over ZeroMQ.

pub mod check;
mod child;
mod client;
mod connection;
pub mod discovery;
mod ending;
pub mod environment;
mod files;
mod forked;
mod inbox;
mod installer;
pub mod launch;
pub mod limits;
pub mod listing;
pub mod message;
pub mod orphans;
mod process;
mod python;
pub mod rust;
pub mod search_path;
pub mod shipped;
pub mod spec;
mod start_fault;
pub mod warm;

pub use child::KernelGroup;
pub use client::{Incoming, Kernel, KernelStart};
pub use spec::Transport;
