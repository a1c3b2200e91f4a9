"""The one place that looks at a node while it runs. What it sees goes to the record, the metrics and the trace: one look, three views."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from clew.act.workflow import calls, running
from clew.act.workflow.lazy import LazyResponse, is_lazy
from clew.act.workflow.namespaced import CALLS_KEY
from clew.act.workflow.published import USAGE_KEY, published_calls
from clew.act.workflow.running import Visit
from clew.act.workflow.wrapper import NodeWrapper
from clew.model import attributes as names
from clew.record import state
from clew.record.guard import fault
from clew.record.instruments.functions import llm
from clew.record.instruments.functions import node as node_span

if TYPE_CHECKING:
    from clew.act.workflow.metrics import MetricsCollector

PLANNER_KEY: Final = "__is_planner__"
"""Key of the shared store of a run that plans: its calls and nodes are counted as the planner's."""


class NodeTrace(Protocol):
    """Is told of each visit of a node: the trace of a workflow, or of a planning."""

    def node_started(self, visit: Visit, node_type: str, shared: Mapping[str, Any]) -> None: ...
    def node_ended(
        self,
        visit: Visit,
        node_type: str,
        shared: Mapping[str, Any],
        *,
        duration_ns: int,
        error: BaseException | None = None,
        llm_calls: Sequence[Mapping[str, Any]] = (),
    ) -> None: ...


class InstrumentedNodeWrapper(NodeWrapper):
    """Times the node, collects its model calls, and tells who asked for it.

    - With ``record`` the node is a ``node`` span; its duration is the one that metrics and trace give too. When the node has ended, its
      span is with the operating system: ``kill -9`` does not lose it.
    - Its model calls, failed and cached ones included, are appended to ``shared["__llm_calls__"]``: those that the models noted, or, when
      there are none, what the node published as ``llm_usage``. Calls of a sub-workflow come with the ids of its nodes.
    - The collectors, shared by all copies, are told when the node has ended, however it ended.

    :param path: ids of the nodes around it and its own, ``outer/inner``; ``node_id`` when it is not given
    """

    visit = 1

    def __init__(
        self,
        inner_node: Any,
        node_id: str,
        metrics_collector: MetricsCollector | None = None,
        trace_collector: NodeTrace | None = None,
        *,
        record: bool = False,
        node_type: str | None = None,
        path: str | None = None,
    ) -> None:
        super().__init__(inner_node)
        self.node_id = node_id
        self.node_type = node_type if node_type is not None else type(inner_node).__name__
        self.path = path if path is not None else node_id
        self.metrics_collector = metrics_collector
        self.trace_collector = trace_collector
        self.record = record
        self._describes = record and getattr(inner_node, "kind", "other") == "other"

    def _run(self, shared: dict[str, Any]) -> Any:
        trace = self.trace_collector
        visit = Visit(self.path)
        if trace is not None:
            visit.resolutions = []
            try:
                trace.node_started(visit, self.node_type, shared)
            except Exception:
                fault("tracing a node")
                trace = None
        ledger, outer = calls.Ledger(), calls.current.get()
        usage_before = shared.get(USAGE_KEY)
        tokens = running.visit.set(visit), calls.current.set(ledger)
        span = None
        found: list[calls.ModelCall] = []
        error: BaseException | None = None
        started = time.perf_counter_ns()
        try:
            if not self.record:
                return self.inner_node._run(shared)
            with node_span(self.node_id, **{names.NODE_TYPE: self.node_type, names.NODE_VISIT: self.visit}) as span:
                try:
                    return self.inner_node._run(shared)
                finally:
                    found = self._seen(shared, ledger, usage_before, started, span)
                    self._describe(span, visit, shared)
        except BaseException as raised:
            error = raised
            raise
        finally:
            ended = time.perf_counter_ns()
            running.visit.reset(tokens[0])
            calls.current.reset(tokens[1])
            if span is None:
                found = self._seen(shared, ledger, usage_before, started, None)
            duration_ns = getattr(span, "ended", 0) - getattr(span, "started", 0) or ended - started
            entries = self._account(shared, found, outer)
            if self.metrics_collector is not None:
                self.metrics_collector.record_node_execution(self.path, duration_ns / 1e6, is_planner=PLANNER_KEY in shared)
            if trace is not None:
                try:
                    trace.node_ended(visit, self.node_type, shared, duration_ns=duration_ns, error=error, llm_calls=entries)
                except Exception:
                    fault("tracing a node")
            if self.record and state.recorder is not None:
                state.recorder.write()

    def _seen(self, *seen: Any) -> list[calls.ModelCall]:
        """The same as :meth:`_calls`; a fault of ours is no fault of the node."""
        try:
            return self._calls(*seen)
        except Exception:
            fault("counting model calls")
            return []

    def _calls(
        self, shared: dict[str, Any], ledger: calls.Ledger, usage_before: Any, started: int, span: Any | None
    ) -> list[calls.ModelCall]:
        """The model calls of this visit. Those that only ``llm_usage`` tells of are recorded here: nobody else has."""
        results = shared.get(self.node_id)
        if isinstance(results, dict):
            for key, value in results.items():
                if is_lazy(value):
                    results[key] = LazyResponse(value)
        found = ledger.take()
        if not found:
            usage = shared.get(USAGE_KEY)
            told = results if isinstance(results, dict) else {}
            if usage is not None and usage is not usage_before:  # of a node without a namespace
                told = {**told, USAGE_KEY: usage}
            found = published_calls(told, duration_ns=time.perf_counter_ns() - started)
            if span is not None:
                for call in found:
                    _record(call)
        run = running.run.get()
        named = []
        for call in found:
            if not call.node_id:  # else it is of a node inside this one, and was counted there
                call = replace(call, node_id=self.path)
                if run is not None:
                    run.calls.append(call)
            named.append(call)
        return named

    def _describe(self, span: Any, visit: Visit, shared: dict[str, Any]) -> None:
        """What went in and came out, unless the node's own span inside has it."""
        if not self._describes:
            return
        if visit.params:
            span.input(visit.params)
        results = shared.get(self.node_id)
        if results:
            span.output(results)

    def _account(self, shared: dict[str, Any], found: list[calls.ModelCall], outer: calls.Ledger | None) -> list[dict[str, Any]]:
        """Writes the calls down where others look for them; returns their entries."""
        if not found:
            return []
        is_planner = PLANNER_KEY in shared
        entries = [call.entry(is_planner=is_planner) for call in found]
        shared.setdefault(CALLS_KEY, []).extend(entries)
        if outer is not None:
            for call in found:
                outer.add(call)
        return entries


def _record(call: calls.ModelCall) -> None:
    """The record of a call that was not seen: it says what is known, and lies inside the node at its end."""
    with llm(call.model or None, model=call.model or None, provider=call.provider or None) as span:
        if call.usage is not None:
            span.usage(call.usage)
        if call.cost_usd is not None:
            span.cost(call.cost_usd)
