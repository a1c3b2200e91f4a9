"""How numbers read: durations, tokens, money, times, sizes. Unknown is a dash, never 0."""

from __future__ import annotations

from datetime import UTC, datetime, timezone

UNKNOWN = "\N{EN DASH}"


def duration(ns: int | None) -> str:
    """Three significant digits and a unit."""
    if ns is None:
        return UNKNOWN
    for unit, size, limit in (("µs", 1_000, 999.5), ("ms", 1_000_000, 999.5), ("s", 1_000_000_000, 59.95)):
        value = ns / size
        if value < limit:
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}" if ns else "0 s"
    seconds = round(ns / 1e9)
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600:,} h {seconds % 3600 // 60:02} min"


def count(number: int | None) -> str:
    return UNKNOWN if number is None else f"{number:,}"


def tokens(given: int | None, made: int | None) -> str:
    """Input and output tokens: ``1,024 → 35``."""
    return UNKNOWN if given is None and made is None else f"{count(given)} → {count(made)}"


def money(usd: float | None) -> str:
    """Four decimals, so that columns line up; smaller sums say that they are."""
    if usd is None:
        return UNKNOWN
    if 0 < usd < 0.00005:
        return "<$0.0001"
    return f"${usd:,.4f}" if usd >= 0 else f"-${-usd:,.4f}"


def cost(usd: float | None, partial_usd: float = 0.0) -> str:
    """A cost; when some of it is not known, what is known as a lower bound, or a dash when nothing is."""
    if usd is None and partial_usd > 0:
        return f"≥ {money(partial_usd)}"
    return money(usd)


def moment(ns: int, *, zone: timezone | None = None) -> str:
    """A time to the second, in the local zone unless one is given."""
    return _time(ns, zone).strftime("%Y-%m-%d %H:%M:%S")


def clock(ns: int, *, zone: timezone | None = None) -> str:
    """A time of day to the millisecond."""
    return f"{_time(ns, zone):%H:%M:%S}.{ns // 1_000_000 % 1000:03}"


def _time(ns: int, zone: timezone | None) -> datetime:
    utc = datetime.fromtimestamp(0, UTC).timestamp() + ns // 1_000_000_000
    return datetime.fromtimestamp(min(utc, 253_402_214_400), UTC).astimezone(zone)


def ago(ns: int, now_ns: int) -> str:
    """How long ago, in one unit."""
    seconds = (now_ns - ns) / 1e9
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if abs(seconds) >= size:
            number = int(abs(seconds) // size)
            text = f"{number:,} {unit}{'' if number == 1 else 's'}"
            return f"{text} ago" if seconds > 0 else f"in {text}"
    return "just now"


def size(number: int) -> str:
    value = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1023.95:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:,.1f} TiB"


def plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
