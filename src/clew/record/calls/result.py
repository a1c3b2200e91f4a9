"""What a function gave for a model's answer, or raised instead of one: its text, its figures, whether it was paid for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypedDict

from clew.errors import MissingExtra
from clew.model import attributes as names
from clew.model.usage import Usage, reported_cost
from clew.record.calls.assembly import member
from clew.record.errors import http_status
from clew.record.instruments import responses
from clew.record.span import Span


class Generated(TypedDict):
    """What :meth:`ObservableLLM.generate` gives."""

    response: str
    tokens_used: int | None
    cost_usd: float | None
    latency_ms: float


def from_cache(result: Any) -> bool:
    """Whether a client library says that it took the answer from a cache of its own (LiteLLM does)."""
    hidden = getattr(result, "_hidden_params", None)
    return bool(isinstance(hidden, Mapping) and hidden.get("cache_hit"))


def spent(span: Span, error: BaseException) -> None:
    """Record what a failed call used: the answer that its exception carries, and nothing where the provider refused the request (4xx): it was not worked
    on. After any other failure nobody knows."""
    if names.INPUT_TOKENS in span.attributes or names.OUTPUT_TOKENS in span.attributes:
        return
    for holder in (member(error, "completion"), member(error, "usage"), member(error, "body")):
        if holder is not None and Usage.from_provider(holder) is not None:
            span.response(holder) if holder is not member(error, "usage") else span.usage(holder)  # type: ignore[attr-defined]
            return
    status = http_status(error)
    if status is not None and 400 <= status < 500 and status != 408 and names.RESPONSE_FIRST_CHUNK not in span.attributes:
        span.usage(input_tokens=0, output_tokens=0)  # type: ignore[attr-defined]


def text_of(result: Any) -> str:
    """The text of an answer."""
    if isinstance(result, str):
        return result
    messages = responses.read(result).attributes.get(names.OUTPUT_MESSAGES) or ()
    parts = [part for message in messages if isinstance(message, Mapping) for part in message.get("parts", ())]
    found = [part["content"] for part in parts if isinstance(part, Mapping) and part.get("type") == "text" and part.get("content")]
    return "".join(found) if parts else str(result)


def generated(result: Any, provider: str | None, model: str | None, seconds: float, per_1k: float | None) -> Generated:
    """An answer with its figures; what is unknown is None."""
    usage = Usage.from_provider(responses.usage_of(result), provider=provider)
    counts = [usage.input_tokens, usage.output_tokens] if usage is not None else []
    tokens = sum(count or 0 for count in counts) if any(count is not None for count in counts) else None
    cost = 0.0 if from_cache(result) else reported_cost(responses.plain(result))
    if cost is None and per_1k is not None and tokens is not None:
        cost = tokens * per_1k / 1000
    if cost is None and usage is not None:
        answered = responses.read(result).attributes.get(names.RESPONSE_MODEL)
        cost = _computed(usage, provider, [name for name in (answered, model) if name])
    return Generated(response=text_of(result), tokens_used=tokens, cost_usd=cost, latency_ms=seconds * 1000)


def _computed(usage: Usage, provider: str | None, models: list[str]) -> float | None:
    from clew import settings
    from clew.cost.prices import PriceBook
    from clew.cost.tariff import cost

    try:
        book = PriceBook.from_settings(settings.get("data_dir"))
        tariff = next((found for model in models if (found := book.tariff(provider, model)) is not None), None)
    except MissingExtra:
        return None
    return cost(usage, tariff, datetime.now(UTC)) if tariff is not None else None
