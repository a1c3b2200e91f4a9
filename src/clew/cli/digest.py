"""A run in a few figures and texts: what a report says, bounded whatever the size of the run. Rules only, so the same run gives the same digest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from clew.cli import tree
from clew.cli.failures import Failure, failures
from clew.cli.messages import messages
from clew.model import attributes as a
from clew.observe.query.oddities import Oddities
from clew.observe.query.runs import Run
from clew.observe.query.traces import Span, Trace

Contents = Callable[[str], Mapping[str, str]]
"""Gives the contents of a span by its id."""

STEP_KINDS: Final = frozenset({"workflow", "node", "agent", "task", "execution", "git", "gate", "evaluation"})
"""Kinds that are the structure of a run; model calls, tools and decisions have lists of their own."""
MOST_STEPS, MOST_ROWS, MOST_FAILURES, MOST_DECISIONS = 30, 12, 10, 10
MOST_SHOWN = 3
"""Failures that are shown with what went in and came out."""
_NUMBERS = re.compile(r"\d+")

_GIVEN_AND_MADE: tuple[tuple[str, str], ...] = (
    (a.INPUT, a.OUTPUT),
    (a.TOOL_ARGUMENTS, a.TOOL_RESULT),
    ("input.value", "output.value"),
    ("tool_arguments", "tool_response"),
    ("ai.toolCall.args", "ai.toolCall.result"),
    ("traceloop.entity.input", "traceloop.entity.output"),
    ("langfuse.observation.input", "langfuse.observation.output"),
    ("mlflow.spanInputs", "mlflow.spanOutputs"),
)
"""What a span took in and gave back, in every dialect."""


@dataclass(frozen=True, slots=True)
class Said:
    """What went into a span and what came out of it; '' when it was not recorded."""

    given: str
    made: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A failure with what can be seen of it."""

    failure: Failure
    stack: str
    """Where in the code it was raised; '' when unknown."""
    source: Span
    """Whose input and output ``said`` is: the failed span, or the nearest one above it that has any."""
    said: Said
    before: Span | None
    """The last model call that had begun by the time of the failure, if it was not that call that failed."""
    answer: str
    """What it answered."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Model calls together. Cost is None when that of any call is unknown; ``partial_cost_usd`` is what is known."""

    calls: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    partial_cost_usd: float


@dataclass(frozen=True, slots=True)
class Step:
    """A span of the run's structure, or several with the same names from the root down to them."""

    depth: int
    kind: str
    name: str
    spans: int
    errors: int
    unended: int
    duration_ns: int | None
    """Their durations together."""
    usage: Usage
    """Of all model calls within them."""
    span_id: str
    """The first that failed, else the one that took longest."""


