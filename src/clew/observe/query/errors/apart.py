"""What sets the spans of an error apart: values of fields and attributes that are far more common among them than among like spans."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, NamedTuple, get_args

from clew.model.dialects import COLUMNS
from clew.observe.query.errors.groups import Question, failures
from clew.observe.query.window import SPANS_WITHIN
from clew.observe.store.fingerprint import PLACE
from clew.observe.store.normalise import DAY, DURATION, NEWEST_FIRST, NUMBER, SECOND, literal
from clew.observe.store.store import Store

Against = Literal["place", "kind", "all"]

FAILURES = 1_000
"""Newest failures that are looked at."""
REST = 5_000
"""Newest spans that they are compared with."""
FEWEST = 3
"""Failures from which on something can be told; and with fewer spans than ten times that the comparison is widened."""
DIFFERENCE = 0.2
"""How much larger a value's share among the failures is, for it to be shown."""
SHOWN = 12
LONGEST_VALUE = 120
"""Characters of a value that counts: longer ones are texts."""

_NOT_APART = (
    *(f"@{key}" for column in COLUMNS for key in column.keys),
    *(f"@{name}" for name in ("error.message", "exception.message", "exception.stacktrace", "otel.status_code", "otel.status_description")),
    *(f"@{name}" for name in ("clew.span.kind", "openinference.span.kind", "gen_ai.operation.name")),
    "resource service.name",
)
"""What is a field of its own, and what says that a span failed or of which kind it is: no news of a failure."""

_FIELDS = {
    "service": "toString(service)",
    "model": "toString(if(response_model != '', response_model, request_model))",
    "provider": "toString(provider)",
    "workflow": "toString(workflow)",
    "persona": "toString(persona)",
    "session": "session_id",
    "user": "user_id",
    "scope": "toString(scope_name)",
}
"""Fields of the filter language; the agent stands apart, as it is the one above."""
_NUMBERS = {"duration": DURATION, "input_tokens": "input_tokens", "output_tokens": "output_tokens"}


@dataclass(frozen=True, slots=True)
class Value:
    """A value that is more common among the failures."""

    field: str
    """A field of the filter language, ``@`` and an attribute, or ``resource`` and an attribute of the program."""
    value: str
    failures: int
    """Failures that have it."""
    rest: int
    """Spans among the rest that have it."""


@dataclass(frozen=True, slots=True)
class Number:
    """A figure that differs by half or more: the middle one of the failures and of the rest. ``duration`` is nanoseconds."""

    field: str
    failures: float
    rest: float


@dataclass(frozen=True, slots=True)
class Apart:
    """Failures beside the rest. Nothing can be told of fewer than FEWEST failures."""

    against: Against
    """What the rest is: spans of the same kind and place, of the same kind, or all; without this error, in the time and filter of the question."""
    failures: int
    """Failures that were looked at, the newest."""
    rest: int
    """Spans they were compared with, the newest."""
    values: list[Value]
    """The largest difference first."""
    numbers: list[Number]


_RESTS: dict[Against, str] = {
    "place": f"toString(kind) = {{kind:String}} AND {PLACE} = {{place:String}}",
    "kind": "toString(kind) = {kind:String}",
    "all": "1",
}


def apart(store: Store, question: Question, row: dict[str, Any]) -> Apart:
    """:param row: the group, as groups() gives it"""
    given = {**question.parameters, "fingerprint": row["fingerprint"], "kind": row["of_kind"], "place": row["place"]}
    failed = (
        f"SELECT trace_id, span_id, began AS start_ns, day FROM ({failures(question)}) WHERE fingerprint = {{fingerprint:String}} AND is_inside "
        f"ORDER BY began DESC, span_id, trace_id LIMIT {FAILURES}"
    )
    ours = _Found.of(store, failed, given)
    if len(ours.numbers) < FEWEST:
        return Apart("place", len(ours.numbers), 0, [], [])
    given |= {"ours": ours.numbers}
    for against in get_args(Against):
        newest = (
            f"SELECT trace_id, span_id, start_ns, {DAY} AS day FROM span_records WHERE {SPANS_WITHIN} AND NOT retired "
            f"AND NOT {NUMBER} IN {{ours:Array(UInt64)}} AND {_RESTS[against]} AND {question.condition} ORDER BY {NEWEST_FIRST} LIMIT {REST}"
        )
        rest = _Found.of(store, newest, given)
        if len(rest.numbers) >= 10 * FEWEST:
            break
    if not rest.numbers:
        return Apart(against, len(ours.numbers), 0, [], [])
    given |= {
        "looked_at": ours.numbers + rest.numbers,
        "seconds": sorted({*ours.seconds, *rest.seconds}),
        "first_day": min(ours.first_day, rest.first_day),
    }
    [(here, others, *medians)] = store.query(f"SELECT countIf(here), countIf(NOT here), {_medians()} FROM ({_SPANS})", given).result_rows
    if not others:
        return Apart(against, here, 0, [], [])
    return Apart(against, here, others, _values(store, given, here, others), _numbers(medians))


