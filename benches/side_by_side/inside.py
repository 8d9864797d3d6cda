"""Runs in the peers' environment: what is measured within a process, without the time that Python takes to start.

Its argument is a job in JSON; it prints the seconds and its own peak memory as JSON. One process per measurement.
"""

import json
import os
import queue
import resource
import sys
import time


def bare(job):
    """What any client must do with a cold ipykernel: start it, run one cell, end it."""
    from jupyter_client.manager import KernelManager

    begun = time.perf_counter()
    manager = KernelManager(kernel_name="python3", transport="ipc")
    manager.start_kernel(stdout=-3, stderr=-3)
    client = manager.blocking_client()
    client.start_channels()
    # Not wait_for_ready(), which waits 0.2 s for silence: what is broadcast before the subscription is in place is lost.
    client.kernel_info()
    client.get_shell_msg(timeout=60)
    while True:
        try:
            client.get_iopub_msg(timeout=0.02)
            break
        except queue.Empty:
            client.kernel_info()
    request = client.execute("print(1)")
    idle = replied = False
    while not idle:
        message = client.get_iopub_msg(timeout=60)
        ours = message["parent_header"].get("msg_id") == request
        idle = ours and message["content"].get("execution_state") == "idle"
    while not replied:
        replied = client.get_shell_msg(timeout=60)["parent_header"].get("msg_id") == request
    seconds = time.perf_counter() - begun
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    return seconds


def nbclient(job):
    import nbformat
    from nbclient import NotebookClient

    begun = time.perf_counter()
    notebook = nbformat.read(job["notebooks"][0], as_version=4)
    NotebookClient(notebook, timeout=600).execute()
    nbformat.write(notebook, job["notebooks"][0] + ".out.ipynb")
    return time.perf_counter() - begun


def pool(job):
    """papermill in a pool of processes that have imported everything."""
    import multiprocessing

    with multiprocessing.get_context("spawn").Pool(job["workers"]) as workers:
        workers.map(execute_by_papermill, [job["notebooks"][0]] * job["workers"], chunksize=1)
        begun = time.perf_counter()
        workers.map(execute_by_papermill, job["notebooks"], chunksize=1)
        return time.perf_counter() - begun


def execute_by_papermill(notebook):
    import papermill

    papermill.execute_notebook(notebook, f"{notebook}.{os.getpid()}.ipynb", progress_bar=False)


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    seconds = {"bare": bare, "nbclient": nbclient, "pool": pool}[job["do"]](job)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak": peak}))
