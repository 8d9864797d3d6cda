//! Whether the files that a kernel is made of are still the ones that it was made of.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::launch::LaunchCommand;
use super::super::spec::KernelSpec;

/// The stamp of each file and folder that tells of a change; none of what is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<(PathBuf, Option<Stamp>)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl Fingerprint {
    /// Of the kernelspec, its interpreter, the packages beside it, and IPython's profile.
    pub(super) fn of(spec: &KernelSpec, command: &LaunchCommand) -> Self {
        let program = Path::new(&command.program);
        let mut paths = vec![spec.resource_dir.join("kernel.json"), program.to_owned()];
        if let Some(prefix) = program.parent().and_then(Path::parent) {
            paths.push(prefix.join("pyvenv.cfg"));
            let libraries = std::fs::read_dir(prefix.join("lib")).into_iter().flatten().flatten();
            paths.extend(
                libraries.map(|folder| folder.path().join("site-packages")).filter(|path| path.is_dir()),
            );
        }
        let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".ipython"));
        if let Some(ipython) = std::env::var_os("IPYTHONDIR").map(PathBuf::from).or(home) {
            let profile = ipython.join("profile_default");
            paths.extend(
                ["ipython_config.py", "ipython_kernel_config.py", "startup"].map(|name| profile.join(name)),
            );
        }
        Self(paths.into_iter().map(|path| (stamp(&path), path)).map(|(stamp, path)| (path, stamp)).collect())
    }

    /// Whether nothing has changed since.
    pub(super) fn holds(&self) -> bool {
        self.0.iter().all(|(path, then)| stamp(path) == *then)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp { inode: metadata.ino(), modified: (metadata.mtime(), metadata.mtime_nsec()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_is_installed_is_seen() {
        let prefix = tempfile::tempdir().unwrap();
        let packages = prefix.path().join("lib/python3.11/site-packages");
        std::fs::create_dir_all(&packages).unwrap();
        let specs = prefix.path().join("share");
        std::fs::create_dir_all(&specs).unwrap();
        std::fs::write(specs.join("kernel.json"), r#"{"argv": ["python"]}"#).unwrap();
        let spec = KernelSpec::read("k", &specs).unwrap();
        let command = LaunchCommand {
            program: prefix.path().join("bin/python").into(),
            args: Vec::new(),
            env: Vec::new(),
            env_remove: Vec::new(),
        };
        let before = Fingerprint::of(&spec, &command);
        assert!(before.holds());
        std::fs::create_dir(packages.join("new_package")).unwrap();
        assert!(!before.holds());
        assert!(Fingerprint::of(&spec, &command).holds());
    }
}
