"""Processes as /proc tells of them."""

import os


def of(data_dirs):
    """The processes that an execution of these data dirs has started, by process id: the id of the execution. Their
    environment at their start names both."""
    folders = {os.fsencode(folder) for folder in data_dirs}
    found = {}
    for pid, variables in all_variables():
        if variables.get(b"BINDERY_DATA_DIR") in folders and b"BINDERY_EXECUTION_ID" in variables:
            found[pid] = int(variables[b"BINDERY_EXECUTION_ID"])
    return found


def marked(mark):
    """The processes that have a variable `BINDERY_CRASH_ROUNDS` with this value."""
    return [pid for pid, variables in all_variables() if variables.get(b"BINDERY_CRASH_ROUNDS") == mark.encode()]


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
