"""The processes under test: Bindery's servers and workers, and PostgreSQL; started, killed, started again."""

import contextlib
import http.client
import os
import pathlib
import signal
import socket
import subprocess
import time

from . import processes

# How long a program may take to start or to stop, in seconds.
PATIENCE = 60


class Program:
    """One bindery process with a data dir of its own. After its end it can be started again."""

    def __init__(self, fleet, name, arguments, port=None):
        self.fleet, self.name, self.arguments, self.port = fleet, name, arguments, port
        self.data_dir = fleet.folder / name
        self.data_dir.mkdir()
        (self.data_dir / "kernels").symlink_to(fleet.options.kernels / "kernels")
        self.log = open(fleet.folder / f"{name}.log", "ab")
        self.process, self.restarts = None, 0

    def start(self):
        listen = ["--listen", f"127.0.0.1:{self.port}"] if self.port else []
        command = [self.fleet.options.bindery, *self.arguments, *listen, "--data-dir", self.data_dir]
        self.process = subprocess.Popen(
            list(map(str, command)), cwd=self.data_dir, env=self.fleet.variables, stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log,
        )  # fmt: skip

    def kill(self):
        self.process.kill()
        self.process.wait()

    def look_after(self):
        """What starts while PostgreSQL is away ends with code 2, and is started again, as a supervisor would."""
        code = self.process.poll()
        if code == 2 and self.fleet.options.database == "postgres":
            self.restarts += 1
            time.sleep(0.2)
            self.start()
        elif code is not None:
            raise SystemExit(f"{self.name} ended by itself ({code}): see {self.log.name}")

    def await_ready(self):
        """Waits until the server answers; a worker has nothing that could be asked."""
        deadline = time.monotonic() + PATIENCE
        self.look_after()
        while self.port:
            self.look_after()
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    return
            if time.monotonic() > deadline:
                raise SystemExit(f"{self.name} does not answer within {PATIENCE} s: see {self.log.name}")
            time.sleep(0.02)

    def stop(self):
        """Asks it to stop; says what is wrong with the way it does."""
        if self.process is None or self.process.poll() is not None:
            return f"{self.name} had ended by itself ({self.process and self.process.returncode})"
        self.process.terminate()
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"{self.name} does not stop within {PATIENCE} s of SIGTERM"
        return f"{self.name} ended with {code} after SIGTERM" if code else None


class Fleet:
    """All of them. `disturbances` has the moments at which an execution may have been lost through our doing."""

    def __init__(self, options, folder, mark):
        self.options, self.folder, self.mark = options, folder, mark
        self.disturbances = []
        self.notebooks = folder / "notebooks"
        self.notebooks.mkdir()
        self.variables = {k: v for k, v in os.environ.items() if not k.startswith("BINDERY_")}
        self.variables |= {"BINDERY_CRASH_ROUNDS": mark, "BINDERY_NOTEBOOKS_ROOT": str(self.notebooks)}
        places = str(options.concurrency)
        if options.database == "sqlite":
            self.servers = [Program(self, "serve", ["serve", "--workers", places], free_port())]
            self.workers = []
        else:
            self.variables["BINDERY_DATABASE_URL"] = options.postgres_url
            self.servers = [Program(self, f"server-{n}", ["serve", "--no-worker"], free_port()) for n in (1, 2)]
            self.workers = [Program(self, f"worker-{n}", ["worker", "--concurrency", places]) for n in (1, 2)]
        self.programs = [*self.servers, *self.workers]
        self.data_dirs = [program.data_dir for program in self.programs]

    def start(self):
        # The first alone, so that the database is made once.
        for program in self.programs:
            program.start()
            program.await_ready()

    def actions(self):
        """What can be done to them, by name."""
        actions = {"kill a server": self.kill_a_server, "kill a kernel": self.kill_a_kernel}
        if self.workers:
            actions["kill a worker"] = self.kill_a_worker
        if self.options.database == "postgres":
            actions["end all backends"] = self.end_backends
            actions["restart PostgreSQL"] = self.restart_postgres
        return actions

    def kill_a_server(self, random):
        # With SQLite it is the worker, too.
        self.kill_and_start(random, random.choice(self.servers), not self.workers)

    def kill_a_worker(self, random):
        self.kill_and_start(random, random.choice(self.workers), True)

    def kill_and_start(self, random, program, disturbs):
        if disturbs:
            self.disturbances.append(time.time())
        program.kill()
        time.sleep(random.choice([0, random.uniform(0, 1)]))
        program.start()

    def kill_a_kernel(self, random):
        kernels = [pid for pid in processes.of_executions(self.mark) if not processes.command_line(pid).startswith("sleep")]
        if kernels:
            self.disturbances.append(time.time())
            with contextlib.suppress(ProcessLookupError):
                os.kill(random.choice(sorted(kernels)), signal.SIGKILL)

    def end_backends(self, _):
        program = pathlib.Path(self.options.postgres_programs) / "psql"
        text = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        subprocess.run([program, "-X", "-q", "-c", text, self.options.postgres_url], check=True, stdout=subprocess.DEVNULL)

    def restart_postgres(self, random):
        """As after a crash: nothing is written down before the end."""
        data = pathlib.Path(self.options.postgres_folder) / "data"
        owner = data.stat()
        account = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}

        def control(*arguments):
            program = pathlib.Path(self.options.postgres_programs) / "pg_ctl"
            command = [program, "-D", data, "-w", "-t", str(PATIENCE), "-l", data.parent / "log", *arguments]
            subprocess.run(command, check=True, cwd=data.parent, stdout=subprocess.DEVNULL, **account)

        # `restart` starts it with the settings that it was started with.
        control("-m", random.choice(["immediate", "fast"]), "restart")

    def journals(self):
        """The journals that are left."""
        return sorted(journal for folder in self.data_dirs for journal in folder.glob("journal/*"))

    def kill_all(self):
        for program in self.programs:
            if program.process is not None and program.process.poll() is None:
                program.kill()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
