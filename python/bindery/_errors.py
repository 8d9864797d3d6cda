"""What can go wrong, with papermill's names and fields.

Code that catches papermill's exceptions goes on catching: when papermill is loaded, an exception raised here is also
one of papermill's (and a timeout or a dead kernel one of nbclient's). When it is not loaded, nobody can hold its
classes, so nothing is imported for this.
"""

from __future__ import annotations

import re
import sys
from typing import Any

_COLOUR = re.compile("\x1b\\[(?:K|.*?m)")


class BinderyError(Exception):
    """What Bindery could not do. Its text is the program's own message."""

    #: The program's exit code: 1 for bad input, 2 for a system around Bindery, 3 for a fault of Bindery's own.
    exit_code: int = 1

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions cross processes in Airflow, Dagster and multiprocessing, with or without papermill on either side.
        return _made_again, (_public(type(self)), self.args, {"exit_code": self.exit_code})


class PapermillException(BinderyError):
    """As papermill's: what is asked for does not go together with the notebook."""


class PapermillMissingParameterException(PapermillException):
    """As papermill's: a parameter that a path names was not given."""


class NotebookNotFoundError(BinderyError, FileNotFoundError):
    """A notebook to read, or a folder to write to, that is not there."""


class CellTimeoutError(BinderyError, TimeoutError):
    """As nbclient's: a cell took longer than ``execution_timeout``. The output was saved."""


class DeadKernelError(BinderyError, RuntimeError):
    """As nbclient's: the kernel died. The output was saved."""


class PapermillExecutionError(PapermillException):
    """As papermill's: a cell raised an exception. The output was saved."""

    def __init__(
        self,
        cell_index: int | None,
        exec_count: int | None,
        source: str,
        ename: str,
        evalue: str,
        traceback: list[str],
    ) -> None:
        # Past the classes between, whose arguments are others.
        Exception.__init__(self, cell_index, exec_count, source, ename, evalue, traceback)
        self.exit_code = 1
        #: The place of the cell, from 0, before papermill's error marks are put in.
        self.cell_index = cell_index
        #: The number in ``In [n]``.
        self.exec_count = exec_count
        self.source = source
        self.ename = ename
        self.evalue = evalue
        #: The lines as the kernel sent them, with colours.
        self.traceback = traceback

    def __str__(self) -> str:
        lines = _COLOUR.sub("", "\n".join(self.traceback))
        return f'\n{"-" * 75}\nException encountered at "In [{self.exec_count}]":\n{lines}\n'

    def __reduce__(self) -> tuple[Any, ...]:
        return _made_again, (_public(type(self)), self.args, {})


#: Whose class stands for the same thing elsewhere.
_ELSEWHERE: dict[type[BinderyError], tuple[str, str]] = {
    PapermillException: ("papermill.exceptions", "PapermillException"),
    PapermillMissingParameterException: ("papermill.exceptions", "PapermillMissingParameterException"),
    PapermillExecutionError: ("papermill.exceptions", "PapermillExecutionError"),
    CellTimeoutError: ("nbclient.exceptions", "CellTimeoutError"),
    DeadKernelError: ("nbclient.exceptions", "DeadKernelError"),
}


def error(public: type[BinderyError], *args: Any, **fields: Any) -> BinderyError:
    """An exception to raise."""
    return _raised_class(public)(*args, **fields)


def _made_again(public: type[BinderyError], args: tuple[Any, ...], fields: dict[str, Any]) -> BinderyError:
    """An exception that was pickled, perhaps in a process with other modules."""
    return error(public, *args, **fields)


def _public(raised: type[BinderyError]) -> type[BinderyError]:
    """The class that this module shows, for one that :func:`error` may have derived from it."""
    return getattr(raised, "_public_class", raised)


def _raised_class(public: type[BinderyError]) -> type[BinderyError]:
    module, name = _ELSEWHERE.get(public, ("", ""))
    # Only the module that was imported already; a half-imported one has no class yet.
    theirs = getattr(sys.modules.get(module), name, None)
    if theirs is None:
        return public
    if (public, theirs) not in _DERIVED:
        body = {"__module__": public.__module__, "__doc__": public.__doc__, "_public_class": public}
        _DERIVED[public, theirs] = type(public.__name__, (public, theirs), body)
    return _DERIVED[public, theirs]


_DERIVED: dict[tuple[type[BinderyError], type], type[BinderyError]] = {}


for _class in (BinderyError, NotebookNotFoundError, *_ELSEWHERE):
    # Tracebacks and logs name what users import.
    _class.__module__ = "bindery"
