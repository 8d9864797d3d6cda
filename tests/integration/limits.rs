//! Notebooks that take more of the machine than they may: each ends with the limit's name as its error, keeps what it
//! had put out, leaves nothing running, and harms no other run.

use std::time::{Duration, Instant};

use bindery::config::{ByteSize, LimitSettings, Seconds};
use bindery::engine::executions::SubmitExecution;
use bindery::execution::{ExecutionStatus, ResourceLimits};

use crate::support::engine::{TestEngine, code_notebook, in_place, processes_of, until};

const MEGABYTE: u64 = 1_000_000;
/// Far more than any of them needs on a busy machine, far less than they would go on.
const AT_MOST: Duration = Duration::from_secs(30);

/// Runs a notebook whose second cell is `greedy`, beside one that does no harm.
async fn check(limits: impl FnOnce(&mut LimitSettings), greedy: &str, name: &str, message: &str) {
    let bindery = TestEngine::start_with(|settings| {
        settings.service.max_output_size = Some(ByteSize(20 * MEGABYTE));
        limits(&mut settings.limits);
    })
    .await;
    let innocent = "import time\nprint('begun')\nopen('innocent', 'w').close()\nimport os\nwhile not os.path.exists('end'):\n    time.sleep(0.01)\nprint('done')";
    let innocent = bindery.submit("innocent.ipynb", &[innocent]).await;
    until("the other run begins", async || bindery.root().join("innocent").exists().then_some(())).await;
    let begun = Instant::now();
    let id = bindery.submit("greedy.ipynb", &["print('before')", greedy, "print('after')"]).await;
    let execution = bindery.end(id).await;
    let took = begun.elapsed();
    let left = processes_of(id, bindery.root());
    let error = execution.error.unwrap();
    assert_eq!((error.ename.as_str(), error.cell_index), (name, Some(1)), "{error}");
    assert_eq!(error.evalue, message);
    assert_eq!(execution.status, ExecutionStatus::Failed);
    assert!(took < AT_MOST, "{took:?}");
    assert!(left.is_empty(), "{} processes are left", left.len());
    let notebook = bindery.read("greedy.ipynb");
    assert!(String::from_utf8(notebook.to_bytes()).unwrap().contains("before\\n"));
    std::fs::write(bindery.root().join("end"), "").unwrap();
    let other = bindery.end(innocent).await;
    assert_eq!((other.status, other.error), (ExecutionStatus::Success, None));
    assert_eq!(bindery.read("innocent.ipynb").cells()[0].outputs()[0]["text"][1], "done\n");
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notebook_that_eats_memory_is_stopped() {
    let eater = "print('eats')\neaten = []\nwhile True:\n    eaten.append(b'x' * 10_000_000)";
    let limits = |it: &mut LimitSettings| it.max_memory = Some(ByteSize(400 * MEGABYTE));
    check(limits, eater, "MemoryLimitError", "the notebook took more memory than 400MB (`max-memory`)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_counts_of_all_processes_and_what_they_share_counts_once() {
    // Four that hold 150 MB each; a parent's 300 MB that four children share are not twelve hundred.
    let shares = "import os, time\nheld = b'x' * 300_000_000\nread, write = os.pipe()\n\
                  for _ in range(4):\n    if os.fork() == 0:\n        os.write(write, held[-1:])\n        time.sleep(600)\n\
                  for _ in range(4):\n    os.read(read, 1)\ntime.sleep(1)";
    let eaters = "import subprocess, sys, time\n\
                  for _ in range(4):\n    subprocess.Popen([sys.executable, '-c', 'import time; held = b\"x\" * 150_000_000; time.sleep(600)'], start_new_session=True)\n\
                  time.sleep(600)";
    let bindery =
        TestEngine::start_with(|settings| settings.limits.max_memory = Some(ByteSize(550 * MEGABYTE))).await;
    let execution = bindery.run("shares.ipynb", &[shares]).await;
    assert_eq!((execution.status, execution.error), (ExecutionStatus::Success, None));
    let execution = bindery.run("eaters.ipynb", &[eaters]).await;
    assert_eq!(execution.error.unwrap().ename, "MemoryLimitError");
    let left = processes_of(execution.id, bindery.root());
    assert!(left.is_empty(), "{left:?}");
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_is_stopped_also_one_that_leaves_its_session() {
    let limits = |it: &mut LimitSettings| it.max_processes = Some(20);
    let message = "the notebook had more processes than 20 (`max-processes`)";
    let bomb = "import os\nwhile True:\n    os.fork()";
    check(limits, bomb, "ProcessLimitError", message).await;
    let fleeing = "import os\nwhile True:\n    if os.fork() == 0:\n        os.setsid()";
    check(limits, fleeing, "ProcessLimitError", message).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notebook_that_prints_for_ever_is_stopped() {
    let printer = "while True:\n    print('y' * 5000)";
    check(|_| {}, printer, "OutputLimitError", "the notebook put out more than 20MB (`max-output-size`)")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notebook_that_fills_the_disk_is_stopped_by_few_large_files_or_many_small_ones() {
    let limits = |it: &mut LimitSettings| it.max_disk_writes = Some(ByteSize(50 * MEGABYTE));
    let message = "the notebook wrote more to disk than 50MB (`max-disk-writes`)";
    let large = "with open('large', 'wb') as file:\n    while True:\n        file.write(b'x' * 1_000_000)";
    check(limits, large, "DiskLimitError", message).await;
    let small = "i = 0\nwhile True:\n    i += 1\n    with open(f'small-{i}', 'wb') as file:\n        file.write(b'x' * 100_000)";
    check(limits, small, "DiskLimitError", message).await;
    let children = "import subprocess\nwhile True:\n    subprocess.run(['dd', 'if=/dev/zero', 'of=child', 'bs=1M', 'count=5'])";
    check(limits, children, "DiskLimitError", message).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notebook_that_takes_the_processor_for_long_is_stopped() {
    let limits = |it: &mut LimitSettings| it.max_cpu_time = Some(Seconds(Duration::from_secs(3)));
    let message = "the notebook took more processor time than 3s (`max-cpu-time`)";
    check(limits, "while True:\n    pass", "CpuLimitError", message).await;
    let children = "import subprocess, sys\nwhile True:\n    subprocess.run([sys.executable, '-c', 'for _ in range(10**7): pass'])";
    check(limits, children, "CpuLimitError", message).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_can_lower_a_limit_and_not_raise_it() {
    let bindery = TestEngine::start_with(|settings| settings.limits.max_processes = Some(10)).await;
    let children = "import subprocess\n[subprocess.Popen(['sleep', '600']) for _ in range(5)]\nimport time\ntime.sleep(1)";
    let run = async |path: &str, asked: Option<u64>| {
        bindery.put(path, &code_notebook(&[children]));
        let resources = ResourceLimits { max_processes: asked, ..ResourceLimits::default() };
        let id = bindery.engine.submit(SubmitExecution { resources, ..in_place(path) }).await.unwrap();
        bindery.end(id).await.error.map(|error| error.evalue)
    };
    assert_eq!(run("own.ipynb", None).await, None);
    assert_eq!(run("more.ipynb", Some(100)).await, None);
    let few = run("few.ipynb", Some(3)).await.unwrap();
    assert_eq!(few, "the notebook had more processes than 3 (`max-processes`)");
    bindery.stop().await;
}
