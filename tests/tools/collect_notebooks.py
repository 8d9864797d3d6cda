"""Collects real notebooks of nbformat 4 into tests/notebooks, and says what each becomes when rewritten.

    python collect_notebooks.py FOLDER…

Each FOLDER is an unpacked source distribution or wheel; its name up to the first version digit is the project's
name. Notebooks are taken once by content, in whatever of 4.x they are, valid or not. Then `rewritten.json` is
written anew from everything that lies in tests/notebooks: the notebooks that Jupyter's own writer would change
even without sorting keys, each with the reason and the SHA-256 of what Python's json module makes of it.
Needs nothing beyond Python.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
MAX_SIZE = 130_000


def collect(folder, seen):
    project = re.match(r"[a-z-]+?(?=-\d|$)", folder.name).group()
    for path in sorted(folder.rglob("*.ipynb")):
        raw = path.read_bytes()
        digest = hashlib.sha256(raw).digest()
        if len(raw) > MAX_SIZE or digest in seen:
            continue
        try:
            notebook = json.loads(raw)
        except ValueError:
            continue
        if not isinstance(notebook, dict) or notebook.get("nbformat") != 4 or "cells" not in notebook:
            continue
        seen.add(digest)
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", path.name)
        target = NOTEBOOKS / project / name
        number = 2
        while target.exists():
            target = NOTEBOOKS / project / f"{Path(name).stem}-{number}.ipynb"
            number += 1
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(raw)


def reason(text, rewritten):
    if text + "\n" == rewritten:
        return "no newline at the end"
    if text.replace("\r\n", "\n") == rewritten:
        return "lines end in CR LF"
    unescaped = re.sub(
        r"(?<!\\)((?:\\\\)*)\\u([0-9a-fA-F]{4})",
        lambda m: m[0] if int(m[2], 16) < 32 else m[1] + chr(int(m[2], 16)),
        text,
    )
    if unescaped.rstrip("\n") + "\n" == rewritten:
        return "characters beyond ASCII are escaped"
    if "".join(unescaped.split()) != "".join(rewritten.split()):
        return "spelled otherwise (escapes or numbers)"
    indent = len(text.splitlines()[1]) - len(text.splitlines()[1].lstrip())
    if indent != 1:
        return f"indented by {indent}"
    if re.search(r'^ *"[^"]*" :', text, re.MULTILINE):
        return "a space stands before a colon"
    if re.search(r'": \["', text):
        return "a list stands on one line"
    return "one cell is indented otherwise"


def main():
    seen = {hashlib.sha256(path.read_bytes()).digest() for path in NOTEBOOKS.rglob("*.ipynb")}
    for folder in sys.argv[1:]:
        collect(Path(folder), seen)
    changed = {}
    for path in sorted(NOTEBOOKS.rglob("*.ipynb")):
        text = path.read_bytes().decode("utf-8")
        rewritten = json.dumps(json.loads(text), indent=1, ensure_ascii=False, separators=(",", ": ")) + "\n"
        if text != rewritten:
            changed[path.relative_to(NOTEBOOKS).as_posix()] = {
                "reason": reason(text, rewritten),
                "sha256": hashlib.sha256(rewritten.encode("utf-8")).hexdigest(),
            }
    (NOTEBOOKS / "rewritten.json").write_text(json.dumps(changed, indent=1) + "\n")


main()
