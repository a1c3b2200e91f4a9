"""Errors: failures grouped by fingerprint, with when they came, whom they met, and what is new about them."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple, get_args

from clew.observe.query.filter import Node, Term, leaves, parse, render
from clew.observe.query.filter_sql import Condition, compile, no_text, times_of
from clew.observe.query.run_summary import bucket_of
from clew.observe.query.search import FIELDS, attribute, condition_of
from clew.observe.query.window import Window, timeless, window
from clew.observe.store.normalise import NEWEST_FIRST, NUMBER
from clew.observe.store.store import Store

State = Literal["new", "ongoing", "regressed", "gone"]
Order = Literal["count", "runs", "last", "first", "state"]
ORDERS: tuple[Order, ...] = get_args(Order)

LOOKED_AT = 250_000
"""Most failures that are looked at, the newest."""
FOR_HISTORY = 25_000
"""How many are looked at when those of the question and of the period before are fewer: the others only tell what is new from what came back."""
DAY_NS = 86_400_000_000_000
AFFECTED = 20
"""Names of agents, models and so on of one group: those that come up most."""
BARS = 120
"""Most buckets of time."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The newest failure of a group."""

    run_id: str
    span_id: str
    name: str
    message: str
    """As it was sent, cut after 2,000 characters."""
    start_ns: int


@dataclass(frozen=True, slots=True)
class Error:
    """Failures with one fingerprint. Times are nanoseconds since 1970, UTC."""

    fingerprint: str
    type: str
    """Class of the error; '' when it has none."""
    message: str
    """What the messages have in common: ``#`` stands for what differs."""
    kind: str
    place: str
    """The tool, or the name of the span; '' for calls of models."""
    state: State | None
    """``new``: in the period and never before; ``ongoing``: in it and in the one before; ``regressed``: in it, not in the one before, but
    earlier; ``gone``: not in it, but in the one before. None: in neither, or the one before was not looked at."""
    count: int
    """Failures in the time of the question."""
    before: int
    """Failures in the period before."""
    runs: int
    users: int
    agents: list[str]
    models: list[str]
    tools: list[str]
    services: list[str]
    first_ns: int
    """Start of the earliest of all that were looked at, also before the time of the question."""
    last_ns: int
    counts: list[int]
    """Failures by bucket of time."""
    sample: Sample


@dataclass(frozen=True, slots=True)
class Period:
    """A time, both ends included; nanoseconds since 1970."""

    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Errors:
    """Groups of failures."""

    errors: list[Error]
    more: bool
    """Whether there are more groups than are shown."""
    groups: int
    """Groups with failures in the time of the question."""
    new: int
    regressed: int
    gone: int
    count: int
    """Failures in the time of the question."""
    runs: int
    first_ns: int | None
    """Start of the first bucket of time; a multiple of ``bucket_ns``. None when nothing failed."""
    bucket_ns: int | None
    counts: list[int]
    """Failures of all groups by bucket."""
    period: Period
    """What ``state`` is told of: the time of the question; its last day where it has no beginning."""
    before: Period
    """As long, right before."""
    looked_at: int
    """Failures that were looked at, those outside the time of the question too."""
    since_ns: int | None
    """Failures before this were not looked at; None: all were."""


class Question(NamedTuple):
    """Which failures, and what they are compared with."""

    select: str
    """Of the failures that began, in and before the time of the question."""
    condition: str
    """What the filter says besides its times, over span_records."""
    parameters: dict[str, Any]
    period: Period
    before: Period
    bars: Bars
    looked_at: int
    since_ns: int | None

    @classmethod
    def of(cls, store: Store, text: str, bars: int) -> Question:
        """:raises FilterError: the filter does not parse; points at the character"""
        now, now_ns = datetime.now(UTC), time.time_ns()
        node = parse(text)
        condition_of(store, render(times_of(node)), now=now)  # says what is no time
        within = window(node, now)
        said = timeless(node)
        condition = condition_of(store, render(said), now=now)
        select = _select(said, condition, now)
        last_ns = min(within.last_ns, max(now_ns, within.first_ns))
        length = last_ns - within.first_ns if within.first_ns else DAY_NS
        period = Period(last_ns - length, last_ns)
        before = Period(max(period.first_ns - length - 1, 0), period.first_ns - 1)
        reach = _reach(store, within, before.first_ns)
        first, last = (within.first_ns, last_ns) if within.first_ns else (reach.first_ns, reach.last_ns)
        shown = Bars.of(first, max(first, last), bars)
        parameters = {
            **condition.parameters,
            **select.parameters,
            **within.parameters,
            "floor": reach.since_ns or 0,
            "period_first": period.first_ns,
            "period_last": period.last_ns,
            "before_first": before.first_ns,
            "bucket": shown.bucket_ns,
        }
        return cls(select.sql, condition.sql, parameters, period, before, shown, reach.looked_at, reach.since_ns)


