"""What it cost, by any key."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from clew.errors import QueryError
from clew.observe.query.filter import parse
from clew.observe.query.filter_sql import Condition
from clew.observe.query.rolled import Rolled, figures, rolled
from clew.observe.query.search import condition_of
from clew.observe.query.window import SPANS_WITHIN, TRACES_WITHIN, window
from clew.observe.store.rollups import LABELS
from clew.observe.store.store import Store


@dataclass(frozen=True, slots=True)
class Cost:
    """Model calls that share a key, and what they cost. Tokens are None when no call has usage."""

    key: str
    """Value of the key; '' for calls that have none."""
    label: str
    """What to show beside the key: a run's name, else ''."""
    calls: int
    calls_with_usage: int
    input_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: float | None
    """None when any call has no price or no usage; ``partial_cost_usd`` is what is known."""
    partial_cost_usd: float
    reported_usd: float
    computed_usd: float
    unpriced_calls: int
    unpriced_models: list[str]


@dataclass(frozen=True, slots=True)
class Costs:
    """Cost by one key, and in all."""

    by: str
    rows: list[Cost]
    """Dearest first; ``day`` newest first."""
    total: Cost
    prices: str
    """Where the computed figures come from: price data and override file, with version and date."""
    more: bool = False
    """Whether there are more keys than are shown; the total is of all."""


_SESSION = "(SELECT trace_id, anyIf(session_id, session_id != '') AS trace_session FROM span_records FINAL GROUP BY trace_id) AS t USING (trace_id)"
_RUN = "(SELECT run_id AS trace_id, name AS run_name FROM runs) AS r USING (trace_id)"
_COMMIT = """(SELECT made.trace_id AS commit_trace, made.end_ns AS committed_ns, made.commit AS commit, concat(
        if(made_by.agent != '', concat(made_by.agent, ': '), ''), made.files, if(made.files = '1', ' file +', ' files +'), made.insertions, ' −', made.deletions,
        if(toUInt64OrZero(made.conflicts) > 0, concat(', ', made.conflicts, ' in conflict'), ''),
        if(chosen.choice != '', concat(', chose ', chosen.choice), '')) AS commit_label
    FROM (
        SELECT trace_id, span_id, end_ns, attributes['vcs.ref.head.revision'] AS commit, attributes['clew.git.conflicts'] AS conflicts,
            ifNull(toUInt64OrNull(attributes['clew.git.files']), 0)::String AS files, ifNull(toUInt64OrNull(attributes['clew.git.insertions']), 0)::String AS insertions,
            ifNull(toUInt64OrNull(attributes['clew.git.deletions']), 0)::String AS deletions
        FROM span_records FINAL
        WHERE kind = 'git' AND attributes['clew.git.operation'] IN ('commit', 'merge', 'cherry-pick') AND commit != '' AND status != 'error' AND end_ns > 0
            AND (attributes['clew.git.result'] NOT IN ('conflict', 'error') OR attributes['clew.git.resolved'] = 'true')
    ) AS made
    LEFT JOIN (SELECT trace_id, span_id, agent FROM settled FINAL WHERE agent != '') AS made_by ON made.trace_id = made_by.trace_id AND made.span_id = made_by.span_id
    ASOF LEFT JOIN (SELECT trace_id, start_ns, attributes['clew.decision.choice'] AS choice FROM span_records FINAL WHERE kind = 'decision') AS chosen
        ON made.trace_id = chosen.trace_id AND made.end_ns >= chosen.start_ns
) AS g ON model_calls.trace_id = g.commit_trace AND model_calls.start_ns <= g.committed_ns"""
"""Of each call the first commit or merge of its run that ended after the call began, with who made it, its size, and the last decision before."""

_KEYS: dict[str, tuple[str, str, str]] = {
    # key: (SQL of its value, SQL of its label, table joined to model_calls)
    "model": ("model", "''", ""),
    "agent": ("agent", "''", ""),
    "provider": ("provider", "''", ""),
    "persona": ("persona", "''", ""),
    "workflow": ("workflow", "''", ""),
    "service": ("service", "''", ""),
    "run": ("trace_id", "any(run_name)", f"LEFT JOIN {_RUN}"),
    "session": ("if(session_id != '', session_id, trace_session)", "''", f"LEFT JOIN {_SESSION}"),
    "commit": ("commit", "any(commit_label)", f"ASOF LEFT JOIN {_COMMIT}"),
    "day": ("toString(toDate(start_time, 'UTC'))", "''", ""),
}
KEYS = tuple(_KEYS)
_ROLLED = {
    **{name: f"toString({name})" for name in _KEYS if name in LABELS},
    "day": "toString(toDate(toDateTime(r.at * 60, 'UTC')))",
}
"""Keys whose figures rollups hold, and their SQL over the rows."""
_NOTHING = Cost("", "", 0, 0, None, None, None, None, None, 0.0, 0.0, 0.0, 0.0, 0, [])

