//! What all processes of an execution take together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::super::orphans;
use super::Exceeded;
use super::group::Group;
use super::process::{self, Process};
use crate::execution::ResourceLimits;

/// Of no more processes than this, the largest, memory is measured exactly; what the others share is taken to be alike.
const MEASURED_EXACTLY: usize = 64;

/// A process by its number and its begin, which no other has.
type Identity = (i32, u64);

/// Measures the processes of one execution: those of its group where it has one; else those of its kernel's session,
/// what they have started, and what carries the execution's marks.
#[derive(Debug)]
pub(super) struct Meter {
    limits: ResourceLimits,
    /// Process, process group and session of the kernel.
    kernel: i32,
    group: Option<Arc<Group>>,
    /// Variables that its processes were started with, each `NAME=VALUE`.
    marks: Vec<Vec<u8>>,
    members: HashMap<Identity, Counted>,
    /// Processes that are known to be others.
    strangers: HashSet<Identity>,
    /// What those had taken that have ended without a parent who knows.
    gone: Counted,
    /// The part of its limit that the memory took last.
    pressure: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    parent: i32,
    ticks: u64,
    written: u64,
}

impl Meter {
    pub(super) fn new(
        limits: ResourceLimits,
        kernel: i32,
        group: Option<Arc<Group>>,
        marks: &[(String, String)],
    ) -> Self {
        let marks = marks.iter().map(|(name, value)| format!("{name}={value}").into_bytes()).collect();
        Self {
            limits,
            kernel,
            group,
            marks,
            members: HashMap::new(),
            strangers: HashSet::new(),
            gone: Counted::default(),
            pressure: 0.0,
        }
    }

    /// Whether memory is more than half way to its limit, so that a look should follow soon.
    pub(super) fn is_pressed(&self) -> bool {
        self.pressure > 0.5
    }

    /// The limit that is exceeded now, if any.
    pub(super) fn look(&mut self) -> Option<Exceeded> {
        if let Some(enforced) = self.group.as_ref().and_then(|group| group.enforced()) {
            return Some(enforced);
        }
        let processes = self.processes();
        let living = processes.iter().filter(|it| it.lives).count() as u64;
        if self.limits.max_processes.is_some_and(|limit| living > limit) {
            return Some(Exceeded::Processes);
        }
        self.count(&processes);
        let total = |of: fn(&Counted) -> u64| self.members.values().chain([&self.gone]).map(of).sum::<u64>();
        let exceeds = |limit: Option<u64>, used: u64| limit.is_some_and(|limit| used > limit);
        if exceeds(self.limits.max_disk_writes, total(|it| it.written)) {
            return Some(Exceeded::DiskWrites);
        }
        let of_group = self.group.as_ref().and_then(|group| group.cpu_time());
        let cpu_time = of_group.unwrap_or_else(|| process::time_of(total(|it| it.ticks)));
        if self.limits.max_cpu_time.is_some_and(|limit| cpu_time > limit) {
            return Some(Exceeded::CpuTime);
        }
        let is_enforced = self.group.as_ref().is_some_and(|group| group.has_memory_limit());
        let limit = self.limits.max_memory.filter(|_| !is_enforced)?;
        let used = memory(&processes, limit);
        self.pressure = used as f64 / limit.max(1) as f64;
        (used > limit).then_some(Exceeded::Memory)
    }

    /// Kills every process, in such a way that none gets away.
    pub(super) fn kill(&mut self) {
        if let Some(group) = &self.group {
            group.kill();
        }
        if let Some(kernel) = Pid::from_raw(self.kernel) {
            let _ = kill_process_group(kernel, Signal::KILL);
        }
        orphans::kill_all(|| {
            let living = self.processes().into_iter().filter(|it| it.lives);
            living.filter_map(|it| Pid::from_raw(it.pid)).collect()
        });
    }

    /// The processes of the execution; of those that have ended, what the system still knows.
    pub(super) fn processes(&mut self) -> Vec<Process> {
        match &self.group {
            Some(group) => group.members().into_iter().filter_map(Process::read).collect(),
            None => self.found_in_system(),
        }
    }

    fn found_in_system(&mut self) -> Vec<Process> {
        let own = std::process::id().cast_signed();
        let all: Vec<Process> =
            process::all().into_iter().filter(|pid| *pid != own).filter_map(Process::read).collect();
        let mut ours: HashSet<i32> = HashSet::new();
        let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
        for process in &all {
            children.entry(process.parent).or_default().push(*process);
        }
        let mut found: Vec<Process> = Vec::new();
        // A process with all that descends from it.
        let add = |process: &Process, ours: &mut HashSet<i32>, found: &mut Vec<Process>| {
            let mut next = vec![*process];
            while let Some(process) = next.pop() {
                if ours.insert(process.pid) {
                    found.push(process);
                    next.extend(children.get(&process.pid).into_iter().flatten());
                }
            }
        };
        for process in &all {
            let is_known = self.members.contains_key(&(process.pid, process.began));
            if is_known || process.session == self.kernel || process.pid == self.kernel {
                add(process, &mut ours, &mut found);
            }
        }
        let present: HashSet<Identity> = all.iter().map(|it| (it.pid, it.began)).collect();
        self.strangers.retain(|identity| present.contains(identity));
        for process in &all {
            let identity = (process.pid, process.began);
            if ours.contains(&process.pid) || self.strangers.contains(&identity) {
                continue;
            }
            match process::has_variables(process.pid, &self.marks) {
                true => add(process, &mut ours, &mut found),
                false => drop(self.strangers.insert(identity)),
            }
        }
        found
    }

