"""Notebooks as Python objects."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any


class NotebookNode(dict[str, Any]):
    """A dictionary whose entries are attributes too, as nbformat's class of this name.

    It is what :func:`bindery.execute_notebook` returns where nbformat is not installed; with nbformat it is nbformat's
    own class.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None


def node_class() -> type[dict[str, Any]]:
    """The class of the notebooks that are returned."""
    try:
        node: type[dict[str, Any]] = importlib.import_module("nbformat").NotebookNode
    except ImportError:
        return NotebookNode
    return node


def as_node(value: Any, node: type[dict[str, Any]]) -> Any:
    """JSON with nodes in place of dictionaries."""
    if isinstance(value, dict):
        return node({key: as_node(item, node) for key, item in value.items()})
    if isinstance(value, list):
        return [as_node(item, node) for item in value]
    return value


def in_memory(notebook: dict[str, Any]) -> dict[str, Any]:
    """A notebook as programs hold it: texts in one piece, where files have a list of lines."""
    _change_texts(notebook, _joined)
    return notebook


def to_file(notebook: Mapping[str, Any]) -> bytes:
    """A notebook for the program to read, as Jupyter writes it: texts are lists of lines.

    Raises TypeError for what is no JSON.
    """
    try:
        # A copy, which may be changed.
        copy = json.loads(json.dumps(notebook, allow_nan=False))
        _change_texts(copy, _split)
    except (TypeError, ValueError, AttributeError) as fault:
        raise TypeError(f"the notebook to execute is none that can be written as JSON: {fault}") from None
    return json.dumps(copy).encode("ascii")


def _joined(text: Any) -> Any:
    is_lines = isinstance(text, list) and all(isinstance(line, str) for line in text)
    return "".join(text) if is_lines else text


def _split(text: Any) -> Any:
    return text.splitlines(True) if isinstance(text, str) else text


def _change_texts(notebook: dict[str, Any], change: Callable[[Any], Any]) -> None:
    """Changes what may be a list of lines in a file.

    That is by nbformat's rule (``nbformat/v4/rwbase.py``): sources, attachments, streams, and data of every type but
    JSON's.
    """
    for cell in notebook.get("cells") or []:
        _change(cell, "source", change)
        for bundle in (cell.get("attachments") or {}).values():
            _change_data(bundle, change)
        for output in cell.get("outputs") or []:
            if output.get("output_type") in ("display_data", "execute_result"):
                _change_data(output.get("data") or {}, change)
            else:
                _change(output, "text", change)


def _change_data(bundle: dict[str, Any], change: Callable[[Any], Any]) -> None:
    for media_type in bundle:
        is_json = media_type.startswith("application/") and media_type.endswith("+json")
        if media_type != "application/json" and not is_json:
            _change(bundle, media_type, change)


def _change(holder: dict[str, Any], key: str, change: Callable[[Any], Any]) -> None:
    if key in holder:
        holder[key] = change(holder[key])
