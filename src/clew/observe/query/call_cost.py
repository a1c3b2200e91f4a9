"""How the cost of one model call comes about, line by line."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime

from clew.cost.tariff import charges
from clew.errors import NotFound
from clew.model.usage import Usage
from clew.observe.query.traces import resolve, resolve_span
from clew.observe.store.store import Store


@dataclass(frozen=True, slots=True)
class Line:
    """The tokens of one class, or the call itself."""

    name: str
    """Class of tokens, such as cache_read; ``request`` is what a call costs whatever its tokens."""
    count: int
    price: float
    """USD per million tokens; per thousand calls for ``request``."""
    usd: float


@dataclass(frozen=True, slots=True)
class CallCost:
    """The cost of one model call. Unknown is None."""

    cost_usd: float | None
    source: str
    """``reported``, ``computed``, ``cached``, ``unpriced`` or ``missing`` (docs/cost.md)."""
    reported_usd: float | None
    computed_usd: float | None
    """What the lines add up to, also where a reported cost goes before it."""
    lines: list[Line]
    """None there when no price is known, or no usage."""
    priced_as: str
    """Provider and model of the price data that was used; '' when no price is known."""
    prices: str
    """The price data, with its version or date; '' when no price is known."""


_CALL = f"""SELECT start_ns, provider, request_model, response_model, cost_usd, cost_source, reported_cost_usd,
    {", ".join(field.name for field in fields(Usage))} FROM model_calls WHERE trace_id = {{trace:String}} AND span_id = {{span:String}}"""


def call_cost(store: Store, run_id: str, span_id: str) -> CallCost:
    """The cost of the model call that is a span (shortened ids allowed).

    :raises NotFound: no run, or no span of it, has that id; or it is no model call
    :raises AmbiguousId: several have
    """
    trace_id = resolve(store, run_id)
    span = resolve_span(store, trace_id, span_id)
    rows = store.rows(_CALL, {"trace": trace_id, "span": span})
    if not rows:
        raise NotFound(f"span {span} is no model call")
    row = rows[0]
    book = store.price_book()
    named = (row["response_model"], row["request_model"])
    tariff = next((found for model in named if model and (found := book.tariff(row["provider"] or None, model))), None)
    usage = Usage(**{field.name: row[field.name] for field in fields(Usage)})
    known = usage.input_tokens is not None or usage.output_tokens is not None
    at = datetime.fromtimestamp(row["start_ns"] // 1_000_000_000, UTC)
    lines = charges(usage, tariff, at) if tariff is not None and known else None
    return CallCost(
        row["cost_usd"],
        row["cost_source"],
        row["reported_cost_usd"],
        None if lines is None else sum(line.usd for line in lines),
        [Line(line.name, line.count, line.price, line.usd) for line in lines or ()],
        f"{tariff.matched_provider}:{tariff.matched_model}" if tariff else "",
        tariff.version if tariff else "",
    )
