"""What was taken out of the store, and why: counts that only grow, in a file beside the store. The collector's account counts what came in;
what of it is gone again is counted here."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from clew.wire.whole import write_whole

NAME: Final = "removed.json"

EXPIRED: Final = "expired"
OVER_CAP: Final = "over the size cap"
DELETED: Final = "deleted"

_lock = threading.Lock()


class Removed(msgspec.Struct):
    """Records as the store held them: a version of a span that a later one had replaced, and that was not merged away yet, counts too."""

    records: dict[str, dict[str, int]] = {}
    """Signal -> reason -> records."""
    pruned_ns: int = 0
    """When retention last ran; 0: never."""
    oldest: dict[str, str] = {}
    """Signal -> day of its oldest records then, YYYY-MM-DD."""


def removed(data_dir: Path) -> Removed:
    """What was removed so far. A file that is damaged or missing counts as nothing removed: nothing depends on it."""
    try:
        return msgspec.json.decode((data_dir / NAME).read_bytes(), type=Removed)
    except (OSError, msgspec.DecodeError):
        return Removed()


def note(data_dir: Path, reason: str, records: Mapping[str, int]) -> None:
    """Adds to the counts.

    :param records: signal -> records
    :raises OSError: they cannot be written
    """
    with _lock:
        now = removed(data_dir)
        for signal, count in records.items():
            if count:
                of_signal = now.records.setdefault(signal, {})
                of_signal[reason] = of_signal.get(reason, 0) + count
        write_whole(data_dir / NAME, msgspec.json.encode(now))


def note_pruned(data_dir: Path, oldest: dict[str, str]) -> None:
    """Notes that retention ran, and what it left.

    :raises OSError: it cannot be written
    """
    with _lock:
        now = removed(data_dir)
        now.pruned_ns, now.oldest = time.time_ns(), oldest
        write_whole(data_dir / NAME, msgspec.json.encode(now))
