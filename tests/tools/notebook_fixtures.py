"""Writes tests/fixtures/notebook/*.json: inputs, and what papermill, nbformat and Python make of them.

    python notebook_fixtures.py

Made with papermill 2.7.0 and nbformat 5.11.1, without black. The Rust tests read the files and need no Python.
Values are tagged, because JSON has no NaN and its readers differ on large integers: ["int", "1"],
["float", "nan"], ["str", "x"], ["bool", true], ["none"], ["list", [...]], ["dict", [[key, value], ...]].
"""

import copy
import importlib.util
import json
import keyword
import logging
import math
import random
import unicodedata
import warnings
from pathlib import Path

import nbformat
from nbformat.validator import isvalid
from papermill.cli import _resolve_type
from papermill.execute import raise_for_execution_errors, remove_error_markers
from papermill.inspection import _infer_parameters
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from papermill.translators import PythonTranslator, papermill_translators
from papermill.utils import nb_kernel_name, nb_language

assert importlib.util.find_spec("black") is None, "black changes what papermill writes"
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
TESTS = Path(__file__).parent.parent
OUT = TESTS / "fixtures" / "notebook"


def write(name, rows):
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (OUT / name).write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(name, len(rows))


def tagged(value):
    match value:
        case None:
            return ["none"]
        case bool():
            return ["bool", value]
        case int():
            return ["int", str(value)]
        case float():
            return ["float", repr(value)]
        case str():
            return ["str", value]
        case list():
            return ["list", [tagged(it) for it in value]]
        case dict():
            return ["dict", [[key, tagged(it)] for key, it in value.items()]]


def same(left, right):
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    return type(left) is type(right) and left == right and str(left) == str(right)


# Literals

TEXTS = [
    "", "a", "two words", " ", "'", '"', "'\"'", '"""', "'''", "\\", "\\\\", "\\n", "\\\"", "\n", "\r", "\r\n", "\t",
    "a\nb", "line\n\nline\n", "\x00", "\x01", "\x07", "\x08", "\x0b", "\x0c", "\x1b[31m", "\x1f", "\x7f", "\x80", "\x85",
    "\xa0", "é", "ÿ", "Ā", "größe", "日本語", "\u2028", "\u2029", "\u200b", "\u202e", "\ufeff", "\uffff", "🙂", "👩‍👩‍👧", "\U0001d7ce",
    "\U0010ffff", "e\u0301", "{x}", "{{x}}", "%s", "$HOME", "`id`", "#", "# comment", "a # b", "\"; import os; os.system('x')",
    "')\nimport os\n(", "\\\"; import os #", "\\\\\"", "None", "True", "1", "nan", "f\"{1}\"", "b'x'", "\\x41", "\\u0041", "\\N{BULLET}",
    "x" * 300, "tab\tquote\"back\\slash\nend", "/path/to/file", "C:\\new\\table", "a=b", "[1, 2]", "{\"a\": 1}", "<b>&amp;</b>",
]
NUMBERS = [
    0, 1, -1, 7, 42, -42, 10**6, 2**31 - 1, 2**31, -(2**31), 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64 - 1,
    2**64, 10**30, -(10**40), 0.0, -0.0, 0.1, 1.0, -1.5, 1 / 3, 1e-4, 1e-5, 1e-7, 1.5e-7, 1e15, 1e16, 1e17, 1.25e16, 123456789.125, 1e22,
    1e23, 1e100, 1e300, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, math.pi, -math.e, 9007199254740993.0, 1e21, 0.30000000000000004,
    math.inf, -math.inf, math.nan,
]
NESTED = [
    None, True, False, [], {}, [[]], [{}], {"": {}}, [None, True, False], [1, "a", 2.5, None], [[1, [2, [3, [4]]]]],
    {"a": 1}, {"a": {"b": {"c": [1, 2, {"d": None}]}}}, {"a b": 1, "c\"d": 2, "e\\f": 3, "g\nh": 4, "é": 5, "🙂": 6, "": 7},
    {"z": 1, "a": 2, "m": 3}, [math.nan, math.inf, -math.inf], {"nan": math.nan}, [2**70, -(2**70)], ["a\nb", "\\", "\""],
    {"None": None, "True": True}, [" ", "\t"], {"list": [], "dict": {}, "text": ""}, [[[[[[[[[[]]]]]]]]]], [0, -0.0, 0.0],
]


def literals():
    generator = random.Random(4)
    alphabet = "ab \"'\\\n\r\t\0\x1b{}#$%é\x85\u2028\ufffd🙂\U000e0001n0xuU"
    texts = TEXTS + ["".join(generator.choices(alphabet, k=generator.randint(1, 12))) for _ in range(100)]
    rows = []
    for value in texts + NUMBERS + NESTED:
        literal = PythonTranslator.translate(value)
        assert "\n" not in literal and literal.isascii()
        assert same(value, eval(literal, {"__builtins__": {}, "float": float})), literal
        rows.append({"value": tagged(value), "literal": literal})
    return rows


