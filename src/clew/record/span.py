"""A span: one object that is context manager, sync and async, and decorator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from clew.model import attributes as names
from clew.model.ids import TraceParent
from clew.model.kinds import STATUS_CODES
from clew.record import state
from clew.record.context import Remote, Trace, context, modules
from clew.record.errors import describe, error_type, is_failure
from clew.record.guard import fault
from clew.record.instrument import Instrument
from clew.record.processor import Refused
from clew.record.values import SCALARS, cut, size, snapshot, text
from clew.wire.otlp_json import Event, Link

OK: Final = STATUS_CODES["ok"]
ERROR: Final = STATUS_CODES["error"]

MAX_ATTRIBUTES: Final = 4096
"""Attributes of one span; OpenInference flattens long conversations to more than a thousand. Further ones are counted, not kept."""
MAX_EVENTS: Final = 1024
MAX_NAME: Final = 1024

F = TypeVar("F", bound=Callable[..., Any])


class Span:
    """One span. Made by an instrument (``clew.tool("search")``), started by ``with`` or :meth:`start`, ended by leaving it or :meth:`end`.

    Values are copied when they are set; later changes to them do not show. Every method but a processor's refusal is free of exceptions
    for the caller. What is set after the end is ignored.
    """

    __slots__ = (
        *("instrument", "name", "attributes", "size", "recorder", "trace", "span_id", "parent_span_id", "started", "ended", "token"),
        *("status_code", "status_message", "events", "links", "dropped_attributes", "dropped_events", "local_root", "__weakref__"),
    )

    instrument: Instrument
    name: str
    attributes: dict[str, Any]
    trace: Trace
    span_id: int
    parent_span_id: int
    local_root: bool
    events: list[Event] | None
    links: list[Link] | None

    def __init__(self, instrument: Instrument, name: str | None, keywords: Mapping[str, Any]) -> None:
        self.instrument = instrument
        self.recorder: Any = None
        self.started = 0
        self.ended = 0
        self.token: Any = None
        self.status_code = 0
        self.status_message = ""
        self.events = None
        self.links = None
        self.dropped_attributes = 0
        self.dropped_events = 0
        self.size = 256  # the span itself, about
        attributes: dict[str, Any] = {}
        self.attributes = attributes
        try:
            if name is None:
                self.name = instrument.kind or "span"
            else:
                self.name = name if name.__class__ is str and len(name) <= MAX_NAME else cut(text(name, MAX_NAME), MAX_NAME)
                if instrument.name_attribute is not None:
                    attributes[instrument.name_attribute] = self.name
            if keywords:
                if not instrument.methods.keys().isdisjoint(keywords) or len(keywords) > MAX_ATTRIBUTES:
                    self._take(keywords)
                    return
                aliases = instrument.keywords
                limit = state.value_bytes
                held = self.size
                for key, value in keywords.items():
                    kind = value.__class__
                    if kind is str:
                        if len(value) > limit:
                            value = cut(value, limit)
                        held += len(value)
                    elif kind not in SCALARS:
                        value = snapshot(value, limit)
                        if value is None:
                            continue
                        held += size(value)
                    attributes[aliases.get(key, key)] = value
                self.size = held
        except Exception:
            fault("making a span")
            if not hasattr(self, "name"):
                self.name = "span"

    def _take(self, keywords: Mapping[str, Any]) -> None:
        methods, aliases = self.instrument.methods, self.instrument.keywords
        for key, value in keywords.items():
            if key in methods:
                if value is not None:
                    getattr(self, methods[key])(value)
            else:
                self.set(aliases.get(key, key), value)

    # -- life ---------------------------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start the span without making it current; for a span whose end is elsewhere. Its parent is the current span."""
        try:
            self._begin()
        except Refused:
            raise
        except Exception:
            fault("starting a span")
        return self

    def end(self) -> None:
        """End the span. Ending twice changes nothing."""
        try:
            self._finish()
        except Exception:
            fault("ending a span")

    def _begin(self, parent: Any = None, *, fresh: bool = False) -> None:
        recorder = state.recorder
        if recorder is None or recorder.idle:
            recorder = state.running()
        if self.started or recorder is None:
            if self.started:
                raise RuntimeError("a span can be started once; make a new one for each use")
            return
        if parent is None and not fresh:
            if not context.bridged and "opentelemetry.trace" in modules:
                context.bridge()
            parent = context.current()
        self.recorder = recorder
        self.span_id = recorder.bits(64) or 1
        if parent is None:
            parent = recorder.parent
        if parent is None:
            self.trace = recorder.new_trace()
            self.parent_span_id = 0
            self.local_root = True
        else:
            self.trace = parent.trace
            self.parent_span_id = parent.span_id
            self.local_root = parent.__class__ is Remote
        self.started = recorder.now()
        if self.trace.sampled:
            recorder.started.append(self)
        elif self.local_root:
            recorder.sampling.open(self)
        if recorder.processors:
            recorder.on_start(self)

    def _finish(self, ended: int = 0) -> None:
        if self.ended or not self.started:
            return
        recorder = self.recorder
        self.ended = ended or recorder.now()
        if recorder.processors:
            recorder.on_end(self)
        if not self.trace.sampled:
            recorder.sampling.end(self)
            return
        recorder.held += self.size
        finished = recorder.finished
        if len(finished) < recorder.high and recorder.held < recorder.held_high:
            finished.append(self)
        else:
            recorder.pressure(self)

    def __enter__(self) -> Self:
        try:
            self._begin()
            if self.started:
                self.token = context.attach(self)
        except Refused:
            raise
        except Exception:
            fault("starting a span")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            token = self.token
            if token is not None:
                self.token = None
                try:  # noqa: SIM105  # suppress() costs 300 ns
                    context.detach(token)
                except (ValueError, RuntimeError):
                    # Left in another context than entered, as when the loop closes an abandoned generator: nothing to restore here.
                    pass
            if error is not None:
                self._left_by(error)
            elif self.status_code == 0:
                self.status_code = OK
            self._finish()
        except Exception:
            fault("ending a span")

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)

    def _left_by(self, error: BaseException) -> None:
        if is_failure(error):
            self.fail(error)
        elif not isinstance(error, GeneratorExit) and self.status_code == 0:
            self.status_code = OK

    def __call__(self, function: F) -> F:
        """Decorate a function, coroutine function, generator function or async generator function: each call is a span like this one."""
        from clew.record.decorator import decorate

        return decorate(function, type(self), self.instrument, self.name if self.named else None, self.attributes)

    # -- what is known of it ------------------------------------------------------------------------------------------------------

    @property
    def named(self) -> bool:
        return self.name != (self.instrument.kind or "span")

    @property
    def kind(self) -> str:
        """Its kind, one of ``clew.model.kinds.KINDS``; ``other`` for a span of a foreign instrumentation."""
        return self.instrument.kind or "other"

    @property
    def fixed(self) -> dict[str, Any]:
        return self.instrument.fixed if names.OPERATION not in self.attributes else self.instrument.bare

    @property
    def trace_id(self) -> int:
        """128 bits; 0 before the start."""
        return self.trace.trace_id if self.started else 0

    @property
    def trace_state(self) -> str:
        return self.trace.state

    @property
    def otlp_kind(self) -> int:
        return self.instrument.otlp_kind

    @property
    def start_unix_nano(self) -> int:
        return self.started + self.trace.offset

    @property
    def end_unix_nano(self) -> int:
        """Nanoseconds since 1970; 0 while the span is open."""
        return self.ended + self.trace.offset if self.ended else 0

    @property
    def traceparent(self) -> TraceParent | None:
        """The W3C trace context that names this span as the parent; None before its start."""
        if not self.started:
            return None
        return TraceParent(f"{self.trace.trace_id:032x}", f"{self.span_id:016x}", self.trace.sampled)

    # -- what is recorded ---------------------------------------------------------------------------------------------------------

    def set(self, name: str, value: Any) -> Self:
        """Set an attribute. None changes nothing: unknown is not a value."""
        try:
            if self.ended:
                return self
            kind = value.__class__
            if kind is str:
                if len(value) > state.value_bytes:
                    value = cut(value, state.value_bytes)
                self.size += len(value)
            elif kind not in SCALARS:
                value = snapshot(value, state.value_bytes)
                if value is None:
                    return self
                self.size += size(value)
            attributes = self.attributes
            if (len(attributes) >= MAX_ATTRIBUTES and name not in attributes) or self.size > state.span_bytes:
                self.dropped_attributes += 1
                return self
            attributes[name if name.__class__ is str else text(name, MAX_NAME)] = value
        except Exception:
            fault("setting an attribute")
        return self

    def update(self, values: Mapping[str, Any]) -> Self:
        """Set several attributes."""
        try:
            for name, value in values.items():
                self.set(name, value)
        except Exception:
            fault("setting attributes")
        return self

    def input(self, value: Any) -> Self:
        """What the span takes in; where it is recorded depends on the kind."""
        return self.set(self.instrument.input, value)

    def output(self, value: Any) -> Self:
        """What the span gives back; where it is recorded depends on the kind."""
        return self.set(self.instrument.output, value)

    def event(self, name: str, attributes: Mapping[str, Any] | None = None, *, time_unix_nano: int | None = None) -> Self:
        """Something that happened at one moment; now, unless a time is given."""
        try:
            if self.ended or not self.started:
                return self
            events = self.events
            if events is None:
                events = self.events = []
            values = self._values(attributes)
            if len(events) >= MAX_EVENTS or self.size > state.span_bytes:
                self.dropped_events += 1
                return self
            when = time_unix_nano if time_unix_nano is not None else self.recorder.now() + self.trace.offset
            events.append(Event(text(name, MAX_NAME), when, values))
        except Exception:
            fault("recording an event")
        return self

    def link(self, target: Span | TraceParent | str, attributes: Mapping[str, Any] | None = None) -> Self:
        """Point at another span: a Span, a TraceParent, or the text of a ``traceparent``. What names no span is ignored."""
        try:
            if isinstance(target, str):
                from clew.model.ids import parse_traceparent

                parsed = parse_traceparent(target)
            else:
                parsed = target.traceparent if isinstance(target, Span) else target
            if parsed is not None:
                self._link(int(parsed.trace_id, 16), int(parsed.span_id, 16), attributes)
        except Exception:
            fault("linking a span")
        return self

    def _link(self, trace_id: int, span_id: int, attributes: Mapping[str, Any] | None = None, trace_state: str = "") -> None:
        if self.ended:
            return
        if self.links is None:
            self.links = []
        if len(self.links) < MAX_EVENTS:
            self.links.append(Link(trace_id, span_id, self._values(attributes), trace_state))

    def _values(self, attributes: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if not attributes:
            return None
        values: dict[str, Any] = {}
        for name, value in attributes.items():
            taken = snapshot(value, state.value_bytes)
            if taken is not None and len(values) < MAX_ATTRIBUTES:
                values[text(name, MAX_NAME)] = taken
                self.size += size(taken)
        return values

    def fail(self, reason: BaseException | str) -> Self:
        """The span failed: status error, ``error.type``, and for an exception the ``exception`` event with its stack trace.

        Does not end the span; what was set before stays.
        """
        try:
            if self.ended:
                return self
            self.status_code = ERROR
            if isinstance(reason, BaseException):
                self.status_message = text(reason)
                self.set(names.ERROR_TYPE, error_type(reason))
                self.event(names.EXCEPTION_EVENT, describe(reason))
            else:
                self.status_message = text(reason)
                if names.ERROR_TYPE not in self.attributes:
                    self.set(names.ERROR_TYPE, "_OTHER")  # OpenTelemetry's word for an error without a class
        except Exception:
            fault("recording a failure")
        return self
