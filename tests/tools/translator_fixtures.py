"""Writes tests/fixtures/notebook/translators.json: what papermill's translators make of values.

    python translator_fixtures.py

Made with papermill 2.7.0, without black; pytest must be installed to read papermill's own tables. A row is a value
(tagged as in notebook_fixtures.py), the cell that each of papermill's translators writes for `x` (null: it raises), and
`wrong`: the languages in which that cell does not give the value, each with the reason. The reasons are found here by
rules of their own, not by looking at what Bindery writes; the Rust test asks for papermill's text exactly where no
reason is given, and for another text, or a refusal, where one is.
"""

import math
import random

from notebook_fixtures import NESTED, NUMBERS, TESTS, TEXTS, tagged, write
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from papermill.tests import test_translators
from papermill.translators import PythonTranslator, papermill_translators
from papermill.utils import nb_kernel_name, nb_language

KERNELS = ["python", "R", "scala", "julia", "matlab", ".net-csharp", ".net-fsharp", ".net-powershell", "bash"]

MORE = [
    "$HOME", "${HOME}", "$(id)", "`id`", "#{1}", "%d%%", "%{x}", "!ls", "~", "~/x", "*", "a;b", "a|b", "a&b", "a>b", "(a)", "[a]", "-n", "--", "=ls",
    "$'a'", "\\$x", "`$x", "`\"", "“quoted”", "„low“", "‘single’", "\u201d; exit; \u201c", "\x01a", "\x01g", "\x7ff", "éa", "éz", "\x85", "é\x01", "日本\x7f", "\x03\x04",
    "\\u000a", "\\\\u0041", "\\065", "\\N", "$x$", "a$b", "$", "\\", "'; DROP TABLE t; --", "\\'; DROP TABLE t; --", "'\"'\"'", "...", "@(1)", "@\"", "\"@", "<<EOF", "/* */", "*/",
    "(* *)", "*)", "-- x", "// x", "{0}", "{{", "\"\"\"", "a\\", "\\\"", "'\\''", "a\n!ls\nb", "trailing\\\n",
    [1, 2, 3], [1, 2.5], [1, 2**31], [2**31, 2.5], [2**53 + 1, 0.5], [2**63, 1], [2**63, 2**64 - 1], [True, 1], [True, False], [True, 2.5], ["a", 1], ["a", None], [None], [None, None],
    [[1], [2]], [[1], ["a"]], [[1], [2.5]], [[], [1]], [[True], [1]], [[True], [1], "a"], [[[1]]], [["a", ["b"]]], [{}], [{}, 1], [{"a": 1}, {"b": "x"}], [[{"a": [1]}]],
    {"a": 1, "A": 2}, {"a": []}, {"a": {}}, {"a": None}, {"a": [1, "b"]}, {"a": [True, 2]}, {"__proto__": {"x": 1}}, {"NULL": 1, "...": 2, "names": 3}, {"$x": "$y"}, {"a`b": 1},
    {"\\": "\\"}, {"\x01": 1}, {"": None}, {"it's": "it's"}, 10**28, 2**96 - 1, 2**96, -(2**96), 2**127, -(2**127), 2**127 - 1, 2**128, -(2**31) - 1, [1e300, 1], [math.inf, 1], {"inf": math.inf},
]


def papermills():
    """The values of papermill's own tables, and its expected literals by language."""
    for name, function in vars(test_translators).items():
        if not name.startswith("test_translate_type_"):
            continue
        language = name.removeprefix("test_translate_type_")
        kernel = {"r": "R", "csharp": ".net-csharp", "fsharp": ".net-fsharp", "powershell": ".net-powershell", "sh": "bash"}.get(language, language)
        (mark,) = function.pytestmark
        for value, expected in mark.args[1]:
            # Keys that are no texts cannot be given to Bindery: parameters come from JSON, YAML and the shell.
            if not isinstance(value, dict) or all(isinstance(key, str) for key in value):
                yield kernel, value, expected


def parts(value):
    """The value, and everything in it; keys too, as texts."""
    yield value
    if isinstance(value, list):
        for it in value:
            yield from parts(it)
    if isinstance(value, dict):
        for key, it in value.items():
            yield key
            yield from parts(it)


