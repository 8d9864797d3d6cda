"""What the tests of the Python module share."""

from __future__ import annotations

import os
import tempfile
import unittest
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def notebook(*sources: str) -> dict[str, Any]:
    """A notebook of code cells; one whose source begins with `alpha` is the parameters cell."""

    def cell(source: str) -> dict[str, Any]:
        tags = ["parameters"] if source.startswith("alpha") else []
        metadata = {"tags": tags}
        return {"cell_type": "code", "source": source, "metadata": metadata, "outputs": [], "execution_count": None}

    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {
        "cells": [cell(source) for source in sources],
        "metadata": {"kernelspec": kernelspec},
        "nbformat": 4,
        "nbformat_minor": 4,
    }


def printed(executed: Any) -> str:
    """What a notebook has printed."""
    outputs = [output for cell in executed["cells"] for output in cell.get("outputs", [])]
    return "".join("".join(output["text"]) for output in outputs if output["output_type"] == "stream")


class InFolder(unittest.TestCase):
    """A test that runs in an empty folder of its own."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder.name)
        self.folder = Path(folder.name)


class Line:
    """A named pipe on which a notebook says that it has come to a place, and by which its end is noticed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "line"
        os.mkfifo(self.path)

    @property
    def tell(self) -> str:
        """The source of a cell that tells; the kernel holds the line open until its end."""
        return f"import os; line = os.open({str(self.path)!r}, os.O_WRONLY); _ = os.write(line, b'here')"

    def wait(self) -> int:
        """Waits for the notebook, and gives the end of the line that is to be waited for with `cut`."""
        reader = os.open(self.path, os.O_RDONLY)
        assert os.read(reader, 4) == b"here"
        return reader

    @staticmethod
    def cut(reader: int) -> None:
        """Waits until the kernel is gone."""
        assert os.read(reader, 1) == b""
        os.close(reader)
