"""Prints, as JSON, what a notebook can see of the kernel that it runs on."""
import asyncio
import gc
import json
import locale
import logging
import multiprocessing
import os
import random
import resource
import signal
import sys
import threading


def without_address(value):
    return str(value).split(" at 0x")[0]


def own(text):
    # Each kernel has a connection file of its own.
    return "CONNECTION" if text.endswith("connection.json") else text


def depth(reached=0):
    """How many calls there is room for."""
    try:
        return depth(reached + 1)
    except RecursionError:
        return reached


shell = get_ipython()
with open("/proc/self/status") as status:
    masks = [line for line in status if line.startswith(("SigBlk", "SigIgn", "SigCgt", "Threads", "NoNewPrivs"))]

print(json.dumps({
    "argv": [own(word) for word in sys.argv],
    "orig_argv": [own(word) for word in sys.orig_argv],
    "executable": sys.executable,
    "path": sys.path,
    "name": __name__,
    "main": [name for name in ("__file__", "__spec__", "__builtins__") if hasattr(sys.modules["__main__"], name)],
    "modules": sorted(name for name in sys.modules if name != "debugpy" and not name.startswith(("debugpy.", "_pydevd", "pydevd"))),
    "names": sorted(shell.user_ns),
    "directory history": shell.user_ns["_dh"],
    "starting folder": shell.starting_dir,
    "history": shell.history_manager.hist_file,
    "signals": {int(it): without_address(signal.getsignal(it)) for it in signal.valid_signals()},
    "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "status": masks,
    "environment": dict(os.environ),
    "cwd": os.getcwd(),
    "umask": os.umask(0o22),
    "parent is the engine": os.getppid() == int(os.environ["JPY_PARENT_PID"]),
    "leads": [os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid()],
    "limits": {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")},
    "nice": os.nice(0),
    "threads": sorted(it.name for it in threading.enumerate()),
    "main thread": [threading.current_thread() is threading.main_thread(), threading.get_native_id() == os.getpid()],
    "flags": [str(sys.flags), sys.warnoptions, str(sys._xoptions)],
    "streams": [[type(it).__name__, it.encoding, it.errors, str(it.name), it.isatty()] for it in (sys.stdin, sys.stdout, sys.stderr)],
    "descriptors": [sys.__stdin__.fileno(), sys.__stdout__.fileno(), sys.__stderr__.fileno(), os.isatty(0), os.isatty(1)],
    "line buffering": [sys.__stdout__.line_buffering, sys.__stderr__.line_buffering],
    "collector": [gc.isenabled(), gc.get_threshold()],
    "recursion": [sys.getrecursionlimit(), depth()],
    "hooks": [without_address(it) for it in (sys.excepthook, sys.displayhook, sys.meta_path[-1])],
    "loop": type(asyncio.get_event_loop()).__name__,
    "start method": multiprocessing.get_start_method(allow_none=True),
    "handlers": {name: [type(it).__name__ for it in logging.getLogger(name).handlers] for name in ("", "tornado", "asyncio")},
    "locale": locale.setlocale(locale.LC_ALL),
    "random": random.getstate()[0],
    "command": open("/proc/self/comm").read(),
}, default=str))
