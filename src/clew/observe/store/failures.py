"""Where failures began, each once: what the settler keeps of them, so that a question takes no messages apart and follows none of them.

A failure travels up: each span around it fails too. A failed span is where one began unless a failed span right below it says the same (its
message is the same, holds that of the other, or one of the two says nothing). A span that tried three times, and failed each time, is three
beginnings below it and none itself.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from clew.observe.store.fingerprint import MESSAGE, PLACE, STATED, fingerprint, pattern, type_of, whole
from clew.observe.store.normalise import DAY, DURATION, NUMBER

if TYPE_CHECKING:
    from clew.observe.store.store import Store

BELOW: Final = 16
"""Failed spans right below one that are compared with it."""
TELLING: Final = 8
"""Characters from which on a message that is a part of another one says the same: "no" is a part of much."""
LONGEST_MESSAGE: Final = 2_000
"""Characters of a message that are kept of it here; all of it is with its span."""

_OF_SPAN: Final[Mapping[str, str]] = {
    "start_ns": "start_ns",
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
    "day": DAY,
}
"""What is read of a failed span."""

_KEPT: Final[Mapping[str, str]] = {
    "trace_id": "f.trace_id",
    "span_id": "f.span_id",
    **{name: f"f.{name}" for name in _OF_SPAN if name not in ("stated", "said", "of_agent")},
    "said": f"substringUTF8(f.said, 1, {LONGEST_MESSAGE})",
    "of_agent": "if(f.of_agent != '', f.of_agent, s.above)",
    "type": type_of("f.stated", "f.said"),
    "pattern": pattern("f.whole"),
    "fingerprint": fingerprint("type", "pattern", "f.of_kind", "f.place"),
}
"""What is kept of a failure; sql/045_failures.sql says what it is."""


def _same(one: str, other: str) -> str:
    """Whether two messages without their variable parts say the same, or one says nothing."""
    held = " OR ".join(
        f"(length({inner}) >= {TELLING} AND position({outer}, substring({inner}, 1, 200)) > 0)"
        for inner, outer in ((other, one), (one, other))
    )
    return f"{one} = {other} OR {one} = '' OR {other} = '' OR {held}"


def beginnings(spans: str, where: str, settled: str) -> str:
    """SELECT of the failures that began in whole traces.

    :param spans: span_records, with FINAL where a span may be there twice
    :param where: which traces, as a condition on ``spans``
    :param settled: the same, as a condition on ``settled``
    """
    failed = f"{spans} WHERE status = 'error' AND NOT retired AND {where}"
    read = ", ".join(sql if sql == name else f"{sql} AS {name}" for name, sql in _OF_SPAN.items())
    # Each failed span stands in it as itself, and as one below its parent, so that one pass tells both.
    itself = "arrayJoin([(span_id, true), (if(parent_span_id = span_id, '', parent_span_id), false)]) AS at"
    twice = f"SELECT *, {itself} FROM (SELECT *, {whole('said')} AS whole FROM (SELECT trace_id, span_id, parent_span_id, {read} FROM {failed}))"
    own = ", ".join(f"anyIf(t.{name}, t.at.2) AS {name}" for name in (*_OF_SPAN, "whole"))
    families = (
        f"SELECT t.trace_id AS trace_id, t.at.1 AS span_id, {own}, groupArrayIf({BELOW})(t.whole, NOT t.at.2) AS below "
        f"FROM ({twice}) AS t GROUP BY t.trace_id, t.at.1 HAVING countIf(t.at.2) > 0"
    )
    above = (
        "SELECT trace_id, span_id, argMax(toString(agent), settled_ns) AS above FROM settled "
        f"WHERE {settled} AND {NUMBER} IN (SELECT {NUMBER} FROM {failed} AND agent = '' AND kind != 'agent') "
        "GROUP BY trace_id, span_id HAVING above != ''"
    )
    kept = ", ".join(f"{sql} AS {name}" for name, sql in _KEPT.items())
    return (
        f"SELECT {kept} FROM ({families}) AS f LEFT ANY JOIN ({above}) AS s USING (trace_id, span_id) "
        f"WHERE NOT arrayExists(c -> {_same('f.whole', 'c')}, f.below)"
    )


def note(store: Store, spans: str, where: str, settled: str, use: str) -> None:
    """Notes the failures of traces that have just been settled, and that earlier ones of them do not hold any more.

    :param use: the SETTINGS clause to read ``spans`` with; the rest as of beginnings()
    """
    now = time.time_ns()
    earlier = f"SELECT * FROM failures FINAL WHERE held AND {where}"
    store.command(f"INSERT INTO failures SELECT * REPLACE (false AS held, {now} AS settled_ns) FROM ({earlier})")
    store.command(insert(now + 1, beginnings(spans, where, settled)) + use)


def insert(settled_ns: int, found: str) -> str:
    """The statement that keeps them."""
    names = ", ".join(_KEPT)
    return f"INSERT INTO failures ({names}, settled_ns, held) SELECT {names}, {settled_ns}, true FROM ({found})"
