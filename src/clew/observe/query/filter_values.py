"""What a value of the filter language means: numbers with sizes, durations, times."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

DURATION_UNITS: Final[dict[str, int]] = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
"""Unit -> nanoseconds."""

SIZES: Final[dict[str, int]] = {
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
"""Suffix of a number -> factor."""

LARGEST: Final = 2**63 - 1

_MINUTE_NS: Final = DURATION_UNITS["m"]

_NUMBER: Final = re.compile(r"([+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,3})?)([A-Za-z]*)", re.ASCII)
_DURATION: Final = re.compile(r"(\d{1,30}(?:\.\d{1,30})?)(ns|us|µs|ms|s|m|h|d|w)")
_DATE: Final = re.compile(r"(\d{4})-(\d\d)(?:-(\d\d))?", re.ASCII)


def number(text: str) -> float | None:
    """A number, its size factor applied; None for what is none."""
    match = _NUMBER.fullmatch(text)
    if match is None or (match[2] and match[2] not in SIZES):
        return None
    value = float(match[1]) * (SIZES[match[2]] if match[2] else 1)
    return value if abs(value) <= 1e300 else None


def usd(text: str) -> float | None:
    """An amount of USD; a dollar sign before it is allowed."""
    return number(text.removeprefix("$"))


def duration_ns(text: str) -> int | None:
    """Nanoseconds of a duration such as 2s, 1.5ms or 1h30m; 0 needs no unit; None for what is none."""
    if text in ("0", "0.0"):
        return 0
    total, end = 0.0, 0
    for match in _DURATION.finditer(text):
        if match.start() != end:
            return None
        total, end = total + float(match[1]) * DURATION_UNITS[match[2]], match.end()
    return round(total) if end and end == len(text) and total <= LARGEST else None


def span_of_time_ns(text: str, now: datetime) -> tuple[int, int] | None:
    """First and last nanosecond since 1970 (UTC) of what a text names, or None.

    A month, a day, a minute or a second is as long as it is; ``now``, ``-1h`` (before now) and times with a fraction are instants;
    ``today`` and ``yesterday`` are days. Times without a zone are UTC. A quarter of an hour or more before now is
    the beginning of a minute, so that figures are those of whole minutes, which rollups have.
    """
    now = now.astimezone(UTC)
    try:
        if text == "now":
            return _instant(now)
        if text in ("today", "yesterday"):
            day = datetime.combine(now.date(), time(), UTC) - timedelta(days=text == "yesterday")
            return _between(day, day + timedelta(days=1))
        if text.startswith("-") and (ago := duration_ns(text[1:])) is not None:
            first = _ns(now) - ago
            if ago >= 15 * _MINUTE_NS:
                first -= first % _MINUTE_NS
            return (first, first) if abs(first) <= LARGEST else None
        if (match := _DATE.fullmatch(text)) is not None:
            year, month = int(match[1]), int(match[2])
            first_day = date(year, month, int(match[3] or 1))
            start = datetime.combine(first_day, time(), UTC)
            end = start + timedelta(days=1) if match[3] else datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
            return _between(start, end)
        at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    if not re.match(r"\d{4}-\d\d-\d\d[T ]", text):
        return None
    if re.search(r"[.,]\d", text):
        return _instant(at)
    seconds = re.match(r".{10}[T ]\d\d:?\d\d:?\d\d", text) is not None
    return _between(at, at + timedelta(seconds=1 if seconds else 60))


def _ns(at: datetime) -> int:
    return (at - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1) * 1000


def _instant(at: datetime) -> tuple[int, int] | None:
    return _between(at, at + timedelta(microseconds=1))


def _between(start: datetime, end: datetime) -> tuple[int, int] | None:
    first, last = _ns(start), _ns(end) - 1
    return (first, last) if abs(first) <= LARGEST and abs(last) <= LARGEST else None
