//! Kernels that are ready before they are asked for: what a notebook sees of them, and what becomes of them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bindery::config::WarmKernels;
use bindery::kernel::launch::launch_command;
use bindery::kernel::search_path::SearchPath;
use bindery::kernel::spec::KernelSpec;
use bindery::kernel::warm::{KernelPool, PoolOptions};
use bindery::kernel::{Incoming, KernelStart, LocalKernel, Transport};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::engine::{prepared_data_dir, until};

/// What every kernel inherits from the test runner, and one that is told not to see it does not.
const HIDDEN: &str = "CARGO_PKG_NAME";

/// A pool of one kernelspec of its own, on the interpreter of the prepared python3.
struct Place {
    folder: tempfile::TempDir,
    pool: KernelPool,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl Place {
    fn new(preload: &[&str], max_memory: Option<u64>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("kernels/own")).unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        write_spec(folder.path(), preload);
        let pool = KernelPool::new(PoolOptions {
            data_dir: folder.path().to_owned(),
            warm: vec![WarmKernels { kernel: "own".into(), count: 1 }],
            hidden: vec![HIDDEN],
            max_memory,
        });
        let shutdown = CancellationToken::new();
        let (runs, stop) = (pool.clone(), shutdown.clone());
        let running = tokio::spawn(async move { runs.run(stop).await });
        Self { folder, pool, shutdown, running }
    }

    fn spec(&self) -> KernelSpec {
        KernelSpec::read("own", &self.folder.path().join("kernels/own")).unwrap()
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work").canonicalize().unwrap()
    }

    async fn is_ready(&self) {
        until("a kernel is ready", async || (self.pool.ready()[0].count == 1).then_some(())).await;
    }

    async fn kernel(&self, env: &[(String, String)]) -> LocalKernel {
        self.pool.start(&self.spec(), start(&self.work(), env), &[HIDDEN]).await.unwrap()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap();
    }
}

fn write_spec(data_dir: &Path, preload: &[&str]) {
    let python = prepared_data_dir().join("kernels/envs/python3/bin/python");
    let spec = json!({
        "argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "own",
        "language": "python", "metadata": {"bindery": {"preload": preload}},
    });
    std::fs::write(data_dir.join("kernels/own/kernel.json"), spec.to_string()).unwrap();
}

/// A kernel that speaks Python and is not started by ipykernel's launcher: it cannot be forked.
fn write_other_spec(data_dir: &Path) {
    let python = prepared_data_dir().join("kernels/envs/python3/bin/python");
    let spec = json!({
        "argv": [python, "-m", "ipykernel", "-f", "{connection_file}"], "display_name": "own", "language": "python",
    });
    std::fs::write(data_dir.join("kernels/own/kernel.json"), spec.to_string()).unwrap();
}

fn start<'a>(cwd: &'a Path, env: &'a [(String, String)]) -> KernelStart<'a> {
    KernelStart {
        name: "own",
        interrupt_mode: Default::default(),
        transport: Transport::Ipc,
        cwd,
        env,
        start_timeout: Duration::from_secs(60),
    }
}

/// The text that code prints, or its error.
async fn printed(kernel: &mut LocalKernel, code: &str) -> String {
    let request = kernel.execute(code, true).await.unwrap();
    let mut text = String::new();
    loop {
        match tokio::time::timeout(Duration::from_secs(60), kernel.next()).await.unwrap() {
            Incoming::Iopub(message) if message.parent_id.as_deref() == Some(&request) => {
                match (message.msg_type.as_str(), message.text("execution_state")) {
                    ("stream", _) => text.push_str(message.text("text")),
                    ("error", _) => text.push_str(message.text("evalue")),
                    ("status", "idle") => return text,
                    _ => {}
                }
            }
            Incoming::Died(how) => return format!("{text} died: {how}"),
            _ => {}
        }
    }
}

