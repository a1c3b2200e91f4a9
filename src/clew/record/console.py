"""The console: one readable line per span through stdlib logging, for when nothing else can be written.

The logger is ``clew.spans``, level INFO for what went well and WARNING for what failed. Where the program has set up no handler for it,
lines go to standard error.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Final

from clew.model import attributes as names
from clew.wire.redaction import redact_text

if TYPE_CHECKING:
    from clew.record.span import Span

log: Final = logging.getLogger("clew.spans")
_STATUS: Final = ("unset", "ok", "error")


class Console:
    """:param redact: mask secrets in names and error messages"""

    def __init__(self, *, redact: bool = True) -> None:
        self._redact = redact
        if not log.hasHandlers():
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
            log.addHandler(handler)
            log.setLevel(logging.INFO)

    def show(self, span: Span) -> None:
        """Log one ended span: ``llm chat 1.204 s ok gpt-4o 812 → 64 tokens``."""
        shown = line(span)
        log.log(logging.WARNING if span.status_code == 2 else logging.INFO, "%s", redact_text(shown) if self._redact else shown)


def line(span: Span) -> str:
    """The line of an ended span."""
    values = span.attributes
    parts = [span.kind, span.name, _duration(span.ended - span.started), _STATUS[span.status_code]]
    model = values.get(names.RESPONSE_MODEL) or values.get(names.REQUEST_MODEL)
    if model:
        parts.append(str(model))
    taken, given = values.get(names.INPUT_TOKENS), values.get(names.OUTPUT_TOKENS)
    if taken is not None or given is not None:
        parts.append(f"{'?' if taken is None else taken} → {'?' if given is None else given} tokens")
    if values.get(names.COST_USD) is not None:
        parts.append(f"${values[names.COST_USD]:.6f}")
    if span.status_message:
        parts.append(" ".join(span.status_message.split())[:500])
    parts.append(f"[{span.trace.trace_id:032x}/{span.span_id:016x}]")
    return " ".join(parts)


def _duration(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e9:.3f} s" if nanoseconds >= 10**9 else f"{nanoseconds / 1e6:.3f} ms"
