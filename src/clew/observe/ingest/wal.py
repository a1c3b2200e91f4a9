"""The write-ahead log: what was acknowledged is on disk here, until the store has it.

A folder of segments, written one after the other, past the system's cache. A segment is a mark, then frames: 4 bytes of length of what follows the checksum, 4 of
CRC-32 (of the body, then the head), 2 of length of the head, the head (msgpack), and the request's body as it was checked. Time of arrival and sender are in the
head, fixed when the frame is written. One thread writes: all frames that came while the last write was under way go out together and are
synced once (group commit).

After a kill the last frame may be torn: nothing of it was acknowledged, and it is cut off when the log is opened.
"""

from __future__ import annotations

import itertools
import os
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import msgspec

from clew.errors import StoreUnavailable
from clew.observe.ingest.blocks import Appended, Reader
from clew.observe.store.engine import Encoding

MARK = b"clewlog1"
SEGMENT_BYTES = 96 << 20
"""A segment is closed at this size, and deleted once the store has all of it: two seconds of full load, and two batches of the collector's."""
_LENGTHS = struct.Struct("<IIH")
_SUMMED = 8
"""Bytes before those that the length of a frame counts."""


class Head(msgspec.Struct, frozen=True, array_like=True):
    """What a frame says of its request."""

    signal: str
    encoding: Encoding
    sender: str
    arrival_ns: int
    records: int
    """Records in the body."""
    rejected: dict[str, int] = {}
    """Records of the request that are not in the body, by reason."""
    cut: dict[str, int] = {}
    """What its records are without, beyond the limits: attributes, events, links, and values that were cut."""


class Position(NamedTuple):
    """A place in the log; later places are greater."""

    segment: int
    offset: int


class Frame(NamedTuple):
    head: Head
    body: bytes
    end: Position
    """Where the next frame begins."""


class LogFull(StoreUnavailable):
    """The log has no room: the store has not taken what is in it. Sending again later helps."""


class Damage(NamedTuple):
    """Bytes of a segment that cannot be read, and were not torn by a kill."""

    segment: str
    bytes: bytes
    reason: str


class _Waiting(NamedTuple):
    head: Head
    parts: tuple[bytes, bytes]
    size: int
    written: Future[None]


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Head] = msgspec.msgpack.Decoder(Head)


