//! Kernel environments, installed for real: a Python and an index of packages are needed.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use bindery::ErrorKind;
use bindery::engine::kernels::{
    EnvironmentState, InstallOptions, InstallProgress, KernelSource, check, install, list,
};
use tokio::sync::Notify;

/// Names the data dir for the test that is run again as a process of its own, to be killed.
const CHILD_DATA_DIR: &str = "BINDERY_TEST_CHILD_DATA_DIR";

/// Keeps the steps and tells when the installer has printed something.
#[derive(Default)]
struct Listener {
    steps: Mutex<Vec<String>>,
    installer_spoke: Notify,
}

impl InstallProgress for Listener {
    fn step(&self, step: &str) {
        self.steps.lock().unwrap().push(step.to_owned());
        println!("{step}");
    }

    fn line(&self, line: &str) {
        self.installer_spoke.notify_one();
        println!("{line}");
    }
}

impl Listener {
    fn heard(&self, step: &str) -> bool {
        self.steps.lock().unwrap().iter().any(|heard| heard.contains(step))
    }
}

fn state_of(name: &str, data_dir: &Path) -> EnvironmentState {
    list(data_dir).into_iter().find(|kernel| kernel.name == name).unwrap().state
}

#[tokio::test]
async fn an_environment_is_installed_once_checked_and_made_anew_when_damaged() {
    let data_dir = tempfile::tempdir().unwrap();
    let (data_dir, options, progress) = (data_dir.path(), InstallOptions::default(), Listener::default());
    assert_eq!(check("mlflow_kernel", data_dir).await.unwrap_err().kind(), ErrorKind::NotFound);

    let first = install("PYTHON3", data_dir, &options, &progress).await.unwrap();
    assert!(!first.was_installed && first.name == "python3");
    assert!(first.program.starts_with(data_dir) && first.kernel_json.is_file());
    assert!(!data_dir.join("kernels/envs/.python3.tmp").exists());

    let again = install("python3", data_dir, &options, &progress).await.unwrap();
    assert!(again.was_installed);
    assert_eq!(again.python_version, first.python_version);

    let report = check("python3", data_dir).await.unwrap();
    assert_eq!(report.program, first.program);
    assert_eq!(report.python_version, first.python_version);
    assert!(report.modules.iter().any(|module| module.name == "ipykernel" && !module.version.is_empty()));

    let listed = list(data_dir).into_iter().find(|kernel| kernel.name == "python3").unwrap();
    assert_eq!((listed.source, listed.state), (KernelSource::Bindery, EnvironmentState::Installed));

    // A kernelspec that was lost is written again without a new environment.
    std::fs::remove_file(&first.kernel_json).unwrap();
    assert_eq!(state_of("python3", data_dir), EnvironmentState::Incomplete);
    let repaired = install("python3", data_dir, &options, &progress).await.unwrap();
    assert!(repaired.was_installed && repaired.kernel_json.is_file());

    // A package that was lost is noticed by the check, which names it.
    let mut packages = std::fs::read_dir(data_dir.join("kernels/envs/python3/lib")).unwrap();
    let packages = packages.next().unwrap().unwrap().path().join("site-packages");
    std::fs::remove_dir_all(packages.join("ipykernel")).unwrap();
    let error = check("python3", data_dir).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Kernel);
    assert_eq!(error.fields()[0].field, "ipykernel");
    assert!(error.message().contains("bindery kernels install python3 --force"), "{error}");
}

#[tokio::test]
async fn an_installation_that_is_given_up_ends_the_installer() {
    let data_dir = tempfile::tempdir().unwrap();
    let (options, progress) = (InstallOptions::default(), Listener::default());
    tokio::select! {
        done = install("python3", data_dir.path(), &options, &progress) => panic!("it was done too soon: {done:?}"),
        () = progress.installer_spoke.notified() => {}
    }
    assert_eq!(state_of("python3", data_dir.path()), EnvironmentState::Incomplete);
    // The installer's processes hold the lock as long as they live: this call returns when the last one is gone.
    let lock = data_dir.path().join("kernels/envs/.python3.lock");
    let lock = OpenOptions::new().append(true).open(lock).unwrap();
    tokio::task::spawn_blocking(move || lock.lock().unwrap()).await.unwrap();
    assert!(!data_dir.path().join("kernels/python3/kernel.json").exists());
}

#[tokio::test]
async fn an_installation_that_was_killed_is_done_again_by_one_of_two() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kernels::installs_until_it_is_killed", "--ignored", "--nocapture"])
        .env(CHILD_DATA_DIR, data_dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // Both installers say something of this kind when packages are being fetched.
    let is_midway = |line: String| line.contains("Collecting ") || line.contains("Resolved ");
    assert!(lines.any(|line| is_midway(line.unwrap())), "the child never got to the packages");
    // SIGKILL to the child alone: its installer lives on for a while and must not get in the way.
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(state_of("python3", data_dir.path()), EnvironmentState::Incomplete);

    let (options, one, other) = (InstallOptions::default(), Listener::default(), Listener::default());
    let (first, second) = tokio::join!(
        install("python3", data_dir.path(), &options, &one),
        install("python3", data_dir.path(), &options, &other),
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(first.was_installed != second.was_installed, "one builds, the other finds it built");
    assert!(one.heard("waiting") || other.heard("waiting"), "one must have waited for the other");
    assert!(one.heard("removing") || other.heard("removing"), "what the killed one left is removed");
    check("python3", data_dir.path()).await.unwrap();
}

#[tokio::test]
#[ignore = "the child process of the test above"]
async fn installs_until_it_is_killed() {
    let Some(data_dir) = std::env::var_os(CHILD_DATA_DIR) else { return };
    install("python3", Path::new(&data_dir), &InstallOptions::default(), &Listener::default()).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_installed_says_why() {
    let data_dir = tempfile::tempdir().unwrap();
    let progress = Listener::default();
    let error = install("perl", data_dir.path(), &InstallOptions::default(), &progress).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("mlflow_kernel, python3"), "{error}");

    let options = InstallOptions { python: Some("/no/such/python".into()), force: false };
    let error = install("python3", data_dir.path(), &options, &progress).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("/no/such/python does not run as a Python"), "{error}");

    let file = data_dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = install("python3", &file, &InstallOptions::default(), &progress).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("cannot be written"), "{error}");
}
