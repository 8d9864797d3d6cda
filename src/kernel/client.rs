//! A kernel and the line to it: started, asked, listened to, ended.
//!
//! Two tasks read the shell and iopub sockets into one inbox, so that nothing is left in a socket whose
//! sender would drop it; what the engine has not taken yet waits in our memory, not in the kernel's.

use std::path::Path;
use std::time::Duration;

use hmac::Mac as _;
use jupyter_zmq_client::connection::{
    ClientControlConnection, ConnectionInfo, DealerRecvConnection, DealerSendConnection,
};
use jupyter_zmq_client::{CommId, CommMsg, ExecuteRequest, JupyterMessage, KernelInfoRequest};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use zeromq::{SocketRecv, ZmqError};

use super::child::{KernelChild, KernelGroup, describe_exit};
use super::connection::{connect, connection_info, runtime_folder, write_connection_file};
use super::inbox::{Inbox, Wanted, Writer};
use super::launch::LaunchCommand;
use super::limits::{Exceeded, LimitWatch};
use super::message::{Message, Signature};
use super::remote::CaughtUp;
use super::spec::{InterruptMode, Transport};
use super::start_fault::{died_at_start, lost_a_port, never_answered};
use crate::error::{Error, Result};

/// How often a kernel is started when somebody else takes its ports.
const PORT_TRIES: usize = 3;
/// How long messages that are still on their way are waited for after a kernel's death.
pub(super) const LAST_WORDS: Duration = Duration::from_millis(100);

/// What a kernel is started with.
#[derive(Debug)]
pub struct KernelStart<'a> {
    /// The kernel's name, for messages.
    pub name: &'a str,
    /// How it wants to be interrupted.
    pub interrupt_mode: InterruptMode,
    /// How to reach it.
    pub transport: Transport,
    /// The working folder.
    pub cwd: &'a Path,
    /// Variables on top of the kernelspec's.
    pub env: &'a [(String, String)],
    /// How long the kernel may take to answer for the first time.
    pub start_timeout: Duration,
}

/// What a kernel sent, or its end.
#[derive(Debug)]
pub enum Incoming {
    /// Broadcast: outputs and states.
    Iopub(Message),
    /// The answer to a request.
    Shell(Message),
    /// A message that cannot be read; its content is lost.
    Unreadable {
        /// Whether it was the answer to a request, which nothing else will be.
        is_reply: bool,
        /// What is wrong with it.
        why: String,
    },
    /// Its processes took more than they may. They are being killed; after too much processor time, they go on.
    OverLimit(Exceeded),
    /// The process has ended; how, in words. Nothing follows.
    Died(String),
    /// Its gateway cannot be reached any more; why, in words. Nothing follows.
    Lost(String),
    /// After a connection to its gateway that broke, all that it had sent before has come.
    CaughtUp(CaughtUp),
    /// What a reader of the notebook should know.
    Notice(String),
}

/// A kernel that has answered; it serves one execution. Dropping it kills its process group.
#[derive(Debug)]
pub struct LocalKernel {
    pub(super) child: KernelChild,
    shell: Shell,
    pub(super) control: Control,
    pub(super) inbox: Inbox,
    readers: [AbortHandle; 2],
    pub(super) interrupt_mode: InterruptMode,
    info: Map<String, Value>,
    pub(super) dead: bool,
    pub(super) limits: Option<LimitWatch>,
    /// Whether [`Incoming::OverLimit`] was given.
    told_of_limit: bool,
    /// Holds the connection file and the sockets; goes with the kernel.
    pub(super) folder: TempDir,
}

/// The sockets' types have no `Debug` of their own.
struct Shell(DealerSendConnection);
pub(super) struct Control(pub(super) ClientControlConnection);

impl std::fmt::Debug for Shell {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Shell")
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Control")
    }
}

impl LocalKernel {
    /// Starts a kernel and waits until it answers. `command` is given the connection file's path.
    ///
    /// # Errors
    /// `Kernel` when it cannot be started, dies (with its last words), or does not answer in time.
    pub async fn start(
        start: KernelStart<'_>,
        mut command: impl FnMut(&Path) -> LaunchCommand,
    ) -> Result<Self> {
        let mut tries = match start.transport {
            Transport::Ipc => 1,
            Transport::Tcp => PORT_TRIES,
        };
        loop {
            tries -= 1;
            match Self::start_once(&start, &mut command).await {
                Err(error) if tries > 0 && lost_a_port(&error) => {
                    tracing::debug!(%error, "somebody else took a port of the kernel: others are tried");
                }
                started => return started,
            }
        }
    }

