"""Sketches of what spans say: the names of their attributes and the frequent values of each, for completion in milliseconds.

They are kept up beside what comes in, from a sample of it: names and values that are frequent are there, with about their numbers. A store has
none until it has rollups and somebody asks; below that its newest spans are read as fast.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from clew.observe.store.normalise import DAY, NEWEST_FIRST, literal

if TYPE_CHECKING:
    from clew.observe.store.store import Store

TABLES: Final = "sketches"
"""Word in the name of the table's file (schema.ON_DEMAND)."""
VALUES: Final = 100
"""Values of an attribute that are kept: a sketch of so many has some kilobytes."""
LONGEST: Final = 200
"""Bytes of a value beyond which it is nothing that one would complete."""
FIRST: Final = 200_000
"""Newest spans that are read at first: about a quarter of a second."""
SAMPLE: Final = 20_000
"""Spans that are read of those that came in since, spread over all of them: some hundredths of a second, every REFRESH_S."""
REFRESH_S: Final = 10.0
FIELDS: Final = {"session": "session_id", "user": "user_id", "message": "status_message", "scope": "scope_name"}
"""Fields of the filter language that rollups do not have, and their columns."""
TOP: Final = f"{VALUES}, 3, 'counts'"
"""Parameters of topKWeighted: how many, room for others on the way, and counts beside the values."""

_NAMES = f"arrayConcat(arrayMap(k -> concat('@', k), mapKeys(attributes)), [{', '.join(map(literal, FIELDS))}])"
_VALUES = f"arrayConcat(mapValues(attributes), [{', '.join(f'toString({column})' for column in FIELDS.values())}])"


def begin(store: Store) -> None:
    """Makes the table, from the newest spans. Idempotent; waits for its turn with what takes records in."""
    if not store.has(TABLES):
        with store.ingesting:
            store.make(TABLES)
            refresh(store)


def refresh(store: Store) -> None:
    """Adds what came in since the last time, where there are sketches. Call it while holding ``store.ingesting``."""
    if not store.has(TABLES) or not store.engine.settles:
        return
    store.sketched_at = time.monotonic()
    until = store.value(f"SELECT max(until_ns) FROM {TABLES}")
    if not until:
        newest = f"SELECT * FROM span_records ORDER BY {NEWEST_FIRST} LIMIT {FIRST}"
        _add(store, f"({newest})", 1, store.value(f"SELECT max(arrival_ns) FROM ({newest})"))
        return
    came = f"span_records WHERE arrival_ns > {until} AND {DAY} >= {DAY.replace('arrival_ns', str(until))}"
    [(count, last)] = store.query(f"SELECT count(), max(arrival_ns) FROM {came}").result_rows
    if count:
        share = max(count // SAMPLE, 1)
        _add(store, f"{came} AND cityHash64(span_id) % {share} = 0", share, last)


def is_due(store: Store) -> bool:
    """Whether it is time to refresh, where there are sketches."""
    return store.has(TABLES) and time.monotonic() - store.sketched_at >= REFRESH_S


def forget(store: Store) -> None:
    """Makes them anew from what is there: a value that was deleted must not be left in one. Call it while holding ``store.ingesting``."""
    if store.has(TABLES):
        store.empty(TABLES)
        refresh(store)


def _add(store: Store, spans: str, share: int, last: int) -> None:
    counted = (
        f"SELECT day, name, if(length(value) <= {LONGEST}, value, '') AS value, count() * {share} AS n FROM ("
        f"SELECT {DAY} AS day, arrayJoin(arrayZip({_NAMES}, {_VALUES})) AS pair, pair.1 AS name, pair.2 AS value FROM {spans}"
        ") WHERE startsWith(name, '@') OR value != '' GROUP BY day, name, value"
    )
    store.command(
        f"INSERT INTO {TABLES} SELECT name, day, sum(n), topKWeightedStateIf({TOP})(value, toUInt64(n), value != ''), {last} "
        f"FROM ({counted}) GROUP BY name, day"
    )
