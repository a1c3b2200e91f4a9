"""A run as it reads: what models were told and said, what tools were asked and gave back; what an earlier call has shown is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from clew.observe.query.oddities import ARGUMENT_KEYS, RESULT_KEYS
from clew.observe.query.traces import resolve
from clew.observe.store.schema import select_messages
from clew.observe.store.store import Store

CHARACTERS = 8_000
"""Most of one text; the whole of it is among the contents of its span."""
REMEMBERED = 100
"""Calls before a page in which a message may have been shown: a call repeats what the ones shortly before it said."""


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
_SAID = f"""SELECT span_id, countIf(is_known) AS folded,
    groupArrayIf((direction, role, substringUTF8(content, 1, {{characters:UInt64}}), lengthUTF8(content), shown_parts), NOT is_known) AS said
FROM (
    SELECT span_id, direction, role, content, if(length(parts) <= {{characters:UInt64}} AND (content = '' OR match(parts, 'tool|reason')), parts, '')
            AS shown_parts, start_ns, number, direction != 'output' AND row_number() OVER (
            PARTITION BY role, cityHash64(if(content = '', parts, content)) ORDER BY start_ns, span_id, number) > 1 AS is_known
    FROM (
        SELECT span_id, direction, role, content, parts, start_ns, (indexOf(['system', 'input', 'output'], direction), position) AS number
        FROM ({select_messages("trace_id = {trace:String} AND span_id IN {heard:Array(String)}")}) AS m
        LEFT ANY JOIN (
            SELECT span_id, start_ns FROM span_records FINAL
            WHERE trace_id = {{trace:String}} AND start_ns BETWEEN {{first:UInt64}} AND {{last:UInt64}} AND span_id IN {{heard:Array(String)}}
        ) AS s USING (span_id)
    )
    ORDER BY start_ns, span_id, number
)
WHERE span_id IN {{shown:Array(String)}}
GROUP BY span_id"""
_TOOLS = """SELECT span_id,
    argMinIf(part, indexOf({arguments:Array(String)}, key), has({arguments:Array(String)}, key)) AS arguments,
    argMinIf(part, indexOf({result:Array(String)}, key), has({result:Array(String)}, key)) AS result
FROM (
    SELECT r.span_id AS span_id, r.key AS key, (substringUTF8(p.value, 1, {characters:UInt64}), lengthUTF8(p.value)) AS part
    FROM (
        SELECT span_id, toString(key) AS key, hash FROM span_records FINAL ARRAY JOIN mapKeys(contents) AS key, mapValues(contents) AS hash
        WHERE trace_id = {trace:String} AND start_ns BETWEEN {first:UInt64} AND {last:UInt64} AND span_id IN {called:Array(String)}
            AND has(arrayConcat({arguments:Array(String)}, {result:Array(String)}), key)
    ) AS r
    LEFT ANY JOIN (
        SELECT hash, value FROM payloads WHERE trace_id = {trace:String} AND hash IN (
            SELECT arrayJoin(mapValues(contents)) FROM span_records WHERE trace_id = {trace:String} AND span_id IN {called:Array(String)})
    ) AS p ON r.hash = p.hash
)
GROUP BY span_id"""
_TOOL_KINDS = ("tool", "execution", "git", "retrieval", "memory")
# Whether a span has something to say is seen by its keys: its content is not read for it.
_SPEAKS = """arrayExists(k -> match(k, '^(gen_ai\\.(input\\.messages|output\\.messages|system_instructions)|ai\\.(prompt\\.messages|response\\.text)|events)$'), keys)
    OR arrayExists(k -> match(k, '^(llm\\.(input|output)_messages\\.\\d+\\.message\\.|gen_ai\\.(prompt|completion)\\.\\d+\\.)'), arrayConcat(keys, said_keys))
    OR arrayExists(e -> match(e, '^gen_ai\\.(\\w+\\.message|choice)$'), event_names)"""
_ORDER = f"""SELECT span_id, kind = 'llm' AS is_call, {_SPEAKS} OR span_id IN (
        SELECT span_id FROM log_records WHERE trace_id = {{trace:String}} AND match(event_name, '^gen_ai\\.(\\w+\\.message|choice)$')) AS speaks,
    kind IN {_TOOL_KINDS} AND hasAny(keys, arrayConcat({{arguments:Array(String)}}, {{result:Array(String)}})) AS is_tool
FROM (
    SELECT span_id, start_ns, toString(kind) AS kind, event_names, arrayMap(k -> toString(k), mapKeys(contents)) AS keys,
        arrayMap(k -> toString(k), mapKeys(attributes)) AS said_keys
    FROM span_records FINAL WHERE trace_id = {{trace:String}} AND start_ns BETWEEN {{first:UInt64}} AND {{last:UInt64}}
)
WHERE speaks OR is_tool ORDER BY start_ns, span_id"""


def transcript(store: Store, run_id: str, *, limit: int = 200, offset: int = 0) -> Transcript:
    """The run with that (possibly shortened) id, from its ``offset``-th span with something to say. Only the content of these spans is read,
    and of the REMEMBERED calls before them.

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
    spans = store.query(_ORDER, given).result_rows
    has_calls = any(is_call and speaks for _, is_call, speaks, _ in spans)
    heard = [(span, bool(speaks and (is_call or not has_calls)), bool(is_tool)) for span, is_call, speaks, is_tool in spans]
    heard = [one for one in heard if one[1] or one[2]]
    page = heard[offset : offset + limit]
    shown = [span for span, speaks, _ in page if speaks]
    called = [span for span, _, is_tool in page if is_tool]
    earlier = [span for span, speaks, _ in heard[:offset] if speaks]
    before = earlier[max(len(earlier) - REMEMBERED, 0) :]
    said: dict[str, Any] = {}
    tools: dict[str, Any] = {}
    if shown:
        rows = store.query(_SAID, {**given, "heard": before + shown, "shown": shown}).result_rows
        said = {span: (folded, messages) for span, folded, messages in rows}
    if called:
        tools = {span: (arguments, result) for span, arguments, result in store.query(_TOOLS, {**given, "called": called}).result_rows}
    turns = [
        _passage(span, *said.get(span, (0, [])), *tools.get(span, (None, None))) for span, _, _ in page if span in said or span in tools
    ]
    return Transcript(turns, len(heard) > offset + limit)


def _passage(span_id: str, folded: int, said: list[Any], arguments: Any, result: Any) -> Passage:
    messages = [Said(direction, role, Text(text, size), parts) for direction, role, text, size, parts in said]
    return Passage(span_id, folded, messages, _text(arguments), _text(result))


def _text(given: tuple[str, int] | None) -> Text | None:
    return Text(*given) if given is not None and given[1] else None
