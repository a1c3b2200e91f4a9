"""Rollups: figures by minute and labels, from which questions about many spans are answered without reading them.

They are settled, not accumulated. A minute is written whole, from the spans that start in it, each once; whatever touches one of them makes
the minute stale until it is written anew, and a stale minute is read from its spans. So an answer is the same whether the minutes that it
covers are rolled up or not (the same SQL makes rows of spans for both), but that percentiles come from t-digests.

A store has none until it holds ROLL_FROM spans: below that its spans are read as fast.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from clew.observe.store.normalise import KIND_SQL, STATUS_SQL
from clew.observe.store.pricing import REFUSED, charged

if TYPE_CHECKING:
    from clew.observe.store.store import Store

ROLL_FROM: Final = 1_000_000
"""Spans from which a store has rollups. Reading them all takes a few hundred milliseconds, as planning a question to the rollups does; and
two tables more would take a third of what a small store takes on disk."""
MINUTE_NS: Final = 60_000_000_000
MINUTE: Final = f"toUInt32(intDiv(start_ns, {MINUTE_NS}))"
"""The minute in which a span starts, since 1970."""

AT_ONCE: Final = 400_000
"""Spans, about, that are read for one writing: some tenths of a second, during which nothing is taken in."""
BUSY: Final = 30_000
"""Spans of a minute beyond which it is not written again and again while spans of it arrive, but when they have ceased for QUIET_S."""
QUIET_S: Final = 10.0
SWEEP_S: Final = 60.0
OLD_SHARE: Final = 0.1
"""How often rows that do not count any more are looked for, and the share of the table beyond which they are removed."""
MOST_RANGES: Final = 100
"""Stale stretches of time that are told apart; those with the smallest gaps between them are read as one."""

LABELS: dict[str, str] = {
    **dict.fromkeys(("service", "workflow", "agent", "persona", "provider", "model", "tool", "name", "error"), "LowCardinality(String)"),
    "kind": KIND_SQL,
    "status": STATUS_SQL,
}
"""What figures can be asked for by, and filtered by, from rollups."""

_CALLS = ("none", "cached", "reported", "missing", "both", "input", "output")
"""Whether the spans are model calls, and where their cost comes from: no cost, a report, no usage, or prices, with input and output tokens or
one of them."""
TIERS: Final = (32_000, 100_000, 128_000, 199_999, 200_000, 256_000, 272_000, 512_000, 524_288)
"""Input tokens above which the price of some model is another one. With prices that have other tiers, costs are taken from spans."""
CHARGED: Final = ("both", "input", "output")
PERCENTILES: Final = "0.5, 0.95, 0.99"

_KEY: dict[str, str] = {
    **LABELS,
    "model_id": "UInt64",  # of the prices that hold: provider, request model and response model, hashed; 0 unless prices make the cost
    "call": "Enum8(" + ", ".join(f"'{name}' = {number}" for number, name in enumerate(_CALLS)) + ")",
    "above": "UInt32",  # the largest of TIERS that the input of each call exceeds
}
_FIGURES: dict[str, str] = {
    "spans": "UInt64",
    "ended": "UInt64",
    "durations": f"AggregateFunction(quantilesTDigest({PERCENTILES}), Int64)",
    "with_usage": "UInt64",
    **dict.fromkeys(("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"), "Nullable(UInt64)"),
    "charged": "Array(Int64)",  # tokens by class, in the order of clew.cost.tariff.CLASSES
    "reported_usd": "Float64",
}
COLUMNS = ", ".join(["at", *_KEY, *_FIGURES])

TABLES = ("rollup_minutes", "rollups")
HOURLY: dict[str, tuple[str, ...]] = {
    "hour": ("kind", "status"),
    "hour by model": ("model", "provider", "status"),
    "hour by agent": ("agent", "status"),
    "hour by service": ("service", "status"),
    "hour by tool": ("tool", "status"),
    "hour by error": ("error", "status"),
    "hour by workflow": ("workflow", "persona", "status"),
    "hour by operation": ("agent", "name", "status"),
}
"""Level -> the labels that its rows have: with few labels, hours have few rows, however many spans there are and whatever their labels."""
_LEVELS = ("minute", *HOURLY)
HOURS: Final = 1 << 31
"""Hours since 1970 are numbered from here, where minutes are numbers as well."""
HOUR_QUIET_S = 60.0
"""An hour is written when nothing has happened in it for so long: until then its minutes answer."""


def parts() -> dict[str, str]:
    """What the .sql files name."""
    levels = "Enum8(" + ", ".join(f"'{name}' = {number}" for number, name in enumerate(_LEVELS)) + ")"
    columns = {"level": levels, "at": "UInt32", "rolled_ns": "UInt64", **_KEY, **_FIGURES}
    return {
        "minute": MINUTE,
        "rollup_columns": ",\n    ".join(f"{name} {kind}" for name, kind in columns.items()),
        "unrolled_columns": ",\n    ".join(f"{name} {kind}" for name, kind in columns.items() if name not in ("level", "rolled_ns")),
        "rollup_key": ", ".join(_KEY),
    }


_TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_HAS_USAGE = "(isNotNull(input_tokens) OR isNotNull(output_tokens))"
MODEL_ID: Final = "cityHash64(provider, request_model, response_model)"


def of_spans(where: str) -> str:
    """SELECT of rows like those of the rollups' minutes, from the spans themselves.

    :param where: a condition on ``start_ns``
    """
    call = (
        "multiIf(NOT is_call, 'none', cache_hit, 'cached', isNotNull(reported_cost_usd), 'reported', NOT has_usage, 'missing', "
        "isNull(output_tokens), 'input', isNull(input_tokens), 'output', 'both')"
    )
    spans = (
        f"SELECT trace_id, span_id, {MINUTE} AS at, kind, name, service, status, agent AS own_agent, workflow, persona, provider, tool, "
        "error_type AS error, if(response_model != '', response_model, request_model) AS model, request_model, response_model, "
        "end_ns > 0 AS has_ended, toInt64(greatest(end_ns, start_ns) - start_ns) AS duration, input_tokens, output_tokens, cache_read_tokens, "
        "cache_write_tokens, cache_write_1h_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, reported_cost_usd, cache_hit, "
        f"{_HAS_USAGE} AS has_usage, {REFUSED} AS refused FROM span_records FINAL WHERE {where}"
    )
    verdicts = (
        "SELECT trace_id, span_id, shadowed, agent AS inherited FROM settled FINAL "
        f"WHERE (shadowed OR agent != '') AND trace_id IN (SELECT trace_id FROM span_records WHERE {where})"
    )
    agent = "multiIf(own_agent != '', toString(own_agent), kind = 'agent', toString(name), toString(inherited))"
    # One step inside the other, for the engine writes out an alias wherever it stands.
    judged = (
        f"SELECT *, {agent} AS agent, (kind = 'llm' OR has_usage) AND NOT shadowed AND NOT refused AS is_call "
        f"FROM ({spans}) AS s LEFT ANY JOIN ({verdicts}) AS v USING (trace_id, span_id)"
    )
    told = f"SELECT *, {call} AS call FROM ({judged})"
    paid = f"SELECT *, call IN {CHARGED} AS is_charged FROM ({told})"
    priced = (
        f"SELECT *, if(is_charged, {MODEL_ID}, 0) AS model_id, if(is_charged, {charged()}, []) AS tokens, "
        f"if(is_charged, arrayLast(t -> t < ifNull(input_tokens, 0), {list(TIERS)}), 0) AS above FROM ({paid})"
    )
    return (
        f"SELECT at, {', '.join(_KEY)}, count() AS spans, countIf(has_ended) AS ended, "
        f"quantilesTDigestStateIf({PERCENTILES})(duration, has_ended) AS durations, countIf(is_call AND has_usage) AS with_usage, "
        f"{', '.join(f'sumIf(x.{name}, is_call) AS {name}' for name in _TOKENS)}, "
        "sumForEach(tokens) AS charged, sumIf(ifNull(reported_cost_usd, 0), call = 'reported') AS reported_usd "
        f"FROM ({priced}) AS x GROUP BY at, {', '.join(_KEY)}"
    )


# --- what is stale --------------------------------------------------------------------------------------------------------------------------


class Range(NamedTuple):
    """Minutes (or hours) since 1970, both included."""

    first: int
    last: int

    def spans(self) -> str:
        """The condition on spans that start in it."""
        return f"start_ns BETWEEN {self.first * MINUTE_NS} AND {(self.last + 1) * MINUTE_NS - 1}"

    def rows(self) -> str:
        """The condition on rows of the minutes in it."""
        return f"at BETWEEN {self.first} AND {self.last}"

    def without(self, taken: Iterable[Range]) -> list[Range]:
        """What is left of it.

        :param taken: in their order; none overlaps another
        """
        left = []
        first = self.first
        for one in taken:
            if first <= (last := min(one.first - 1, self.last)):
                left.append(Range(first, last))
            first = max(first, one.last + 1)
        return [*left, Range(first, self.last)] if first <= self.last else left


def ranges(minutes: Iterable[int], most: int = MOST_RANGES) -> list[Range]:
    """Minutes in their order, as at most so many stretches; those with the smallest gaps between them become one."""
    found = sorted(set(minutes))
    gaps = [after - before for before, after in pairwise(found)]
    allowed = sorted(gaps, reverse=True)[most - 1] if len(gaps) >= most else 1
    stretches: list[Range] = []
    for minute in found:
        if stretches and minute - stretches[-1].last <= max(allowed, 1):
            stretches[-1] = Range(stretches[-1].first, minute)
        else:
            stretches.append(Range(minute, minute))
    return stretches


def any_of(conditions: Sequence[str]) -> str:
    """Their disjunction."""
    return f"({' OR '.join(conditions)})" if conditions else "0"


_MARKED = "FROM rollup_minutes WHERE {where} GROUP BY minute HAVING max(touched_ns) >= max(rolled_ns)"
SETTLING = "settling"
"""The table into which the rows of ``touched`` go that are settled while others are added; made when that happens first."""
_BEGUN = (1 << 32) - 1
"""As a minute of rollup_minutes: whether the minutes of all spans were noted in it, once."""


def exist(store: Store) -> bool:
    """Whether the store has rollups that can be asked."""
    if not store.has_rollups and store.has("rollups"):
        store.has_rollups = bool(store.value(f"SELECT count() FROM rollup_minutes WHERE minute = {_BEGUN}"))
    return store.has_rollups


def _arrived(store: Store, where: str = "1") -> str:
    """SELECT of the minutes of spans that arrived and are not settled; of the tables in the order in which they go through them, so that none
    is missed."""
    tables = ("touched", SETTLING) if store.has(SETTLING) else ("touched",)
    return " UNION DISTINCT ".join(f"SELECT minute FROM {table} WHERE {where}" for table in tables)


def stale(store: Store, first: int, last: int) -> list[int]:
    """The minutes from ``first`` to ``last`` that are not as their spans are, or may be about to be so."""
    within = f"minute BETWEEN {first} AND {min(last, HOURS - 1)}"
    marked = f"SELECT minute {_MARKED.format(where=within)} UNION DISTINCT {_arrived(store, within)}"
    return store.remembered(marked, lambda: [minute for (minute,) in store.query(marked).result_rows])


def stale_hours(store: Store, first: int, last: int) -> dict[int, int]:
    """The hours from ``first`` to ``last`` whose rows are not what their minutes say, and when these last changed (nanoseconds)."""
    hours = f"intDiv(minute, 60) BETWEEN {first} AND {last}"
    changed = (
        f"SELECT if(minute < {HOURS}, intDiv(minute, 60), minute - {HOURS}) AS hour, "
        f"maxIf(greatest(touched_ns, rolled_ns), minute < {HOURS}) AS changed FROM rollup_minutes "
        f"WHERE (minute < {HOURS} AND {hours}) OR minute BETWEEN {HOURS + first} AND {min(HOURS + last, _BEGUN - 1)} "
        f"GROUP BY hour HAVING changed >= maxIf(rolled_ns, minute >= {HOURS})"
    )
    return store.remembered(changed, lambda: store.pairs(changed))


def touch(store: Store, spans: str, parameters: Mapping[str, Any] | None = None) -> None:
    """Marks the minutes of spans as stale, durably.

    :param spans: what follows FROM, of rows with ``start_ns``
    """
    if exist(store):
        store.command(f"INSERT INTO rollup_minutes SELECT DISTINCT {MINUTE}, {time.time_ns()}, 0 FROM {spans}", parameters)
        store.has_stale = True


def touch_arrived(store: Store, table: str) -> None:
    """Marks the minutes of spans that arrived, those in ``table``."""
    if exist(store):
        store.command(f"INSERT INTO rollup_minutes SELECT DISTINCT minute, {time.time_ns()}, 0 FROM {table}")
        store.has_stale = True


# --- writing them ---------------------------------------------------------------------------------------------------------------------------


class Progress(NamedTuple):
    """How much of the store its rollups hold."""

    minutes: int
    """In which a span starts."""
    stale: int
    """Those of them that are read from spans for now."""


def progress(store: Store) -> Progress | None:
    """None when the store has no rollups."""
    if not exist(store):
        return None
    minutes = store.value(f"SELECT uniqExact(minute) FROM rollup_minutes WHERE minute < {HOURS}")
    return Progress(minutes, len(stale(store, 0, HOURS)))


def _begin(store: Store) -> bool:
    """Makes the tables once the store is large enough, and notes all minutes as stale; done again, it changes nothing."""
    if exist(store):
        return True
    if store.rows_in("span_records") < store.roll_from:
        return False
    with store.ingesting:
        for table in TABLES:
            store.make(table)
        store.command(f"INSERT INTO rollup_minutes SELECT DISTINCT {MINUTE}, {time.time_ns()}, 0 FROM span_records")
        store.command(f"INSERT INTO rollup_minutes VALUES ({_BEGUN}, 0, 1)")
    return exist(store)


def roll(store: Store, *, most_s: float = 1.0, stop: Callable[[], bool] = lambda: False) -> bool:
    """Writes stale minutes, the newest first, for about ``most_s`` seconds or until ``stop``; gives back whether some are left.

    Idempotent; broken off anywhere, it goes on from there: a minute counts from the moment when it is written whole.
    """
    if not _begin(store):
        store.has_stale = False
        return False
    deadline = time.monotonic() + most_s
    for chunk in _chunks(store):
        if stop() or time.monotonic() >= deadline:
            return True
        with store.ingesting:
            _write(store, chunk)
    store.has_stale = bool(store.value(f"SELECT count() FROM (SELECT minute {_MARKED.format(where='1')})"))
    if not store.has_stale:
        store.has_stale = _roll_hours(store, deadline, stop)
        _sweep(store)
    return store.has_stale


def _roll_hours(store: Store, deadline: float, stop: Callable[[], bool]) -> bool:
    """Writes hours whose minutes are all written; gives back whether some are left."""
    with store.ingesting:
        changed = stale_hours(store, 0, HOURS // 60)
    quiet = time.time_ns() - int(HOUR_QUIET_S * 1e9)
    ready = sorted((hour for hour, changed_ns in changed.items() if changed_ns <= quiet), reverse=True)
    for start in range(0, len(ready), 24):
        if stop() or time.monotonic() >= deadline:
            return True
        with store.ingesting:
            _write_hours(store, ready[start : start + 24])
    return len(ready) < len(changed)


def _write_hours(store: Store, hours: Sequence[int]) -> None:
    now = time.time_ns()
    minutes = any_of([Range(one.first * 60, one.last * 60 + 59).rows() for one in ranges(hours)])
    written = f"SELECT minute, max(rolled_ns) FROM rollup_minutes WHERE minute < {HOURS} GROUP BY minute"
    source = f"rollups WHERE level = 'minute' AND {minutes} AND intDiv(at, 60) IN ({', '.join(map(str, hours))}) AND (at, rolled_ns) IN ({written})"
    figures = {
        **{name: f"sum(r.{name})" for name in _FIGURES},
        "durations": f"quantilesTDigestMergeState({PERCENTILES})(r.durations)",
        "charged": "sumForEach(r.charged)",
    }
    for level, labels in HOURLY.items():
        key = [*labels, "model_id", "call", "above"]
        store.command(
            f"INSERT INTO rollups (level, rolled_ns, at, {', '.join(key)}, {', '.join(figures)}) "
            f"SELECT '{level}', {now}, {HOURS} + intDiv(r.at, 60) AS hour, {', '.join(key)}, {', '.join(figures.values())} "
            f"FROM (SELECT * FROM {source}) AS r GROUP BY hour, {', '.join(key)}"
        )
    store.command(f"INSERT INTO rollup_minutes SELECT {HOURS} + arrayJoin({list(hours)}), 0, {now}")


def _sweep(store: Store) -> None:
    """Removes rows of earlier writings: at once when spans were removed, else when they are many; most of them go as the engine merges."""
    if not store.has_removed and time.monotonic() - store.swept_at < SWEEP_S:
        return
    old = "(at, rolled_ns) NOT IN (SELECT minute, max(rolled_ns) FROM rollup_minutes GROUP BY minute)"
    with store.ingesting:
        count = store.value(f"SELECT count() FROM rollups WHERE {old}")
        if count and (store.has_removed or count > store.rows_in("rollups") * OLD_SHARE):
            store.command(f"ALTER TABLE {store.engine.placement.kept('rollups')} DELETE WHERE {old} SETTINGS mutations_sync = 1")
    store.has_removed, store.swept_at = False, time.monotonic()


def _chunks(store: Store) -> Iterable[list[int]]:
    """Stale minutes with about AT_ONCE spans together, the newest first; but for those in which much is happening."""
    marked = store.pairs(f"SELECT minute, max(touched_ns) {_MARKED.format(where='1')}")
    arriving = {minute for (minute,) in store.query(_arrived(store)).result_rows}
    waiting = sorted((minute for minute in marked if minute not in arriving), reverse=True)
    quiet = time.time_ns() - int(QUIET_S * 1e9)
    for start in range(0, len(waiting), 1000):
        some = waiting[start : start + 1000]
        where = any_of([one.spans() for one in ranges(some)])
        sizes = store.pairs(f"SELECT {MINUTE} AS minute, count() FROM span_records WHERE {where} GROUP BY minute")
        chunk: list[int] = []
        size = 0
        for minute in some:
            spans = sizes.get(minute, 0)
            if spans > BUSY and marked[minute] > quiet:
                continue
            if chunk and size + spans > AT_ONCE:
                yield chunk
                chunk, size = [], 0
            chunk.append(minute)
            size += spans
        if chunk:
            yield chunk


def _write(store: Store, minutes: Sequence[int]) -> None:
    now = time.time_ns()
    listed = f"({', '.join(map(str, minutes))})"
    where = f"{any_of([one.spans() for one in ranges(minutes)])} AND {MINUTE} IN {listed}"
    store.command(f"INSERT INTO rollups (level, rolled_ns, {COLUMNS}) SELECT 'minute', {now}, {COLUMNS} FROM ({of_spans(where)})")
    store.command(f"INSERT INTO rollup_minutes SELECT arrayJoin({list(minutes)}), 0, {now}")
