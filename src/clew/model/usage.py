"""Token usage: inclusive and closed.

``input_tokens`` counts every token that went in, cached and cache-written ones included; ``output_tokens`` every token that came out,
reasoning included. Unknown is None, never 0. The classes are a closed set; nothing is ever summed by the look of its name. How each
provider's own figures are read is one table, in usage_shapes.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from clew.model.usage_shapes import Counts, read_cost, read_counts

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

    @classmethod
    def from_provider(cls, body: object, *, provider: str | None = None) -> Usage | None:
        """The usage that a provider's answer reports, or None when it reports none.

        :param body: a whole response, one event of a stream, or only its usage part: mapping or object (pydantic, attrs, protobuf-like).
            Numbers may be int, float or text.
        :param provider: the provider's name, for the few that use another's field names with another meaning

        Never raises for what the body holds. No class is negative and ``uncached + cache_read + cache_write == input`` always holds:
        where a source contradicts itself, the whole is raised to its parts, unless the source's own total confirms the whole; then the
        parts are cut to it, cache writes before reads.
        """
        if isinstance(body, Usage):
            return body
        return _closed(read_counts(body, provider))

    @classmethod
    def from_stream(cls, events: Iterable[object], *, provider: str | None = None) -> Usage | None:
        """The usage of a streamed answer. Providers repeat or complete cumulative figures, so the last figure of each class wins; nothing
        is ever summed over events. None when no event carries usage, as with a stream that was not asked to include it.
        """
        last: Counts = {}
        for event in events:
            last |= read_counts(event, provider)
        return _closed(last)


def reported_cost(body: object) -> float | None:
    """USD that the provider says it charged for this answer (OpenRouter's ``usage.cost`` and its like), or None."""
    return read_cost(body)


def _closed(counts: Mapping[str, int]) -> Usage | None:
    """The source's figures as inclusive ones."""
    if not counts:
        return None
    incoming, outgoing, total = counts.get("input"), counts.get("output"), counts.get("total")
    read, reasoning = counts.get("cache_read"), counts.get("reasoning")
    audio_in, audio_out = counts.get("audio_input"), counts.get("audio_output")
    hour = counts.get("cache_write_1h")
    write = None if (written := counts.get("cache_write")) is None and hour is None else max(written or 0, hour or 0)
    cached = (read or 0) + (write or 0)

    cache_outside, reasoning_outside = bool(counts.get("cache_outside")), bool(counts.get("reasoning_outside"))
    if reasoning_outside and outgoing is None and reasoning:
        outgoing = 0
    confirmed = False
    if incoming is not None and outgoing is not None and total is not None:
        residual = total - incoming - outgoing - (cached if cache_outside else 0)
        confirmed = residual in (0, reasoning)
        # The source's own total says what its figures leave out (xAI: reasoning; some gateways: cached tokens).
        if confirmed:
            reasoning_outside = residual != 0
        elif not cache_outside and residual in (cached, cached + (reasoning or 0)):
            cache_outside, reasoning_outside = True, residual != cached
    if incoming is not None and cache_outside:
        incoming += cached
    if outgoing is None and total is not None and incoming is not None and total >= incoming:
        outgoing = total - incoming
    elif outgoing is not None and reasoning_outside:
        outgoing += reasoning or 0

    if confirmed and incoming is not None and outgoing is not None:
        # Gemini behind OpenRouter names tokens that it wrote to the cache and read again at once in both classes.
        read, write = _cut(read, incoming), _cut(write, incoming - min(read or 0, incoming))
        hour, audio_in = _cut(hour, write or 0), _cut(audio_in, incoming)
        reasoning, audio_out = _cut(reasoning, outgoing), _cut(audio_out, outgoing)
    else:
        incoming = None if incoming is None else max(incoming, cached, audio_in or 0)
        outgoing = None if outgoing is None else max(outgoing, reasoning or 0, audio_out or 0)
    return Usage(
        input_tokens=incoming,
        output_tokens=outgoing,
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=hour,
        reasoning_tokens=reasoning,
        audio_input_tokens=audio_in,
        audio_output_tokens=audio_out,
    )


def _cut(part: int | None, whole: int) -> int | None:
    return None if part is None else min(part, whole)
