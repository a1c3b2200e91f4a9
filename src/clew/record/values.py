"""Turns any value into one that can be recorded, when it is set: scalars stay, sequences of scalars become tuples, deeper values one JSON
text (``snapshots.py``)."""

from __future__ import annotations

from typing import Any, Final

SCALARS: Final = frozenset({str, int, float, bool})
MAX_ARRAY: Final = 1_000
"""Longest sequence that is recorded as an array; longer ones become JSON text."""

Value = str | int | float | bool | tuple[str | int | float | bool, ...]


def cut(text: str, limit: int) -> str:
    """``text``, or its first ``limit`` characters and a note of its length."""
    return text if len(text) <= limit else f"{text[:limit]}… [cut: {len(text)} characters]"


def snapshot(value: Any, limit: int) -> Value | None:
    """What is recorded of ``value``; None when there is nothing to record.

    :param limit: most characters of the result, save the note of a cut
    """
    if value is None:
        return None
    kind = type(value)
    if kind is str:
        return cut(value, limit)
    if kind in SCALARS:
        return value  # type: ignore[no-any-return]
    if kind in (list, tuple) and 0 < len(value) <= MAX_ARRAY and SCALARS.issuperset(map(type, value)):
        items = tuple(value)
        if size(items) <= limit:
            return items
    from clew.record.snapshots import deep  # loads decimal, uuid and their like: not on `import clew`

    return deep(value, limit)


def size(value: Value) -> int:
    """About as many bytes as ``value`` holds in memory."""
    if type(value) is str:
        return len(value)
    if type(value) is tuple:
        return sum([len(item) if type(item) is str else 8 for item in value])
    return 8


def text(value: object, limit: int = 4096) -> str:
    """``str(value)``, bounded, whatever ``__str__`` does."""
    try:
        return cut(str(value), limit)
    except Exception as error:
        return f"<{type_name(value)}: str() raised {type(error).__name__}>"


def type_name(value: object) -> str:
    """The name of a value's class."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
