"""What is recorded, sent to Langfuse too: as OTLP/JSON to its own endpoint, or through the ``langfuse`` package."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

from clew.connect.langfuse.mapping import attributes_of, langfuse_attributes, with_attributes
from clew.connect.langfuse.rest import authorization
from clew.errors import LangfuseError
from clew.record.export import Exporter
from clew.record.guard import fault
from clew.record.metrics.handles import metric

MOST_TRACES: Final = 10_000
"""Traces that are remembered: whose they are, and that they have been counted. The oldest are forgotten first."""
MOST_WAITING: Final = 10_000
"""Scores that wait to be sent."""
log: Final = logging.getLogger("clew")
SCORE_ID: Final = "clew.langfuse.score_id"
"""On a span that stands for a score: Langfuse has the score itself."""
TRACES_PATH: Final = "/api/public/otel"
_START: Final = b'{"resourceSpans'


class Transport(Protocol):
    """How spans get there."""

    def send(self, line: bytes, document: dict[str, Any]) -> None:
        """Take one request; never waits."""

    def flush(self, timeout: float) -> bool: ...

    def abandon(self) -> None:
        """In a forked child: let go of what belongs to the parent."""


class Whose:
    """Whose traces are, for as many as :data:`MOST_TRACES`."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def __getitem__(self, trace_id: str) -> Mapping[str, Any]:
        return self._known.get(trace_id, {})

    def note(self, trace_id: str, **known: Any) -> None:
        """Add what is known of a trace."""
        with self._lock:
            self._known[trace_id] = {**self._known.get(trace_id, {}), **known}
            while len(self._known) > MOST_TRACES:
                self._known.popitem(last=False)


class Created:
    """Counts each trace once."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, None] = OrderedDict()

    def count(self, document: Mapping[str, Any]) -> None:
        """These spans were taken."""
        try:
            for span in spans_of(document):
                trace_id = span["traceId"]
                if trace_id not in self._seen:
                    self._seen[trace_id] = None
                    metric("langfuse_trace_created_total").inc()
            while len(self._seen) > MOST_TRACES:
                self._seen.popitem(last=False)
        except Exception:
            fault("counting traces for Langfuse")


class Later:
    """Requests that are sent in a thread of their own, in their order: a slow Langfuse holds up neither the program nor its end. At most :data:`MOST_WAITING`
    wait; further ones are left out, and said."""

    def __init__(self) -> None:
        self._abandoned()

    def _abandoned(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[Callable[[], Any]] = deque()
        self._busy = False
        self._thread: threading.Thread | None = None

    def do(self, request: Callable[[], Any]) -> None:
        """Take one request; never waits."""
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                log.warning("clew: %d requests wait for Langfuse; a further one is left out", MOST_WAITING)
                return
            self._waiting.append(request)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="clew-langfuse", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until all have been sent or given up; False when ``timeout`` seconds were too short."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout)

    def abandon(self) -> None:
        """In a forked child: the thread stayed in the parent, and so does what waits."""
        self._abandoned()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._waiting))
                request, self._busy = self._waiting.popleft(), True
            try:
                request()
            except LangfuseError as error:
                log.warning("clew: %s", error)
            except Exception:
                fault("sending to Langfuse")


class LangfuseSink:
    """A sink of the recorder: what it writes has been redacted."""

    def __init__(self, transport: Transport, whose: Whose, later: Later, *, persona_as_user: bool) -> None:
        self.transport = transport
        self._later = later
        self._whose = whose
        self._persona_as_user = persona_as_user

    def write(self, line: bytes, spans: int, *, starts: bool) -> str | None:
        if not starts and line.startswith(_START):
            try:
                document = self._mapped(json.loads(line))
                if any(True for _ in spans_of(document)):
                    self.transport.send(json.dumps(document, separators=(",", ":")).encode(), document)
            except Exception:
                fault("sending to Langfuse")
        return None

    def flush(self, timeout: float) -> bool:
        """Wait until everything has been sent or given up; False when ``timeout`` seconds were too short."""
        deadline = time.monotonic() + timeout
        done = self.transport.flush(timeout)
        return self._later.flush(max(deadline - time.monotonic(), 0.0)) and done

    def close(self, timeout: float) -> None:
        self.flush(timeout)

    def abandon(self) -> None:
        self.transport.abandon()
        self._later.abandon()

    def _mapped(self, document: dict[str, Any]) -> dict[str, Any]:
        for resource in document["resourceSpans"]:
            for scoped in resource["scopeSpans"]:
                scoped["spans"] = [
                    with_attributes(span, langfuse_attributes(span, self._whose[span["traceId"]], persona_as_user=self._persona_as_user))
                    for span in scoped["spans"]
                    if SCORE_ID not in attributes_of(span)
                ]
        return document


def spans_of(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The spans of a request."""
    for resource in document.get("resourceSpans", ()):
        for scoped in resource["scopeSpans"]:
            yield from scoped["spans"]


class OtlpTransport:
    """Langfuse's OTLP endpoint, ``/api/public/otel/v1/traces``, with basic authentication; retries as the recorder's exporter does."""

    def __init__(self, host: str, public_key: str, secret_key: str) -> None:
        self._endpoint = host.rstrip("/") + TRACES_PATH
        self._headers = {"Authorization": authorization(public_key, secret_key), "x-langfuse-ingestion-version": "4"}
        self._exporter = self._new()

    def _new(self) -> _CountingExporter:
        return _CountingExporter(self._endpoint, self._headers)

    def send(self, line: bytes, document: dict[str, Any]) -> None:
        self._exporter.write(line, sum(1 for _ in spans_of(document)), starts=False)

    def flush(self, timeout: float) -> bool:
        return self._exporter.flush(timeout)

    def abandon(self) -> None:
        self._exporter.abandon()
        self._exporter = self._new()


class _CountingExporter(Exporter):
    def __init__(self, endpoint: str, headers: Mapping[str, str]) -> None:
        super().__init__(endpoint, headers)
        self._created = Created()

    def _post(self, line: bytes) -> tuple[str, float | None]:
        verdict = super()._post(line)
        if verdict[0] == "sent":
            self._created.count(json.loads(line))
        return verdict
