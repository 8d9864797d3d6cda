//! A kernel that a zygote forked: a process that this one did not start, but has adopted.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

/// Has this process adopt what its descendants leave behind, forked kernels among it.
pub(super) fn adopt_orphans() -> std::io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(Into::into)
}

/// How long an ended process is left in the system's table. To take it out while its threads are going has the system
/// spin until they are gone, for milliseconds (`shrink_dcache_parent`).
const REAP_AFTER: Duration = Duration::from_millis(50);

/// A receiver that turns to the exit status of an adopted process when it has ended; in the end nothing is left of the
/// process.
pub(super) fn watch_exit(pid: Pid) -> std::io::Result<watch::Receiver<Option<ExitStatus>>> {
    let process = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
    #[expect(unsafe_code, reason = "tokio has no safe way to wait for a descriptor of ours")]
    // SAFETY: the descriptor is owned by the `AsyncFd` alone, so it stays open and the same until that is dropped.
    let process = unsafe { AsyncFd::register(process) }?;
    let (exited, exit) = watch::channel(None);
    tokio::spawn(async move {
        let status = wait(&process).await;
        let _ = exited.send(Some(status));
        tokio::time::sleep(REAP_AFTER).await;
        // An error means that it is no child of ours.
        let _ =
            waitid(WaitId::PidFd(process.get_ref().as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    });
    Ok(exit)
}

async fn wait(process: &AsyncFd<OwnedFd>) -> ExitStatus {
    loop {
        let Ok(mut ready) = process.readable().await else { return ExitStatus::from_raw(0) };
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::PidFd(process.get_ref().as_fd()), look) {
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
    // Not `getsid`: the session of a process whose leader is outside of its pid namespace, as in a container, is 0,
    // which is no `Pid`.
    let Some((_, own_session)) = state_and_session("self") else { return Vec::new() };
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    let children =
        tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let pids: Vec<String> =
        children.flat_map(|pids| pids.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    pids.into_iter()
        .filter(|pid| {
            state_and_session(pid).is_some_and(|(state, session)| state == "Z" && session != own_session)
        })
        .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        .collect()
}

/// Two fields of a process in `/proc`.
fn state_and_session(pid: &str) -> Option<(String, String)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which may hold anything: state, parent, group, session.
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    let state = fields.next()?.to_owned();
    Some((state, fields.nth(2)?.to_owned()))
}
