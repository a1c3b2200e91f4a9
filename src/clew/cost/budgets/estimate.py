"""What a call may use, told before it is made: the reservation.

The rule: input is one token for each three bytes (UTF-8) of messages, instructions and tool definitions; output is ``max_tokens``, or the
setting ``budget_output_tokens`` where the call sets none; USD is the price of both. Three bytes a token is more than any current tokenizer
needs for prose (English takes four to five, Chinese three) and less than a few need for digits and rare scripts: what a hard budget can be
overspent by is the sum, over the calls under way, of what each used beyond its reservation.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Final

from clew.model.usage import Usage

if TYPE_CHECKING:
    from clew.cost.prices import PriceBook

BYTES_PER_TOKEN: Final = 3


def usage(content_bytes: int, max_tokens: int | None, output_tokens: int) -> Usage:
    """The most that a call is expected to use.

    :param content_bytes: of all that is sent
    :param max_tokens: what the call sets; None: nothing
    :param output_tokens: what is expected then
    """
    return Usage(
        input_tokens=math.ceil(content_bytes / BYTES_PER_TOKEN),
        output_tokens=max_tokens if max_tokens is not None and max_tokens >= 0 else output_tokens,
    )


def usd(prices: PriceBook, provider: str | None, model: str, used: Usage, at: datetime) -> float | None:
    """The price of a call, or None when it is not known."""
    from clew.cost.tariff import cost

    tariff = prices.tariff(provider, model)
    return None if tariff is None else cost(used, tariff, at)