/// The process that forks kernels for this test.
fn zygote() -> Option<rustix::process::Pid> {
    let own = std::process::id().to_string();
    let of_ours = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?.to_owned();
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let is_leader = stat.rsplit(')').next()?.split_whitespace().nth(3)? == pid;
        let ready = std::fs::read_link(format!("/proc/{pid}/fd/0")).ok()?;
        (parent == own && is_leader && command.contains("--zygote") && ready != Path::new("/dev/null"))
            .then_some(())
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pid =
        processes.filter_map(|entry| entry.file_name().into_string().ok()).find(|pid| of_ours(pid).is_some());
    rustix::process::Pid::from_raw(pid?.parse().ok()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notebook_sees_the_same_kernel_whichever_way_it_was_started() {
    let place = Place::new(&[], None);
    let env = [("BINDERY_EXECUTION_ID".to_owned(), "7".to_owned()), ("MARK".to_owned(), "ä b=c".to_owned())];
    let probe = include_str!("warm/probe.py");
    let (spec, work) = (place.spec(), place.work());
    let search_path = SearchPath::from_process(place.folder.path());
    let cold = LocalKernel::start(start(&work, &env), |file| {
        let mut command = launch_command(&spec, file, &search_path, &|name| std::env::var_os(name));
        command.env_remove.push(HIDDEN);
        command
    });
    let launched = KernelPool::cold(place.folder.path().to_owned());
    let launched = launched.start(&spec, start(&work, &env), &[HIDDEN]);
    let (mut cold, mut launched) = (cold.await.unwrap(), launched.await.unwrap());
    place.is_ready().await;
    let mut forked = place.kernel(&env).await;
    assert_eq!(place.pool.ready()[0].count, 0, "the ready one was handed out");

    let mut seen = Vec::new();
    for kernel in [&mut cold, &mut launched, &mut forked] {
        let text = printed(kernel, probe).await;
        seen.push(serde_json::from_str::<Value>(&text).unwrap_or_else(|_| panic!("{text}")));
    }
    assert_eq!(seen[0]["environment"]["MARK"], "ä b=c");
    assert!(seen[0]["environment"].get(HIDDEN).is_none());
    assert_eq!(seen[0]["cwd"], work.to_str().unwrap());
    for (way, other) in [("our launcher", &seen[1]), ("a zygote", &seen[2])] {
        for (what, expected) in seen[0].as_object().unwrap() {
            if what == "modules" && way == "our launcher" {
                // It leaves out debugpy, and what only that imports.
                let names =
                    |modules: &Value| -> HashSet<String> { serde_json::from_value(modules.clone()).unwrap() };
                assert_eq!(names(&other[what]).difference(&names(expected)).next(), None);
                continue;
            }
            assert_eq!(&other[what], expected, "{what} of a kernel by {way}");
        }
    }
    assert_eq!(cold.info()["language_info"], forked.info()["language_info"]);
    // What the system tells of the process, by which what a notebook leaves behind is found.
    let environ = "print(open('/proc/self/environ').read())";
    let environ = printed(&mut forked, environ).await;
    assert!(environ.contains("\0BINDERY_EXECUTION_ID=7\0") && !environ.contains(HIDDEN), "{environ:?}");

    for kernel in [cold, launched, forked] {
        kernel.shutdown(Duration::from_secs(10)).await;
    }
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forked_kernels_share_no_luck_and_end_as_others_do() {
    // The module `this` prints when it is imported.
    let place = Place::new(&["random", "tempfile", "this"], None);
    place.is_ready().await;
    let mut one = place.kernel(&[]).await;
    place.is_ready().await;
    let mut two = place.kernel(&[]).await;
    let draw = "import random, tempfile, uuid, os\nprint(random.random(), uuid.uuid4(), os.urandom(4), next(tempfile._get_candidate_names()))";
    assert_ne!(printed(&mut one, draw).await, printed(&mut two, draw).await);
    assert_eq!(printed(&mut one, "one = 1").await, "");
    assert!(printed(&mut two, "one").await.contains("not defined"));

    // An interrupt, a flood, then an end that flushes what was left open and runs what was registered.
    let interrupted = async {
        let request =
            two.execute("import time\nprint('up', flush=True)\ntime.sleep(60)", false).await.unwrap();
        loop {
            match two.next().await {
                Incoming::Iopub(message) if message.msg_type == "stream" => two.interrupt().await,
                Incoming::Shell(message) if message.parent_id.as_deref() == Some(&request) => return message,
                _ => {}
            }
        }
    };
    let reply = tokio::time::timeout(Duration::from_secs(20), interrupted).await.unwrap();
    assert_eq!(reply.text("ename"), "KeyboardInterrupt");
    let flood = printed(&mut two, "for i in range(100_000): print(i)").await;
    assert_eq!(flood.lines().count(), 100_000);
    let leave = "import atexit, subprocess\natexit.register(lambda: open('exit', 'w').write('ran'))\n\
        left = open('left', 'w'); left.write('flushed')\n\
        class Thing:\n    def __del__(self): open('thing', 'w').write('gone')\n\
        thing = Thing(); thing.itself = thing\n\
        subprocess.run(['true'])";
    assert_eq!(printed(&mut two, leave).await, "");
    two.shutdown(Duration::from_secs(20)).await;
    for (file, text) in [("exit", "ran"), ("left", "flushed"), ("thing", "gone")] {
        assert_eq!(std::fs::read_to_string(place.work().join(file)).unwrap_or_default(), text, "{file}");
    }
    let died = printed(&mut one, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)").await;
    assert!(died.contains("signal 11"), "{died}");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_zygote_takes_no_kernel_with_it_and_is_replaced() {
    let place = Place::new(&[], None);
    place.is_ready().await;
    let mut kernel = place.kernel(&[]).await;
    place.is_ready().await;
    let first = zygote().unwrap();
    rustix::process::kill_process(first, rustix::process::Signal::KILL).unwrap();
    assert_eq!(printed(&mut kernel, "print(1)").await, "1\n");
    // The one that was ready is handed out; the next comes of another zygote.
    let mut ready = place.kernel(&[]).await;
    assert_eq!(printed(&mut ready, "print(2)").await, "2\n");
    place.is_ready().await;
    assert_ne!(zygote(), Some(first));
    drop((kernel, ready));
    place.stop().await;
    // Kernels that were dropped look the same until the system has killed them.
    until("it ends with its pool", async || zygote().is_none().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kernels_of_changed_files_are_made_anew() {
    let place = Place::new(&[], None);
    place.is_ready().await;
    let before = place.spec();
    write_spec(place.folder.path(), &["wave"]);
    let mut kernel = place.kernel(&[]).await;
    assert_eq!(place.pool.ready()[0].count, 1, "the ready one is of the old files");
    assert_eq!(printed(&mut kernel, "import sys; print('wave' in sys.modules)").await, "False\n");
    until("a kernel with the module", async || {
        let mut kernel = place.kernel(&[]).await;
        (printed(&mut kernel, "import sys; print('wave' in sys.modules)").await == "True\n").then_some(())
    })
    .await;
    assert_ne!(place.spec(), before);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_preloaded_leaves_kernels_that_start_when_needed() {
    let threads = tempfile::tempdir().unwrap();
    let source =
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()";
    std::fs::write(threads.path().join("starts_threads.py"), source).unwrap();
    for preload in ["no_such_module", "starts_threads"] {
        let place = Place::new(&[preload], None);
        let python_path = [("PYTHONPATH".to_owned(), threads.path().to_str().unwrap().to_owned())];
        let mut kernel = place.kernel(&python_path).await;
        assert_eq!(printed(&mut kernel, "print(1)").await, "1\n");
        assert_eq!(place.pool.ready()[0].count, 0);
        drop(kernel);
        place.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_that_cannot_be_forked_is_started_ahead() {
    let place = Place::new(&["no_such_module"], None);
    write_other_spec(place.folder.path());
    place.is_ready().await;
    let env = [("MARK".to_owned(), "it's \"7\"".to_owned())];
    let mut kernel = place.kernel(&env).await;
    let show = "import os; print(os.getcwd() == os.path.realpath(os.getcwd()), os.environ['MARK'], len(In))\nopen('here', 'w').close()";
    assert_eq!(printed(&mut kernel, show).await, "True it's \"7\" 2\n");
    assert!(place.work().join("here").exists());
    assert_eq!(zygote(), None);
    kernel.shutdown(Duration::from_secs(10)).await;
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_kernels_stay_within_their_memory() {
    let place = Place::new(&[], Some(1));
    until("the zygote is there", async || zygote().map(drop)).await;
    let mut kernel = place.kernel(&[]).await;
    assert_eq!(printed(&mut kernel, "print(1)").await, "1\n");
    drop(kernel);
    place.stop().await;
}
