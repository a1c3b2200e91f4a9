"""A mistake in a workflow document, and where it is."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

Place: TypeAlias = tuple[str | int, ...]
"""Keys and list indexes that lead to a value: ``("nodes", 2, "params", "command")``."""

LONGEST_VALUE = 60
"""Characters of a value in a message."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake; as text, one line."""

    place: str
    """Such as ``nodes[2].params.command``; empty for the document as a whole."""
    message: str
    """What is wrong, with the value, and the next step."""
    line: int | None = None
    """Counted from 1; None where the document is not a text."""
    file: str | None = None
    """The sub-workflow's file that has the mistake; None for the document itself."""
    nearest: str | None = None
    """The valid name that was probably meant."""

    def __str__(self) -> str:
        where = " ".join(part for part in (self.file, self.place, f"(line {self.line})" if self.line else "") if part)
        return f"{where}: {self.message}" if where else self.message


_PLAIN = re.compile(r"[A-Za-z_$][\w$-]*", re.ASCII)


def written(place: Place) -> str:
    """A place as text: ``nodes[2].params.command``; a key that is no plain name in brackets and quotes."""
    text = ""
    for step in place:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{shown(step)}]"
    return on_one_line(text)


def shown(value: Any) -> str:
    """A value for a message: as JSON, shortened."""
    if isinstance(value, (dict, list)) and len(value) > LONGEST_VALUE:
        return f"a mapping of {len(value):,} keys" if isinstance(value, dict) else f"a list of {len(value):,} items"
    try:
        text = json.dumps(value[: 2 * LONGEST_VALUE] if isinstance(value, str) else value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        text = kind(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def on_one_line(text: str) -> str:
    """The text with the escapes of characters that cannot be printed."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def kind(value: Any) -> str:
    """What a value is, in the words of a document."""
    if value is None:
        return "nothing"
    for types, name in _KINDS:
        if isinstance(value, types):
            return name
    return type(value).__name__


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    (str, "a text"),
    (int, "a whole number"),
    (float, "a number"),
    (dict, "a mapping"),
    ((list, tuple), "a list"),
)
