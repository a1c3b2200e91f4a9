"""Any value as JSON, for traces and results: what JSON does not have becomes a text that says what it was."""

from __future__ import annotations

import json
from typing import Any, Final

from clew.record.snapshots import deep

LONGEST: Final = 64 << 20
"""Characters of one value; longer ones are cut and say so."""


def encode(value: Any) -> str:
    """``value`` as compact JSON. Bytes become ``<n bytes>``, a cycle ``<cycle>``, an object its text; never raises."""
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError):  # keys that JSON does not have, NaN, a cycle, too deep
        return _strict(_slowly(value))


def plain(value: Any) -> Any:
    """``value`` as dicts, lists and scalars, with the same replacements."""
    return json.loads(encode(value))


def _leaf(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    return _slowly(value)


def _slowly(value: Any) -> Any:
    text = deep(value, LONGEST)
    if isinstance(text, str) and not isinstance(value, str) and text[:1] in ("{", "["):
        try:
            return json.loads(text)
        except ValueError:  # an object whose text only looks like JSON, or was cut
            return text
    return text


_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_leaf).encode
_strict: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
