"""The clients: they submit until they are answered, and read event streams to the end."""

import contextlib
import http.client
import json
import random
import threading
import time

from . import notebooks

# Seconds between two tries.
PAUSE = 0.1


class Run:
    """One wanted execution and what clients know of it."""

    def __init__(self, index, seed):
        chance = random.Random(f"{seed}-{index}")
        self.key = f"r{index:05}"
        self.kind = notebooks.choose(chance)
        self.max_attempts = 2 if chance.random() < 0.25 else 1
        self.is_watched = chance.random() < 0.3
        self.id = None
        # What its event stream has told: printed lines since the last start, and its end.
        self.seen, self.end = [], None
        # Final statuses that were told, in order.
        self.finals = []

    def body(self, starts):
        return {
            "notebook_path": f"{self.kind}.ipynb", "output_path": f"runs/{self.key}.ipynb", "username": "crash",
            "max_attempts": self.max_attempts, "parameters": {"key": self.key, "starts": str(starts)},
        }  # fmt: skip


class Load:
    """Submits as many runs as are allowed, and watches some."""

    def __init__(self, fleet, options, starts):
        self.fleet, self.options, self.starts = fleet, options, starts
        self.runs = [Run(index, options.seed) for index in range(options.executions)]
        self.faults, self.tally = [], {"refused and sent again": 0, "sent twice": 0, "streams": 0, "events": 0, "streams cut": 0}
        self.lock = threading.Condition()
        self.allowed, self.next, self.is_over = 0, 0, False
        self.threads = [threading.Thread(target=self.submit_all, args=(n,), daemon=True) for n in range(options.clients)]
        self.threads.append(threading.Thread(target=self.look, daemon=True))
        self.watchers = []

    def start(self):
        for thread in self.threads:
            thread.start()

    def allow(self, count):
        with self.lock:
            self.allowed = count
            self.lock.notify_all()

    def accepted(self):
        return [run for run in self.runs if run.id is not None]

    def ended(self):
        return sum(bool(run.finals) for run in self.runs)

    def stop(self):
        with self.lock:
            self.is_over = True
            self.lock.notify_all()

    def fault(self, text):
        with self.lock:
            self.faults.append(text)

    def count(self, name, by=1):
        with self.lock:
            self.tally[name] += by

    def submit_all(self, number):
        chance = random.Random(f"{self.options.seed}-client-{number}")
        while True:
            with self.lock:
                self.lock.wait_for(lambda: self.is_over or self.next < min(self.allowed, len(self.runs)))
                if self.is_over:
                    return
                run, self.next = self.runs[self.next], self.next + 1
            run.id = self.submit(run, chance)
            if run.id is not None and chance.random() < 0.1:
                self.count("sent twice")
                self.again(run, chance)
            if run.id is not None and run.is_watched and not self.options.no_streams:
                watcher = threading.Thread(target=self.watch, args=(run, chance.choice(self.fleet.servers)), daemon=True)
                self.watchers.append(watcher)
                watcher.start()

    def submit(self, run, chance):
        """Until it is accepted; a lost answer means that nobody knows whether it was."""
        while not self.is_over:
            status, answer = self.ask(chance.choice(self.fleet.servers), "POST", "/execute-notebook?wait=none", run)
            if status == 202:
                return answer["execution_id"]
            if status is not None and status < 500 and status != 429:
                self.fault(f"{run.key}: its submission was refused with {status}: {answer}")
                return None
            self.count("refused and sent again")
            time.sleep(PAUSE)
        return None

    def again(self, run, chance):
        """The same request gives the same execution."""
        if (told := self.submit(run, chance)) not in (None, run.id):
            self.fault(f"{run.key}: accepted as execution {run.id}, and sent again as execution {told}")

    def ask(self, server, method, path, run=None):
        """Status and answer; `None` for both when there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        body = json.dumps(run.body(self.starts)) if run else None
        headers = {"content-type": "application/json", "idempotency-key": run.key} if run else {}
        try:
            with contextlib.closing(connection):
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                return response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            return None, None

    def status(self, run):
        for server in self.fleet.servers:
            code, answer = self.ask(server, "GET", f"/execution-status/{run.id}")
            if code == 200:
                return answer
            if code == 404:
                self.fault(f"{run.key}: execution {run.id} was accepted and is not known")
        return None

    def look(self):
        """Asks in turn for the status of every run, so that a final one that changes is noticed."""
        while not self.is_over:
            for run in self.accepted():
                if self.is_over:
                    return
                if not run.finals:
                    self.note_final(run, self.status(run))
            time.sleep(0.5)

    def note_final(self, run, answer):
        if answer and answer["status"] not in ("pending", "running") and answer["status"] not in run.finals:
            run.finals.append(answer["status"])

    def watch(self, run, server):
        """Reads its event stream to the end, over as many connections as it takes."""
        last = None
        self.count("streams")
        while run.end is None and not self.is_over:
            headers = {"accept": "text/event-stream"} | ({"last-event-id": last} if last else {})
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            try:
                with contextlib.closing(connection):
                    connection.request("GET", f"/api/v1/executions/{run.id}/events", headers=headers)
                    response = connection.getresponse()
                    if response.status != 200:
                        if response.status < 500:
                            return self.fault(f"{run.key}: its event stream is refused with {response.status}")
                        raise http.client.HTTPException
                    for number, name, data in server_sent_events(response):
                        if number is not None:
                            if last is not None and place(number) <= place(last):
                                self.fault(f"{run.key}: event {number} comes after event {last}")
                            last = number
                        self.note(run, name, data)
            except (OSError, http.client.HTTPException):
                pass
            if run.end is None:
                self.count("streams cut")
                time.sleep(PAUSE)

    def note(self, run, name, data):
        self.count("events")
        try:
            event = json.loads(data)
        except ValueError:
            return self.fault(f"{run.key}: an event is no JSON: {data[:200]!r}")
        if name == "end":
            run.end = event["status"]
        elif name in ("start", "restart"):
            # Another attempt begins afresh.
            run.seen = []
        elif (output := event.get("output", {}).get("output", {})).get("output_type") == "stream":
            text = output["text"]
            run.seen.append(text if isinstance(text, str) else "".join(text))


def place(number):
    """Attempt and byte: the ids of events rise."""
    return tuple(map(int, number.split("-")))


def server_sent_events(response):
    """Number, name and data of each whole event."""
    number, name, data = None, "message", []
    while line := response.readline():
        line = line.decode().rstrip("\r\n")
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield number, name, "\n".join(data)
            number, name, data = None, "message", []
        elif field == "id":
            number = value
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
