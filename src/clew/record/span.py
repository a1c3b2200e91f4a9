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
SPAN_BYTES: Final = 512
"""About the memory of a span without its texts."""
SMALL: Final = 2048
"""Spans up to this size are bounded by their number alone; only larger ones are counted in bytes as well."""

F = TypeVar("F", bound=Callable[..., Any])


class Rare:
    """What most spans do not have."""

    __slots__ = ("dropped_attributes", "dropped_events", "events", "links", "message")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.links: list[Link] = []
        self.message = ""
        self.dropped_attributes = 0
        self.dropped_events = 0

    def copy(self) -> Rare:
        other = Rare()
        other.events, other.links, other.message = list(self.events), list(self.links), self.message
        other.dropped_attributes, other.dropped_events = self.dropped_attributes, self.dropped_events
        return other


class Span:
    """One span. Made by an instrument (``clew.tool("search")``), started by ``with`` or :meth:`start`, ended by leaving it or :meth:`end`.

    Values are copied when they are set; later changes to them do not show. No method raises for what the caller gives it; only a
    processor's refusal comes through. What is set after the end is ignored.
    """

    __slots__ = (
        *("instrument", "name", "given", "size", "recorder", "trace", "span_id", "parent_span_id", "local_root"),
        *("started", "ended", "token", "status_code", "rare", "__weakref__"),
    )

    instrument: Instrument
    name: str
    given: dict[str, Any]
    """Attributes by keyword or name; :attr:`attributes` has them by name."""
    size: int
    recorder: Any
    token: Any
    trace: Trace
    span_id: int
    parent_span_id: int
    local_root: bool
    rare: Rare | None

    def __init__(self, instrument: Instrument, name: str | None, keywords: dict[str, Any]) -> None:
        """``keywords`` becomes the span's own: the caller must not keep it."""
        self.instrument = instrument
        self.started = 0
        self.ended = 0
        self.token = None
        self.status_code = 0
        self.rare = None
        try:
            self.name = name if type(name) is str and len(name) <= MAX_NAME else _name(instrument, name)
            # The usual case: few attributes, all scalars. Anything else takes the slower way. Keywords become attribute names only when
            # somebody looks, most often the writer.
            if instrument.taken.isdisjoint(keywords):
                held = SPAN_BYTES
                for value in keywords.values():
                    kind = type(value)
                    if kind is str:
                        held += len(value)
                    elif kind not in SCALARS:
                        break
                else:
                    if held <= state.value_bytes and len(keywords) <= MAX_ATTRIBUTES:
                        self.size = held
                        self.given = keywords
                        return
            self.size = SPAN_BYTES
            self.given = {}
            self._take(keywords)
        except Exception:
            self.size, self.given, self.name = SPAN_BYTES, {}, "span"
            fault("making a span")

    def _take(self, keywords: Mapping[str, Any]) -> None:
        methods = self.instrument.methods
        for key, value in keywords.items():
            if key not in methods:
                self.set(key, value)
            elif value is not None:
                getattr(self, methods[key])(value)

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

    def _begin(self, parent: Any = None, *, fresh: bool = False) -> bool:
        """Start; ``fresh`` says that there is no parent, so that the current span is none either. False: nothing is recorded."""
        recorder = state.recorder
        if recorder is None or recorder.idle:
            recorder = state.running()
            if recorder is None:
                return False
        if self.started:
            raise RuntimeError("a span can be started once; make a new one for each use")
        if parent is None and not fresh:
            if "opentelemetry.trace" in modules and not context.bridged:
                context.bridge()
            parent = context.current() or recorder.parent
        self.recorder = recorder
        self.span_id = recorder.bits(64) or 1
        if parent is None:
            trace = self.trace = recorder.new_trace()
            self.parent_span_id = 0
            self.local_root = True
        else:
            trace = self.trace = parent.trace
            self.parent_span_id = parent.span_id
            self.local_root = type(parent) is Remote
        self.started = recorder.now()
        if trace.sampled:
            recorder.started.append(self)
        elif self.local_root:
            recorder.sampling.open(self)
        if recorder.processors:
            recorder.on_start(self)
        return True

    def _finish(self, ended: int = 0) -> None:
        if self.ended or not self.started:
            return
        recorder = self.recorder
        self.ended = ended or recorder.now()
        if recorder.processors:
            recorder.on_end(self)
        if self.trace.sampled:
            recorder.finish(self)
        else:
            recorder.sampling.end(self)

    def __enter__(self) -> Self:
        try:
            # `_begin`, written out for the usual case, the child of a span that is recorded: calls are what costs.
            recorder = state.recorder
            if recorder is not None and not recorder.unusual and not self.started:
                if not context.bridged and "opentelemetry.trace" in modules:
                    context.bridge()
                parent = context.current()
                if parent is not None and type(parent) is not Remote and (trace := parent.trace).sampled:
                    self.recorder = recorder
                    self.trace = trace
                    self.parent_span_id = parent.span_id
                    self.span_id = recorder.bits(64) or 1
                    self.local_root = False
                    recorder.started.append(self)
                    self.token = context.attach(self)
                    self.started = recorder.now()
                    return self
            if self._begin():
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
                try:
                    context.detach(token)
                except (ValueError, RuntimeError):
                    context.leave(self, token)
            if error is not None:
                self._left_by(error)
            elif self.status_code == 0:
                self.status_code = OK
            if self.ended or not self.started:
                return
            recorder = self.recorder
            if recorder.unusual or not self.trace.sampled or self.size > SMALL or len(recorder.finished) >= recorder.high:
                self._finish()
            else:
                self.ended = recorder.now()
                recorder.finished.append(self)
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

        return decorate(function, type(self), self.instrument, self.name if self._named else None, self.given)

    # -- what is known of it ------------------------------------------------------------------------------------------------------

    @property
    def _named(self) -> bool:
        return self.name != (self.instrument.kind or "span")

    @property
    def attributes(self) -> dict[str, Any]:
        """Its attributes by name, without those that all spans of the kind have. Not to be changed; use :meth:`set`."""
        instrument = self.instrument
        values = {instrument.keywords.get(key, key): value for key, value in self.given.items()}
        if instrument.name_attribute is not None and instrument.name_attribute not in values:
            values[instrument.name_attribute] = self.name
        return values

    @property
    def status_message(self) -> str:
        return self.rare.message if self.rare is not None else ""

    @property
    def kind(self) -> str:
        """Its kind, one of ``clew.model.kinds.KINDS``; ``other`` for a span of a foreign instrumentation."""
        return self.instrument.kind or "other"

    @property
    def trace_id(self) -> int:
        """128 bits; 0 before the start."""
        return self.trace.trace_id if self.started else 0

    @property
    def traceparent(self) -> TraceParent | None:
        """The W3C trace context that names this span as the parent; None before its start."""
        if not self.started:
            return None
        return TraceParent(f"{self.trace.trace_id:032x}", f"{self.span_id:016x}", self.trace.sampled)

    # -- what is recorded ---------------------------------------------------------------------------------------------------------

    def set(self, name: str, value: Any) -> Self:
        """Set an attribute, by its name or by the kind's keyword for it. None changes nothing: unknown is not a value."""
        try:
            if self.ended:
                return self
            kind = type(value)
            if kind is str:
                if len(value) > state.value_bytes:
                    value = cut(value, state.value_bytes)
                self.size += len(value)
            elif kind not in SCALARS:
                value = snapshot(value, state.value_bytes)
                if value is None:
                    return self
                self.size += size(value)
            given = self.given
            name = self.instrument.shorter.get(name, name)
            if (name not in given and len(given) >= MAX_ATTRIBUTES) or self.size > state.span_bytes:
                self._rare().dropped_attributes += 1
                return self
            given[name if type(name) is str else text(name, MAX_NAME)] = value
        except Exception:
            fault("setting an attribute")
        return self

    def _rare(self) -> Rare:
        rare = self.rare
        if rare is None:
            rare = self.rare = Rare()
        return rare

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
            rare = self._rare()
            values = self._values(attributes)
            if len(rare.events) >= MAX_EVENTS or self.size > state.span_bytes:
                rare.dropped_events += 1
                return self
            when = time_unix_nano if time_unix_nano is not None else self.recorder.now() + self.trace.offset
            rare.events.append(Event(text(name, MAX_NAME), when, values))
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
        links = self._rare().links
        if len(links) < MAX_EVENTS:
            links.append(Link(trace_id, span_id, self._values(attributes), trace_state))

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
                self._rare().message = text(reason)
                self.set(names.ERROR_TYPE, error_type(reason))
                self.event(names.EXCEPTION_EVENT, describe(reason))
            else:
                self._rare().message = text(reason)
                if names.ERROR_TYPE not in self.given:
                    self.set(names.ERROR_TYPE, "_OTHER")  # OpenTelemetry's word for an error without a class
        except Exception:
            fault("recording a failure")
        return self


def _name(instrument: Instrument, name: object) -> str:
    return instrument.kind or "span" if name is None else cut(text(name, MAX_NAME), MAX_NAME)
