"""Runs a workflow document."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from clew.act.workflow import running
from clew.act.workflow.calls import Ledger, ModelCall, collecting
from clew.act.workflow.compile import LAST_KEY, compile_workflow, output_values
from clew.act.workflow.document import Document
from clew.act.workflow.inputs import inputs_for
from clew.act.workflow.lazy import LazyResponse, is_lazy
from clew.act.workflow.namespaced import CALLS_KEY, FAILURES, INPUTS_KEY, Store
from clew.act.workflow.nodes.node import NodeType
from clew.act.workflow.registry import node_types
from clew.act.workflow.running import Running, Try
from clew.act.workflow.templated import Scope
from clew.act.workflow.templates import resolve
from clew.errors import GateFailed, Refused, WorkflowError
from clew.record import state
from clew.record.instruments.functions import workflow as workflow_span
from clew.record.noop import NOOP
from clew.wire.redaction import MASK, hide

if TYPE_CHECKING:
    from clew.act.workflow.metrics import MetricsCollector
    from clew.act.workflow.trace import WorkflowTraceCollector
    from clew.cost.prices import PriceBook

DEEPEST: Final = 32
"""Workflows inside each other; a workflow that contains itself ends here."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended, and what is known of it."""

    status: Literal["ok", "error", "interrupted"]
    result: dict[str, Any]
    """The outputs, or without declared ones the results of the last node; empty when the run failed."""
    error: str | None
    failed_node: str | None
    """Id of the node that failed, if one did."""
    run_id: str | None
    """Of the record, 32 hex digits; None when nothing is recorded. Where runs are sampled, the record may not have it."""
    shared: dict[str, Any]
    """The shared store at the end: ``inputs``, results by node, ``__llm_calls__``."""
    calls: list[ModelCall]
    """Every model call, failed ones included, in the order they ended."""
    duration_ns: int
    trace_path: Path | None = None
    """The trace file; None without one, and when it could not be written."""
    stopped: bool = False
    """Whether a budget, a limit of loops or a required gate stopped it."""


class RunInterrupted(KeyboardInterrupt):
    """The run was interrupted; ``result`` says how far it came."""

    def __init__(self, result: RunResult) -> None:
        super().__init__("interrupted")
        self.result = result


def run(
    document: Document,
    inputs: Mapping[str, Any],
    *,
    base: Path,
    types: Mapping[str, type[NodeType]] | None = None,
    metrics_collector: MetricsCollector | None = None,
    trace_collector: WorkflowTraceCollector | None = None,
    record: bool = True,
    prices: PriceBook | None = None,
    watch: Callable[[str], None] | None = None,
) -> RunResult:
    """Run ``document`` to its end. A node that fails for good gives a result with status ``error``, not an exception.

    :param base: directory that relative paths of the document start from
    :param types: type -> class of node; None: those of Clew and of installed packages
    :param record: the run is a ``workflow`` span with a ``node`` span for each node, unless recording is off
    :param prices: for ``${run.cost_usd}``
    :param watch: is told the id of each node before it runs
    :raises DocumentError: an input is missing, unknown or of another type, or the document cannot be compiled
    :raises RunInterrupted: on KeyboardInterrupt, once record and trace have been closed
    """
    runner = _Runner(types if types is not None else node_types(), metrics_collector, trace_collector, record)
    values = inputs_for(document, inputs)
    flow = runner.compiled(document, "", watch)
    _load_ahead(document, runner.types)
    shared = _store(document, values)
    current = Running(base, runner.inside, runner.types, prices, name=document.name)
    whole = Try()
    tokens = running.run.set(current), running.attempt.set(whole)
    started = time.perf_counter_ns()
    ended: dict[str, Any] = {"status": "ok", "result": {}, "error": None, "failed_node": None}
    interrupt: BaseException | None = None
    stopped = False
    run_id: str | None = None
    opened: Any = workflow_span(document.name) if record else NOOP
    if metrics_collector is not None:
        metrics_collector.record_workflow_start()
    with collecting() as ledger:
        try:
            with opened as span:
                if span.trace_id:
                    run_id = f"{span.trace_id:032x}"
                if trace_collector is not None:
                    trace_collector.run_started(run_id=run_id, inputs=_shown(document, values))
                if run_id is not None:
                    span.input(_shown(document, values))
                    state.recorder.flush()  # the run's start record: whatever happens, there is a run
                flow._run(shared)
                ended["result"] = result = _outputs(document, shared)
                if run_id is not None:
                    span.output(result)
        except FAILURES as error:
            ended |= {"status": "error", "error": str(error), "failed_node": getattr(error, "node_id", None)}
            stopped = _is_stopped(error)
        except BaseException as error:  # an interrupt; whatever the nodes started ends with them
            whole.abandon()
            interrupt = error
            ended |= {"status": "interrupted", "error": "interrupted", "failed_node": shared.get(LAST_KEY)}
        finally:
            running.run.reset(tokens[0])
            running.attempt.reset(tokens[1])
    duration_ns = time.perf_counter_ns() - started
    calls = _all_calls(ledger, shared)
    if metrics_collector is not None:
        metrics_collector.record_workflow_end()
    trace_path = None
    if trace_collector is not None:
        trace_path = trace_collector.run_ended(**ended)
    if run_id is not None:
        state.recorder.write()
    found = RunResult(**ended, run_id=run_id, shared=shared, calls=calls, duration_ns=duration_ns, trace_path=trace_path, stopped=stopped)
    if interrupt is not None:
        raise RunInterrupted(found) from interrupt
    return found


