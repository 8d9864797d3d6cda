//! A control group (cgroup v2) for the processes of one execution, where this process may make one.
//!
//! It knows them all, whatever they do to leave their session or parent, counts their processor time, and kills them
//! in one step. Where the controllers `memory` and `pids` can be had as well, the system itself enforces.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Exceeded;
use crate::execution::ResourceLimits;

/// What the groups' names begin with; the number of the process that made it follows.
const PREFIX: &str = "bindery-";
/// Where this process moves itself, because a group that has processes cannot hand on controllers.
const SERVICE: &str = "bindery-service";
/// The system counts threads. To it goes a limit that no honest run of that many processes meets, which holds back a
/// fork bomb until we have counted.
const THREADS_FOR_PROCESS: u64 = 64;
/// How often the removal of a group is tried, and how long after one another, while its last processes are going.
const REMOVALS: u32 = 100;
const REMOVAL_PAUSE: Duration = Duration::from_millis(20);

/// A group that is there until this is dropped. Then all that is in it is killed.
#[derive(Debug)]
pub(super) struct Group {
    path: PathBuf,
    /// Whether the system holds the memory limit.
    has_memory_limit: bool,
}

impl Group {
    /// Makes an empty group named after `pid`, with the limits that the system can hold.
    ///
    /// # Errors
    /// When there is no cgroup v2, or this process may make no group.
    pub(super) fn create(pid: i32, limits: &ResourceLimits) -> io::Result<Self> {
        let own = own_group()?;
        remove_left_over(&own);
        let path = own.join(format!("{PREFIX}{}-{pid}", std::process::id()));
        let _ = hand_on_controllers(&own, limits);
        fs::create_dir(&path)?;
        let mut group = Self { path, has_memory_limit: false };
        // Of an old system without it, this group would be of no use.
        fs::metadata(group.path.join("cgroup.kill"))?;
        if let Some(bytes) = limits.max_memory {
            let written = group.write("memory.max", &bytes.to_string());
            group.has_memory_limit = written.is_ok();
            // Neither is there where it does not matter.
            let _ = group.write("memory.swap.max", "0");
            let _ = group.write("memory.oom.group", "1");
        }
        if let Some(count) = limits.max_processes {
            let _ = group.write("pids.max", &(count.saturating_mul(THREADS_FOR_PROCESS)).to_string());
        }
        Ok(group)
    }

    /// Moves a process into it; what that starts from now on is born here.
    pub(super) fn add(&self, pid: i32) -> io::Result<()> {
        self.write("cgroup.procs", &pid.to_string())
    }

    /// The processes in it that have not ended.
    pub(super) fn members(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect()
    }

    /// The processor time of all that was ever in it, while it was.
    pub(super) fn cpu_time(&self) -> Option<Duration> {
        number_in(&fs::read_to_string(self.path.join("cpu.stat")).ok()?, "usage_usec")
            .map(Duration::from_micros)
    }

    /// Whether the system holds the memory limit: then it need not be measured.
    pub(super) fn has_memory_limit(&self) -> bool {
        self.has_memory_limit
    }

    /// The limit that the system has enforced, if any.
    pub(super) fn enforced(&self) -> Option<Exceeded> {
        let count = |file: &str, name: &str| {
            fs::read_to_string(self.path.join(file)).ok().and_then(|text| number_in(&text, name))
        };
        if self.has_memory_limit && count("memory.events", "oom_kill").unwrap_or(0) > 0 {
            return Some(Exceeded::Memory);
        }
        (count("pids.events", "max").unwrap_or(0) > 0).then_some(Exceeded::Processes)
    }

    /// Kills all that is in it, in one step in which nothing can be born.
    pub(super) fn kill(&self) {
        // An error means that the group has gone.
        let _ = self.write("cgroup.kill", "1");
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        write(&self.path, file, text)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        if fs::remove_dir(&self.path).is_err() {
            let path = std::mem::take(&mut self.path);
            std::thread::spawn(move || {
                for _ in 0..REMOVALS {
                    std::thread::sleep(REMOVAL_PAUSE);
                    match fs::remove_dir(&path) {
                        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
                        _ => return,
                    }
                }
            });
        }
    }
}