def has(kind, test):
    def check(value):
        return any(isinstance(it, kind) and not (kind is int and isinstance(it, bool)) and test(it) for it in parts(value))
    return check


def characters(test):
    return has(str, lambda text: any(map(test, text)))


def is_code(character):
    """Written as \\x, \\u or \\U by papermill."""
    return not (" " <= character <= "~" or character in "\t\n\r")


def flat(values):
    for it in values:
        yield from flat(it) if isinstance(it, list) else [it]


def promoted(values):
    """Whether Julia changes an element to give all one type."""
    if any(isinstance(it, (str, dict)) for it in values):
        return False
    leaves = [it for it in flat(values) if it is not None and not isinstance(it, (str, dict))]
    bools = any(isinstance(it, bool) for it in leaves)
    numbers = [it for it in leaves if not isinstance(it, bool)]
    floats = any(isinstance(it, float) for it in numbers)
    return bools and bool(numbers) or floats and any(isinstance(it, int) and abs(it) >= 2**53 for it in numbers)


def widened(values):
    """Whether Scala makes doubles of all the numbers, and so rounds one."""
    types = {csharp_type(it) for it in values}
    return "double" in types and types <= {"int", "long", "double"} and any(isinstance(it, int) and abs(it) >= 2**53 for it in values)


def csharp_type(value):
    match value:
        case bool() | str():
            return type(value).__name__
        case int():
            return "int" if -(2**31) <= value < 2**31 else "long" if -(2**63) <= value < 2**63 else "ulong" if 0 <= value < 2**64 else "big"
        case float():
            return "double"
        case dict():
            return "dictionary"
        case list():
            types = {csharp_type(it) for it in value}
            return f"{types.pop()}[]" if len(types) == 1 else "long[]" if types == {"int", "long"} else "double[]" if numeric(value) else "object[]"


def numeric(values):
    """Whether `new []` makes doubles of them, each the same number."""
    types = {csharp_type(it) for it in values}
    return "double" in types and types <= {"int", "long", "double"} and all(isinstance(it, float) or abs(it) < 2**53 for it in values)


def csharp_has_no_type(values):
    types = {csharp_type(it) for it in values}
    return not (len(types) == 1 or types == {"int", "long"} or numeric(values))


def fsharp_unify(left, right):
    if left == "_" or right == "_" or left == right:
        return right if left == "_" else left
    if isinstance(left, tuple) and isinstance(right, tuple):
        inner = fsharp_unify(left[0], right[0])
        return None if inner is None else (inner,)
    return None


def fsharp_element(values):
    common = "_"
    for it in values:
        common = None if common is None else fsharp_unify(common, fsharp_type(it))
    return common


def fsharp_type(value):
    match value:
        case None:
            return "option"
        case bool() | str() | float():
            return type(value).__name__
        case int():
            return "int" if -(2**31) <= value < 2**31 else "int64" if -(2**63) <= value < 2**63 else "bigint"
        case dict():
            return "map"
        case list():
            return (fsharp_element(value) or "IComparable",)


not_finite = has(float, lambda it: not math.isfinite(it))