@dataclass(frozen=True, slots=True)
class _Runner:
    """Compiles the workflow, and those inside it, for the same collectors."""

    types: Mapping[str, type[NodeType]]
    metrics_collector: MetricsCollector | None
    trace_collector: WorkflowTraceCollector | None
    record: bool

    def compiled(self, document: Document, prefix: str, watch: Callable[[str], None] | None) -> Any:
        return compile_workflow(
            document,
            types=self.types,
            metrics_collector=self.metrics_collector,
            trace_collector=self.trace_collector,
            record=self.record,
            prefix=prefix,
            watch=watch,
        )

    def inside(self, document: Document, inputs: Mapping[str, Any], *, base: Path) -> dict[str, Any]:
        """Runs a workflow inside the current node; see :func:`clew.act.workflow.running.run_inside`."""
        outer, visit = running.run.get(), running.visit.get()
        if outer is None or outer.depth + 1 >= DEEPEST:
            raise WorkflowError(f"workflow {document.name} lies {DEEPEST} workflows deep; does it contain itself?")
        shared = _store(document, inputs_for(document, inputs))
        flow = self.compiled(document, f"{visit.path}/" if visit is not None else "", None)
        token = running.run.set(replace(outer, base=base, depth=outer.depth + 1, name=document.name))
        try:
            opened: Any = workflow_span(document.name) if self.record else NOOP
            with opened:
                flow._run(shared)
                return _outputs(document, shared)
        finally:
            running.run.reset(token)
            if self.trace_collector is not None:
                self.trace_collector.store_ended(shared)


def _load_ahead(document: Document, types: Mapping[str, type[NodeType]]) -> None:
    """Imports what the nodes will need while the first of them work."""
    ahead = [partial(types[node.type].load, node.params) for node in document.nodes if "load" in vars(types[node.type])]

    def load() -> None:
        for one in ahead:
            with suppress(Exception):  # the node says it when it runs, to somebody who listens
                one()

    if ahead:
        threading.Thread(target=load, name="clew-load", daemon=True).start()


def _store(document: Document, values: dict[str, Any]) -> Store:
    shared = Store({INPUTS_KEY: values, CALLS_KEY: []})
    shared.secrets = frozenset(name for name, declared in document.inputs.items() if declared.secret)
    hide(text for name in shared.secrets for text in _texts(values[name]))
    return shared


def _is_stopped(error: BaseException | None) -> bool:
    """Whether a limit is at the bottom of it."""
    while error is not None:
        if isinstance(error, (Refused, GateFailed)):
            return True
        error = error.__cause__
    return False


def _texts(value: Any) -> Iterator[str]:
    """Every text in a secret."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield str(value)


def _shown(document: Document, values: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs as they may be written."""
    return {name: MASK if document.inputs[name].secret else value for name, value in values.items()}


def _outputs(document: Document, shared: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs; a response that was not read yet is read for them.

    :raises WorkflowError: an output names what is not there
    """
    if document.outputs:
        try:
            found = resolve(output_values(document), Scope(shared))
        except WorkflowError as error:
            raise WorkflowError(f"outputs: {error}") from error
    else:
        found = shared.get(shared[LAST_KEY], {})
    return {name: value.text() if isinstance(value, LazyResponse) or is_lazy(value) else value for name, value in found.items()}


def _all_calls(ledger: Ledger, shared: dict[str, Any]) -> list[ModelCall]:
    """Every call of the run; those that no node's wrapper has seen (a response read for the outputs) join the shared store's."""
    calls = ledger.take()
    if len(shared[CALLS_KEY]) < len(calls):
        shared[CALLS_KEY].extend(call.entry() for call in calls if not call.node_id)
    return calls