    async fn start_once(
        start: &KernelStart<'_>,
        command: &mut impl FnMut(&Path) -> LaunchCommand,
    ) -> Result<Self> {
        let deadline = Instant::now() + start.start_timeout;
        let folder = runtime_folder()?;
        let (info, listeners) = connection_info(start.name, start.transport, folder.path()).await?;
        let connection_file = write_connection_file(folder.path(), &info)?;
        let child = KernelChild::spawn(&command(&connection_file), start.cwd, start.env).await?;
        // Held until now so that nobody else takes the ports; the kernel binds them next.
        drop(listeners);
        Self::attach(child, folder, &info, start, deadline).await
    }

    /// Connects to a kernel that has been started, and waits until it answers.
    pub(super) async fn attach(
        child: KernelChild,
        folder: TempDir,
        info: &ConnectionInfo,
        start: &KernelStart<'_>,
        deadline: Instant,
    ) -> Result<Self> {
        let mut exit = child.exit();
        let connected = tokio::select! {
            connected = tokio::time::timeout_at(deadline, connect(info, folder.path())) => {
                connected.map(|connected| connected.map_err(Some))
            }
            _ = async { exit.wait_for(Option::is_some).await.map(drop) } => Ok(Err(None)),
        };
        let (shell, shell_receive, control, iopub) = match connected {
            Ok(Ok(connections)) => connections,
            Ok(Err(Some(error))) => return Err(error),
            Ok(Err(None)) => return Err(died_at_start(start.name, &child).await),
            Err(_) => return Err(never_answered(start, &child)),
        };

        let inbox = Inbox::default();
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let signature = Signature::new_from_slice(info.key.as_bytes()).expect("a key of any length");
        let iopub =
            tokio::spawn(read(iopub.socket, signature.clone(), inbox.writer(), Incoming::Iopub, false))
                .abort_handle();
        let DealerRecvConnection { socket, .. } = shell_receive;
        let shell_reader =
            tokio::spawn(read(socket, signature, inbox.writer(), Incoming::Shell, true)).abort_handle();
        let mut kernel = Self {
            child,
            shell: Shell(shell),
            control: Control(control),
            inbox,
            readers: [iopub, shell_reader],
            interrupt_mode: start.interrupt_mode,
            info: Map::new(),
            dead: false,
            limits: None,
            told_of_limit: false,
            folder,
        };
        match tokio::time::timeout_at(deadline, kernel.greet()).await {
            Ok(Ok(info)) => kernel.info = info,
            Ok(Err(())) => return Err(died_at_start(start.name, &kernel.child).await),
            Err(_) => return Err(never_answered(start, &kernel.child)),
        }
        Ok(kernel)
    }

    /// Whether its process has not ended.
    pub fn lives(&self) -> bool {
        self.child.exit().borrow().is_none()
    }

    /// Its processes, to be held and let go.
    pub fn group(&self) -> KernelGroup {
        self.child.group()
    }

    pub(super) fn pid(&self) -> i32 {
        self.child.pid()
    }

    /// The content of the kernel's `kernel_info_reply`.
    pub fn info(&self) -> &Map<String, Value> {
        &self.info
    }

    /// Sends code to be executed; the id is the parent of all that follows from it.
    ///
    /// # Errors
    /// `Kernel` when the message cannot be sent.
    pub async fn execute(&mut self, code: &str, stop_on_error: bool) -> Result<String> {
        let request = ExecuteRequest { code: code.into(), stop_on_error, ..ExecuteRequest::default() };
        self.send(request.into()).await
    }

    /// Executes code that is no cell, and waits until all is done; gives the `execution_count` of the answer.
    ///
    /// # Errors
    /// `Kernel` when it raises an exception, the kernel dies, or it takes longer than `patience`.
    pub(super) async fn execute_silently(&mut self, code: &str, patience: Duration) -> Result<Option<u64>> {
        let request = ExecuteRequest {
            code: code.into(),
            silent: true,
            store_history: false,
            ..ExecuteRequest::default()
        };
        let request = self.send(request.into()).await?;
        let (mut reply, mut idle) = (None, false);
        let deadline = Instant::now() + patience;
        while reply.is_none() || !idle {
            let incoming = tokio::time::timeout_at(deadline, self.next()).await;
            match incoming.map_err(|_| Error::kernel("the kernel takes too long"))? {
                Incoming::Shell(message) if message.parent_id.as_deref() == Some(&request) => {
                    if message.text("status") != "ok" {
                        return Err(Error::kernel(format!("the kernel answered {}", message.text("evalue"))));
                    }
                    reply = Some(message.content.get("execution_count").and_then(Value::as_u64));
                }
                Incoming::Iopub(message) if message.parent_id.as_deref() == Some(&request) => {
                    idle |= message.text("execution_state") == "idle";
                }
                Incoming::Died(how) => return Err(Error::kernel(format!("the kernel died: {how}"))),
                _ => {}
            }
        }
        Ok(reply.flatten())
    }

