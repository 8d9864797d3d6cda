//! The process that forks IPython kernels (`ipykernel_launcher.py` tells how).

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::AbortHandle;

use super::super::child::{die_with_parent, keep_tail, spawn_from_lasting_thread, tail_text};
use super::super::connection::runtime_folder;
use super::super::launch::LaunchCommand;
use super::launcher;
use crate::error::{Error, Result};

/// How long the imports may take.
const IMPORT_PATIENCE: Duration = Duration::from_secs(60);
/// How long one fork may take.
const FORK_PATIENCE: Duration = Duration::from_secs(10);
/// The room for the variables that mark a forked kernel where the system reads those of a process.
const ROOM: usize = 4096;

/// A process that has imported what an IPython kernel needs, and forks kernels. Dropping it ends it; its kernels live on.
#[derive(Debug)]
pub(super) struct Zygote {
    child: Child,
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    tail: Arc<Mutex<VecDeque<String>>>,
    tail_reader: Option<AbortHandle>,
    next_id: u64,
    /// Holds the program.
    _folder: TempDir,
}

#[derive(Deserialize)]
struct Hello {
    ready: bool,
    error: Option<String>,
}

#[derive(Serialize)]
struct Request<'a> {
    id: u64,
    folder: &'a Path,
    argv: Vec<&'a str>,
    parent: u32,
}

#[derive(Deserialize)]
struct Answer {
    id: u64,
    pid: Option<i32>,
    error: Option<String>,
}

/// Why there is no zygote.
#[derive(Debug)]
pub(super) enum NoZygote {
    /// The kernel is not one of ipykernel's launcher.
    OtherKernel,
    /// There cannot be one for this kernel, for a reason in words.
    Unfit(String),
    /// It could not be started this time.
    Failed(Error),
}

impl Zygote {
    /// Starts the zygote of the kernels that `command` starts, with `preload` imported, and without the variables of
    /// `hidden`. Waits until it has imported everything.
    pub(super) async fn start(
        command: &LaunchCommand,
        preload: &[String],
        hidden: &[&'static str],
    ) -> std::result::Result<Self, NoZygote> {
        let Some(parts) = launcher::ipython_command(command) else {
            return Err(NoZygote::OtherKernel);
        };
        super::super::forked::adopt_orphans().map_err(|error| {
            NoZygote::Unfit(format!("this system does not let orphans be adopted: {error}"))
        })?;
        let folder = runtime_folder().map_err(NoZygote::Failed)?;
        let script = launcher::write(folder.path()).map_err(NoZygote::Failed)?;
        let mut process = Command::new(&command.program);
        process
            .args(parts.flags)
            .arg(script)
            .arg("--zygote")
            .args(preload)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for name in command.env_remove.iter().chain(hidden) {
            process.env_remove(name);
        }
        process.envs(command.env.iter().map(|(name, value)| (name, value)));
        process.env("JPY_PARENT_PID", std::process::id().to_string());
        process.env("BINDERY_ZYGOTE_ROOM", "-".repeat(ROOM));
        die_with_parent(&mut process);
        let mut child = spawn_from_lasting_thread(process).await.map_err(|error| {
            NoZygote::Failed(Error::kernel("its interpreter cannot be started").with_source(error))
        })?;
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let tail_reader = keep_tail(child.stderr.take(), &tail);
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(NoZygote::Failed(Error::internal("the zygote has no pipes")));
        };
        let mut zygote = Self {
            child,
            requests,
            answers: BufReader::new(answers).lines(),
            tail,
            tail_reader,
            next_id: 0,
            _folder: folder,
        };
        let line = tokio::time::timeout(IMPORT_PATIENCE, zygote.answers.next_line()).await;
        match line {
            Ok(Ok(Some(line))) => match serde_json::from_str(&line) {
                Ok(Hello { ready: true, .. }) => Ok(zygote),
                Ok(Hello { error, .. }) => Err(NoZygote::Unfit(error.unwrap_or_default())),
                Err(_) => Err(NoZygote::Unfit(format!("its imports print: {line}"))),
            },
            Ok(_) => Err(NoZygote::Unfit(format!("it ended: {}", tail_text(&zygote.tail)))),
            Err(_) => {
                Err(NoZygote::Unfit(format!("its imports take more than {} s", IMPORT_PATIENCE.as_secs())))
            }
        }
    }

    /// Whether it has not ended.
    pub(super) fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Forks a kernel that takes its named pipes, its connection file and the socket of its lease from `folder`.
    ///
    /// # Errors
    /// `Kernel` when it will not, or has ended. After an error or when dropped half-way, the zygote must not be used
    /// again: its answer may still come.
    pub(super) async fn fork(&mut self, folder: &Path, arguments: &[OsString]) -> Result<Pid> {
        self.next_id += 1;
        let argv = arguments.iter().filter_map(|argument| argument.to_str()).collect();
        let request = Request { id: self.next_id, folder, argv, parent: std::process::id() };
        let mut line = serde_json::to_vec(&request).map_err(|error| {
            Error::internal("a request to the zygote cannot be written").with_source(error)
        })?;
        line.push(b'\n');
        let gone = |error: std::io::Error| Error::kernel("the zygote has ended").with_source(error);
        self.requests.write_all(&line).await.map_err(gone)?;
        let answer = tokio::time::timeout(FORK_PATIENCE, self.answers.next_line()).await;
        let line = match answer {
            Ok(line) => line.map_err(gone)?,
            Err(_) => return Err(Error::kernel("the zygote does not answer")),
        };
        let Some(line) = line else {
            return Err(Error::kernel(format!("the zygote has ended: {}", tail_text(&self.tail))));
        };
        match serde_json::from_str(&line) {
            Ok(Answer { id, pid: Some(pid), .. }) if id == self.next_id => {
                Pid::from_raw(pid).ok_or_else(|| Error::kernel("the zygote forked nothing"))
            }
            Ok(Answer { error: Some(error), .. }) => {
                Err(Error::kernel(format!("the zygote does not fork: {error}")))
            }
            _ => Err(Error::kernel(format!("the zygote answered something else: {line}"))),
        }
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        self.tail_reader.iter().for_each(AbortHandle::abort);
    }
}
