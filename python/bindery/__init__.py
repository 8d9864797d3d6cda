"""Run parameterised Jupyter notebooks, with papermill's meaning, on Bindery's engine.

Where a program says ``import papermill``, it can say ``import bindery as papermill``::

    import bindery

    bindery.execute_notebook("in.ipynb", "out.ipynb", parameters={"alpha": 0.1})

The module starts the ``bindery`` program that is installed with it; it needs no other package.
"""

from ._binary import find_bindery_bin
from ._errors import (
    BinderyError,
    CellTimeoutError,
    DeadKernelError,
    NotebookNotFoundError,
    PapermillException,
    PapermillExecutionError,
    PapermillMissingParameterException,
)
from ._execute import execute_notebook
from ._inspect import ParameterInfo, inspect_notebook
from ._notebook import NotebookNode

__all__ = [
    "BinderyError",
    "CellTimeoutError",
    "DeadKernelError",
    "NotebookNode",
    "NotebookNotFoundError",
    "ParameterInfo",
    "PapermillException",
    "PapermillExecutionError",
    "PapermillMissingParameterException",
    "execute_notebook",
    "find_bindery_bin",
    "inspect_notebook",
]
