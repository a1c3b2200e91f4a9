"""What processes, machines and databases use: the newest figure of each series."""

from __future__ import annotations

from dataclasses import dataclass

from clew.observe.store.store import Store

PREFIXES = ("process.", "system.", "db.client.", "redis.", "postgresql.", "clew.component.", "clew.store.", "clew.log.", "clew.watch.")
NEW_NS = 15 * 60 * 1_000_000_000
"""A series whose newest point is older than this before the newest of all has ended."""


@dataclass(frozen=True, slots=True)
class ResourceFigure:
    """One series' newest point."""

    name: str
    unit: str
    value: float
    """Counters: since the process started."""
    attributes: dict[str, str]
    service: str
    process: str
    time_ns: int


@dataclass(frozen=True, slots=True)
class Resources:
    figures: list[ResourceFigure]


_NEWEST = """SELECT name, newest.1 AS unit, newest.2 AS value, newest.3 AS attributes, newest.4 AS service, newest.5 AS process, newest.6 AS time_ns
FROM (
    SELECT name, argMax((unit, ifNull(p.value, toFloat64(int_value)), p.attributes, p.service, p.process, p.time_ns), p.time_ns) AS newest
    FROM point_records AS p
    WHERE arrayExists(prefix -> startsWith(name, prefix), {prefixes:Array(String)}) AND kind IN ('gauge', 'sum')
        AND p.time_ns >= (SELECT max(time_ns) FROM point_records) - {new:UInt64}
    GROUP BY name, series
)
ORDER BY service, process, name, toString(attributes)"""


def resources(store: Store) -> Resources:
    """The newest figures of every process that measures itself, and of what a server watches."""
    return Resources([ResourceFigure(**row) for row in store.rows(_NEWEST, {"prefixes": list(PREFIXES), "new": NEW_NS})])
