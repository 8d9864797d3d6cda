//! A kernel is held to limits, no longer listened to, interrupted, asked to end, killed.

use std::path::PathBuf;
use std::time::Duration;

use jupyter_zmq_client::{InterruptRequest, JupyterMessage, ShutdownRequest};

use super::client::LocalKernel;
use super::connection::connection_file;
use super::limits::{Exceeded, LimitWatch};
use super::spec::InterruptMode;
use crate::execution::ResourceLimits;

/// How long a killed process group may take to be gone.
const KILL_GRACE: Duration = Duration::from_secs(5);

impl LocalKernel {
    /// Holds the kernel and all that it starts to `limits` from now on. `marks` are variables that its processes were
    /// started with.
    pub async fn limit(&mut self, limits: ResourceLimits, marks: Vec<(String, String)>) {
        self.limits = Some(LimitWatch::start(self.pid(), limits, marks).await);
    }

    /// The limit that its processes have exceeded, looked at now.
    pub async fn over_limit(&self) -> Option<Exceeded> {
        self.limits.as_ref()?.look().await
    }

    /// Reads of a stream's text no more than about so many bytes of a message ([`Message::is_cut`]).
    ///
    /// [`Message::is_cut`]: super::message::Message::is_cut
    pub fn cut_texts_at(&self, bytes: u64) {
        self.inbox.cut_at(usize::try_from(bytes).unwrap_or(usize::MAX));
    }

    /// Leaves all that the kernel puts out from now on unread.
    pub fn drop_outputs(&self) {
        self.inbox.drop_outputs();
    }

    /// Leaves all that the kernel says from now on unread: it is somebody else who speaks with it. Its end is still told.
    pub fn drop_all(&self) {
        self.inbox.drop_all();
    }

    /// The file by which others can connect to it, as `jupyter console --existing` does.
    pub fn connection_file(&self) -> PathBuf {
        connection_file(self.folder.path())
    }

    /// Asks the running code to stop, in the way that the kernelspec names.
    pub async fn interrupt(&mut self) {
        match self.interrupt_mode {
            InterruptMode::Signal => self.child.interrupt(),
            InterruptMode::Message => {
                let request = JupyterMessage::new(InterruptRequest {}, None);
                if let Err(error) = self.control.0.send(request).await {
                    tracing::warn!(%error, "the kernel cannot be asked to interrupt");
                }
            }
        }
    }

    /// Asks the kernel's process group to end (SIGTERM).
    pub fn terminate(&self) {
        self.child.terminate();
    }

    /// Kills the kernel and all that it started.
    pub fn kill(&self) {
        self.child.kill();
        self.limits.iter().for_each(LimitWatch::kill);
    }

    /// The last lines that the kernel wrote past the protocol.
    pub fn last_words(&self) -> Vec<String> {
        self.child.tail()
    }

    /// Ends the kernel: asked first, so that its exit handlers run, and killed with all that it started when it
    /// has not gone within `grace`.
    pub async fn shutdown(mut self, grace: Duration) {
        if !self.dead {
            let request = JupyterMessage::new(ShutdownRequest { restart: false }, None);
            let asked = tokio::time::timeout(Duration::from_secs(1), self.control.0.send(request)).await;
            if matches!(asked, Ok(Ok(()))) && !self.child.ends_within(grace).await {
                tracing::warn!("the kernel did not end when asked: killing it");
            }
        }
        // Also after a good end: what the notebook started in the background goes with its kernel.
        self.kill();
        self.child.ends_within(KILL_GRACE).await;
    }
}
