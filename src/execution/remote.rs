//! A run whose kernel is behind a gateway, as another worker needs to know it.

use serde::{Deserialize, Serialize};

/// The names by which another process can go on with a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelHandle {
    /// The kernel's id at its gateway.
    pub kernel_id: String,
    /// The session under which the gateway keeps what the kernel sends.
    pub session_id: String,
    /// The kernel's own session, which another one has when it was restarted.
    #[serde(default)]
    pub kernel_session: Option<String>,
}

/// The kernel behind a gateway that runs an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteRun {
    /// The gateway's name in the configuration.
    pub gateway: String,
    /// The kernel.
    pub kernel: KernelHandle,
    /// How often another worker has gone on with it.
    #[serde(default)]
    pub taken_over: u32,
}
