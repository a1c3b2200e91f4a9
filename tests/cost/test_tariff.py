"""Cost of a call: held against genai-prices for every model of its data, and against what providers really charged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_costs import MARCH, as_genai_prices, bodies, charges

from clew.cost.prices import PriceBook, listed_rules
from clew.cost.tariff import CLASSES, Rule, Tariff, charged_tokens, cost, filled
from clew.model.usage import Usage

pytestmark = pytest.mark.needs("genai_prices")

Data = Callable[[str], Path]


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook()


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Closed usage; audio is never read from the cache (genai-prices wants to be told how much was)."""
    size = st.sampled_from([0, 1, 7, 999, 32_001, 128_001, 200_000, 200_001, 1_000_001])
    uncached, read, hour, five = draw(size), draw(size), draw(size), draw(size)
    reasoning, audio_out, answer = draw(size), draw(size), draw(size)
    return Usage(
        input_tokens=uncached + read + hour + five,
        output_tokens=reasoning + audio_out + answer,
        cache_read_tokens=read,
        cache_write_tokens=hour + five,
        cache_write_1h_tokens=hour,
        reasoning_tokens=reasoning,
        audio_input_tokens=draw(st.integers(0, uncached)),
        audio_output_tokens=audio_out,
    )


times = st.integers(1_672_531_200, 1_811_808_000).map(lambda second: datetime.fromtimestamp(second, UTC))


@settings(max_examples=15)
@given(usages(), times)
def test_every_model_of_the_price_data_costs_what_genai_prices_says(usage: Usage, at: datetime) -> None:
    from genai_prices.data import providers

    theirs = as_genai_prices(usage)
    unpriced: list[str] = []
    compared = 0
    for provider, info in [(listed, info) for listed in providers for info in listed.models]:
        tariff = Tariff(provider.id, info.id, provider.id, info.id, "genai-prices", "", listed_rules(info))
        ours = cost(usage, tariff, at)
        if ours is None:
            unpriced.append(info.id)
            continue
        assert ours == pytest.approx(float(info.calc_price(theirs, provider, genai_request_timestamp=at).total_price), rel=1e-9, abs=1e-15)
        compared += 1
    assert compared > 2200
    # Priced by what usage does not count (hours, pages, characters), or listed without a price and not said to be free.
    assert len(unpriced) < 60


@given(usages())
def test_every_token_is_charged_as_exactly_one_class(usage: Usage) -> None:
    charged = charged_tokens(usage)
    assert min(charged.values()) >= 0
    assert sum(charged.values()) == (usage.input_tokens or 0) + (usage.output_tokens or 0)


def utc(*when: int) -> datetime:
    return datetime(*when, tzinfo=UTC)  # type: ignore[misc,arg-type]


def tariff_of(*rules: Rule) -> Tariff:
    return Tariff(None, "m", "p", "m", "override", "v", rules)


def test_each_class_pays_its_own_price() -> None:
    prices = filled({name: ((0, float(10**position)),) for position, name in enumerate(CLASSES)})
    usage = Usage(
        input_tokens=15, cache_read_tokens=2, cache_write_tokens=7, cache_write_1h_tokens=4, audio_input_tokens=5,
        output_tokens=18, reasoning_tokens=7, audio_output_tokens=8,
    )  # fmt: skip
    in_order = [1, 2, 3, 4, 5, 3, 7, 8]
    expected = sum(count * 10**position for position, count in enumerate(in_order)) / 1e6 + 1e8 / 1e3
    assert cost(usage, tariff_of(Rule(prices)), utc(2026, 1, 1)) == pytest.approx(expected)


def test_a_tier_applies_to_all_tokens_once_the_input_exceeds_it() -> None:
    tariff = tariff_of(Rule(filled({"input": ((0, 1.0), (200_000, 2.0)), "output": ((0, 10.0), (200_000, 20.0))})))
    at = utc(2026, 1, 1)
    assert cost(Usage(input_tokens=200_000, output_tokens=100), tariff, at) == pytest.approx(0.2 + 0.001)
    assert cost(Usage(input_tokens=200_001, output_tokens=100), tariff, at) == pytest.approx(0.400002 + 0.002)


