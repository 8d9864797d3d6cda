//! Kernels: found, installed, started, spoken to over ZeroMQ; or started by a gateway, spoken to over its websocket.

pub mod check;
mod child;
mod client;
mod connection;
pub mod discovery;
mod ending;
pub mod environment;
mod face;
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
pub mod remote;
pub mod rust;
pub mod search_path;
pub mod shipped;
pub mod spec;
mod start_fault;
pub mod warm;

pub use child::KernelGroup;
pub use client::{Incoming, KernelStart, LocalKernel};
pub use face::Kernel;
pub use spec::Transport;
