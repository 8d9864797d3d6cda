//! Workflows: notebooks as steps that need each other, and sweeps, which are workflows of one step.
//!
//! Pure: what a person writes is read and checked here, expressions are evaluated here, and nothing is run. A
//! [`Workflow`] that exists can be begun; what has become of its steps is the engine's to know.

pub mod check;
pub mod definition;
pub mod expression;
pub mod fault;
pub mod graph;
mod order;
pub mod parse;
pub mod sweep;

pub use definition::{ForEach, Retries, Step, StepParameters, StepSource, Workflow};
pub use expression::{Context, Needs};
pub use fault::{Fault, Places};
pub use graph::{Graph, graph};
pub use parse::parse;
pub use sweep::{SweepPlan, SweepRequest};