class Bars(NamedTuple):
    """Buckets of time."""

    first: int
    """Number of the first since 1970."""
    size: int
    bucket_ns: int

    @classmethod
    def of(cls, first_ns: int, last_ns: int, about: int) -> Bars:
        bucket_ns = bucket_of(last_ns - first_ns, about)
        first = first_ns // bucket_ns
        return cls(first, last_ns // bucket_ns - first + 1, bucket_ns)

    def counts(self, found: tuple[list[int], list[int]]) -> list[int]:
        counted = dict(zip(*found, strict=True))
        return [counted.get(self.first + bar, 0) for bar in range(self.size)]


class _Reach(NamedTuple):
    looked_at: int
    first_ns: int
    """Start of the earliest failure in the time of the question."""
    last_ns: int
    since_ns: int | None


_KEPT: Final = {
    "kind": "of_kind",
    "name": "label",
    "service": "of_service",
    "agent": "of_agent",
    "model": "of_model",
    "tool": "of_tool",
    "user": "of_user",
    "error": "of_error",
    "fingerprint": "fingerprint",
    "run": "trace_id",
    "span": "span_id",
    "duration": "lasted",
}
"""The column of ``failures`` for each field of a span that is kept there too."""
_FIELDS: Final = {name: replace(FIELDS[name], column_sql=column, table="", own="", equals="") for name, column in _KEPT.items()}


def _select(node: Node, whole: Condition, now: datetime) -> Condition:
    """SELECT of the failures that began in spans that match, from ``floor`` to the end of the window.

    :param whole: what ``node`` says, over span_records
    """
    within = "start_ns BETWEEN {floor:UInt64} AND {window_last:UInt64}"
    failed = f"SELECT * EXCEPT start_ns, start_ns AS began FROM failures FINAL WHERE held AND {within}"
    if all(isinstance(leaf, Term) and not leaf.attribute and leaf.name in _FIELDS for leaf in leaves(node)):
        kept = compile(node, _FIELDS, now=now, text=no_text("a failure"), attribute=attribute, prefix="kept")
        return Condition(f"{failed} AND {kept.sql}", kept.parameters)
    matching = (
        f"SELECT {NUMBER} FROM (SELECT * FROM span_records FINAL WHERE status = 'error' AND {within}) AS span_records WHERE {whole.sql}"
    )
    return Condition(f"{failed} AND {NUMBER} IN ({matching})", {})


def _reach(store: Store, within: Window, before_ns: int) -> _Reach:
    """How far back the failures go that are looked at.

    :param before_ns: start of the period before
    """

    failed = "FROM failures FINAL WHERE held AND start_ns <= {window_last:UInt64}"
    inside = "start_ns BETWEEN {window_first:UInt64} AND {window_last:UInt64}"
    given: dict[str, Any] = dict(within.parameters)
    newest = f"SELECT start_ns {failed} ORDER BY {NEWEST_FIRST} LIMIT {FOR_HISTORY}"
    reached, start = store.query(f"SELECT count(), min(start_ns) FROM ({newest})", given).result_rows[0]
    given["floor"] = min(start, before_ns, within.first_ns) if reached >= FOR_HISTORY else 0
    looked_at = f"SELECT start_ns {failed} AND start_ns >= {{floor:UInt64}} ORDER BY {NEWEST_FIRST} LIMIT {LOOKED_AT}"
    [(count, earliest, first, last, earlier)] = store.query(
        f"SELECT count(), min(start_ns), minIf(start_ns, {inside}), maxIf(start_ns, {inside}), "
        f"(SELECT count() FROM (SELECT 1 {failed} AND start_ns < {{floor:UInt64}} LIMIT 1)) FROM ({looked_at})",
        given,
    ).result_rows
    since = earliest if count >= LOOKED_AT else given["floor"] if earlier else 0
    return _Reach(count, first, last, since or None)


_INSIDE = "began BETWEEN {window_first:UInt64} AND {window_last:UInt64}"
_RECENT = "began BETWEEN {period_first:UInt64} AND {period_last:UInt64}"
_BEFORE = "began BETWEEN {before_first:UInt64} AND {period_first:UInt64} - 1"
_EARLIER = "began < {before_first:UInt64}"


def _names(column: str) -> str:
    return f"arraySort(topKIf({AFFECTED})({column}, {column} != '' AND is_shown))"


_FIGURES = f"""countIf(is_inside) AS count, countIf({_RECENT}) AS recent, countIf({_BEFORE}) AS before, countIf({_EARLIER}) AS earlier,
    uniqExactIf(trace_id, is_inside) AS runs, uniqExactIf(of_user, of_user != '' AND is_inside) AS users,
    {_names("of_agent")} AS agents, {_names("of_model")} AS models, {_names("of_tool")} AS tools, {_names("of_service")} AS services,
    min(began) AS first_ns, max(began) AS last_ns, sumMapIf([intDiv(began, {{bucket:UInt64}})], [1], is_inside) AS counted,
    argMax((trace_id, span_id, label, said, began), began) AS sample,
    any(type) AS type, any(pattern) AS pattern, any(of_kind) AS of_kind, any(place) AS place"""
_STATE = """multiIf(is_all OR {floor:UInt64} > {before_first:UInt64}, '', recent = 0, if(before > 0, 'gone', ''), before > 0, 'ongoing', earlier > 0, 'regressed', 'new')"""
_ORDERS: dict[Order, str] = {
    "count": "count DESC, last_ns DESC",
    "runs": "runs DESC, count DESC",
    "last": "last_ns DESC",
    "first": "first_ns DESC",
    "state": "indexOf(['new', 'regressed', 'ongoing', '', 'gone'], state), count DESC",
}


def failures(question: Question) -> str:
    """SELECT of the failures with their fingerprint, and whether they are in the time of the question, and shown for it or the time before."""
    return f"SELECT *, {_INSIDE} AS is_inside, is_inside OR {_BEFORE} AS is_shown FROM ({question.select})"


def groups(question: Question, where: str = "1") -> str:
    """SELECT of one row for each group and, with ``is_all``, one for all of them."""
    return (
        f"SELECT *, {_STATE} AS state FROM (SELECT fingerprint, grouping(fingerprint) AS is_all, {_FIGURES} "
        f"FROM ({failures(question)}) WHERE {where} GROUP BY GROUPING SETS ((fingerprint), ()))"
    )


def errors(store: Store, text: str = "", *, order: Order = "count", limit: int = 50, bars: int = 24, state: State | None = None) -> Errors:
    """Groups of the failures that began in spans that match the filter; those that are gone too.

    :param bars: about how many buckets of time; they have a length that people say
    :param state: only groups of that state
    :raises FilterError: the filter does not parse; points at the character
    """
    question = Question.of(store, text, bars)
    told = ", ".join(f"countIf(state = '{name}') OVER () AS of_{name}" for name in ("new", "regressed", "gone"))
    first = "is_all DESC, state = {state:String} DESC" if state else "is_all DESC"
    rows = store.rows(
        f"SELECT *, countIf(count > 0 AND NOT is_all) OVER () AS groups, {told} FROM ({groups(question)}) "
        f"WHERE is_all OR count > 0 OR state = 'gone' ORDER BY {first}, {_ORDERS[order]}, fingerprint LIMIT {{ask:UInt64}}",
        {**question.parameters, "ask": limit + 2, "state": state or ""},
    )
    total, *others = rows or [_NONE]
    shown = [row for row in others if state in (None, row["state"])]
    bars_ = question.bars if total["count"] else None
    return Errors(
        [error_of(row, question.bars) for row in shown[:limit]],
        len(shown) > limit,
        total["groups"],
        total["of_new"],
        total["of_regressed"],
        total["of_gone"],
        total["count"],
        total["runs"],
        bars_.first * bars_.bucket_ns if bars_ else None,
        bars_.bucket_ns if bars_ else None,
        bars_.counts(total["counted"]) if bars_ else [],
        question.period,
        question.before,
        question.looked_at,
        question.since_ns,
    )


_NONE = dict.fromkeys(("groups", "of_new", "of_regressed", "of_gone", "count", "runs"), 0)


def error_of(row: dict[str, Any], bars: Bars) -> Error:
    values = row | {
        "message": row["pattern"],
        "kind": row["of_kind"],
        "state": row["state"] or None,
        "counts": bars.counts(row["counted"]),
        "sample": Sample(*row["sample"]),
    }
    return Error(**{field.name: values[field.name] for field in fields(Error)})
