"""Odd notebooks, written as text so that they can be read: tests/parity/odd/*.cells.

    === NAME | FLAGS OF BOTH TOOLS | {"fields": "of the notebook"}
    # Lines before the first cell are for the reader.
    %% TAG… {"fields": "of the cell"}
    source of a code cell
    %% markdown
    source of a markdown cell

A line `%%bash` is source: only `%%` alone or with a space after it begins a cell. FLAGS and fields may be left out.
"""

import json
import re
import shlex

KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}


def read(path):
    """The notebooks of a file: triples of name, flags and notebook."""
    for part in re.split(r"^=== ", path.read_text(), flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        name, flags, fields = (re.split(r"\s*\|\s*", head, maxsplit=2) + ["", ""])[:3]
        cells = re.split(r"^%%(?=[ \n])", body, flags=re.MULTILINE)[1:]
        notebook = {
            "cells": [cell(index, text) for index, text in enumerate(cells)],
            "metadata": {"kernelspec": KERNELSPEC},
            "nbformat": 4,
            "nbformat_minor": 5,
        } | json.loads(fields or "{}")
        if notebook["nbformat_minor"] < 5:
            for each in notebook["cells"]:
                del each["id"]
        yield name.strip(), shlex.split(flags), notebook


def cell(index, text):
    head, _, source = text.partition("\n")
    tags, _, fields = head.partition("{")
    tags = tags.split()
    kind = tags.pop(0) if tags and tags[0] in ("markdown", "raw") else "code"
    made = {"cell_type": kind, "id": f"cell-{index}", "metadata": {"tags": tags} if tags else {}}
    if kind == "code":
        made |= {"execution_count": None, "outputs": []}
    made |= {"source": re.findall(r".*\n|.+$", source.rstrip("\n"))} | json.loads("{" + fields if fields else "{}")
    return {name: value for name, value in made.items() if (name, value) != ("id", None)}
