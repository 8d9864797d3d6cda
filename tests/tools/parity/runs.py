"""Runs one notebook under papermill, `jupyter execute` and Bindery, each in a working folder of its own."""

import contextlib
import gzip
import hashlib
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile

from parity import peers

ORACLE = pathlib.Path(__file__).with_name("oracle.py")
# Seconds. Papermill hangs on nested Output widgets now and then.
CELL_LIMIT, RUN_LIMIT = 20, 60
TRIES = 3


class Peers:
    """A process that runs notebooks under the peers, started anew when it hangs; and what they made of each before."""

    def __init__(self, folder, home):
        self.folder, self.home, self.process = folder, home, None
        self.results = folder / "results"
        self.results.mkdir(exist_ok=True)

    def ask(self, job):
        """The result of a job, or None when it does not end."""
        if self.process is None or self.process.poll() is not None:
            self.end()
            with open(self.home / "oracle.log", "a") as log:
                self.process = subprocess.Popen(
                    [self.folder / "bin" / "python", ORACLE], cwd=self.home, text=True, start_new_session=True,
                    env=peers.environment(self.folder, self.home), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                )  # fmt: skip
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], RUN_LIMIT)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.end()
        return json.loads(line) if line else None

    def end(self):
        """Ends the process; its kernels see that and end as well."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process.stdout.close()
            self.process = None

    def run(self, tool, case, again=False):
        """What a peer makes of a notebook; unless `again`, from an earlier run where there was one."""
        key = [peers.version(), ORACLE.read_text(), tool, case.text, case.flags, CELL_LIMIT]
        kept = self.results / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()}.json.gz"
        if kept.exists() and not again:
            return json.loads(gzip.decompress(kept.read_bytes()))
        for _ in range(TRIES):
            with Folder(self.home, tool, case) as folder:
                job = {"do": tool, "input": str(folder.input), "output": str(folder.output), "cwd": str(folder.work)}
                result = self.ask(job | {"flags": flags(folder, case), "timeout": CELL_LIMIT})
                if result is not None:
                    result |= folder.left()
                    break
        result = result or {"good": False, "log": f"no end within {RUN_LIMIT} s", "notebook": None, "hung": True}
        beside = kept.with_suffix(f".{os.getpid()}")
        beside.write_bytes(gzip.compress(json.dumps(result).encode(), 1))
        beside.rename(kept)
        return result


def bindery(binary, peers_folder, home, case):
    """What Bindery makes of a notebook; `path` is where it lies until `home` is removed."""
    with Folder(home, "bindery", case) as folder:
        command = [binary, "execute", folder.input, folder.output, *flags(folder, case), "--data-dir", home / "data"]
        process = subprocess.Popen(
            command, cwd=folder.work, env=peers.environment(peers_folder, home), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            log, _ = process.communicate(timeout=RUN_LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            log, _ = process.communicate()
            log += f"\nno end within {RUN_LIMIT} s".encode()
        result = {"good": process.returncode == 0, "log": log.decode(errors="replace")[-20_000:], **folder.left()}
        result["code"] = process.returncode
        if folder.output.exists():
            result["path"] = pathlib.Path(tempfile.mkdtemp(dir=home)) / "out.ipynb"
            shutil.move(folder.output, result["path"])
        return result


def flags(folder, case):
    return ["--cwd", str(folder.work), "--execution-timeout", str(CELL_LIMIT), "--no-progress-bar", *case.flags]


class Folder:
    """A folder for one run: the notebook, its empty working folder, the result. Gone when the run is over."""

    def __init__(self, home, tool, case):
        self.root = pathlib.Path(tempfile.mkdtemp(dir=home))
        self.work = self.root / tool
        self.work.mkdir()
        self.input, self.output = self.root / "in.ipynb", self.root / "out.ipynb"
        self.input.write_text(case.text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.root, ignore_errors=True)

    def left(self):
        """The notebook and the files that the run has left."""
        files = {
            path.name: path.read_text(errors="replace")
            for path in sorted(self.work.iterdir())
            if path.is_file() and path.stat().st_size < 100_000
        }
        notebook = json.loads(self.output.read_text()) if self.output.exists() else None
        return {"notebook": notebook, "files": files}
