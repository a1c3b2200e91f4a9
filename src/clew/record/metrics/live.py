"""The figures of this process so far, for whoever shows them without a server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from clew.model.catalogue.figures import Figures, Labels, Series
from clew.model.catalogue.metric import Metric

measured: Final = Figures()
"""What calls gave."""
derived: Final = Figures()
"""What spans gave, from the moment that somebody first wanted to see it (derive.py)."""


def measure(metric: Metric, labels: Labels, how: str, value: float) -> None:
    if how == "set":
        measured.set(metric, labels, value)
    else:
        measured.add(metric, labels, value)


def reading() -> Iterator[tuple[Metric, list[tuple[Labels, Series]]]]:
    """Every metric that has figures, derived and measured ones together."""
    whole = Figures()
    for figures in (derived, measured):
        for metric, found in figures:
            for labels, series in found:
                whole.merge(metric, labels, series.value, series.slots, series.exemplars)
    return iter(whole)


def forget() -> None:
    """From nothing: in a forked child, whose parent has the figures so far."""
    measured.renew()
    derived.renew()


os.register_at_fork(after_in_child=forget)