_FIGURES = """count() AS calls,
    countIf(usage_source != 'missing') AS calls_with_usage,
    sum(input_tokens) AS input_tokens,
    sum(cache_read_tokens) AS cache_read_tokens,
    sum(cache_write_tokens) AS cache_write_tokens,
    sum(output_tokens) AS output_tokens,
    sum(reasoning_tokens) AS reasoning_tokens,
    sum(ifNull(cost_usd, 0)) AS partial_cost_usd,
    if(countIf(isNull(cost_usd)) > 0, NULL, partial_cost_usd) AS cost_usd,
    sumIf(ifNull(cost_usd, 0), cost_source = 'reported') AS reported_usd,
    sumIf(ifNull(cost_usd, 0), cost_source = 'computed') AS computed_usd,
    countIf(cost_source = 'unpriced') AS unpriced_calls,
    arraySort(groupUniqArrayIf(model, cost_source = 'unpriced')) AS unpriced_models"""


def costs(store: Store, *, by: str = "model", limit: int = 100, where: str = "") -> Costs:
    """Cost by one of KEYS.

    :param where: filter (search.py); only the calls that match
    :raises QueryError: ``by`` is none of them
    :raises FilterError: the filter does not parse; points at the character
    """
    if by not in _KEYS:
        near = get_close_matches(by, KEYS, 1)
        raise QueryError(f"cost cannot be shown by {by!r}{f'; did you mean {near[0]!r}?' if near else ''}; choose one of {', '.join(KEYS)}")
    source = rolled(store, where, datetime.now(UTC), by=(by,) if by in LABELS else ()) if by in _ROLLED else None
    if source is not None:
        return _of_rollups(store, source, by, limit)
    matching = calls_of(store, where) if where.strip() else Condition("1", {})
    key, label, table = source_of(by, matching.sql)
    order = "key DESC" if by == "day" else "partial_cost_usd DESC, calls DESC, key"
    total, *rows = store.rows(
        f"SELECT {key} AS key, {label} AS label, {_FIGURES} FROM {table} "
        f"GROUP BY GROUPING SETS ((key), ()) ORDER BY grouping(key) DESC, {order} LIMIT {{limit:UInt64}} "
        "SETTINGS prefer_column_name_to_alias = 1",
        {**matching.parameters, "limit": limit + 2},
    )
    more = len(rows) > limit
    return Costs(by, [_cost(row) for row in rows[:limit]], replace(_cost(total), key="", label=""), prices(store), more)


def source_of(by: str, where: str) -> tuple[str, str, str]:
    """SQL of one of KEYS, of what to show beside it, and of the model calls that have it, for FROM.

    :param where: a condition on the view model_calls
    """
    key, label, joined = _KEYS[by]
    return key, label, f"(SELECT * FROM model_calls WHERE {where}) AS model_calls {joined}".rstrip()


def _of_rollups(store: Store, rows: Rolled, by: str, limit: int) -> Costs:
    order = "key DESC" if by == "day" else "partial_cost_usd DESC, calls DESC, key"

    found = store.rows(
        f"SELECT * FROM ({figures(rows, {'key': _ROLLED[by]}, parts=['calls'], with_total=True)}) WHERE calls > 0 "
        f"ORDER BY is_total DESC, {order} LIMIT {{limit:UInt64}}",
        {**rows.parameters, "limit": limit + 2},
    )
    total, *by_key = [_cost(row | {"label": ""}) for row in found] or [_NOTHING]
    return Costs(by, by_key[:limit], replace(total, key=""), prices(store), len(by_key) > limit)


def calls_of(store: Store, where: str) -> Condition:
    """The model calls among the spans that match a filter, as a condition on the view model_calls.

    :raises FilterError: the filter does not parse; points at the character
    """
    now = datetime.now(UTC)
    matching = condition_of(store, where, now=now)
    return Condition(
        f"{TRACES_WITHIN} AND {SPANS_WITHIN} AND (trace_id, span_id) IN "
        f"(SELECT trace_id, span_id FROM span_records FINAL WHERE {SPANS_WITHIN} AND {matching.sql})",
        {**window(parse(where), now).parameters, **matching.parameters},
    )


def _cost(row: dict[str, Any]) -> Cost:
    return Cost(**{field.name: row[field.name] for field in fields(Cost)})


def prices(store: Store) -> str:
    """Where computed figures come from."""
    return store.price_book().version
