"""Only leaf model calls are counted, whatever repeats their tokens and in whatever order and pieces a trace arrives."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from clew.observe.query.runs import runs
from clew.observe.query.search import search
from clew.observe.query.traces import trace
from clew.observe.store import rollups
from clew.observe.store.settle import decide
from clew.observe.store.store import Store

# --- the rule itself, beside a slow and obvious one --------------------------------------------------------------------------------------


class Node(NamedTuple):
    id: int
    parent: int
    llm: bool
    usage: bool
    named: bool


def ancestors(node: Node, nodes: dict[int, Node]) -> list[Node]:
    """Upwards, nearest first; a cycle is walked once round."""
    found: list[Node] = []
    at = nodes.get(node.parent) if node.parent != node.id else None
    while at is not None and at not in found:
        found.append(at)
        at = nodes.get(at.parent) if at.parent != at.id else None
    return found


def shadowed(node: Node, nodes: dict[int, Node]) -> bool:
    below = [other for other in nodes.values() if node in ancestors(other, nodes)]
    return any(other.llm for other in below) if node.llm else node.usage and any(other.usage for other in below)


def owner(node: Node, nodes: dict[int, Node]) -> int:
    return next((above.id for above in [node, *ancestors(node, nodes)] if above.named), -1)


IDS = st.integers(0, 2**64 - 1)


@st.composite
def forests(draw: st.DrawFn) -> list[Node]:
    """Spans of any number of traces with parents among them, missing ones, themselves, and cycles, in any order."""
    ids = draw(st.lists(IDS, unique=True, max_size=25))
    parents = st.one_of(st.sampled_from(ids), IDS) if ids else IDS
    return [Node(id, draw(parents), draw(st.booleans()), draw(st.booleans()), draw(st.booleans())) for id in ids]


@given(forests())
@settings(max_examples=400)
def test_the_rule_agrees_with_a_slow_and_obvious_one(spans: list[Node]) -> None:
    nodes = {node.id: node for node in spans}
    ids, parents = (np.array([node[at] for node in spans], np.uint64) for at in (0, 1))
    llm, usage, named = (np.array([node[at] for node in spans], np.bool_) for at in (2, 3, 4))
    verdict = decide(ids, parents, llm, usage, named)
    assert verdict.shadowed.tolist() == [shadowed(node, nodes) for node in spans]
    assert [spans[at].id if at >= 0 else -1 for at in verdict.owner] == [owner(node, nodes) for node in spans]


@pytest.mark.parametrize("depth", [1, 2, 63, 64, 65, 5000])
def test_a_chain_of_any_depth(depth: int) -> None:
    ids = np.arange(1, depth + 1, dtype=np.uint64)
    ends = np.zeros(depth, np.bool_)
    ends[0] = ends[-1] = True
    everyone = np.ones(depth, np.bool_)
    first = np.arange(depth) == 0
    verdict = decide(ids, ids - 1, ends, everyone, first)
    assert verdict.owner.tolist() == [0] * depth
    assert verdict.shadowed.tolist() == [True] * (depth - 1) + [False]


# --- whole traces ------------------------------------------------------------------------------------------------------------------------


def usage(input_tokens: int, output_tokens: int) -> dict[str, Any]:
    return {"gen_ai.usage.input_tokens": input_tokens, "gen_ai.usage.output_tokens": output_tokens}


LLM: dict[str, Any] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai"}
AGENT: dict[str, Any] = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}
EMBEDDING: dict[str, Any] = {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "text-embedding-3-small"}
TOOL: dict[str, Any] = {"gen_ai.operation.name": "execute_tool"}

Tree = list[tuple[int, int, dict[str, Any]]]
"""(number, parent's number or 0, attributes) of each span."""

REFUSED = LLM | usage(0, 0) | {"error.type": "budget_exceeded", "clew.cost.usd": 0.0}
TREES: dict[str, tuple[Tree, list[tuple[int, int | None]]]] = {
    # what happened: (its spans, (number, input tokens) of the model calls)
    "one call": ([(1, 0, AGENT), (2, 1, LLM | usage(10, 1))], [(2, 10)]),
    "double instrumentation": ([(1, 0, LLM | usage(10, 1)), (2, 1, LLM | usage(10, 1))], [(2, 10)]),
    "double instrumentation, the inner one without usage": ([(1, 0, LLM | usage(10, 1)), (2, 1, LLM)], [(2, None)]),
    "double instrumentation with a retry between": ([(1, 0, LLM | usage(10, 1)), (2, 1, {}), (3, 2, LLM), (4, 2, LLM | usage(10, 1))], [(3, None), (4, 10)]),
    "an agent that repeats its children's tokens": ([(1, 0, AGENT | usage(30, 3)), (2, 1, LLM | usage(10, 1)), (3, 1, LLM | usage(20, 2))], [(2, 10), (3, 20)]),
    "an agent with usage of its own and no children": ([(1, 0, AGENT | usage(30, 3))], [(1, 30)]),
    "an agent with usage whose children have none": ([(1, 0, AGENT | usage(30, 3)), (2, 1, TOOL), (3, 2, {})], [(1, 30)]),
    "an agent with usage whose call has none": ([(1, 0, AGENT | usage(30, 3)), (2, 1, LLM)], [(1, 30), (2, None)]),
    "agents in agents": ([(1, 0, AGENT | usage(9, 9)), (2, 1, AGENT | usage(9, 9)), (3, 2, TOOL), (4, 3, LLM | usage(9, 9))], [(4, 9)]),
    "an embedding": ([(1, 0, AGENT), (2, 1, EMBEDDING | usage(7, 0)), (3, 1, EMBEDDING)], [(2, 7)]),
    "an embedding within a call": ([(1, 0, LLM | usage(10, 1)), (2, 1, EMBEDDING | usage(7, 0))], [(1, 10), (2, 7)]),
    "only input is known": ([(1, 0, LLM | {"gen_ai.usage.input_tokens": 5})], [(1, 5)]),
    "zero is known": ([(1, 0, AGENT | usage(30, 3)), (2, 1, LLM | usage(0, 0))], [(2, 0)]),
    "the parent is missing": ([(2, 1, LLM | usage(10, 1)), (3, 2, LLM | usage(10, 1))], [(3, 10)]),
    "a call that a budget refused": ([(1, 0, AGENT), (2, 1, LLM | usage(10, 1)), (3, 1, REFUSED)], [(2, 10)]),
    "an agent with usage whose next call was refused": ([(1, 0, AGENT | usage(30, 3)), (2, 1, REFUSED)], [(1, 30)]),
    "a call within which another one was refused": ([(1, 0, LLM | usage(10, 1)), (2, 1, REFUSED)], [(1, 10)]),
    "a call that the provider refused": ([(1, 0, LLM | usage(5, 0) | {"error.type": "refused"})], [(1, 5)]),
    "a span that is its own parent": ([(1, 1, LLM | usage(10, 1))], [(1, 10)]),
}  # fmt: skip


def spans_of(tree: Tree, trace_number: int, otlp: Any) -> list[dict[str, Any]]:
    return [otlp.span(number, trace_number, parent, attributes) for number, parent, attributes in tree]


def calls(store: Store, otlp: Any, trace_number: int) -> list[tuple[int, int | None]]:
    rows = store.query(
        "SELECT span_id, input_tokens FROM model_calls WHERE trace_id = {id:String} ORDER BY span_id", {"id": otlp.trace_id(trace_number)}
    ).result_rows
    return [(int(span, 16), tokens) for span, tokens in rows]


def test_what_counts_as_a_model_call(store: Store, otlp: Any) -> None:
    """Each case also with its spans in one request each, children first, and with the last span only after everything was settled."""
    trees = [tree for tree, _ in TREES.values()]
    whole = [spans_of(tree, 1000 + at, otlp) for at, tree in enumerate(trees)]
    pieces = [spans_of(tree, 2000 + at, otlp) for at, tree in enumerate(trees)]
    late = [spans_of(tree, 3000 + at, otlp) for at, tree in enumerate(trees)]
    otlp.take(store, otlp.lines(*(otlp.traces(*spans) for spans in whole)))
    otlp.take(store, otlp.lines(*(otlp.traces(span) for spans in pieces for span in reversed(spans))))
    otlp.take(store, otlp.lines(*(otlp.traces(*spans[:-1]) for spans in late if len(spans) > 1)))
    otlp.take(store, b"".join(otlp.protobuf(otlp.traces(spans[-1])) for spans in late))
    for start in (1000, 2000, 3000):
        found = {name: calls(store, otlp, start + at) for at, name in enumerate(TREES)}
        assert found == {name: wanted for name, (_, wanted) in TREES.items()}


def test_totals_are_those_of_the_model_calls(store: Store, otlp: Any) -> None:
    tree, _ = TREES["an agent that repeats its children's tokens"]
    otlp.take(store, otlp.lines(otlp.traces(*spans_of(tree, 1, otlp))))
    [run] = runs(store)
    assert (run.model_calls, run.calls_with_usage, run.input_tokens, run.output_tokens, run.agents) == (2, 2, 30, 3, ["planner"])
    shown = trace(store, "last")
    assert [(span.is_model_call, span.input_tokens, span.agent) for span in shown.spans] == [
        (False, None, "planner"),
        (True, 10, "planner"),
        (True, 20, "planner"),
    ]


def test_a_refused_call_stays_visible_and_counts_nowhere(store: Store, otlp: Any) -> None:
    tree, _ = TREES["a call that a budget refused"]
    otlp.take(store, otlp.lines(otlp.traces(*spans_of(tree, 1, otlp))))
    [run] = runs(store)
    assert (run.spans, run.model_calls, run.calls_with_usage, run.input_tokens) == (3, 1, 1, 10)
    shown = {span.span_id: span for span in trace(store, "last").spans}[otlp.span_id(3)]
    assert (shown.kind, shown.is_model_call, shown.input_tokens, shown.cost_usd) == ("llm", False, None, None)
    [hit] = search(store, "error:budget_exceeded").hits
    assert (hit.span_id, hit.kind, hit.input_tokens, hit.cost_usd) == (otlp.span_id(3), "llm", None, None)
    rolled = f"SELECT sum(spans), sumIf(spans, call != 'none'), sum(reported_usd) FROM ({rollups.of_spans('start_ns > 0')})"
    assert store.query(rolled).result_rows == [(3, 1, 0.0)]


def test_a_call_that_turns_out_to_have_a_call_inside_is_no_longer_counted(store: Store, otlp: Any) -> None:
    outer, inner = spans_of(TREES["double instrumentation"][0], 1, otlp)
    otlp.take(store, otlp.lines(otlp.traces(outer)))
    assert calls(store, otlp, 1) == [(1, 10)]
    otlp.take(store, otlp.lines(otlp.traces(inner)))
    assert calls(store, otlp, 1) == [(2, 10)]


def test_a_corrected_span_is_judged_anew(store: Store, otlp: Any) -> None:
    """The inner span turns out to be a tool: the outer one is the model call again."""
    outer, inner = spans_of(TREES["double instrumentation"][0], 1, otlp)
    otlp.take(store, otlp.lines(otlp.traces(outer, inner)))
    otlp.take(store, otlp.lines(otlp.traces(otlp.span(2, 1, 1, TOOL))))
    assert calls(store, otlp, 1) == [(1, 10)]


def test_a_changed_parent_is_judged_anew(store: Store, otlp: Any) -> None:
    outer, inner = spans_of(TREES["double instrumentation"][0], 1, otlp)
    otlp.take(store, otlp.lines(otlp.traces(outer, inner)))
    otlp.take(store, otlp.lines(otlp.traces(inner | {"parentSpanId": ""})))
    assert calls(store, otlp, 1) == [(1, 10), (2, 10)]


VIEWS = {
    "spans": "span_id, parent_span_id, kind, name, service, status, state, duration_ns, model, agent, input_tokens, attributes",
    "model_calls": "span_id, kind, model, agent, input_tokens, output_tokens, cost_usd, cost_source, usage_source, state",
    "runs": "name, status, state, spans, errors, agents, models, model_calls, calls_with_usage, input_tokens, output_tokens, cost_usd, partial_cost_usd, unpriced_models",
    "tool_calls": "span_id, tool, agent, arguments, result",
    "contents": "span_id, key, value",
}

KINDS: Sequence[dict[str, Any]] = (
    LLM,
    AGENT,
    EMBEDDING,
    TOOL,
    REFUSED,
    {},
    {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.arguments": "{}"},
)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    size = draw(st.integers(1, 9))
    return [
        (
            number,
            draw(st.integers(0, size)),
            draw(st.sampled_from(KINDS)) | (usage(draw(st.integers(0, 5000)), draw(st.integers(0, 500))) if draw(st.booleans()) else {}),
        )
        for number in range(1, size + 1)
    ]


def test_order_repetition_and_splitting_change_nothing(store: Store, otlp: Any) -> None:
    numbers = itertools.count(1)

    def picture(number: int) -> dict[str, list[tuple[Any, ...]]]:
        found = {}
        for view, columns in VIEWS.items():
            name = "run_id" if view == "runs" else "trace_id"
            rows = store.query(f"SELECT {columns} FROM {view} WHERE {name} = {{id:String}} ORDER BY ALL", {"id": otlp.trace_id(number)})
            found[view] = [tuple(map(repr, row)) for row in rows.result_rows]
        return found

    @given(trees(), st.data())
    @settings(max_examples=10, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # to shrink by whole imports takes minutes
    def check(tree: Tree, data: st.DataObject) -> None:
        plain, mixed = next(numbers), next(numbers)
        started = {number for number, *_ in tree if data.draw(st.booleans())}
        records = spans_of(tree, mixed, otlp)
        records += [{**spans_of([row], mixed, otlp)[0], "endTimeUnixNano": "0", "attributes": []} for row in tree if row[0] in started]
        records += data.draw(st.lists(st.sampled_from(records), max_size=4))
        records = data.draw(st.permutations(records))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(records)), max_size=3)))
        otlp.take(store, otlp.lines(otlp.traces(*spans_of(tree, plain, otlp))))
        for at, (start, end) in enumerate(itertools.pairwise([0, *cuts, len(records)])):
            part = records[start:end]
            if part:
                split = data.draw(st.integers(0, len(part)))
                requests = [otlp.traces(*spans) for spans in (part[:split], part[split:]) if spans]
                otlp.take(store, otlp.lines(*requests) if at % 2 else b"".join(map(otlp.protobuf, requests)))
        assert picture(mixed) == picture(plain)

    check()
    assert store.value("SELECT count() FROM conflicts FINAL") == 0
