"""The seam for what must see spans as they happen: budgets, loop detection, metrics, a debugger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from clew.errors import Refused

if TYPE_CHECKING:
    from clew.record.span import Span

__all__ = ["Processor", "Refused"]


class Processor(Protocol):
    """Sees every span start and end; hand it to :func:`clew.init`.

    Called in the thread of the span. Any other exception than a refusal is logged and counted, and changes nothing.
    """

    def on_start(self, span: Span) -> None:
        """A span starts; its attributes are set. Raise :class:`clew.Refused` to forbid it: the caller gets the exception, the body does
        not run, and the refusal is recorded as a failed span."""

    def on_end(self, span: Span) -> None:
        """A span has ended; it can no longer be changed."""
