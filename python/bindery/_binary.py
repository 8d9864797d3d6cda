"""Where the program is, and in which environment it runs."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator

_NAME = "bindery"


def find_bindery_bin() -> str:
    """The path of the ``bindery`` program that is installed with this module.

    Raises FileNotFoundError, naming the folders that were searched, when it is not there.
    """
    searched = []
    for folder in _script_folders():
        program = os.path.join(folder, _NAME)
        if os.path.isfile(program):
            return program
        if folder not in searched:
            searched.append(folder)
    raise FileNotFoundError(
        f"the program `{_NAME}` is in none of {', '.join(searched)}: "
        f"install it again with `pip install --force-reinstall {_NAME}`"
    )


def _script_folders() -> Iterator[str]:
    """The folders that installers put scripts into, the most usual first."""
    yield sysconfig.get_path("scripts")
    # pip install --user
    yield sysconfig.get_path("scripts", scheme=sysconfig.get_preferred_scheme("user"))
    package_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # pip install --target
    yield os.path.join(package_root, "bin")
    # An environment that is on sys.path and is not this Python's, as `uv run --with` and zipped applications make one:
    # PREFIX/lib/pythonX.Y/site-packages.
    yield os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(package_root))), "bin")


def environment() -> dict[str, str]:
    """The variables for the program: this Python's kernels are the ones that are meant."""
    return {**os.environ, "BINDERY_PYTHON_PREFIX": sys.prefix}
