"""The bridge to OpenTelemetry: a ``TracerProvider`` that feeds our recorder, and OpenTelemetry's context as the truth about what is current.

Loaded when a program has loaded ``opentelemetry.trace`` itself, or asks for the provider. Spans made through the OpenTelemetry API and by
our instruments then nest in each other both ways, whoever provides the tracer: a span of a foreign SDK becomes the parent of ours by its
ids, and ours the parent of its.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final

from clew.errors import MissingExtra
from clew.record import labels, state
from clew.record.context import Remote, Trace, context, own
from clew.record.errors import describe
from clew.record.guard import fault
from clew.record.instrument import Instrument
from clew.record.limits import pending
from clew.record.processor import Refused
from clew.record.span import ERROR, MAX_NAME, OK, Span
from clew.record.values import text
from clew.wire import otlp_json

try:
    from opentelemetry import context as otel_context
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
    from opentelemetry.util._decorator import _agnosticcontextmanager
except ImportError:
    raise MissingExtra("clew.tracer_provider", "opentelemetry-api", "otel") from None

# The key under which OpenTelemetry keeps the current span; made anew in each process.
_KEY: Final = next(iter(trace.set_span_in_context(trace.INVALID_SPAN, Context())))

_new: Final = object.__new__
# Restores what was current.
detach: Callable[[Any], Any]
_get: Callable[[], Any]
_set: Callable[[Any], Any]
_variable = getattr(getattr(otel_context, "_RUNTIME_CONTEXT", None), "_current_context", None)
if isinstance(_variable, ContextVar):  # the default runtime: its operations without two calls in between
    _get, _set, detach = _variable.get, _variable.set, _variable.reset
else:
    _get, _set, detach = otel_context.get_current, otel_context.attach, otel_context.detach


def current() -> Any:
    """The current span of ours, a ``Remote`` for a foreign one, or None."""
    found = _get().get(_KEY)
    if type(found) is BridgeSpan or type(found) is TracerSpan:
        return found.span
    if found is None:
        return own.get()  # what was current before OpenTelemetry was loaded
    return remote_of(found)


def remote_of(span: Any) -> Remote | None:
    """The parent that a foreign span is; None when it is invalid."""
    found: SpanContext = span.get_span_context()
    if not found.is_valid:
        return None
    recorder = state.recorder
    offset = recorder.offset if recorder is not None else 0
    return Remote(Trace(found.trace_id, found.trace_flags.sampled, offset, found.trace_state.to_header()), found.span_id)


def make_current(span: Any) -> Any:
    """Make a span, a ``Remote`` or nothing (None) current; returns a token."""
    shown: Any
    if span is None:
        shown = trace.INVALID_SPAN
    elif type(span) is Remote:
        shown = trace.NonRecordingSpan(_span_context(span, is_remote=True))
    else:
        shown = _new(BridgeSpan)  # without the call of __init__: 50 ns of a span's three microseconds
        shown.span = span
    return _set(Context({**_get(), _KEY: shown}))


def _span_context(span: Any, *, is_remote: bool) -> SpanContext:
    header = span.trace.state
    return SpanContext(
        trace_id=span.trace.trace_id,
        span_id=span.span_id,
        is_remote=is_remote,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if span.trace.sampled else TraceFlags.DEFAULT),
        trace_state=TraceState.from_header([header]) if header else None,
    )


class BridgeSpan(trace.Span):
    """A span of ours as the OpenTelemetry API knows spans."""

    __slots__ = ("span",)

    def __init__(self, span: Span) -> None:
        self.span = span

    def get_span_context(self) -> SpanContext:
        return _span_context(self.span, is_remote=False)

    def is_recording(self) -> bool:
        return self.span.started != 0 and self.span.ended == 0

    def end(self, end_time: int | None = None) -> None:
        try:
            self.span._finish(0 if end_time is None else end_time - self.span.trace.offset)
        except Exception:
            fault("ending a span")

    def set_attribute(self, key: str, value: Any) -> None:
        self.span.set(key, value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self.span.update(attributes)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        self.span.event(name, attributes, time_unix_nano=timestamp)

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        try:
            if context is not None and context.is_valid:
                self.span._link(context.trace_id, context.span_id, attributes, context.trace_state.to_header())
        except Exception:
            fault("linking a span")

    def update_name(self, name: str) -> None:
        if not self.span.ended:
            self.span.name = text(name, MAX_NAME)

    def set_status(self, status: Any, description: str | None = None) -> None:
        # OpenTelemetry, "Set Status": OK is final, unset is ignored, a description belongs to an error.
        try:
            span = self.span
            if isinstance(status, Status):
                code, description = status.status_code, status.description
            else:
                code = status
            if span.ended or span.status_code == OK or code is StatusCode.UNSET:
                return
            if code is StatusCode.OK:
                span.status_code = OK
                if span.rare is not None:
                    span.rare.message = ""
            else:
                span.status_code = ERROR
                if description:
                    span._rare().message = text(description)
        except Exception:
            fault("setting a status")

    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        try:
            values = {**describe(exception), **(attributes or {})}
            self.span.event("exception", values, time_unix_nano=timestamp)
        except Exception:
            fault("recording an exception")


class TracerSpan(BridgeSpan):
    """A span that was made through the API, with what its maker wants of exceptions."""

    __slots__ = ("_record_exception", "_set_status_on_exception")

    def __init__(self, span: Span, record_exception: bool, set_status_on_exception: bool) -> None:
        self.span = span
        self._record_exception = record_exception
        self._set_status_on_exception = set_status_on_exception

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace_back: Any) -> None:
        if isinstance(error, Exception) and self.is_recording():
            if self._record_exception:
                self.record_exception(error)
            if self._set_status_on_exception:
                self.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {text(error)}"))
        self.end()


class BridgeTracer(trace.Tracer):
    """One instrumentation's tracer; ``scope`` is its name, version and schema as JSON."""

    def __init__(self, scope: str, name: str = "") -> None:
        self._name = name
        self._instruments = {kind: Instrument(None, otlp_kind=kind.value + 1, scope=scope) for kind in SpanKind}

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        links: Sequence[trace.Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace.Span:
        given = dict(attributes) if attributes else {}
        if labels.current():
            given |= labels.attributes(given)
        span = Span(self._instruments[kind], name, given)
        parent = _parent(context)
        try:
            if not span._begin(parent, fresh=parent is None):  # recording is off: pass on the parent, as the API does without an SDK
                return trace.NonRecordingSpan(trace.get_current_span(context).get_span_context())
            if start_time is not None:
                span.started = start_time - span.trace.offset
            pending.keep(None)
            made = TracerSpan(span, record_exception, set_status_on_exception)
            for link in links or ():
                made.add_link(link.context, link.attributes)
            return made
        except Refused as refusal:
            if self._name not in pending.guarded:
                raise
            pending.keep(refusal)
            return trace.INVALID_SPAN
        except Exception:
            fault("starting a span")
            return trace.INVALID_SPAN

    @_agnosticcontextmanager
    def start_as_current_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        links: Sequence[trace.Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Iterator[trace.Span]:
        span = self.start_span(name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception)
        with trace.use_span(
            span, end_on_exit=end_on_exit, record_exception=record_exception, set_status_on_exception=set_status_on_exception
        ) as used:
            yield used


def _parent(otel: Context | None) -> Any:
    """The parent that a context names; the current one where none is given."""
    if not context.bridged:
        context.bridge()
    if otel is None:
        return current()
    found = otel.get(_KEY)
    if found is None:
        return None
    return found.span if isinstance(found, BridgeSpan) else remote_of(found)


class BridgeTracerProvider(trace.TracerProvider):
    """Feeds the recorder of this process, whichever that is at the time of a span."""

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> trace.Tracer:
        scope = otlp_json.scope(instrumenting_module_name or "", instrumenting_library_version or "", attributes, schema_url or "")
        return BridgeTracer(scope, instrumenting_module_name or "")

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """As the SDK's provider."""
        recorder = state.recorder
        return True if recorder is None else recorder.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Flushes; the recorder goes on, for it is not the provider's alone."""
        self.force_flush()


_provider: Final = BridgeTracerProvider()


def provider() -> BridgeTracerProvider:
    """The provider of this process."""
    return _provider


def install() -> None:
    """Make it OpenTelemetry's global provider. OpenTelemetry keeps the first one that is set, and logs when it refuses another."""
    trace.set_tracer_provider(_provider)
