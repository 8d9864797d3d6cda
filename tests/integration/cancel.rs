//! Cancelled executions: ended within five seconds, whatever runs in them, with nothing left over.

use std::time::{Duration, Instant};

use bindery::execution::ExecutionStatus;

use crate::support::engine::{TestEngine, processes_of, until};

/// The promise.
const AT_MOST: Duration = Duration::from_secs(5);

/// Starts a notebook of these cells, waits until it has written the file `started`, and cancels it.
async fn cancelled(bindery: &TestEngine, path: &str, cells: &[&str]) {
    let started = bindery.root().join("started");
    let id = bindery.submit(path, cells).await;
    until("the cell runs", async || started.exists().then_some(())).await;
    std::fs::remove_file(&started).unwrap();
    let asked = Instant::now();
    assert_eq!(bindery.engine.cancel_execution(id).await.unwrap(), ExecutionStatus::Running);
    let execution = bindery.end(id).await;
    let took = asked.elapsed();
    let left = processes_of(id, bindery.root());
    assert!(took < AT_MOST, "{path}: {took:?}");
    assert_eq!(execution.status, ExecutionStatus::Cancelled, "{path}: {:?}", execution.error);
    assert_eq!(execution.error, None);
    assert!(left.is_empty(), "{path}: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_that_sleeps_is_interrupted_at_once_and_what_it_put_out_stays() {
    let bindery = TestEngine::start().await;
    let cells = ["print('before')", "open('started', 'w').close()\nimport time\ntime.sleep(300)"];
    cancelled(&bindery, "sleeps.ipynb", &cells).await;
    let notebook = bindery.read("sleeps.ipynb");
    assert_eq!(notebook.cells()[0].outputs()[0]["text"][0], "before\n");
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_in_c_that_ignores_every_polite_signal_is_killed() {
    let bindery = TestEngine::start().await;
    let deaf = "import signal\nfor it in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):\n    signal.signal(it, signal.SIG_IGN)\n\
                signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))\n\
                open('started', 'w').close()\nsum(range(10**12))";
    cancelled(&bindery, "deaf.ipynb", &[deaf]).await;
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_that_catches_every_interrupt_is_ended_by_a_signal_to_terminate() {
    let bindery = TestEngine::start().await;
    let stubborn = "import time\nopen('started', 'w').close()\nwhile True:\n    try:\n        time.sleep(300)\n    except KeyboardInterrupt:\n        print('no')";
    cancelled(&bindery, "stubborn.ipynb", &[stubborn]).await;
    assert_eq!(bindery.read("stubborn.ipynb").cells()[0].outputs()[0]["text"][0], "no\n");
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn children_go_with_their_run_also_those_in_sessions_of_their_own() {
    let bindery = TestEngine::start().await;
    let parent = "import os, signal, subprocess, sys, time
deaf = [sys.executable, '-c', 'import signal, time\\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\\nprint(1, flush=True)\\ntime.sleep(600)']
for options in ({}, {'start_new_session': True}):
    child = subprocess.Popen(deaf, stdout=subprocess.PIPE, **options)
    child.stdout.read(1)
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    time.sleep(600)
open('started', 'w').close()
time.sleep(300)";
    let id = bindery.submit("parent.ipynb", &[parent]).await;
    let started = bindery.root().join("started");
    until("the cell runs", async || started.exists().then_some(())).await;
    until("kernel, children and orphan run", async || {
        (processes_of(id, bindery.root()).len() >= 4).then_some(())
    })
    .await;
    let asked = Instant::now();
    bindery.engine.cancel_execution(id).await.unwrap();
    assert_eq!(bindery.end(id).await.status, ExecutionStatus::Cancelled);
    assert!(asked.elapsed() < AT_MOST, "{:?}", asked.elapsed());
    // A killed process may take a moment to be gone.
    until("nothing is left", async || processes_of(id, bindery.root()).is_empty().then_some(())).await;
    assert!(asked.elapsed() < AT_MOST, "{:?}", asked.elapsed());
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_waits_never_begins() {
    let bindery = TestEngine::start_with(|settings| settings.service.workers = Some(1)).await;
    let blocker = bindery.submit("blocker.ipynb", &["import time\ntime.sleep(300)"]).await;
    let waiting = bindery.submit("waiting.ipynb", &["open('ran', 'w')"]).await;
    let asked = Instant::now();
    assert_eq!(bindery.engine.cancel_execution(waiting).await.unwrap(), ExecutionStatus::Cancelled);
    assert!(asked.elapsed() < AT_MOST);
    bindery.engine.cancel_execution(blocker).await.unwrap();
    assert_eq!(bindery.end(blocker).await.status, ExecutionStatus::Cancelled);
    let execution = bindery.end(waiting).await;
    assert_eq!((execution.status, execution.attempts), (ExecutionStatus::Cancelled, 0));
    assert!(!bindery.root().join("ran").exists());
    bindery.stop().await;
}
