"""What the recorder knows about a sort of span before it starts: one row per instrument, and one per OpenTelemetry tracer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clew.model import attributes as names
from clew.model.kinds import OPERATION_OF, Kind
from clew.wire import otlp_json

INTERNAL: Final = 1
CLIENT: Final = 3

OUR_SCOPE: Final = otlp_json.scope("clew")

COMMON: Final[Mapping[str, str]] = {
    "session": names.CONVERSATION_ID,
    "user": names.USER_ID,
    "agent": names.AGENT_NAME,
    "persona": names.PERSONA,
    "chatmode": names.CHATMODE,
    "stage": names.STAGE,
    "operation": names.OPERATION,
}
"""Keywords that every instrument understands, and the attributes they set. Any other keyword is an attribute of that very name."""


class Instrument:
    """One sort of span.

    :ivar kind: its kind, or None when only its attributes tell (spans of a foreign instrumentation)
    :ivar otlp_kind: OTLP's span kind
    :ivar name_attribute: attribute that carries the span's name too, or None
    :ivar input: attribute that ``span.input()`` sets; likewise ``output``
    :ivar keywords: keyword to attribute
    :ivar methods: keyword to the name of the span's method that takes its value
    :ivar taken: the keys of ``methods``
    :ivar shorter: attribute to keyword: what ``set()`` stores an attribute under, so that it replaces the keyword
    :ivar fixed: attributes that each of its spans has
    :ivar bare: the same without the operation, for a span that names another
    :ivar scope: instrumentation scope, as JSON
    """

    __slots__ = (
        "bare",
        "fixed",
        "input",
        "keywords",
        "kind",
        "methods",
        "name_attribute",
        "otlp_kind",
        "output",
        "scope",
        "shorter",
        "taken",
    )

    def __init__(
        self,
        kind: Kind | None,
        *,
        otlp_kind: int = INTERNAL,
        name_attribute: str | None = None,
        input: str = names.INPUT,
        output: str = names.OUTPUT,
        keywords: Mapping[str, str] | None = None,
        methods: Mapping[str, str] | None = None,
        scope: str | None = None,
    ) -> None:
        self.kind = kind
        self.otlp_kind = otlp_kind
        self.name_attribute = name_attribute
        self.input = input
        self.output = output
        self.keywords = {**COMMON, **(keywords or {})} if kind else {}  # a foreign instrumentation means what it says
        self.methods = {"input": "input", "output": "output", **(methods or {})} if kind else {}
        self.taken = frozenset(self.methods)
        self.shorter = {attribute: keyword for keyword, attribute in self.keywords.items()}
        self.bare: dict[str, Any] = {names.SPAN_KIND: kind} if kind else {}
        self.fixed = {**self.bare, names.OPERATION: OPERATION_OF[kind]} if kind in OPERATION_OF else self.bare
        self.scope = scope if scope is not None else OUR_SCOPE
