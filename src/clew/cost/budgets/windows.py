"""The periods that a budget is renewed by: calendar ones in UTC, as ``clew cost --by day``, and rolling ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

CALENDAR: Final = ("hour", "day", "week", "month")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_ROLLING: Final = re.compile(r"([1-9]\d{0,8})([smhd])")
LONGEST_S: Final = 366 * 86_400
SLICES: Final = 60
"""A rolling window is counted in this many slices, and the oldest counts whole: it looks back at most a sixtieth longer than asked."""


@dataclass(frozen=True, slots=True)
class Window:
    """``hour``, ``day``, ``week`` (from Monday) or ``month``; or a rolling one, such as ``24h``.

    :ivar text: as it was declared
    :ivar seconds: length of a rolling window; 0 for a calendar one
    """

    text: str
    seconds: int = 0

    @classmethod
    def read(cls, text: str) -> Window:
        """:raises ValueError: it names no window; the text ends the sentence "... is not usable: "."""
        if text in CALENDAR:
            return cls(text)
        found = _ROLLING.fullmatch(text)
        seconds = int(found[1]) * _UNITS[found[2]] if found else 0
        if not 0 < seconds <= LONGEST_S:
            raise ValueError(f"expected {', '.join(CALENDAR)}, or a rolling window of at most a year such as 90s, 30m, 24h or 7d")
        return cls(text, seconds)

    def period(self, at: float) -> tuple[float, float]:
        """Start and end of the calendar period of a time, or of the slice of a rolling window; seconds since 1970."""
        if self.seconds:
            length = self.seconds / SLICES
            start = at // length * length
            return start, start + length
        return _calendar(self.text, int(at // 60))

    def since(self, at: float) -> float:
        """Start of the oldest period that counts at a time."""
        return self.period(at - self.seconds)[0] if self.seconds else self.period(at)[0]


@lru_cache(maxsize=1024)
def _calendar(text: str, minute: int) -> tuple[float, float]:
    """The period that a minute since 1970 is in: all of them begin with one."""
    hour = datetime.fromtimestamp(minute * 60, UTC).replace(minute=0)
    day = hour.replace(hour=0)
    if text == "hour":
        start, end = hour, hour + timedelta(hours=1)
    elif text == "day":
        start, end = day, day + timedelta(days=1)
    elif text == "week":
        start = day - timedelta(days=day.weekday())
        end = start + timedelta(days=7)
    else:
        start = day.replace(day=1)
        end = (start + timedelta(days=32)).replace(day=1)
    return start.timestamp(), end.timestamp()
