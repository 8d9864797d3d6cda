//! A kernel's process: born in a session of its own, gone with all that it started.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;

use super::forked;
use super::launch::LaunchCommand;
use crate::error::{Error, Result};

/// How many of the last lines of a kernel's own output are kept for an error's text.
const TAIL_LINES: usize = 20;

/// A running kernel process. Dropping it kills the whole process group.
#[derive(Debug)]
pub(super) struct KernelChild {
    group: Pid,
    exit: watch::Receiver<Option<ExitStatus>>,
    tail: Arc<Mutex<VecDeque<String>>>,
    tail_readers: Vec<AbortHandle>,
}

impl KernelChild {
    /// Starts the process in `cwd` with the variables of the command and of `env`.
    pub(super) async fn spawn(launch: &LaunchCommand, cwd: &Path, env: &[(String, String)]) -> Result<Self> {
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.args)
            .current_dir(cwd)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for name in &launch.env_remove {
            command.env_remove(name);
        }
        for (name, value) in &launch.env {
            command.env(name, value);
        }
        command.envs(env.iter().map(|(name, value)| (name, value)));
        // ipykernel looks once a second whether this process is still its parent, and ends when not.
        command.env("JPY_PARENT_PID", std::process::id().to_string());
        die_with_parent(&mut command);
        let program = launch.program.to_string_lossy().into_owned();
        let mut child = spawn_from_lasting_thread(command).await.map_err(|error| {
            let name = Path::new(&program).file_name().unwrap_or_default().to_string_lossy();
            Error::kernel(format!("the kernel's program `{name}` cannot be started: {error}"))
                .with_source(std::io::Error::new(error.kind(), format!("{program}: {error}")))
        })?;
        let group = child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
            .ok_or_else(|| Error::kernel("the kernel's process ended as it was started"))?;
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let tail_readers = [keep_tail(child.stdout.take(), &tail), keep_tail(child.stderr.take(), &tail)];
        let tail_readers = tail_readers.into_iter().flatten().collect();
        let (exited, exit) = watch::channel(None);
        tokio::spawn(async move {
            let status = child.wait().await.unwrap_or_else(|_| ExitStatus::from_raw(0));
            let _ = exited.send(Some(status));
        });
        Ok(Self { group, exit, tail, tail_readers })
    }

    /// Takes over a kernel that a zygote has forked: a session of its own that this process has adopted.
    pub(super) fn adopt(
        pid: Pid,
        out: impl AsyncRead + Unpin + Send + 'static,
        err: impl AsyncRead + Unpin + Send + 'static,
    ) -> Result<Self> {
        let exit = forked::watch_exit(pid).map_err(|error| {
            // Nobody would hear of its end.
            let _ = kill_process_group(pid, Signal::KILL);
            Error::kernel("a forked kernel cannot be watched").with_source(error)
        })?;
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let tail_readers = [keep_tail(Some(out), &tail), keep_tail(Some(err), &tail)];
        Ok(Self { group: pid, exit, tail, tail_readers: tail_readers.into_iter().flatten().collect() })
    }

    pub(super) fn pid(&self) -> i32 {
        self.group.as_raw_nonzero().get()
    }

    /// A receiver that turns to the exit status when the process has ended.
    pub(super) fn exit(&self) -> watch::Receiver<Option<ExitStatus>> {
        self.exit.clone()
    }

    /// Whether it ends within `grace`.
    pub(super) async fn ends_within(&self, grace: Duration) -> bool {
        let mut exit = self.exit();
        tokio::time::timeout(grace, exit.wait_for(Option::is_some)).await.is_ok()
    }

    /// SIGINT to the process group, as a terminal's Ctrl-C.
    pub(super) fn interrupt(&self) {
        // An error means that nothing is left to interrupt.
        let _ = kill_process_group(self.group, Signal::INT);
    }

    /// SIGTERM to the process group.
    pub(super) fn terminate(&self) {
        // An error means that nothing is left to end.
        let _ = kill_process_group(self.group, Signal::TERM);
    }

    /// Its process group, for as long as the child lives.
    pub(super) fn group(&self) -> KernelGroup {
        KernelGroup { group: self.group, exit: self.exit() }
    }

    /// SIGKILL to the process group.
    pub(super) fn kill(&self) {
        // An error means that nothing is left to kill.
        let _ = kill_process_group(self.group, Signal::KILL);
    }

    /// The last lines that the process wrote past the protocol.
    pub(super) fn tail(&self) -> Vec<String> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// The process group of a kernel, to be held and let go.
