//! A kernel that a zygote forked: a process that this one did not start, but has adopted.

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

/// Has this process adopt what its descendants leave behind, forked kernels among it.
pub(super) fn adopt_orphans() -> std::io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(Into::into)
}

/// A receiver that turns to the exit status of an adopted process when it has ended; takes the status, so that
/// nothing is left of the process.
pub(super) fn watch_exit(pid: Pid) -> std::io::Result<watch::Receiver<Option<ExitStatus>>> {
    let process = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
    #[expect(unsafe_code, reason = "tokio has no safe way to wait for a descriptor of ours")]
    // SAFETY: the descriptor is owned by the `AsyncFd` alone, so it stays open and the same until that is dropped.
    let process = unsafe { AsyncFd::register(process) }?;
    let (exited, exit) = watch::channel(None);
    tokio::spawn(async move {
        let status = wait(&process).await;
        let _ = exited.send(Some(status));
    });
    Ok(exit)
}

async fn wait(process: &AsyncFd<OwnedFd>) -> ExitStatus {
    loop {
        let Ok(mut ready) = process.readable().await else { return ExitStatus::from_raw(0) };
        match waitid(
            WaitId::PidFd(std::os::fd::AsFd::as_fd(process.get_ref())),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        ) {
            Ok(Some(status)) => {
                let code = status.exit_status().map_or(0, |code| (code & 0xff) << 8);
                return ExitStatus::from_raw(status.terminating_signal().unwrap_or(code));
            }
            Ok(None) => ready.clear_ready(),
            // It is no child of ours: then nobody can tell how it ended.
            Err(_) => return ExitStatus::from_raw(0),
        }
    }
}

/// Takes the statuses of ended processes that were left to this one: what a kernel started and outlived it.
///
/// Only those of other sessions, which nobody here waits for, and which had ended when this was called before.
#[derive(Debug, Default)]
pub(super) struct StrayReaper {
    seen: Vec<Pid>,
}

impl StrayReaper {
    pub(super) fn reap(&mut self) {
        let ended = ended_children_of_other_sessions();
        for pid in ended.iter().filter(|pid| self.seen.contains(pid)) {
            // An error means that it was waited for meanwhile.
            let _ = waitid(WaitId::Pid(*pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        }
        self.seen = ended;
    }
}

fn ended_children_of_other_sessions() -> Vec<Pid> {
    let own_session = rustix::process::getsid(None).ok();
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    let children =
        tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let pids: Vec<i32> = children
        .flat_map(|pids| pids.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    pids.into_iter()
        .filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // After the name, which may hold anything: state, parent, group, session.
            let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
            let ended = fields.next() == Some("Z");
            let session = fields.nth(2).and_then(|field| field.parse().ok()).and_then(Pid::from_raw);
            ended && session != own_session
        })
        .filter_map(Pid::from_raw)
        .collect()
}
