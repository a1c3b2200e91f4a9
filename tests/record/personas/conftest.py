"""Personas and metrics start from nothing in each test, with the profiles that Clew comes with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clew.record import labels
from clew.record.instruments.personas.collector import reset_persona_metrics
from clew.record.metrics import derive, live

Figures = Callable[[str], dict[tuple[str, ...], float]]


@pytest.fixture(autouse=True)
def from_nothing(data_dir: Path) -> Iterator[None]:
    live.forget()
    token = labels.take({})
    yield
    labels.restore(token)
    reset_persona_metrics()
    derive.stop()
    live.forget()


@pytest.fixture
def figures() -> Figures:
    """Figures of this process by labels: the value, of a histogram its sum."""

    def read(name: str) -> dict[tuple[str, ...], float]:
        for metric, found in live.reading():
            if metric.name == name:
                return {labels: round(series.value, 3) for labels, series in found}
        return {}

    return read
