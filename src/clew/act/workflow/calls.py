"""How the usage of model calls gets from the models to whoever counts it: a ledger that the models write to, on success and on failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from clew.model.usage import Usage


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One request to a model, however it ended."""

    node_id: str
    """Node that asked; empty until whoever runs the node fills it in."""
    model: str
    """As the answer names it, else as it was asked for."""
    provider: str
    usage: Usage | None
    """None: the provider did not say."""
    cost_usd: float | None
    """What the provider reported; None: it did not."""
    duration_ns: int
    error: str | None
    """None, or ``rate_limit``, ``timeout``, or the name of the exception's class."""
    prompt: str | None
    """The last text that the model was given, if any."""
    served_from_cache: bool = False
    """Answered from a recording: the usage is what it once was, the cost is 0."""
    ended: float = field(default_factory=time.time, compare=False)
    """Seconds since 1970."""

    @property
    def started(self) -> datetime:
        """When it was asked: the moment its price is of."""
        return datetime.fromtimestamp(self.ended - self.duration_ns / 1e9, UTC)

    def entry(self, *, is_planner: bool = False) -> dict[str, Any]:
        """As an entry of ``__llm_calls__``. Figures that are not known are None; classes of tokens that were not reported are left out."""
        return {
            "node_id": self.node_id,
            "provider": self.provider,
            **llm_usage(self.model, self.usage),
            "cost_usd": 0.0 if self.served_from_cache else self.cost_usd,
            "served_from_cache": self.served_from_cache,
            "duration_ms": round(self.duration_ns / 1e6, 2),
            "status": "ok" if self.error is None else "error",
            "error": self.error,
            "is_planner": is_planner,
            "timestamp": self.started.isoformat(),
            **({"prompt": self.prompt} if self.prompt is not None else {}),
        }


_CLASSES: Final = {
    "cache_creation_input_tokens": "cache_write_tokens",
    "cache_creation_1h_input_tokens": "cache_write_1h_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
    "reasoning_tokens": "reasoning_tokens",
    "audio_input_tokens": "audio_input_tokens",
    "audio_output_tokens": "audio_output_tokens",
}


def llm_usage(model: str, usage: Usage | None) -> dict[str, Any]:
    """Usage in the shape of ``llm_usage``: ``model``, ``input_tokens``, ``output_tokens``, ``total_tokens`` (None where unknown), and each
    further class that was reported. Input includes cached tokens, output includes reasoning."""
    if usage is None:
        return {"model": model, "input_tokens": None, "output_tokens": None, "total_tokens": None}
    incoming, outgoing = usage.input_tokens, usage.output_tokens
    return {
        "model": model,
        "input_tokens": incoming,
        "output_tokens": outgoing,
        "total_tokens": None if incoming is None or outgoing is None else incoming + outgoing,
        **{name: value for name, field in _CLASSES.items() if (value := getattr(usage, field)) is not None},
    }


class Ledger:
    """Model calls in the order they ended. Threads may write to it at once.

    :param parent: a ledger that gets every call too, at once
    """

    def __init__(self, parent: Ledger | None = None) -> None:
        self._calls: list[ModelCall] = []
        self._lock = threading.Lock()
        self._parent = parent

    def add(self, call: ModelCall) -> None:
        with self._lock:
            self._calls.append(call)
        if self._parent is not None:
            self._parent.add(call)

    def take(self) -> list[ModelCall]:
        """The calls since the last time; the ledger is empty then."""
        with self._lock:
            calls, self._calls = self._calls, []
        return calls


current: Final[ContextVar[Ledger | None]] = ContextVar("clew_model_calls", default=None)
"""The ledger that calls are noted in; set by whoever counts them, carried into threads with the context."""


def note(call: ModelCall) -> None:
    """Write a call to the current ledger; without one it is not counted."""
    ledger = current.get()
    if ledger is not None:
        ledger.add(call)


@contextmanager
def collecting() -> Iterator[Ledger]:
    """A ledger for what is called inside; the ledger outside gets every call too."""
    ledger = Ledger(current.get())
    token = current.set(ledger)
    try:
        yield ledger
    finally:
        current.reset(token)
