"""Rows of the minutes that are stale, made of their spans: once for all questions that are asked before something changes.

The SQL that makes rows of spans takes the engine longer to plan than all else of a question; a dashboard asks a dozen at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from clew.observe.store import rollups

if TYPE_CHECKING:
    from clew.observe.store.store import Store

TABLE: Final = "unrolled"
KEPT_NS: Final = 30_000_000_000
"""How long rows are kept after something has changed: for the questions that were asked before."""

_VERSION: Final = (
    "SELECT groupBitXor(cityHash64(table, name)) FROM system.parts WHERE active AND database = currentDatabase() "
    "AND table IN ('span_records', 'settled', 'touched', 'settling', 'rollup_minutes')"
)
"""Another number after every change of what is stored, and after merges."""


class _Made(NamedTuple):
    version: int
    stretches: tuple[rollups.Range, ...]
    made_ns: int


class Unrolled:
    """What is made so far. Safe to use from several threads; nothing of it outlives the process."""

    def __init__(self) -> None:
        self._made: list[_Made] = []
        self._making = threading.Lock()

    def rows(self, store: Store, stretches: Sequence[rollups.Range]) -> str:
        """SELECT of ``rollups.COLUMNS`` of the spans that start in these stretches of time."""
        if store.engine.placement.is_shared:  # others write to it, and it may be many
            return rollups.of_spans(rollups.any_of([one.spans() for one in stretches]))
        with self._making:
            wanted = store.value(_VERSION), tuple(stretches)
            made = next((one for one in self._made if (one.version, one.stretches) == wanted), None) or self._make(store, *wanted)
        return f"SELECT {rollups.COLUMNS} FROM {TABLE} WHERE made_ns = {made.made_ns}"

    def _make(self, store: Store, version: int, stretches: tuple[rollups.Range, ...]) -> _Made:
        if not store.has(TABLE):
            store.make(TABLE)
        made = _Made(version, stretches, time.time_ns())
        where = rollups.any_of([one.spans() for one in stretches])
        store.command(f"INSERT INTO {TABLE} SELECT {made.made_ns}, {rollups.COLUMNS} FROM ({rollups.of_spans(where)})")
        kept = [one for one in self._made if one.version == version or made.made_ns - one.made_ns < KEPT_NS]
        if gone := [str(one.made_ns) for one in self._made if one not in kept]:
            store.command(f"ALTER TABLE {TABLE} DELETE WHERE made_ns IN ({', '.join(gone)}) SETTINGS mutations_sync = 1")
        self._made = [*kept, made]
        return made
