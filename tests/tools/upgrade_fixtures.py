"""Writes tests/fixtures/notebook/upgrades.json: notebooks of old formats, and what nbformat makes of each.

    python upgrade_fixtures.py NBFORMAT_SOURCES

Made with nbformat 5.11, in whose environment it must run; NBFORMAT_SOURCES is its unpacked source distribution, the
notebooks of whose tests are taken. More are made by downgrading notebooks of tests/notebooks. Cell ids, which nbformat
makes at random, are left out; `null` where nbformat refuses the notebook.
"""

import copy
import json
import sys
import warnings
from pathlib import Path

import nbformat

TESTS = Path(__file__).parent.parent
OUT = TESTS / "fixtures" / "notebook" / "upgrades.json"
MAX_SIZE = 20_000
# Of the notebooks with outputs, one in so many.
SHARE = 4


def code(**fields):
    return {"cell_type": "code", "collapsed": True, "input": "1", "language": "python", "outputs": [], **fields}


def of_v3(*cells, **fields):
    return {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": "x", "kept": 1}, "worksheets": [{"cells": list(cells)}], **fields}


WRITTEN = {
    "split without line ends": of_v3(code(input=["a", "b"]), {"cell_type": "markdown", "source": ["# x", "y"]}),
    "split with line ends": of_v3(code(input=["a\n", "b"]), {"cell_type": "markdown", "source": ["# x\n", "y"]}),
    "headings": of_v3(*({"cell_type": "heading", "level": level, "source": ["a\n", "b"], "metadata": {"k": level}} for level in range(1, 7)), {"cell_type": "heading", "source": ""}),
    "html and raw": of_v3({"cell_type": "html", "source": "<b>"}, {"cell_type": "raw", "source": "r", "metadata": {"format": "latex"}}),
    "streams": of_v3(code(prompt_number=3, outputs=[
        {"output_type": "stream", "stream": "stderr", "text": ["a\n", "b"]},
        {"output_type": "stream", "text": "no name"},
        {"output_type": "pyerr", "ename": "E", "evalue": "v", "traceback": ["t\x1b[0m"]},
    ])),
    "mimebundles": of_v3(code(outputs=[
        {"output_type": "pyout", "prompt_number": 3, "text": ["a\n", "b"], "html": ["<p>"], "latex": "$x$", "metadata": {"png": {"width": 3}}},
        {"output_type": "display_data", "png": "aGk=\n", "jpeg": "aGk=", "svg": ["<svg>\n", "</svg>"], "javascript": ["x"], "json": ["{\"a\": ", "[1, 2]}"], "application/x": "kept"},
        {"output_type": "display_data", "json": "[\"b\", {\"z\": 1, \"a\": 2}]"},
    ])),
    "json that is none": of_v3(code(outputs=[{"output_type": "display_data", "json": "{"}])),
    "two worksheets": {"nbformat": 3, "nbformat_minor": 0, "metadata": {"signature": "s"}, "worksheets": [{"cells": [code()], "metadata": {"m": 1}}, {"cells": [code(input="2")]}]},
    "transient": of_v3(code(metadata={"trusted": True, "slideshow": {"slide_type": "-"}}), orig_nbformat=2, orig_nbformat_minor=1),
    "no outputs": of_v3({"cell_type": "code", "input": "1"}),
    "version 2": {"nbformat": 2, "metadata": {"name": "two"}, "worksheets": [{"cells": [code(prompt_number=1, outputs=[{"output_type": "pyout", "text": ["2"], "prompt_number": 1}]), {"cell_type": "markdown", "source": ["text"]}, {"cell_type": "html", "source": "<i>"}]}]},
    "no cells": of_v3(),
}


def rows(sources):
    for path in sorted((sources / "tests").glob("test[23]*.ipynb")):
        yield path.name, json.loads(path.read_text())
    yield from WRITTEN.items()
    paths = sorted(path for path in (TESTS / "notebooks").glob("*/*.ipynb") if path.stat().st_size < MAX_SIZE and '"output_type"' in path.read_text())
    for path in paths[::SHARE]:
        notebook = nbformat.reads(path.read_text(), as_version=4)
        # As an old Jupyter wrote it, so that the reader's own part in this is seen too.
        yield f"downgraded {path.name}", json.loads(nbformat.v3.writes_json(nbformat.v4.downgrade(notebook)))
    for path in paths[1::SHARE]:
        notebook = json.loads(path.read_text())
        if notebook["nbformat_minor"] < 5:
            yield path.name, notebook


def upgraded(notebook):
    try:
        read = nbformat.reads(json.dumps(notebook), as_version=4)
        # What papermill does with every notebook that it loads.
        if read.nbformat_minor < 5:
            read = nbformat.v4.upgrade(read)
        written = json.loads(nbformat.writes(read))
    except Exception as error:
        print(f"refused: {type(error).__name__}: {error}"[:150])
        return None
    for cell in written["cells"]:
        cell.pop("id", None)
    return written


def is_valid(notebook):
    """Whether nbformat finds an upgraded notebook good, its missing ids aside."""
    if notebook is None:
        return False
    with_ids = copy.deepcopy(notebook)
    for index, cell in enumerate(with_ids["cells"]):
        cell["id"] = f"id-{index}"
    return not list(nbformat.validator.iter_validate(with_ids))


def main(sources):
    warnings.simplefilter("ignore")
    made = []
    for name, notebook in rows(sources):
        result = upgraded(copy.deepcopy(notebook))
        made.append({"name": name, "notebook": notebook, "upgraded": result, "valid": is_valid(result)})
    OUT.write_text("[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in made) + "\n]\n")
    print(f"{len(made)} notebooks")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
