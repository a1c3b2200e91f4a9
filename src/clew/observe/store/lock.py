"""The lock on a data directory: one process owns its store."""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from clew.errors import StoreBusy


class Lock:
    """An advisory lock that the kernel gives back when the process ends, however it ends. The file says who holds it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, path: Path, *, wait_s: float = 0.0) -> Lock:
        """Takes the lock, waiting up to ``wait_s`` seconds.

        :raises StoreBusy: another process holds it; the message names it
        :raises OSError: the file cannot be made
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    raise StoreBusy(_busy(path)) from None
                time.sleep(0.05)
        lock = cls(path, descriptor)
        lock.describe()
        return lock

    def describe(self, **more: Any) -> None:
        """Writes who holds the lock, with ``more`` (such as the address that it answers on)."""
        assert self._descriptor is not None
        text = json.dumps({"pid": os.getpid(), "since": time.time(), **more}) + "\n"
        with suppress(OSError):  # on a full disk the lock holds, and only its note is missing
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text.encode(), 0)

    def release(self) -> None:
        """Gives the lock back. Idempotent."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
            os.close(descriptor)


def holder(path: Path) -> dict[str, Any] | None:
    """What the lock file says of its holder; None when nobody does or it cannot be read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _busy(path: Path) -> str:
    who = holder(path)
    since = "" if who is None else f" since {time.strftime('%H:%M:%S', time.localtime(who.get('since', 0)))}"
    process = "another process" if who is None else f"process {who.get('pid')}"
    if who is not None and who.get("url"):
        return f"{path.parent} is served by {process} at {who['url']}{since}; use that, or stop it, then run this again"
    return f"{path.parent} is in use by {process}{since}; wait for it, or stop it, then run this again"
