"""Cost in SQL: tokens x price, joined on read, so that a late price or an override is right at once.

The same arithmetic as clew.cost.tariff, which is its reference: the last rule active at the call's start holds, the first if none is; a
tier applies to all tokens of a call once its input exceeds the tier's threshold. A rule names every class of tokens, or none: then the
price is unknown while it holds.
"""

from __future__ import annotations

from clew.cost.tariff import CLASSES, INPUT_CLASSES, OUTPUT_CLASSES
from clew.model.reading import REFUSED as REFUSED_TYPES

_IN, _OUT = "toInt64(ifNull(input_tokens, 0))", "toInt64(ifNull(output_tokens, 0))"
_READ, _WRITE = "toInt64(ifNull(cache_read_tokens, 0))", "toInt64(ifNull(cache_write_tokens, 0))"
_HOUR = f"least(toInt64(ifNull(cache_write_1h_tokens, 0)), {_WRITE})"
_UNCACHED = f"greatest({_IN} - {_READ} - {_WRITE}, 0)"
_AUDIO_IN = f"least(toInt64(ifNull(audio_input_tokens, 0)), {_UNCACHED})"
_REASONING = f"least(toInt64(ifNull(reasoning_tokens, 0)), {_OUT})"
_AUDIO_OUT = f"least(toInt64(ifNull(audio_output_tokens, 0)), {_OUT} - {_REASONING})"

TOKENS: dict[str, str] = {
    "input": f"{_UNCACHED} - {_AUDIO_IN}",
    "cache_read": _READ,
    "cache_write": f"{_WRITE} - {_HOUR}",
    "cache_write_1h": _HOUR,
    "audio_input": _AUDIO_IN,
    "output": f"{_OUT} - {_REASONING} - {_AUDIO_OUT}",
    "reasoning": _REASONING,
    "audio_output": _AUDIO_OUT,
    "request": "1000",  # its price is per thousand calls, all others are per million tokens
}
"""Class -> how many of a call's tokens are charged as it (tariff.charged_tokens). The classes do not overlap."""


REFUSED = f"(error_type IN {REFUSED_TYPES} AND ifNull(input_tokens = 0 AND output_tokens = 0, false))"
"""Of span_records that a limit did not let start: they say so, and that they used nothing. No request was made, so they are no model calls."""

MAY_COST = f"(span_records.kind = 'llm' OR isNotNull(input_tokens) OR isNotNull(output_tokens)) AND NOT {REFUSED}"
"""Which span_records are model calls, unless their usage only repeats that of their descendants."""

COST_SOURCE = """multiIf(
        cache_hit, 'cached',
        isNotNull(reported_cost_usd), 'reported',
        isNull(input_tokens) AND isNull(output_tokens), 'missing',
        isNotNull(computed_cost_usd), 'computed',
        'unpriced'
    )"""
COST_USD = "multiIf(cache_hit, 0, isNotNull(reported_cost_usd), reported_cost_usd, isNotNull(input_tokens) OR isNotNull(output_tokens), computed_cost_usd, NULL)"
"""Of a row with ``computed_cost_usd``; NULL where it is not known."""


def charged() -> str:
    """How many tokens a call pays for, class by class in the order of CLASSES."""
    return f"[{', '.join(f'toInt64({TOKENS[name]})' for name in CLASSES)}]"


def usd_per_million(start_s: str = "intDiv(start_ns, 1000000000)", input_tokens: str = "ifNull(input_tokens, 0)") -> str:
    """Prices of a call, class by class in the order of CLASSES; empty when none is known.

    Most models have one price at all times and for calls of any size: ``flat``. The others have ``rules``.
    """
    of_day = f"{start_s} % 86400"
    in_day = f"if(rule.3 < rule.2, {of_day} >= rule.2 OR {of_day} < rule.3, {of_day} >= rule.2 AND {of_day} < rule.3)"
    held = f"rules[greatest(arrayLastIndex(rule -> {start_s} >= rule.1 AND ({in_day}), rules), 1)].4"
    tier = f"arrayLast(t -> t.1 = 0 OR {input_tokens} > t.1, tiers).2"
    return f"if(notEmpty(flat) OR empty(rules), flat, arrayMap(tiers -> {tier}, {held}))"


def computed_cost(
    has_input: str = "isNotNull(input_tokens)", has_output: str = "isNotNull(output_tokens)", tokens: str = "charged_tokens"
) -> str:
    """Cost in USD of a row with ``charged_tokens``, ``usd_per_million`` and the token columns; NULL when it is not known: no price holds, or
    a count is unknown whose class is not free."""

    def is_free(classes: tuple[str, ...]) -> str:
        return f"arraySum(arraySlice(usd_per_million, {CLASSES.index(classes[0]) + 1}, {len(classes)})) = 0"

    known = f"notEmpty(usd_per_million) AND ({has_input} OR {is_free(INPUT_CLASSES)}) AND ({has_output} OR {is_free(OUTPUT_CLASSES)})"
    return f"if({known}, arrayDotProduct({tokens}, usd_per_million) / 1e6, NULL)"
