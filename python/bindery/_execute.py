"""``execute_notebook``: papermill's function on Bindery's engine."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Mapping
from typing import Any, Protocol

from ._errors import (
    BinderyError,
    CellTimeoutError,
    DeadKernelError,
    NotebookNotFoundError,
    PapermillException,
    PapermillExecutionError,
    PapermillMissingParameterException,
    error,
)
from ._notebook import as_node, in_memory, node_class, to_file
from ._parameters import to_yaml
from ._process import Event, run

logger = logging.getLogger("bindery")

#: Papermill's name for standard input and output.
PIPE = "-"
#: Errors that are Bindery's own and not an exception of the notebook's.
_ENDINGS: dict[str, type[BinderyError]] = {
    "CellTimeoutError": CellTimeoutError,
    "ExecutionTimeoutError": CellTimeoutError,
    "DeadKernelError": DeadKernelError,
    "KernelStartError": BinderyError,
    "ExecutionError": BinderyError,
    "KeyboardInterrupt": BinderyError,
}
#: Keyword arguments that are switches of the command line, on or off.
_SWITCHES = frozenset({"coalesce_streams", "record_timing", "raise_on_iopub_timeout", "store_widget_state"})
#: Keyword arguments that are flags of the command line, given or not.
_FLAGS = frozenset({"allow_errors", "force_raise_errors", "inject_input_path", "inject_output_path", "inject_paths"})


class TextFile(Protocol):
    """What ``stdout_file`` and ``stderr_file`` can be: an open text file."""

    def write(self, text: str, /) -> Any:
        """Writes a text."""


def execute_notebook(
    input_path: str | os.PathLike[str] | Mapping[str, Any],
    output_path: str | os.PathLike[str] | None,
    parameters: Mapping[str, Any] | None = None,
    engine_name: str | None = None,
    request_save_on_cell_execute: bool = True,
    prepare_only: bool = False,
    kernel_name: str | None = None,
    language: str | None = None,
    progress_bar: bool | Mapping[str, Any] = True,
    log_output: bool = False,
    stdout_file: TextFile | None = None,
    stderr_file: TextFile | None = None,
    start_timeout: float | None = 60,
    report_mode: bool = False,
    cwd: str | os.PathLike[str] | None = None,
    **engine_kwargs: Any,
) -> Any:
    """Executes a notebook, and returns it: papermill's function, argument by argument.

    :param input_path: path or URL of a notebook, or the notebook itself. Fields such as ``{alpha}`` are filled in with
        parameters, in ``output_path`` too.
    :param output_path: where the executed notebook is saved, also when a cell fails; with None it is not.
    :param parameters: names and values; of which types, :mod:`bindery._parameters` says.
    :param engine_name: ``nbclient`` or ``bindery``, which are the same.
    :param request_save_on_cell_execute: whether to save while the notebook runs.
    :param prepare_only: whether to put the parameters in and run nothing.
    :param kernel_name: the kernel, whatever the notebook asks for. Kernels are looked for as Jupyter looks for them in
        this Python's environment, then among those that ``bindery kernels install`` has installed.
    :param language: the language that parameters are written in, whatever the notebook says.
    :param progress_bar: whether to show a bar when standard error is a terminal.
    :param log_output: whether to log what the notebook puts out, to the logger ``bindery``.
    :param stdout_file: an open text file for what the notebook prints.
    :param stderr_file: an open text file for what it prints to its standard error.
    :param start_timeout: how long the kernel may take to start, in seconds.
    :param report_mode: whether to hide the code in the result.
    :param cwd: the folder in which the notebook runs.
    :param engine_kwargs: ``execution_timeout`` (or ``timeout``; seconds for each cell), ``autosave_cell_every``,
        ``iopub_timeout``, ``raise_on_iopub_timeout``, ``allow_errors``, ``allow_error_names``, ``force_raise_errors``,
        ``coalesce_streams``, ``record_timing``, ``store_widget_state``, ``skip_cells_with_tag``, and of the
        command line ``inject_input_path``, ``inject_output_path`` and ``inject_paths``. A cell that may fail (tagged
        ``raises-exception``, or with ``allow_errors``) raises nothing here, where papermill raises in the end.
    :returns: the notebook as it was saved: an ``nbformat.NotebookNode`` where nbformat is installed, else a
        :class:`bindery.NotebookNode`.
    :raises PapermillExecutionError: when a cell raises an exception.
    :raises CellTimeoutError: when a cell takes too long.
    :raises DeadKernelError: when the kernel dies.
    :raises BinderyError: when anything else is in the way; the classes above are of this one.
    :raises TypeError: before anything runs, for an argument of the wrong type or one that is unknown.
    """
    notebook = to_file(input_path) if isinstance(input_path, Mapping) else None
    paths = [
        PIPE if isinstance(input_path, Mapping) else checked_path("input_path", input_path),
        PIPE if output_path is None else checked_path("output_path", output_path),
    ]
    flags = [
        *_engine(engine_name),
        *_value("kernel", kernel_name),
        *_value("language", language),
        *_value("cwd", None if cwd is None else checked_path("cwd", cwd)),
        *_value("start-timeout", _seconds("start_timeout", start_timeout)),
        *_progress(progress_bar),
        *_streams(stdout_file, stderr_file),
        *_engine_flags(engine_kwargs),
    ]
    if not request_save_on_cell_execute:
        flags.append("--no-request-save-on-cell-execute")
    for name, wanted in [("prepare-only", prepare_only), ("report-mode", report_mode), ("log-output", log_output)]:
        if wanted:
            flags.append(f"--{name}")
    files = {"stdout": stdout_file, "stderr": stderr_file}

    def listen(event: Event) -> None:
        if event["event"] == "log":
            logger.log(logging.WARNING if event["level"] == "warning" else logging.INFO, event["message"])
        elif event["event"] == "stream" and (file := files.get(event["name"])) is not None:
            file.write(event["text"])
            if hasattr(file, "flush"):
                file.flush()

    end = run(
        "execute",
        flags,
        paths,
        parameters=to_yaml(parameters) if parameters else None,
        notebook=notebook,
        reads_stdin=notebook is None and paths[0] == PIPE,
        listen=listen,
    )
    executed = end["notebook"]
    if executed is not None and output_path is not None and paths[1] == PIPE:
        sys.stdout.write(json.dumps(executed, ensure_ascii=False, indent=1) + "\n")
    raise_for(end)
    papermill = executed.get("metadata", {}).get("papermill", {})
    if output_path is None:
        papermill["output_path"] = None
    if notebook is not None:
        papermill["input_path"] = None
    return as_node(in_memory(executed), node_class())


def raise_for(end: Event) -> None:
    """Raises what the last line of a report says went wrong, if anything did."""
    exit_code = end["exit_code"]
    fault = end["error"]
    if fault is not None:
        raise error(_fault_class(fault), fault["message"], exit_code=exit_code)
    failure = end["cell_error"]
    if failure is None:
        return
    ending = None if failure["raised"] else _ENDINGS.get(failure["ename"])
    if ending is None:
        if not failure["raised"]:
            # The kernel has said that the cell failed and shown no exception: papermill's words for it.
            failure = {**failure, "ename": "CellExecutionError", "evalue": "", "traceback": []}
        fields = ("cell_index", "exec_count", "source", "ename", "evalue", "traceback")
        raise error(PapermillExecutionError, *(failure[field] for field in fields))
    where = "" if failure["cell_index"] is None else f" in cell {failure['cell_index']}"
    said = "".join(f"\n  {line}" for line in failure["traceback"])
    raise error(ending, f"{failure['ename']}{where}: {failure['evalue']}{said}", exit_code=exit_code)


def _fault_class(fault: Mapping[str, Any]) -> type[BinderyError]:
    field = fault["field"] or ""
    if fault["kind"] == "not_found":
        return NotebookNotFoundError
    if fault["kind"] == "bad_input" and field.startswith("parameters."):
        return PapermillMissingParameterException
    if field == "language":
        return PapermillException
    return BinderyError


def checked_path(name: str, path: str | os.PathLike[str]) -> str:
    try:
        text = os.fsdecode(path)
    except TypeError:
        raise TypeError(f"{name} is a path, not a {type(path).__name__}") from None
    if not text:
        raise ValueError(f"{name} is empty")
    return text


def _value(flag: str, value: str | None) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, str):
        raise TypeError(f"{flag.replace('-', '_')} is a str, not a {type(value).__name__}")
    return [f"--{flag}={value}"]


def _seconds(name: str, value: float | None) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError(f"{name} is a number of seconds, not {value!r}")
    return f"{value:d}" if isinstance(value, int) else f"{value:.6f}"


def _engine(engine_name: str | None) -> list[str]:
    if engine_name not in (None, "nbclient", "bindery"):
        raise error(PapermillException, f"No engine named '{engine_name}' found: there are nbclient and bindery")
    return []


def _progress(progress_bar: bool | Mapping[str, Any]) -> list[str]:
    if not isinstance(progress_bar, (bool, Mapping)):
        raise TypeError(f"progress_bar is a bool or a dict, not a {type(progress_bar).__name__}")
    # Elsewhere than on a terminal a bar would fill a log with its pieces.
    return ["--progress-bar"] if progress_bar is not False and os.isatty(2) else ["--no-progress-bar"]


def _streams(stdout_file: TextFile | None, stderr_file: TextFile | None) -> list[str]:
    for name, file in [("stdout_file", stdout_file), ("stderr_file", stderr_file)]:
        if file is not None and not hasattr(file, "write"):
            raise TypeError(f"{name} is an open text file, not a {type(file).__name__}")
    return ["--report-streams"] if stdout_file is not None or stderr_file is not None else []


def _engine_flags(given: Mapping[str, Any]) -> list[str]:
    """The arguments that papermill hands on to its engine, as flags."""
    flags = []
    # Papermill's rule: nbclient's name counts where papermill's own is missing or 0.
    timeout = given.get("execution_timeout") or given.get("timeout")
    flags += _value("execution-timeout", _seconds("execution_timeout", timeout))
    for name, value in given.items():
        flag = name.replace("_", "-")
        if name in ("execution_timeout", "timeout"):
            continue
        if name == "autosave_cell_every":
            seconds = _seconds(name, value)
            flags += _value(flag, None if seconds is None else str(max(0, math.ceil(float(seconds)))))
        elif name == "iopub_timeout":
            flags += _value(flag, _seconds(name, value))
        elif name == "skip_cells_with_tag":
            flags += _value(flag, value)
        elif name == "allow_error_names":
            for allowed in value or ():
                flags += _value("allow-error-name", allowed)
        elif name in _SWITCHES:
            flags += [] if value is None else [f"--{flag}" if value else f"--no-{flag}"]
        elif name in _FLAGS:
            flags += [f"--{flag}"] if value else []
        else:
            raise TypeError(f"execute_notebook() got an unexpected keyword argument {name!r}")
    return flags