WRONG = {
    "R": [
        ("R reads \\x as a byte, and refuses it beside \\u", has(str, lambda t: any("\x7f" < c <= "\xff" for c in t) or any(is_code(c) and c <= "\x7f" for c in t) and any(c > "\xff" for c in t))),
        ("a text of R has no U+0000", characters(lambda c: c == "\0")),
        ("R calls them NaN and Inf", not_finite),
        ("R takes no empty name in list(…)", has(dict, lambda it: "" in it)),
    ],
    "scala": [
        ("Scala has no \\x and no \\U", characters(lambda c: is_code(c) and (c <= "\xff" or c > "\uffff"))),
        ("Scala has no nan and no inf", not_finite),
        ("Scala widens the numbers of a list to Double", has(list, widened)),
        ("no Long of Scala holds the integer", has(int, lambda it: not -(2**63) <= it < 2**63)),
    ],
    "julia": [
        ("$ interpolates in Julia", characters(lambda c: c == "$")),
        ("Julia reads \\x as a byte", characters(lambda c: "\x80" <= c <= "\xff")),
        ("Julia calls them NaN and Inf", not_finite),
        ("Julia gives all numbers of a list one type", has(list, promoted)),
    ],
    "matlab": [
        ("MATLAB has no escapes", characters(lambda c: c == "\\" or not " " <= c <= "~")),
    ],
    ".net-csharp": [
        ("C# reads up to four digits after \\x", has(str, lambda t: any(is_code(c) and c <= "\xff" and d in "0123456789abcdefABCDEF" for c, d in zip(t, t[1:])))),
        ("C# calls them double.NaN and so on", not_finite),
        ("no literal of C# holds the integer", has(int, lambda it: not -(2**63) <= it < 2**64)),
        ("C# finds no type for new []", has(list, csharp_has_no_type)),
    ],
    ".net-fsharp": [
        ("F# calls it infinity", has(float, math.isinf)),
        ("no int64 of F# holds the integer", has(int, lambda it: not -(2**63) <= it < 2**63)),
        ("an F# list has one type", has(list, lambda it: fsharp_element(it) is None)),
        ("F# asks for the types of an empty map", has(dict, lambda it: not it)),
    ],
    ".net-powershell": [
        ("$ and ` are code in PowerShell, and it has no escapes with \\", characters(lambda c: c in "$`\\" or not " " <= c <= "~")),
        ("PowerShell makes a double of the integer", has(int, lambda it: abs(it) >= 2**96)),
        ("@(…) takes the elements of an only list", has(list, lambda it: len(it) == 1 and isinstance(it[0], list))),
        ("keys of PowerShell that differ in case are one", has(dict, lambda it: len({key.lower() for key in it}) < len(it))),
    ],
    "bash": [
        ("a text of Bash has no U+0000", characters(lambda c: c == "\0")),
        ("control characters are keys to the shell behind the kernel", characters(lambda c: c != "\n" and (c < " " or c == "\x7f"))),
        ("nothing between two elements is no element", has(list, lambda it: None in it)),
        ("an array of Bash holds no array", has(list, lambda it: any(isinstance(inner, list) for inner in it))),
    ],
}


def notebooks():
    """The cells that papermill injects into real notebooks of other languages than Python."""
    for path in sorted((TESTS / "notebooks").rglob("*.ipynb")):
        try:
            notebook = load_notebook_node(str(path))
            translator = papermill_translators.find_translator(nb_kernel_name(notebook), nb_language(notebook))
        except Exception:
            continue
        if translator is not PythonTranslator:
            notebook = parameterize_notebook(notebook, {"alpha": 0.1, "message": 'a "b"', "n": 3})
            index = next(i for i, cell in enumerate(notebook.cells) if "injected-parameters" in cell.metadata.tags)
            yield {"notebook": path.relative_to(TESTS / "notebooks").as_posix(), "index": index, "source": notebook.cells[index].source}


def main():
    generator = random.Random(7)
    alphabet = "ab \"'\\\n\r\t\0\x1b{}#$%é\x85\u2028\ufffd🙂n0xuU`!;()*“"
    values = TEXTS + MORE + NUMBERS + NESTED + ["".join(generator.choices(alphabet, k=generator.randint(1, 12))) for _ in range(40)]
    published = list(papermills())
    rows = {repr(value): value for value in values + [value for _, value, _ in published]}
    written = []
    for value in rows.values():
        row = {"value": tagged(value), "cells": {}, "wrong": {}}
        for kernel in KERNELS:
            translator = papermill_translators.find_translator(kernel, None)
            try:
                row["cells"][kernel] = translator.codify({"x": value})
            except NotImplementedError:
                row["cells"][kernel] = None
                continue
            reasons = [reason for reason, is_wrong in WRONG.get(kernel, []) if is_wrong(value)]
            if reasons:
                row["wrong"][kernel] = "; ".join(reasons)
        written.append(row)
    for kernel, value, expected in published:
        assert papermill_translators.find_translator(kernel, None).translate(value) == expected
    write("translators.json", written)
    write("translators_published.json", [{"kernel": kernel, "value": tagged(value), "literal": expected} for kernel, value, expected in published])
    write("translators_notebooks.json", list(notebooks()))
    for kernel in KERNELS:
        print(kernel, sum(kernel in row["wrong"] for row in written), "wrong,", sum(row["cells"][kernel] is None for row in written), "raise")


main()
