"""Writes tests/fixtures/notebook/yaml.json: YAML texts, and the parameters that papermill reads from them.

    python yaml_fixtures.py

Made with papermill 2.7.0 and PyYAML 6.0. Values are tagged as in notebook_fixtures.py; `fault` is the class of the
exception where papermill's loader, or the notebook it would be written into, refuses the text.
"""

import json
from pathlib import Path

import yaml
from papermill.iorw import NoDatesSafeLoader

OUT = Path(__file__).parent.parent / "fixtures" / "notebook" / "yaml.json"

SCALARS = """
y n Y N yes no on off Yes NO True TRUE tRUE false FALSE On OFF oN truE null Null NULL nULL ~ None none nan NaN
0 1 -1 +1 -0 +0 00 007 010 -010 +017 08 09 018 0o17 0O17 0b101 -0b11 0B1 0b_1 0b2 0x1F 0xff -0xFf 0X1F 0x 0b 0x_ 0b_ 0_ 0_7 1_000 1__0 1_ _1
9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809 123456789012345678901234567890
0xffffffffffffffffffffffff 0777777777777777777777777777 1_000_000_000_000_000_000_000
1:30 190:20:30 -1:30 1:60 01:30 1:3:5 1:30.5 190:20:30.15 -1:30.25 1:30. 0:30 0:30.5 12:30:45 1:2: :1 1:99
1.0 1. .5 -.5 +.5 +1.5 -1.5 0.0 -0.0 1.5e3 1.5e+3 1.5E-3 1e3 1e+3 1E5 .5e+2 1.e+2 1_0.5 1._5 1.5_ ._5 . .. ... -. +. 1.2.3 1,5 1,000
.inf -.inf +.inf .Inf .INF .iNF inf -inf Infinity .nan .NaN .NAN -.nan .Nan 1.0e+999 -1.0e+999 1.0e-999 0.1 1.7976931348623157e+308 5.0e-324 123456789.123456789
2020-01-01 2020-1-1 2020-01-01T00:00:00Z 2020-01-01T10:11:12.5+01:00 20200101 12-30 1-2 10% $5 a.b a/b a\\b C:\\x http://x.y/z?q=1 -a --a -- a:b ::
<< = == !x ! !!str !!str\\ 1 a#b #b é 变量 😀 \\ud83d - ? : a: [ { ] } , & * | > % @ ` ' " '' "" 'a''b' "a\\tb" "\\u00e9" "\\x41" "\\q" 'it' "1" '1' "yes" '~' "~"
""".split()

SPACED = [
    "!!int 12", '!!int "12"', "!!int abc", "!!int 0x1f", "!!float 1", "!!float 1e3", '!!float "2.5"', "!!float x", "!!str 12", "!!str", "!!str yes",
    "!!bool yes", "!!bool 1", "!!bool y", "!!null x", "!!null", "!!timestamp 2020-01-01", "!!binary aGk=", "! 12", '! "12"', "! yes", "!local x",
    "!!python/object/apply:os.system [id]", "!!set {a, b}", "!!omap [a: 1]", "!!pairs [a: 1]", "!!seq [1]", "!!map {a: 1}", "!!str [1]", "!!seq {a: 1}",
    "!<tag:yaml.org,2002:int> 7", "2020-01-01 10:00:00", "a b", "a  b", "a # comment", "a #", '"a # b"', "'a: b'", "a: b", "- 1", "yes no",
    "[1, 2.5, yes, ~, a, '1']", "[]", "{}", "[a, [b, [c]], {d: e}]", "{a: 1, b: [2], c}", "{a, b: , c: ~}", "[a: 1]", "[a: 1, b: 2]", '{"a":1}', "{a:1}", "{a :1}",
    "[1,2]", "[1,2,]", "{a: 1,}", "[,]", "[1 2]", "[a,b]", "{1: a, no: b, ~: c, 1.5: d, '2': e, null: f}", "{1: a, '1': b}", "{[1]: 2}", "{{a: 1}: 2}", "{? a : b}",
    "{a: {b: {c: [1, {d: 2}]}}}", "{a: 1, a: 2}", "{b: 1, a: 2, b: 3}", "[<<]", "{<<: {a: 1}, b: 2}", "{a: 1, <<: {a: 2, b: 3}}", "{<<: [{a: 1, b: 1}, {a: 2, c: 2}], d: 4}",
    "{<<: 1}", "{<<: [1]}", "{'<<': {a: 1}}", "{=: 1}", "{a: =}", "[1, 2", "{a: 1", "[1, 2}", '"abc', "'abc", "a: b: c", "&a", "&a 1", "*a", "[&a 1, *a, *a]", "[&a [1, 2], *a]",
    "&a [*a]", "[&a 1, &a 2, *a]", "{&k key: 1, other: *k}", "{a: &m {x: 1}, b: {<<: *m, y: 2}}", "{a: &l [{x: 1}], b: {<<: *l}}", "|\n  a\n  b", "|-\n  a\n  b", "|+\n  a\n\n", ">\n  a\n  b\n\n  c",
    ">-\n  a\n  b", "|2\n    a\n   b", "|\n  1", ">-\n  yes", '"a\n  b"', "'a\n\n  b'", "a\n  b\n  c", '"a\\\n  b"', "%x", "@x", "`x`", "\tx", "x\t", "x\ty", '"\\x00"', '"\\e[0m"', '"\\N\\_\\L\\P"',
    '"\\/"', '"\\u4e2d\\U0001F600"', "0x1F # hex", "'0x1F'", "null # x", "-", "- a", "-\t1", "? a", "1 2", "1e3 4", "- - 1",
]

