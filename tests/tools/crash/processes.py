"""Processes as /proc tells of them."""

import os


def of_executions(mark):
    """The processes that executions have started, by process id: the id of the execution, which their environment names."""
    return {
        pid: int(variables[b"BINDERY_EXECUTION_ID"]) for pid, variables in marked_variables(mark) if b"BINDERY_EXECUTION_ID" in variables
    }


def marked(mark):
    """All that has been started here, by whom it may be."""
    return [pid for pid, _ in marked_variables(mark)]


def marked_variables(mark):
    """The processes that have a variable `BINDERY_CRASH_ROUNDS` with this value."""
    return ((pid, variables) for pid, variables in all_variables() if variables.get(b"BINDERY_CRASH_ROUNDS") == mark.encode())


def all_variables():
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                pairs = file.read().split(b"\0")
        except OSError:
            # Gone, or another user's.
            continue
        yield int(name), dict(pair.split(b"=", 1) for pair in pairs if b"=" in pair)


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "(gone)"
