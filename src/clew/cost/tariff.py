"""A tariff: what a model's tokens cost, when, and who says so; and the cost of a call by it.

This is the reference of the same arithmetic in SQL (observe/store/pricing.py). The rules are those of genai-prices: the last rule that is
active at the call's start holds, the first if none is; once a call's input exceeds a tier's threshold, all its tokens pay that tier.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from clew.model.usage import Usage

PriceSource = Literal["genai-prices", "override"]

Tiers = tuple[tuple[int, float], ...]
"""(input tokens above which it applies, USD per million tokens), ascending; the first is (0, base price)."""

FALLBACK: Final[dict[str, str]] = {
    "cache_read": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "audio_input": "input",
    "reasoning": "output",
    "audio_output": "output",
}
"""Class of tokens -> the class it is charged as when it has no price of its own."""

INPUT_CLASSES: Final = ("input", "cache_read", "cache_write", "cache_write_1h", "audio_input")
OUTPUT_CLASSES: Final = ("output", "reasoning", "audio_output")
CLASSES: Final = (*INPUT_CLASSES, *OUTPUT_CLASSES, "request")
"""The closed set of what has a price. ``request`` is USD per thousand calls, all others USD per million tokens."""

DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Rule:
    """Prices and when they hold. ``prices`` names every class of CLASSES; empty, it says that the price is unknown while the rule holds."""

    prices: dict[str, Tiers]
    starts: datetime | None = None
    """UTC; None: always."""
    day_from_s: int = 0
    day_to_s: int = DAY_S
    """Seconds of the day, UTC, end excluded; wraps over midnight when the end is before the start."""
    source: PriceSource = "genai-prices"

    def active(self, at: datetime) -> bool:
        if self.starts is not None and at < self.starts:
            return False
        second = at.hour * 3600 + at.minute * 60 + at.second
        if self.day_to_s < self.day_from_s:
            return second >= self.day_from_s or second < self.day_to_s
        return self.day_from_s <= second < self.day_to_s


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a (provider, model) of the records costs, with its provenance."""

    provider: str | None
    model: str
    """The pair asked for, exactly as it stands in the records."""
    matched_provider: str
    matched_model: str
    """The entry that was found, by its ids in the price data or in the user's file."""
    source: PriceSource
    """'override' when any rule is the user's; each rule carries its own source."""
    version: str
    """Of the source: 'genai-prices 0.2.3', or the override file's name and date."""
    rules: tuple[Rule, ...]
    """At least one; the last active one holds."""

    def rule_at(self, at: datetime) -> Rule:
        """The rule that holds at a time; a time without a zone is UTC."""
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        return next((rule for rule in reversed(self.rules) if rule.active(at)), self.rules[0])


def filled(prices: dict[str, Tiers]) -> dict[str, Tiers]:
    """``prices`` with every class of CLASSES: a class without a price is charged as the class it is a part of, else nothing."""
    for name in CLASSES:
        if name not in prices:
            prices = prices | {name: prices[FALLBACK[name]] if name in FALLBACK else ((0, 0.0),)}
    return prices


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of a bill: the tokens of one class, or the call itself."""

    name: str
    """One of CLASSES."""
    count: int
    """Tokens; 1 for ``request``."""
    price: float
    """USD per million tokens; per thousand calls for ``request``."""
    usd: float


def cost(usage: Usage, tariff: Tariff, at: datetime) -> float | None:
    """Cost in USD of one call that started at ``at``, or None when it is not known."""
    found = charges(usage, tariff, at)
    return None if found is None else sum(charge.usd for charge in found)


def charges(usage: Usage, tariff: Tariff, at: datetime) -> list[Charge] | None:
    """What makes up the cost of one call that started at ``at``, every class that was used or has a price; None when it is not known.

    Not known means: no price holds then, or input or output is unknown and not free of charge. Audio that was read from the cache is
    charged as cached.
    """
    prices = tariff.rule_at(at).prices
    if not prices or (usage.input_tokens is None and _charged(prices, INPUT_CLASSES)):
        return None
    if usage.output_tokens is None and _charged(prices, OUTPUT_CLASSES):
        return None
    total_input = usage.input_tokens or 0
    priced = [(name, count, _price(prices[name], total_input)) for name, count in charged_tokens(usage).items() if count]
    found = [Charge(name, count, price, count * price / 1e6) for name, count, price in priced]
    request = _price(prices["request"], total_input)
    return [*found, Charge("request", 1, request, request / 1e3)] if request else found


def charged_tokens(usage: Usage) -> dict[str, int]:
    """Class -> how many tokens are charged as it. The classes do not overlap and sum to input and output; an unknown count is 0."""
    uncached = max(usage.uncached_tokens or 0, 0)
    hour = min(usage.cache_write_1h_tokens or 0, usage.cache_write_tokens or 0)
    audio_in = min(usage.audio_input_tokens or 0, uncached)
    outgoing = usage.output_tokens or 0
    reasoning = min(usage.reasoning_tokens or 0, outgoing)
    audio_out = min(usage.audio_output_tokens or 0, outgoing - reasoning)
    return {
        "input": uncached - audio_in,
        "cache_read": usage.cache_read_tokens or 0,
        "cache_write": (usage.cache_write_tokens or 0) - hour,
        "cache_write_1h": hour,
        "audio_input": audio_in,
        "output": outgoing - reasoning - audio_out,
        "reasoning": reasoning,
        "audio_output": audio_out,
    }


def _price(tiers: Tiers, input_tokens: int) -> float:
    return next((price for above, price in reversed(tiers) if input_tokens > above), tiers[0][1])


def _charged(prices: dict[str, Tiers], classes: tuple[str, ...]) -> bool:
    return any(price > 0 for name in classes for _, price in prices[name])
