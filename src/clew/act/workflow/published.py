"""Model calls that a node says it made: what stands under ``llm_usage`` in its results.

The models of Clew note their calls themselves (``calls.py``); this is for nodes that ask a model in another way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from clew.act.workflow.calls import ModelCall
from clew.model.usage import Usage, reported_cost

USAGE_KEY: Final = "llm_usage"
"""A mapping with ``model``, ``input_tokens`` and ``output_tokens`` (cached tokens and reasoning included), or a provider's usage object."""

_FIELDS: Final = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
    "cache_creation_1h_input_tokens": "cache_write_1h_tokens",
    "reasoning_tokens": "reasoning_tokens",
    "audio_input_tokens": "audio_input_tokens",
    "audio_output_tokens": "audio_output_tokens",
}


def published_calls(results: Any, *, duration_ns: int) -> list[ModelCall]:
    """The calls that a node's results tell of; of a batch those of each item.

    :param duration_ns: what each is said to have taken: all that is known is how long the node took
    """
    return [call for found in _usages(results) if (call := read_call(found, duration_ns=duration_ns)) is not None]


def _usages(results: Any) -> Iterator[Any]:
    if not isinstance(results, Mapping):
        return
    if USAGE_KEY in results:
        found = results[USAGE_KEY]
        yield from found if isinstance(found, (list, tuple)) else (found,)
    elif isinstance(results.get("results"), list):
        for item in results["results"]:
            if isinstance(item, Mapping) and USAGE_KEY in item:
                yield from _usages({USAGE_KEY: item[USAGE_KEY]})


def read_call(found: Any, *, duration_ns: int, model: str = "") -> ModelCall | None:
    """A published usage as a call; None when it tells nothing.

    :param found: a mapping, an object with ``input``, ``output`` and ``details``, a provider's usage object, or a method that gives one
    :param model: used where ``found`` names none
    """
    if callable(found):
        try:
            found = found()
        except Exception:  # somebody else's code; what it would have told is not known
            return None
    if not found:
        return None
    named = _part(found, "model")
    prompt = _part(found, "prompt")
    provider = _part(found, "provider")
    cost = _part(found, "cost_usd")
    return ModelCall(
        node_id="",
        model=str(named) if named else model,
        provider=str(provider) if provider else "",
        usage=read_usage(found),
        cost_usd=float(cost) if isinstance(cost, (int, float)) and not isinstance(cost, bool) else reported_cost(found),
        duration_ns=duration_ns,
        error=None,
        prompt=prompt if isinstance(prompt, str) else None,
    )


def read_usage(found: Any) -> Usage | None:
    """Tokens of a published usage; None when it names none."""
    if isinstance(found, Mapping) and ("input_tokens" in found or "output_tokens" in found):
        counts = {field: _count(found.get(name)) for name, field in _FIELDS.items()}
        if any(count is not None for count in counts.values()):
            return Usage(**counts)
        return None
    incoming, outgoing = _part(found, "input"), _part(found, "output")
    if isinstance(incoming, int) or isinstance(outgoing, int):  # the library llm: totals, and the provider's own figures under details
        details = _part(found, "details")
        body = {"prompt_tokens": incoming, "completion_tokens": outgoing, **(details if isinstance(details, Mapping) else {})}
        return Usage.from_provider({name: value for name, value in body.items() if value is not None})
    return Usage.from_provider(found)


def _part(found: Any, name: str) -> Any:
    value = found.get(name) if isinstance(found, Mapping) else getattr(found, name, None)
    return None if callable(value) else value


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return max(int(value), 0)
    except (ValueError, OverflowError):
        return None