    /// The next thing that the kernel sent. After [`Incoming::Died`] it repeats that for ever. Cancel safe.
    pub async fn next(&mut self) -> Incoming {
        let mut exit = self.child.exit();
        let mut exceeded = self.limits.as_ref().filter(|_| !self.told_of_limit).map(LimitWatch::exceeded);
        loop {
            if self.dead {
                let status = *exit.borrow();
                // Messages sent before the death may still be on their way through the readers.
                return match tokio::time::timeout(LAST_WORDS, self.inbox.next()).await {
                    Ok(Some(incoming)) => incoming,
                    _ => Incoming::Died(status.map_or_else(|| "an unknown end".into(), describe_exit)),
                };
            }
            tokio::select! {
                biased;
                limit = hit(&mut exceeded) => {
                    self.told_of_limit = true;
                    return Incoming::OverLimit(limit);
                }
                // `None` when both sockets are closed; the exit follows.
                Some(incoming) = self.inbox.next() => return incoming,
                _ = exit.wait_for(Option::is_some) => self.dead = true,
            }
        }
    }

    /// Tells the kernel what an Output widget shows, as a front end does. The code that reads it runs after the
    /// cell that is running, if it runs at all: nothing is waited for.
    pub async fn update_widget(&mut self, comm_id: String, outputs: Value) {
        let data = json!({"method": "update", "state": {"outputs": outputs}, "buffer_paths": []});
        let data = data.as_object().cloned().unwrap_or_default();
        if let Err(error) = self.send(CommMsg { comm_id: CommId(comm_id), data }.into()).await {
            tracing::debug!(%error, "a widget of the kernel cannot be updated");
        }
    }

    async fn send(&mut self, message: JupyterMessage) -> Result<String> {
        let id = message.header.msg_id.clone();
        self.shell.0.send(message).await.map_err(|error| {
            Error::kernel("the kernel does not take messages any more").with_source(error)
        })?;
        Ok(id)
    }

    /// Asks who the kernel is until both the answer and a broadcast have come: only then is the
    /// subscription to iopub known to be in place, and no output can be missed.
    async fn greet(&mut self) -> Result<Map<String, Value>, ()> {
        let (mut info, mut heard) = (None, false);
        loop {
            self.send(KernelInfoRequest {}.into()).await.map_err(drop)?;
            let again = Instant::now() + Duration::from_millis(if info.is_some() { 50 } else { 1000 });
            loop {
                match tokio::time::timeout_at(again, self.next()).await {
                    Ok(Incoming::Shell(message)) if message.msg_type == "kernel_info_reply" => {
                        info = Some(message.content);
                    }
                    Ok(Incoming::Iopub(_)) => heard = true,
                    Ok(Incoming::Died(_)) => return Err(()),
                    Ok(_) => {}
                    Err(_) => break,
                }
                if heard && let Some(info) = info.take() {
                    return Ok(info);
                }
            }
        }
    }
}

impl Drop for LocalKernel {
    fn drop(&mut self) {
        self.readers.iter().for_each(AbortHandle::abort);
    }
}

/// Comes back with the limit that was exceeded; never when none is watched.
async fn hit(exceeded: &mut Option<watch::Receiver<Option<Exceeded>>>) -> Exceeded {
    if let Some(exceeded) = exceeded
        && let Ok(hit) = exceeded.wait_for(Option::is_some).await
        && let Some(hit) = *hit
    {
        return hit;
    }
    std::future::pending().await
}

async fn read<S: SocketRecv>(
    mut socket: S,
    signature: Signature,
    inbox: Writer,
    wrap: fn(Message) -> Incoming,
    is_reply: bool,
) {
    loop {
        let message = match socket.recv().await {
            Ok(message) => match inbox.wants() {
                Wanted::Nothing => continue,
                wanted => {
                    let without_outputs = wanted != Wanted::All;
                    match Message::read(message.into_vec(), &signature, without_outputs, inbox.longest())
                        .transpose()
                    {
                        Some(read) => read,
                        None => continue,
                    }
                }
            },
            Err(ZmqError::NoMessage) => return,
            // The kernel has gone; its exit is seen elsewhere.
            Err(error) => {
                tracing::debug!(%error, "a kernel's socket was closed");
                return;
            }
        };
        let incoming = match message {
            Ok(message) => wrap(message),
            Err(error) => {
                tracing::warn!(%error, cause = error.cause(), "a message of the kernel was left out");
                Incoming::Unreadable { is_reply, why: error.message().to_owned() }
            }
        };
        inbox.push(incoming);
    }
}
