"""What is measured: cases, and who takes part in each."""

import concurrent.futures
import dataclasses
import os
import shutil
import time
from collections.abc import Callable

import notebooks
from programs import Sample, Service, inside, run

OURS = "bindery execute"
SERVICE = "bindery serve"


@dataclasses.dataclass
class Case:
    """One row of the table. Each contender gives a list of samples each time that it is called."""

    name: str
    contenders: dict[str, Callable[[], list[Sample]]]
    # How many notebooks one sample stands for; what is shown is notebooks a minute.
    batch: int = 1
    # At most so many rounds: for what takes minutes.
    rounds: int = 100
    ends: list[Callable[[], None]] = dataclasses.field(default_factory=list)


def command_lines(tools, notebook, memory=False):
    """The four command lines on one notebook."""
    out = tools.work / "out.ipynb"
    commands = {
        OURS: [tools.bindery, "execute", notebook, out, "--data-dir", tools.home / "data"],
        "papermill": [tools.peers / "bin/papermill", notebook, out],
        "jupyter execute": [tools.peers / "bin/jupyter-execute", notebook, f"--output={out}"],
        "ploomber-engine": [tools.peers / "bin/ploomber-engine", notebook, out],
    }
    return {name: lambda command=command: [run(command, tools, memory)] for name, command in commands.items()}


def service(tools, sources, kernel="python3", runs=1, pause=0.0, ready=1):
    """A service that runs one notebook over and over, its kernels ready before each batch of runs."""
    served = Service(tools, {kernel: ready})
    notebooks.write(served.notebooks / "n.ipynb", sources, kernel)
    execute = served.client()

    def samples():
        taken = []
        served.wait_for_kernels(ready)
        for _ in range(runs):
            taken.append(execute("n.ipynb"))
            time.sleep(pause)
        return taken

    return samples, served


def one_cell(tools):
    notebook = notebooks.write(tools.home / "one.ipynb", ["print(1)"])
    bare = {"bare client": lambda: [inside({"do": "bare"}, tools)]}
    return Case("one cell, command line", command_lines(tools, notebook) | bare)


def one_cell_served(tools):
    apart, first = service(tools, ["print(1)"], runs=50, pause=0.1)
    at_once, second = service(tools, ["print(1)"], runs=100)
    notebook = notebooks.write(tools.home / "one.ipynb", ["print(1)"])
    peers = command_lines(tools, notebook)
    del peers[OURS]
    ours = {f"{SERVICE}, a run every 0.1 s": apart, f"{SERVICE}, one after the other": at_once}
    return Case("one cell, warm service", ours | peers, ends=[first.end, second.end])


def pandas(tools):
    sources = [notebooks.PANDAS_AND_SKLEARN]
    served, it = service(tools, sources, "mlflow_kernel", runs=5, pause=0.3)
    lines = command_lines(tools, notebooks.write(tools.home / "pandas.ipynb", sources, "mlflow_kernel"))
    return Case("pandas and scikit-learn", {SERVICE: served} | lines, ends=[it.end])


def batch(tools, size=40):
    """`size` one-cell notebooks on the processors that there are."""
    processors = os.cpu_count()
    it = Service(tools, {"python3": processors})
    names = [f"{index}.ipynb" for index in range(size)]
    paths = [str(notebooks.write(it.notebooks / name, ["print(1)"])) for name in names]

    def served():
        it.wait_for_kernels(processors)
        clients = [it.client() for _ in range(2 * processors)]
        begun = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
            done = [pool.submit(lambda slot: [clients[slot](name) for name in names[slot :: len(clients)]], slot) for slot in range(len(clients))]
            for each in done:
                each.result()
        return [Sample(time.perf_counter() - begun)]

    def command_lines_at_once(command):
        begun = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(processors) as pool:
            list(pool.map(lambda path: run([*command, path, f"{path}.out.ipynb"], tools), paths))
        return [Sample(time.perf_counter() - begun)]

    def in_a_pool(workers):
        return lambda: [inside({"do": "pool", "workers": workers, "notebooks": paths}, tools)]

    contenders = {SERVICE: served}
    if size <= 40:
        for workers in (processors, processors + 1, 2 * processors):
            contenders[f"papermill, pool of {workers}"] = in_a_pool(workers)
        # Not in a pool of processes: there it hangs at the second notebook of a process.
        engine = [tools.peers / "bin/ploomber-engine"]
        contenders[f"ploomber-engine, {processors} at once"] = lambda: command_lines_at_once(engine)
    return Case(f"batch of {size}", contenders, batch=size, rounds=5, ends=[it.end])


