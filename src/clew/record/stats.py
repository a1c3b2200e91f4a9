"""The account: what became of the spans of a process."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

FLUSH_TIMEOUT_S: Final = 5.0


class Stats(NamedTuple):
    """What became of the spans of this process: ``emitted == written + sampled_out + sum(dropped.values()) + waiting``.

    ``dropped`` reasons: ``queue_full`` (more than the settings ``queue`` or ``queue_bytes`` allow), ``spool_full`` (``spool_bytes``),
    ``disk`` (the spool cannot be written), ``encode`` (a span that cannot be encoded), ``refused`` never counts here: a refused span is
    recorded. ``exported`` and ``export_dropped`` count the spans that the OTLP exporter sent and gave up, beside the spool.
    """

    emitted: int
    written: int
    sampled_out: int
    waiting: int
    dropped: Mapping[str, int] = MappingProxyType({})
    exported: int = 0
    export_dropped: int = 0
    faults: int = 0
