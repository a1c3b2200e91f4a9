"""The time that a dashboard shows, cut into buckets that rollups answer from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from clew.errors import QueryError
from clew.observe.query.filter_values import duration_ns, span_of_time_ns

DEFAULT: Final = "1d"
SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
HOUR_NS: Final = 60 * MINUTE_NS
DAY_NS: Final = 24 * HOUR_NS

MOST_BUCKETS: Final = 96
LENGTHS: Final = tuple(
    [seconds * SECOND_NS for seconds in (1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800)]
)
"""Of buckets. They start at multiples of it, UTC."""
BY_HOURS: Final = 12 * HOUR_NS
"""From this length on buckets are of whole hours: rollups have few rows of hours, and many of minutes."""
LONGEST_NS: Final = 5 * 366 * DAY_NS


@dataclass(frozen=True, slots=True)
class Period:
    """Nanoseconds since 1970, both ends included; whole buckets, of which the last may not be over yet."""

    first_ns: int
    last_ns: int
    bucket_ns: int
    now_ns: int

    @property
    def times(self) -> list[int]:
        """Starts of the buckets."""
        return list(range(self.first_ns, self.last_ns, self.bucket_ns))

    @property
    def elapsed_ns(self) -> int:
        """How much of it is over."""
        return max(min(self.last_ns + 1, self.now_ns) - self.first_ns, SECOND_NS)

    def minutes(self, start_ns: int | None = None) -> float:
        """How long it is, or the bucket that starts there, as far as it is over."""
        if start_ns is None:
            return self.elapsed_ns / MINUTE_NS
        return max(min(start_ns + self.bucket_ns, self.now_ns) - start_ns, SECOND_NS) / MINUTE_NS

    @property
    def before(self) -> Period:
        """The time of the same length before it."""
        first = self.first_ns - (-(-self.elapsed_ns // MINUTE_NS) * MINUTE_NS if self.bucket_ns >= MINUTE_NS else self.elapsed_ns)
        return Period(first, self.first_ns - 1, self.bucket_ns, self.now_ns)

    @property
    def filter(self) -> str:
        """It as a condition of the filter language."""
        return f"start:{_text(self.first_ns)}..{_text(self.last_ns)}"


def _text(ns: int) -> str:
    """A minute where it begins or ends with one, else a second: as the end of a range either is meant whole."""
    at = datetime.fromtimestamp(ns // SECOND_NS, UTC)
    is_minute = ns % MINUTE_NS == 0 or (ns + 1) % MINUTE_NS == 0
    return at.strftime("%Y-%m-%dT%H:%M" if is_minute else "%Y-%m-%dT%H:%M:%S")


def period(time: str, now: datetime) -> Period:
    """The period that a text names: ``1d``, ``2026-01-31T15:00..2026-01-31T16:00`` (UTC); '' is DEFAULT. Outward to whole buckets.

    :raises QueryError: it names none
    """
    text = time.strip() or DEFAULT
    now_ns = int(now.timestamp() * 1e9)
    begin, dots, end = text.partition("..")
    if dots:
        named = [span_of_time_ns(part, now) for part in (begin, end)]
        if None in named:
            raise _no_time(text)
        first, last = named[0][0], named[1][1]  # type: ignore[index]
    else:
        length = duration_ns(text)
        if not length:
            raise _no_time(text)
        first, last = now_ns - length, now_ns
    if first > last or last - first > LONGEST_NS or first < 0:
        raise QueryError(f"{text!r} ends before it begins, or is longer than five years; write a time such as 1d")
    bucket = _bucket(last - first)
    return Period(first // bucket * bucket, (last // bucket + 1) * bucket - 1, bucket, now_ns)


def _no_time(text: str) -> QueryError:
    return QueryError(f"{text[:80]!r} is no time of a dashboard; write 1h, 7d or 2026-01-31T15:00..2026-01-31T16:00")


def _bucket(length_ns: int) -> int:
    least = max(length_ns / (MOST_BUCKETS - 1), HOUR_NS if length_ns >= BY_HOURS else 0)
    return next((length for length in LENGTHS if length >= least), -(-length_ns // MOST_BUCKETS // DAY_NS) * DAY_NS)
