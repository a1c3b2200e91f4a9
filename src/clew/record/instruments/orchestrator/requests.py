"""``llm_metrics``: requests to models, whoever makes them; and what a request will have cost."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from clew import settings
from clew.cost.prices import PriceBook
from clew.cost.tariff import cost
from clew.errors import ClewError
from clew.model import attributes as names
from clew.model.usage import Usage
from clew.record.errors import error_type
from clew.record.instruments.functions import llm
from clew.record.metrics import inside
from clew.record.metrics.handles import Measure, metric

Metadata = dict[str, Any]

_TOLD: Final = ("rate_limit", "timeout")
"""Results that a block may state where the exception's type does not."""


class LlmMetrics:
    """The metrics of model requests, and the block that gives them."""

    def __init__(self) -> None:
        self.requests_total: Measure = metric("llm_requests_total")
        self.tokens_total: Measure = metric("llm_tokens_total")
        self.cost_total: Measure = metric("llm_cost_dollars_total")
        self.request_duration: Measure = metric("llm_request_duration_seconds")
        self.rate_limit_events: Measure = metric("llm_rate_limit_events_total")
        self.retry_attempts: Measure = metric("llm_retry_attempts_total")

    @contextmanager
    def track_request(self, model: str, provider: str) -> Iterator[Metadata]:
        """A request to a model, as a span of kind llm. What the block puts into the mapping is recorded at its end, also when it raises:

        ``result``: success, rate_limit, timeout or error; for an exception its type tells, unless the block states rate_limit or timeout.
        ``prompt_tokens``, ``completion_tokens``: 0 in both says that they are not known. ``cost``: USD that was charged; what
        :func:`clew.estimate_llm_cost` gave is computed anew from the tokens, and None or 0 is not known.
        """
        metadata: Metadata = {"result": "success", "prompt_tokens": 0, "completion_tokens": 0, "cost": 0.0}
        span = llm(f"chat {model}", model=model, provider=provider)
        with inside.within(span), span:
            try:
                yield metadata
            except BaseException as error:
                _tell(span, metadata)
                told = metadata["result"]
                if told in _TOLD and error_type(error) not in _TOLD:
                    # The span is left without the exception, which would say otherwise.
                    span.fail(error)
                    span.set(names.ERROR_TYPE, told)
                    span.__exit__(None, None, None)
                raise
            _tell(span, metadata)
            if metadata["result"] != "success":
                span.fail(str(metadata["result"]))
                span.set(names.ERROR_TYPE, metadata["result"])


def _tell(span: Any, metadata: Metadata) -> None:
    prompt, completion, charged = metadata["prompt_tokens"], metadata["completion_tokens"], metadata["cost"]
    if prompt or completion:
        span.usage(input_tokens=prompt or 0, output_tokens=completion or 0)
    if charged and not isinstance(charged, EstimatedCost):
        span.cost(charged)


llm_metrics: Final = LlmMetrics()


class EstimatedCost(float):
    """USD that :func:`clew.estimate_llm_cost` computed: never taken for what a provider charged."""


def estimate_llm_cost(model: str, prompt_tokens: int, completion_tokens: int, *, provider: str | None = None) -> float | None:
    """What a call costs by the prices that hold now, in USD; None when the model has no known price, never a guess.

    :param model: as the provider names it
    :param prompt_tokens: cached ones included; all are charged at the full price
    :param provider: for names that several providers sell at different prices

    Prices are those of genai-prices and of the user's ``prices.toml``, as in ``clew cost``. Without genai-prices none is known.
    """
    try:
        tariff = _prices().tariff(provider, model)
        if tariff is None:
            return None
        found = cost(Usage(input_tokens=prompt_tokens, output_tokens=completion_tokens), tariff, datetime.now(UTC))
        return None if found is None else EstimatedCost(found)
    except ClewError:
        _say_once()
        return None


@functools.cache
def _prices() -> PriceBook:
    return PriceBook.from_settings(settings.get("data_dir"))


@functools.cache
def _say_once() -> None:
    """Prices cannot be had: told once."""
    import logging

    logging.getLogger("clew").warning(
        "clew: costs are not estimated: prices need the package genai-prices; run: pip install 'clew[workflow]'"
    )
