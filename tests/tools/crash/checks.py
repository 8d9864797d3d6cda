"""What must hold after all rounds. Each check gives a line for everything that does not."""

import collections
import datetime
import json

from . import notebooks

# What an execution that lost its worker or its kernel may fail with.
LOST = {"WorkerLost", "DeadKernelError", "KernelStartError", "KernelDied"}
# A loss is found out that much later at most, and clocks are read that much apart, in seconds.
SLACK = 2.0


def run_faults(run, record, starts, fleet):
    """Everything that is wrong with one accepted run."""
    key, status = run.key, record["status"]
    if run.finals != [status]:
        yield f"{key}: execution {run.id} is {status}, and was {' and then '.join(run.finals) or 'never final'} before"
    if run.end not in (None, status):
        yield f"{key}: execution {run.id} is {status}, and its event stream ended with {run.end}"
    began = starts.get(key, [])
    if any(execution != run.id for execution, _ in began):
        yield f"{key}: accepted as execution {run.id}, started as {began}"
    if len(began) > run.max_attempts:
        yield f"{key}: execution {run.id} was started {len(began)} times, and {run.max_attempts} was the most: {began}"
    if record["attempts"] > run.max_attempts:
        yield f"{key}: execution {run.id} had {record['attempts']} attempts, and {run.max_attempts} was the most"

    error = record["error"] or {}
    lost = disturbed(record, fleet.disturbances)
    usual = notebooks.exception(run.kind)
    if status == "success" and usual is not None:
        yield f"{key}: a {run.kind} notebook succeeded in execution {run.id}"
    elif status == "failed" and error.get("ename") != usual and not (lost and error.get("ename") in LOST):
        why = "though nothing was killed meanwhile" if not lost else "which nothing explains"
        yield f"{key}: execution {run.id}, {run.kind}, failed with {error.get('ename')} ({error.get('evalue')}) {why}"
    elif status not in ("success", "failed"):
        yield f"{key}: execution {run.id} is {status}"
    if status == "success" and not began:
        yield f"{key}: execution {run.id} is a success, and was never started"

    printed = text_of(fleet.notebooks / record["output_path"])
    if printed is None:
        # A run that was lost before its notebook was saved for the first time has printed nothing.
        if run.seen or status == "success" or error.get("ename") == usual:
            yield f"{key}: execution {run.id} is {status}, and its notebook cannot be read"
        return
    wanted = notebooks.expected(run.kind, key)
    is_whole = status == "success" or (status == "failed" and error.get("ename") == usual)
    if is_whole and printed != wanted:
        yield f"{key}: execution {run.id} is {status}, and its notebook has {difference(printed, wanted)}"
    elif not wanted.startswith(printed):
        yield f"{key}: execution {run.id} is {status}, and its notebook is no beginning: it has {difference(printed, wanted)}"
    missing = set("".join(run.seen).splitlines()) - set(printed.splitlines())
    # The last line may have been seen in part.
    missing = [line for line in missing if not any(line and other.startswith(line) for other in printed.splitlines())]
    if missing:
        yield f"{key}: execution {run.id} is {status}: its event stream had {len(missing)} lines that its notebook lacks, such as {min(missing)!r}"


def disturbed(record, disturbances):
    if not record["start_time"]:
        return False
    start, end = (datetime.datetime.fromisoformat(record[name]).timestamp() for name in ("start_time", "end_time"))
    return any(start - SLACK <= moment <= end + SLACK for moment in disturbances)


def text_of(path):
    try:
        return notebooks.printed(json.loads(path.read_text()))
    except (OSError, ValueError):
        return None


def difference(printed, wanted):
    printed, wanted = printed.splitlines(), wanted.splitlines()
    for at, (one, other) in enumerate(zip(printed, wanted, strict=False)):
        if one != other:
            return f"{len(printed)} of {len(wanted)} lines, and line {at} is {one!r} instead of {other!r}"
    return f"{len(printed)} of {len(wanted)} lines"


def read_starts(path):
    """By key: the execution and the process that it was started as, in order."""
    starts = collections.defaultdict(list)
    for line in path.read_text().splitlines() if path.exists() else []:
        key, execution, process = line.split()
        starts[key].append((int(execution), int(process)))
    return starts
