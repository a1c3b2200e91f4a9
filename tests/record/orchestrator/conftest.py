"""Metrics of a process start from nothing in each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clew.record.metrics import derive, live


@pytest.fixture(autouse=True)
def from_nothing() -> Iterator[None]:
    live.forget()
    yield
    derive.stop()
    live.forget()