class _Found(NamedTuple):
    """Spans, so that all about them is read where they are and nowhere else."""

    numbers: list[int]
    seconds: list[int]
    """In which they start: what span_records are ordered by."""
    first_day: date

    @classmethod
    def of(cls, store: Store, spans: str, given: dict[str, Any]) -> _Found:
        """:param spans: SELECT of trace_id, span_id, start_ns and day"""
        return cls(
            *store.query(f"SELECT groupUniqArray({NUMBER}), groupUniqArray({SECOND}), min(day) FROM ({spans})", given).result_rows[0]
        )


_READ = ", ".join(
    [
        "trace_id, span_id, attributes AS of_attributes, resource AS of_resource",
        "multiIf(agent != '', toString(agent), kind = 'agent', toString(name), '') AS own_agent",
        "toString(name) AS of_name",
        *(f"{sql} AS of_{name}" for name, sql in {**_FIELDS, **_NUMBERS}.items()),
    ]
)
_LOOKED_AT = f"{NUMBER} IN {{looked_at:Array(UInt64)}}"
_SPANS = f"""SELECT s.*, if(s.own_agent != '', s.own_agent, a.above) AS of_agent
FROM (SELECT {NUMBER} IN {{ours:Array(UInt64)}} AS here, {_READ} FROM span_records FINAL WHERE {SECOND} IN {{seconds:Array(UInt64)}} AND {_LOOKED_AT}) AS s
LEFT ANY JOIN (
    SELECT trace_id, span_id, argMax(toString(agent), settled_ns) AS above FROM settled WHERE day >= {{first_day:Date}} AND {_LOOKED_AT}
    GROUP BY trace_id, span_id
) AS a USING (trace_id, span_id)"""


def _medians() -> str:
    return ", ".join(
        f"quantileExactIf(0.5)(of_{name}, {who}), countIf(isNotNull(of_{name}) AND {who})"
        for name in _NUMBERS
        for who in ("here", "NOT here")
    )


def _values(store: Store, given: dict[str, Any], here: int, rest: int) -> list[Value]:
    fields = ", ".join(f"('{name}', of_{name})" for name in ("agent", *_FIELDS)) + ", ('name', if({place:String} = '', of_name, ''))"
    pairs = (
        f"arrayConcat([{fields}], "
        "arrayMap((k, v) -> (concat('@', toString(k)), v), mapKeys(of_attributes), mapValues(of_attributes)), "
        "arrayMap((k, v) -> (concat('resource ', toString(k)), v), mapKeys(of_resource), mapValues(of_resource)))"
    )
    wanted = f"p.2 != '' AND length(p.2) <= {LONGEST_VALUE} AND p.1 NOT IN ({', '.join(map(literal, _NOT_APART))})"
    rows = store.query(
        f"SELECT pair.1, pair.2, countIf(here) AS ours, countIf(NOT here) AS others "
        f"FROM (SELECT here, arrayJoin(arrayFilter(p -> {wanted}, {pairs})) AS pair FROM ({_SPANS})) "
        f"GROUP BY pair HAVING ours >= {FEWEST} AND ours / {{here:UInt64}} - others / {{rest:UInt64}} >= {DIFFERENCE} "
        f"ORDER BY ours / {{here:UInt64}} - others / {{rest:UInt64}} DESC, pair LIMIT {SHOWN}",
        {**given, "here": here, "rest": rest},
    ).result_rows
    return [Value(*one) for one in rows]


def _numbers(medians: list[Any]) -> list[Number]:
    found = []
    for place, name in enumerate(_NUMBERS):
        ours, of_ours, others, of_others = medians[4 * place : 4 * place + 4]
        if of_ours >= FEWEST and of_others >= FEWEST and max(ours, others) >= 1.5 * min(ours, others):
            found.append(Number(name, float(ours), float(others)))
    return found
