#!/usr/bin/env python3
"""Kills what runs executions, round after round, and checks that none was lost, run twice or recorded wrongly."""

import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time
import uuid

from crash import checks, notebooks, processes
from crash.fleet import Fleet
from crash.load import Load

MORE = """\
A mixed load of notebooks (quick ones, ones that print a lot, that sleep, that fail, that leave processes) is submitted over
HTTP while, at random moments, one thing a round is killed with SIGKILL: a server, a worker, a kernel; or all connections to
PostgreSQL are ended, or it is restarted. What was killed is started again at once. With SQLite there is one `bindery serve`;
with PostgreSQL there are two servers and two workers. At the end:

  every accepted execution has one final status, and kept it
  none was started more often than its max_attempts, or under another id
  none failed that nothing happened to; a failing notebook never succeeds
  a success has every output, a failure a beginning of them
  what a client saw on an event stream is in the notebook
  no process is left, and no journal

Exit code 1 when something does not hold. `cargo xtask crash` builds and starts what this needs.
"""

# Executions that are submitted before the first round, so that something runs.
AHEAD = 8


def main():
    options = parse()
    folder = pathlib.Path(options.folder or tempfile.mkdtemp(prefix="bindery-crash-")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    mark = str(uuid.uuid4())
    fleet = Fleet(options, folder, mark)
    notebooks.write(fleet.notebooks)
    (fleet.notebooks / "runs").mkdir()
    starts = folder / "starts"
    load = Load(fleet, options, starts)
    begun = time.monotonic()
    print(f"seed {options.seed}, in {folder}", file=sys.stderr)
    try:
        actions = rounds(fleet, load, options)
        faults, tally = settle(fleet, load, options, starts, mark)
    finally:
        load.stop()
        fleet.kill_all()
    tally = {"seed": options.seed, "database": options.database, "rounds": options.rounds} | {"actions": actions} | tally
    tally |= {"seconds": round(time.monotonic() - begun, 1), "violations": faults}
    if options.json:
        options.json.write_text(json.dumps(tally, indent=1))
    show(tally)
    if faults:
        print(f"logs and notebooks are in {folder}")
    elif not options.folder:
        shutil.rmtree(folder)
    sys.exit(1 if faults else 0)


def rounds(fleet, load, options):
    """Says how often each thing was done."""
    chance = random.Random(options.seed)
    done = collections.Counter()
    fleet.start()
    load.start()
    for turn in range(options.rounds):
        load.allow(AHEAD + options.executions * (turn + 1) // options.rounds)
        # Now and then what has just been started is hit while it starts.
        if chance.random() < 0.8:
            for program in fleet.programs:
                program.await_ready()
            time.sleep(chance.uniform(0, options.pause))
        name = chance.choice(sorted(fleet.actions()))
        fleet.actions()[name](chance)
        done[name] += 1
        progress(turn + 1, options.rounds, load, name)
    load.allow(options.executions)
    return dict(sorted(done.items()))


def settle(fleet, load, options, starts, mark):
    """Waits until all is quiet; says what is wrong, and counts."""
    faults = []
    for program in fleet.programs:
        program.await_ready()

    def is_final():
        progress(options.rounds, options.rounds, load, "waiting for the last ones")
        for program in fleet.programs:
            program.look_after()
        return load.ended() + len(load.faults) >= len(load.runs)

    if not wait(is_final, options.patience):
        open_runs = [f"{run.key} (execution {run.id})" for run in load.runs if not run.finals]
        faults.append(f"{len(open_runs)} executions do not end within {options.patience} s: {', '.join(open_runs[:20])}")
    wait(lambda: not any(watcher.is_alive() for watcher in load.watchers), 30)
    faults += [
        f"{run.key}: the event stream of execution {run.id} does not end" for run in load.accepted()
        if run.is_watched and run.end is None and not options.no_streams
    ]  # fmt: skip
    # What a crash between the final status and the end of all work has left is cleared away a minute or two later.
    if not wait(lambda: not processes.of_executions(mark), 90):
        faults += [f"process {pid} of execution {of} is left: {processes.command_line(pid)}" for pid, of in processes.of_executions(mark).items()]
    if not wait(lambda: not fleet.journals(), options.patience):
        faults += [f"a journal is left: {journal}" for journal in fleet.journals()]
    chance = random.Random(options.seed)
    for run in chance.sample(load.accepted(), min(20, len(load.accepted()))):
        load.again(run, chance)
    load.stop()

    began, statuses, errors, kinds = checks.read_starts(starts), collections.Counter(), collections.Counter(), collections.Counter()
    retried = 0
    for run in load.accepted():
        record = load.status(run)
        if record is None:
            faults.append(f"{run.key}: the status of execution {run.id} cannot be had")
            continue
        load.note_final(run, record)
        if not record["end_time"]:
            continue
        faults += checks.run_faults(run, record, began, fleet)
        statuses[record["status"]] += 1
        kinds[f"{run.kind}: {record['status']}"] += 1
        retried += record["attempts"] > 1
        if record["error"]:
            errors[record["error"]["ename"]] += 1
    faults += [fault for program in fleet.programs if (fault := program.stop())]
    if not wait(lambda: not processes.marked(mark), 10):
        faults += [f"process {pid} is left after the end: {processes.command_line(pid)}" for pid in processes.marked(mark)]
    tally = {
        "executions": len(load.runs), "accepted": len(load.accepted()), "statuses": dict(sorted(statuses.items())),
        "by kind": dict(sorted(kinds.items())), "errors": dict(sorted(errors.items())), "retried": retried,
        "starts": sum(map(len, began.values())), **load.tally,
        "started again while PostgreSQL was away": sum(program.restarts for program in fleet.programs),
    }  # fmt: skip
    return load.faults + faults, tally


def wait(condition, patience):
    deadline = time.monotonic() + patience
    while not (done := condition()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return done


LAST_LINE = [""]


def progress(turn, count, load, what):
    wide = 30
    line = f"[{'#' * (turn * wide // count):{wide}}] {turn}/{count}  accepted {len(load.accepted())}  ended {load.ended()}  {what}"
    if sys.stderr.isatty():
        print(f"\r{line:110}", end="" if line != LAST_LINE[0] else "", file=sys.stderr, flush=True)
    elif line != LAST_LINE[0]:
        print(line, file=sys.stderr, flush=True)
    LAST_LINE[0] = line


def show(tally):
    print()
    for name, value in tally.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {count}" for key, count in value.items()) or "none"
        if name != "violations":
            print(f"{name + ':':23} {value}")
    print(f"{'violations:':23} {len(tally['violations'])}")
    for fault in tally["violations"]:
        print(f"  {fault}")


def parse():
    parser = argparse.ArgumentParser(
        prog="crash_rounds.py", description=__doc__, epilog=MORE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bindery", required=True, type=pathlib.Path, help="the program")
    parser.add_argument("--kernels", required=True, type=pathlib.Path, help="a data dir that has the kernel python3")
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--executions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None, help="of the choices; the moments are never quite the same")
    parser.add_argument("--pause", type=float, default=4.0, help="the longest quiet time of a round, in seconds")
    parser.add_argument("--patience", type=float, default=300.0, help="how long the last ones may take, in seconds")
    parser.add_argument("--concurrency", type=int, default=2, help="executions at the same time, of each worker")
    parser.add_argument("--clients", type=int, default=4, help="clients that submit at the same time")
    parser.add_argument("--no-streams", action="store_true", help="read no event streams")
    parser.add_argument(
        "--postgres-url", default=os.environ.get("BINDERY_TEST_POSTGRES"),
        help="a database for this alone, with the rights of a superuser [default: $BINDERY_TEST_POSTGRES]",
    )  # fmt: skip
    parser.add_argument("--postgres-programs", help="the folder of pg_ctl and psql")
    parser.add_argument("--postgres-folder", help="the folder in which its data are, as `data`")
    parser.add_argument("--folder", help="where all files go, and stay")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the tally there, too")
    options = parser.parse_args()
    options.bindery, options.kernels = options.bindery.resolve(), options.kernels.resolve()
    if options.seed is None:
        options.seed = random.randrange(1_000_000)
    if options.database == "postgres" and not all((options.postgres_url, options.postgres_programs, options.postgres_folder)):
        parser.error("--database postgres needs --postgres-url, --postgres-programs and --postgres-folder")
    return options


main()
