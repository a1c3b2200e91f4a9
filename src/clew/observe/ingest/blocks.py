"""Files that are appended to and read past the system's cache: what is read once, and soon, would only take memory from what is read often,
and to fill the cache takes longer than to write.

Such a file grows by blocks. The last one is filled up with zeros until the file is closed, and written again with what comes next. Where a file
system knows no way past its cache, the same is done through it.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

BLOCK = 4096
STAGED_BYTES = 1 << 20
"""Written, and read, at once."""

_DIRECT: int = getattr(os, "O_DIRECT", 0)  # macOS has none
_sync = getattr(os, "fdatasync", os.fsync)  # the file's size is synced either way


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | _DIRECT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _go_through_cache(descriptor: int) -> bool:
    """For a file system that knows no other way, and says so late. Gives back whether it was not so before."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags & ~_DIRECT)
    return bool(flags & _DIRECT)


class Appended:
    """A new file, empty, that is appended to.

    :raises OSError: it cannot be made
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = _open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._staged = mmap.mmap(-1, STAGED_BYTES)
        """Begins with the file's last block, as far as it is written."""
        self.size = 0
        """Without the zeros."""

    def append(self, parts: Iterable[bytes]) -> None:
        """Appends the parts, one after the other. They are on disk when this returns.

        :raises OSError: they cannot be written; the file is as it was before, or closed where not even that can be
        """
        used = self.size % BLOCK
        before = self._staged[:used]
        place = self.size - used
        try:
            for part in parts:
                left = memoryview(part)
                while left:
                    fits = left[: STAGED_BYTES - used]
                    self._staged[used : used + len(fits)] = fits
                    used, left = used + len(fits), left[len(fits) :]
                    if used == STAGED_BYTES:
                        self._write(used, place)
                        place, used = place + used, 0
            filled = used + -used % BLOCK
            self._staged[used:filled] = bytes(filled - used)
            self._write(filled, place)
            _sync(self._descriptor)
        except OSError:
            self._undo(before)
            raise
        last = used - used % BLOCK
        self._staged.move(0, last, used - last)
        self.size = place + used

    def close(self) -> None:
        """Takes the zeros off, and closes. Idempotent."""
        if self._descriptor >= 0:
            with suppress(OSError):  # who reads it knows zeros from data
                os.ftruncate(self._descriptor, self.size)
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def is_closed(self) -> bool:
        return self._descriptor < 0

    def _write(self, size: int, place: int) -> None:
        with memoryview(self._staged) as staged:
            done = 0
            while done < size:
                try:
                    done += os.pwrite(self._descriptor, staged[done:size], place + done)
                except OSError as error:
                    if error.errno != errno.EINVAL or not _go_through_cache(self._descriptor):
                        raise

    def _undo(self, before: bytes) -> None:
        try:
            os.ftruncate(self._descriptor, self.size)
            _sync(self._descriptor)
        except OSError:
            self.close()
        self._staged[: len(before)] = before


class Reader:
    """Reads files from any place. Keeps what the last reading needed."""

    def __init__(self) -> None:
        self._staged = mmap.mmap(-1, STAGED_BYTES)

    def read(self, path: Path, place: int, size: int) -> memoryview:
        """``size`` bytes from ``place`` on, fewer where the file ends. They are there until the next reading.

        :raises OSError: it cannot be read
        """
        first = place - place % BLOCK
        whole = place + size - first
        if whole > len(self._staged):
            self._staged = mmap.mmap(-1, whole + -whole % STAGED_BYTES)
        descriptor = _open(path, os.O_RDONLY)
        try:
            with memoryview(self._staged) as staged:
                done = 0
                while done < whole:
                    # A whole block is asked for also where the file ends within it.
                    try:
                        read = os.preadv(descriptor, [staged[done : whole + -whole % BLOCK]], first + done)
                    except OSError as error:
                        if error.errno != errno.EINVAL or not _go_through_cache(descriptor):
                            raise
                        continue
                    done += read
                    if not read or done % BLOCK:
                        break
        finally:
            os.close(descriptor)
        return memoryview(self._staged)[place - first : min(done, whole)]
