"""The background writer: the one thread that encodes spans and writes them. Started with the first span, a daemon, ended at exit."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from clew.model import attributes as names
from clew.record import state
from clew.record.guard import fault
from clew.wire import otlp_json

if TYPE_CHECKING:
    from clew.record.console import Console
    from clew.record.recorder import Recorder
    from clew.record.span import Span

LINE_SPANS: Final = 128
"""Most spans of one line. A line repeats the resource (400 bytes), and a torn line loses all its spans. Found by measuring: lines of usual
spans stay below 128 KiB, the size from which the C library maps fresh pages for each string; 256 spans cost half as much again each."""
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

    __slots__ = ("given", "instrument", "name", "parent_span_id", "rare", "span_id", "started", "status_code", "trace")
    ended = 0

    def __init__(self, span: Span) -> None:
        self.trace, self.instrument = span.trace, span.instrument
        self.span_id, self.parent_span_id = span.span_id, span.parent_span_id
        self.name, self.started, self.status_code = span.name, span.started, span.status_code
        self.given = dict(span.given)
        self.rare = span.rare.copy() if span.rare is not None else None


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
        self.sinks: list[Sink] = [*(_sinks(recorder) if sinks is None else sinks), *state.sinks]
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

    def write(self) -> None:
        """Write the spans that have ended, in the caller's thread; start records and the account are left to the writer's next turn."""
        if not self._turn.acquire(timeout=5.0):
            return
        try:
            while self.recorder.finished:
                self._write_finished()
        except Exception:
            fault("writing spans")
        finally:
            self._turn.release()

    def write_start(self, span: Span, resource: str) -> None:
        """Write the start record of a span that another process will end, under a resource of its own, in the caller's thread."""
        line = otlp_json.trace_line(resource, {span.instrument.scope: [self.encoder.span(span)]})
        with self._turn:
            for sink in self.sinks:
                sink.write(line, 1, starts=True)

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
            recorder.write_points()
            self._write_stats(everything)
        except Exception:
            fault("writing spans")
            return False
        finally:
            self._turn.release()
        return True

    def _write_starts(self, everything: bool) -> None:
        recorder = self.recorder
        started = recorder.started
        self._young += [started.popleft() for _ in range(len(started))]
        self._young = still = [span for span in self._young if not span.ended]
        if not still:
            return
        if everything:
            old, self._young = still, []
        else:
            old_enough = recorder.now() - round(recorder.settings.flush_s * 1e9)
            old = [span for span in still if span.started <= old_enough]
            self._young = [span for span in still if span.started > old_enough]
        for at in range(0, len(old), LINE_SPANS):
            self._write([_Open(span) for span in old[at : at + LINE_SPANS]], starts=True)

    def _write_finished(self) -> None:
        finished = self.recorder.finished
        # Nobody else takes from the left, so what is there now stays there.
        spans = [finished.popleft() for _ in range(min(len(finished), LINE_SPANS))]
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
        encoded = self.encoder.spans(spans)
        scope = spans[0].instrument.scope
        if (
            {span.instrument.scope for span in spans} == {scope}
            and set(map(type, encoded)) == {str}
            and sum(map(len, encoded)) <= LINE_CHARACTERS  # type: ignore[arg-type]
        ):
            self._send({scope: encoded}, len(spans), starts)  # type: ignore[dict-item]
        else:
            self._write_mixed(spans, encoded, starts)

    def _write_mixed(self, spans: Sequence[Any], encoded: list[str | Exception], starts: bool) -> None:
        """Spans of several scopes, too large for one line, or with one that cannot be encoded."""
        scopes: dict[str, list[str]] = {}
        count = characters = 0
        for span, item in zip(spans, encoded, strict=True):
            if isinstance(item, Exception):
                self._fault(item, starts)
                continue
            if characters + len(item) > LINE_CHARACTERS and count:
                self._send(scopes, count, starts)
                scopes, count, characters = {}, 0, 0
            scopes.setdefault(span.instrument.scope, []).append(item)
            count += 1
            characters += len(item)
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


def _sinks(recorder: Recorder) -> list[Sink]:
    settings = recorder.settings
    sinks: list[Sink] = []
    if settings.spool:
        from clew.record.spool import Spool

        sinks.append(Spool(settings.data_dir / "spool", settings.spool_bytes))
    if settings.endpoint:
        from clew.record.export import Exporter

        try:
            sinks.append(Exporter(settings.endpoint, settings.headers))
        except ValueError:
            fault("starting the exporter")
    return sinks
