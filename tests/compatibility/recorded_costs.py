"""Real usage bodies with the price that genai-prices gave them, and answers with the cost that OpenRouter really charged."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from page import table, usd

from clew.cost.prices import PriceBook
from clew.cost.tariff import Tariff, cost
from clew.model.usage import Usage, reported_cost

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
"""When most of the usage bodies were sent."""
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
"""Of the price list that OpenRouter's charges are held against."""


class Compared(NamedTuple):
    """Our figure beside the recorded one."""

    provider: str
    model: str
    ours: float | None
    recorded: float
    reason: str
    """``equal``, or why they differ; '' when nobody knows."""
    usage: Usage


def equal(ours: float | None, theirs: float) -> bool:
    return ours is not None and abs(ours - theirs) <= max(1e-9 * abs(theirs), 1e-12)


def as_genai_prices(usage: Usage) -> Any:
    from genai_prices import Usage as Theirs

    return Theirs(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
        input_audio_tokens=usage.audio_input_tokens,
        output_audio_tokens=usage.audio_output_tokens,
        cache_audio_read_tokens=0,
        audio_seconds=0,
        input_audio_seconds=0,
    )


def bodies(file: Path, book: PriceBook) -> Iterator[Compared]:
    """Each body, by each price list of the file that reads it as we do."""
    for row in json.loads(gzip.decompress(file.read_bytes())):
        usage = Usage.from_provider(row["body"])
        assert usage is not None
        names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
        for found in row["extracted"]:
            if any(found["usage"].get(name, 0) != (getattr(usage, name) or 0) for name in names):
                continue  # another provider's reading of the same names
            for extractor in found["extractors"]:
                if "input_price" not in extractor:
                    continue
                tariff = book.tariff(extractor["provider_id"], row["model"])
                ours = cost(usage, tariff, MARCH) if tariff is not None else None
                theirs = float(extractor["input_price"]) + float(extractor["output_price"])
                reason = "equal" if equal(ours, theirs) else _why_body(found["usage"], usage, tariff, ours, theirs)
                yield Compared(extractor["provider_id"], row["model"], ours, theirs, reason, usage)


def _why_body(found: dict[str, Any], usage: Usage, tariff: Tariff | None, ours: float | None, theirs: float) -> str:
    from genai_prices import calc_price

    if tariff is None:
        return "listed without a price and not said to be free" if theirs == 0 else ""
    if "output_image_tokens" in found:
        return "image tokens have a price of their own, which usage does not tell apart"
    if "cache_audio_read_tokens" in found:
        return "audio read from the cache has a price of its own, which usage does not tell apart"
    today = calc_price(
        as_genai_prices(usage), tariff.matched_model, provider_id=tariff.matched_provider, genai_request_timestamp=MARCH
    ).total_price
    return "the price data was corrected since the file was made" if equal(ours, float(today)) else ""


DEARER = {
    ("openai/gpt-oss-20b", None),
    ("openai/gpt-5.6-sol", None),
    ("z-ai/glm-4.6", "AtlasCloud"),
    ("qwen/qwen3-30b-a3b-instruct-2507", "WandB"),
}
"""Routed to a dearer host than the one whose price the list gives, or charged before the list's price was lowered."""


def charges(file: Path, book: PriceBook) -> Iterator[Compared]:
    """Each answer of OpenRouter: our computed cost beside the one it reported."""
    for row in json.loads(file.read_bytes()):
        body = row["usage"]
        usage, reported, tariff = Usage.from_provider(body), reported_cost(body), book.tariff("openrouter", row["model"])
        assert usage is not None
        assert reported is not None
        assert tariff is not None
        computed = cost(usage, tariff, NOVEMBER)
        yield Compared(row["provider"] or "", row["model"], computed, reported, _why_charged(row, usage, reported, computed), usage)


def _why_charged(row: dict[str, Any], usage: Usage, reported: float, computed: float | None) -> str:
    body = row["usage"]
    upstream = body["cost_details"]["upstream_inference_cost"]
    extra = body.get("server_tool_use_details", {})
    details = body.get("prompt_tokens_details", {})
    if equal(computed, reported):
        return "equal"
    if body.get("is_byok"):
        known = reported == 0.0 and equal(computed, upstream)
        return "the user's own key: OpenRouter charges nothing, the provider charges what we compute" if known else ""
    if extra.get("web_search_requests"):
        return "a web search costs 0.01 USD on top of its tokens" if equal((computed or 0.0) + 0.01, reported) else ""
    if extra.get("tool_calls_executed"):
        return "the charge holds calls of another model, made by OpenRouter's advisor tool" if equal(computed, upstream) else ""
    if details.get("cache_write_tokens", 0) + details.get("cached_tokens", 0) > (usage.input_tokens or 0):
        return "tokens written to the cache and read again at once are charged twice"
    return "charged at another price than the list's" if (row["model"], row["provider"]) in DEARER else ""


def section(usage_bodies: Path, charged: Path) -> str:
    book = PriceBook()
    found = list(bodies(usage_bodies, book))
    providers = sorted({one.provider for one in found})
    counts = Counter((one.provider, one.reason == "equal") for one in found)
    agreeing = [(provider, counts[provider, True] + counts[provider, False], counts[provider, True]) for provider in providers]
    differing = [one for one in found if one.reason != "equal"]
    routed = list(charges(charged, book))
    for one in (*differing, *routed):
        if not one.reason:
            raise SystemExit(f"{one.model} of {one.provider}: ours {one.ours}, recorded {one.recorded}, and no reason is known")
    classes = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
    tokens = ("input", "output", "cache read", "cache write", "reasoning")
    return "\n".join(
        (
            "`usage_bodies.json.gz`: 1,011 bodies, each priced by every price list whose provider reads its figures as Clew does, beside the price in the file.",
            "",
            table(("price list", "prices", "equal"), agreeing),
            "",
            "The others:",
            "",
            table(
                ("model", "price list", *tokens, "computed USD", "recorded USD", "why they differ"),
                [
                    (one.model, one.provider, *(getattr(one.usage, name) for name in classes), usd(one.ours), usd(one.recorded), one.reason)
                    for one in differing
                ],
            ),
            "",
            "`openrouter_charged.json`: 29 answers with what was really charged. The reported figure is kept, and totals use it; the computed one stands beside it.",
            "",
            table(
                ("model", "host", *tokens, "reported USD", "computed USD", "why they differ"),
                [
                    (
                        one.model,
                        one.provider,
                        *(getattr(one.usage, name) for name in classes),
                        usd(one.recorded),
                        usd(one.ours),
                        "" if one.reason == "equal" else one.reason,
                    )
                    for one in routed
                ],
            ),
        )
    )
