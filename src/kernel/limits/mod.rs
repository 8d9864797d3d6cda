//! What the processes of an execution may take of the machine, and the watch over it.
//!
//! How it is counted, for all processes of the execution together:
//!
//! - *Memory*: what they have in memory; of what they share, with one another or with the process that they were forked
//!   from, each has its part (PSS). Files on a tmpfs do not count unless they are mapped, or the system enforces.
//! - *Processor time*: of all their threads and of children that have ended.
//! - *Processes*: those that have not ended. Threads do not count.
//! - *Disk writes*: what was sent to storage (`write_bytes`), what was deleted again included. A tmpfs is no storage;
//!   but no file anywhere can become larger than the limit.
//!
//! Where this process may make a control group (`group`), it knows the execution's processes and kills them. The system
//! enforces the memory limit where it has the controller for it. Else they are looked at some times a second, which
//! takes a twentieth of a processor at most. `RLIMIT_NPROC` is not used: it counts the processes of a user, and all runs
//! are of one user.

mod group;
mod meter;
mod process;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::execution::ResourceLimits;
use group::Group;
use meter::Meter;

/// The time between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// The same when memory grows towards its limit.
const PRESSED_LOOK: Duration = Duration::from_millis(25);
/// Looking takes no more than this part of the time, unless memory grows.
const SHARE: u32 = 20;
const PRESSED_SHARE: u32 = 5;
/// So much more than the limit a single file may have: what is written at the limit itself is seen as too much first.
const FILE_SLACK: u64 = 1 << 20;

/// A limit that was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// [`ResourceLimits::max_memory`].
    Memory,
    /// [`ResourceLimits::max_cpu_time`].
    CpuTime,
    /// [`ResourceLimits::max_processes`].
    Processes,
    /// [`ResourceLimits::max_disk_writes`].
    DiskWrites,
}

impl Exceeded {
    /// Whether every moment makes it worse, so that nothing may be waited for.
    fn kills(self) -> bool {
        self != Self::CpuTime
    }
}

/// Watches the processes of one execution. Dropping it ends the watch, and kills what is in the execution's group.
#[derive(Debug)]
pub(super) struct LimitWatch {
    meter: Arc<Mutex<Meter>>,
    group: Option<Arc<Group>>,
    exceeded: watch::Receiver<Option<Exceeded>>,
    _watching: AbortOnDropHandle<()>,
}

impl LimitWatch {
    /// Watches over the kernel `pid`, the leader of a session, and all that it starts. `marks` are variables that its
    /// processes were started with.
    pub(super) async fn start(pid: i32, limits: ResourceLimits, marks: Vec<(String, String)>) -> Self {
        let prepared = tokio::task::spawn_blocking(move || {
            let group = Group::create(pid, &limits)
                .inspect_err(
                    |error| tracing::debug!(%error, "no control group can be made: processes are looked for"),
                )
                .ok();
            confine(pid, &limits, group, &marks)
        });
        // Should this process be so short of everything, the kernel is watched all the same.
        let (meter, group) = prepared.await.unwrap_or_else(|_| (Meter::new(limits, pid, None, &[]), None));
        let meter = Arc::new(Mutex::new(meter));
        let (exceed, exceeded) = watch::channel(None);
        let watching = AbortOnDropHandle::new(tokio::spawn(watch_over(Arc::clone(&meter), exceed)));
        Self { meter, group, exceeded, _watching: watching }
    }

    /// Turns to the limit that was exceeded. When it is not of processor time, everything is being killed.
    pub(super) fn exceeded(&self) -> watch::Receiver<Option<Exceeded>> {
        self.exceeded.clone()
    }

    /// The limit that was exceeded, by now.
    pub(super) async fn look(&self) -> Option<Exceeded> {
        let before = *self.exceeded.borrow();
        if before.is_some() {
            return before;
        }
        let meter = Arc::clone(&self.meter);
        tokio::task::spawn_blocking(move || look(&meter)).await.unwrap_or(None)
    }

    /// Kills all that is in the execution's group, if it has one.
    pub(super) fn kill(&self) {
        if let Some(group) = &self.group {
            group.kill();
        }
    }
}

/// Moves the kernel's processes into the group, and sets the limits that the system holds for each process.
fn confine(
    pid: i32,
    limits: &ResourceLimits,
    group: Option<Group>,
    marks: &[(String, String)],
) -> (Meter, Option<Arc<Group>>) {
    let mut meter = Meter::new(*limits, pid, None, marks);
    let processes = meter.processes();
    for process in &processes {
        set_backstops(process.pid, limits);
    }
    let group =
        group.filter(|group| processes.iter().filter(|it| it.lives).all(|it| group.add(it.pid).is_ok()));
    match group.map(Arc::new) {
        Some(group) => (Meter::new(*limits, pid, Some(Arc::clone(&group)), marks), Some(group)),
        None => (meter, None),
    }
}

/// For the case that nobody looks any more. None of them is what stops a run.
fn set_backstops(pid: i32, limits: &ResourceLimits) {
    let Some(pid) = Pid::from_raw(pid) else { return };
    let lower = |resource: Resource, value: u64| {
        // What it could raise again stays as it is.
        let hard = getrlimit(resource).maximum.map_or(value, |hard| hard.min(value));
        // An error means that it has gone, or is not ours to limit.
        let _ = prlimit(Some(pid), resource, Rlimit { current: Some(hard), maximum: Some(hard) });
    };
    if let Some(limit) = limits.max_cpu_time {
        lower(Resource::Cpu, meter::backstop(limit).as_secs().saturating_add(1));
    }
    if let Some(limit) = limits.max_disk_writes {
        lower(Resource::Fsize, limit.saturating_add(FILE_SLACK));
    }
}

async fn watch_over(meter: Arc<Mutex<Meter>>, exceed: watch::Sender<Option<Exceeded>>) {
    let mut pause = LOOK;
    loop {
        tokio::time::sleep(pause).await;
        let meter = Arc::clone(&meter);
        let looked = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let exceeded = look(&meter);
            let is_pressed = meter.lock().unwrap_or_else(PoisonError::into_inner).is_pressed();
            let took = begun.elapsed();
            let pause = match is_pressed {
                true => PRESSED_LOOK.max(took * PRESSED_SHARE),
                false => LOOK.max(took * SHARE),
            };
            (exceeded, pause)
        });
        match looked.await {
            Ok((None, next)) => pause = next,
            Ok((exceeded, _)) => {
                let _ = exceed.send(exceeded);
                return;
            }
            Err(_) => return,
        }
    }
}

fn look(meter: &Mutex<Meter>) -> Option<Exceeded> {
    let mut meter = meter.lock().unwrap_or_else(PoisonError::into_inner);
    let exceeded = meter.look();
    if exceeded.is_some_and(Exceeded::kills) {
        meter.kill();
    }
    exceeded
}
