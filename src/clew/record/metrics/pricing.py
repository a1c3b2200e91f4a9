"""What a model call costs, at the moment it ends: as the store computes it, for figures of this process."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clew.cost.prices import PriceBook
from clew.cost.tariff import Tariff, cost
from clew.errors import ClewError
from clew.model import attributes as names
from clew.model.reading import has_usage, number_of, text_of
from clew.model.usage import Usage
from clew.record.guard import fault


class Pricing:
    """The prices of one process. Without genai-prices, or with an override file that cannot be used, none is known."""

    def __init__(self, data_dir: Path) -> None:
        self._book: PriceBook | None = None
        try:
            self._book = PriceBook.from_settings(data_dir)
        except ClewError:
            fault("reading prices; none is known. It")

    def cost(self, attributes: Mapping[str, Any], start_ns: int) -> tuple[float | None, str]:
        """USD, or None when it is not known; and where the figure comes from (COST_SOURCE)."""
        if text_of(attributes, names.CACHE_HIT) in ("true", "1"):
            return 0.0, "cached"
        reported = number_of(attributes, names.COST_USD)
        if reported is not None:
            return reported, "reported"
        if not has_usage(attributes):
            return None, "missing"
        tariff = self._tariff(attributes)
        found = cost(_usage(attributes), tariff, datetime.fromtimestamp(start_ns / 1e9, UTC)) if tariff is not None else None
        return (None, "unpriced") if found is None else (found, "computed")

    def _tariff(self, attributes: Mapping[str, Any]) -> Tariff | None:
        """The response model's price goes before the request model's: it is what was served."""
        if self._book is None:
            return None
        provider = text_of(attributes, names.PROVIDER) or None
        try:
            for model in (text_of(attributes, names.RESPONSE_MODEL), text_of(attributes, names.REQUEST_MODEL)):
                tariff = self._book.tariff(provider, model) if model else None
                if tariff is not None:
                    return tariff
        except ClewError:  # genai-prices is not installed
            self._book = None
        return None


def _usage(attributes: Mapping[str, Any]) -> Usage:
    def count(name: str) -> int | None:
        number = number_of(attributes, name)
        return None if number is None else int(number)

    return Usage(
        input_tokens=count(names.INPUT_TOKENS),
        output_tokens=count(names.OUTPUT_TOKENS),
        cache_read_tokens=count(names.CACHE_READ_TOKENS),
        cache_write_tokens=count(names.CACHE_WRITE_TOKENS),
        cache_write_1h_tokens=count(names.CACHE_WRITE_1H_TOKENS),
        reasoning_tokens=count(names.REASONING_TOKENS),
        audio_input_tokens=count(names.AUDIO_INPUT_TOKENS),
        audio_output_tokens=count(names.AUDIO_OUTPUT_TOKENS),
    )
