//! How cells are run: nbclient's options, and notebooks of older formats.

use serde_json::{Value, json};

use super::{Place, notebook, streams};

fn tagged(sources: &[(&str, &[&str])]) -> Value {
    let mut made = notebook(&sources.iter().map(|(source, _)| *source).collect::<Vec<_>>());
    for (index, (_, tags)) in sources.iter().enumerate() {
        made["cells"][index]["metadata"]["tags"] = json!(tags);
    }
    made
}

fn tags(notebook: &Value) -> Vec<&Value> {
    notebook["cells"].as_array().unwrap().iter().filter_map(|cell| cell["metadata"]["tags"].get(0)).collect()
}

#[tokio::test]
async fn errors_are_allowed_as_asked() {
    let place = Place::new();
    place.write("in.ipynb", &notebook(&["1 / 0", "[][1]", "print('end')"]));
    let run = async |flags: &str| {
        let line = format!("execute in.ipynb out.ipynb {flags}");
        place.run(&line.split_whitespace().collect::<Vec<_>>()).await
    };
    run("--allow-errors").await.check(0, "");
    let out = place.read("out.ipynb");
    assert_eq!(streams(&out), "end\n");
    assert_eq!(tags(&out), Vec::<&Value>::new(), "nothing is marked as failed");
    assert_eq!(out["cells"][1]["outputs"][0]["ename"], "IndexError");
    assert_eq!(out["metadata"]["papermill"]["exception"], Value::Null);

    run("--allow-error-name ZeroDivisionError").await.check(1, "IndexError in cell 1");
    run("--allow-error-name ZeroDivisionError --allow-error-name IndexError").await.check(0, "");
    run("--allow-errors --force-raise-errors").await.check(1, "ZeroDivisionError in cell 0");

    place.write("in.ipynb", &tagged(&[("1 / 0", &["raises-exception"]), ("print('end')", &[])]));
    run("").await.check(0, "");
    run("--force-raise-errors").await.check(1, "ZeroDivisionError in cell 0");
}

#[tokio::test]
async fn an_error_that_a_cell_only_shows_fails_the_run_at_its_end() {
    let place = Place::new();
    let shows = "try:\n    1 / 0\nexcept ZeroDivisionError:\n    get_ipython().showtraceback()";
    place.write("in.ipynb", &notebook(&[shows, "print('end')"]));
    let run =
        async |flags: &[&str]| place.run(&[&["execute", "in.ipynb", "out.ipynb"], flags].concat()).await;
    run(&[]).await.check(1, "ZeroDivisionError in cell 0");
    let out = place.read("out.ipynb");
    assert_eq!(streams(&out), "end\n");
    assert_eq!(tags(&out), ["papermill-error-cell-tag", "papermill-error-cell-tag"]);
    assert_eq!(out["cells"][2]["metadata"]["papermill"]["status"], "completed");

    run(&["--allow-errors"]).await.check(0, "");
    run(&["--allow-error-name", "ZeroDivisionError"]).await.check(0, "");
    place.write("in.ipynb", &tagged(&[(shows, &["raises-exception"])]));
    run(&[]).await.check(0, "");
    // A polite exit that is only shown is no failure, and hides none before it.
    place.write("in.ipynb", &notebook(&[shows, "raise SystemExit"]));
    run(&[]).await.check(1, "ZeroDivisionError in cell 0");
}

