"""The two measurements."""

import datetime
import http.client
import json
import sys
import threading
import time

# Seconds between two looks at how far a burst has come.
LOOK = 0.25


class Client:
    """A connection that stays open."""

    def __init__(self, system):
        self.connection = http.client.HTTPConnection("127.0.0.1", system.port, timeout=300)

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body)
        self.connection.request(method, path, data, {"content-type": "application/json"} if data else {})
        response = self.connection.getresponse()
        text = response.read()
        if response.status not in (200, 202):
            raise SystemExit(f"{method} {path} was answered with {response.status}: {text[:500]}")
        return json.loads(text)


def body(name):
    # Two runs never write one file at the same time.
    return {"notebook_path": "null.ipynb", "output_path": f"out/{name}.ipynb", "username": "load"}


def burst(system, options):
    """All at once."""
    numbers, lock = iter(range(options.executions)), threading.Lock()

    def submit():
        client = Client(system)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            client.ask("POST", "/execute-notebook?wait=none", body(f"burst-{number}"))

    before, begun = system.processor_seconds(), time.monotonic()
    clients = [threading.Thread(target=submit, daemon=True) for _ in range(options.clients)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    submitting = time.monotonic() - begun
    await_end(system, options)
    after = system.processor_seconds()
    records = all_executions(system)
    return {
        "submitted_per_second": options.executions / submitting,
        "executions_per_second": options.executions / (last(records) - first(records)),
        "failed": sum(record["status"] != "success" for record in records),
        **percentiles_of(records),
        "processor_ms_per_execution": {
            name: {part: 1000 * (after[name][part] - before[name][part]) / options.executions for part in after[name]}
            for name in after
        },
    }  # fmt: skip


def await_end(system, options):
    """Until every execution has ended."""
    client, last, moved = Client(system), None, time.monotonic()
    while True:
        newest = [client.ask("GET", f"/api/v1/executions?status={status}&limit=1")["executions"] for status in ("pending", "running")]
        if not any(newest):
            return
        # It is the newest one that waits longest: what runs tells how far the others have come.
        running = [record["execution_id"] for record in newest[1]]
        if running != last:
            last, moved = running, time.monotonic()
            if sys.stderr.isatty() and running:
                print(f"\r# execution {running[0]} runs", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - moved > options.patience:
            raise SystemExit(f"nothing has happened for {options.patience} s")
        time.sleep(LOOK)


def all_executions(system):
    client, cursor, records = Client(system), "", []
    while True:
        page = client.ask("GET", f"/api/v1/executions?limit=1000&cursor={cursor}")
        records += page["executions"]
        if not (cursor := page["next_cursor"]):
            return records


def one_at_a_time(system, options):
    """Each on a system that has nothing else to do."""
    client, records, heard = Client(system), [], []
    # The first ones fill caches and do not count.
    for number in range(-5, options.single):
        begun = time.monotonic()
        record = client.ask("POST", "/execute", body(f"single-{number}"))
        took = time.monotonic() - begun
        if number >= 0:
            records.append(record)
            heard.append(took)
        # So that what ends a kernel is over.
        time.sleep(0.05)
    failed = sum(record["status"] != "success" for record in records)
    return percentiles_of(records) | {"request_to_answer": percentiles(heard), "failed": failed}


def percentiles_of(records):
    ended = [record for record in records if record["start_time"] and record["end_time"]]
    return {
        "submit_to_start": percentiles([moment(it, "start_time") - moment(it, "submitted_at") for it in ended]),
        "start_to_end": percentiles([moment(it, "end_time") - moment(it, "start_time") for it in ended]),
        "submit_to_end": percentiles([moment(it, "end_time") - moment(it, "submitted_at") for it in ended]),
    }  # fmt: skip


def percentiles(seconds):
    """In milliseconds."""
    if not (seconds := sorted(seconds)):
        return {}
    at = lambda share: 1000 * seconds[min(len(seconds) - 1, int(len(seconds) * share))]
    return {"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1)}


def moment(record, name):
    return datetime.datetime.fromisoformat(record[name]).timestamp()


def first(records):
    return min(moment(record, "submitted_at") for record in records)


def last(records):
    return max(moment(record, "end_time") for record in records if record["end_time"])
