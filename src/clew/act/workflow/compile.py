"""Turns a workflow document into a pocketflow flow."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import pocketflow

from clew.act.workflow import running
from clew.act.workflow.attempts import AttemptsNodeWrapper
from clew.act.workflow.batch import ITEMS, BatchNodeWrapper
from clew.act.workflow.document import DEFAULT, ERROR, Document, Node
from clew.act.workflow.names import hint, listed
from clew.act.workflow.namespaced import FAILURES, NamespacedNodeWrapper
from clew.act.workflow.nodes.node import NodeType
from clew.act.workflow.templated import RUN, TemplateAwareNodeWrapper
from clew.act.workflow.templates import references
from clew.errors import DocumentError, NodeFailed

if TYPE_CHECKING:
    from clew.act.workflow.metrics import MetricsCollector
    from clew.act.workflow.trace import WorkflowTraceCollector

LAST_KEY: Final = "__last__"
"""Key of the shared store: the id of the node that ran last."""


class WorkflowFlow(pocketflow.Flow):  # type: ignore[misc]
    """A flow whose nodes may fail along an ``error`` edge, and which ends a loop that has no end.

    Its nodes have ``node_id``; each copy that runs gets ``visit``, how often the node runs in this run, from 1.

    :param watch: is told the id of each node before it runs, in the thread of the run
    """

    def __init__(self, start: Any, *, max_visits: int, watch: Callable[[str], None] | None = None) -> None:
        super().__init__(start=start)
        self.max_visits = max_visits
        self.watch = watch

    def _orch(self, shared: dict[str, Any], params: dict[str, Any] | None = None) -> Any:
        """:raises NodeFailed: a node failed and has no ``error`` edge, ran too often, or ended with an action that no edge has."""
        params = params or {**self.params}
        visits: dict[str, int] = {}
        action: Any = None
        node = copy.copy(self.start_node)
        while node is not None:
            node_id = node.node_id
            node.visit = visits[node_id] = visits.get(node_id, 0) + 1
            if node.visit > self.max_visits:
                raise NodeFailed(node_id, f"it ran {self.max_visits:,} times: a loop without an end, or raise max_visits")
            if running.is_abandoned():  # a workflow inside a node whose time is over: no further node may do anything
                raise NodeFailed(node_id, "it was not begun: the node around its workflow was given up")
            shared[LAST_KEY] = node_id
            if self.watch is not None:
                self.watch(node_id)
            node.set_params(params)
            try:
                action = node._run(shared)
            except FAILURES as error:
                if ERROR not in node.successors:
                    raise NodeFailed(node_id, _reason(error)) from error
                action = ERROR
            node = copy.copy(self.get_next_node(node, action))
        return action

    def get_next_node(self, curr: Any, action: Any) -> Any:
        """The node that the action's edge leads to; None ends the run.

        :raises NodeFailed: the node has edges, and none is for the action it chose
        """
        successors: dict[str, Any] = curr.successors
        found = successors.get(action or DEFAULT)
        if found is None and successors and (action or DEFAULT) != DEFAULT:
            near = hint(str(action), successors, "its edges")
            raise NodeFailed(curr.node_id, f"it ended with action {str(action)!r}, and no edge from it has that action; {near}")
        return found


def _reason(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, SystemExit):
        return f"it called sys.exit({'' if error.code is None else error.code!r})"
    return text if text and not isinstance(error, (KeyError, AssertionError)) else f"{type(error).__name__}{': ' if text else ''}{text}"


def compile_workflow(
    document: Document,
    *,
    types: Mapping[str, type[NodeType]],
    metrics_collector: MetricsCollector | None = None,
    trace_collector: WorkflowTraceCollector | None = None,
    record: bool = False,
    prefix: str = "",
    watch: Callable[[str], None] | None = None,
) -> WorkflowFlow:
    """``document`` as a flow, to be run with a :class:`clew.act.workflow.namespaced.Store` that has ``inputs``.

    Around each node stand, outermost first, InstrumentedNodeWrapper, NamespacedNodeWrapper, TemplateAwareNodeWrapper; inside them what the
    node asks for: a batch, and retries, time-out and fallback. InstrumentedNodeWrapper only where somebody looks: with ``record``, with a
    collector, or when a template of the document names ``${run...}``.

    :param types: type -> class of node, as :func:`clew.act.workflow.registry.node_types` gives them
    :param record: each node is a span
    :param prefix: stands before the ids of the nodes in metrics and traces
    :param watch: is told the id of each node before it runs
    :raises DocumentError: a node has a type that is not there, or two edges leave it with the same action; clew validate finds the rest
    """
    mistakes = _mistakes(document, types)
    if mistakes:
        raise DocumentError(f"workflow {document.name}", mistakes)
    looked_at = record or metrics_collector is not None or trace_collector is not None or asks_for_figures(document)
    nodes: dict[str, Any] = {}
    for node in document.nodes:
        made: Any = NamespacedNodeWrapper(_made(node, types[node.type]), node.id)
        if looked_at:
            from clew.act.workflow.instrumented import InstrumentedNodeWrapper

            made = InstrumentedNodeWrapper(
                made, node.id, metrics_collector, trace_collector, record=record, node_type=node.type, path=prefix + node.id
            )
        nodes[node.id] = made
    for edge in document.edges:
        nodes[edge.source].next(nodes[edge.target], edge.action)
    start = nodes[document.start] if document.start is not None else nodes[document.nodes[0].id]
    return WorkflowFlow(start, max_visits=document.max_visits, watch=watch)


def _made(node: Node, node_type: type[NodeType]) -> Any:
    made: Any = node_type()
    if node.retry is not None or node.timeout_s is not None or node.fallback is not None:
        made = AttemptsNodeWrapper(made, retry=node.retry, timeout_s=node.timeout_s, fallback=node.fallback)
    made = TemplateAwareNodeWrapper(made, node.params, verbatim=node_type.verbatim)
    if node.batch is not None:
        made = TemplateAwareNodeWrapper(BatchNodeWrapper(made, node.batch), {ITEMS: node.batch.items})
    return made


def asks_for_figures(document: Document) -> bool:
    """Whether a template names what the run used or cost so far."""
    values = [(node.params, node.fallback, node.batch.items if node.batch else None) for node in document.nodes]
    return any(reference.root == RUN for reference in references([values, output_values(document)]))


def output_values(document: Document) -> dict[str, Any]:
    """The outputs' values as the document has them."""
    return {name: output if isinstance(output, str) else output.value for name, output in document.outputs.items()}


def _mistakes(document: Document, types: Mapping[str, type[NodeType]]) -> list[str]:
    """What would keep the flow from being built."""
    ids = Counter(node.id for node in document.nodes)
    found = [
        f"node {node.id}: there is no type {node.type!r}; {hint(node.type, types)}" for node in document.nodes if node.type not in types
    ]
    found += [f"node {node_id}: the id is used twice" for node_id, count in ids.items() if count > 1]
    if document.start is not None and document.start not in ids:
        found.append(f"start: there is no node {document.start!r}; nodes are {listed(ids)}")
    leaving: set[tuple[str, str]] = set()
    for edge in document.edges:
        found += [f"edge {edge.source} -> {edge.target}: there is no node {end!r}" for end in (edge.source, edge.target) if end not in ids]
        if (edge.source, edge.action) in leaving:
            found.append(f"edge {edge.source} -> {edge.target}: a second edge leaves {edge.source} with action {edge.action!r}")
        leaving.add((edge.source, edge.action))
    return found
