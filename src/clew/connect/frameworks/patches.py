"""Methods of other people's classes, and functions of their modules, replaced and put back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Patches:
    """Replaces methods and functions; :meth:`undo` puts back every one that nobody has replaced since."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, Any, Any]] = []

    def replace(self, kind: Any, name: str, make: Callable[[Any], Any]) -> None:
        """``make`` takes what is there and gives the one to put in its place."""
        before = vars(kind)[name]
        after = make(before)
        setattr(kind, name, after)
        self._done.append((kind, name, before, after))

    def undo(self) -> None:
        """Put back."""
        for kind, name, before, after in reversed(self._done):
            if vars(kind).get(name) is after:
                setattr(kind, name, before)
        self._done.clear()