class Log:
    """An open log. append() from any thread; next() and forget() from the one that drains it.

    :param limit_bytes: most bytes on disk; append() refuses beyond
    :param after: everything before this is in the store already
    :param noted: called with the heads of each group once they are on disk, before anybody can read or be told of them
    """

    def __init__(self, folder: Path, *, limit_bytes: int, after: Position, noted: Callable[[list[Head]], None]) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._limit = limit_bytes
        self._noted = noted
        self._changed = threading.Condition()
        self._queue: list[_Waiting] = []
        self._queued_bytes = 0
        self._closing = False
        self._writing = False
        self._last_ns = 0
        self.damages: list[Damage] = []
        self.recovered: list[Head] = []
        """Heads of the frames that were found and are not in the store yet, in their order."""
        self._sizes: dict[int, int] = {}
        """Bytes of each segment on disk, all synced."""
        self._cursor = after
        self._recover(after)
        self._next_number = max([after.segment, *self._sizes], default=0) + 1
        self._current: int | None = None
        self._file: Appended | None = None
        self._reader = Reader()
        self._writer = threading.Thread(target=self._write_all, name="clew-log", daemon=True)
        self._writer.start()

    # --- taking ---------------------------------------------------------------------------------------------------------------------------

    def append(
        self,
        signal: str,
        encoding: Encoding,
        sender: str,
        records: int,
        body: bytes,
        rejected: dict[str, int],
        cut: dict[str, int] | None = None,
    ) -> Future[None]:
        """Takes one request; the result is there once it is on disk. ``body`` may be empty, when only ``rejected`` is to be kept.

        :raises LogFull: there is no room
        The future raises StoreUnavailable when the disk refuses.
        """
        written: Future[None] = Future()
        body_checksum = zlib.crc32(body)
        with self._changed:
            if self._closing:
                raise StoreUnavailable("the collector is closing; send it again later")
            if self.bytes + self._queued_bytes + len(body) > self._limit:
                raise LogFull(f"the log of {self._limit >> 20} MiB is full: the store has not taken in what is in it; send it again later")
            self._last_ns = max(self._last_ns + 1, time.time_ns())  # the clock may be set back; a later arrival must win
            head = Head(signal, encoding, sender, self._last_ns, records, rejected, cut or {})
            packed = _encoder.encode(head)
            start = _LENGTHS.pack(2 + len(packed) + len(body), zlib.crc32(packed, body_checksum), len(packed)) + packed
            size = len(start) + len(body)
            self._queue.append(_Waiting(head, (start, body), size, written))
            self._queued_bytes += size
            self._changed.notify_all()
        return written

    def _write_all(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closing:
                    self._changed.wait()
                group, self._queue = self._queue, []
                self._writing = bool(group)
            if not group:
                return
            error = self._write(group)
            if error is None:
                with self._changed:
                    self._noted([waiting.head for waiting in group])
                    assert self._current is not None
                    self._sizes[self._current] = self._sizes.get(self._current, len(MARK)) + sum(waiting.size for waiting in group)
                    if self._sizes[self._current] >= SEGMENT_BYTES:
                        self._end_segment()
                    self._queued_bytes -= sum(waiting.size for waiting in group)
                    self._writing = False
                    self._changed.notify_all()
                for waiting in group:
                    waiting.written.set_result(None)
            else:
                with self._changed:
                    self._queued_bytes -= sum(waiting.size for waiting in group)
                    self._writing = False
                refusal = StoreUnavailable(f"the log in {self._folder} cannot be written: {error.strerror}; make room, then send it again")
                for waiting in group:
                    waiting.written.set_exception(refusal)

    def _write(self, group: list[_Waiting]) -> OSError | None:
        """Writes and syncs the group at the end of the current segment; after an error the segment is as it was before, or has ended."""
        try:
            file = self._file or self._begin_segment()
            file.append([part for waiting in group for part in waiting.parts])
        except OSError as error:
            if self._file is not None and self._file.is_closed:
                self._end_segment()
            return error
        return None

    def _begin_segment(self) -> Appended:
        number = self._next_number
        path = self._path(number)
        file = Appended(path)
        try:
            file.append([MARK])
            _sync_folder(self._folder)
        except OSError:
            file.close()
            path.unlink(missing_ok=True)
            raise
        self._next_number += 1
        self._current, self._file = number, file
        return file

    def _end_segment(self) -> None:
        if self._file is not None:
            self._file.close()
        self._current = self._file = None

    # --- draining -------------------------------------------------------------------------------------------------------------------------

    @property
    def bytes(self) -> int:
        """Bytes on disk."""
        return sum(self._sizes.values())

    @property
    def limit_bytes(self) -> int:
        return self._limit

    def end(self) -> Position:
        """Where what is on disk now ends."""
        with self._changed:
            number = max(self._sizes, default=0)
            return Position(number, self._sizes.get(number, 0))

    def unread_bytes(self) -> int:
        """What next() has to give."""
        with self._changed:
            return self._unread_bytes()

    def wait(self, least_bytes: int, timeout: float | None) -> int:
        """Waits until next() has so much to give or the log is closed, at most ``timeout`` seconds; gives back how much it has."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._unread_bytes() >= least_bytes, timeout)
            return self._unread_bytes()

    def _unread_bytes(self) -> int:
        segment, offset = self._cursor
        later = sum(size - len(MARK) for number, size in self._sizes.items() if number > segment)
        return later + max(self._sizes.get(segment, 0) - offset, 0)

    def next(self, most_bytes: int) -> list[Frame]:
        """The next frames, in their order, each given once; together at most ``most_bytes``, but at least one when there is one.

        :raises StoreUnavailable: the file has lost some
        :raises OSError: it cannot be read
        """
        with self._changed:
            place = self._unread()
            if place is None:
                return []
            end = self._sizes[place.segment]
        path = self._path(place.segment)
        data = self._reader.read(path, place.offset, min(max(most_bytes, _LENGTHS.size), end - place.offset))
        if len(data) < (first := _size_at(data, 0)):
            data = self._reader.read(path, place.offset, first)
            if len(data) < first:
                raise StoreUnavailable(f"{path} has been cut short; what is missing of it cannot be stored")
        frames: list[Frame] = []
        at = 0
        while at < len(data) and at + (size := _size_at(data, at)) <= len(data):
            begin = at + _LENGTHS.size
            body = begin + _LENGTHS.unpack_from(data, at)[2]
            at += size
            place = Position(place.segment, place.offset + size)
            frames.append(Frame(_decoder.decode(data[begin:body]), bytes(data[body:at]), place))
        self._cursor = place
        return frames

    def rewind(self, place: Position) -> None:
        """Gives out again what comes after ``place``: it did not get into the store."""
        with self._changed:
            self._cursor = place

    def _unread(self) -> Position | None:
        """Where the first frame lies that has not been given out."""
        segment, offset = self._cursor
        if self._sizes.get(segment, 0) > offset:
            return self._cursor
        later = [number for number, size in self._sizes.items() if number > segment and size > len(MARK)]
        return Position(min(later), len(MARK)) if later else None

    def forget(self, before: Position) -> None:
        """Deletes the segments of which nothing from ``before`` on is left. What they held must be safe in the store."""
        with self._changed:
            gone = [
                number
                for number, size in self._sizes.items()
                if number < before.segment or (number == before.segment and size <= before.offset)
            ]
            if self._current in gone:
                if self._writing:
                    gone.remove(self._current)
                else:  # the next write begins another segment
                    self._end_segment()
        for number in gone:
            self._path(number).unlink(missing_ok=True)
        with self._changed:
            for number in gone:
                del self._sizes[number]

    def close(self) -> None:
        """Writes what was taken, and ends. Idempotent. What the store has not taken stays on disk for the next time."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._writer.join()
        self._end_segment()

    # --- opening --------------------------------------------------------------------------------------------------------------------------

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012}.wal"

    def _recover(self, after: Position) -> None:
        numbers = sorted(int(path.stem) for path in self._folder.glob("*.wal") if path.stem.isdigit())
        for number in numbers:
            path = self._path(number)
            size = path.stat().st_size
            if number < after.segment or (number == after.segment and size <= after.offset):
                path.unlink()
                continue
            start = after.offset if number == after.segment else len(MARK)
            good = start
            for head, end in _scan(path, start):
                self.recovered.append(head)
                self._last_ns = max(self._last_ns, head.arrival_ns)
                good = end
            if good < size:
                with path.open("rb") as file:
                    file.seek(good)
                    rest = file.read()
                if number != numbers[-1] and rest.strip(b"\0"):  # only the segment that was being written can be torn
                    self.damages.append(Damage(path.name, rest, "the rest of the segment cannot be read"))
                os.truncate(path, good)
            self._sizes[number] = good


def _size_at(data: memoryview, at: int) -> int:
    """Bytes of the frame that begins there: at least so many, where its lengths are not all there."""
    if len(data) - at < _LENGTHS.size:
        return _LENGTHS.size
    return _SUMMED + int(_LENGTHS.unpack_from(data, at)[0])


def _scan(path: Path, start: int) -> Iterator[tuple[Head, int]]:
    """(head, where the next frame begins) of each whole frame of a segment."""
    with path.open("rb") as file:
        if file.read(len(MARK)) != MARK:
            return
        file.seek(start)
        for _ in itertools.count():
            lengths = file.read(_LENGTHS.size)
            length, checksum, head_length = _LENGTHS.unpack(lengths) if len(lengths) == _LENGTHS.size else (0, 0, 0)
            if length < 2:  # the end, or the zeros that fill the last block
                return
            rest = file.read(length - 2)
            head, body = rest[:head_length], rest[head_length:]
            if len(rest) < length - 2 or zlib.crc32(head, zlib.crc32(body)) != checksum:
                return
            start += 8 + length
            yield _decoder.decode(head), start


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
