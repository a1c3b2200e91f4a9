"""Writing to files: all of it, and small files that are there whole or as they were before."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_AT_ONCE = 512
"""Buffers of one writev; POSIX promises 16, Linux and macOS take 1,024."""


def write_all(descriptor: int, parts: Iterable[bytes]) -> None:
    """Writes the parts one after the other, to their end.

    :raises OSError: it cannot be written; some of it may be
    """
    left = [memoryview(part) for part in parts if part]
    while left:
        written = os.writev(descriptor, left[:_AT_ONCE])
        done = 0
        while done < len(left) and written >= len(left[done]):
            written -= len(left[done])
            done += 1
        del left[:done]
        if written:
            left[0] = left[0][written:]


def write_whole(path: Path, data: bytes) -> None:
    """Makes the file hold ``data``, with mode 0600, and on disk when this returns. After a crash it holds ``data`` or what it held before.

    :raises OSError: it cannot be written; the earlier file stays
    """
    new = path.with_name(path.name + ".new")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
