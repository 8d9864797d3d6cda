"""Runs in the peers' environment: papermill, `jupyter execute` and nbconvert in one process for many notebooks.

Each line of standard input is a job in JSON, each line of standard output its result: {"good": …, "log": …}.
"""

import io
import json
import logging
import os
import pathlib
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout

import nbconvert
import nbformat
import papermill.cli
from nbclient import NotebookClient


def run_papermill(job):
    os.chdir(job["cwd"])
    # What its command line does at import time, before it knows of a pipe.
    papermill.cli.INPUT_PIPED = papermill.cli.OUTPUT_PIPED = False
    papermill.cli.papermill.main([job["input"], job["output"], *job["flags"]], standalone_mode=False)


def run_nbclient(job):
    """What `jupyter execute` does, but the notebook is kept when it fails, and old outputs are taken out first."""
    os.chdir(job["cwd"])
    with open(job["input"]) as file:
        notebook = nbformat.read(file, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(notebook, timeout=job["timeout"], resources={"metadata": {"path": job["cwd"]}})
    try:
        client.execute()
    finally:
        nbformat.write(notebook, job["output"])


def accept(job):
    """Whether the tools that read notebooks accept this one."""
    text = pathlib.Path(job["path"]).read_text()
    nbformat.validate(json.loads(text))
    notebook = nbformat.reads(text, as_version=4)
    for exporter in (nbconvert.HTMLExporter, nbconvert.ScriptExporter, nbconvert.NotebookExporter):
        exporter().from_notebook_node(notebook)


DO = {"papermill": run_papermill, "nbclient": run_nbclient, "accept": accept}


def main():
    # Whatever is printed must not come between the results.
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    home = os.getcwd()
    for line in sys.stdin:
        job, log, good = json.loads(line), io.StringIO(), True
        logging.basicConfig(stream=log, level=logging.INFO, format="%(message)s", force=True)
        with redirect_stdout(log), redirect_stderr(log):
            try:
                DO[job["do"]](job)
            except SystemExit as end:
                good = not end.code
            except BaseException:
                good = False
                traceback.print_exc()
        os.chdir(home)
        print(json.dumps({"good": good, "log": log.getvalue()[-20_000:]}), file=results, flush=True)


main()
