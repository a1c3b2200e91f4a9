"""The background writer: the one thread that encodes spans and writes them. Started with the first span, a daemon, ended at exit."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

from clew.model import attributes as names
from clew.record.guard import fault
from clew.wire import otlp_json

if TYPE_CHECKING:
    from clew.record.console import Console
    from clew.record.recorder import Recorder
    from clew.record.span import Span

LINE_SPANS: Final = 256
"""Most spans of one line. A line repeats the resource (about 400 bytes), so more spans per line save little; a torn line loses them all."""
LINE_CHARACTERS: Final = 1 << 20
STATS_EVERY_NS: Final = 10_000_000_000


class Sink(Protocol):
    """Where lines go."""

    def write(self, line: bytes, spans: int, *, starts: bool) -> str | None:
        """Take one line with so many spans; ``starts`` says that they are start records. Returns why they were dropped, or None."""

    def close(self, timeout: float) -> None: ...

    def abandon(self) -> None:
        """In a forked child: let go of what belongs to the parent, without a trace."""


class _Open:
    """A start record: a span as known so far. A copy, for the span goes on changing in its own thread."""

    __slots__ = (
        *("trace_id", "span_id", "parent_span_id", "trace_state", "name", "otlp_kind", "start_unix_nano", "fixed", "attributes", "events"),
        *("links", "status_code", "status_message", "dropped_attributes", "dropped_events", "instrument"),
    )
    end_unix_nano = 0

    def __init__(self, span: Span) -> None:
        self.trace_id, self.span_id, self.parent_span_id = span.trace.trace_id, span.span_id, span.parent_span_id
        self.trace_state, self.name, self.otlp_kind = span.trace.state, span.name, span.otlp_kind
        self.start_unix_nano, self.fixed, self.instrument = span.start_unix_nano, span.fixed, span.instrument
        self.attributes = dict(span.attributes)
        self.events = list(span.events) if span.events else None
        self.links = list(span.links) if span.links else None
        self.status_code, self.status_message = span.status_code, span.status_message
        self.dropped_attributes, self.dropped_events = span.dropped_attributes, span.dropped_events


class Writer:
    """Writes what a recorder collects.

    :ivar taken: spans taken from the queue; each ends up in ``written`` or ``dropped``
    :ivar in_hand: those that are neither yet
    """

    def __init__(self, recorder: Recorder, sinks: Sequence[Sink] | None) -> None:
        settings = recorder.settings
        self.recorder = recorder
        self.encoder = otlp_json.Encoder(redact=settings.redact, capture=settings.capture)
        self.console: Console | None = None
        if settings.console:
            from clew.record.console import Console

            self.console = Console(redact=settings.redact)
        self.sinks: list[Sink] = list(_sinks(recorder) if sinks is None else sinks)
        self.taken = 0
        self.written = 0
        self.in_hand = 0
        self.dropped: Counter[str] = Counter()
        self._young: list[Span] = []
        self._stats_at = 0
        self._stats_of: tuple[int, ...] = ()
        # SimpleQueue.put may be called from a signal handler or a finaliser, at any moment; no other lock may.
        self._requests: queue.SimpleQueue[queue.SimpleQueue[bool] | None] = queue.SimpleQueue()
        self._woken = False
        self._turn = threading.RLock()
        self._thread: threading.Thread | None = None
        self._stopped = False

    # -- from any thread ----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="clew-writer", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Ask for a turn now."""
        if self._thread is None or self._stopped:
            if self._stopped:
                self._take_turn(everything=True)
        elif not self._woken:
            self._woken = True
            self._requests.put(None)

    def flush(self, timeout: float) -> bool:
        thread = self._thread
        if thread is None or self._stopped or not thread.is_alive() or thread is threading.current_thread():
            return self._take_turn(everything=True, timeout=timeout)
        reply: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._requests.put(reply)
        try:
            return reply.get(timeout=timeout)
        except queue.Empty:
            return False

    def close(self, timeout: float) -> bool:
        done = self.flush(timeout)
        self._stopped = True
        self._requests.put(None)
        for sink in self.sinks:
            try:
                sink.close(timeout)
            except Exception:
                fault("closing a sink")
        return done

    def abandon(self) -> None:
        self._stopped = True
        for sink in self.sinks:
            sink.abandon()

    def exported(self) -> tuple[int, int]:
        """Spans that the exporter sent, and those that it gave up."""
        sent = sum([getattr(sink, "sent", 0) for sink in self.sinks])
        return sent, sum([getattr(sink, "dropped", 0) for sink in self.sinks])

    # -- the thread ---------------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        pause = self.recorder.settings.flush_s
        while not self._stopped:
            reply = None
            with contextlib.suppress(queue.Empty):
                reply = self._requests.get(timeout=pause)
            if self._stopped and reply is None:
                return
            self._woken = False
            done = self._take_turn(everything=reply is not None)
            if reply is not None:
                reply.put(done)

    def _take_turn(self, *, everything: bool, timeout: float = 5.0) -> bool:
        """Write what waits. ``everything``: also start records of the youngest open spans, and the account."""
        if not self._turn.acquire(timeout=timeout):
            return False
        try:
            recorder = self.recorder
            recorder.offset = recorder.wall() - recorder.now()  # follow the wall clock: it is set, and the monotonic one may sleep
            self._write_starts(everything)
            while recorder.finished:
                self._write_finished()
            recorder.held = 0
            self._write_stats(everything)
        except Exception:
            fault("writing spans")
            return False
        finally:
            self._turn.release()
        return True

    def _write_starts(self, everything: bool) -> None:
        recorder = self.recorder
        self._young += _drain(recorder.started, len(recorder.started))
        if not self._young:
            return
        old_enough = recorder.now() - round(recorder.settings.flush_s * 1e9)
        still: list[Span] = []
        starts: list[_Open] = []
        for span in self._young:
            if span.ended:
                continue
            if everything or span.started <= old_enough:
                starts.append(_Open(span))
            else:
                still.append(span)
        self._young = still
        for at in range(0, len(starts), LINE_SPANS):
            self._write(starts[at : at + LINE_SPANS], starts=True)

    def _write_finished(self) -> None:
        finished = self.recorder.finished
        spans = _drain(finished, LINE_SPANS)
        self.in_hand = len(spans)
        self.taken += len(spans)
        try:
            if self.console is not None:
                for span in spans:
                    self.console.show(span)
            self._write(spans, starts=False)
        finally:
            unaccounted = self.taken - self.written - self.dropped.total()
            if unaccounted:
                self.dropped["encode"] += unaccounted
            self.in_hand = 0

    def _write(self, spans: Sequence[Any], *, starts: bool) -> None:
        if not self.sinks:
            if not starts:
                self.written += len(spans)
            return
        scopes: dict[str, list[str]] = {}
        count = characters = 0
        for span, encoded in zip(spans, self.encoder.spans(spans), strict=True):
            if isinstance(encoded, Exception):
                self._fault(encoded, starts)
                continue
            if characters + len(encoded) > LINE_CHARACTERS and count:
                self._send(scopes, count, starts)
                scopes, count, characters = {}, 0, 0
            scopes.setdefault(span.instrument.scope, []).append(encoded)
            count += 1
            characters += len(encoded)
        if count:
            self._send(scopes, count, starts)

    def _send(self, scopes: dict[str, list[str]], count: int, starts: bool) -> None:
        line = otlp_json.trace_line(self.recorder.resource, scopes)
        reasons = [sink.write(line, count, starts=starts) for sink in self.sinks]
        if starts:
            return
        if reasons[0] is None:
            self.written += count
        else:
            self.dropped[reasons[0]] += count

    def _fault(self, error: Exception, starts: bool) -> None:
        try:
            raise error
        except Exception:
            fault("encoding a span")
        if not starts:
            self.dropped["encode"] += 1

    def _write_stats(self, everything: bool) -> None:
        stats = self.recorder.stats()
        figures = (stats.emitted, stats.written, stats.sampled_out, sum(stats.dropped.values()))
        now = self.recorder.now()
        if figures == self._stats_of or not (everything or now - self._stats_at >= STATS_EVERY_NS):
            return
        self._stats_of, self._stats_at = figures, now
        values = {
            "clew.recorder.emitted": stats.emitted,
            "clew.recorder.written": stats.written,
            "clew.recorder.sampled_out": stats.sampled_out,
            **{f"clew.recorder.dropped.{reason}": count for reason, count in sorted(stats.dropped.items())},
        }
        record = otlp_json.log_record(names.RECORDER_STATS_EVENT, now + self.recorder.offset, values)
        line = otlp_json.log_line(self.recorder.resource, otlp_json.scope("clew"), record)
        for sink in self.sinks:
            sink.write(line, 0, starts=False)


def _drain(source: Any, most: int) -> list[Any]:
    """Up to ``most`` items from the left; the owner of the deque may append meanwhile, or let old ones fall out."""
    items: list[Any] = []
    try:
        for _ in islice(iter(int, 1), most):
            items.append(source.popleft())
    except IndexError:
        pass
    return items


def _sinks(recorder: Recorder) -> list[Sink]:
    settings = recorder.settings
    sinks: list[Sink] = []
    if settings.spool:
        from clew.record.spool import Spool

        sinks.append(Spool(settings.data_dir / "spool", settings.spool_bytes))
    if settings.endpoint:
        from clew.record.export import Exporter

        sinks.append(Exporter(settings.endpoint, settings.headers))
    return sinks
