"""``inspect_notebook``: the parameters that a notebook takes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypedDict

from ._execute import PIPE, checked_path, raise_for
from ._notebook import to_file
from ._parameters import to_yaml
from ._process import run


class ParameterInfo(TypedDict):
    """One parameter. The type's name is ``"None"`` where it is not known."""

    name: str
    inferred_type_name: str
    #: The source of the default value.
    default: str
    help: str


def inspect_notebook(
    notebook_path: str | os.PathLike[str] | Mapping[str, Any], parameters: Mapping[str, Any] | None = None
) -> dict[str, ParameterInfo]:
    """The parameters that a notebook takes, by name, in the order of the cell tagged ``parameters``.

    :param notebook_path: path or URL of a notebook, or the notebook itself.
    :param parameters: values for the fields in the path, such as ``{alpha}``.
    :raises BinderyError: when the notebook cannot be read.
    """
    notebook = to_file(notebook_path) if isinstance(notebook_path, Mapping) else None
    path = PIPE if isinstance(notebook_path, Mapping) else checked_path("notebook_path", notebook_path)
    end = run(
        "inspect",
        [],
        [path],
        parameters=to_yaml(parameters) if parameters else None,
        notebook=notebook,
        reads_stdin=notebook is None and path == PIPE,
    )
    raise_for(end)
    return {parameter["name"]: parameter for parameter in end["parameters"]}
