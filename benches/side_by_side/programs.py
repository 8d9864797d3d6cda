"""Programs under measurement: started, timed, their memory read."""

import contextlib
import dataclasses
import http.client
import json
import pathlib
import socket
import subprocess
import time

HERE = pathlib.Path(__file__).parent
# Seconds.
PATIENCE = 300


class Failed(Exception):
    """A program did not do what was measured."""


@dataclasses.dataclass
class Sample:
    """Seconds, and the peak of the process's own memory in bytes where it was looked at."""

    seconds: float
    memory: int | None = None


def run(command, tools, memory=False):
    """Runs a program to its end. Only its own memory counts, not that of its kernel."""
    with open(tools.home / "last.log", "w+") as log:
        begun = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)), cwd=tools.work, env=tools.variables, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        peak = None
        while memory and process.poll() is None:
            # The peak is kept by the kernel of the system: only what comes after the last look is missed.
            peak = status(process.pid, "VmHWM") or peak
            time.sleep(0.001)
        try:
            code = process.wait(PATIENCE)
        except subprocess.TimeoutExpired as fault:
            process.kill()
            process.wait()
            raise Failed(f"{command[0]} did not end within {PATIENCE} s") from fault
        seconds = time.perf_counter() - begun
        if code != 0:
            log.seek(0)
            raise Failed(f"{command[0]} ended with {code}:\n{log.read()[-2000:]}")
    return Sample(seconds, peak)


def inside(job, tools):
    """Runs a job of `inside.py` in the peers' environment."""
    command = [tools.peers / "bin" / "python", HERE / "inside.py", json.dumps(job)]
    try:
        done = subprocess.run(command, cwd=tools.work, env=tools.variables, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired as fault:
        raise Failed(f"{job['do']} did not end within {PATIENCE} s") from fault
    if done.returncode != 0:
        raise Failed(f"{job['do']}:\n{done.stderr[-2000:]}")
    result = json.loads(done.stdout.splitlines()[-1])
    return Sample(result["seconds"], result["peak"])


def status(pid, field):
    """A field of /proc/PID/status in bytes; None when the process is gone."""
    with contextlib.suppress(OSError):
        for line in open(f"/proc/{pid}/status"):
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    return None


class Service:
    """A `bindery serve` with kernels that are kept ready."""

    def __init__(self, tools, warm):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = tools.home / f"service-{self.port}"
        self.notebooks = self.folder / "notebooks"
        self.notebooks.mkdir(parents=True)
        self.log = open(self.folder / "log", "w")
        kernels = [f"{name}={count}" for name, count in warm.items()]
        self.process = subprocess.Popen(
            [tools.bindery, "serve", "--data-dir", self.folder, "--listen", f"127.0.0.1:{self.port}", "--warm", ",".join(kernels)],
            cwd=self.folder, env=tools.variables, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
        )  # fmt: skip
        self.wait_for_kernels(sum(warm.values()))

    def wait_for_kernels(self, count):
        """Returns when all kernels that are kept ready are."""
        until = time.monotonic() + 120
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                ready = sum(
                    float(line.split()[-1]) for line in self.get("/metrics").splitlines()
                    if line.startswith("bindery_kernels_ready")
                )  # fmt: skip
                if ready >= count:
                    return
            time.sleep(0.02)
        raise Failed(f"the service's kernels are not ready; see {self.folder}/log")

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path)
        return connection.getresponse().read().decode()

    def client(self):
        """A client that runs notebooks one after the other over one connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)

        def execute(notebook):
            begun = time.perf_counter()
            body = json.dumps({"notebook_path": notebook, "username": "bench"})
            connection.request("POST", "/execute", body, {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
            seconds = time.perf_counter() - begun
            if answer.get("status") != "success":
                raise Failed(f"the service answered {answer}")
            return Sample(seconds)

        return execute

    def memory(self, field="VmRSS"):
        return status(self.process.pid, field)

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def family_memory(self):
        """The memory of the service and all its kernels, shared pages counted once (PSS)."""
        total, pids = 0, [self.process.pid]
        while pids:
            pid = pids.pop()
            with contextlib.suppress(OSError):
                for line in open(f"/proc/{pid}/smaps_rollup"):
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
                for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                    pids += map(int, (task / "children").read_text().split())
        return total

    def end(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()
