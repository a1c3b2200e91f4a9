"""Numbers as people read them."""

from __future__ import annotations

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.cli import figures

S = 1_000_000_000


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (None, "–"),
        (0, "0 s"),
        (950, "0.95 µs"),
        (999_400, "999 µs"),
        (999_600, "1.00 ms"),
        (12_345_678, "12.3 ms"),
        (999_600_000, "1.00 s"),
        (59 * S, "59.0 s"),
        (59_960_000_000, "1 min 00 s"),
        (184 * S, "3 min 04 s"),
        (3599_600_000_000, "1 h 00 min"),
        (7500 * S, "2 h 05 min"),
        (100_000 * 3600 * S, "100,000 h 00 min"),
    ],
)
def test_durations(ns: int | None, text: str) -> None:
    assert figures.duration(ns) == text


@pytest.mark.parametrize(
    ("usd", "partial", "text"),
    [
        (0.0, 0.0, "$0.0000"),
        (0.0123, 0.0123, "$0.0123"),
        (0.00001, 0.00001, "<$0.0001"),
        (1234.5, 1234.5, "$1,234.5000"),
        (None, 0.0123, "≥ $0.0123"),
        (None, 0.0, "–"),
        (-0.5, -0.5, "-$0.5000"),
    ],
)
def test_an_unknown_cost_is_a_dash_or_a_lower_bound_never_zero(usd: float | None, partial: float, text: str) -> None:
    assert figures.cost(usd, partial) == text


def test_tokens_say_what_is_unknown() -> None:
    assert [figures.tokens(*pair) for pair in ((1024, 35), (None, 35), (None, None), (0, 0))] == ["1,024 → 35", "– → 35", "–", "0 → 0"]


def test_times_and_ages() -> None:
    noon = 1_700_000_000 * S
    assert figures.moment(noon, zone=UTC) == "2023-11-14 22:13:20"
    assert figures.clock(noon + 7_000_000, zone=UTC) == "22:13:20.007"
    ages = [figures.ago(noon - seconds * S, noon) for seconds in (0, 59, 60, 7199, 7200, 86400, 200_000, -120)]
    assert ages == ["just now", "just now", "1 minute ago", "1 hour ago", "2 hours ago", "1 day ago", "2 days ago", "in 2 minutes"]


@given(st.integers(min_value=-(2**63), max_value=2**64))
def test_any_number_of_nanoseconds_has_a_time(ns: int) -> None:
    assert len(figures.moment(ns, zone=UTC)) == 19
    assert figures.clock(ns, zone=UTC)
    assert figures.ago(ns, 0)


def test_sizes() -> None:
    assert [figures.size(number) for number in (0, 1023, 1024, 1 << 20, 5 << 30, 1 << 42)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1.0 MiB",
        "5.0 GiB",
        "4.0 TiB",
    ]
