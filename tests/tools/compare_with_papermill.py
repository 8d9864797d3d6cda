#!/usr/bin/env python3
"""Runs notebooks under papermill, `jupyter execute` and Bindery and prints where the results differ, cell by cell."""

import argparse
import collections
import json
import os
import pathlib
import queue
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from parity import differences, odd, peers, runs

TESTS = pathlib.Path(__file__).parents[1]
DECISIONS = TESTS / "parity" / "decisions.json"
MORE = """\
PATH is a notebook, a file of odd notebooks (*.cells, see parity/odd.py) or a folder of these.

All three run on the kernel of the peers' environment (tests/parity/requirements.lock), which is installed when it is
not there, each in an empty working folder. What changes from run to run (addresses, ids, times, temporary paths) is
made the same, and consecutive texts of one stream count as one output. What nbformat or nbconvert do not accept of
Bindery's results counts as a difference. What papermill made of a notebook is kept and used again.

A difference that is decided is listed in tests/parity/decisions.json by notebook and place. One that is not listed
fails, and so does a listed one that is gone, unless its place ends in `?`; `*` leaves the notebook out. Exit code 1
when something failed.

  compare_with_papermill.py --bindery target/debug/bindery tests/notebooks/papermill
  compare_with_papermill.py --bindery bindery --only widget tests/parity/odd
  compare_with_papermill.py --bindery bindery ~/notebooks -- --report-mode -p alpha 0.1
"""

# How often a notebook that differs is looked at again.
SECOND_LOOKS = 3
NO_KERNEL = ["-k", "python3"]

Case = collections.namedtuple("Case", "name flags text")


def cases(path, more_flags):
    """The notebooks at a path, with the names by which decisions know them."""
    path = path.absolute()
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.suffix in (".ipynb", ".cells") and ".ipynb_checkpoints" not in file.parts:
                yield from cases(file, more_flags)
    elif path.suffix == ".cells":
        for name, flags, notebook in odd.read(path):
            yield Case(f"{path.stem}/{name}", [*flags, *more_flags], json.dumps(notebook))
    else:
        text = path.read_text(encoding="utf-8")
        # Without a kernel's name papermill refuses and the others take python3; and then all can be compared.
        flags = [] if kernel_name(text) or "-k" in more_flags else NO_KERNEL
        yield Case(f"{path.parent.name}/{path.stem}", [*flags, *more_flags], text)


def kernel_name(text):
    try:
        return json.loads(text)["metadata"]["kernelspec"]["name"]
    except (ValueError, LookupError, TypeError):
        return None


class Comparison:
    """Everything that comparisons of many notebooks share."""

    def __init__(self, options, home):
        self.options, self.home = options, home
        self.idle = queue.SimpleQueue()
        for _ in range(options.jobs):
            self.idle.put(runs.Peers(options.peers, home))

    def of(self, case, again=False):
        """The differences of one notebook, by place; the peers' and Bindery's seconds; whether Bindery refused it."""
        worker, begun = self.idle.get(), time.monotonic()
        try:
            theirs = worker.run("papermill", case, again)
            # `jupyter execute` knows no parameters and none of papermill's flags.
            nbclients = worker.run("nbclient", case, again) if case.flags in ([], NO_KERNEL) else None
            spent = time.monotonic() - begun
            ours = runs.bindery(self.options.bindery, self.options.peers, self.home, case)
            took = time.monotonic() - begun - spent
            found = judge(theirs, nbclients, ours)
            if "path" in ours:
                accepted = worker.ask({"do": "accept", "path": str(ours["path"])}) or {"good": False, "log": "hung"}
                if not accepted["good"]:
                    found["accepted"] = (True, accepted["log"].strip()[-300:])
                ours["path"].unlink()
            return found, (spent, took), ours["notebook"] is None
        finally:
            self.idle.put(worker)

    def end(self):
        while not self.idle.empty():
            self.idle.get().end()


def judge(theirs, nbclients, ours):
    found = {}
    for what in ("good", "files"):
        if differences.stable(theirs.get(what)) != differences.stable(ours[what]):
            found[what] = (theirs.get(what), ours[what] or ours["log"].strip()[-300:])
    if (theirs["notebook"] is None) != (ours["notebook"] is None):
        found["written"] = (theirs["log"].strip()[-300:] if theirs["notebook"] is None else True, ours["log"].strip()[-300:])
    if theirs["notebook"] is None or ours["notebook"] is None:
        return found
    found |= differences.between(theirs["notebook"], ours["notebook"])
    if nbclients is not None and nbclients["notebook"] is not None:
        # What papermill and Bindery add is not in its result, or is there from an earlier run.
        added = {"papermill-error-cell-tag", "injected-parameters"}
        own = lambda cell: not added & set(cell.get("metadata", {}).get("tags", []))
        both = [filter(own, result["notebook"]["cells"]) for result in (nbclients, ours)]
        for index, sides in enumerate(zip(*both)):
            a, b = map(differences.cell_facts, sides)
            for what in ("outputs", "count"):
                if a[what] != b[what]:
                    found[f"jupyter execute, cell {index} {what}"] = (a[what], b[what])
    return found


