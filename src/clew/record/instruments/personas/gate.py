"""The gate of a stage, told from outside or found by the stage itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clew.model import attributes as names
from clew.record.instruments import table
from clew.record.span import Span

UNRAISED = "nothing raised"
"""Name of the gate that a stage finds by itself."""
TOLD = "quality gate"
"""Name of the gate that a caller tells."""


def record_gate(identity: Mapping[str, str], *, passed: bool, name: str = UNRAISED, reason: str = "", under: Any = None) -> None:
    """A gate span. It stops nothing: what it says has happened.

    :param identity: attributes of the stage that it is counted for
    :param under: span that it belongs to; None: the current one
    """
    values: dict[str, Any] = {**identity, names.GATE_RESULT: "passed" if passed else "failed", names.GATE_REQUIRED: False}
    if reason:
        values[names.GATE_REASON] = reason
    span = Span(table.GATE, name, values)
    span._begin(under if isinstance(under, Span) and under.started else None)
    span.status_code = 1
    span.end()
