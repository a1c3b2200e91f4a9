"""Model calls of runs, summed up: what the view ``runs`` joins, in a tenth of the time for a page of runs.

The view prices each call in SQL, and the planning of that alone takes longer than all else of a page. Here the calls are read and priced one by
one, as a search does; beyond MOST_SPANS the engine is faster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clew.observe.query.search import COSTS, cost_of
from clew.observe.store.prices import tariffs
from clew.observe.store.pricing import MAY_COST
from clew.observe.store.store import Store

MOST_SPANS = 10_000
"""Spans of the runs up to which their calls are read one by one, which takes some 10 microseconds each."""


@dataclass(slots=True)
class Calls:
    """Those of one run. Sums are of what is known."""

    models: set[str] = field(default_factory=set)
    unpriced_models: set[str] = field(default_factory=set)
    model_calls: int = 0
    calls_with_usage: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    uncosted: int = 0
    partial_cost_usd: float = 0.0

    def add(self, model: str, input_tokens: int | None, output_tokens: int | None, cost_usd: float | None) -> None:
        has_usage = input_tokens is not None or output_tokens is not None
        self.model_calls += 1
        self.calls_with_usage += has_usage
        self.input_tokens = _sum(self.input_tokens, input_tokens)
        self.output_tokens = _sum(self.output_tokens, output_tokens)
        if model:
            self.models.add(model)
        if cost_usd is not None:
            self.partial_cost_usd += cost_usd
            return
        self.uncosted += 1
        if has_usage:
            self.unpriced_models.add(model)

    def of_run(self) -> dict[str, Any]:
        """What a Run has of them: CALL_COLUMNS."""
        return {
            "models": sorted(self.models),
            "model_calls": self.model_calls,
            "calls_with_usage": self.calls_with_usage,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": None if self.uncosted else self.partial_cost_usd,
            "partial_cost_usd": self.partial_cost_usd,
            "unpriced_models": sorted(self.unpriced_models),
        }


CALL_COLUMNS = tuple(Calls().of_run())
"""Those of the view ``runs`` that are about model calls."""


def _sum(total: int | None, value: int | None) -> int | None:
    return total if value is None else (total or 0) + value


_WITHIN = "trace_id IN {ids:Array(String)}"
OF_SETTLED = f"{_WITHIN} AND day IN {{days:Array(Date)}}"
"""What is settled of runs: their ids may be anywhere in the table, the days on which their spans arrived are few."""
_CALLS = f"""SELECT trace_id, span_id, start_ns, {", ".join(COSTS)} FROM span_records FINAL
WHERE {_WITHIN} AND start_ns BETWEEN {{first:UInt64}} AND {{last:UInt64}} AND ({MAY_COST})"""
_SHADOWED = f"SELECT trace_id, span_id FROM settled WHERE {OF_SETTLED} GROUP BY trace_id, span_id HAVING argMax(shadowed, settled_ns)"


def calls_of(store: Store, given: Mapping[str, Any]) -> dict[str, Calls]:
    """The calls of runs; runs without any are left out.

    :param given: ``ids`` of the runs, between which times their spans start, both included (``first``, ``last``), and the ``days`` on which
        they arrived
    """
    shadowed = store.readers.submit(store.query, _SHADOWED, given)
    prices = store.readers.submit(tariffs, store)
    rows = store.rows(_CALLS, given)
    repeating = set(map(tuple, shadowed.result().result_rows))
    known = prices.result()
    found: dict[str, Calls] = {}
    for row in rows:
        if (row["trace_id"], row["span_id"]) not in repeating:
            model = row["response_model"] or row["request_model"]
            found.setdefault(row["trace_id"], Calls()).add(model, row["input_tokens"], row["output_tokens"], cost_of(row, known))
    return found
