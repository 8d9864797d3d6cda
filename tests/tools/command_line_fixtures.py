"""Writes tests/fixtures/command_line.json: command lines, and what papermill does with them.

    python command_line_fixtures.py

Made with papermill 2.7.0 and ipykernel 7.4; it must run in the environment that holds them. What differs from run to
run (times, versions, ids, tracebacks) is left out.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

OUT = Path(__file__).parent.parent / "fixtures" / "command_line.json"


def notebook(*sources, kernel="python3"):
    cells = [
        {
            "cell_type": "code", "id": f"cell-{index}", "metadata": {"tags": ["parameters"] if source.startswith("# parameters") else []},
            "source": source, "execution_count": None, "outputs": [],
        }
        for index, source in enumerate(sources)
    ]
    kernelspec = {"name": kernel, "display_name": "Python 3", "language": "python"}
    return json.dumps({"cells": cells, "metadata": {"kernelspec": kernelspec}, "nbformat": 4, "nbformat_minor": 5})


SHOW = "print({name: value for name, value in sorted(globals().items()) if name in 'abcdefg' or name.startswith('PAPERMILL')})"
FILES = {
    "in.ipynb": notebook("# parameters\na = 1  # type: int  how many\nb: str = 'x'\nc = None  # a rather long help text\nlonger_name_here = {'key': 'value'}", SHOW),
    "put.ipynb": notebook("import sys\nprint('hello')\nprint('oops', file=sys.stderr)", "'result'", "print('end')"),
    "where.ipynb": notebook("import os\nprint(os.path.basename(os.getcwd()), sorted(os.listdir()))"),
    "fails.ipynb": notebook("print('before')", "1 / 0", "print('after')"),
    "slow.ipynb": notebook("print('before', flush=True)", "import time; time.sleep(60)"),
    "absent.ipynb": notebook("# parameters\na = 1", SHOW, kernel="no-such-kernel"),
    "none.ipynb": notebook("1 + 1"),
    "empty.ipynb": notebook("# parameters"),
    "polite.ipynb": notebook("import warnings; warnings.simplefilter('ignore')\nprint('before')", "import sys; sys.exit(0)", "print('after')"),
    "debugger.ipynb": notebook("import os\nprint(os.environ.get('PYDEVD_DISABLE_FILE_VALIDATION'))"),
    "p.yaml": "a: 010\nb: 2024-02-29\nc: [yes, ~, 1e3, 1.5, {k: v}]\nd: file\n",
    "q.yaml": "d: second file\ne: 0x1F\n",
    "p.json": '{"a": 1, "b": [true, null, "x"], "c": {"d": -1.5}}',
    "faulty.yaml": "a: 1\nb: [1, 2\nc: 3\n",
    "nothing.yaml": "",
    "sub/keep.txt": "",
}
B64 = base64.b64encode(b"a: b64\nb: b64\nc: b64\nd: b64\ne: b64\n").decode()
EXECUTE = "in.ipynb out.ipynb"
ROWS = [
    {"args": EXECUTE},
    {"args": f"{EXECUTE} -p a 1 -p b -2.5 -p c True -p d None -p e text -p f 1_000 -p g nan"},
    {"args": f"{EXECUTE} --parameters a 7 --parameters_raw b 7 -r c True"},
    {"args": f"{EXECUTE} -f p.yaml -f q.yaml"},
    {"args": f"{EXECUTE} --parameters_file p.json"},
    {"args": f"{EXECUTE} -f nothing.yaml"},
    {"args": f"{EXECUTE} -f -", "stdin": "a: from stdin\n"},
    {"args": [*EXECUTE.split(), "-y", "{a: 1:30, b: off, c: 2020-01-01 10:00:00}", "--parameters_yaml", "a: later"]},
    {"args": f"{EXECUTE} -b {B64}"},
    {"args": [*EXECUTE.split(), "-r", "a", "r", "-p", "a", "p", "-p", "b", "p", "-y", "{a: y, b: y, c: y}", "-f", "p.yaml", "--parameters_base64", B64]},
    {"args": f"{EXECUTE} --inject-input-path"},
    {"args": f"{EXECUTE} --inject-output-path -p a 1"},
    {"args": f"{EXECUTE} --inject-paths"},
    {"args": f"{EXECUTE} --inject-paths -p PAPERMILL_INPUT_PATH mine"},
    {"args": f"{EXECUTE} --engine nbclient"},
    {"args": f"{EXECUTE} --engine other"},
    {"args": f"{EXECUTE} --request-save-on-cell-execute"},
    {"args": f"{EXECUTE} --no-request-save-on-cell-execute"},
    {"args": "fails.ipynb out.ipynb --no-request-save-on-cell-execute"},
    {"args": f"{EXECUTE} --autosave-cell-every 0"},
    {"args": f"{EXECUTE} --prepare-only -p a 5"},
    {"args": f"{EXECUTE} --prepare-only --prepare-execute -p a 5"},
    {"args": "absent.ipynb out.ipynb --prepare-only -p a 5"},
    {"args": "absent.ipynb out.ipynb"},
    {"args": "absent.ipynb out.ipynb -k python3 -p a 5"},
    {"args": "absent.ipynb out.ipynb --kernel python3 --language python -p a 5"},
    {"args": "in.ipynb out.ipynb -l python -p a 5"},
    {"args": "where.ipynb out.ipynb --cwd sub"},
    {"args": "where.ipynb out.ipynb --cwd no-such-folder"},
    {"args": f"{EXECUTE} --progress-bar"},
    {"args": f"{EXECUTE} --no-progress-bar"},
    {"args": "put.ipynb out.ipynb --log-output", "log": True},
    {"args": "put.ipynb out.ipynb --log-output --no-log-output"},
    {"args": "put.ipynb out.ipynb --log-output --log-level WARNING", "log": True},
    {"args": "put.ipynb out.ipynb --stdout-file stdout.txt --stderr-file stderr.txt", "texts": ["stdout.txt", "stderr.txt"]},
    {"args": "put.ipynb out.ipynb --stdout-file - --no-progress-bar"},
    *[{"args": f"{EXECUTE} --log-level {level}"} for level in ["NOTSET", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]],
    {"args": f"{EXECUTE} --log-level LOUD"},
    {"args": f"{EXECUTE} --start-timeout 50 --execution-timeout 50"},
    {"args": f"{EXECUTE} --start_timeout 50"},
    {"args": f"{EXECUTE} --start-timeout soon"},
    {"args": "put.ipynb out.ipynb --report-mode"},
    {"args": "put.ipynb out.ipynb --report-mode --no-report-mode"},
    {"args": f"{EXECUTE} --report-mode -p a 3"},
    {"args": "in.ipynb --help-notebook"},
    {"args": "in.ipynb --help-notebook -p a 1"},
    {"args": "none.ipynb --help-notebook"},
    {"args": "empty.ipynb --help-notebook"},
    {"args": "{b}.ipynb --help-notebook -p b in"},
    {"args": "no-such.ipynb --help-notebook"},
    {"args": "{b}.ipynb out-{a}-{c:.2f}.ipynb -p a 1 -p b in -p c 2"},
    {"args": "in.ipynb out-{missing}.ipynb"},
    {"args": "- -", "stdin": FILES["in.ipynb"]},
    {"args": "out.ipynb", "stdin": FILES["in.ipynb"]},
    {"args": "- out.ipynb -p a 2", "stdin": FILES["in.ipynb"]},
    {"args": "", "stdin": FILES["in.ipynb"]},
    {"args": "in.ipynb"},
    {"args": "in.ipynb - --inject-paths"},
    {"args": "fails.ipynb -"},
    {"args": ""},
    {"args": "fails.ipynb out.ipynb"},
    {"args": "polite.ipynb out.ipynb"},
    {"args": "debugger.ipynb out.ipynb"},
    {"args": f"{EXECUTE} -p nope 1 -p other 2 --log-output", "log": True},
    {"args": "in.ipynb in.ipynb -p a 9"},
    {"args": f"{EXECUTE} -f faulty.yaml"},
    {"args": f"{EXECUTE} -f no-such.yaml"},
    {"args": f"{EXECUTE} -p a"},
    {"args": f"{EXECUTE} --no-such-flag"},
    {"args": [*EXECUTE.split(), "-y", "[1"]},
    {"args": [*EXECUTE.split(), "-y", "just text"]},
    {"args": f"{EXECUTE} -b abc"},
    {"args": "no-such.ipynb out.ipynb"},
    {"args": "in.ipynb no-such/out.ipynb"},
    {"args": "--version"},
]


def seen(text):
    """What a notebook holds, as far as it is the same in every run."""
    # A bare NaN is no JSON; Bindery writes the word as a string.
    nb = json.loads(text, parse_constant=str)
    joined = lambda it: "".join(it)
    cells = []
    for cell in nb["cells"]:
        outputs = cell.get("outputs", [])
        cells.append({
            "source": joined(cell["source"]),
            "tags": cell["metadata"].get("tags", []),
            "hidden": cell["metadata"].get("jupyter", {}).get("source_hidden", False),
            "streams": "".join(joined(it["text"]) for it in outputs if it["output_type"] == "stream"),
            "errors": [it["ename"] for it in outputs if it["output_type"] == "error"],
            "execution_count": cell.get("execution_count"),
        })
    papermill = nb["metadata"]["papermill"]
    return {"cells": cells, **{name: papermill.get(name) for name in ["parameters", "input_path", "output_path", "exception"]}}


def run(row):
    args = row["args"].split() if isinstance(row["args"], str) else row["args"]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name, text in FILES.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        stdin = {"input": row["stdin"]} if "stdin" in row else {"stdin": subprocess.DEVNULL}
        env = {**os.environ, "HOME": str(folder)}
        done = subprocess.run([sys.executable, "-m", "papermill", *args], cwd=folder, capture_output=True, text=True, env=env, **stdin)
        written = {}
        for path in sorted(folder.rglob("*.ipynb")):
            name, text = str(path.relative_to(folder)), path.read_text()
            if FILES.get(name) != text:
                written[name] = seen(text)
        result = {"args": args, "code": done.returncode, "written": written}
        if "stdin" in row:
            result["stdin"] = row["stdin"]
        if "--help-notebook" in args:
            result["help"] = done.stdout.partition("\n")[2]
        elif done.stdout.startswith("{"):
            result["stdout_notebook"] = seen(done.stdout)
        elif "--version" not in args:
            result["stdout"] = done.stdout
        for name in row.get("texts", []):
            result.setdefault("texts", {})[name] = (folder / name).read_text()
        if row.get("log"):
            words = ("Input", "Output", "Executing", "Ending", "Passed", "hello", "oops", "'result'", "end")
            lines = done.stderr.splitlines()
            result["log"] = [line for line in lines if line.startswith(words)]
        print(done.returncode, *args, file=sys.stderr)
        return result


with ThreadPoolExecutor(2) as pool:
    rows = list(pool.map(run, ROWS))
lines = ",\n".join(json.dumps(it, ensure_ascii=False) for it in rows)
files = json.dumps(FILES, ensure_ascii=False, indent=1)
OUT.write_text(f'{{"files": {files},\n"rows": [\n{lines}\n]}}\n', encoding="utf-8")
print(OUT.name, len(rows))
