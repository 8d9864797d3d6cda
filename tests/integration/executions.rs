//! Executions on a real ipykernel.

use std::time::{Duration, Instant};

use bindery::ErrorKind;
use bindery::engine::executions::SubmitExecution;
use bindery::engine::notebooks::CreateFromTemplate;
use bindery::engine::templates::TemplateUpload;
use bindery::execution::ExecutionStatus;
use bindery::notebook::Parameters;
use serde_json::{Value, json};

use crate::support::engine::{TestEngine, code_cell, code_notebook, in_place, notebook, processes_of, until};

fn outputs(bindery: &TestEngine, path: &str, cell: usize) -> Vec<Value> {
    bindery.read(path).cells()[cell].outputs().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_output_is_recorded() {
    let bindery = TestEngine::start().await;
    let execution = bindery
        .run(
            "kinds.ipynb",
            &[
                "import sys\nprint('out')\nprint('more')\nprint('err', file=sys.stderr)\nprint('last')",
                "1 + 1",
                "from IPython.display import display, update_display, clear_output, HTML\nh = display('first', display_id='d')",
                "update_display('second', display_id='d')\nHTML('<b>x</b>')",
                "print('gone')\nclear_output()\nprint('kept')",
                "print('gone at the next output')\nclear_output(wait=True)\nprint('new')",
                "raise ValueError('no good')",
                "print('never')",
            ],
        )
        .await;
    assert_eq!(execution.status, ExecutionStatus::Failed);
    let error = execution.error.unwrap();
    assert_eq!(
        (error.cell_index, error.ename.as_str(), error.evalue.as_str()),
        (Some(6), "ValueError", "no good")
    );
    assert!(error.traceback.join("\n").contains("no good"));
    assert_eq!(execution.progress.cells_done, 7);
    assert_eq!(execution.progress.cells_total, 8);

    // One mark is on top, so the cells are one further down; the failed one has another before it.
    let path = "kinds.ipynb";
    let stream = |name: &str, text: &[&str]| json!({"name": name, "output_type": "stream", "text": text});
    let out = outputs(&bindery, path, 1);
    let of = |name: &str| -> String {
        let texts = out.iter().filter(|output| output["name"] == name);
        texts
            .flat_map(|output| output["text"].as_array().unwrap())
            .map(|line| line.as_str().unwrap())
            .collect()
    };
    assert_eq!(of("stdout"), "out\nmore\nlast\n");
    assert_eq!(of("stderr"), "err\n");
    assert_eq!(
        outputs(&bindery, path, 2),
        [
            json!({"data": {"text/plain": ["2"]}, "execution_count": 2, "metadata": {}, "output_type": "execute_result"})
        ]
    );
    assert_eq!(outputs(&bindery, path, 3)[0]["data"]["text/plain"], json!(["'second'"]));
    assert_eq!(outputs(&bindery, path, 4)[0]["data"]["text/html"], json!(["<b>x</b>"]));
    assert_eq!(outputs(&bindery, path, 5), [stream("stdout", &["kept\n"])]);
    assert_eq!(outputs(&bindery, path, 6), [stream("stdout", &["new\n"])]);
    let failed = &bindery.read(path).cells()[8].clone();
    assert_eq!(failed.outputs()[0]["ename"], "ValueError");
    assert_eq!(failed.execution_count(), Some(7));
    assert_eq!(failed.metadata().unwrap()["papermill"]["status"], "failed");
    let execution = &failed.metadata().unwrap()["execution"];
    for moment in ["iopub.execute_input", "iopub.status.busy", "iopub.status.idle", "shell.execute_reply"] {
        assert!(execution[moment].is_string(), "{moment}");
    }
    let never = &bindery.read(path).cells()[9].clone();
    assert!(never.outputs().is_empty());
    assert_eq!(never.metadata().unwrap()["papermill"]["status"], "pending");
    let papermill = bindery.read(path).metadata().unwrap()["papermill"].clone();
    assert_eq!(papermill["exception"], true);
    assert!(papermill["duration"].as_f64().unwrap() > 0.0);
    assert_eq!(bindery.read(path).metadata().unwrap()["language_info"]["name"], "python");
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_bound_and_a_second_run_replaces_the_first() {
    let bindery = TestEngine::start().await;
    bindery.put(
        "p.ipynb",
        &notebook(vec![
            code_cell(0, "alpha = 1\nname = 'x'", &["parameters"]),
            code_cell(1, "print(alpha, name, big)", &[]),
        ]),
    );
    for alpha in [0.5, 2.5] {
        let parameters =
            format!(r#"{{"alpha": {alpha}, "name": "é\n\"q\"", "big": 123456789012345678901234567890}}"#);
        let submit = SubmitExecution {
            parameters: Some(serde_json::from_str(&parameters).unwrap()),
            ..in_place("p.ipynb")
        };
        let id = bindery.engine.submit(submit).await.unwrap();
        let execution = bindery.end(id).await;
        assert_eq!(execution.status, ExecutionStatus::Success, "{:?}", execution.error);
        assert_eq!(execution.warnings, ["Passed unknown parameter: big"]);
        let notebook = bindery.read("p.ipynb");
        assert_eq!(notebook.cells().len(), 3);
        assert!(notebook.cells()[1].has_tag("injected-parameters"));
        let text = notebook.cells()[2].outputs()[0]["text"].clone();
        assert_eq!(text, json!([format!("{alpha} é\n"), "\"q\" 123456789012345678901234567890\n"]));
    }
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_decide_what_runs_and_what_may_fail() {
    let bindery = TestEngine::start().await;
    bindery.put(
        "tags.ipynb",
        &notebook(vec![
            code_cell(0, "1/0", &["raises-exception"]),
            code_cell(1, "1/0", &["skip-execution"]),
            code_cell(2, "   ", &[]),
            json!({"cell_type": "markdown", "id": "m", "metadata": {}, "source": "# Title"}),
            code_cell(3, "print('end')", &[]),
            code_cell(4, "import sys; sys.exit(0)", &[]),
            code_cell(5, "print('never')", &[]),
        ]),
    );
    let id = bindery.engine.submit(in_place("tags.ipynb")).await.unwrap();
    let execution = bindery.end(id).await;
    assert_eq!(execution.status, ExecutionStatus::Success, "{:?}", execution.error);
    assert_eq!(outputs(&bindery, "tags.ipynb", 0)[0]["ename"], "ZeroDivisionError");
    assert!(outputs(&bindery, "tags.ipynb", 1).is_empty());
    assert_eq!(outputs(&bindery, "tags.ipynb", 4)[0]["text"], json!(["end\n"]));
    assert!(outputs(&bindery, "tags.ipynb", 6).is_empty());
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_no_unicode_is_recorded_and_hangs_nothing() {
    let bindery = TestEngine::start().await;
    let cells = ["print('caf\\udce9')", "raise ValueError('caf\\udce9')"];
    let execution = bindery.run("a.ipynb", &cells).await;
    assert_eq!(execution.error.unwrap().evalue, "caf\u{fffd}");
    assert_eq!(outputs(&bindery, "a.ipynb", 1)[0]["text"], json!(["caf\u{fffd}\n"]));

    // Deeper than what JSON's reader takes: the output is lost, and that is said.
    let deep = "from IPython.display import display\nd = {}\nfor _ in range(200): d = {'a': d}\ndisplay({'application/json': d}, raw=True)";
    let execution = bindery.run("deep.ipynb", &[deep]).await;
    assert_eq!(execution.status, ExecutionStatus::Success);
    assert!(execution.warnings[0].contains("left out"), "{:?}", execution.warnings);
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_the_end_is_not_answered_when_a_worker_gives_up() {
    let bindery = TestEngine::start().await;
    let id = bindery.submit("a.ipynb", &["import time; time.sleep(300)"]).await;
    let engine = bindery.engine.clone();
    let waiting = tokio::spawn(async move { engine.wait_for_end(id).await });
    until("the kernel runs", async || (!processes_of(id, bindery.root()).is_empty()).then_some(())).await;
    let pool = sqlx::SqlitePool::connect(&bindery.engine.config().database_url).await.unwrap();
    let change = async |sql: &'static str| sqlx::query(sql).execute(&pool).await.unwrap();
    // Another service takes the execution over, and ends it later.
    change("UPDATE executions SET lease_owner = 'other', lease_expires_at = lease_expires_at + 60000000")
        .await;
    until("the kernel is gone", async || processes_of(id, bindery.root()).is_empty().then_some(())).await;
    change("UPDATE executions SET status = 'failed', end_time = start_time").await;
    assert_eq!(waiting.await.unwrap().unwrap().status, ExecutionStatus::Failed);
    assert_eq!(std::fs::read_dir(bindery.root()).unwrap().count(), 1, "nothing more is written");
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runs_own_timeout_counts_while_the_kernel_starts() {
    let bindery = TestEngine::start().await;
    let kernels = bindery.engine.config().data_dir.join("kernels");
    std::fs::remove_file(&kernels).unwrap();
    std::fs::create_dir_all(kernels.join("python3")).unwrap();
    let never_answers = json!({"argv": ["sleep", "300"], "display_name": "Mute", "language": "python"});
    std::fs::write(kernels.join("python3/kernel.json"), never_answers.to_string()).unwrap();
    bindery.put("a.ipynb", &code_notebook(&["1"]));
    let submit = SubmitExecution { timeout: Some(Duration::from_secs(1)), ..in_place("a.ipynb") };
    let started = Instant::now();
    let id = bindery.engine.submit(submit).await.unwrap();
    let execution = bindery.end(id).await;
    assert_eq!(execution.error.unwrap().ename, "ExecutionTimeoutError");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernels_death_is_seen_at_once_and_loses_nothing() {
    let bindery = TestEngine::start().await;
    let started = "import time; print(time.time(), flush=True)";
    let execution = bindery
        .run(
            "death.ipynb",
            &[
                started,
                "print('last words', flush=True)\nimport os, time; time.sleep(0.3); os.kill(os.getpid(), 9)",
            ],
        )
        .await;
    assert_eq!(execution.status, ExecutionStatus::Failed);
    let error = execution.error.clone().unwrap();
    assert_eq!((error.cell_index, error.ename.as_str()), (Some(1), "DeadKernelError"));
    assert!(error.evalue.contains("SIGKILL"), "{}", error.evalue);
    assert_eq!(outputs(&bindery, "death.ipynb", 3)[0]["text"], json!(["last words\n"]));
    let printed: f64 =
        outputs(&bindery, "death.ipynb", 1)[0]["text"][0].as_str().unwrap().trim().parse().unwrap();
    let seen = execution.end_time.unwrap().as_microsecond() as f64 / 1e6;
    assert!(seen - printed < 1.0, "a death must be seen at once, not polled: {} s", seen - printed);
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timeouts_interrupt_and_then_kill() {
    let bindery = TestEngine::start().await;
    let limited = |path: &str, cell: Option<u64>, whole: Option<u64>| SubmitExecution {
        cell_timeout: cell.map(Duration::from_secs),
        timeout: whole.map(Duration::from_secs),
        ..in_place(path)
    };
    bindery.put("cell.ipynb", &code_notebook(&["print('before', flush=True)\nimport time; time.sleep(60)"]));
    bindery.put(
        "run.ipynb",
        &code_notebook(&["import time", "time.sleep(0.1)", "time.sleep(0.1)", "time.sleep(60)"]),
    );
    bindery.put(
        "deaf.ipynb",
        &code_notebook(&[
            "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: time.sleep(1)",
        ]),
    );
    let cell = bindery.engine.submit(limited("cell.ipynb", Some(1), None)).await.unwrap();
    let run = bindery.engine.submit(limited("run.ipynb", None, Some(5))).await.unwrap();
    let deaf = bindery.engine.submit(limited("deaf.ipynb", Some(1), None)).await.unwrap();

    let execution = bindery.end(cell).await;
    let error = execution.error.unwrap();
    assert_eq!((execution.status, error.ename.as_str()), (ExecutionStatus::Failed, "CellTimeoutError"));
    let outputs = outputs(&bindery, "cell.ipynb", 2);
    assert_eq!(outputs[0]["text"], json!(["before\n"]));
    assert_eq!(outputs[1]["ename"], "KeyboardInterrupt");

    let error = bindery.end(run).await.error.unwrap();
    assert_eq!((error.cell_index, error.ename.as_str()), (Some(3), "ExecutionTimeoutError"));

    let started = Instant::now();
    let execution = bindery.end(deaf).await;
    assert_eq!(execution.error.unwrap().ename, "CellTimeoutError");
    assert!(started.elapsed() < Duration::from_secs(20));
    until("the deaf kernel is gone", async || processes_of(deaf, bindery.root()).is_empty().then_some(()))
        .await;
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_ends_what_waits_and_what_runs() {
    let bindery = TestEngine::start_with(|settings| settings.service.workers = Some(1)).await;
    let sleeper = "import subprocess, time\nprint('up', flush=True)\nsubprocess.Popen(['sleep', '300'])\ntime.sleep(300)";
    let running = bindery.submit("running.ipynb", &[sleeper]).await;
    let waiting = bindery.submit("waiting.ipynb", &["1"]).await;
    until("the cell has printed", async || {
        (std::fs::read_to_string(bindery.root().join("running.ipynb")).unwrap().contains("\"up\\n"))
            .then_some(())
    })
    .await;
    assert_eq!(processes_of(running, bindery.root()).len(), 2, "the kernel and its child");

    assert_eq!(bindery.engine.cancel_execution(waiting).await.unwrap(), ExecutionStatus::Cancelled);
    assert_eq!(bindery.engine.cancel_execution(running).await.unwrap(), ExecutionStatus::Running);
    let execution = bindery.end(running).await;
    assert_eq!(execution.status, ExecutionStatus::Cancelled);
    assert!(execution.error.is_none());
    assert_eq!(outputs(&bindery, "running.ipynb", 0)[0]["text"], json!(["up\n"]));
    assert_eq!(bindery.end(waiting).await.status, ExecutionStatus::Cancelled);
    until("nothing is left behind", async || processes_of(running, bindery.root()).is_empty().then_some(()))
        .await;

    let error = bindery.engine.cancel_execution(running).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_before_the_first_cell_is_an_execution_that_failed() {
    let bindery = TestEngine::start_with(|settings| settings.service.workers = Some(1)).await;
    let blocker = bindery.submit("blocker.ipynb", &["import time; time.sleep(60)"]).await;
    let deleted = bindery.submit("deleted.ipynb", &["1"]).await;
    let broken = bindery.submit("broken.ipynb", &["1"]).await;
    std::fs::remove_file(bindery.root().join("deleted.ipynb")).unwrap();
    std::fs::write(bindery.root().join("broken.ipynb"), "{not json").unwrap();
    bindery.engine.cancel_execution(blocker).await.unwrap();

    let error = bindery.end(deleted).await.error.unwrap();
    assert_eq!(error.ename, "NotebookNotFound");
    assert!(
        error.evalue.contains("deleted.ipynb") && !error.evalue.contains(bindery.root().to_str().unwrap())
    );
    assert_eq!(bindery.end(broken).await.error.unwrap().ename, "NotebookUnreadable");
    assert_eq!(std::fs::read(bindery.root().join("broken.ipynb")).unwrap(), b"{not json");
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_before_anything_is_recorded() {
    let bindery = TestEngine::start().await;
    bindery.put("good.ipynb", &code_notebook(&["1"]));
    bindery.put("alien.ipynb", &json!({"cells": [], "metadata": {}, "nbformat": 5, "nbformat_minor": 0}));
    let refused = async |submit: SubmitExecution, kind: ErrorKind, says: &str| {
        let error = bindery.engine.submit(submit).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    };
    refused(in_place("absent.ipynb"), ErrorKind::NotFound, "absent.ipynb").await;
    refused(in_place("../good.ipynb"), ErrorKind::BadInput, "`..`").await;
    refused(in_place("alien.ipynb"), ErrorKind::Invalid, "nbformat is 5").await;
    let kernel = SubmitExecution { kernel_name: Some("cobol".into()), ..in_place("good.ipynb") };
    refused(kernel, ErrorKind::Invalid, "python3").await;
    for (parameters, says) in [("[1]", "object"), (r#"{"1x": 1}"#, "1x"), (r#"{"class": 1}"#, "class")] {
        let parameters = Some(serde_json::from_str(parameters).unwrap());
        refused(SubmitExecution { parameters, ..in_place("good.ipynb") }, ErrorKind::Invalid, says).await;
    }
    assert!(bindery.engine.count_executions().await.unwrap().is_empty());
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_never_write_one_file() {
    let bindery = TestEngine::start().await;
    let first = bindery.submit("one.ipynb", &["import time; time.sleep(60)"]).await;
    let error = bindery.engine.submit(in_place("one.ipynb")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains(&format!("execution {first}")), "{error}");
    let elsewhere = SubmitExecution { output_path: Some("out/two.ipynb".into()), ..in_place("one.ipynb") };
    let second = bindery.engine.submit(elsewhere).await.unwrap();
    for id in [first, second] {
        bindery.engine.cancel_execution(id).await.unwrap();
        bindery.end(id).await;
    }
    bindery.engine.submit(in_place("one.ipynb")).await.unwrap();
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notebook_that_a_person_edits_while_it_runs_is_left_to_them() {
    let bindery = TestEngine::start().await;
    let id = bindery
        .submit(
            "edited.ipynb",
            &[
                "print('up', flush=True)",
                "import time, os\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('done')",
            ],
        )
        .await;
    until("the first output is on disk", async || {
        std::fs::read_to_string(bindery.root().join("edited.ipynb"))
            .unwrap()
            .contains("\"up\\n")
            .then_some(())
    })
    .await;
    let theirs = code_notebook(&["'what a person wrote meanwhile'"]);
    bindery.put("edited.ipynb", &theirs);
    std::fs::write(bindery.root().join("go"), "").unwrap();
    let execution = bindery.end(id).await;
    assert_eq!(execution.status, ExecutionStatus::Success);
    let ours = format!("edited.execution-{id}.ipynb");
    assert_eq!(execution.request.output_path, ours);
    assert_eq!(bindery.read("edited.ipynb").to_value(), theirs);
    assert_eq!(outputs(&bindery, &ours, 1)[0]["text"], json!(["done\n"]));
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_are_visible_while_a_cell_runs() {
    let bindery = TestEngine::start().await;
    let id = bindery.submit("live.ipynb", &["import os, time\nfor i in range(3): print('line', i, flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)"]).await;
    until("the lines are in the file", async || {
        std::fs::read_to_string(bindery.root().join("live.ipynb")).unwrap().contains("line 2").then_some(())
    })
    .await;
    let execution = bindery.engine.execution(id).await.unwrap();
    assert_eq!((execution.status, execution.progress.current_cell), (ExecutionStatus::Running, Some(0)));
    std::fs::write(bindery.root().join("go"), "").unwrap();
    assert_eq!(bindery.end(id).await.status, ExecutionStatus::Success);
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_small_messages_is_recorded_whole() {
    let bindery = TestEngine::start().await;
    let execution = bindery.run("flood.ipynb", &["for i in range(20000): print(i, flush=i % 10 == 0)"]).await;
    assert_eq!(execution.status, ExecutionStatus::Success, "{:?} {:?}", execution.error, execution.warnings);
    let text: String = outputs(&bindery, "flood.ipynb", 0)
        .iter()
        .flat_map(|it| it["text"].as_array().unwrap().clone())
        .map(|line| line.as_str().unwrap().to_owned())
        .collect();
    let expected: String = (0..20000).map(|i| format!("{i}\n")).collect();
    assert!(text == expected, "{} of {} bytes came", text.len(), expected.len());
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_stopped_records_what_it_has() {
    let bindery = TestEngine::start().await;
    let id =
        bindery.submit("stopped.ipynb", &["print('up', flush=True)\nimport time; time.sleep(300)"]).await;
    until("the cell has printed", async || {
        std::fs::read_to_string(bindery.root().join("stopped.ipynb"))
            .unwrap()
            .contains("\"up\\n")
            .then_some(())
    })
    .await;
    let engine = bindery.engine.clone();
    let root = bindery.root().to_owned();
    bindery.stop().await;
    let execution = engine.execution(id).await.unwrap();
    assert_eq!(execution.error.unwrap().ename, "WorkerStopped");
    assert!(processes_of(id, &root).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_notebook_starts_in_the_background_goes_with_its_kernel() {
    let bindery = TestEngine::start().await;
    let detached = "import subprocess\nfor session in (False, True): subprocess.Popen(['sleep', '300'], start_new_session=session)";
    bindery.put("detached.ipynb", &code_notebook(&[detached]));
    let id = bindery.engine.submit(in_place("detached.ipynb")).await.unwrap();
    assert_eq!(bindery.end(id).await.status, ExecutionStatus::Success);
    until("nothing is left behind", async || processes_of(id, bindery.root()).is_empty().then_some(())).await;
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn widgets_are_kept_and_an_output_widget_captures_what_it_should() {
    let bindery = TestEngine::start().await;
    let open = "from comm import create_comm\n\
        state = {'_model_module': '@jupyter-widgets/output', '_model_name': 'OutputModel', '_model_module_version': '1.0.0', 'outputs': [], 'msg_id': ''}\n\
        heard = []\n\
        out = create_comm(target_name='jupyter.widget', data={'state': state})\n\
        out.on_msg(lambda message: heard.append(message['content']['data']))";
    let capture = "import sys\n\
        def capture(request):\n    sys.stdout.flush()\n    out.send({'method': 'update', 'state': {'msg_id': request}})\n\
        capture(get_ipython().kernel.get_parent()['header']['msg_id'])\n\
        print('captured')\n\
        capture('')\n\
        print('free')";
    let execution = bindery
        .run("widgets.ipynb", &[open, capture, "print(heard[-1]['state']['outputs'][0]['text'])"])
        .await;
    assert_eq!(execution.status, ExecutionStatus::Success, "{:?}", execution.error);
    let stream = |text: &str| json!({"name": "stdout", "output_type": "stream", "text": [text]});
    assert_eq!(outputs(&bindery, "widgets.ipynb", 1), [stream("free\n")]);
    let heard = outputs(&bindery, "widgets.ipynb", 2);
    assert_eq!(heard[0]["text"], json!(["captured\n", "\n"]), "the kernel is told what its widget shows");
    let widgets = bindery.read("widgets.ipynb").metadata().unwrap()["widgets"].clone();
    let models = widgets["application/vnd.jupyter.widget-state+json"]["state"].as_object().unwrap().clone();
    let (_, model) = models.into_iter().next().unwrap();
    assert_eq!(model["model_name"], "OutputModel");
    assert_eq!(model["state"]["outputs"][0]["text"], "captured\n");
    bindery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notebook_that_cannot_be_recorded_is_not_left_in_the_way() {
    let bindery = TestEngine::start().await;
    let upload = TemplateUpload {
        file_name: "t.ipynb".into(),
        category: None,
        description: String::new(),
        overwrite: false,
        bytes: code_notebook(&["1"]).to_string().into(),
    };
    bindery.engine.upload_template(upload).await.unwrap();
    let create = CreateFromTemplate {
        template_name: "general/t.ipynb".into(),
        target_directory: "ada".into(),
        parameters: Parameters::new(),
        new_name: None,
        overwrite: false,
        username: None,
    };
    bindery.engine.close().await;
    assert_eq!(bindery.engine.create_from_template(create).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(!bindery.root().join("ada/t.ipynb").exists());
}
