"""One error: its failures, newest first, the stack of one, and what sets them apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clew.errors import AmbiguousId, NotFound
from clew.observe.query import cursor
from clew.observe.query.errors.apart import Apart, apart
from clew.observe.query.errors.groups import Error, Question, error_of, failures, groups
from clew.observe.store.store import Store

LONGEST_STACK = 20_000
"""Characters of a stack that are shown."""
NEWEST = 20
"""Failures of which the newest stack is looked for."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure of a group, at the span where it began."""

    run_id: str
    span_id: str
    kind: str
    name: str
    agent: str
    model: str
    tool: str
    service: str
    user_id: str
    message: str
    """As it was sent, cut after 2,000 characters."""
    start_ns: int
    duration_ns: int | None


@dataclass(frozen=True, slots=True)
class Stack:
    """Where in the program the newest failure that says so was raised."""

    run_id: str
    span_id: str
    text: str
    """Cut after LONGEST_STACK characters, from its end: what was raised last stands there."""
    characters: int
    """Of all of it."""


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """A group and its failures in the time of the question."""

    error: Error
    first_ns: int
    """Start of the first bucket of ``error.counts``."""
    bucket_ns: int
    failures: list[Failure]
    """Newest first."""
    more: bool
    next: str | None
    """The cursor of the next page, when there is more."""
    stack: Stack | None
    apart: Apart | None
    """None but on the first page."""


_OF = "startsWith(fingerprint, {fingerprint:String})"
_AFTER = "(began < {at_ns:Int64} OR (began = {at_ns:Int64} AND (span_id, trace_id) > ({at_span:String}, {at_trace:String})))"
_STACK = f"""SELECT trace_id, span_id, if(lengthUTF8(stack) > {LONGEST_STACK}, substringUTF8(stack, -{LONGEST_STACK}), stack), lengthUTF8(stack)
FROM (
    SELECT trace_id, span_id, start_ns, arrayLast((a, n) -> n = 'exception', event_attributes, event_names)['exception.stacktrace'] AS stack
    FROM span_records FINAL
    WHERE trace_id IN {{traces:Array(String)}} AND span_id IN {{spans:Array(String)}} AND start_ns BETWEEN {{first:UInt64}} AND {{last:UInt64}}
)
WHERE stack != '' ORDER BY start_ns DESC LIMIT 1"""


def detail(store: Store, fingerprint: str, text: str = "", *, limit: int = 50, bars: int = 60, after: str | None = None) -> ErrorDetail:
    """The error with that fingerprint, which may be shortened, and its failures among the spans that match the filter.

    :param after: cursor; only what comes after the page that gave it
    :raises NotFound: none of the failures that were looked at has it
    :raises AmbiguousId: several errors have one that begins so
    :raises FilterError: the filter does not parse; points at the character
    :raises QueryError: ``after`` is no cursor
    """
    question = Question.of(store, text, bars)
    row = _row(store, question, fingerprint.strip().lower())
    given = {**question.parameters, "fingerprint": row["fingerprint"], "ask": limit + 1}
    where = "fingerprint = {fingerprint:String} AND is_inside"
    if after is not None:
        given["at_ns"], given["at_span"], given["at_trace"] = cursor.read(after, tuple[int, str, str])
        where += f" AND {_AFTER}"
    rows = store.query(
        f"SELECT trace_id, span_id, of_kind, label, of_agent, of_model, of_tool, of_service, of_user, said, began, lasted "
        f"FROM ({failures(question)}) WHERE {where} ORDER BY began DESC, span_id, trace_id LIMIT {{ask:UInt64}}",
        given,
    ).result_rows
    found = [Failure(*one) for one in rows[:limit]]
    more = len(rows) > limit
    return ErrorDetail(
        error_of(row, question.bars),
        question.bars.first * question.bars.bucket_ns,
        question.bars.bucket_ns,
        found,
        more,
        cursor.write(found[-1].start_ns, found[-1].span_id, found[-1].run_id) if more else None,
        _stack(store, row, found[:NEWEST]),
        apart(store, question, row) if after is None else None,
    )


def _row(store: Store, question: Question, fingerprint: str) -> dict[str, Any]:
    if not fingerprint:
        raise NotFound("an empty fingerprint names no error; list them with: clew errors")
    rows = store.rows(
        f"SELECT * FROM ({groups(question, _OF)}) WHERE NOT is_all ORDER BY fingerprint LIMIT 6",
        {**question.parameters, "fingerprint": fingerprint},
    )
    exact = [row for row in rows if row["fingerprint"] == fingerprint]
    if not rows:
        raise NotFound(f"no error has a fingerprint that starts with {fingerprint[:64]!r}; list them with: clew errors")
    if len(rows) > 1 and not exact:
        named = ", ".join(row["fingerprint"] for row in rows[:5])
        raise AmbiguousId(f"{fingerprint!r} fits several errors: {named}{', …' if len(rows) > 5 else ''}; give more of the fingerprint")
    return (exact or rows)[0]


def _stack(store: Store, row: dict[str, Any], found: list[Failure]) -> Stack | None:
    ids = [(one.run_id, one.span_id, one.start_ns) for one in found] or [(row["sample"][0], row["sample"][1], row["sample"][4])]
    given = {
        "traces": sorted({run for run, _, _ in ids}),
        "spans": sorted({span for _, span, _ in ids}),
        "first": min(at for _, _, at in ids),
        "last": max(at for _, _, at in ids),
    }
    stacks = store.query(_STACK, given).result_rows
    return Stack(*stacks[0]) if stacks else None
