#!/usr/bin/env python3
"""Load: no-op executions on a kernel that does nothing, so that what is measured is Bindery, its queue and its database."""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

import measure
import report
from system import System

MORE = """\
A burst: all executions are submitted over HTTP by a few clients with connections that stay open, while workers run them. Then
one execution at a time, on a system that is idle before it. The kernel is a process that speaks the Jupyter protocol over real
ZeroMQ sockets and does nothing; each execution starts one, unless --warm keeps some ready, and writes a notebook of its own.

With SQLite there is one `bindery serve`. With PostgreSQL there is one `bindery serve --no-worker`, and as many
`bindery worker` as --workers says, one number after the other. Times are the server's: submitted_at, start_time, end_time.

`cargo xtask load` builds and starts what this needs.
"""


def main():
    options = parse()
    results, about = [], machine(options)
    for workers in options.workers if options.database == "postgres" else [1]:
        with tempfile.TemporaryDirectory(prefix="bindery-load-", dir=options.folder) as folder:
            system = System(options, pathlib.Path(folder), workers)
            try:
                system.start()
                results.append(case(system, options, workers))
            finally:
                system.stop()
    print(report.text(results))
    print("\n" + "\n".join(f"{name}: {value}" for name, value in about.items()))
    if options.markdown:
        options.markdown.write_text(report.markdown(results, about))
    if options.json:
        options.json.write_text(json.dumps({"about": about, "results": results}, indent=1))
    sys.exit(1 if any(result["failed"] for result in results) else 0)


def case(system, options, workers):
    tell(f"{options.database}, {workers} × {options.concurrency}: {options.executions} at once")
    empty = system.database_size()
    burst = measure.burst(system, options)
    size = system.database_size()
    tell(f"{options.database}, {workers} × {options.concurrency}: {options.single} one at a time")
    idle = measure.one_at_a_time(system, options)
    return {
        "database": options.database, "workers": workers, "concurrency": options.concurrency,
        "executions": options.executions, **burst, "idle": idle,
        "bytes_per_execution": {name: (size[name] - empty.get(name, 0)) / options.executions for name in size},
    }  # fmt: skip


def machine(options):
    """What the figures depend on."""
    version = subprocess.run([options.bindery, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    return {
        "date": time.strftime("%Y-%m-%d"), "bindery": version, "processors": f"{os.cpu_count()} × {model}",
        "system": platform.platform(), "load at the start": f"{os.getloadavg()[0]:.2f}",
        "clients": options.clients, "kernels kept ready": options.warm,
    }  # fmt: skip


def tell(line):
    print(f"# {line}", file=sys.stderr, flush=True)


def parse():
    parser = argparse.ArgumentParser(
        prog="load", description=__doc__, epilog=MORE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bindery", required=True, type=pathlib.Path, help="the program")
    parser.add_argument("--null-kernel", required=True, type=pathlib.Path, help="the kernel's program")
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--executions", type=int, default=2000, help="how many at once")
    parser.add_argument("--single", type=int, default=200, help="how many one at a time")
    parser.add_argument("--workers", type=lambda text: [int(it) for it in text.split(",")], default=[1], metavar="N,…")
    parser.add_argument("--concurrency", type=int, default=os.cpu_count(), help="executions at the same time, of each worker")
    parser.add_argument("--clients", type=int, default=2, help="clients that submit at the same time")
    parser.add_argument("--warm", type=int, default=0, help="kernels that each worker keeps ready")
    parser.add_argument("--patience", type=float, default=120, help="how long nothing may happen, in seconds")
    parser.add_argument(
        "--postgres-url", default=os.environ.get("BINDERY_TEST_POSTGRES"),
        help="a cluster, with the rights of a superuser [default: $BINDERY_TEST_POSTGRES]",
    )  # fmt: skip
    parser.add_argument("--postgres-programs", type=pathlib.Path, help="the folder of psql")
    parser.add_argument("--folder", help="in which data dirs are made and removed again")
    parser.add_argument("--markdown", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    options = parser.parse_args()
    options.bindery, options.null_kernel = options.bindery.resolve(), options.null_kernel.resolve()
    if options.database == "postgres" and not (options.postgres_url and options.postgres_programs):
        parser.error("--database postgres needs --postgres-url and --postgres-programs")
    return options


main()
