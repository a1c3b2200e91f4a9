"""What it cost, by any key."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any

from clew.errors import QueryError
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


_SESSION = "(SELECT trace_id, anyIf(session_id, session_id != '') AS trace_session FROM span_records FINAL GROUP BY trace_id) AS t USING (trace_id)"
_RUN = "(SELECT run_id AS trace_id, name AS run_name FROM runs) AS r USING (trace_id)"

_KEYS: dict[str, tuple[str, str, str]] = {
    # key: (SQL of its value, SQL of its label, table joined to model_calls)
    "model": ("model", "''", ""),
    "agent": ("agent", "''", ""),
    "provider": ("provider", "''", ""),
    "service": ("service", "''", ""),
    "run": ("trace_id", "any(run_name)", f"LEFT JOIN {_RUN}"),
    "session": ("if(session_id != '', session_id, trace_session)", "''", f"LEFT JOIN {_SESSION}"),
    "day": ("toString(toDate(start_time, 'UTC'))", "''", ""),
}
KEYS = tuple(_KEYS)

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


def costs(store: Store, *, by: str = "model", limit: int = 100) -> Costs:
    """Cost by one of KEYS.

    :raises QueryError: ``by`` is none of them
    """
    if by not in _KEYS:
        near = get_close_matches(by, KEYS, 1)
        raise QueryError(f"cost cannot be shown by {by!r}{f'; did you mean {near[0]!r}?' if near else ''}; choose one of {', '.join(KEYS)}")
    key, label, joined = _KEYS[by]
    order = "key DESC" if by == "day" else "partial_cost_usd DESC, calls DESC, key"
    total, *rows = store.rows(
        f"SELECT {key} AS key, {label} AS label, {_FIGURES} FROM model_calls {joined} GROUP BY GROUPING SETS ((key), ()) "
        f"ORDER BY grouping(key) DESC, {order} LIMIT {{limit:UInt64}} SETTINGS prefer_column_name_to_alias = 1",
        {"limit": limit + 1},
    )
    return Costs(by, [_cost(row) for row in rows], replace(_cost(total), key="", label=""), prices(store))


def _cost(row: dict[str, Any]) -> Cost:
    return Cost(**{field.name: row[field.name] for field in fields(Cost)})


def prices(store: Store) -> str:
    """Where computed figures come from."""
    return store.price_book().version
