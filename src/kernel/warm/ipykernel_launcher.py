"""Bindery's way to an IPython kernel: `python -m ipykernel_launcher` with less waiting.

    ipykernel_launcher.py [arguments of ipykernel]      a kernel, as ipykernel's own launcher starts it
    ipykernel_launcher.py --zygote [module ...]         imports what a kernel needs, and forks kernels on request

A zygote reads one request a line from standard input, `{"id": 1, "folder": "...", "argv": [...], "parent": 2}`, and
answers each with a line on standard output: `{"id": 1, "pid": 3}` or `{"id": 1, "error": "..."}`. Its first line says
whether it is of use: `{"ready": true, "error": null}`. It imports, does nothing that starts a thread, and has no ZeroMQ
context, so that a child finds nothing of it but modules. It ends when its standard input does.

A forked kernel takes its standard output and error from the named pipes `out` and `err` in its folder, and connects to
the socket `lease` there. Its event loop runs, and it can be spoken to; for the line that leases it,
`{"cwd": "...", "set": {...}, "unset": [...]}`, it looks in its event loop, and answers with `{"error": null}`.
"""

import atexit
import contextlib
import gc
import json
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

# What a kernel imports until its first cell has run, besides what these pull in; by ipykernel 6 and 7.
KERNEL_MODULES = (
    "ipykernel.kernelapp",
    "ipykernel.debugger",
    "ipykernel.zmqshell",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "faulthandler",
    "pdb",
    "runpy",
    "sqlite3",
    "tornado.platform.asyncio",
)


def main():
    arguments = sys.argv[1:]
    # A kernel of ipykernel's own launcher finds no modules in this script's own folder.
    if sys.path and sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
        del sys.path[0]
    if arguments[:1] != ["--zygote"]:
        as_deep_as_ipykernel(start_kernel, arguments)
        return
    try:
        zygote(arguments[1:])
        return
    except Forked as forked:
        terms = forked.args
    as_deep_as_ipykernel(become_kernel, *terms)


def as_deep_as_ipykernel(start, *arguments):
    """A notebook that recurses can count the calls that its kernel has taken before it: one more than here."""
    start(*arguments)


class Forked(BaseException):
    """Leads a forked child out of what its zygote was doing."""


def start_kernel(arguments):
    look_like_ipykernel(arguments)
    leave_debugpy()
    run()


def look_like_ipykernel(arguments):
    """What a notebook can see of how its kernel was started, as after `python -m ipykernel_launcher`."""
    import importlib.util

    launcher = importlib.util.find_spec("ipykernel_launcher")
    if launcher is None:
        sys.exit(f"{sys.executable}: No module named ipykernel_launcher")
    if sys.argv[0] in getattr(sys, "orig_argv", ()):
        at = sys.orig_argv.index(sys.argv[0])
        sys.orig_argv[at:] = ["-m", "ipykernel_launcher", *arguments]
    sys.argv = [launcher.origin, *arguments]


def leave_debugpy():
    """Its import is a quarter of a kernel's start, and nobody steps through a job. What a notebook has of it comes when
    it is asked for: a module to import, and `breakpoint()`, which does nothing without a debugger.
    """
    if "debugpy" in sys.modules:
        return
    sys.modules["debugpy"] = None
    import ipykernel.debugger  # noqa: F401

    del sys.modules["debugpy"]
    # Its import leaves this behind.
    os.environ.setdefault("PYDEVD_USE_FRAME_EVAL", "NO")
    builtin_hook = sys.breakpointhook

    def breakpointhook(*arguments, **options):
        sys.breakpointhook = builtin_hook
        with contextlib.suppress(ImportError):
            import debugpy.server.api  # noqa: F401
        return sys.breakpointhook(*arguments, **options)

    sys.breakpointhook = breakpointhook


def run(lease=None, marks=None):
    import zmq
    from ipykernel.kernelapp import IPKernelApp

    bind = IPKernelApp._bind_socket

    def bind_and_lose_nothing(app, socket, port):
        # By default what its reader has not taken is dropped, beyond 1000 messages.
        if socket.type in (zmq.PUB, zmq.XPUB):
            socket.sndhwm = 0
        return bind(app, socket, port)

    IPKernelApp._bind_socket = bind_and_lose_nothing
    app = IPKernelApp.instance()
    app.initialize()
    # Not looked through by every collection, nor at the end.
    gc.freeze()
    # After the exit handlers of the notebook, before those of ipykernel.
    atexit.register(end_control_thread, app)
    wait_less(app.kernel)
    if lease is not None:
        take_in_loop(lease, marks, app.shell)
    app.start()


def end_control_thread(app):
    """ipykernel ends the thread that broadcasts first. The one that was asked to end the kernel may be about to broadcast
    that it is idle, and would wait for the other for ever.
    """
    control = getattr(app, "control_thread", None)
    if control is not None and control.is_alive():
        control.stop()
        control.join(timeout=1)


