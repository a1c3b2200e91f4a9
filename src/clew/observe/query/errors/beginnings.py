"""Where failures began, each once.

A failure travels up: each span around it fails too. A failed span is where one began unless a failed span right below it says the same (its
message is the same, holds that of the other, or one of the two says nothing). A span that tried three times, and failed each time, is three
beginnings below it and none itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from clew.observe.query.errors.fingerprint import MESSAGE, PLACE, STATED, pattern, type_of, whole
from clew.observe.query.filter_sql import Condition
from clew.observe.query.search import DURATION, NUMBER

BELOW = 16
"""Failed spans right below one that are compared with it."""
TELLING = 8
"""Characters from which on a message that is a part of another one says the same: "no" is a part of much."""

COLUMNS: Mapping[str, str] = {
    "began": "start_ns",
    "said": MESSAGE,
    "stated": STATED,
    "of_kind": "toString(kind)",
    "place": PLACE,
    "label": "toString(name)",
    "of_agent": "multiIf(agent != '', toString(agent), kind = 'agent', toString(name), '')",
    "of_model": "toString(if(response_model != '', response_model, request_model))",
    "of_tool": "toString(tool)",
    "of_service": "toString(service)",
    "of_error": "toString(error_type)",
    "of_user": "user_id",
    "lasted": DURATION,
}
"""What is read of a failed span. No name is that of a column of span_records, for the filter's condition is read beside it."""

_FAILED = "status = 'error' AND start_ns BETWEEN {floor:UInt64} AND {ceiling:UInt64}"


def _same(one: str, other: str) -> str:
    """Whether two messages without their variable parts say the same, or one says nothing."""
    held = " OR ".join(
        f"(length({inner}) >= {TELLING} AND position({outer}, substring({inner}, 1, 200)) > 0)"
        for inner, outer in ((other, one), (one, other))
    )
    return f"{one} = {other} OR {one} = '' OR {other} = '' OR {held}"


def beginnings(condition: Condition) -> str:
    """SELECT of the failed spans where a failure began, of those that match: ``trace_id``, ``span_id``, COLUMNS, and ``type`` and ``pattern``,
    which make the fingerprint with ``of_kind`` and ``place``; ``of_agent`` is the nearest agent above where the span names none.

    Its parameters are those of the condition, and ``floor`` and ``ceiling``: when the failed spans start that are looked at.
    """
    read = ", ".join(f"{sql} AS {name}" for name, sql in COLUMNS.items())
    failed = (
        f"SELECT trace_id, span_id, parent_span_id, {condition.sql} AS matches, {read} "
        f"FROM (SELECT * FROM span_records FINAL WHERE {_FAILED}) AS span_records"
    )
    # Each failed span stands in it as itself, and as one below its parent, so that one pass tells both.
    itself = "arrayJoin([(span_id, true), (if(parent_span_id = span_id, '', parent_span_id), false)]) AS at"
    twice = f"SELECT *, {itself} FROM (SELECT *, {whole('said')} AS whole FROM ({failed}))"
    names = (*COLUMNS, "whole")
    own = ", ".join(f"anyIf(t.{name}, t.at.2) AS {name}" for name in names)
    families = (
        f"SELECT t.trace_id AS trace_id, t.at.1 AS span_id, {own}, groupArrayIf({BELOW})(t.whole, NOT t.at.2) AS below "
        f"FROM ({twice}) AS t GROUP BY t.trace_id, t.at.1 HAVING countIf(t.at.2 AND t.matches) > 0"
    )
    # By number and without FINAL: pairs of texts, and days that are not ruled out, took three times as long.
    above = (
        "SELECT trace_id, span_id, argMax(toString(agent), settled_ns) AS above FROM settled "
        "WHERE day >= (SELECT min(day) FROM traces WHERE last_ns >= {floor:UInt64} AND first_ns <= {ceiling:UInt64}) "
        f"AND {NUMBER} IN (SELECT {NUMBER} FROM span_records WHERE {_FAILED} AND agent = '' AND kind != 'agent') "
        "GROUP BY trace_id, span_id HAVING above != ''"
    )
    kept = ", ".join(f"f.{name} AS {name}" for name in COLUMNS if name != "of_agent")
    return (
        f"SELECT f.trace_id AS trace_id, f.span_id AS span_id, {kept}, {type_of('f.stated', 'f.said')} AS type, {pattern('f.whole')} AS pattern, "
        f"if(f.of_agent != '', f.of_agent, s.above) AS of_agent "
        f"FROM ({families}) AS f LEFT ANY JOIN ({above}) AS s USING (trace_id, span_id) "
        f"WHERE NOT arrayExists(c -> {_same('f.whole', 'c')}, f.below)"
    )
