"""What spans have said already, so that a caller who says it too does not count twice: the tokens of a persona, the gates of a stage."""

from __future__ import annotations

import os
import threading
import weakref
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from clew.model import attributes as names
from clew.record import state
from clew.record.instruments.personas import stage
from clew.record.limits import reading

if TYPE_CHECKING:
    from clew.record.span import Span


class Usage(NamedTuple):
    """Whose tokens they are."""

    persona: str
    request_model: str
    response_model: str


class Listener(Protocol):
    def call_ended(self, span_id: int, persona: str, tokens: int, booked: set[str]) -> None:
        """A model call of a persona has ended; its tokens are in the totals.

        :param booked: budgets that were charged with it already, by name
        """


class Carried:
    """A processor that keeps count. Totals only grow; who wants the news keeps what it has seen."""

    def __init__(self) -> None:
        self._tokens: Counter[Usage] = Counter()
        self._covered: set[int] = set()
        """Open spans with a descendant that carried usage: theirs repeats it."""
        self._listeners: weakref.WeakSet[Listener] = weakref.WeakSet()
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        """In a forked child too: a lock that another thread of the parent held would never be free, and open spans are the parent's."""
        self._lock = threading.Lock()
        self._covered.clear()

    def attend(self, listener: Listener) -> None:
        """Begin to keep count, once per process, and tell ``listener`` of each call."""
        with self._lock:
            self._listeners.add(listener)
            state.attach(self)

    def totals(self) -> Counter[Usage]:
        """Tokens that model calls have carried so far."""
        with self._lock:
            return Counter(self._tokens)

    def on_start(self, span: Span) -> None:
        here = stage.current.get() if span.kind == "gate" else None
        if here is not None:
            span.update({name: value for name, value in here.identity.items() if name not in span.attributes})

    def on_end(self, span: Span) -> None:
        if span.kind == "gate":
            here = stage.current.get()
            if here is not None:
                here.gate_ended(span.attributes.get(names.GATE_RESULT, "failed" if span.status_code == 2 else "passed") == "passed")
            return
        tokens = _tokens(span)
        if tokens is None and reading.kind(span) != "llm" and span.span_id not in self._covered:  # most spans
            return
        persona = reading.text(span, "persona") or ""
        with self._lock:
            covered = span.span_id in self._covered
            if covered or tokens is not None:
                self._covered.discard(span.span_id)
                if span.parent_span_id and not span.local_root:
                    self._covered.add(span.parent_span_id)
            carried = 0 if covered or tokens is None else tokens
            if persona and carried:
                self._tokens[Usage(persona, reading.text(span, "request_model") or "", reading.text(span, "response_model") or "")] += (
                    carried
                )
            listeners = list(self._listeners)
        booked: set[str] = set()
        for listener in listeners:
            listener.call_ended(span.span_id, persona, carried, booked)


def _tokens(span: Span) -> int | None:
    """Input and output, in any dialect; None when the span has no usage."""
    if span.instrument.kind is not None and names.INPUT_TOKENS not in span.given and names.OUTPUT_TOKENS not in span.given:
        return None
    used = reading.usage(span)
    return None if used is None else (used.input_tokens or 0) + (used.output_tokens or 0)


CARRIED: Final = Carried()
