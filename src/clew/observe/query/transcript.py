"""A run as it reads: what models were told and said, what tools were asked and gave back; what an earlier call has shown is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from clew.observe.query.oddities import ARGUMENT_KEYS, RESULT_KEYS
from clew.observe.query.traces import resolve
from clew.observe.store.store import Store

CHARACTERS = 8_000
"""Most of one text; the whole of it is among the contents of its span."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text, cut after CHARACTERS characters."""

    text: str
    characters: int
    """Of all of it."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message."""

    direction: Literal["system", "input", "output"]
    role: str
    content: Text
    parts: str
    """The message's JSON where the sender gave JSON and it holds more than the content, such as calls of tools; '' when it is too long."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What one span adds to the conversation."""

    span_id: str
    folded: int
    """Messages of it that an earlier span has shown."""
    said: list[Said]
    arguments: Text | None
    """What a tool was called with."""
    result: Text | None
    """What a tool gave back."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """Spans with something to say, in the order of their starts."""

    turns: list[Passage]
    more: bool
    """Whether there are later ones."""


# A message is the same when role and text are; one that only calls tools, when its JSON is. What a model says is never folded.
_SAID = """SELECT span_id, countIf(is_known) AS folded,
    groupArrayIf((direction, role, substringUTF8(content, 1, {characters:UInt64}), lengthUTF8(content), shown_parts), NOT is_known) AS said
FROM (
    SELECT span_id, direction, role, content, if(length(parts) <= {characters:UInt64} AND (content = '' OR match(parts, 'tool|reason')), parts, '')
            AS shown_parts, start_ns, number, direction != 'output' AND row_number() OVER (
            PARTITION BY role, cityHash64(if(content = '', parts, content)) ORDER BY start_ns, span_id, number) > 1 AS is_known
    FROM (
        SELECT span_id, direction, role, content, parts, start_ns, kind,
            (indexOf(['system', 'input', 'output'], direction), position) AS number, max(kind = 'llm') OVER () AS has_calls
        FROM (SELECT * FROM messages WHERE trace_id = {trace:String}) AS m
        LEFT ANY JOIN (
            SELECT span_id, start_ns, toString(kind) AS kind FROM span_records FINAL
            WHERE trace_id = {trace:String} AND start_ns BETWEEN {first:UInt64} AND {last:UInt64}
        ) AS s USING (span_id)
    )
    WHERE kind = 'llm' OR NOT has_calls
    ORDER BY start_ns, span_id, number
)
GROUP BY span_id"""
_TOOLS = """SELECT span_id,
    argMinIf(part, indexOf({arguments:Array(String)}, key), has({arguments:Array(String)}, key)) AS arguments,
    argMinIf(part, indexOf({result:Array(String)}, key), has({result:Array(String)}, key)) AS result
FROM (
    SELECT span_id, key, (substringUTF8(value, 1, {characters:UInt64}), lengthUTF8(value)) AS part FROM contents
    WHERE trace_id = {trace:String} AND span_id IN (
        SELECT span_id FROM span_records WHERE trace_id = {trace:String} AND kind IN ('tool', 'execution', 'git', 'retrieval', 'memory'))
)
GROUP BY span_id"""
_ORDER = """SELECT span_id FROM span_records FINAL WHERE trace_id = {trace:String} AND start_ns BETWEEN {first:UInt64} AND {last:UInt64}
ORDER BY start_ns, span_id"""


def transcript(store: Store, run_id: str, *, limit: int = 200, offset: int = 0) -> Transcript:
    """The run with that (possibly shortened) id, from its ``offset``-th span with something to say.

    :raises NotFound: no run has it
    :raises AmbiguousId: several have
    """
    trace_id = resolve(store, run_id)
    [(first, last)] = store.query(
        "SELECT min(first_ns), max(last_ns) FROM traces WHERE trace_id = {trace:String}", {"trace": trace_id}
    ).result_rows
    given = {
        "trace": trace_id,
        "first": first,
        "last": last,
        "characters": CHARACTERS,
        "arguments": list(ARGUMENT_KEYS),
        "result": list(RESULT_KEYS),
    }
    said = {span: (folded, rows) for span, folded, rows in store.query(_SAID, given).result_rows}
    tools = {span: (arguments, result) for span, arguments, result in store.query(_TOOLS, given).result_rows}
    order = [span for (span,) in store.query(_ORDER, given).result_rows if span in said or span in tools]
    turns = [_passage(span, *said.get(span, (0, [])), *tools.get(span, (None, None))) for span in order[offset : offset + limit]]
    return Transcript(turns, len(order) > offset + limit)


def _passage(span_id: str, folded: int, said: list[Any], arguments: Any, result: Any) -> Passage:
    messages = [Said(direction, role, Text(text, size), parts) for direction, role, text, size, parts in said]
    return Passage(span_id, folded, messages, _text(arguments), _text(result))


def _text(given: tuple[str, int] | None) -> Text | None:
    return Text(*given) if given is not None and given[1] else None
