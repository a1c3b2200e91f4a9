"""What a list of runs is made of: when they started and how they ended, how often each value occurs; and the shape of single runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clew.observe.query.runs import newest
from clew.observe.store.store import Store

LOOKED_AT = 2_000
"""Most runs that are summed up: some 600 ms of CPU at 20 spans each, and a list that is followed asks every second."""
OUTCOMES = ("ok", "error", "running", "lost")
BARS = 120
"""Most bars of a histogram."""
SLOTS = 24
"""Parts that a run's time is cut into for its shape."""
MOST_SHAPES = 200


@dataclass(frozen=True, slots=True)
class Counted:
    """A value and how many runs have it; '' for those that have none."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Facet:
    """The most frequent values of a field."""

    field: str
    values: list[Counted]
    more: bool
    """Whether there are more values than are shown."""


@dataclass(frozen=True, slots=True)
class Starts:
    """How many runs started in each bucket of time, by outcome."""

    first_ns: int
    """Start of the first bucket; a multiple of ``bucket_ns``."""
    bucket_ns: int
    ok: list[int] = field(default_factory=list)
    error: list[int] = field(default_factory=list)
    running: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The runs that match, among the newest LOOKED_AT that the filter's times do not rule out."""

    runs: int
    failed: int
    running: int
    lost: int
    cost_usd: float | None
    """None when that of any run is not known; ``partial_cost_usd`` is what is known."""
    partial_cost_usd: float
    looked_at: int
    more: bool
    """Whether older runs were not looked at."""
    starts: Starts | None
    """None when no run matches."""
    facets: list[Facet]


@dataclass(frozen=True, slots=True)
class Shape:
    """How a run's spans lie in its time, cut into SLOTS equal parts."""

    run_id: str
    spans: list[int]
    """Spans that start in each part."""
    errors: list[int]
    """Those of them that failed."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """Runs that are not there are left out."""

    shapes: list[Shape]


_NICE_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600, 2592000)
_COSTS = """SELECT if(countIf(model_calls > 0 AND isNull(cost_usd)) > 0, NULL, sum(ifNull(cost_usd, 0))) AS cost, sum(partial_cost_usd) AS partial,
    sumMap(models, arrayMap(m -> 1, models)) AS of_models FROM ({found}) SETTINGS prefer_column_name_to_alias = 1"""
_OUTCOME = "multiIf(state != 'ended', state, status = 'error', 'error', 'ok')"
_COUNTS = f"""SELECT pair.1, pair.2, count() AS n FROM (
    SELECT arrayJoin(arrayConcat([('status', status), ('state', state), ('name', name), ('service', service),
        (concat('@', outcome), toString(intDiv(start_ns, 1000000000)))], arrayMap(a -> ('agent', a), agents))) AS pair
    FROM (SELECT *, {_OUTCOME} AS outcome FROM ({{found}}))
) GROUP BY pair ORDER BY n DESC, pair.2"""
"""What is grouped by is a pair of what it is and its value: one pass for every field, and for the second in which a run of each outcome started."""
FIELDS = ("status", "state", "agent", "model", "name", "service")
"""Fields of a filter that are counted, in the order in which they are shown."""


def summary(store: Store, text: str = "", *, bars: int = 60, values: int = 8) -> RunSummary:
    """Totals, starts over time and facets of the runs that match the filter (RUN_FIELDS).

    :param bars: about how many buckets of time; they have a length that people say, such as 15 minutes
    :param values: most values of each facet
    :raises FilterError: the filter does not parse; points at the character
    """
    found = newest(store, text, most=LOOKED_AT)
    more = found.looked_at >= LOOKED_AT
    costs = store.readers.submit(store.rows, _COSTS.format(found=found.select_with_calls), found.parameters)
    counted: dict[str, list[tuple[str, int]]] = {}
    for name, value, count in store.query(_COUNTS.format(found=found.select), found.parameters).result_rows:
        counted.setdefault(name, []).append((value, count))
    [totals] = costs.result()
    counted["model"] = sorted(zip(*totals["of_models"], strict=True), key=lambda pair: (-pair[1], pair[0]))
    outcomes = {outcome: [(int(second), count) for second, count in counted.get(f"@{outcome}", ())] for outcome in OUTCOMES}
    sums = {outcome: sum(count for _, count in every) for outcome, every in outcomes.items()}
    if not any(sums.values()):
        return RunSummary(0, 0, 0, 0, 0.0, 0.0, found.looked_at, more, None, [])
    return RunSummary(
        sum(sums.values()),
        sums["error"],
        sums["running"],
        sums["lost"],
        totals["cost"],
        totals["partial"],
        found.looked_at,
        more,
        _starts(outcomes, bars),
        [_facet(name, counted.get(name, []), values) for name in FIELDS],
    )


def _starts(outcomes: Mapping[str, Sequence[tuple[int, int]]], bars: int) -> Starts:
    """From how many runs started in which second, by outcome."""
    seconds = [second for every in outcomes.values() for second, _ in every]
    width_s = _width_s(max(seconds) - min(seconds), bars)
    first = min(seconds) // width_s
    columns = {outcome: [0] * (max(seconds) // width_s - first + 1) for outcome in OUTCOMES}
    for outcome, every in outcomes.items():
        for second, count in every:
            columns[outcome][second // width_s - first] += count
    return Starts(first * width_s * 1_000_000_000, width_s * 1_000_000_000, **columns)


def _facet(name: str, rows: list[tuple[str, int]], values: int) -> Facet:
    return Facet(name, [Counted(*row) for row in rows[:values]], len(rows) > values)


def bucket_of(span_ns: int, bars: int) -> int:
    """Length of a bucket that people say, such as 15 minutes, of which about ``bars`` make up that time."""
    return _width_s(span_ns / 1e9, bars) * 1_000_000_000


def _width_s(seconds: float, bars: int) -> int:
    wanted = seconds / max(bars, 1)
    longest = _NICE_S[-1]
    return next((length for length in _NICE_S if length >= wanted), math.ceil(wanted / longest) * longest)


_SHAPES = """SELECT trace_id, least(intDiv((start_ns - first) * {slots:UInt64}, greatest(last - first, 1)), {slots:UInt64} - 1) AS slot,
    uniqExact(span_id) AS spans, uniqExactIf(span_id, status = 'error') AS errors
FROM (SELECT trace_id, span_id, start_ns, status FROM span_records
    WHERE trace_id IN {ids:Array(String)} AND start_ns BETWEEN {first:UInt64} AND {last:UInt64}) AS s
JOIN (SELECT trace_id, min(first_ns) AS first, max(last_ns) AS last FROM traces WHERE trace_id IN {ids:Array(String)} GROUP BY trace_id) AS t
    USING (trace_id)
GROUP BY trace_id, slot"""


def shapes(store: Store, run_ids: Sequence[str]) -> Shapes:
    """The shapes of runs, by their whole ids, in that order."""
    ids = list(dict.fromkeys(run_ids))[:MOST_SHAPES]
    given = {"ids": ids, "slots": SLOTS}
    [(first, last)] = store.query("SELECT min(first_ns), max(last_ns) FROM traces WHERE trace_id IN {ids:Array(String)}", given).result_rows
    found: dict[str, Shape] = {}
    for run_id, slot, spans, errors in store.query(_SHAPES, {**given, "first": first, "last": last}).result_rows:
        shape = found.setdefault(run_id, Shape(run_id, [0] * SLOTS, [0] * SLOTS))
        shape.spans[slot] = spans
        shape.errors[slot] = errors
    return Shapes([found[run_id] for run_id in ids if run_id in found])