def wait_less(kernel):
    """Half of the time of a small cell is waiting that changes nothing."""
    from ipykernel.iostream import OutStream

    if hasattr(kernel, "_execute_sleep"):
        kernel._execute_sleep = 0
    for stream in (sys.stdout, sys.stderr):
        if type(stream) is OutStream and hasattr(stream, "_buffers") and hasattr(stream, "_flush_pending"):
            stream.flush = flush_what_is_there(stream)
    if hasattr(kernel, "_process_children"):
        kernel._process_children = children_if_any(kernel._process_children)


def flush_what_is_there(stream):
    flush = stream.flush

    def flush_if_any():
        # A flush is a round trip to another thread, and every cell asks for eight.
        if stream._buffers or stream._flush_pending:
            flush()

    return flush_if_any


def children_if_any(process_children):
    def children():
        # ipykernel imports psutil to find them, and at its end waits half a minute for one that has ended already.
        try:
            return process_children() if any(map(lives, own_children())) else []
        except OSError:
            return process_children()

    return children


def own_children():
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/children") as children:
            yield from children.read().split()


def lives(pid):
    with open(f"/proc/{pid}/stat", "rb") as stat:
        return stat.read().rpartition(b")")[2].split()[0] != b"Z"


class ParsedArguments:
    """What ipykernel makes of its arguments, found out once before kernels are forked: an eighth of their start."""

    def __init__(self):
        self.known, self.parsed = None, None

    def take(self, argv):
        """Parses arguments, unless they differ only in the connection file from those before."""
        known = [argv[0], None, *argv[2:]] if argv[:1] == ["-f"] and len(argv) > 1 else None
        if known is None or known == self.known:
            return
        from ipykernel.kernelapp import IPKernelApp

        with contextlib.suppress(Exception):
            app = IPKernelApp()
            flags, aliases = app.flatten_flags()
            loader = app._create_loader(argv, aliases, flags, classes=list(app._classes_with_config_traits()))
            self.parsed, self.known = (loader.load_config(), loader.extra_args), known

    def use(self, argv):
        """As `parse_command_line` (traitlets' application.py), which it takes the place of in this process."""
        if self.known is None or [argv[0], None, *argv[2:]] != self.known:
            return
        import copy

        from ipykernel.kernelapp import IPKernelApp

        parse = IPKernelApp.parse_command_line
        config, extra_args = self.parsed

        def parse_command_line(app, other=None):
            if other is not None:
                return parse(app, other)
            app.argv = list(argv)
            app.cli_config = copy.deepcopy(config)
            app.cli_config.IPKernelApp.connection_file = argv[1]
            app.update_config(app.cli_config)
            app.extra_args = list(extra_args)

        IPKernelApp.parse_command_line = parse_command_line


def zygote(modules):
    marks, arguments = Marks(), ParsedArguments()
    # What modules print when they are imported is no answer.
    answers = os.dup(1)
    os.dup2(2, 1)

    def answer(message):
        os.write(answers, json.dumps(message).encode() + b"\n")

    why = customised()
    if why is None:
        try:
            preload(modules)
        except BaseException as error:  # noqa: BLE001: whatever it is, kernels are started without this one
            why = f"{type(error).__name__}: {error}"
    for stream in (sys.stdout, sys.stderr):
        # Or each child would print it once more.
        stream.flush()
    answer({"ready": why is None, "error": why})
    if why is not None:
        return
    threads = count_threads()
    gc.collect()
    gc.freeze()
    for request in requests():
        if count_threads() > threads:
            answer({"id": request["id"], "error": "a thread was started after the imports: a fork would not be safe"})
            continue
        try:
            arguments.take(request["argv"])
            answer({"id": request["id"], "pid": fork_kernel(request, marks, arguments, answers)})
        except OSError as error:
            answer({"id": request["id"], "error": str(error)})


def customised():
    """Why kernels may not be made ready before their folder and variables are known: code of the user's would run."""
    from IPython.paths import get_ipython_dir

    profile = os.path.join(get_ipython_dir(), "profile_default")
    startup = os.path.join(profile, "startup")
    with contextlib.suppress(OSError):
        for name in os.listdir(startup):
            if name.endswith((".py", ".ipy")):
                return "IPython's profile has startup files"
    with contextlib.suppress(OSError):
        for name in os.listdir(profile):
            if name.startswith("ipython_") and name.endswith(("config.py", "config.json")):
                return "IPython's profile is configured"
    if os.environ.get("PYTHONSTARTUP"):
        return "PYTHONSTARTUP is set"
    return None


class Marks:
    """Variables where the system reads those of a process (`/proc/PID/environ`): what a forked kernel forks on without
    starting a program is found there by its marks. The room for them is a variable that the zygote was started with.
    """

    ROOM = "BINDERY_ZYGOTE_ROOM"

    def __init__(self):
        import ctypes

        self.size = len(os.environ.pop(self.ROOM, ""))
        name = self.ROOM.encode() + b"="
        with open("/proc/self/stat", "rb") as stat:
            # After the name, which may hold anything: fields 3 and on; the environment's begin and end are 50 and 51.
            fields = stat.read().rpartition(b")")[2].split()
        begin, end = int(fields[47]), int(fields[48])
        self.address = begin + ctypes.string_at(begin, end - begin).find(name)

    def show(self, variables):
        import ctypes

        block = b"".join(f"{name}={value}\0".encode("utf-8", "replace") for name, value in variables.items())
        if len(block) <= self.size:
            ctypes.memmove(self.address, block.ljust(self.size, b"\0"), self.size)


