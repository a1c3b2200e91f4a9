"""Costs that the views compute are those of the reference (clew.cost.tariff), and follow prices as they change."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from clew.cost.tariff import CLASSES, DAY_S, Rule, Tariff, cost
from clew.model.usage import Usage
from clew.observe.ingest.spool import sweep
from clew.observe.query.costs import costs
from clew.observe.query.runs import runs
from clew.observe.query.search import search
from clew.observe.store.store import Store

ATTRIBUTES = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "cache_write_1h_tokens": "clew.usage.cache_write_1h.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "audio_input_tokens": "clew.usage.audio.input_tokens",
    "audio_output_tokens": "clew.usage.audio.output_tokens",
}
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
SIZES = st.sampled_from([0, 1, 999, 1000, 1001, 128_000, 200_001, 5_000_000])


def some(draw: st.DrawFn, most: int | None) -> int | None:
    return None if most is None or not draw(st.booleans()) else draw(st.integers(0, most))


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Closed usage of which anything may be unknown."""
    incoming, outgoing = (draw(st.one_of(st.none(), SIZES)) for _ in "io")
    read = some(draw, incoming)
    write = some(draw, None if incoming is None else incoming - (read or 0))
    return Usage(
        input_tokens=incoming,
        output_tokens=outgoing,
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=some(draw, write),
        reasoning_tokens=some(draw, outgoing),
        audio_input_tokens=some(draw, incoming),
        audio_output_tokens=some(draw, outgoing),
    )


PRICES = st.sampled_from([0.0, 0.15, 1.1, 3.0, 75.0])


@st.composite
def rules(draw: st.DrawFn, *, first: bool = False) -> Rule:
    if draw(st.integers(0, 5)) == 0:
        prices = {}
    else:
        above = sorted(draw(st.sets(st.sampled_from([1000, 128_000, 200_000]), max_size=2)))
        prices = {name: ((0, draw(PRICES)), *((size, draw(PRICES)) for size in above)) for name in CLASSES}
    starts = None if first else draw(st.one_of(st.none(), st.integers(-3, 3).map(lambda day: MIDNIGHT + timedelta(days=day))))
    day_from, day_to = (0, DAY_S) if first or draw(st.booleans()) else (draw(st.integers(0, DAY_S - 1)), draw(st.integers(0, DAY_S)))
    return Rule(prices, starts=starts, day_from_s=day_from, day_to_s=day_to)


@st.composite
def tariffs(draw: st.DrawFn) -> Tariff | None:
    if draw(st.integers(0, 7)) == 0:
        return None
    chosen = [draw(rules(first=True)), *draw(st.lists(rules(), max_size=3))]
    return Tariff(None, "", "list", "entry", "genai-prices", "random prices", tuple(chosen))


TIMES = st.integers(-4 * DAY_S, 4 * DAY_S).map(lambda second: MIDNIGHT + timedelta(seconds=second))


@dataclass
class Book:
    """Prices of one's own making, in the place of the price data's."""

    tariffs: dict[str, Tariff | None] = field(default_factory=dict)
    fingerprint: str = ""
    version: str = "random"

    def tariff(self, provider: str | None, model: str) -> Tariff | None:
        return self.tariffs.get(model)


