"""Head sampling, decided at the root by the trace id, and biased to errors: a trace that fails is kept whole.

The spans of a trace that was not chosen wait in memory until the trace's first span in this process ends. An error turns the trace on:
what waits is recorded, and so is what follows. Bounds: :data:`MAX_PER_TRACE` waiting spans per trace, the newest are kept;
:data:`MAX_WAITING` over all traces, the oldest traces give way. What gives way counts as sampled out.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from clew.model.kinds import STATUS_CODES
from clew.record.context import Trace

if TYPE_CHECKING:
    from clew.record.recorder import Recorder
    from clew.record.span import Span

MAX_PER_TRACE: Final = 2_000
MAX_WAITING: Final = 20_000

_RANDOM_BITS: Final = 56  # W3C trace context level 2: the rightmost seven bytes of a trace id are random
_ERROR: Final = STATUS_CODES["error"]


class Sampling:
    """:param share: share of traces that are recorded; :param keep_errors: record a trace with an error all the same."""

    def __init__(self, recorder: Recorder, share: float, keep_errors: bool) -> None:
        self.recorder = recorder
        self.threshold = round(share * (1 << _RANDOM_BITS))
        self.keep_errors = keep_errors
        self.sampled_out = 0
        self._waiting: OrderedDict[Trace, int] = OrderedDict()
        """Undecided traces, oldest first, each with the number of its open local roots."""
        self._held = 0
        self._lock = threading.RLock()

    def chooses(self, trace_id: int) -> bool:
        """Whether the trace is recorded. Every process with the same share decides the same."""
        return trace_id & ((1 << _RANDOM_BITS) - 1) < self.threshold

    @property
    def waiting(self) -> int:
        """Ended spans that wait for the decision."""
        return self._held

    def open(self, root: Span) -> None:
        """A local root of a trace that was not chosen starts."""
        if not self.keep_errors:
            return
        trace = root.trace
        with self._lock:
            if trace.kept is None:
                trace.kept = []
            self._waiting[trace] = self._waiting.get(trace, 0) + 1

    def end(self, span: Span) -> None:
        """A span of a trace that was not chosen ends."""
        with self._lock:
            trace = span.trace
            if span.status_code == _ERROR and self.keep_errors:
                self._turn_on(trace)
                self.recorder.finish(span)
                return
            if trace.sampled:  # turned on meanwhile
                self.recorder.finish(span)
                return
            kept = trace.kept
            if kept is None:
                self.sampled_out += 1
                return
            kept.append(span)
            self._held += 1
            if len(kept) > MAX_PER_TRACE:
                self._let_go(kept, 1)
            if span.local_root:
                self._close(trace)
            while self._held > MAX_WAITING and self._waiting:
                oldest = next(iter(self._waiting))
                self._forget(oldest)

    def _close(self, trace: Trace) -> None:
        roots = self._waiting.get(trace, 1) - 1
        if roots > 0:
            self._waiting[trace] = roots
        else:
            self._forget(trace)

    def _forget(self, trace: Trace) -> None:
        self._waiting.pop(trace, None)
        if trace.kept is not None:
            self._let_go(trace.kept, len(trace.kept))
            trace.kept = None

    def _let_go(self, kept: list[Span], count: int) -> None:
        del kept[:count]
        self._held -= count
        self.sampled_out += count

    def _turn_on(self, trace: Trace) -> None:
        trace.sampled = True
        self._waiting.pop(trace, None)
        kept, trace.kept = trace.kept or [], None
        self._held -= len(kept)
        for span in kept:
            self.recorder.finish(span)