def test_the_last_active_rule_holds_and_the_first_when_none_is() -> None:
    one, two, night = (filled({"input": ((0, price),)}) for price in (1.0, 2.0, 0.5))
    start = datetime(2026, 3, 1, tzinfo=UTC)
    tariff = tariff_of(Rule(one, starts=start - timedelta(days=30)), Rule(two, starts=start), Rule(night, day_from_s=59_400, day_to_s=1800))
    million = Usage(input_tokens=1_000_000, output_tokens=0)
    assert cost(million, tariff, utc(2020, 1, 1, 12)) == 1.0
    assert cost(million, tariff, utc(2026, 2, 28, 12)) == 1.0
    assert cost(million, tariff, utc(2026, 3, 1, 12)) == 2.0
    assert cost(million, tariff, utc(2026, 3, 1, 16, 30)) == 0.5
    assert cost(million, tariff, utc(2026, 3, 1, 0, 29, 59)) == 0.5
    assert cost(million, tariff, utc(2026, 3, 1, 0, 30)) == 2.0


def test_unknown_is_none_and_not_zero(book: PriceBook) -> None:
    chat, embeddings = book.tariff("openai", "gpt-4o"), book.tariff("openai", "text-embedding-3-small")
    assert chat is not None
    assert embeddings is not None
    at = utc(2026, 6, 1)
    assert cost(Usage(input_tokens=10), chat, at) is None
    assert cost(Usage(output_tokens=10), chat, at) is None
    assert cost(Usage(), chat, at) is None
    assert cost(Usage(input_tokens=0, output_tokens=0), chat, at) == 0.0
    assert cost(Usage(input_tokens=1_000_000), embeddings, at) == pytest.approx(0.02)
    assert cost(Usage(input_tokens=1, output_tokens=1), tariff_of(Rule({})), at) is None


# Real bodies -----------------------------------------------------------------------------------------------------------------------------


def test_real_bodies_cost_what_genai_prices_says(book: PriceBook, shared_data: Data) -> None:
    seen = Counter(one.reason for one in bodies(shared_data("costs/usage_bodies.json.gz"), book))
    assert seen.pop("equal") > 1850
    assert seen == {
        "image tokens have a price of their own, which usage does not tell apart": 2,
        "audio read from the cache has a price of its own, which usage does not tell apart": 1,
        "listed without a price and not said to be free": 2,
        "the price data was corrected since the file was made": 3,
    }


def test_reported_and_computed_cost_stay_apart_and_each_difference_has_a_reason(book: PriceBook, shared_data: Data) -> None:
    """OpenRouter's charge beside our figure for the same usage, by its price list of November."""
    assert Counter(one.reason for one in charges(shared_data("costs/openrouter_charged.json"), book)) == {
        "equal": 18,
        "the user's own key: OpenRouter charges nothing, the provider charges what we compute": 2,
        "a web search costs 0.01 USD on top of its tokens": 1,
        "the charge holds calls of another model, made by OpenRouter's advisor tool": 2,
        "tokens written to the cache and read again at once are charged twice": 1,
        "charged at another price than the list's": 5,
    }


def test_the_trail_models_cost_their_list_price(book: PriceBook) -> None:
    """Totals of the two TRAIL files, as their README gives them: tokens of model calls alone, no tier, no cache."""
    gaia, swe = book.tariff("openai", "o3-mini"), book.tariff(None, "anthropic/claude-3-7-sonnet-latest")
    assert gaia is not None
    assert swe is not None
    assert cost(Usage(input_tokens=1_884_082, output_tokens=357_419), gaia, MARCH) == pytest.approx(3.6451338, abs=1e-9)
    assert cost(Usage(input_tokens=1_622_036, output_tokens=44_953), swe, MARCH) == pytest.approx(5.540403, abs=1e-9)