def preload(modules):
    import importlib
    import threading

    # matplotlib reads it when it is imported; a kernel sets it when it starts.
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    for name in KERNEL_MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for name in modules:
        importlib.import_module(name)
    rehearse()
    if threading.active_count() > 1:
        # Those of libraries (BLAS) know of forks; Python's are simply gone in a child.
        raise RuntimeError("the imports start threads: " + ", ".join(it.name for it in threading.enumerate()[1:]))


def rehearse():
    """Does what every first cell would: the patterns of Python's tokenizer are compiled when they are first used."""
    from IPython.core.inputtransformer2 import TransformerManager

    with contextlib.suppress(Exception):
        TransformerManager().transform_cell("1\n")


def requests():
    """Past `sys.stdin`, which the children shall find untouched."""
    received = b""
    while chunk := os.read(0, 65536):
        *lines, received = (received + chunk).split(b"\n")
        for line in lines:
            yield json.loads(line)


def count_threads():
    return len(os.listdir("/proc/self/task"))


def fork_kernel(request, marks, arguments, answers):
    """Forks twice, so that the engine, which adopts orphans, becomes the kernel's parent and sees its end."""
    read, write = os.pipe()
    middle = os.fork()
    if middle == 0:
        try:
            os.close(read)
            child = os.fork()
            if child:
                os.write(write, b"%d" % child)
                os._exit(0)
            os.close(write)
            os.close(answers)
        except BaseException:  # noqa: BLE001
            os._exit(1)
        raise Forked(request, marks, arguments)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        pid = pipe.read()
    os.waitpid(middle, 0)
    if not pid:
        raise OSError("the kernel's process could not be forked")
    return int(pid)


def become_kernel(request, marks, arguments):
    """Never comes back."""
    import socket

    known = set(sys.modules)
    status = 1
    try:
        os.setsid()
        die_with(request["parent"])
        folder = request["folder"]
        for path, flags, fd in (
            (os.devnull, os.O_RDONLY, 0),
            (os.path.join(folder, "out"), os.O_WRONLY, 1),
            (os.path.join(folder, "err"), os.O_WRONLY, 2),
        ):
            opened = os.open(path, flags)
            os.dup2(opened, fd)
            os.close(opened)
        start_anew()
        look_like_ipykernel(request["argv"])
        arguments.use(request["argv"])
        lease = socket.socket(socket.AF_UNIX)
        lease.connect(os.path.join(folder, "lease"))
        run(lease, marks)
        status = 0
    except SystemExit as exit:
        status = exit.code if isinstance(exit.code, int) else int(exit.code is not None)
    except BaseException:  # noqa: BLE001: as the interpreter does
        sys.excepthook(*sys.exc_info())
    finally:
        end(status, known)


def die_with(parent):
    """Has the system kill this process when the engine dies, however it dies."""
    import ctypes
    import time

    # While the process in the middle lives, the signal would be sent for its end.
    for _ in range(5000):
        if os.getppid() == parent:
            break
        time.sleep(0.001)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def start_anew():
    """Forked kernels must not draw the same numbers (Python reseeds `random` itself), and count from one."""
    import itertools
    import threading

    if hasattr(threading, "_counter"):
        threading._counter = itertools.count(1).__next__
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


def take_in_loop(lease, marks, shell):
    """Takes the lease's line in the loop that runs the cells, so that nothing else runs meanwhile."""
    from tornado.ioloop import IOLoop

    loop = IOLoop.current()
    received = bytearray()

    def take(*_):
        chunk = lease.recv(65536)
        received.extend(chunk)
        if chunk and not received.endswith(b"\n"):
            return
        loop.remove_handler(lease.fileno())
        if not chunk:
            os._exit(0)
        terms = json.loads(received)
        for name in terms["unset"]:
            os.environ.pop(name, None)
        os.environ.update(terms["set"])
        marks.show(terms["set"])
        error = None
        try:
            os.chdir(terms["cwd"])
            # What the shell noted of its folder when it started.
            shell.starting_dir = os.getcwd()
            shell.user_ns["_dh"][:] = [os.getcwd()]
        except OSError as failure:
            error = str(failure)
        lease.sendall(json.dumps({"error": error}).encode() + b"\n")
        lease.close()

    loop.add_handler(lease.fileno(), take, IOLoop.READ)


def end(status, known):
    """The interpreter's end, for what this kernel made. The rest would be copied to be thrown away."""
    import io
    import threading

    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        gc.collect()
        for name, module in list(sys.modules.items()):
            if name not in known or name == "__main__":
                with contextlib.suppress(Exception):
                    vars(module).clear()
        gc.collect()
        for stream in [found for found in gc.get_objects() if isinstance(found, io.IOBase)]:
            with contextlib.suppress(Exception):
                if not stream.closed and stream.writable():
                    stream.flush()
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