# The command line

CLI = [
    "True", "False", "None", "true", "false", "none", "null", "TRUE", " True", "0", "1", "-1", "+1", "007", "-0", "+0", "00", "1_000",
    "1__000", "_1", "1_", "1_000_000", "-1_0", "0x10", "0b1", "0o7", "1e5", "1E5", "1e+5", "1e-5", "1_0e1_0", "1_e5", "1e_5", "1.5", ".5",
    "5.", ".", "-.5", "+.5", "1_0.5_0", "1._5", "1_.5", "1.5.5", "1e", "e5", "1e5.5", "nan", "NaN", "NAN", "-nan", "+nan", "inf", "-inf",
    "+inf", "Inf", "INF", "infinity", "-Infinity", "INFINITY", "infinit", "in", "na", "1e400", "-1e400", "1e-400", "9223372036854775807",
    "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "123456789012345678901234567890", "", " ", " 1", "1 ", "\t1\n",
    " 1.5 ", "1 2", "- 1", "--1", "+-1", "\x0b1\x0c", "\x1c1", "\x1f1.5", "\xa01", "\u20031\u2003", "\u30001.5", "\x851", "\u200b1", "１２３", "١٢٣",
    "-１２", "１.５", "１e５", "१_०", "𝟏𝟐", "²", "½", "Ⅷ", "一", "１_２", "0_0", "0_1", "01.5", "0_1.5", "1\x00", "hello", "hello world", "[1, 2]",
    "{'a': 1}", "'1'", "\"1\"", "1,000", "1.000,5", "1j", "2020-01-01", "12:30", "1L", "1l", "1f", "1d", "0.1f", "infin1ty", "nan1", "∞", "é",
    "9" * 400, "9" * 4300, "9" * 4301, "0" * 4301, "1" + "_0" * 2149, "1" + "_0" * 4299, "1" + "_0" * 4300, "-" + "9" * 4300, "1.7976931348623159e308", "4.9e-324", "2e-324", "0.1", "1e22", "1e23",
    "9007199254740993", "1.", "1.e5", ".e5", "1.e", "+", "-", "_", "__", "1-1", "\ufeff1", "\u00ad1", "\u180e1",
]


# Names

NAMES = [
    "a", "A", "_", "__", "_1", "a1", "1a", "", " ", "a b", " a", "a ", "a-b", "a.b", "a;b", "a=1", "a\nb", "a\n", "a\0", "a\"", "größe", "变量", "ñ",
    "e\u0301", "\u0301e", "ﬁ", "ｃlass", "ｃlasses", "ª", "º", "x²", "x₁", "²", "x١", "١x", "ℵ", "℘", "℮", "·", "a·", "℘x", "゛", "a゛", "ⅷ", "Ⅷx", "a\u200d",
    "a\u200c", "a\u00ad", "a\ufe0f", "🙂", "a🙂", "$a", "@a", "a$", "a@b", "print", "type", "match", "case", "soft", "None_", "none", "true", "Class", "__debug__",
    "__name__", "pm", "ͺ", "aͺ", "\u037a", "\u0e33", "a\u0e33", "ﷺ", "ﹱ", "aﹱ", "ｘ", "１", "x１", "𝐱", "𝐱𝟏", "\uff3f", "a\uff3f", "_\u203f", "\u203f", "\u2118", "x\u1369", "\u1369", "\u19da", "a\u19da",
    *keyword.kwlist, *[word.capitalize() for word in keyword.kwlist],
]


def is_name(name):
    normal = unicodedata.normalize("NFKC", name)
    good = name.isidentifier() and not {name, normal} & {*keyword.kwlist, "__debug__"}
    try:
        scope = {}
        exec(f"{name} = 1", scope) if good else None
        assert not good or scope[normal] == 1
    except SyntaxError:
        raise AssertionError(name)
    return good


# Inspection

