//! A kernel that has answered and waits for its lease.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use jupyter_zmq_client::connection::ConnectionInfo;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde::{Deserialize, Serialize};
use serde_json::Map;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant;

use super::super::child::KernelChild;
use super::super::client::{KernelStart, LocalKernel};
use super::super::connection::{connection_info, runtime_folder, write_connection_file};
use super::super::spec::Transport;
use super::super::start_fault::{died_at_start, never_answered};
use super::moving;
use super::zygote::Zygote;
use crate::error::{Error, Result};

/// How long a kernel may take to take its lease; it has nothing else to do.
const LEASE_PATIENCE: Duration = Duration::from_secs(2);

/// A kernel that runs, knows nobody's folder yet, and can be had once.
#[derive(Debug)]
pub(super) struct ReadyKernel {
    kernel: LocalKernel,
    lease: Lease,
}

/// How a kernel learns its execution's folder and variables.
#[derive(Debug)]
enum Lease {
    /// It listens for them.
    Socket(UnixStream),
    /// By source of its language, which did not count as a cell when the kernel was made ready: then `In` was this.
    Source { language: String, count: Option<u64> },
}

/// What an execution brings to its kernel.
#[derive(Debug, Serialize)]
pub(super) struct Terms<'a> {
    pub(super) cwd: &'a Path,
    pub(super) set: Map<String, serde_json::Value>,
    pub(super) unset: Vec<&'a str>,
}

#[derive(Deserialize)]
struct Taken {
    error: Option<String>,
}

/// A kernel's folder with the files by which a forked kernel is reached, before it is forked.
struct Reach {
    lease: UnixListener,
    out: pipe::Receiver,
    err: pipe::Receiver,
}

impl Reach {
    fn in_folder(folder: &Path) -> std::io::Result<Self> {
        let fifo = |name: &str| {
            let path = folder.join(name);
            mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
            pipe::OpenOptions::new().open_receiver(&path)
        };
        Ok(Self { lease: UnixListener::bind(folder.join("lease"))?, out: fifo("out")?, err: fifo("err")? })
    }
}

/// A kernel that has just been forked.
#[derive(Debug)]
pub(super) struct ForkedKernel {
    child: KernelChild,
    lease: UnixListener,
    info: ConnectionInfo,
    folder: TempDir,
}

impl ForkedKernel {
    /// Has `zygote` fork a kernel. `arguments` makes ipykernel's arguments, given the connection file.
    pub(super) async fn fork(
        zygote: &mut Zygote,
        start: &KernelStart<'_>,
        arguments: impl FnOnce(&Path) -> Vec<OsString>,
    ) -> Result<Self> {
        let folder = runtime_folder()?;
        let (info, _) = connection_info(start.name, Transport::Ipc, folder.path()).await?;
        let connection_file = write_connection_file(folder.path(), &info)?;
        let Reach { lease, out, err } = Reach::in_folder(folder.path())
            .map_err(|error| Error::unavailable("a kernel's folder cannot be made").with_source(error))?;
        let pid = zygote.fork(folder.path(), &arguments(&connection_file)).await?;
        let child = KernelChild::adopt(pid, out, err)?;
        Ok(Self { child, lease, info, folder })
    }

    /// Waits until it answers.
    pub(super) async fn ready(self, start: &KernelStart<'_>) -> Result<ReadyKernel> {
        let Self { child, lease, info, folder } = self;
        let deadline = Instant::now() + start.start_timeout;
        let mut exit = child.exit();
        let lease = tokio::select! {
            accepted = lease.accept() => {
                accepted.map_err(|error| Error::kernel("a forked kernel cannot be reached").with_source(error))?.0
            }
            () = async { exit.wait_for(Option::is_some).await.map(drop).unwrap_or_default() } => return Err(died_at_start(start.name, &child).await),
            () = tokio::time::sleep_until(deadline) => return Err(never_answered(start, &child)),
        };
        let kernel = LocalKernel::attach(child, folder, &info, start, deadline).await?;
        Ok(ReadyKernel { kernel, lease: Lease::Socket(lease) })
    }
}

impl ReadyKernel {
    /// Whether its process runs.
    pub(super) fn lives(&self) -> bool {
        self.kernel.lives()
    }

    pub(super) fn pid(&self) -> i32 {
        self.kernel.pid()
    }

    /// Takes a kernel that was started as any other, in a folder that is nobody's; `None` when it cannot be moved from
    /// there unseen.
    pub(super) async fn moved_by_source(mut kernel: LocalKernel, language: &str, cwd: &Path) -> Option<Self> {
        let source = moving::source(language, cwd, &Map::new(), &[])?;
        let first = kernel.execute_silently(&source, LEASE_PATIENCE).await.ok()?;
        let count = kernel.execute_silently(&source, LEASE_PATIENCE).await.ok()?;
        (first == count)
            .then(|| Self { kernel, lease: Lease::Source { language: language.to_owned(), count } })
    }

    /// Gives the kernel its folder and variables; from now on it is its execution's.
    pub(super) async fn lease(mut self, terms: &Terms<'_>) -> Result<LocalKernel> {
        let refused = || Error::kernel("a ready kernel did not take its lease");
        match &mut self.lease {
            Lease::Socket(socket) => match tokio::time::timeout(LEASE_PATIENCE, tell(socket, terms)).await {
                Ok(Ok(Taken { error: None })) => {}
                Ok(Ok(Taken { error: Some(error) })) => {
                    return Err(Error::kernel(format!("a ready kernel cannot work in its folder: {error}")));
                }
                Ok(Err(error)) => return Err(refused().with_source(error)),
                Err(_) => return Err(Error::kernel("a ready kernel does not answer")),
            },
            Lease::Source { language, count } => {
                let source =
                    moving::source(language, terms.cwd, &terms.set, &terms.unset).ok_or_else(refused)?;
                if self.kernel.execute_silently(&source, LEASE_PATIENCE).await? != *count {
                    return Err(Error::kernel("a ready kernel counted its lease as a cell"));
                }
            }
        }
        Ok(self.kernel)
    }
}

async fn tell(socket: &mut UnixStream, terms: &Terms<'_>) -> std::io::Result<Taken> {
    let mut line = serde_json::to_vec(terms)?;
    line.push(b'\n');
    socket.write_all(&line).await?;
    let mut answer = String::new();
    BufReader::new(socket).read_line(&mut answer).await?;
    Ok(serde_json::from_str(&answer)?)
}
