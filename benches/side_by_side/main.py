#!/usr/bin/env python3
"""Measures Bindery beside papermill, `jupyter execute`, ploomber-engine and nbclient, and prints medians and ratios.

In every round each case is run by all its contenders, one after the other, so that whatever slows the machine slows
all of them. Compare the ratios of one run; times are this machine's.
"""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time
import types

import environment
import matrix
import report
from programs import Failed

# `pure` is what criterion measures, `idle` the memory of a service that has nothing to do.
KNOWN = ["pure", *matrix.CASES, "idle"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    absolute = lambda text: pathlib.Path(text).absolute()
    parser.add_argument("--bindery", type=absolute, required=True, metavar="BINARY", help="the binary, a release build")
    parser.add_argument("--kernels", type=absolute, required=True, metavar="DIR", help="data dir with python3 and mlflow_kernel")
    parser.add_argument("--peers", type=absolute, required=True, metavar="DIR", help="environment of the peers; made when it is not there")
    parser.add_argument("--criterion", type=absolute, metavar="DIR", help="where criterion has left its results")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="rounds of each case, one more to warm up [7]")
    parser.add_argument("--only", default="", metavar="NAME,…", help=f"only these cases: {', '.join(KNOWN)}")
    parser.add_argument("--markdown", type=absolute, metavar="FILE", help="write the tables there, too")
    parser.add_argument("--json", type=absolute, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    chosen = options.only.split(",") if options.only else KNOWN
    if strangers := set(chosen) - set(KNOWN):
        parser.error(f"no case is called {', '.join(sorted(strangers))}; there are {', '.join(KNOWN)}")
    peers = environment.prepare(options.peers)
    about = machine(options)
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        home = pathlib.Path(home)
        (home / "work").mkdir()
        variables = environment.variables(home, options.kernels)
        tools = types.SimpleNamespace(bindery=options.bindery, peers=peers, home=home, work=home / "work", variables=variables)
        results = report.Results()
        results.pure = criterion(options.criterion) if "pure" in chosen else {}
        try:
            measure(tools, [name for name in chosen if name in matrix.CASES], options.rounds, results)
            if "idle" in chosen:
                tell("memory when nothing runs")
                results.idle = matrix.idle(tools)
        except KeyboardInterrupt:
            tell("interrupted: this is what was measured until now")
    about["load at the end"] = f"{os.getloadavg()[0]:.2f}"
    print(report.text(results))
    print("\n" + "\n".join(f"{name}: {value}" for name, value in about.items()))
    for fault in results.faults:
        print(f"FAILED {fault}")
    if options.markdown:
        options.markdown.write_text(report.markdown(results, about))
    if options.json:
        options.json.write_text(json.dumps(report.as_json(results, about), indent=1))
    sys.exit(1 if results.faults else 0)


def measure(tools, names, rounds, results):
    for name in names:
        case = matrix.CASES[name](tools)
        count = min(rounds, case.rounds)
        failed, out = set(), set()
        try:
            # The first round fills caches and does not count.
            for turn in range(count + 1):
                for contender, run in case.contenders.items():
                    if contender in out:
                        continue
                    tell(f"{case.name}: round {turn} of {count}, {contender}")
                    try:
                        samples = run()
                    except Failed as fault:
                        # Once may be bad luck: papermill's kernels can lose a port to each other.
                        if contender in failed:
                            out.add(contender)
                        failed.add(contender)
                        results.faults.append(f"{case.name}, {contender}: {fault}")
                        continue
                    if turn > 0:
                        results.add(case, contender, samples)
        finally:
            for end in case.ends:
                end()


def machine(options):
    """What the figures depend on."""
    version = subprocess.run([options.bindery, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    if (load := os.getloadavg()[0]) > 0.5:
        tell(f"something else runs on this machine (load {load:.2f}): the figures will not be worth much")
    return {
        "date": time.strftime("%Y-%m-%d"), "bindery": version, "processors": f"{os.cpu_count()} × {model}",
        "python": platform.python_version(), "system": platform.platform(), "load at the start": f"{load:.2f}",
    }  # fmt: skip


def criterion(folder):
    """Criterion's medians by benchmark."""
    found = {}
    for estimates in sorted(folder.rglob("new/estimates.json")) if folder and folder.is_dir() else []:
        name = json.loads(estimates.with_name("benchmark.json").read_text())["full_id"]
        found[name] = {"median_ms": json.loads(estimates.read_text())["median"]["point_estimate"] / 1e6}
    return found


def tell(line):
    print(f"# {line}", file=sys.stderr, flush=True)


main()
