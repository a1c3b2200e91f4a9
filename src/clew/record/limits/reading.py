"""What limits need to know of a span, ours or one made through OpenTelemetry's API in any dialect."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from clew.errors import BudgetExceeded, LoopDetected, Refused
from clew.model import attributes as names
from clew.model.dialects import COLUMNS, KIND_MARKS, KIND_SOURCES, PARTS
from clew.model.kinds import Kind
from clew.model.usage import Usage

if TYPE_CHECKING:
    from clew.record.span import Span

MODELS: Final = frozenset({"llm", "embedding"})
"""Kinds of span that are a request to a model."""

_KEYS: Final = {column.name: column.keys for column in COLUMNS} | {"stage": (names.STAGE,), "max_tokens": (names.REQUEST_MAX_TOKENS,)}
_COUNTS: Final = tuple(column.name for column in COLUMNS if column.type == "count")
_CUT: Final = re.compile(r"… \[cut: (\d+) characters\]$")

REFUSALS: Final = frozenset({Refused.error_type, BudgetExceeded.error_type, LoopDetected.error_type})
"""Values of ``error.type`` on a span that a limit did not let start."""

USED_NOTHING: Final = frozenset({
    *("rate_limit", "APIConnectionError", "ConnectError", "ConnectTimeout", "ConnectionRefusedError", "AuthenticationError"),
    *("BadRequestError", "PermissionDeniedError", "NotFoundError", "UnprocessableEntityError", "gaierror"),
})  # fmt: skip
"""Classes of error after which a provider has charged nothing: it turned the request away, or never got it."""


def kind(span: Span) -> Kind:
    """Its kind; of a span of a foreign instrumentation as its attributes tell so far."""
    if span.instrument.kind is not None:
        return span.instrument.kind
    given = span.given
    for source in KIND_SOURCES:
        value = given.get(source.key)
        if value is not None and (found := source.values.get(str(value).lower())) is not None:
            return found
    return next((found for key, found in KIND_MARKS.items() if key in given), "other")


def value(span: Span, column: str) -> Any:
    """What a span says under the first key of a column that it has; None when it says nothing."""
    given, shorter = span.given, span.instrument.shorter
    for key in _KEYS[column]:
        found = given.get(shorter.get(key, key))
        if found is not None:
            return found
    return None


def text(span: Span, column: str) -> str | None:
    """The same as text; None when it is empty."""
    found = value(span, column)
    return str(found) if found is not None and found != "" else None


def number(span: Span, column: str) -> float | None:
    """The same as a number; None when it is none."""
    try:
        found = value(span, column)
        return None if found is None else float(found)
    except (TypeError, ValueError):
        return None


def usage(span: Span) -> Usage | None:
    """What the span says it used, inclusive; None when it says nothing."""
    counts = {name: int(found) for name in _COUNTS if (found := number(span, name)) is not None and found >= 0}
    if "input_tokens" not in counts and "output_tokens" not in counts:
        return None
    for whole, parts in PARTS.items():
        inside = sum(counts.get(part, 0) for part in parts)
        if whole in counts and inside > counts[whole]:  # a sender that counts the parts apart
            counts[whole] += inside
    return Usage(**counts)


def sent_bytes(span: Span) -> int:
    """About the bytes of what is sent to the model, as far as it is known at the start."""
    if span.instrument.kind is None:
        return sum(_bytes(found) for found in span.given.values() if isinstance(found, (str, tuple)))
    content = (names.INPUT_MESSAGES, names.SYSTEM_INSTRUCTIONS, names.TOOL_DEFINITIONS, span.instrument.input)
    return sum(_bytes(span.given[key]) for key in dict.fromkeys(content) if key in span.given)


def _bytes(found: Any) -> int:
    if isinstance(found, tuple):
        return sum(map(_bytes, found))
    if not isinstance(found, str):
        return 8
    cut = _CUT.search(found[-60:])
    return int(cut[1]) if cut else len(found) if found.isascii() else len(found.encode(errors="replace"))
