"""Cursors: where a page of a list ended, as a text that the next question gives back. They stay true while new records arrive."""

from __future__ import annotations

import base64
import binascii
from typing import Any, TypeVar, cast

import msgspec

from clew.errors import QueryError

T = TypeVar("T")

LONGEST = 4000
"""Characters of a cursor: a session's id is in one, and senders choose those."""


def write(*parts: int | str) -> str:
    """The cursor of a row: what the list is ordered by."""
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def read(text: str, kind: type[T]) -> T:
    """The parts of a cursor, as the tuple type ``kind``.

    :raises QueryError: the list did not give it
    """
    try:
        if len(text) > LONGEST:
            raise ValueError
        return cast(T, msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=cast(Any, kind)))
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise QueryError(f"{text[:80]!r} is no cursor of this list; give back the one that its last page had as next, or none") from None
