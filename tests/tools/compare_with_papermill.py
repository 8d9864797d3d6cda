#!/usr/bin/env python3
"""Runs notebooks under papermill and under Bindery and prints where the results differ, cell by cell.

    compare_with_papermill.py --papermill VENV/bin/papermill --bindery target/release/bindery PATH...

PATH is a notebook or a folder of them. Both run on the kernels of papermill's environment, each in an empty working
folder. What changes from run to run (addresses, times, durations, temporary paths) is normalised, and consecutive
texts of one stream count as one output. Exit code 1 when an unexpected difference was found.

Differences that are decisions, and are printed as such: papermill calls the cell at which a kernel died or time ran
out completed, and marks nothing; it fails a run whose only error is in a cell tagged `raises-exception`; and it calls
a cell that ends the notebook by `sys.exit(0)` failed although the run succeeds.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

CELL_TIMEOUT = 60
RUN_TIMEOUT = 300

VOLATILE = [
    (r"\x1b\[[0-9;]*m", ""),
    (r"0x[0-9a-f]{4,}", "0xADDRESS"),
    (r"ipykernel_\d+/\d+", "ipykernel_N"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?", "TIME"),
    (r"datetime\.datetime\([\d, ]+\)", "datetime.datetime(…)"),
    (r"\b\d+(\.\d+)? (ns|µs|μs|us|ms|s|min)\b", "DURATION"),
    (r"\b[0-9a-f]{32}\b", "HEX"),
    (r"/tmp/[\w./-]+", "/tmp/PATH"),
]


def stable(text):
    text = "".join(text) if isinstance(text, list) else text
    for pattern, replacement in VOLATILE:
        text = re.sub(pattern, replacement, text)
    return text


def stable_output(output):
    kind = output["output_type"]
    if kind == "stream":
        return [kind, output["name"], stable(output["text"])]
    if kind == "error":
        return [kind, output["ename"], stable(output["evalue"])]
    data = {
        mime: stable(value) if isinstance(value, (str, list)) else value
        for mime, value in output["data"].items()
        if mime != "application/vnd.jupyter.widget-view+json"
    }
    return [kind, data, output["metadata"]]


def stable_cell(cell):
    outputs = []
    for output in map(stable_output, cell.get("outputs", [])):
        if outputs and output[0] == "stream" and outputs[-1][:2] == output[:2]:
            outputs[-1][2] = stable(outputs[-1][2] + output[2])
        else:
            outputs.append(output)
    papermill = cell["metadata"].get("papermill", {})
    return {
        "type": cell["cell_type"],
        "execution count": cell.get("execution_count"),
        "tags": sorted(cell["metadata"].get("tags", [])),
        "status": papermill.get("status"),
        "exception": papermill.get("exception"),
        "outputs": outputs,
    }


def decision(theirs, ours, log):
    """The name of the decision behind a difference, or None."""
    if "DeadKernelError" in log or "Kernel died" in log:
        return "a kernel that died fails its cell"
    if "CellTimeoutError" in log or "timed out" in log:
        return "a cell that took too long has failed"
    tags = {tag for cell in ours["cells"] for tag in cell["metadata"].get("tags", [])}
    if "raises-exception" in tags:
        return "an error that is allowed fails nothing"
    enames = {output.get("ename") for cell in theirs["cells"] for output in cell.get("outputs", [])}
    if "SystemExit" in enames:
        return "a polite exit is no failure"
    return None


def run(command, folder, environment):
    work = folder / f"work-{len(list(folder.iterdir()))}"
    work.mkdir()
    ended = subprocess.run(
        [*command, "--cwd", str(work), "--execution-timeout", str(CELL_TIMEOUT), "--no-progress-bar"],
        env=environment, capture_output=True, text=True, timeout=RUN_TIMEOUT,
    )
    return ended.returncode == 0, ended.stdout + ended.stderr


def compare(path, options):
    prefix = pathlib.Path(options.papermill).absolute().parent.parent
    environment = dict(os.environ, VIRTUAL_ENV=str(prefix), PATH=f"{prefix}/bin:{os.environ['PATH']}")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="compare-"))
    try:
        source = folder / "in.ipynb"
        shutil.copy(path, source)
        theirs, ours = folder / "papermill.ipynb", folder / "bindery.ipynb"
        good, log = run([options.papermill, source, theirs], folder, environment)
        own = [options.bindery, "execute", source, ours, "--data-dir", str(folder / "data")]
        own_good, own_log = run(own, folder, environment)
        differences = []
        if good != own_good:
            differences.append(f"success: {good} != {own_good}: {own_log.strip()[-300:]}")
        if theirs.exists() != ours.exists():
            return [f"written: {theirs.exists()} != {ours.exists()}: {own_log.strip()[-300:]}"], None
        if not ours.exists():
            return differences, None
        theirs, ours = json.loads(theirs.read_text()), json.loads(ours.read_text())
        if len(theirs["cells"]) != len(ours["cells"]):
            differences.append(f"cells: {len(theirs['cells'])} != {len(ours['cells'])}")
        for index, cells in enumerate(zip(theirs["cells"], ours["cells"])):
            a, b = map(stable_cell, cells)
            differences += [
                f"cell {index}, {what}: {str(a[what])[:300]} != {str(b[what])[:300]}" for what in a if a[what] != b[what]
            ]
        return differences, decision(theirs, ours, log + own_log) if differences else None
    except subprocess.TimeoutExpired as expired:
        return [f"no end within {RUN_TIMEOUT} s: {expired.cmd[0]}"], None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--papermill", required=True)
    parser.add_argument("--bindery", required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("paths", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    notebooks = []
    for path in options.paths:
        notebooks += sorted(path.rglob("*.ipynb")) if path.is_dir() else [path]
    unexpected = decided = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        for path, (differences, why) in zip(notebooks, pool.map(lambda path: compare(path, options), notebooks)):
            if differences:
                decided, unexpected = decided + bool(why), unexpected + (not why)
                print(f"{path}: {'decided: ' + why if why else 'DIFFERS'}")
                for difference in differences[:8]:
                    print(f"    {difference}")
    same = len(notebooks) - unexpected - decided
    print(f"{len(notebooks)} notebooks: {same} the same, {decided} differ by decision, {unexpected} differ")
    sys.exit(1 if unexpected else 0)


if __name__ == "__main__":
    main()
