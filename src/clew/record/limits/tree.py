"""The spans that are open in this process, as a tree: what a span is inside of, and what went on below it."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from clew.cost.budgets.budget import Scope
from clew.model import attributes as names
from clew.record.limits import reading

if TYPE_CHECKING:
    from clew.record.span import Span

MOST_OPEN: Final = 65_536
"""Open spans that are known. Beyond it the oldest is taken for one that will never end."""

_COLUMN: Final[dict[Scope, str]] = {
    "workflow": "workflow",
    "stage": "stage",
    "agent": "agent",
    "persona": "persona",
    "model": "request_model",
    "session": "session_id",
    "user": "user_id",
}
_NAMED: Final = {names.AGENT_NAME: "agent", names.WORKFLOW_NAME: "workflow"}


class Frame:
    """An open span and its place.

    :ivar call: number of its reservation; None: it has none
    :ivar accounts: what it reserved in; ``expected``: tokens and USD, None where there is no price
    :ivar blocks: limits that hold for what is inside
    :ivar model_below: a model call ended or was made inside; ``usage_below``: one that said what it used
    :ivar guessed: tokens and USD that calls inside were booked with, for want of usage
    """

    __slots__ = (
        *("__weakref__", "accounts", "agents_above", "blocks", "call", "children", "expected", "guessed", "kind", "model_below", "parent"),
        *("span", "started", "state", "trace_id", "usage_below"),
    )

    def __init__(self, span: Span, parent: Frame | None) -> None:
        self.span = weakref.ref(span)
        self.started = span.started
        self.trace_id = span.trace.trace_id
        self.parent = parent
        self.kind = reading.kind(span)
        self.call: int | None = None
        self.accounts: Any = ()
        self.expected: tuple[float, float | None] | None = None
        self.blocks: tuple[Any, ...] = ()
        self.state: dict[int, Any] = {}
        self.children = 0
        self.agents_above: int = 0 if parent is None else parent.agents_above + (parent.kind == "agent")
        self.model_below = self.usage_below = False
        self.guessed = (0.0, 0.0)

    def path(self) -> Iterator[Frame]:
        """This frame and those around it, the nearest first."""
        frame: Frame | None = self
        while frame is not None:
            yield frame
            frame = frame.parent

    def own(self, scope: Scope) -> str | None:
        """What the span itself says of a scope."""
        if scope == "run":
            return f"{self.trace_id:032x}"
        span = self.span()
        if span is None:
            return None
        found = reading.text(span, _COLUMN[scope])
        if found is None and _NAMED.get(span.instrument.name_attribute or "") == scope:
            return span.name
        return found

    def values(self, scope: Scope) -> list[str]:
        """What the span is inside of. Of workflows inside each other every one counts; of all else the nearest."""
        found: list[str] = []
        for frame in [self] if scope in ("model", "run") else self.path():
            value = frame.own(scope)
            if value is not None and value not in found:
                found.append(value)
                if scope != "workflow":
                    break
        return found

    def opener(self, scope: Scope, value: str) -> Frame:
        """The outermost of the frames around that are of the scope's value."""
        return next((frame for frame in reversed(list(self.path())) if frame.own(scope) == value), self)

    @property
    def root(self) -> Frame:
        return next(frame for frame in self.path() if frame.parent is None)


class Tree:
    """Frames by span id. ``lost`` are those whose span was given up without an end."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[Frame, weakref.ref[Span]]] = {}
        self.lost: deque[Frame] = deque()

    def open(self, span: Span) -> Frame:
        """The frame of a span that starts."""
        parent = self._open.get(span.parent_span_id)
        frame = Frame(span, parent[0] if parent is not None and parent[0].trace_id == span.trace.trace_id else None)
        span_id, lost = span.span_id, self.lost
        open_ = self._open

        def gone(_: Any) -> None:
            if (found := open_.pop(span_id, None)) is not None:
                lost.append(found[0])

        open_[span_id] = frame, weakref.ref(span, gone)
        if len(open_) > MOST_OPEN:
            lost.append(open_.pop(next(iter(open_)))[0])
        return frame

    def find(self, span_id: int) -> Frame | None:
        found = self._open.get(span_id)
        return None if found is None else found[0]

    def close(self, span: Span) -> Frame | None:
        """The frame of a span that has ended; None when it began before limits were watched."""
        found = self._open.pop(span.span_id, None)
        return None if found is None else found[0]