def cells(tools, count, source, name, peers=("papermill", "jupyter execute"), rounds=5):
    """A notebook of many cells: the service, our command line and some of the peers."""
    sources = [source] * count
    served, it = service(tools, sources, runs=3, pause=0.5)
    lines = command_lines(tools, notebooks.write(tools.home / f"{count}-cells.{abs(hash(source))}.ipynb", sources))
    chosen = {tool: lines[tool] for tool in (OURS, *peers)}
    return Case(name, {SERVICE: served} | chosen, rounds=rounds, ends=[it.end])


def big_output(tools, source, name):
    """One cell that puts out much: time and memory, the engine's own and nbclient's."""
    notebook = notebooks.write(tools.home / f"{name.replace(' ', '-')}.ipynb", [source])
    served, it = service(tools, [source])
    execute = it.client()

    def with_memory():
        it.wait_for_kernels(1)
        idle = it.memory()
        it.forget_peak()
        [sample] = [execute("n.ipynb")]
        return [Sample(sample.seconds, it.memory("VmHWM") - idle)]

    lines = command_lines(tools, notebook, memory=True)
    contenders = {
        f"{SERVICE} (memory: above idle)": with_memory,
        OURS: lines[OURS],
        "nbclient in a process that has imported it": lambda: [inside({"do": "nbclient", "notebooks": [str(notebook)]}, tools)],
        "papermill": lines["papermill"],
        "jupyter execute": lines["jupyter execute"],
        "ploomber-engine": lines["ploomber-engine"],
    }
    return Case(name, contenders, rounds=5, ends=[it.end])


def idle(tools):
    """Memory of a service that has nothing to do, in bytes; by what is kept ready."""
    measured = {}
    for warm in ({}, {"python3": 1}, {"python3": 4}, {"mlflow_kernel": 1}, {"mlflow_kernel": 4}):
        it = Service(tools, warm)
        time.sleep(1)
        name = ", ".join(f"{count} × {name} ready" for name, count in warm.items()) or "no kernels ready"
        measured[name] = {"service": it.memory(), "with kernels": it.family_memory()}
        it.end()
        shutil.rmtree(it.folder)
    return measured


# By name, in the order in which they are run.
CASES = {
    "one-cell": one_cell,
    "one-cell-served": one_cell_served,
    "ten-cells": lambda tools: cells(tools, 10, "pass", "10 cells"),
    "cells": lambda tools: cells(tools, 200, "pass", "200 cells", ("papermill", "jupyter execute", "ploomber-engine")),
    "lines": lambda tools: big_output(tools, "for i in range(100_000):\n    print(i)", "100,000 lines"),
    "image": lambda tools: big_output(tools, notebooks.BIG_IMAGE, "20 MB image"),
    "pandas": pandas,
    "batch": batch,
    "batch-400": lambda tools: batch(tools, 400),
    "big-cells": lambda tools: cells(tools, 200, notebooks.printing(100_000), "200 cells of 100 kB", rounds=3),
    "growth-20": lambda tools: cells(tools, 20, notebooks.printing(50_000), "20 cells of 50 kB", rounds=3),
    "growth-100": lambda tools: cells(tools, 100, notebooks.printing(50_000), "100 cells of 50 kB", rounds=3),
    "growth-400": lambda tools: cells(tools, 400, notebooks.printing(50_000), "400 cells of 50 kB", rounds=2),
}
