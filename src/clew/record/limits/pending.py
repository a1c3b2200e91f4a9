"""A refusal on its way past an instrumentation that lets nothing come out of the start of a span.

Such an instrumentation would log the refusal and make the call all the same. Its tracer therefore keeps the refusal here, and what guards the
call itself takes it up (``clew.connect.frameworks.guards``).
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from clew.errors import Refused

guarded: Final[set[str]] = set()
"""Names of tracers whose calls are guarded."""

_kept: Final[ContextVar[Refused | None]] = ContextVar("clew_refusal", default=None)


def keep(refusal: Refused | None) -> None:
    """For the call that is about to be made here."""
    _kept.set(refusal)


def take() -> Refused | None:
    """The refusal of the call that is about to be made here."""
    refusal = _kept.get()
    if refusal is not None:
        _kept.set(None)
    return refusal
