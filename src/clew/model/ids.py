"""Trace and span ids (W3C trace context): lower-case hex text of 32 and 16 digits."""

from __future__ import annotations

import re
from typing import NamedTuple

_TRACEPARENT = re.compile(r"\s*([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\s*", re.ASCII)


class TraceParent(NamedTuple):
    """What one process tells another of the span it is in."""

    trace_id: str
    span_id: str
    sampled: bool

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def parse_traceparent(text: str | None) -> TraceParent | None:
    """The parent that a ``traceparent`` header or variable names, or None when it names none (W3C: what cannot be parsed is ignored)."""
    match = _TRACEPARENT.fullmatch(text or "")
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest) or int(trace_id, 16) == 0 or int(span_id, 16) == 0:
        return None
    return TraceParent(trace_id, span_id, bool(int(flags, 16) & 1))
