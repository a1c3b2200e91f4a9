"""Token usage: inclusive and closed.

``input_tokens`` counts every token that went in, cached and cache-written ones included; ``output_tokens`` every token that came out,
reasoning included. Unknown is None, never 0. The classes are a closed set; nothing is ever summed by the look of its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

UsageSource = Literal["provider", "estimated", "missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one model call. ``cache_write_1h_tokens`` is a part of ``cache_write_tokens``."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None

    @property
    def uncached_tokens(self) -> int | None:
        """``input_tokens`` that were neither read from nor written to a cache; None when the input is unknown."""
        if self.input_tokens is None:
            return None
        return self.input_tokens - (self.cache_read_tokens or 0) - (self.cache_write_tokens or 0)
