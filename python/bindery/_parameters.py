"""Parameters on their way to the program: YAML that loses nothing.

What papermill takes is taken: None, bool, int of any size, float with NaN and the infinities, str, list and dict, and
what derives from them. A tuple arrives as a list, and numpy's scalars as Python's. For everything else (a date, a
Path, a Decimal, a set, bytes) papermill fails on the way, or puts a text in its place; here it is a TypeError that
names the parameter before anything has started.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

#: The longest key that YAML takes without a question mark before it is 1024 characters.
_LONGEST_SIMPLE_KEY = 128
_DEEPEST = 100


def to_yaml(parameters: Mapping[str, Any]) -> bytes:
    """The parameters as a YAML document in ASCII.

    Raises TypeError for a name that is no str and for a value that no notebook can be given.
    """
    if not isinstance(parameters, Mapping):
        raise TypeError(f"parameters are a dictionary of names and values, not a {type(parameters).__name__}")
    lines = []
    for name, value in parameters.items():
        if not isinstance(name, str):
            raise TypeError(f"the name of a parameter is a str: {name!r} is a {type(name).__name__}")
        lines.append(f"{_key(name)}: {_value(value, name, 0)}\n")
    return "".join(lines).encode("ascii") or b"{}\n"


def _value(value: Any, place: str, depth: int) -> str:
    if depth > _DEEPEST:
        raise TypeError(f"parameter {place} is nested more than {_DEEPEST} levels deep, or holds itself")
    value = _plain(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value, place)
    if isinstance(value, int):
        # An enumeration's number, not its name. Past 4300 digits Python writes none: a ValueError.
        return str(int(value))
    if isinstance(value, float):
        return _float(float(value))
    if isinstance(value, dict):
        pairs = (
            f"{_key(_name(key, place))}: {_value(item, f'{place}[{key!r}]', depth + 1)}" for key, item in value.items()
        )
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        items = (_value(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value))
        return "[" + ", ".join(items) + "]"
    raise TypeError(
        f"parameter {place} is a {type(value).__name__}, which cannot be written into a notebook: "
        "give a str, number, bool, None, list or dict, such as str(value) or list(value)"
    )


def _plain(value: Any) -> Any:
    """numpy's scalars as Python's; numpy is not imported for this."""
    if type(value).__module__.partition(".")[0] == "numpy" and getattr(value, "shape", None) == ():
        return value.item()
    return value


def _name(key: Any, place: str) -> str:
    """Keys become texts, as in papermill."""
    key = _plain(key)
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, (bool, int, float)):
        return str(key)
    raise TypeError(f"parameter {place} has a key that is a {type(key).__name__}: give a str")


def _float(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    text = repr(value)
    # YAML 1.1 wants a point in a float, and 1e+16 has none.
    if "." not in text:
        digits, exponent, power = text.partition("e")
        text = f"{digits}.0{exponent}{power}"
    return text


def _key(name: str) -> str:
    text = _text(name, "with a key")
    return text if len(text) <= _LONGEST_SIMPLE_KEY else f"? {text} "


def _text(value: str, place: str) -> str:
    characters = []
    # str's own iteration: an enumeration of texts is its value.
    for character in str.__str__(value):
        code = ord(character)
        if 0xD800 <= code <= 0xDFFF:
            raise TypeError(f"parameter {place} holds half of a surrogate pair, which no notebook can be written with")
        if character in '"\\':
            characters.append("\\" + character)
        elif 0x20 <= code < 0x7F:
            characters.append(character)
        elif code <= 0xFF:
            characters.append(f"\\x{code:02x}")
        elif code <= 0xFFFF:
            characters.append(f"\\u{code:04x}")
        else:
            characters.append(f"\\U{code:08x}")
    return '"' + "".join(characters) + '"'
