"""Running the program and hearing what it reports.

The program tells what happens in lines of JSON on its standard output (``--report -``), so no text meant for people is
taken apart. Parameters and notebooks are handed over in unnamed files: nothing of them is in the list of processes or
stays on a disk.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

from ._binary import environment, find_bindery_bin
from ._errors import BinderyError, error

#: How long a run that is told to stop may take to save what it has, in seconds.
_SAVE_PATIENCE = 60.0
#: How often to look whether the program is alive while it says nothing, in seconds.
_LOOK_EVERY = 1.0

Event = dict[str, Any]


def run(
    command: str,
    flags: Sequence[str],
    paths: Sequence[str],
    *,
    parameters: bytes | None = None,
    notebook: bytes | None = None,
    reads_stdin: bool = False,
    listen: Callable[[Event], None] = lambda event: None,
) -> Event:
    """Runs the program to its end and returns the last line of its report.

    `notebook` is its standard input; `parameters` are YAML. Any exception in this thread, KeyboardInterrupt above all,
    stops the program, which saves what it has, before it goes on its way.
    """
    arguments = [find_bindery_bin(), command, "--report=-", *flags]
    with contextlib.ExitStack() as open_files:
        inherited = []
        stdin: int | BinaryIO | None = None if reads_stdin else subprocess.DEVNULL
        if parameters is not None:
            file = open_files.enter_context(_unnamed_file(parameters))
            inherited.append(file.fileno())
            arguments.append(f"--parameters-file=/dev/fd/{file.fileno()}")
        if notebook is not None:
            stdin = open_files.enter_context(_unnamed_file(notebook))
        process = subprocess.Popen(
            [*arguments, "--", *paths],
            stdin=stdin,
            stdout=subprocess.PIPE,
            pass_fds=inherited,
            env=environment(),
            # Ctrl-C in a terminal goes to the foreground: to this process, which hands it on once.
            start_new_session=True,
        )
    with process:
        try:
            for event in _events(process):
                if event["event"] == "end":
                    process.wait()
                    return event
                listen(event)
        except BaseException as fault:
            _stop(process, signal.SIGINT if isinstance(fault, KeyboardInterrupt) else signal.SIGTERM)
            raise
    raise error(BinderyError, _how_it_ended(process.returncode), exit_code=_exit_code(process.returncode))


def _unnamed_file(content: bytes) -> BinaryIO:
    """A file that only who has it open can read; in memory where the system can do that."""
    if hasattr(os, "memfd_create"):
        file: BinaryIO = os.fdopen(os.memfd_create("bindery", os.MFD_CLOEXEC), "w+b")
    else:
        file = tempfile.TemporaryFile()
    try:
        file.write(content)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def _events(process: subprocess.Popen[bytes]) -> Iterator[Event]:
    """What the program reports, until it has closed its report or is gone."""
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    poller = select.poll()
    poller.register(pipe, select.POLLIN)
    line: list[bytes] = []
    while True:
        if not poller.poll(_LOOK_EVERY * 1000):
            # A process that another thread forked may hold the pipe open: its end is no sign then.
            if process.poll() is not None and not poller.poll(0):
                return
            continue
        chunk = os.read(pipe, 1 << 20)
        if not chunk:
            return
        *whole, rest = chunk.split(b"\n")
        for end in whole:
            yield json.loads(b"".join([*line, end]))
            line = []
        line.append(rest)


def _stop(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """Ends the program: it saves the notebook first, unless it is told twice, as with Ctrl-C in a shell."""
    until = time.monotonic() + _SAVE_PATIENCE
    process.send_signal(how)
    while process.returncode is None:
        try:
            # What it still reports is read, for it must not wait for that.
            for _ in _events(process):
                if time.monotonic() > until:
                    process.kill()
            process.wait(max(0.0, until - time.monotonic()))
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
        except subprocess.TimeoutExpired:
            process.kill()


def _how_it_ended(status: int) -> str:
    how = f"signal {-status}" if status < 0 else f"exit code {status}"
    return f"the program `bindery` ended without a result ({how}); what it had to say is on standard error"


def _exit_code(status: int) -> int:
    return 128 - status if status < 0 else status
