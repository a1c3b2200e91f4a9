"""Two runs side by side: what each step took and cost in the one and in the other, and which decisions went another way."""

from __future__ import annotations

from dataclasses import dataclass

from clew.observe.query.agent_trace import agent_trace
from clew.observe.query.runs import Run
from clew.observe.query.structure import MOST_SPANS, Structure, structure
from clew.observe.store.store import Store

MOST_STEPS = 5_000


@dataclass(slots=True)
class Side:
    """The spans of one step in one run."""

    spans: int = 0
    errors: int = 0
    duration_ns: int | None = None
    """Sum over those that have ended; None when none has."""
    tokens: int | None = None
    """Input and output; None when none is known."""
    cost_usd: float | None = None
    """Sum over the model calls among them; None when there are none, or that of any is not known."""
    span_id: str = ""
    """The first of them."""
    first_error: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """Spans with the same kinds and names from the root down."""

    path: list[str]
    """Names from the root down, the step's own last."""
    kind: str
    before: Side
    after: Side
    """With ``spans`` 0 where the run does not have it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A decision that both runs took, for the same question at the same place in its order, and took differently."""

    agent: str
    question: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Diff:
    """Two runs."""

    before: Run
    after: Run
    steps: list[Step]
    """In the order of the first run, then what only the second has."""
    only_before: int
    """Steps that only the first has."""
    only_after: int
    turns: list[Turn]
    more: bool
    """Whether not all is in it: a run has more spans than are read, or there are more steps than MOST_STEPS."""


_Path = tuple[tuple[str, str], ...]


def diff(store: Store, before: str, after: str) -> Diff:
    """Two runs by their (possibly shortened) ids.

    :raises NotFound: no run has one of them
    :raises AmbiguousId: several have
    """
    one, two = structure(store, before, limit=MOST_SPANS), structure(store, after, limit=MOST_SPANS)
    left, right = _sides(one), _sides(two)
    paths = list(dict.fromkeys([*left, *right]))
    steps = [Step([name for _, name in path], path[-1][0], left.get(path, Side()), right.get(path, Side())) for path in paths[:MOST_STEPS]]
    return Diff(
        one.run,
        two.run,
        steps,
        sum(path not in right for path in left),
        sum(path not in left for path in right),
        _turns(store, one.run.run_id, two.run.run_id),
        one.more or two.more or len(paths) > MOST_STEPS,
    )


def _sides(shape: Structure) -> dict[_Path, Side]:
    spans = shape.spans
    paths: list[_Path] = []
    sides: dict[_Path, Side] = {}
    uncosted: set[_Path] = set()
    for number, parent in enumerate(spans.parent):
        path = (*(paths[parent] if parent >= 0 else ()), (spans.kind[number], spans.name[number]))
        paths.append(path)
        side = sides.setdefault(path, Side(span_id=spans.span_id[number]))
        side.spans += 1
        if spans.status[number] == "error":
            side.errors += 1
            side.first_error = side.first_error or spans.status_message[number]
        side.duration_ns = _add(side.duration_ns, spans.duration_ns[number])
        for tokens in (spans.input_tokens[number], spans.output_tokens[number]):
            side.tokens = _add(side.tokens, tokens)
        if spans.is_model_call[number]:
            cost = spans.cost_usd[number]
            if cost is None:
                uncosted.add(path)
            side.cost_usd = None if cost is None or path in uncosted else (side.cost_usd or 0.0) + cost
    return sides


def _add(total: int | None, value: int | None) -> int | None:
    return total if value is None else (total or 0) + value


def _turns(store: Store, before: str, after: str) -> list[Turn]:
    one, two = _choices(store, before), _choices(store, after)
    return [
        Turn(agent, question, choice, two[agent, question, number])
        for (agent, question, number), choice in one.items()
        if two.get((agent, question, number), choice) != choice
    ]


def _choices(store: Store, run_id: str) -> dict[tuple[str, str, int], str]:
    """(agent, question, how often it was asked before) -> choice."""
    found: dict[tuple[str, str, int], str] = {}
    asked: dict[tuple[str, str], int] = {}
    for trace in agent_trace(store, run_id).agents:
        for decided in trace.decisions:
            key = (trace.agentId, decided.question or decided.name)
            asked[key] = asked.get(key, -1) + 1
            found[*key, asked[key]] = decided.choice.option if decided.choice else ""
    return found