    /// Notes what each has taken, and of those that have ended what nobody else knows.
    fn count(&mut self, processes: &[Process]) {
        let counts_writes = self.limits.max_disk_writes.is_some();
        let mut members = HashMap::with_capacity(processes.len());
        let mut pids = HashSet::with_capacity(processes.len());
        for it in processes {
            let written = if counts_writes { process::bytes_written(it.pid) } else { 0 };
            let identity = (it.pid, it.began);
            // One that has ended tells its writes no more.
            let written = written.max(self.members.get(&identity).map_or(0, |seen| seen.written));
            members.insert(identity, Counted { parent: it.parent, ticks: it.ticks, written });
            pids.insert(it.pid);
        }
        let before = std::mem::replace(&mut self.members, members);
        for (identity, counted) in before {
            // A parent that has waited for it has what it took in its own counters.
            if !self.members.contains_key(&identity) && !pids.contains(&counted.parent) {
                self.gone.ticks += counted.ticks;
                self.gone.written += counted.written;
            }
        }
    }
}

/// The memory of these processes together in bytes, what they share with one another or with others counted in parts.
/// Exact when it is near `limit` or above; else no less than it is.
fn memory(processes: &[Process], limit: u64) -> u64 {
    let resident = process::bytes_of(processes.iter().map(|it| it.pages).sum());
    // To count in parts takes time, and gives no more than this.
    if resident <= limit {
        return resident;
    }
    let mut largest: Vec<&Process> = processes.iter().collect();
    largest.sort_unstable_by_key(|it| std::cmp::Reverse(it.pages));
    let (mut exact, mut measured) = (0, 0);
    for it in largest.iter().take(MEASURED_EXACTLY) {
        exact += process::proportional_memory(it.pid);
        measured += it.pages;
        if exact > limit {
            return exact;
        }
    }
    let rest: u64 = largest.iter().skip(MEASURED_EXACTLY).map(|it| it.pages).sum();
    exact + (exact as f64 * rest as f64 / measured.max(1) as f64) as u64
}

/// Processor time beyond which the system itself ends a process, should nobody look any more.
pub(super) fn backstop(limit: Duration) -> Duration {
    limit + Duration::from_secs(10)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::Read as _;
    use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A shell in a process group of its own that runs `script` and then waits; it has said something when this comes back.
    fn shell(script: &str, mark: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).env("BINDERY_TEST_MARK", mark).stdout(Stdio::piped());
        let mut child = command.process_group(0).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        child
    }

    #[test]
    fn without_a_group_all_processes_are_found_counted_and_killed() {
        let mark = uuid::Uuid::new_v4().to_string();
        // One in its group, one that left its session, one that has lost its parent as well.
        let script = "sleep 600 & setsid sleep 600 & (setsid sleep 600 &) ; sleep 0.1; echo; wait";
        let mut kernel = shell(script, &mark);
        let pid = kernel.id().cast_signed();
        let marks = [("BINDERY_TEST_MARK".to_owned(), mark)];
        let meter = |max_processes| {
            let limits = ResourceLimits { max_processes: Some(max_processes), ..ResourceLimits::default() };
            Meter::new(limits, pid, None, &marks)
        };
        assert_eq!(meter(4).look(), None);
        let mut strict = meter(3);
        assert_eq!(strict.look(), Some(Exceeded::Processes));
        strict.kill();
        assert_eq!(kernel.wait().unwrap().signal(), Some(9));
        let mut all_gone = || strict.processes().iter().all(|it| !it.lives);
        let until = std::time::Instant::now() + Duration::from_secs(5);
        while !all_gone() {
            assert!(std::time::Instant::now() < until, "some live on");
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_children_took_that_have_ended_is_not_forgotten() {
        let mark = uuid::Uuid::new_v4().to_string();
        // The second loses its parent before it ends.
        let burn = "i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done";
        let script = format!("sh -c '{burn}'; echo; (sh -c '{burn}; sleep 0.3' &) ; sleep 600");
        let mut kernel = shell(&script, &mark);
        let limits = ResourceLimits { max_cpu_time: Some(Duration::MAX), ..ResourceLimits::default() };
        let mut meter =
            Meter::new(limits, kernel.id().cast_signed(), None, &[("BINDERY_TEST_MARK".to_owned(), mark)]);
        let took = |meter: &mut Meter| {
            meter.look();
            (meter.members.len(), meter.members.values().map(|it| it.ticks).sum::<u64>(), meter.gone.ticks)
        };
        let first = took(&mut meter).1;
        assert!(first >= 3, "{first}");
        let until = std::time::Instant::now() + Duration::from_secs(30);
        let gone = loop {
            match took(&mut meter) {
                // The shell and its `sleep`.
                (2, _, gone) if gone > 0 => break gone,
                _ => assert!(std::time::Instant::now() < until, "the orphan does not end"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(gone >= first / 3, "{gone} of about {first}");
        meter.kill();
        kernel.wait().unwrap();
    }
}
