"""What is measured: Bindery's processes over a database of their own."""

import contextlib
import http.client
import json
import os
import socket
import sqlite3
import subprocess
import time

# Seconds.
PATIENCE = 60


class System:
    """One server and its workers, in a folder of their own."""

    def __init__(self, options, folder, workers):
        self.options, self.folder, self.workers = options, folder, workers
        self.notebooks, self.processes = folder / "notebooks", []
        (self.notebooks / "out").mkdir(parents=True)
        kernel = {"display_name": "Null", "language": "null", "name": "null"}
        cell = {"cell_type": "code", "execution_count": None, "id": "only", "metadata": {}, "outputs": [], "source": "nothing"}
        notebook = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
        (self.notebooks / "null.ipynb").write_text(json.dumps(notebook))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.database = f"load_{os.getpid()}_{workers}"

    def start(self):
        places = str(self.options.concurrency)
        listen = ["--listen", f"127.0.0.1:{self.port}"]
        if self.options.database == "sqlite":
            self.run("serve", ["serve", *listen, "--workers", places, "--warm", self.warm()])
            return self.await_server()
        self.psql(self.options.postgres_url, f"CREATE DATABASE {self.database}")
        self.run("server", ["serve", "--no-worker", *listen])
        # The first process makes the tables.
        self.await_server()
        for number in range(self.workers):
            self.run(f"worker-{number}", ["worker", "--concurrency", places, "--warm", self.warm()])

    def warm(self):
        return f"null={self.options.warm}" if self.options.warm else ""

    def run(self, name, arguments):
        data_dir = self.folder / name
        spec = data_dir / "kernels" / "null"
        spec.mkdir(parents=True)
        spec.joinpath("kernel.json").write_text(json.dumps({
            "argv": [str(self.options.null_kernel), "{connection_file}"], "display_name": "Null", "language": "null",
            "metadata": {"bindery": {"transport": "ipc"}},
        }))  # fmt: skip
        variables = {key: value for key, value in os.environ.items() if not key.startswith("BINDERY_")}
        variables |= {"BINDERY_NOTEBOOKS_ROOT": str(self.notebooks), "RUST_LOG": "warn"}
        if self.options.database == "postgres":
            variables["BINDERY_DATABASE_URL"] = self.url()
        log = open(self.folder / f"{name}.log", "wb")
        command = [self.options.bindery, *arguments, "--data-dir", data_dir]
        process = subprocess.Popen(
            list(map(str, command)), cwd=data_dir, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        self.processes.append((name, process))

    def await_server(self):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            name, process = self.processes[-1]
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{name} does not start:\n{(self.folder / f'{name}.log').read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self):
        for _, process in self.processes:
            process.terminate()
        for name, process in self.processes:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            text = (self.folder / f"{name}.log").read_text(errors="replace")
            for line in [line for line in text.splitlines() if "WARN" in line or "ERROR" in line][:5]:
                print(f"# {name}: {line[:300]}", flush=True)
        if self.options.database == "postgres":
            self.psql(self.options.postgres_url, f"DROP DATABASE IF EXISTS {self.database} WITH (FORCE)")

    def processor_seconds(self):
        """What each process, and the kernels that it has waited for, have used of the processors."""
        tick = os.sysconf("SC_CLK_TCK")
        used = {}
        for name, process in self.processes:
            with open(f"/proc/{process.pid}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            own, children = sum(map(int, fields[11:13])) / tick, sum(map(int, fields[13:15])) / tick
            used[name] = {"own": own, "kernels": children}
        return used

    def url(self):
        return self.options.postgres_url.rsplit("/", 1)[0] + "/" + self.database

    def psql(self, url, text):
        command = [self.options.postgres_programs / "psql", "-X", "-A", "-t", "-q", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", text, url]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def database_size(self):
        """Bytes: of the whole, what waits in SQLite's log counted once; and with PostgreSQL of each table with its indexes."""
        if self.options.database == "sqlite":
            with contextlib.closing(sqlite3.connect(self.folder / "serve" / "bindery.db", timeout=30)) as database:
                pages, of = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
            return {"database": pages * of}
        tables = self.psql(self.url(), "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        sizes = {name: int(size) for name, size in (line.split("\t") for line in tables.splitlines())}
        return {"database": sum(sizes.values())} | sizes
