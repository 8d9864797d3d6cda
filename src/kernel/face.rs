//! A kernel as the engine has it, on this machine or behind a gateway.
//!
//! What makes no sense behind a gateway is decided here: its processes are none of ours, so they are not held while a
//! lease is in doubt (nothing new is sent instead, see `remote/link.rs`), not counted against limits (such a request is
//! refused before), and not found by marks when they stay. Without its kernel a run may be gone on with by another
//! process: to be dropped is no end for such a kernel, only [`Kernel::shutdown`] and [`Kernel::kill`] are.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use super::child::KernelGroup;
use super::client::{Incoming, LocalKernel};
use super::limits::Exceeded;
use super::remote::RemoteKernel;
use crate::error::Result;
use crate::execution::ResourceLimits;

/// A kernel that has answered; it serves one execution.
#[derive(Debug)]
pub enum Kernel {
    /// On this machine. Dropping it kills its process group.
    Local(Box<LocalKernel>),
    /// Behind a gateway.
    Remote(Box<RemoteKernel>),
}

impl From<LocalKernel> for Kernel {
    fn from(kernel: LocalKernel) -> Self {
        Self::Local(Box::new(kernel))
    }
}

impl From<RemoteKernel> for Kernel {
    fn from(kernel: RemoteKernel) -> Self {
        Self::Remote(Box::new(kernel))
    }
}

impl Kernel {
    /// The kernel behind a gateway that this is, if so.
    pub fn remote(&self) -> Option<&RemoteKernel> {
        match self {
            Self::Local(_) => None,
            Self::Remote(kernel) => Some(kernel),
        }
    }

    /// Whether it has not ended, as far as is known.
    pub fn lives(&self) -> bool {
        match self {
            Self::Local(kernel) => kernel.lives(),
            Self::Remote(kernel) => kernel.lives(),
        }
    }

    /// Its processes, to be held and let go, where they are ours.
    pub fn group(&self) -> Option<KernelGroup> {
        match self {
            Self::Local(kernel) => Some(kernel.group()),
            Self::Remote(_) => None,
        }
    }

    /// The content of the kernel's `kernel_info_reply`; empty for one that was gone on with.
    pub fn info(&self) -> &Map<String, Value> {
        match self {
            Self::Local(kernel) => kernel.info(),
            Self::Remote(kernel) => kernel.info(),
        }
    }

    /// Sends a cell's code to be executed; the id is the parent of all that follows from it.
    ///
    /// # Errors
    /// `Kernel` when the message cannot be sent.
    pub async fn execute(&mut self, cell: usize, code: &str, stop_on_error: bool) -> Result<String> {
        match self {
            Self::Local(kernel) => kernel.execute(code, stop_on_error).await,
            Self::Remote(kernel) => kernel.execute(cell, code, stop_on_error),
        }
    }

    /// The next thing that the kernel sent. After [`Incoming::Died`] or [`Incoming::Lost`] it repeats that for ever. Cancel
    /// safe.
    pub async fn next(&mut self) -> Incoming {
        match self {
            Self::Local(kernel) => kernel.next().await,
            Self::Remote(kernel) => kernel.next().await,
        }
    }

    /// See [`LocalKernel::update_widget`].
    pub async fn update_widget(&mut self, comm_id: String, outputs: Value) {
        match self {
            Self::Local(kernel) => kernel.update_widget(comm_id, outputs).await,
            Self::Remote(kernel) => kernel.update_widget(&comm_id, outputs),
        }
    }

    /// Holds the kernel and all that it starts to `limits` from now on, where its processes are ours.
    pub async fn limit(&mut self, limits: ResourceLimits, marks: Vec<(String, String)>) {
        if let Self::Local(kernel) = self {
            kernel.limit(limits, marks).await;
        }
    }

    /// The limit that its processes have exceeded, looked at now.
    pub async fn over_limit(&self) -> Option<Exceeded> {
        match self {
            Self::Local(kernel) => kernel.over_limit().await,
            Self::Remote(_) => None,
        }
    }

    /// See [`LocalKernel::cut_texts_at`].
    pub fn cut_texts_at(&self, bytes: u64) {
        match self {
            Self::Local(kernel) => kernel.cut_texts_at(bytes),
            Self::Remote(kernel) => kernel.inbox.cut_at(usize::try_from(bytes).unwrap_or(usize::MAX)),
        }
    }

    /// Leaves all that the kernel puts out from now on unread.
    pub fn drop_outputs(&self) {
        match self {
            Self::Local(kernel) => kernel.drop_outputs(),
            Self::Remote(kernel) => kernel.inbox.drop_outputs(),
        }
    }

    /// Leaves all that the kernel says from now on unread; its end is still told.
    pub fn drop_all(&self) {
        match self {
            Self::Local(kernel) => kernel.drop_all(),
            Self::Remote(kernel) => kernel.inbox.drop_all(),
        }
    }

    /// The file by which others on this machine can connect to it; none to what is elsewhere.
    pub fn connection_file(&self) -> Option<PathBuf> {
        match self {
            Self::Local(kernel) => Some(kernel.connection_file()),
            Self::Remote(_) => None,
        }
    }

    /// Asks the running code to stop.
    pub async fn interrupt(&mut self) {
        match self {
            Self::Local(kernel) => kernel.interrupt().await,
            Self::Remote(kernel) => kernel.interrupt(),
        }
    }

    /// Asks the kernel to end (SIGTERM); a gateway ends it.
    pub fn terminate(&self) {
        match self {
            Self::Local(kernel) => kernel.terminate(),
            Self::Remote(kernel) => kernel.kill(),
        }
    }

    /// Kills the kernel and all that it started; a gateway ends it in its own way.
    pub fn kill(&self) {
        match self {
            Self::Local(kernel) => kernel.kill(),
            Self::Remote(kernel) => kernel.kill(),
        }
    }

    /// The run is another's now: kills what is ours. What is behind a gateway is the other's, too.
    pub fn give_up(&self) {
        match self {
            Self::Local(kernel) => kernel.kill(),
            Self::Remote(kernel) => kernel.leave(),
        }
    }

    /// The last lines that the kernel wrote past the protocol.
    pub fn last_words(&self) -> Vec<String> {
        match self {
            Self::Local(kernel) => kernel.last_words(),
            Self::Remote(_) => Vec::new(),
        }
    }

    /// Ends the kernel: asked first, so that its exit handlers run, and killed with all that it started when it
    /// has not gone within `grace`. A gateway has a grace of its own. False when it may still be there.
    pub async fn shutdown(self, grace: Duration) -> bool {
        match self {
            Self::Local(kernel) => {
                kernel.shutdown(grace).await;
                true
            }
            Self::Remote(kernel) => kernel.shutdown().await,
        }
    }
}