CELLS = [
    "", "\n\n", "a = 1", "a=1", "a = 1\nb = 2", "a: int = 1", "a:int=1", "a : int = 1", "a: 'int' = 1", 'a: "int" = 1', "a: List[int] = [1]",
    "a: Dict[str, int] = {}", "a: typing.List = []", "a: Optional[str] = None", "a: int | None = 1", "a = 1 # type: int", "a = 1 # type:int",
    "a = 1 # type: int help text", "a = 1 # type: List[int] help", "a = 1 #type: int", "a = 1 # help", "a = 1 #help", "a = 1  #  help  ",
    "a: int = 1 # type: float both", "a: int = 1 # the help", "a = 1 # type:", "a = 1 # type: ", "a = 1 # not type: int", "a = '#'", "a = '#' # help",
    "a = 'x # y'", 'a = "=" ', "a = b == c", "a = dict(x=1)", "a = f(b=1)\nc = 2", "a, b = 1, 2", "a.b = 1", "a[0] = 1", "a += 1", "a -= 1", "a := 1", "a == 1",
    "a != 1", "a >= 1", "a = [\n    1,\n    2,\n]", "a = [\n    1, # one\n    2, # two\n] # help", "a = {\n  'x': 1,\n\n  # comment\n  'y': 2\n}",
    "a = {\n  'x': 1}  # type: dict the help\nb = 2", "a = (\n1 +\n2)", "a = '''\ntext\n'''", 'a = """text\n# no comment\nmore"""\nb = 1', "a = 1;", "a = 1; b = 2",
    "import os\na = 1", "import os", "print('x')", "a = 1\nprint(a)", "a = 1\nprint(a)\nb = 2", "# comment only", "# a = 1", "#a=1\nb=2", "  a = 1", "\ta = 1", "if x:\n    a = 1",
    "def f():\n    return 1\na = 1", "a = lambda x: x", "a: int", "a: int\nb = 1", "1a = 1", "a1 = 1", "_a = 1", "größe = 1", "变量 = '值'", "a\u0301 = 1", "x² = 1", "a =", "a = # help", "= 1",
    "a = None", "a = True", "a = -1.5e3", "a = b", "a = b = 1", "a = 1\r\nb = 2\r\n", "a = 1\rb = 2", "a = 1\x0cb = 2", "a = 1\u2028b = 2", "a = 1\x1cb = 2", "a = 1\x1fb", "a\xa0=\xa01", "a = 1 \u3000# help\u3000",
    "a: int=1#help", "a: List [ int ] = 1", "a: [int] = 1", "a: int,str = 1", "a: 'List[int]' = []", "a: \"Dict[str, List[int]]\" = {}  # nested", "%matplotlib inline\na = 1", "!ls\na = 1", "%%time\na = 1", "a = !ls",
    "a = 1 \\\n  + 2", "a = 'it''s'", "a = 1 # type: int # more", "a = 1 ## help", "a = 1 # # help", "a = 1 # type: int, str help", "a = [1, 2] # type: List[int]", "a = 1 # TYPE: int", "a: Union[int, None] = None  # help: with colon",
    "msg = None\nratio = 3.14 # Rayon\nepsilon: float = 1e-5 # Precision\n", "a: \"\" = 1", "a: 'x = 1", "a : = 1", "a = 1\n\n\n# trailing\n", "a = 1\n  # indented comment\n  b = 2", "a # comment = 1", "a\n= 1", "x y = 1", "for i in range(3): a = i",
    "alpha = 0.5   # type: float   Learning rate   ", "a = \"#1\" # type: str", "a = [ # open\n1 # one = uno\n]", "a=1#", "a=1# ", "a=#", "a\t:\tint\t=\t1\t#\ttype:\tfloat\thelp\t",
]


# Validation

