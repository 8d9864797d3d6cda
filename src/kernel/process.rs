//! Running an installer: its output line by line, and its whole process group gone when the caller goes away.

use std::collections::VecDeque;
use std::fs::File;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

/// How many of the last lines are kept for an error's text.
const TAIL_LINES: usize = 12;

/// What a program left behind.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) status: ExitStatus,
    /// The last lines of its output, both streams together.
    pub(super) tail: Vec<String>,
}

/// Runs `command` in a process group of its own and gives each line of its output to `on_line`.
///
/// `stdin` is the lock file of the environment: the program and all that it starts inherit it, so the lock is held
/// until the last of them is gone, even when Bindery itself was killed. When the future is dropped, the group dies.
pub(super) async fn run(
    command: &mut Command,
    stdin: &File,
    on_line: &(dyn Fn(&str) + Sync),
) -> std::io::Result<Finished> {
    let mut child = command
        .stdin(stdin.try_clone()?)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let mut group = ProcessGroup::of(&child);
    let mut stdout = lines(child.stdout.take());
    let mut stderr = lines(child.stderr.take());
    let mut tail = VecDeque::new();
    let (mut stdout_open, mut stderr_open) = (true, true);
    let mut has_exited = false;
    // At its exit the rest of the group is killed: something left in the background would keep a pipe open.
    while !has_exited || stdout_open || stderr_open {
        let line = tokio::select! {
            biased;
            line = stdout.next(), if stdout_open => { stdout_open = line.is_some(); line }
            line = stderr.next(), if stderr_open => { stderr_open = line.is_some(); line }
            exited = child.wait(), if !has_exited => { exited?; has_exited = true; group.kill(); None }
        };
        if let Some(line) = line.filter(|line| !line.trim().is_empty() && !is_noise(line)) {
            on_line(&line);
            if tail.len() == TAIL_LINES {
                tail.pop_front();
            }
            tail.push_back(line);
        }
    }
    Ok(Finished { status: child.wait().await?, tail: tail.into() })
}

/// pip says this of each package that the lock holds for another Python or system.
fn is_noise(line: &str) -> bool {
    line.starts_with("Ignoring ") && line.contains(": markers ")
}

/// Kills what is left of a group when it goes out of scope.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(id.cast_signed())))
    }

    /// Once only: the number may belong to another group later.
    fn kill(&mut self) {
        if let Some(group) = self.0.take() {
            // An error means that nothing is left of it.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The lines of a stream. What was read of the next line is kept here, so that `next` can be cancelled.
struct Lines<R> {
    stream: Option<BufReader<R>>,
    line: Vec<u8>,
}

fn lines<R: AsyncRead + Unpin>(stream: Option<R>) -> Lines<R> {
    Lines { stream: stream.map(BufReader::new), line: Vec::new() }
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// The next line without its end, `None` at the end or when the stream breaks.
    async fn next(&mut self) -> Option<String> {
        let read = self.stream.as_mut()?.read_until(b'\n', &mut self.line).await;
        if read.is_err() || self.line.is_empty() {
            return None;
        }
        let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
        self.line.clear();
        Some(line)
    }
}
