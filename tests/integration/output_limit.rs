//! Notebooks that put out more than they may.

use std::time::{Duration, Instant};

use bindery::config::ByteSize;
use bindery::execution::ExecutionStatus;

use crate::support::engine::TestEngine;

const LIMIT: u64 = 1_000_000;

async fn engine() -> TestEngine {
    TestEngine::start_with(|settings| settings.service.max_output_size = Some(ByteSize(LIMIT))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notebook_that_prints_for_ever_is_stopped_and_what_it_printed_is_kept() {
    let bindery = engine().await;
    let begun = Instant::now();
    let execution =
        bindery.run("endless.ipynb", &["print('before')", "while True:\n    print('x' * 1000)"]).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(execution.status, ExecutionStatus::Failed);
    let error = execution.error.unwrap();
    assert_eq!((error.ename.as_str(), error.cell_index), ("OutputLimitError", Some(1)));
    assert!(error.evalue.contains("1MB (`max-output-size`)"), "{}", error.evalue);
    let text = String::from_utf8(bindery.read("endless.ipynb").to_bytes()).unwrap();
    assert!(text.contains("before\\n"));
    // Line breaks take more room in JSON.
    assert!((LIMIT / 20 * 19..LIMIT / 20 * 21).contains(&(text.len() as u64)), "{}", text.len());
    assert!(text.contains("papermill-error-cell-tag"));

    // Another run of the same service is not touched by it.
    let execution = bindery.run("after.ipynb", &["print('x' * 900_000)"]).await;
    assert_eq!(execution.status, ExecutionStatus::Success);
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cleared_again_makes_room() {
    let bindery = engine().await;
    let progress = "from IPython.display import clear_output\nfor i in range(50):\n    print('x' * 100_000)\n    clear_output()\nprint('done')";
    let execution = bindery.run("progress.ipynb", &[progress]).await;
    assert_eq!(execution.status, ExecutionStatus::Success, "{:?}", execution.error);
    assert_eq!(bindery.read("progress.ipynb").cells()[0].outputs()[0]["text"][0], "done\n");
    bindery.stop().await;
}
