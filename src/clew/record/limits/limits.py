"""The processor that holds all limits: it keeps the tree of open spans, and asks budgets and loops about each."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from clew.cost.budgets.verdicts import Verdict
from clew.errors import Refused
from clew.model import attributes as names
from clew.model.kinds import Kind
from clew.record import propagation, state
from clew.record.limits import budgets as budget_limits
from clew.record.limits import loops as loop_limits
from clew.record.limits import reading
from clew.record.limits.tree import Tree
from clew.record.span import Span
from clew.wire.otlp_json import Event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clew.cost.budgets.runaway import Runaway
    from clew.record.recorder import Recorder

log: Final = logging.getLogger("clew")


class Limits:
    """A :class:`clew.Processor`. One per recorder, made when the first limit is declared."""

    def __init__(self, recorder: Recorder) -> None:
        self.tree = Tree()
        self.budgets = budget_limits.Budgets(recorder.settings, recorder.now)
        self.loops = loop_limits.Loops()

    def on_start(self, span: Span) -> None:
        frame = self.tree.open(span)
        try:
            self._act(span, self.loops.start(frame, span, self._runaway()))
            if frame.kind in reading.MODELS:
                self.budgets.start(frame, span)
        except Refused:
            if frame.kind in reading.MODELS:  # it was never sent: what it used is known, and nothing
                span.set(names.INPUT_TOKENS, 0).set(names.OUTPUT_TOKENS, 0).set(names.COST_USD, 0.0)
            raise
        while self.tree.lost:
            self.budgets.end(self.tree.lost.popleft(), None)

    def on_told(self, span_id: int, kind: Kind, tracer: str) -> None:
        """A span of a foreign instrumentation, whose start did not tell what it is, stands for a model call that is about to be made.

        :raises Refused: a limit does not let it; the span has failed then
        """
        frame = self.tree.find(span_id)
        span = None if frame is None else frame.span()
        if frame is None or span is None or frame.kind in reading.MODELS or tracer not in span.instrument.scope:
            return
        frame.kind = kind
        try:
            self.budgets.start(frame, span)
        except Refused as refusal:
            span.fail(refusal).update({names.INPUT_TOKENS: 0, names.OUTPUT_TOKENS: 0, names.COST_USD: 0.0, **refusal.attributes})
            raise

    def on_end(self, span: Span) -> None:
        frame = self.tree.close(span)
        if frame is None:
            return
        if span.instrument.kind is None:  # by now its attributes tell
            told = reading.kind(span)
            frame.kind = told if told != "other" else frame.kind
        self._act(span, self.budgets.end(frame, span))
        self.loops.end(frame, span, self._runaway())

    def hold(self, span: Span, limit: Any) -> None:
        """A limit for all that is inside a span that has just started."""
        frame = self.tree.find(span.span_id)
        if frame is not None:
            frame.blocks = (*frame.blocks, limit)

    def _runaway(self) -> Iterable[Runaway]:
        declared = self.budgets.declared
        return [*(declared.runaway if declared is not None else ()), *loop_limits.applied.values()]

    def _act(self, span: Span, verdicts: Iterable[Verdict]) -> None:
        """Tells: an event on the span, which may just have ended, and a warning in the log."""
        for verdict in verdicts:
            when = (span.ended or span.recorder.now()) + span.trace.offset
            span._rare().events.append(Event(verdict.event, when, dict(verdict.attributes)))
            if verdict.message:
                log.warning("%s", verdict.message)


def attach(recorder: Recorder) -> Limits:
    """The recorder's limits; watched from now on."""
    for processor in recorder.processors:
        if isinstance(processor, Limits):
            return processor
    with state.making:
        limits = Limits(recorder)
        here = propagation.current()
        if isinstance(here, Span) and here.recorder is recorder and not here.ended:
            limits.tree.open(here)  # it began before limits were watched
        recorder.use([limits])
    return limits


def current() -> Limits | None:
    """The limits of the recorder at work, started if need be; None while recording is off."""
    recorder: Any = state.running()
    return None if recorder is None else attach(recorder)