@dataclass(frozen=True, slots=True)
class Row:
    """Calls of one model or one tool."""

    name: str
    calls: int
    errors: int
    duration_ns: int | None
    usage: Usage
    longest_span_id: str
    longest_ns: int | None


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision as it was recorded."""

    span: Span
    reason: str


@dataclass(frozen=True, slots=True)
class Digest:
    """What a report says of a run. Lists are cut to a fixed length; the figure beside each says how many there were."""

    run: Run
    failed: bool
    """Whether its root span says so; a run whose spans failed may have done its work all the same."""
    asked: str
    answered: str
    shown: list[Shown]
    failures: list[Failure]
    """The others, without what went in and came out."""
    failures_found: int
    steps: list[Step]
    steps_found: int
    models: list[Row]
    models_found: int
    tools: list[Row]
    tools_found: int
    decisions: list[Decision]
    decisions_found: int
    gates: list[Span]
    """Those that were not passed first."""
    gates_found: int
    oddities: Oddities
    unended: int
    truncated: list[Span]
    """Model calls whose answer was cut off by a limit of length; the first few."""
    silent: list[Span]
    """Model calls that made no token; the first few."""
    orphans: int
    unpriced: int
    without_usage: int


def digest(trace: Trace, oddities: Oddities, contents: Contents) -> Digest:
    """The digest of a run; ``contents`` is asked for some twenty spans at most."""
    spans = trace.spans
    found = failures(spans)
    calls = [span for span in spans if span.is_model_call]
    shown = [_shown(failure, calls, contents) for failure in found[:MOST_SHOWN]]
    steps, steps_found = _steps(spans)
    models = _rows((call.model, call) for call in calls)
    tools = _rows((span.tool or span.name, span) for span in spans if span.kind in ("tool", "retrieval"))
    decisions = [span for span in spans if span.kind == "decision"]
    gates = sorted([span for span in spans if span.kind == "gate"], key=lambda span: span.attributes.get(a.GATE_RESULT) == "passed")
    asked, answered = _asked_and_answered(spans, contents)
    return Digest(
        run=trace.run,
        failed=bool(spans) and spans[0].status == "error",
        asked=asked,
        answered=answered,
        shown=shown,
        failures=found[MOST_SHOWN:MOST_FAILURES],
        failures_found=len(found),
        steps=steps,
        steps_found=steps_found,
        models=models[:MOST_ROWS],
        models_found=len(models),
        tools=tools[:MOST_ROWS],
        tools_found=len(tools),
        decisions=[_decision(span, contents) for span in decisions[:MOST_DECISIONS]],
        decisions_found=len(decisions),
        gates=gates[:MOST_ROWS],
        gates_found=len(gates),
        oddities=oddities,
        unended=sum(span.state != "ended" for span in spans),
        truncated=[call for call in calls if _is_truncated(call)][:5],
        silent=[call for call in calls if call.output_tokens == 0 and call.status != "error"][:5],
        orphans=trace.orphans,
        unpriced=sum(call.cost_source == "unpriced" for call in calls),
        without_usage=sum(call.cost_source == "missing" for call in calls),
    )


def said(span: Span, contents: Mapping[str, str]) -> Said:
    """What went into a span and what came out; of a model call the last message it was given, and the answer."""
    everything = {**span.attributes, **contents}
    if span.kind == "llm" or span.is_model_call:
        talk = messages(span.attributes, contents)
        given = [message.text for message in talk if message.role not in ("assistant", "model")]
        made = [message.text for message in talk if message.role in ("assistant", "model")]
        ends_with_answer = bool(talk) and talk[-1].role in ("assistant", "model")
        if talk:
            return Said(given[-1] if given else "", made[-1] if ends_with_answer else "")
    for given_key, made_key in _GIVEN_AND_MADE:
        if given_key in everything or made_key in everything:
            return Said(everything.get(given_key, ""), everything.get(made_key, ""))
    return Said("", "")


def _shown(failure: Failure, calls: Sequence[Span], contents: Contents) -> Shown:
    span, source, found = failure.span, failure.span, Said("", "")
    for candidate in (span, *reversed(failure.path)):
        if candidate.content_keys or candidate is span:
            read = said(candidate, contents(candidate.span_id) if candidate.content_keys else {})
            if read.given or read.made:
                source, found = candidate, read
                break
    by_then = span.start_ns + (span.duration_ns or 0)
    before = max((call for call in calls if call.start_ns <= by_then), key=lambda call: call.start_ns, default=None)
    if before is None or before.span_id == span.span_id:
        return Shown(failure, _stack(span), source, found, None, "")
    return Shown(failure, _stack(span), source, found, before, said(before, contents(before.span_id)).made if before.content_keys else "")


_LIBRARY = re.compile(r'File ".*(?:site-packages|dist-packages|/lib/python\d|<frozen )')


def _stack(span: Span) -> str:
    """Where the last exception was raised: the innermost frame, and the innermost two that are not a library's."""
    traces = [text for event in span.events if (text := event.attributes.get(a.EXCEPTION_STACKTRACE, ""))]
    if not traces:
        return ""
    frames = re.findall(r'^ *File ".*(?:\n {4,}.*)*', traces[-1], re.MULTILINE)
    own = [index for index, frame in enumerate(frames) if not _LIBRARY.search(frame)]
    return "\n".join(frames[index] for index in sorted({*own[-2:], *([len(frames) - 1] if frames else [])}))


def _asked_and_answered(spans: Sequence[Span], contents: Contents) -> tuple[str, str]:
    """What the run was given and what it gave: of its root, else of the first and the last model call."""
    if not spans:
        return "", ""
    of_root = said(spans[0], contents(spans[0].span_id) if spans[0].content_keys else {})
    asked, answered = of_root.given, of_root.made
    talking = [span for span in spans if (span.is_model_call or span.kind == "agent") and span.content_keys]
    if not asked and talking:
        first = min(talking, key=lambda span: (span.start_ns, span.depth))
        asked = said(first, contents(first.span_id)).given
    if not answered and talking:
        last = max(talking, key=lambda span: (span.start_ns + (span.duration_ns or 0), -span.depth))
        answered = said(last, contents(last.span_id)).made
    return asked, answered


def _decision(span: Span, contents: Contents) -> Decision:
    reason = contents(span.span_id).get(a.DECISION_REASON, "") if a.DECISION_REASON in span.content_keys else ""
    return Decision(span, reason)


def _is_truncated(call: Span) -> bool:
    reasons = call.attributes.get(a.RESPONSE_FINISH_REASONS, "")
    return any(f'"{reason}"' in reasons for reason in ("length", "max_tokens", "MAX_TOKENS"))


