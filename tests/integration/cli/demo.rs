//! `bindery demo`: the first thing that a new user runs.

use super::Place;

#[tokio::test]
async fn the_demo_comes_to_a_result_as_often_as_it_is_run() {
    let place = Place::new();
    for _ in 0..2 {
        let ended = place.run(&["demo", "--once", "--data-dir", "data"]).await;
        assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
        for expected in [
            "$ bindery kernels install python3 --data-dir data",
            "-F file=@data/hello.ipynb -F category=quickstart",
            "/create-from-template -H 'content-type: application/json' -d '{\"template_name\":\"quickstart/hello.ipynb\"",
            "/execute-notebook",
            "/execution-status/",
            "status    success",
            "Hello, Bindery!",
            "data/notebooks/demo/hello.ipynb",
            "/docs",
        ] {
            assert!(ended.stdout.contains(expected), "`{expected}` is not in: {}", ended.stdout);
        }
    }
}

#[tokio::test]
async fn a_notebook_of_ones_own_that_fails_is_an_exit_code_of_one() {
    let place = Place::new();
    place.write("mine.ipynb", &super::notebook(&["# parameters\nn = 1", "1 / n"]));
    let flags = ["demo", "--once", "--data-dir", "data", "--template", "mine.ipynb", "-p", "n", "0"];
    let ended = place.run(&flags).await;
    assert_eq!(ended.code, Some(1), "{}\n{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("ZeroDivisionError: division by zero"), "{}", ended.stdout);
}