def test_the_views_compute_what_the_reference_does(store: Store, otlp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random usage by random tariffs: dated, tiered, by time of day, without a price."""
    book, numbers = Book(), itertools.count(1)
    monkeypatch.setattr(store, "price_book", lambda: book)

    @given(st.lists(st.tuples(usages(), tariffs(), TIMES), min_size=4, max_size=8))
    @settings(max_examples=25, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # to shrink by whole imports takes minutes
    def check(cases: list[tuple[Usage, Tariff | None, datetime]]) -> None:
        trace = next(numbers)
        spans = []
        for number, (usage, tariff, at) in enumerate(cases, 1):
            book.tariffs[f"model {trace}.{number}"] = tariff
            attributes = {name: value for key, name in ATTRIBUTES.items() if (value := getattr(usage, key)) is not None}
            attributes |= {"gen_ai.operation.name": "chat", "gen_ai.request.model": f"model {trace}.{number}"}
            start = int(at.timestamp()) * otlp.SECOND
            spans.append(otlp.span(number, trace, 0, attributes, startTimeUnixNano=str(start), endTimeUnixNano=str(start + 1)))
        otlp.take(store, otlp.lines(otlp.traces(*spans)))
        rows = store.rows(
            "SELECT computed_cost_usd, cost_usd, cost_source FROM model_calls WHERE trace_id = {id:String} ORDER BY span_id",
            {"id": otlp.trace_id(trace)},
        )
        hits = sorted(search(store, f"run:{otlp.trace_id(trace)}").hits, key=lambda hit: hit.span_id)
        assert [hit.cost_usd for hit in hits] == [None if row["cost_usd"] is None else pytest.approx(row["cost_usd"]) for row in rows]
        for row, (usage, tariff, at) in zip(rows, cases, strict=True):
            wanted = cost(usage, tariff, at) if tariff else None
            case = f"{usage} by {tariff} at {at}"
            assert row["computed_cost_usd"] == (None if wanted is None else pytest.approx(wanted, rel=1e-12, abs=1e-18)), case
            missing = usage.input_tokens is None and usage.output_tokens is None
            source = "missing" if missing else "unpriced" if wanted is None else "computed"
            assert row["cost_source"] == source, case
            assert row["cost_usd"] == (row["computed_cost_usd"] if source == "computed" else None), case

    check()


def call(otlp: Any, number: int, model: str, **more: Any) -> dict[str, Any]:
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": 1_000_000,
        "gen_ai.usage.output_tokens": 100_000,
    }
    made: dict[str, Any] = otlp.span(number, 1, 0, {key: value for key, value in (attributes | more).items() if value is not None})
    return made


def figures(store: Store) -> dict[str, tuple[Any, ...]]:
    rows = store.query(
        "SELECT name, cost_usd, cost_source, reported_cost_usd, computed_cost_usd FROM model_calls ORDER BY name"
    ).result_rows
    return {name: tuple(row) for name, *row in rows}


def test_reported_computed_cached_unpriced_and_missing(store: Store, otlp: Any) -> None:
    cached, no_usage = {"clew.cache.hit": True}, {"gen_ai.usage.input_tokens": None, "gen_ai.usage.output_tokens": None}
    otlp.take(
        store,
        otlp.lines(
            otlp.traces(
                call(otlp, 1, "gpt-4o"),
                call(otlp, 2, "gpt-4o", **{"clew.cost.usd": 0.25}),
                call(otlp, 3, "gpt-4o", **cached),
                call(otlp, 4, "house-model"),
                call(otlp, 5, "gpt-4o", **no_usage),
                call(otlp, 6, "house-model", **no_usage, **{"clew.cost.usd": 0.5}),
                call(otlp, 7, "house-model", **{"gen_ai.response.model": "gpt-4o-2024-08-06"}),
            )
        ),
    )
    priced = pytest.approx(2.5 + 1.0)
    assert figures(store) == {
        "span 1": (priced, "computed", None, priced),
        "span 2": (0.25, "reported", 0.25, priced),
        "span 3": (0, "cached", None, priced),
        "span 4": (None, "unpriced", None, None),
        "span 5": (None, "missing", None, None),
        "span 6": (0.5, "reported", 0.5, None),
        "span 7": (priced, "computed", None, priced),
    }
    [run] = runs(store)
    assert (run.model_calls, run.calls_with_usage, run.cost_usd, run.unpriced_models) == (7, 5, None, ["house-model"])
    assert run.partial_cost_usd == pytest.approx(2 * 3.5 + 0.75)
    total = costs(store).total
    assert (total.cost_usd, total.unpriced_calls, total.unpriced_models) == (None, 1, ["house-model"])
    assert [total.reported_usd, total.computed_usd, total.partial_cost_usd] == pytest.approx([0.75, 7.0, 7.75])


def write_prices(store: Store, text: str, at: int) -> Path:
    path = store.data_dir / "prices.toml"
    path.write_text(text)
    os.utime(path, (at, at))
    store.prices = path
    return path


def test_a_price_that_becomes_known_or_changes_counts_from_the_next_question_on(store: Store, otlp: Any) -> None:
    otlp.take(store, otlp.lines(otlp.traces(call(otlp, 1, "house-model"), call(otlp, 2, "gpt-4o"))))
    assert (runs(store)[0].cost_usd, runs(store)[0].unpriced_models) == (None, ["house-model"])

    write_prices(store, '[[price]]\nmodel = "house-model"\ninput = 1.0\noutput = 10.0\n', 1_000_000_000)
    sweep(store)  # what every command does first
    assert figures(store)["span 1"][:2] == (pytest.approx(2.0), "computed")
    assert runs(store)[0].cost_usd == pytest.approx(2.0 + 3.5)
    assert costs(store).total.unpriced_models == []

    write_prices(
        store,
        '[[price]]\nmodel = "house-model"\ninput = 2.0\noutput = 20.0\n[[price]]\nmodel = "gpt-4o"\ninput = 0\noutput = 0\n',
        1_000_000_001,
    )
    sweep(store)
    assert [row[0] for row in figures(store).values()] == [pytest.approx(4.0), 0]

    write_prices(store, "", 1_000_000_002)
    sweep(store)
    assert [row[:2] for row in figures(store).values()] == [(None, "unpriced"), (pytest.approx(3.5), "computed")]


def test_a_dated_override_holds_from_its_date(store: Store, otlp: Any) -> None:
    write_prices(store, '[[price]]\nmodel = "gpt-4o"\nstarts = 2025-10-10\ninput = 0\noutput = 1.0\n', 1_000_000_000)
    before, after = call(otlp, 1, "gpt-4o"), call(otlp, 2, "gpt-4o")
    start = int(datetime(2025, 10, 10, tzinfo=UTC).timestamp()) * otlp.SECOND
    times = [{"startTimeUnixNano": str(at), "endTimeUnixNano": str(start + 1)} for at in (start - 1, start)]
    otlp.take(store, otlp.lines(otlp.traces(before | times[0], after | times[1])))
    assert [row[0] for row in figures(store).values()] == [pytest.approx(3.5), pytest.approx(0.1)]
    priced = store.query("SELECT DISTINCT price_source FROM model_calls").result_rows
    assert ["prices.toml" in source for (source,) in priced] == [True]


def test_usage_of_any_sender_is_closed_and_no_cost_is_negative(store: Store, otlp: Any) -> None:
    """A sender that counts cached tokens apart from its input (10 + 10,000 cached) means 10,010; nobody is owed money for a call."""
    spans = [
        otlp.span(
            number,
            1,
            0,
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "anthropic",
                "gen_ai.request.model": "claude-sonnet-4-5",
                ATTRIBUTES["input_tokens"]: given_input,
                ATTRIBUTES["cache_read_tokens"]: read,
                ATTRIBUTES["cache_write_tokens"]: write,
                ATTRIBUTES["cache_write_1h_tokens"]: write + 5,
                ATTRIBUTES["output_tokens"]: 5,
                ATTRIBUTES["reasoning_tokens"]: reasoning,
            },
        )
        for number, (given_input, read, write, reasoning) in enumerate(
            [(10, 10_000, 0, 0), (10, 0, 50, 0), (100, 60, 40, 5), (100, 20, 30, 9)], 1
        )
    ]
    otlp.take(store, otlp.lines(otlp.traces(*spans)))
    rows = store.rows("SELECT input_tokens, output_tokens, cost_usd FROM model_calls ORDER BY span_id")
    assert [row["input_tokens"] for row in rows] == [10_010, 60, 100, 100]
    assert [row["output_tokens"] for row in rows] == [5, 5, 5, 14]
    assert all(row["cost_usd"] > 0 for row in rows)
