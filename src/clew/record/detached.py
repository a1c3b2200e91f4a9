"""Spans that one process starts and another ends: what the commands of a shell report, each a process of its own.

Between the two a few values are kept, by the caller, in a file. The start is a record at once, so that an open span is seen; it names no process of
the system but one of its own, so that it is still open when the command has ended (``clew.detached``). A span that nobody will end is given up:
it is then shown as lost, as after a crash.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clew.model import attributes as names
from clew.model.ids import TraceParent
from clew.model.kinds import Kind, Status
from clew.record import state
from clew.record.instruments import table
from clew.record.recorder import Recorder, resource
from clew.record.span import Span
from clew.wire import otlp_json


@dataclass(frozen=True, slots=True)
class Detached:
    """An open span, as it is kept from its start to its end.

    :ivar span_id: lower-case hex, as the other ids; ``parent_span_id`` is "" for a root
    :ivar process: the id under which it is open
    :ivar start_ns: nanoseconds since 1970
    :ivar attributes: by name or keyword, scalars
    """

    trace_id: str
    span_id: str
    parent_span_id: str
    sampled: bool
    process: str
    kind: Kind
    name: str
    start_ns: int
    attributes: Mapping[str, str | int | float | bool]

    @property
    def traceparent(self) -> TraceParent:
        """Names it as the parent of other spans, in any process."""
        return TraceParent(self.trace_id, self.span_id, self.sampled)


def new(kind: Kind, name: str, parent: TraceParent | None, /, **attributes: str | int | float | bool) -> Detached | None:
    """A span that starts now; nothing is written yet, so that the caller can keep it first. None while recording is off.

    :param parent: None begins a trace
    """
    recorder = state.running()
    if recorder is None:
        return None
    above = recorder.remote(parent)
    trace = above.trace if above is not None else recorder.new_trace()
    return Detached(
        f"{trace.trace_id:032x}",
        f"{recorder.bits(64) or 1:016x}",
        parent.span_id if parent is not None else "",
        trace.sampled,
        str(uuid.UUID(int=recorder.bits(128), version=4)),
        kind,
        name,
        recorder.wall(),
        attributes,
    )


def start(kept: Detached) -> None:
    """Writes the start of a span. It is with the operating system when this returns."""
    recorder = state.running()
    if recorder is not None:
        _write_start(recorder, kept, {names.DETACHED: True})


def end(
    kept: Detached, attributes: Mapping[str, Any] | None = None, *, status: Status = "ok", message: str = "", end_ns: int | None = None
) -> None:
    """Ends a span, now unless a time is given; it is written when this returns. Ending it again replaces what was written.

    :param attributes: further ones, by name
    :param message: what went wrong, for a status of ``error``
    """
    recorder = state.running()
    if recorder is None:
        return
    span = _span(recorder, kept)
    span.update(attributes or {})
    if status == "error":
        span.fail(message)
    elif status == "ok":
        span.status_code = 1
    ended_ns = recorder.wall() if end_ns is None else end_ns
    span._finish(max(ended_ns - span.trace.offset, span.started))
    recorder.flush()


def give_up(kept: Detached) -> None:
    """Nobody will end the span: it is lost from now on, or rather when this process ends."""
    recorder = state.running()
    if recorder is not None:
        _write_start(recorder, kept, {})


def _write_start(recorder: Recorder, kept: Detached, more: Mapping[str, bool]) -> None:
    writer = recorder.writer
    if writer is not None and kept.sampled:
        known = resource(recorder.settings, kept.process)
        del known[names.PROCESS_PID]
        writer.write_start(_span(recorder, kept), otlp_json.resource({**known, **more}))


def _span(recorder: Recorder, kept: Detached) -> Span:
    remote = recorder.remote(kept.traceparent)
    assert remote is not None, "a parent that is given makes one"
    span = Span(table.BY_KIND[kept.kind], kept.name, dict(kept.attributes))
    span.recorder = recorder
    span.trace = remote.trace
    span.span_id = int(kept.span_id, 16)
    span.parent_span_id = int(kept.parent_span_id or "0", 16)
    span.local_root = True
    span.started = kept.start_ns - remote.trace.offset
    return span
