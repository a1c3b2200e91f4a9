"""What limits need to know of a span, ours or one made through OpenTelemetry's API in any dialect."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from clew.model import attributes as names
from clew.model.dialects import COLUMNS
from clew.model.kinds import Kind
from clew.model.reading import kind_of, number_of, value_of
from clew.model.usage import Usage

if TYPE_CHECKING:
    from clew.record.span import Span

MODELS: Final = frozenset({"llm", "embedding"})
"""Kinds of span that are a request to a model."""

_NAMES: Final = {column.name: column.keys[0] for column in COLUMNS} | {"stage": names.STAGE, "max_tokens": names.REQUEST_MAX_TOKENS}
_COUNTS: Final = tuple(column.name for column in COLUMNS if column.type == "count")
_CUT: Final = re.compile(r"… \[cut: (\d+) characters\]$")

USED_NOTHING: Final = frozenset({
    *("rate_limit", "APIConnectionError", "ConnectError", "ConnectTimeout", "ConnectionRefusedError", "AuthenticationError"),
    *("BadRequestError", "PermissionDeniedError", "NotFoundError", "UnprocessableEntityError", "gaierror"),
})  # fmt: skip
"""Classes of error after which a provider has charged nothing: it turned the request away, or never got it."""


def kind(span: Span) -> Kind:
    """Its kind; of a span of a foreign instrumentation as its attributes tell so far."""
    if span.instrument.kind is not None:
        return span.instrument.kind
    return kind_of(span.given)


def value(span: Span, column: str) -> Any:
    """What a span says in a column, under whichever of its names; None when it says nothing."""
    return value_of(span.given, _NAMES[column], span.instrument.shorter)


def text(span: Span, column: str) -> str | None:
    """The same as text; None when it is empty."""
    found = value(span, column)
    return None if found is None else str(found)


def number(span: Span, column: str) -> float | None:
    """The same as a number; None when it is none."""
    return number_of(span.given, _NAMES[column], span.instrument.shorter)


def usage(span: Span) -> Usage | None:
    """What the span says it used, inclusive; None when it says nothing."""
    counts = {name: int(found) for name in _COUNTS if (found := number(span, name)) is not None and found >= 0}
    if "input_tokens" not in counts and "output_tokens" not in counts:
        return None
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
