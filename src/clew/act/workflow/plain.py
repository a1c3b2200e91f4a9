"""Any value as JSON, for traces and results: what JSON does not have becomes a text that says what it was."""

from __future__ import annotations

import json
import math
from json.encoder import encode_basestring
from typing import Any, Final

from clew.record.snapshots import deep
from clew.record.values import text

LONGEST: Final = 64 << 20
"""Characters of one object's text; longer ones are cut and say so."""
DEEPEST: Final = 64
"""Mappings and lists inside one another; readers recurse."""


quoted: Final = encode_basestring
"""A text as JSON, at C speed."""


def encode(value: Any) -> str:
    """``value`` as compact JSON. Bytes become ``<n bytes>``, a cycle ``<cycle>``, an object its text; never raises."""
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError):  # keys that JSON does not have, NaN, a cycle, too deep
        return _encode(_walked(value, set()))


def plain(value: Any) -> Any:
    """``value`` as dicts, lists and scalars, with the same replacements, and ``?`` for what has no UTF-8 (a lone surrogate)."""
    return json.loads(encode(value).encode("utf-8", "replace"))


def _walked(value: Any, around: set[int]) -> Any:
    """The same by one walk, which sees what the encoder refuses."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 4096 else _leaf(value)  # Python refuses to print longer ones
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if not isinstance(value, (dict, list, tuple)):
        return _leaf(value)
    if id(value) in around:
        return "<cycle>"
    if len(around) >= DEEPEST:
        return f"<cut: nested deeper than {DEEPEST}>"
    around.add(id(value))
    try:
        if isinstance(value, dict):
            return {key if isinstance(key, str) else text(key): _walked(item, around) for key, item in list(value.items())}
        return [_walked(item, around) for item in list(value)]
    finally:
        around.discard(id(value))


def _leaf(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    found = deep(value, LONGEST)
    if isinstance(found, str) and not isinstance(value, str) and found[:1] in ("{", "["):
        try:
            return json.loads(found)
        except ValueError:  # an object whose text only looks like JSON, or was cut
            return found
    return found


_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_leaf).encode
