"""The collector's account: received = stored + rejected + waiting, for each signal and sender, exactly, also over restarts.

It counts records (spans, log records, metric points), each arrival for itself: a span that is sent twice is received twice and stored
twice, and is one span in the store. What was refused before it could be read (malformed, too large, no room) was never acknowledged and has
no number of records: it is counted as requests, apart.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from clew.errors import StoreUnavailable
from clew.observe.ingest.wal import Head, Position
from clew.wire.whole import write_whole

MOST_SENDERS = 1000
OTHERS = "(others)"
"""Senders beyond MOST_SENDERS are counted together under this name."""


@dataclass(slots=True)
class Entry:
    """received = stored + sum(rejected) + waiting."""

    received: int = 0
    stored: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    cut: dict[str, int] = field(default_factory=dict)
    """Of what is stored: attributes, events and links left out and values cut, beyond the limits."""

    @property
    def gap(self) -> int:
        """0, or the account is wrong."""
        return self.received - self.stored - sum(self.rejected.values()) - self.waiting


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the account, as it is shown and kept."""

    signal: str
    sender: str
    received: int
    stored: int
    rejected: dict[str, int]
    waiting: int
    cut: dict[str, int] = field(default_factory=dict)


class State(NamedTuple):
    """The account at one moment."""

    position: Position
    data: bytes


class _Kept(msgspec.Struct):
    """The file: the account of everything before ``position`` in the log."""

    position: tuple[int, int] = (0, 0)
    lines: list[Line] = []
    refused_requests: dict[str, int] = {}


class Account:
    """Safe to use from several threads; lines() sees a moment at which every line adds up."""

    def __init__(self, path: Path) -> None:
        """:raises StoreUnavailable: the file of an earlier collector is damaged"""
        self._path = path
        self._lock = threading.Lock()
        self._entries: dict[tuple[str, str], Entry] = {}
        self._refused: dict[str, int] = {}
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            kept = _Kept()
        except (msgspec.DecodeError, OSError) as error:
            raise StoreUnavailable(
                f"the collector's account {path} cannot be read: {error}; move it away: counts begin anew, nothing else is lost"
            ) from None
        self.position = Position(*kept.position)
        """Everything before it in the log is stored, and is in the account on disk."""
        self._refused = kept.refused_requests
        for line in kept.lines:
            self._entries[line.signal, line.sender] = Entry(line.received, line.stored, dict(line.rejected), cut=dict(line.cut))

    def note_received(self, heads: Iterable[Head]) -> None:
        """They are on disk."""
        with self._lock:
            for head in heads:
                entry = self._entry(head.signal, head.sender)
                rejected = sum(head.rejected.values())
                entry.received += head.records + rejected
                entry.waiting += head.records + rejected

    def note_done(self, heads: Iterable[Head], refused: Iterable[tuple[str, str, int]]) -> None:
        """They are stored, but for those ``refused`` (signal, sender, records), which lie in quarantine."""
        with self._lock:
            for head in heads:
                entry = self._entry(head.signal, head.sender)
                entry.waiting -= head.records + sum(head.rejected.values())
                entry.stored += head.records
                for counts, more in ((entry.rejected, head.rejected), (entry.cut, head.cut)):
                    for name, count in more.items():
                        counts[name] = counts.get(name, 0) + count
            for signal, sender, records in refused:
                self._move(self._entry(signal, sender), -records)

    def note_retried(self, signal: str, sender: str, records: int) -> None:
        """What lay in quarantine is stored after all."""
        with self._lock:
            self._move(self._entry(signal, sender), records)

    def note_refused_request(self, reason: str) -> None:
        """A request was answered with an error; its sender keeps it."""
        with self._lock:
            self._refused[reason] = self._refused.get(reason, 0) + 1

    def lines(self) -> list[Line]:
        with self._lock:
            return self._lines()

    def refused_requests(self) -> dict[str, int]:
        with self._lock:
            return dict(sorted(self._refused.items()))

    def state(self, position: Position) -> State:
        """What is kept on disk of everything before ``position``. What comes after it is counted again from the log.

        :param position: up to which everything is noted as done, and nothing beyond
        """
        with self._lock:
            # What waits lies after the position. It is counted when it is recovered.
            lines = [
                Line(line.signal, line.sender, line.received - line.waiting, line.stored, line.rejected, 0, line.cut)
                for line in self._lines()
            ]
            return State(position, msgspec.json.encode(_Kept(position, lines, dict(self._refused))))

    def save(self, state: State) -> None:
        """Keeps a state on disk, whole or not at all.

        :raises OSError: it cannot be written; the earlier one stays
        """
        write_whole(self._path, state.data)
        self.position = state.position

    def keep(self) -> None:
        """Keeps the account on disk as it is, for the same place in the log. Only where no collector is working.

        :raises OSError: it cannot be written; the earlier account stays
        """
        self.save(self.state(self.position))

    def _entry(self, signal: str, sender: str) -> Entry:
        entry = self._entries.get((signal, sender))
        if entry is None:
            if len(self._entries) >= MOST_SENDERS:
                sender = OTHERS
            entry = self._entries.setdefault((signal, sender), Entry())
        return entry

    def _move(self, entry: Entry, records: int) -> None:
        entry.stored += records
        left = entry.rejected.get(REFUSED, 0) - records
        entry.rejected.pop(REFUSED, None)
        if left:
            entry.rejected[REFUSED] = left

    def _lines(self) -> list[Line]:
        return [
            Line(
                signal,
                sender,
                entry.received,
                entry.stored,
                dict(sorted(entry.rejected.items())),
                entry.waiting,
                dict(sorted(entry.cut.items())),
            )
            for (signal, sender), entry in sorted(self._entries.items())
        ]


REFUSED = "refused by the engine"
"""Reason for what lies in quarantine."""
