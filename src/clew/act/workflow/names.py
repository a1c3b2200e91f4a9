"""The valid name that is nearest to a mistaken one, for messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST_NAMES = 12
"""Names that a message lists; more do not help."""
MOST_COMPARED = 2000
"""Names that one is compared with, some 10 ms; among more none is the nearest."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of ``known`` that was probably meant; None when nothing is close."""
    folded: dict[str, str] = {}
    for candidate in known:
        if len(folded) == MOST_COMPARED:
            return None
        folded.setdefault(candidate.lower(), candidate)
    found = difflib.get_close_matches(name[:200].lower(), folded, 1, 0.6)
    return folded[found[0]] if found else None


def hint(name: str, known: Iterable[str], what: str = "known") -> str:
    """The end of a message about an unknown name: the nearest one, else the list: ``known are a, b``; empty when there is none to name."""
    names = list(known)
    if found := nearest(name, names):
        return f"did you mean {found}?"
    return f"{what} are {listed(names)}" if len(names) > 1 else f"{what} is {names[0]}" if names else ""


def listed(names: Iterable[str]) -> str:
    """``a, b and 3 more``."""
    some = list(names)
    rest = len(some) - MOST_NAMES
    return ", ".join(some) if rest <= 0 else f"{', '.join(some[:MOST_NAMES])} and {rest} more"
