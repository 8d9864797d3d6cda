"""What differs between two executed notebooks, once what differs from run to run is made the same."""

import json
import re

VOLATILE = [
    (r"0x[0-9a-f]{4,}", "0xADDRESS"),
    (r"\bobject at [0-9a-f]{8,}", "object at ADDRESS"),
    (r"_handle_events\(\d+", "_handle_events(FD"),
    (r"ipykernel_\d+", "ipykernel_N"),
    (r"\b\d{6,10}\.py\b", "HASH.py"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME"),
    (r"datetime\.datetime\([\d, ]+\)", "datetime.datetime(…)"),
    (r"\b\d+(\.\d+)?(e[+-]\d+)?\s?(ns|[µμu]s|ms|s|min)\b", "DURATION"),
    # tqdm's rate and times.
    (r"\[\d+:\d+<[\d:?]+, *[\d.?]+ ?(it/s|s/it)\]", "[RATE]"),
    (r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", "ID"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{24}(_\d+)*\b", "ID"),
    # What matplotlib calls markers and clips in SVG.
    (r"\b[mp][0-9a-f]{10}\b", "PART"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "ID"),
    # The working folders, which differ in their last part.
    (r"(/tmp|~)/[\w./-]*?tmp\w{8}/(papermill|nbclient|bindery)\b", "/FOLDER"),
    (r"/tmp/[\w./-]+", "/tmp/PATH"),
]
# Where Python's `splitlines` parts a text.
LINE_ENDS = tuple("\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
# What papermill's metadata say of the run and not of the notebook.
TIMES = ("start_time", "end_time", "duration", "version", "input_path", "output_path")


def stable(value):
    """The same value without what is different in every run."""
    if isinstance(value, str):
        for pattern, replacement in VOLATILE:
            value = re.sub(pattern, replacement, value)
        return value
    if isinstance(value, list):
        # Jupyter stores a text as the list of its lines.
        if value and all(isinstance(item, str) for item in value) and all(item[-1:] in LINE_ENDS for item in value[:-1]):
            return stable("".join(value))
        return [stable(item) for item in value]
    if isinstance(value, dict):
        return {stable(name): stable(item) for name, item in value.items()}
    return value


def outputs(cell):
    """A cell's outputs, consecutive texts of one stream as one (decided: see ARCHITECTURE.md)."""
    joined = []
    for output in cell.get("outputs", []):
        if output["output_type"] == "stream":
            text = output["text"] if isinstance(output["text"], str) else "".join(output["text"])
            if joined and joined[-1].get("name") == output["name"]:
                joined[-1]["text"] += text
                continue
            output = output | {"text": text}
        joined.append(dict(output))
    return [stable(output) for output in joined]


def cell_facts(cell):
    """What of a cell must be the same, by name."""
    metadata = dict(cell.get("metadata", {}))
    papermill = metadata.pop("papermill", {})
    timing = metadata.pop("execution", {})
    tags = metadata.pop("tags", [])
    known = ("id", "cell_type", "source", "metadata", "outputs", "execution_count")
    return {
        "type": cell["cell_type"],
        "source": stable("".join(cell.get("source", ""))),
        "count": cell.get("execution_count"),
        "tags": sorted(tags),
        "status": papermill.get("status"),
        "exception": papermill.get("exception"),
        "timing": sorted(timing),
        "metadata": stable(metadata),
        "fields": stable({name: value for name, value in cell.items() if name not in known}),
        "id": None if is_made_up(cell.get("id")) else cell["id"],
        "outputs": outputs(cell),
    }


def is_made_up(name):
    return not name or re.fullmatch(r"[0-9a-f]{8}(-?[0-9a-f]{4}){0,3}(-?[0-9a-f]{12})?", name)


def notebook_facts(notebook):
    """What of a notebook beside its cells must be the same, by name."""
    metadata = dict(notebook["metadata"])
    papermill = {name: value for name, value in metadata.pop("papermill", {}).items() if name not in TIMES}
    widgets = metadata.pop("widgets", {}).get("application/vnd.jupyter.widget-state+json", {})
    # Names of widgets are made up anew in every run.
    state = sorted(json.dumps(stable(model), sort_keys=True) for model in widgets.pop("state", {}).values())
    facts = {f"metadata {name}": stable(value) for name, value in metadata.items()}
    facts |= {f"papermill {name}": stable(value) for name, value in papermill.items()}
    facts |= {"widgets": widgets, "widget state": state}
    facts |= {name: value for name, value in notebook.items() if name not in ("metadata", "cells")}
    return facts | {"count of cells": len(notebook["cells"])}


def is_marker(cell):
    return "papermill-error-cell-tag" in cell.get("metadata", {}).get("tags", [])


def between(theirs, ours):
    """Pairs of where and (theirs, ours), for each fact in which the notebooks differ."""
    found = {}

    def compare(place, a, b):
        for name in [*a, *(name for name in b if name not in a)]:
            if (a.get(name), name in a) != (b.get(name), name in b):
                found[f"{place}{name}"] = (a.get(name), b.get(name))

    compare("", notebook_facts(theirs), notebook_facts(ours))
    sides = [theirs["cells"], ours["cells"]]
    if len(sides[0]) != len(sides[1]):
        # Only one of them tells of a failure.
        sides = [[cell for cell in cells if not is_marker(cell)] for cells in sides]
    for index, (a, b) in enumerate(zip(*sides)):
        compare(f"cell {index} ", cell_facts(a), cell_facts(b))
    return found


def shown(pair, width=400):
    """The two sides of a difference from just before they part."""
    a, b = (json.dumps(side, ensure_ascii=False, sort_keys=True) for side in pair)
    start = next((at for at, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    start = max(0, start - 60) if start > 80 else 0
    cut = ["…" * bool(start) + text[start : start + width] + "…" * (len(text) > start + width) for text in (a, b)]
    return f"peer      {cut[0]}\n      bindery   {cut[1]}"