#[tokio::test]
async fn what_is_recorded_of_a_cell_can_be_chosen() {
    let place = Place::new();
    let widget = "from ipykernel.comm import Comm\n\
                  Comm(target_name='jupyter.widget', data={'state': {'_model_name': 'M', 'value': 3}})";
    let printing = "import sys\nfor i in range(3):\n    print(f'{i}%', end='\\r', flush=True)\n    \
                    print('e', end='', file=sys.stderr, flush=True)\nprint('done')";
    place.write("in.ipynb", &tagged(&[(printing, &[]), (widget, &[]), ("print('slow')", &["slow"])]));
    place.run(&["execute", "in.ipynb", "out.ipynb"]).await.check(0, "");
    let out = place.read("out.ipynb");
    assert!(out["cells"][0]["metadata"]["execution"]["iopub.status.idle"].is_string());
    assert!(out["cells"][0]["outputs"].as_array().unwrap().len() > 2);
    assert_eq!(out["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["version_major"], 2);
    assert!(streams(&out).ends_with("slow\n"));

    let flags = "execute in.ipynb out.ipynb --no-record-timing --coalesce-streams --no-store-widget-state \
                 --skip-cells-with-tag slow";
    place.run(&flags.split_whitespace().collect::<Vec<_>>()).await.check(0, "");
    let out = place.read("out.ipynb");
    assert_eq!(out["cells"][0]["metadata"]["execution"], Value::Null);
    assert_eq!(out["metadata"]["widgets"], Value::Null);
    assert_eq!(
        out["cells"][0]["outputs"],
        json!([
            {"name": "stdout", "output_type": "stream", "text": ["done\n"]},
            {"name": "stderr", "output_type": "stream", "text": ["eee"]},
        ])
    );
    assert_eq!(out["cells"][2]["outputs"], json!([]));
}

#[tokio::test]
async fn a_kernel_that_never_says_that_a_cell_is_done_is_told_of() {
    let place = Place::new();
    let silent = "get_ipython().kernel._publish_status = lambda *args, **fields: None\nprint('said')";
    place.write("in.ipynb", &notebook(&[silent, "print('next')"]));
    let ended = place.run(&["execute", "in.ipynb", "out.ipynb", "--iopub-timeout", "0.3"]).await;
    ended.check(0, "did not say that its output is complete");
    assert_eq!(streams(&place.read("out.ipynb")), "said\nnext\n");
    let ended = place
        .run(&["execute", "in.ipynb", "out.ipynb", "--iopub-timeout", "0.3", "--raise-on-iopub-timeout"])
        .await;
    ended.check(1, "CellTimeoutError in cell 0: the cell's output was not complete 0.3 s after it ended");
    assert_eq!(streams(&place.read("out.ipynb")), "said\n");
}

#[tokio::test]
async fn nobody_is_there_to_answer_a_notebooks_question() {
    let place = Place::new();
    place.write("in.ipynb", &notebook(&["input('name? ')"]));
    place.run(&["execute", "in.ipynb", "out.ipynb"]).await.check(1, "StdinNotImplementedError in cell 0");
    place.write("in.ipynb", &notebook(&["import getpass; getpass.getpass()"]));
    place.run(&["execute", "in.ipynb", "out.ipynb"]).await.check(1, "StdinNotImplementedError in cell 0");
}

#[tokio::test]
async fn notebooks_of_older_formats_are_upgraded_and_said_to_be() {
    let place = Place::new();
    let cell = json!({
        "cell_type": "code", "collapsed": false, "input": ["a = 1\n", "print(a)"], "language": "python",
        "metadata": {"tags": ["parameters"]}, "outputs": [{"output_type": "pyout", "text": ["old"], "prompt_number": 1}],
        "prompt_number": 1,
    });
    let heading = json!({"cell_type": "heading", "level": 2, "metadata": {}, "source": ["Title"]});
    let old = json!({
        "metadata": {"name": ""}, "nbformat": 3, "nbformat_minor": 0, "worksheets": [{"cells": [heading, cell], "metadata": {}}],
    });
    place.write("in.ipynb", &old);
    let line = "execute in.ipynb out.ipynb -p a 2 -k python3 --log-level INFO";
    let ended = place.run(&line.split(' ').collect::<Vec<_>>()).await;
    ended.check(0, "the notebook was upgraded from nbformat 3.0 to 4.5");
    let out = place.read("out.ipynb");
    assert_eq!(streams(&out), "1\n");
    assert_eq!(out["cells"][0]["source"], json!(["## Title"]));
    assert_eq!(out["cells"][2]["source"], json!(["# Parameters\n", "a = 2\n"]));
    assert_eq!((&out["nbformat"], &out["nbformat_minor"]), (&json!(4), &json!(5)));
    assert_eq!(place.read("in.ipynb"), old, "the input stays as it is");

    let mut minor = notebook(&["1"]);
    minor["nbformat_minor"] = 2.into();
    minor["cells"][0].as_object_mut().unwrap().remove("id");
    place.write("in.ipynb", &minor);
    let ended = place.run(&["execute", "in.ipynb", "out.ipynb", "--log-level", "INFO"]).await;
    ended.check(0, "the notebook was upgraded from nbformat 4.2 to 4.5");
    let out = place.read("out.ipynb");
    assert_eq!(out["nbformat_minor"], 5);
    assert!(out["cells"][0]["id"].is_string());
}