class _Sums:
    """Usage of the model calls within any stretch of the spans."""

    def __init__(self, spans: Sequence[Span]) -> None:
        calls = [span if span.is_model_call else None for span in spans]
        self._calls = tree.sums([call is not None for call in calls])
        self._input = tree.sums([call.input_tokens or 0 if call else 0 for call in calls])
        self._output = tree.sums([call.output_tokens or 0 if call else 0 for call in calls])
        self._known = tree.sums([call is not None and (call.input_tokens, call.output_tokens) != (None, None) for call in calls])
        self._uncosted = tree.sums([call is not None and call.cost_usd is None for call in calls])
        self._cost = [0.0]
        for call in calls:
            self._cost.append(self._cost[-1] + (call.cost_usd or 0.0 if call else 0.0))

    def usage(self, stretches: Sequence[tuple[int, int]]) -> Usage:
        def total(sums: Sequence[int]) -> int:
            return sum(sums[end] - sums[start] for start, end in stretches)

        known = total(self._known)
        cost = max(sum(self._cost[end] - self._cost[start] for start, end in stretches), 0.0)
        return Usage(
            total(self._calls),
            total(self._input) if known else None,
            total(self._output) if known else None,
            None if total(self._uncosted) else round(cost, 12),  # differences of sums: what lies beyond is rounding
            round(cost, 12),
        )


def _usage(calls: Sequence[Span]) -> Usage:
    return _Sums(calls).usage([(0, len(calls))])


def _steps(spans: Sequence[Span]) -> tuple[list[Step], int]:
    """At most MOST_STEPS steps, and how many there would be."""
    groups = _groups(spans, numbered=True)
    if len(groups) > MOST_STEPS:
        groups = _groups(spans, numbered=False)
    ends, sums = tree.ends(spans), _Sums(spans)
    steps = [
        _step(group, [spans[index] for index in group.members], sums.usage([(index, ends[index]) for index in group.members]))
        for group in groups
    ]
    if len(steps) <= MOST_STEPS:
        return steps, len(steps)

    def weight(index: int) -> tuple[bool, int, int]:
        step = steps[index]
        return not step.errors and not step.unended, -(step.duration_ns or 0), index

    kept = sorted(range(len(steps)), key=weight)[:MOST_STEPS]
    return [steps[index] for index in sorted(kept)], len(steps)


@dataclass(slots=True)
class _Group:
    """Spans of one kind and name within one group."""

    depth: int
    kind: str
    name: str
    members: list[int] = field(default_factory=list)


def _groups(spans: Sequence[Span], *, numbered: bool) -> list[_Group]:
    """The steps in the order of their first spans; unless ``numbered``, numbers in names do not tell them apart."""
    groups: dict[tuple[int, str, str], int] = {}
    found: list[_Group] = []
    above: list[tuple[int, int]] = []  # depth of a span of the structure, and its group
    for index, span in enumerate(spans):
        while above and above[-1][0] >= span.depth:
            above.pop()
        if span.kind not in STEP_KINDS and span.depth:
            continue
        name = span.name if numbered else _NUMBERS.sub("#", span.name)
        parent = above[-1][1] if above else -1
        number = groups.setdefault((parent, span.kind, name), len(found))
        if number == len(found):
            found.append(_Group(found[parent].depth + 1 if above else 0, span.kind, name))
        found[number].members.append(index)
        above.append((span.depth, number))
    return found


def _step(group: _Group, members: Sequence[Span], usage: Usage) -> Step:
    failed = [span for span in members if span.status == "error"]
    known = [span.duration_ns for span in members if span.duration_ns is not None]
    return Step(
        group.depth,
        group.kind,
        group.name,
        len(members),
        len(failed),
        sum(span.state != "ended" for span in members),
        sum(known) if known else None,
        usage,
        failed[0].span_id if failed else _longest(members).span_id,
    )


def _longest(spans: Sequence[Span]) -> Span:
    return max(spans, key=lambda span: (span.duration_ns or -1, -span.start_ns))


def _rows(named: Iterable[tuple[str, Span]]) -> list[Row]:
    """One row for each name, dearest and then longest first."""
    groups: dict[str, list[Span]] = {}
    for name, span in named:
        groups.setdefault(name, []).append(span)
    rows = []
    for name, spans in groups.items():
        known = [span.duration_ns for span in spans if span.duration_ns is not None]
        longest = _longest(spans)
        rows.append(
            Row(
                name,
                len(spans),
                sum(span.status == "error" for span in spans),
                sum(known) if known else None,
                _usage([span for span in spans if span.is_model_call]),
                longest.span_id,
                longest.duration_ns,
            )
        )
    return sorted(rows, key=lambda row: (-row.usage.partial_cost_usd, -(row.duration_ns or 0), row.name))
