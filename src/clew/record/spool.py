"""The spool: OTLP/JSON lines on disk, that need no server.

``<directory>/<YYYYMMDDTHHMMSS>-<pid>-<8 hex digits>-<seq>.jsonl``, mode 0600. The process that writes holds an exclusive ``flock`` on its
current file for as long as it lives; a file whose lock is free is complete. A line reaches the operating system in one write, so
``kill -9`` tears at most the last line of the last file.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import time
from pathlib import Path
from typing import Final

FILE_BYTES: Final = 32 << 20
"""Size at which the next file begins: small enough that a reader frees space soon, large enough that few files arise."""
RETRY_S: Final = 1.0

log: Final = logging.getLogger("clew")


class Spool:
    """The spool of this process. Opens its first file with the first line.

    :param directory: made with mode 0700 when it is missing
    :param limit: most bytes of this process that are on disk at once; beyond it lines are dropped until a reader has taken files away
    """

    def __init__(self, directory: Path, limit: int, *, file_bytes: int = FILE_BYTES) -> None:
        self.directory = directory
        self.limit = limit
        self.file_bytes = file_bytes
        self._stem = ""
        self._sequence = 0
        self._file = -1
        self._size = 0
        self._path = directory
        self._past: dict[Path, int] = {}
        self._warned: set[str] = set()
        self._retry_at = 0.0

    def write(self, line: bytes, spans: int, *, starts: bool) -> str | None:
        """Append a line. Returns None, or why it was dropped: ``disk``, ``spool_full``. Never raises for a fault of the disk."""
        try:
            if self._file < 0 and time.monotonic() < self._retry_at:
                return "disk"
            if self._size + len(line) > self.file_bytes or self._is_gone():
                self._leave()
            if not self._has_room(len(line)):
                self._warn("spool_full", f"the spool holds {self.limit} bytes of this process; records are dropped until it is read")
                return "spool_full"
            if self._file < 0:
                self._open()
            self._append(line)
        except OSError as error:
            self._warn("disk", f"cannot write the spool in {self.directory}: {error}; records are dropped until it can be written again")
            self._retry_at = time.monotonic() + RETRY_S
            return "disk"
        if self._warned:
            self._warned.clear()
            log.warning("clew: the spool in %s is written again", self.directory)
        return None

    def close(self, timeout: float = 0.0) -> None:
        """Let go of the current file. A later line begins another."""
        self._leave()

    def abandon(self) -> None:
        """In a forked child: close the parent's file. The parent's lock stays, for its own descriptor is open."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _open(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._stem:
            self._stem = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}-{secrets.token_hex(4)}"
        path = self.directory / f"{self._stem}-{self._sequence}.jsonl"
        # Under another name until it is locked: a reader deletes an unlocked file that it has read to the end.
        nascent = path.with_suffix(".new")
        file = os.open(nascent, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(nascent, path)
        except BaseException:
            os.close(file)
            nascent.unlink(missing_ok=True)
            raise
        self._sequence += 1
        self._file, self._path, self._size = file, path, 0

    def _append(self, line: bytes) -> None:
        done = 0
        try:
            while done < len(line):
                done += os.write(self._file, line[done:] if done else line)
        except OSError:
            if done:
                self._undo()
            raise
        self._size += done

    def _undo(self) -> None:
        """Take back a half-written line; where that fails too, leave it as the last of its file, where readers expect one."""
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self._leave()

    def _leave(self) -> None:
        if self._file >= 0:
            file, self._file = self._file, -1
            self._past[self._path] = self._size
            self._size = 0
            os.close(file)

    def _is_gone(self) -> bool:
        return self._file >= 0 and os.fstat(self._file).st_nlink == 0

    def _has_room(self, more: int) -> bool:
        if self._size + sum(self._past.values()) + more <= self.limit:
            return True
        self._past = {path: size for path, size in self._past.items() if path.exists()}
        if self._size + sum(self._past.values()) + more <= self.limit:
            return True
        if self._size:  # a reader can take the current file away only when it is let go
            self._leave()
        return False

    def _warn(self, reason: str, message: str) -> None:
        if reason not in self._warned:
            self._warned.add(reason)
            log.warning("clew: %s", message)