def base(minor):
    identified = (lambda id: {"id": id}) if minor >= 5 else (lambda id: {})
    jupyter = {"jupyter": {"source_hidden": True}} if minor >= 3 else {}
    execution = {"execution": {"iopub.status.busy": "2024-01-01T00:00:00Z", "x": "y"}} if minor >= 4 else {}
    return {
        "cells": [
            {"cell_type": "code", "execution_count": 1, **identified("a"), "source": "x",
             "metadata": {"tags": ["t", "u"], "name": "n", "collapsed": True, "scrolled": "auto", **jupyter, **execution},
             "outputs": [
                 {"output_type": "stream", "name": "stdout", "text": ["a"]},
                 {"output_type": "display_data", "metadata": {"m": 1}, "data": {"text/plain": "x", "application/json": {"a": 1}, "application/x+json": 1}},
                 {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": {"image/png": "x", "text/html": ["x"]}},
                 {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["t"]},
             ]},
            {"cell_type": "markdown", **identified("b-_B1"), "metadata": {"tags": [], "name": "n", **jupyter}, "source": ["a\n", "b"],
             "attachments": {"x.png": {"image/png": "x"}}},
            {"cell_type": "raw", **identified("c"), "metadata": {"format": "text/html", "name": "n", "tags": ["x"], **jupyter}, "source": "",
             "attachments": {}},
        ],
        "metadata": {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python", "codemirror_mode": {"name": "ipython"}, "file_extension": ".py", "mimetype": "text/x-python", "pygments_lexer": "ipython3"},
            "orig_nbformat": 4, "title": "t", "authors": [{"name": "n"}], "other": {"x": 1},
        },
        "nbformat": 4,
        "nbformat_minor": minor,
    }


VALUES = [
    None, True, False, 0, 1, -1, 1.0, 1.5, -1.0, 10**15, "", "x", "auto", "a,b", "a b", "x" * 64, "x" * 65, "raw", "code", "markdown", "stream", "display_data",
    "error", [], ["x"], ["a", 1], ["x", "x"], [[]], [{}], {}, {"x": 1}, {"x": "y"}, {"x": {"text/plain": "y"}}, {"x": {"text/plain": 1}},
    {"x": {"application/json": 1}}, {"name": "n"}, {"name": "n", "display_name": "d"}, {"text/plain": ["a", 1]}, {"cell_type": "code"},
]


def places(value, path=()):
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield from places(inner, (*path, key))


def changed(notebook, path, change):
    notebook = copy.deepcopy(notebook)
    holder = notebook
    for key in path[:-1]:
        holder = holder[key]
    change(holder, path[-1])
    return notebook


def verdict(notebook):
    try:
        return "1" if isvalid(notebook) else "0"
    except Exception:  # nbformat stumbles over it: that is no acceptance either
        return "0"


def set_to(value):
    return lambda holder, key: holder.__setitem__(key, value)


def validation():
    """Per version: each place removed, replaced by each of VALUES, and each object with one more field."""
    yield {"values": VALUES}
    for minor in range(7):
        notebook = base(minor)
        assert verdict(copy.deepcopy(notebook)) == "1", minor
        yield {"minor": minor, "notebook": notebook}
        for path in places(notebook):
            if not path or "nbformat" in path:
                continue
            verdicts = verdict(changed(notebook, path, lambda holder, key: holder.__delitem__(key)))
            for value in VALUES:
                verdicts += verdict(changed(notebook, path, set_to(value)))
            yield {"minor": minor, "path": path, "verdicts": verdicts}
        for path in places(notebook):
            holder = notebook
            for key in path:
                holder = holder[key]
            if isinstance(holder, dict):
                verdicts = "".join(
                    verdict(changed(notebook, (*path, name), set_to(value)))
                    for name in ("unknown", "id", "attachments", "outputs")
                    for value in ("x", 1)
                    if name not in holder
                )
                yield {"minor": minor, "path": path, "added": verdicts}


# Injection

def injection():
    parameters = {"alpha": 0.1, "msg": "a\n\"b\"", "flags": [True, None, {"k": [1]}]}
    for path in sorted((TESTS / "notebooks").rglob("*.ipynb")):
        name = path.relative_to(TESTS / "notebooks").as_posix()
        try:
            notebook = load_notebook_node(str(path))
            declared = _infer_parameters(notebook)
            notebook = parameterize_notebook(notebook, parameters)
        except Exception as error:
            yield {"notebook": name, "error": type(error).__name__}
            continue
        if papermill_translators.find_translator(nb_kernel_name(notebook), nb_language(notebook)) is not PythonTranslator:
            continue
        index = next(i for i, cell in enumerate(notebook.cells) if "injected-parameters" in cell.metadata.tags)
        cell = notebook.cells[index]
        yield {
            "notebook": name, "index": index, "cells": len(notebook.cells), "source": cell.source, "metadata": cell.metadata,
            "declared": [it._asdict() for it in declared], "parameters": notebook.metadata.papermill.parameters,
        }


def error_markers():
    for count in (3, None):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in "abc"])
        notebook.cells[1].execution_count = count
        notebook.cells[1].outputs = [nbformat.v4.new_output("error", ename="E", evalue="v", traceback=[])]
        try:
            raise_for_execution_errors(notebook, None)
        except Exception as error:
            assert type(error).__name__ == "PapermillExecutionError"
        cells = [[cell.cell_type, cell.metadata, cell.source] for cell in notebook.cells]
        assert len(remove_error_markers(notebook).cells) == 3
        yield {"execution_count": count, "cells": cells}


def real_validity():
    notebooks = {path.relative_to(TESTS / "notebooks").as_posix(): path for path in (TESTS / "notebooks").rglob("*.ipynb")}
    for name, path in sorted(notebooks.items()):
        yield {"notebook": name, "valid": verdict(json.loads(path.read_bytes())) == "1"}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    write("literals.json", literals())
    write("cli_values.json", [{"text": text, "value": tagged(_resolve_type(text))} for text in CLI])
    write("names.json", [{"name": name, "good": is_name(name)} for name in NAMES])
    inspected = [{"source": cell, "parameters": [it._asdict() for it in PythonTranslator.inspect({"source": cell})]} for cell in CELLS]
    write("inspection.json", inspected)
    write("injection.json", list(injection()))
    write("error_markers.json", list(error_markers()))
    write("real_validity.json", list(real_validity()))
    write("validation.json", list(validation()))


if __name__ == "__main__":
    main()
