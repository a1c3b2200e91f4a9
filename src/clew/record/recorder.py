"""The recorder: takes finished spans from any thread, hands them to the background writer, and accounts for every one.

    emitted = written + sampled_out + dropped (by reason) + waiting

What waits is bounded in number (setting ``queue``) and in bytes (setting ``queue_bytes``).
"""

from __future__ import annotations

import os
import random
import socket
import sys
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clew import settings as table
from clew.cost.budgets import places
from clew.errors import MissingExtra, SettingError
from clew.model import attributes as names
from clew.model.ids import TraceParent, parse_traceparent
from clew.record import state
from clew.record.context import Remote, Trace
from clew.record.guard import fault, faults
from clew.record.processor import Processor, Refused
from clew.record.sampling import Sampling
from clew.record.span import SMALL
from clew.record.stats import FLUSH_TIMEOUT_S, Stats
from clew.wire import otlp_json

if TYPE_CHECKING:
    from clew.record.metrics.points import Points
    from clew.record.resources import OwnResources
    from clew.record.span import Span
    from clew.record.writer import Sink, Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The rows of the settings table that the recorder uses, read once."""

    data_dir: Path
    disabled: bool
    service: str | None
    capture: otlp_json.Capture
    redact: bool
    sample: float
    sample_errors: bool
    spool: bool
    spool_bytes: int
    endpoint: str | None
    headers: Mapping[str, str]
    console: bool
    queue: int
    queue_bytes: int
    flush_s: float
    value_bytes: int
    traceparent: str | None
    propagate: bool
    resources: bool
    resources_s: float
    budgets: Path | None
    budget_ledger: Path | None
    budget_failure: str
    budget_output_tokens: int

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Settings:
        """:raises SettingError: a value that cannot be used; :raises TypeError: a setting that does not exist."""
        known = {entry.name for entry in fields(cls)}
        unknown = given.keys() - known
        if unknown:
            raise TypeError(f"no such setting: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
        return cls(**{name: table.get(name, given.get(name)) for name in known})


class Recorder:
    """One per process. ``idle`` until the first span: no thread, no file.

    :param sinks: where encoded lines go; None: the spool and the exporter that the settings name
    :param now: monotonic nanoseconds
    :param wall: nanoseconds since 1970
    :param bits: random bits for ids
    :param threaded: write in a thread of its own; False: only in :meth:`flush`, by the caller
    """

    def __init__(
        self,
        settings: Settings,
        *,
        sinks: Sequence[Sink] | None = None,
        processors: Sequence[Processor] = (),
        now: Callable[[], int] = time.perf_counter_ns,
        wall: Callable[[], int] = time.time_ns,
        bits: Callable[[int], int] | None = None,
        threaded: bool = True,
    ) -> None:
        self.settings = settings
        self.processors: tuple[Processor, ...] = ()
        self.unusual = True
        """Spans take the general way: there are processors, or the writer does not run yet."""
        self.use([*processors, *state.attached])
        self.now = now
        self.wall = wall
        # A generator of our own: the program's seed must not repeat our ids, and our use must not shift its numbers.
        self.bits: Callable[[int], int] = bits or random.Random(int.from_bytes(os.urandom(16))).getrandbits
        self.offset = wall() - now()
        self.sampling = Sampling(self, settings.sample, settings.sample_errors)
        self.finished: deque[Span] = deque()
        self.started: deque[Span] = deque(maxlen=max(settings.queue, 1))
        """Spans started since the writer last looked; it writes a start record for those that stay open."""
        self.held = 0
        """About the bytes of the large spans in ``finished``. Threads may miss each other's additions; the writer sets it right."""
        self.high = max(settings.queue // 4, 1)
        self.held_high = max(settings.queue_bytes // 4, 1)
        self.idle = True
        self.closed = False
        self.refused: Counter[str] = Counter()
        self.instance_id = str(uuid.UUID(int=random.SystemRandom().getrandbits(128), version=4))
        self.resource = otlp_json.resource(resource(settings, self.instance_id))
        self.parent = self.remote(parse_traceparent(settings.traceparent))
        self._points: Points | None = None
        self._resources: OwnResources | None = None
        if settings.resources:
            from clew.record.resources import OwnResources

            self._resources = OwnResources(settings.resources_s)
        self._lock = threading.RLock()
        self._sinks = sinks
        self._threaded = threaded
        self.writer: Writer | None = None

    # -- traces -------------------------------------------------------------------------------------------------------------------

    def new_trace(self) -> Trace:
        """A trace that starts here."""
        trace_id = self.bits(128) or 1
        return Trace(trace_id, self.sampling.chooses(trace_id), self.offset)

    def remote(self, parent: TraceParent | None, trace_state: str = "") -> Remote | None:
        """A parent in another process, or None."""
        if parent is None:
            return None
        return Remote(Trace(int(parent.trace_id, 16), parent.sampled, self.offset, trace_state), int(parent.span_id, 16))

    # -- spans --------------------------------------------------------------------------------------------------------------------

    def finish(self, span: Span) -> None:
        """Hand over a span that has ended and is to be recorded; wakes the writer when much is waiting, drops when nothing more may wait."""
        limits, size = self.settings, span.size
        if len(self.finished) >= limits.queue or (self.held >= limits.queue_bytes and size > SMALL):
            with self._lock:
                self.refused["queue_full"] += 1
            return
        if size > SMALL:
            self.held += size
        self.finished.append(span)
        if self.writer is not None and (len(self.finished) >= self.high or self.held >= self.held_high):
            self.writer.wake()

    def on_start(self, span: Span) -> None:
        for processor in self.processors:
            try:
                processor.on_start(span)
            except Refused as refusal:
                span.fail(refusal)
                span.set(names.ERROR_TYPE, refusal.error_type)
                span.update(refusal.attributes)
                span._finish()
                raise
            except Exception:
                fault(f"{type(processor).__name__}.on_start")
        span.started = self.now()  # what processors took, or waited for, is not the span's own time

    def on_end(self, span: Span) -> None:
        for processor in self.processors:
            try:
                processor.on_end(span)
            except Exception:
                fault(f"{type(processor).__name__}.on_end")

    def use(self, processors: Sequence[Processor]) -> None:
        """See to it that each of these sees every span from now on."""
        for processor in processors:
            if not any(processor is other for other in self.processors):
                self.processors = (*self.processors, processor)
        self.unusual = self.unusual or bool(self.processors)

    def drop(self, processor: Processor) -> None:
        """It sees no further span."""
        self.processors = tuple([other for other in self.processors if other is not processor])
        self.unusual = self.idle or bool(self.processors)

    # -- measured points ----------------------------------------------------------------------------------------------------------

    @property
    def points(self) -> Points:
        """What calls have measured and is not written yet."""
        if self._points is None:
            from clew.record.metrics.points import Points

            with self._lock:
                self._points = self._points or Points(self.wall())
        return self._points

    def write_points(self) -> None:
        """Hand what has been measured to the sinks. Called by the writer, in its turn."""
        if self._points is not None and self.writer is not None:
            self._points.write(self.writer.sinks, self.resource, self.wall())
        if self._resources is not None and self.writer is not None:
            self._resources.write(self.writer.sinks, self.resource, self.wall(), last=self.closed)

    # -- life ---------------------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Start the writer. Called before the first span, again after a fork."""
        with self._lock:
            if not self.idle:
                return
            from clew.record.writer import Writer

            self.writer = Writer(self, self._sinks)
            if self._threaded:
                from clew.record import process

                process.attend_worker()
                self.writer.start()
            self.idle = False
            self.unusual = bool(self.processors)

    def flush(self, timeout: float = FLUSH_TIMEOUT_S) -> bool:
        """Write everything that has ended, and a start record for everything that is open.

        :returns: True when all of it has been written or counted as dropped within ``timeout`` seconds
        """
        writer = self.writer
        return True if writer is None else writer.flush(timeout)

    def write(self) -> None:
        """Write every span that has ended, in the caller's thread (some 25 microseconds): it then survives ``kill -9`` of this process. What
        cannot be written is counted, as ever."""
        writer = self.writer
        if writer is not None:
            writer.write()

    def close(self, timeout: float = FLUSH_TIMEOUT_S) -> bool:
        """Flush, give the exporter its time, and close the files. Later spans are written by the thread that ends them."""
        with self._lock:
            self.closed = True
            self.high = 0  # every further span wakes the writer, which then writes in the thread that calls
            writer = self.writer
        return True if writer is None else writer.close(timeout)

    def abandon(self) -> None:
        """In a forked child: this recorder belongs to the parent. Spans that it started are the parent's to write."""
        self.finished = deque(maxlen=0)
        self.started = deque(maxlen=0)
        self.high = self.held_high = sys.maxsize
        self.processors = ()
        self.sampling.keep_errors = False
        if self.writer is not None:
            self.writer.abandon()

    def stats(self) -> Stats:
        writer = self.writer
        written, lost = (writer.written, writer.dropped) if writer is not None else (0, Counter[str]())
        with self._lock:
            dropped = dict(self.refused + lost)
        waiting = len(self.finished) + self.sampling.waiting + (writer.in_hand if writer is not None else 0)
        sampled_out = self.sampling.sampled_out
        taken = writer.taken if writer is not None else 0
        emitted = taken + len(self.finished) + self.sampling.waiting + sampled_out + self.refused.total()
        exported, export_dropped = writer.exported() if writer is not None else (0, 0)
        return Stats(emitted, written, sampled_out, waiting, dropped, exported, export_dropped, faults())


def from_settings(given: Mapping[str, Any], processors: Sequence[Processor] = ()) -> Recorder | None:
    """A recorder as the settings say; None when they turn recording off. A setting that cannot be used is named in the log, and its
    default stands: a wrong variable in the environment must not stop the program."""
    try:
        settings = Settings.read(given)
    except SettingError:
        if given:
            raise
        fault("reading the settings; recording is off. A setting")
        return None
    if settings.disabled:
        return None
    from clew.record import process

    try:
        recorder = Recorder(settings, processors=processors)
    except MissingExtra:
        if given:
            raise
        fault("measuring resources")
        recorder = Recorder(replace(settings, resources=False), processors=processors)
    _attach_limits(recorder)
    process.attend()
    process.settle(settings.propagate)
    return recorder


def resource(settings: Settings, instance_id: str) -> dict[str, Any]:
    """What the records of this process say of it."""
    return {
        names.SERVICE_NAME: settings.service or _script(),
        names.SERVICE_INSTANCE_ID: instance_id,
        names.PROCESS_PID: os.getpid(),
        names.HOST_NAME: socket.gethostname(),
        "telemetry.sdk.name": "clew",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": _version(),
    }


def _attach_limits(recorder: Recorder) -> None:
    """Budgets and other limits, where any are declared: without, they cost nothing, not even their import."""
    settings = recorder.settings
    declared = settings.budgets is not None or any(file.exists() for file in places(settings.data_dir, settings.budgets))
    if declared or "clew.record.limits.limits" in sys.modules:
        from clew.record.limits.limits import attach

        attach(recorder)


def _script() -> str:
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name not in ("__main__", None):
        return str(spec.name).removesuffix(".__main__")
    return Path(sys.argv[0]).stem if sys.argv and sys.argv[0] not in ("", "-", "-c") else "python"


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("clew")
    except PackageNotFoundError:
        return "0"
