//! Ctrl-C and SIGTERM: what was produced is saved, and no kernel stays behind.

use rustix::process::Signal;

use super::{Ended, Line, Place, Served, is_cut, notebook, send, streams};

#[tokio::test]
async fn ctrl_c_saves_what_a_notebook_has_produced_and_ends_its_kernel() {
    let (place, line) = (Place::new(), Line::new().await);
    place.write(
        "in.ipynb",
        &notebook(&["print('before')", &line.tell(), "print('now', flush=True)\nwhile True: pass"]),
    );
    let child = place.command(["execute", "in.ipynb", "out.ipynb"]).spawn().unwrap();
    let kernel = line.told().await;
    send(&child, Signal::INT);
    let ended = Ended::of(child).await;
    ended.check(130, "stopping the notebook");
    is_cut(kernel).await;
    assert!(streams(&place.read("out.ipynb")).starts_with("before\n"));
}

#[tokio::test]
async fn a_second_ctrl_c_ends_at_once_and_takes_the_kernel_along() {
    let (place, line) = (Place::new(), Line::new().await);
    let stubborn =
        "while True:\n    try:\n        while True: pass\n    except KeyboardInterrupt: print('no')";
    place.write("in.ipynb", &notebook(&[&line.tell(), stubborn]));
    let mut child = place.command(["execute", "in.ipynb", "out.ipynb"]).spawn().unwrap();
    let kernel = line.told().await;
    send(&child, Signal::INT);
    // The second is sent when the first has been heard.
    let mut stderr = tokio::io::BufReader::new(child.stderr.take().unwrap());
    tokio::io::AsyncBufReadExt::read_line(&mut stderr, &mut String::new()).await.unwrap();
    send(&child, Signal::INT);
    assert_eq!(Ended::of(child).await.code, Some(130));
    is_cut(kernel).await;
}

#[tokio::test]
async fn sigterm_lets_a_run_go_on_for_the_grace_and_then_saves_it() {
    let (place, line) = (Place::new(), Line::new().await);
    let served = Served::start(&place, &["--shutdown-grace", "500ms"]).await;
    let path = place.path("data/notebooks/run.ipynb");
    let run = notebook(&["print('before')", &line.tell(), "import time; time.sleep(600)"]);
    std::fs::write(&path, run.to_string()).unwrap();
    let listen = served.url.strip_prefix("http://").unwrap();
    let submitted = place.json(&["executions", "submit", "run.ipynb", "--listen", listen, "--json"]).await;
    assert_eq!(submitted["execution_id"], 1);
    let kernel = line.told().await;
    served.signal(Signal::TERM);
    let (code, said) = served.ended().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 running execution may go on for 0.5s; a second signal ends at once"), "{said}");
    is_cut(kernel).await;
    let shown = place.json(&["executions", "show", "1", "--json"]).await;
    assert_eq!((&shown["status"], &shown["error"]["ename"]), (&"failed".into(), &"WorkerStopped".into()));
    assert!(streams(&place.read("data/notebooks/run.ipynb")).starts_with("before\n"));
}

#[tokio::test]
async fn a_second_signal_ends_the_service_at_once() {
    let (place, line) = (Place::new(), Line::new().await);
    let mut served = Served::start(&place, &[]).await;
    let run = notebook(&[&line.tell(), "import time; time.sleep(600)"]);
    std::fs::write(place.path("data/notebooks/run.ipynb"), run.to_string()).unwrap();
    place.run(&["executions", "submit", "run.ipynb"]).await.check(0, "");
    let kernel = line.told().await;
    served.signal(Signal::INT);
    served.says("Ctrl-C again ends at once").await;
    served.signal(Signal::INT);
    assert_eq!(served.ended().await.0, Some(130));
    is_cut(kernel).await;
}

#[tokio::test]
async fn an_installation_that_is_interrupted_says_so_and_ends_as_shells_expect() {
    let place = Place::new();
    // An interpreter that never answers, so that nothing has to be installed for this.
    let python = place.path("python3");
    std::fs::write(&python, "#!/bin/sh\nexec sleep 600\n").unwrap();
    std::fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let flags = ["kernels", "install", "python3", "--data-dir", "fresh", "--python"];
        let mut command = place.command(flags);
        let child = command.arg(&python).spawn().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        send(&child, signal);
        Ended::of(child).await.check(code, "was interrupted; run the command again");
    }
}
