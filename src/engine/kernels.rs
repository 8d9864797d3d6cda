//! The use cases around kernel environments, for the ways in: list, install, check.

pub use crate::kernel::check::{CheckReport, check};
pub use crate::kernel::environment::{EnvironmentState, InstallOptions, InstallProgress, Installed, install};
pub use crate::kernel::listing::{KernelListing, KernelSource, list};
