"""The mixed load: notebooks, and what each prints when all goes well.

Every line that one prints begins with the key of its run, and no line comes twice. The first cell notes in a file that
all runs share that it was started.
"""

import json

BEGIN = """\
import os, subprocess, sys, time
note = os.open(starts, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
os.write(note, f"{key} {os.environ['BINDERY_EXECUTION_ID']} {os.getpid()}\\n".encode())
os.close(note)
print(key, "begun")
"""

FLOOD = """\
for i in range(1500):
    print(key, "line", i)
time.sleep(0.3)
for i in range(1500, 3000):
    print(key, "line", i, flush=i % 50 == 0)
"""

SLEEPER = """\
for i in range(8):
    print(key, "tick", i, flush=True)
    time.sleep(0.25)
"""

CHILDREN = """\
for i in range(3):
    subprocess.Popen(["sleep", "600"], start_new_session=i > 0)
    print(key, "child", i, flush=True)
time.sleep(0.4)
"""

# By kind: how often it comes, its cells after the first, the lines that it prints after the first, and the exception
# that it ends with.
KINDS = {
    "quick": (8, ["print(key, 'quick')"], lambda: ["quick"], None),
    "flood": (3, [FLOOD, "print(key, 'done')"], lambda: [*(f"line {i}" for i in range(3000)), "done"], None),
    "sleeper": (4, [SLEEPER, "print(key, 'woken')"], lambda: [*(f"tick {i}" for i in range(8)), "woken"], None),
    "failing": (3, ["print(key, 'before', flush=True)\n1 / 0", "print(key, 'never')"], lambda: ["before"], "ZeroDivisionError"),
    "children": (2, [CHILDREN, "print(key, 'left alone')"], lambda: [*(f"child {i}" for i in range(3)), "left alone"], None),
}


def write(folder):
    """One notebook a kind."""
    for kind, (_, cells, _, _) in KINDS.items():
        (folder / f"{kind}.ipynb").write_text(json.dumps(notebook(["key, starts = '', ''", BEGIN, *cells])))


def notebook(sources):
    cells = [
        {"cell_type": "code", "execution_count": None, "id": f"cell-{at}", "outputs": [], "source": source,
         "metadata": {"tags": ["parameters"] if at == 0 else []}}
        for at, source in enumerate(sources)
    ]  # fmt: skip
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def choose(random):
    return random.choices(list(KINDS), weights=[kind[0] for kind in KINDS.values()])[0]


def expected(kind, key):
    """All that a run prints, in order."""
    return "".join(f"{key} {line}\n" for line in ["begun", *KINDS[kind][2]()])


def exception(kind):
    """The name of the exception that a run ends with when all goes well."""
    return KINDS[kind][3]


def printed(notebook):
    """What an executed notebook shows as printed, in order."""
    outputs = (output for cell in notebook["cells"] for output in cell.get("outputs", []))
    return "".join("".join(output["text"]) for output in outputs if output["output_type"] == "stream")
