"""Sending through the ``langfuse`` package: its exporter, with its batches, limits and retries. The spans that it gets have the ids, times and attributes of
those that were recorded."""

from __future__ import annotations

import contextlib
import threading
from typing import Any, Final

from langfuse import Langfuse
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from clew.connect.langfuse.mapping import attributes_of
from clew.connect.langfuse.sending import Created

_UNLIMITED: Final = SpanLimits(
    max_span_attributes=SpanLimits.UNSET,
    max_events=SpanLimits.UNSET,
    max_links=SpanLimits.UNSET,
    max_event_attributes=SpanLimits.UNSET,
    max_link_attributes=SpanLimits.UNSET,
)
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class _Given(IdGenerator):
    """Gives the ids that a span was recorded with."""

    trace_id = 0
    span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class PackageTransport:
    """A client of the package, with a tracer provider of its own."""

    def __init__(self, host: str, public_key: str, secret_key: str) -> None:
        self._ids = _Given()
        self._provider = TracerProvider(id_generator=self._ids, span_limits=_UNLIMITED, shutdown_on_exit=False)
        self._lock = threading.Lock()
        self._created = Created()
        self.client = Langfuse(
            public_key=public_key,
            secret_key=secret_key,
            base_url=host,
            tracer_provider=self._provider,
            should_export_span=lambda span: True,
        )

    def send(self, line: bytes, document: dict[str, Any]) -> None:
        with self._lock:
            for resource in document["resourceSpans"]:
                for scoped in resource["scopeSpans"]:
                    scope = scoped.get("scope", {})
                    tracer = self._provider.get_tracer(scope.get("name", ""), scope.get("version"))
                    for span in scoped["spans"]:
                        self._again(tracer, span)
        self._created.count(document)

    def _again(self, tracer: trace.Tracer, span: dict[str, Any]) -> None:
        self._ids.trace_id, self._ids.span_id = int(span["traceId"], 16), int(span["spanId"], 16)
        context = Context()
        if span.get("parentSpanId"):
            parent = SpanContext(self._ids.trace_id, int(span["parentSpanId"], 16), is_remote=True, trace_flags=_SAMPLED)
            context = trace.set_span_in_context(NonRecordingSpan(parent), context)
        links = [
            Link(SpanContext(int(link["traceId"], 16), int(link["spanId"], 16), True, _SAMPLED), attributes_of(link))
            for link in span.get("links", ())
        ]
        made = tracer.start_span(
            span["name"],
            context,
            SpanKind(max(int(span.get("kind", 1)) - 1, 0)),
            attributes_of(span),
            links,
            int(span["startTimeUnixNano"]),
        )
        for event in span.get("events", ()):
            made.add_event(event["name"], attributes_of(event), int(event["timeUnixNano"]))
        status = span.get("status") or {}
        if status.get("code"):
            made.set_status(Status(StatusCode(status["code"]), status.get("message") or None if status["code"] == 2 else None))
        made.end(int(span["endTimeUnixNano"]))

    def flush(self, timeout: float) -> bool:
        with contextlib.suppress(Exception):
            self._provider.force_flush(int(timeout * 1000))
            self.client.flush()
            return True
        return False

    def abandon(self) -> None:
        """The package starts its threads anew after a fork itself."""