DOCUMENTS = [
    "", " ", "\n\n", "# only a comment", "---", "--- \n...", "null", "0", "false", "[]", "{}", "''", "0.0", "1", "text", "[1]", "yes", "a", "- a: 1",
    "a: 1", "a: 1\n", "a: 1\nb: 2\n", "---\na: 1\n", "---\na: 1\n...\n", "a: 1\n---\nb: 2\n", "--- {a: 1}", "%YAML 1.1\n---\na: 010\n", "%YAML 1.2\n---\na: yes\n", "%YAML 2.0\n---\na: yes\n",
    "%TAG ! tag:yaml.org,2002:\n---\na: !int '3'\n", "\ufeffa: 1\n", "a: 1\r\nb: two\r\n", "a: 1\rb: 2\r", "a:\n  - 1\n  - 2\n", "a:\n- 1\n- 2\nb: 3\n", "a:\n  b:\n    c: 1\n  d: 2\n", "a:\n b: 1\n  c: 2\n",
    "a: 1\n b: 2\n", "a:\n\tb: 1\n", "a:\tb\n", "a: b\t\n", "a :b\n", "a : b\n", "'a': 1\n\"b\": 2\n", "? a\n: 1\n? b\n", "? |\n  a\n: 1\n", "a: |\n  line 1\n  line 2\nb: >\n  folded\n  text\n", "a: |\n\n  x\n", "a: >+\n  x\n\nb: 1\n",
    "a: &x 1\nb: *x\n", "a: *x\n", "a: &x\n  y: 1\nb:\n  <<: *x\n  z: 2\n", "base: &b {a: 1, c: 3}\nderived:\n  a: 2\n  <<: *b\n", "a: &x [*x]\n", "a: 1\na: 2\n", "b: 1\na: 2\nb: 3\n",
    "alpha: 0.1\nname: 'Ada'\nrepeat: 2\nflag: off\nwhen: 2024-02-29\nlist:\n  - 1\n  - two\n  - 3.0\nmap: {k: v, n: ~}\n", "a: [1,\n  2,\n  3]\n", "a: {b: 1,\n  c: 2}\n", "a: [\n1\n]\n", "a: [\n  1,\n  2\n]\nb: 1\n", "a: {\n  b: 1\n}\n", "{\n\"a\": [\n1\n],\n\"b\": {\n\"c\": 2\n}\n}\n", "a: |\n  x", "a: |+\n  x", "a: |-\n  x", "a: [1, # one\n 2]\n", "a: 'multi\n  line'\n", "a: plain\n  multi\n  line\n",
    "a: 1 # one\n# two\nb: 2\n", "a: '#1'\n", "a: x#y\n", "url: http://example.org:80/x\n", "t: 12:30\n", "win: C:\\dir\n", "win: \"C:\\dir\"\n", "a: \"x\n", "a: [1\nb: 2\n", "a: {b: 1\n", "a: }\n", "a: ]\n", "a: 1\nb\n", "a: b: c\n", "- 1\na: 2\n", "a: 1\n- 2\n",
    "a: !!python/name:os.system x\n", "a: !x 1\n", "a: !!set {x}\n", "!!map {a: 1}\n", "!x {a: 1}\n", "a: \x07\n", "a: \u0085b\n", "a: \u2028b\n", "a: \ud7ff\n", "a: - 1\n", "a: -1\n", "a: -\n", "a:\n  -\n  - 1\n", "a:\n- - 1\n  - 2\n- 3\n", "a:\n  - b: 1\n    c: 2\n  - d\n",
    "a: >\n\n  x\n  y\n\n    z\n  w\n", "a: |1\n  x\n", "a: |0\n x\n", "a: | # comment\n  x\n", "a: |x\n  y\n", "a: @x\n", "a: `x`\n", "a: %x\n", "%x: 1\n", "a: 'it''s'\n", "a: 'x' y\n", "a: \"x\" y\n", "a: [x] y\n", "a: 1\n...\nb: 2\n", "a: 1\n...\n# end\n", "a: 1\n--- # again\n", "{a: 1, b: 2}\n", "{a: 1} x\n", '{"a": 1, "b": [true, null, "x"], "c": {"d": -1.5e+10}}', '{"a":"b"}', '{"e": 1e5}',
    "a: ? b\n", "? - 1\n: 2\n", "[a]: 1\n", "{a: 1}: 1\n", "~: 1\n", "1: 2\n", "yes: 1\n", "a: {1: x, true: y}\n", "<<: {a: 1}\nb: 2\n", "<<: [{a: 1}, {a: 2, b: 3}]\n", "a: \"\\ud83d\\ude00\"\n", "a: x" + "y" * 1100 + ": 1\n", "k" * 1000 + ": 1\n", "k" * 1030 + ": 1\n", "a: " + "[" * 20 + "]" * 20 + "\n",
]


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
            value.encode()
            return ["str", value]
        case list():
            return ["list", [tagged(it) for it in value]]
        case dict():
            entries = {}
            for key, it in value.items():
                entries[str(key)] = tagged(it)
            return ["dict", [[key, it] for key, it in entries.items()]]
        case _:
            raise TypeError(f"{type(value).__name__} has no literal")


def row(text):
    try:
        parameters = {}
        parameters.update(yaml.load(text, Loader=NoDatesSafeLoader) or {})
        return {"yaml": text, "value": tagged(parameters)}
    except Exception as fault:
        return {"yaml": text, "fault": type(fault).__name__}


texts = [f"x: {scalar}" for scalar in dict.fromkeys(SCALARS + SPACED)] + DOCUMENTS
rows = [row(text) for text in dict.fromkeys(texts)]
lines = ",\n".join(json.dumps(it, ensure_ascii=True) for it in rows)
OUT.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
print(OUT.name, len(rows), sum("fault" in it for it in rows))