/// Not `fs::write`, which would make a file that is not there.
fn write(folder: &Path, file: &str, text: &str) -> io::Result<()> {
    io::Write::write_all(&mut fs::OpenOptions::new().write(true).open(folder.join(file))?, text.as_bytes())
}

/// The value of a line `name value`.
fn number_in(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The folder of the group in which this process was found first.
fn own_group() -> io::Result<PathBuf> {
    static OWN: std::sync::OnceLock<Option<PathBuf>> = std::sync::OnceLock::new();
    let find = || {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        folder_of(&mounts, &groups)
    };
    OWN.get_or_init(find).clone().ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// From `/proc/self/mountinfo` and `/proc/self/cgroup` (proc_pid_mountinfo(5), cgroups(7)).
fn folder_of(mounts: &str, groups: &str) -> Option<PathBuf> {
    let (root, mounted_at) = mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        kind.starts_with("cgroup2 ").then_some((fields.next()?, fields.next()?))
    })?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let below = Path::new(group).strip_prefix(root).ok()?;
    Some(Path::new(mounted_at).join(below))
}

/// Lets the groups in `own` have the controllers that `limits` need, as far as they are there.
fn hand_on_controllers(own: &Path, limits: &ResourceLimits) -> io::Result<()> {
    let there = fs::read_to_string(own.join("cgroup.controllers"))?;
    let needed = [("memory", limits.max_memory.is_some()), ("pids", limits.max_processes.is_some())];
    for (name, _) in
        needed.into_iter().filter(|(name, needed)| *needed && there.split_whitespace().any(|it| it == *name))
    {
        let hand_on = || write(own, "cgroup.subtree_control", &format!("+{name}"));
        if hand_on().is_err() {
            step_down(own)?;
            hand_on()?;
        }
    }
    Ok(())
}

/// Moves this process and its children out of `own` into a group below, as a service does that was delegated its
/// group; not when others share it, which then is not ours.
fn step_down(own: &Path) -> io::Result<()> {
    let members = fs::read_to_string(own.join("cgroup.procs"))?;
    let ours = std::process::id().to_string();
    let is_ours = |pid: &str| {
        let mut pid = pid.to_owned();
        while pid != ours {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            match stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)) {
                Some(parent) if parent != "0" => pid = parent.to_owned(),
                _ => return false,
            }
        }
        true
    };
    if !members.lines().all(is_ours) {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    let below = own.join(SERVICE);
    match fs::create_dir(&below) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => members.lines().try_for_each(|pid| write(&below, "cgroup.procs", pid)),
    }
}

/// Removes the empty groups of processes of ours that have gone.
fn remove_left_over(own: &Path) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        for entry in fs::read_dir(own).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let maker =
                name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split_once('-')?.0.parse().ok());
            if maker.is_some_and(|pid: u32| !Path::new(&format!("/proc/{pid}")).exists()) {
                // Refused where something lives.
                let _ = fs::remove_dir(entry.path());
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_group_is_where_its_hierarchy_is_mounted() {
        let check = |mounts: &str, groups: &str, expected: Option<&str>| {
            assert_eq!(folder_of(mounts, groups), expected.map(PathBuf::from), "{mounts} {groups}");
        };
        let unified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate";
        check(unified, "0::/system.slice/x.service\n", Some("/sys/fs/cgroup/system.slice/x.service"));
        check(unified, "0::/\n", Some("/sys/fs/cgroup"));
        check(unified, "4:memory:/x\n", None);
        let both = "41 31 0:37 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                    41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
        check(both, "8:pids:/\n0::/a", Some("/sys/fs/cgroup/unified/a"));
        // In a container without a namespace of its own, only its part is mounted.
        let part = "30 23 0:26 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw";
        check(part, "0::/docker/1/job\n", Some("/sys/fs/cgroup/job"));
        check(part, "0::/elsewhere\n", None);
    }

    #[test]
    fn numbers_are_found_by_their_whole_name() {
        let text = "oom 3\noom_kill 2\noom_group_kill 1\n";
        assert_eq!([number_in(text, "oom_kill"), number_in(text, "oom")], [Some(2), Some(3)]);
        assert_eq!(number_in(text, "max"), None);
    }
}
