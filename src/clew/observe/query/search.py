"""Search over spans in the filter language (filter.py)."""

from __future__ import annotations

from dataclasses import dataclass

from clew.observe.store.store import Store


@dataclass(frozen=True, slots=True)
class Hit:
    run_id: str
    span_id: str
    kind: str
    name: str
    service: str
    agent: str
    model: str
    tool: str
    status: str
    state: str
    status_message: str
    start_ns: int
    duration_ns: int | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Hits:
    hits: list[Hit]
    """Newest first."""
    more: bool
    """Whether the list was cut at the limit."""


def search(store: Store, text: str, *, limit: int = 50) -> Hits:
    """Spans that match the filter.

    :raises FilterError: the filter does not parse; points at the character
    """
    raise NotImplementedError