def decided(decisions, name):
    """Of a notebook: the decisions' names by place, and those places that need not differ in every run."""
    places, sometimes = {}, set()
    for decision in decisions:
        for place in decision["notebooks"].get(name, []):
            places[place.rstrip("?")] = decision["name"]
            if place.endswith("?"):
                sometimes.add(place.rstrip("?"))
    return places, sometimes


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=MORE, formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s --bindery BINARY PATH… [-- FLAGS OF BOTH]",
    )  # fmt: skip
    default = pathlib.Path(os.environ.get("BINDERY_TEST_DATA_DIR", "target/test-data")) / "peers"
    parser.add_argument("--bindery", help="the binary", metavar="BINARY", type=lambda it: str(pathlib.Path(it).absolute()))
    parser.add_argument("--peers", type=pathlib.Path, default=default, metavar="FOLDER", help=f"their environment [{default}]")
    parser.add_argument("--jobs", type=int, default=3, metavar="N", help="how many notebooks at a time [3]")
    parser.add_argument("--only", default="", metavar="TEXT", help="only notebooks with this in their name")
    parser.add_argument("--prepare", action="store_true", help="install the environment and do nothing else")
    parser.add_argument("paths", nargs="*", type=pathlib.Path, metavar="PATH")
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options, flags = parser.parse_args(sys.argv[1:end]), sys.argv[end + 1 :]
    options.peers = peers.prepare(options.peers)
    if options.prepare:
        return
    if not options.bindery or not options.paths:
        parser.error("--bindery and a PATH are needed")
    decisions = json.loads(DECISIONS.read_text())
    known = {case.name for path in ("parity/odd", "notebooks") for case in cases(TESTS / path, [])}
    strangers = [name for decision in decisions for name in decision["notebooks"] if name not in known]
    if strangers:
        sys.exit(f"decisions.json names notebooks that do not exist: {', '.join(strangers)}")
    there = {folder.name for folder in (options.peers / "share" / "jupyter" / "kernels").iterdir()} | {None}
    all_cases, left_out = [], collections.Counter()
    for case in (case for path in options.paths for case in cases(path, flags) if options.only in case.name):
        excluded = [it["name"] for it in decisions if "*" in it["notebooks"].get(case.name, [])]
        if excluded or ("-k" not in case.flags and kernel_name(case.text) not in there):
            left_out[(excluded or ["its kernel is not in the environment"])[0]] += 1
        else:
            all_cases.append(case)
    with tempfile.TemporaryDirectory(prefix="parity-", dir="/tmp") as home:
        comparison = Comparison(options, pathlib.Path(home))
        try:
            with ThreadPoolExecutor(options.jobs) as pool:
                results = list(pool.map(comparison.of, all_cases))
            # Threads and kernels have their moods, and on a busy machine the peers lose output: what differs is run
            # again by all, with nothing beside it.
            for index, case in enumerate(all_cases):
                for _ in range(SECOND_LOOKS):
                    if any(faults(case, results[index][0], decisions)):
                        results[index] = comparison.of(case, again=True)
            failed = report(all_cases, results, decisions)
            for why, count in left_out.items():
                print(f"{count:>5}  left out: {why}")
        finally:
            comparison.end()
    sys.exit(1 if failed else 0)


def faults(case, found, decisions):
    """The differences that nobody has decided on, and the decided places that are the same now."""
    places, sometimes = decided(decisions, case.name)
    unlisted = {place: pair for place, pair in found.items() if place not in places}
    gone = [place for place in places if place not in found and place not in sometimes]
    return unlisted, gone


def report(all_cases, results, decisions):
    """Prints what differs and a table of counts; answers how many notebooks failed."""
    counts, failed, seconds, refused = collections.Counter(), 0, [0.0, 0.0], []
    for case, (found, took, is_refused) in zip(all_cases, results):
        places, _ = decided(decisions, case.name)
        unlisted, gone = faults(case, found, decisions)
        seconds = [a + b for a, b in zip(seconds, took)]
        refused += [case.name] * is_refused
        if unlisted or gone:
            failed += 1
            print(f"{case.name} {' '.join(case.flags)}: DIFFERS")
            for place, pair in unlisted.items():
                print(f"  {place}\n      {differences.shown(pair)}")
            for place in gone:
                print(f"  {place}\n      decided ({places[place]}), but there is no difference any more")
            if unlisted:
                print(f"  for decisions.json: {json.dumps({case.name: list(found)})}")
        elif found:
            for name in {places[place] for place in found}:
                counts[name] += 1
        else:
            counts["the same"] += 1
        sys.stdout.flush()
    print(f"\n{len(all_cases)} notebooks (peers {seconds[0]:.0f} s, Bindery {seconds[1]:.0f} s)")
    for name, count in counts.most_common():
        print(f"{count:>5}  {name}")
    print(f"{failed:>5}  DIFFER")
    print(f"{len(refused):>5}  refused by Bindery: {', '.join(refused)}")
    return failed


main()
