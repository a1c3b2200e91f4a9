"""Cost in SQL: tokens x price, joined on read, so that a late price or an override is right at once.

The same arithmetic as clew.cost.tariff, which is its reference: the last rule active at the call's start holds, the first if none is; a
tier applies to all tokens of a call once its input exceeds the tier's threshold. A rule names every class of tokens, or none: then the
price is unknown while it holds.
"""

from __future__ import annotations

from clew.cost.tariff import CLASSES, INPUT_CLASSES, OUTPUT_CLASSES

_IN, _OUT = "toInt64(ifNull(input_tokens, 0))", "toInt64(ifNull(output_tokens, 0))"
_READ, _WRITE, _HOUR = (f"toInt64(ifNull({name}_tokens, 0))" for name in ("cache_read", "cache_write", "cache_write_1h"))
_UNCACHED = f"({_IN} - {_READ} - {_WRITE})"
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
}
"""Class -> how many of a call's tokens are charged as it (tariff.charged_tokens). The classes do not overlap."""
assert {*TOKENS, "request"} == set(CLASSES)


def active_prices() -> str:
    """Prices of the rule that holds at the call's start: a map from class to tiers, empty when none is known."""
    second, of_day = "intDiv(start_ns, 1000000000)", "intDiv(start_ns, 1000000000) % 86400"
    in_day = f"if(r.3 < r.2, {of_day} >= r.2 OR {of_day} < r.3, {of_day} >= r.2 AND {of_day} < r.3)"
    held = f"arrayLastIndex(r -> {second} >= r.1 AND ({in_day}), rules)"
    return f"rules[greatest({held}, 1)].4"


def _price(name: str) -> str:
    return f"arrayLast(t -> t.1 = 0 OR ifNull(input_tokens, 0) > t.1, per_million['{name}']).2"


def computed_cost() -> str:
    """Cost in USD of a row with ``per_million`` (active_prices) and the token columns; NULL when it is not known: no price holds, or a
    count is unknown whose class is not free."""
    tokens = " + ".join(f"({count}) * {_price(name)}" for name, count in TOKENS.items())
    input_free, output_free = (
        f"NOT arrayExists(c -> arrayExists(t -> t.2 > 0, per_million[c]), {list(classes)})" for classes in (INPUT_CLASSES, OUTPUT_CLASSES)
    )
    known = f"notEmpty(per_million) AND (isNotNull(input_tokens) OR {input_free}) AND (isNotNull(output_tokens) OR {output_free})"
    return f"if({known}, ({tokens}) / 1e6 + {_price('request')} / 1e3, NULL)"