#[derive(Debug)]
pub struct KernelGroup {
    group: Pid,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl KernelGroup {
    /// Stops every process of the group where it is (SIGSTOP).
    pub fn suspend(&self) {
        self.send(Signal::STOP);
    }

    /// Lets them go on (SIGCONT).
    pub fn resume(&self) {
        self.send(Signal::CONT);
    }

    fn send(&self, signal: Signal) {
        // Once it has ended, the number may be another's.
        if self.exit.borrow().is_none() {
            // An error means that nothing is left of it.
            let _ = kill_process_group(self.group, signal);
        }
    }
}

impl Drop for KernelChild {
    fn drop(&mut self) {
        self.kill();
        // What escaped the group may hold the pipes open for as long as it likes.
        self.tail_readers.iter().for_each(AbortHandle::abort);
    }
}

/// The last line that a process wrote, for the text of an error.
pub(super) fn tail_text(tail: &Mutex<VecDeque<String>>) -> String {
    let tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
    tail.back().cloned().unwrap_or_else(|| "it said nothing".into())
}

/// How a process ended, in words.
pub(super) fn describe_exit(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(9)) => {
            "signal 9, SIGKILL: killed from outside, or by the system for want of memory".into()
        }
        (None, Some(11)) => "signal 11, SIGSEGV: a fault in native code".into(),
        (None, Some(6)) => "signal 6, SIGABRT: native code gave up".into(),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown end".into(),
    }
}

/// Puts the child into a session of its own and has the system kill it when Bindery dies, however it dies.
pub(super) fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let before_exec = move || {
        rustix::process::setsid()?;
        #[cfg(target_os = "linux")]
        {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have died before the line above: then nobody would send the signal.
            if rustix::process::getppid() != Some(parent) {
                return Err(std::io::Error::other("bindery ended"));
            }
        }
        Ok(())
    };
    #[expect(
        unsafe_code,
        reason = "the standard library offers no safe way to run code between fork and exec"
    )]
    // SAFETY: the closure makes system calls only; it neither allocates nor takes a lock on its normal path.
    unsafe {
        command.pre_exec(before_exec);
    }
}

/// Spawns from one thread that lives as long as the process: the death signal is sent when the *thread* that
/// spawned ends, and the runtime's own threads may come and go.
pub(super) async fn spawn_from_lasting_thread(mut command: Command) -> std::io::Result<Child> {
    type Job = Box<dyn FnOnce() + Send>;
    static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, jobs) = mpsc::channel::<Job>();
        // Should the thread not start, its receiver is dropped and every spawn reports it below.
        let _ = std::thread::Builder::new()
            .name("kernel-spawner".into())
            .spawn(move || jobs.into_iter().for_each(|job| job()));
        sender
    });
    let (answer, spawned) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    let job = Box::new(move || {
        let _runtime = runtime.enter();
        let _ = answer.send(command.spawn());
    });
    let gone = |_| std::io::Error::other("the thread that starts kernels has ended");
    spawner.send(job).map_err(|_| gone(()))?;
    spawned.await.map_err(|_| gone(()))?
}

pub(super) fn keep_tail(
    stream: Option<impl AsyncRead + Unpin + Send + 'static>,
    tail: &Arc<Mutex<VecDeque<String>>>,
) -> Option<AbortHandle> {
    let stream = stream?;
    let tail = Arc::clone(tail);
    let reading = tokio::spawn(async move {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            // Bounded, so that a kernel that writes without line ends cannot fill our memory.
            let mut bounded = tokio::io::AsyncReadExt::take(&mut reader, 4096);
            match bounded.read_until(b'\n', &mut line).await {
                Ok(length) if length > 0 => {}
                _ => return,
            }
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if text.is_empty() {
                continue;
            }
            tracing::debug!(line = %text, "kernel wrote outside the protocol");
            let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            if tail.len() == TAIL_LINES {
                tail.pop_front();
            }
            tail.push_back(text);
        }
    });
    Some(reading.abort_handle())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_that_escapes_with_the_pipes_holds_no_task_of_ours() {
        let launch = LaunchCommand {
            program: "sh".into(),
            args: ["-c", "setsid sleep 20 & exit 0"].map(Into::into).into(),
            env: Vec::new(),
            env_remove: Vec::new(),
        };
        let child = KernelChild::spawn(&launch, std::path::Path::new("/"), &[]).await.unwrap();
        assert!(child.ends_within(Duration::from_secs(5)).await);
        drop(child);
        let metrics = tokio::runtime::Handle::current().metrics();
        let until = tokio::time::Instant::now() + Duration::from_secs(5);
        while metrics.num_alive_tasks() > 0 {
            assert!(tokio::time::Instant::now() < until, "a pipe is still read");
            tokio::task::yield_now().await;
        }
    }
}
