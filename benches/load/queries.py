#!/usr/bin/env python3
"""What each of Bindery's statements costs PostgreSQL, by itself: pgbench runs it from many connections at once, on tables with
1,000 running, 100,000 waiting and 100,000 ended executions."""

import argparse
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
MIGRATIONS = HERE.parents[1] / "migrations" / "postgres"
# Name, script, and how many idle connections listen for work.
CASES = [
    ("prolong a lease", "heartbeat", 0),
    ("look for lost executions, of 1,000", "abandoned", 0),
    ("read a status", "status", 0),
    ("keep 2 kB of a journal", "journal", 0),
    ("look for work where there is none", "claim_nothing", 0),
    ("claim", "claim", 0),
    ("claim under limits", "claim_limited", 0),
    ("submit, nobody listens", "submit", 0),
    ("submit, 50 listen", "submit", 50),
    ("submit, 150 listen", "submit", 150),
]


def main():
    options = parse()
    rows = []
    for name, script, listeners in [case for case in CASES if case[0].startswith(options.only or "")]:
        print(f"# {name}", file=sys.stderr, flush=True)
        rows.append({"statement": name} | measure(options, script, listeners))
    head = ("statement", "per second", "latency, ms", "WAL bytes each", "HOT share")
    table = [head] + [
        (row["statement"], f"{row['per_second']:.0f}", f"{row['latency_ms']:.2f}", f"{row['wal_bytes']:.0f}", row["hot"] or "")
        for row in rows
    ]
    widths = [max(len(row[at]) for row in table) for at in range(len(head))]
    print("\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


def measure(options, script, listeners):
    """On a database of its own."""
    database = f"queries_{script}_{listeners}"
    url = options.postgres_url.rsplit("/", 1)[0] + "/" + database
    psql(options, options.postgres_url, f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    psql(options, options.postgres_url, f"CREATE DATABASE {database}")
    try:
        for file in [*sorted(MIGRATIONS.glob("*.sql")), HERE / "queries" / "setup.sql"]:
            run(options, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", file, url)
        with contextlib.ExitStack() as ends:
            for _ in range(listeners):
                listener = subprocess.Popen(
                    [options.postgres_programs / "psql", "-X", "-q", url], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
                )
                ends.callback(lambda it=listener: (it.stdin.close(), it.wait()))
                listener.stdin.write("LISTEN bindery_work;\n")
                listener.stdin.flush()
            wanted = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            while int(psql(options, url, wanted)) < listeners:
                time.sleep(0.1)
            psql(options, url, "CHECKPOINT")
            begun = psql(options, url, "SELECT pg_current_wal_lsn()").strip()
            arguments = ["-n", "-c", options.connections, "-j", 2, "-T", options.seconds, "-M", "prepared"]
            told = run(options, "pgbench", *arguments, "-f", HERE / "queries" / f"{script}.sql", url)
        wal = float(psql(options, url, f"SELECT pg_current_wal_lsn() - '{begun}'::pg_lsn"))
        # Counts of other sessions come late.
        time.sleep(1.5)
        updated, hot = map(int, psql(options, url, "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'executions'").split("|"))
    finally:
        psql(options, options.postgres_url, f"DROP DATABASE {database} WITH (FORCE)")
    count = int(re.search(r"transactions actually processed: (\d+)", told)[1])
    return {
        "per_second": float(re.search(r"tps = ([\d.]+)", told)[1]), "latency_ms": float(re.search(r"latency average = ([\d.]+)", told)[1]),
        "wal_bytes": wal / count, "hot": f"{100 * hot / updated:.0f} %" if updated else None,
    }  # fmt: skip


def psql(options, url, text):
    return run(options, "psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", text, url)


def run(options, program, *arguments):
    command = list(map(str, [options.postgres_programs / program, *arguments]))
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{program} failed: {done.stderr[-2000:]}")
    return done.stdout


def parse():
    parser = argparse.ArgumentParser(prog="load --queries", description=__doc__)
    given = os.environ.get("BINDERY_TEST_POSTGRES")
    parser.add_argument(
        "--postgres-url", required=not given, default=given, help="a cluster, with the rights of a superuser [default: $BINDERY_TEST_POSTGRES]"
    )
    parser.add_argument("--postgres-programs", required=True, type=pathlib.Path, help="the folder of psql and pgbench")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--only", help="those whose names begin so")
    parser.add_argument("--seconds", type=int, default=5, help="for each statement")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    return parser.parse_args()


main()
