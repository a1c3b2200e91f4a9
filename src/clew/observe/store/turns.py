"""Whose turn it is to write: imports, sweeps and the collector take turns, in the order in which they asked."""

from __future__ import annotations

import threading
from collections import deque


class Turns:
    """A re-entrant lock that is fair: who asked first is next, so a long import that offers its turn cannot take it right back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._depth = 0
        self._waiting: deque[tuple[int, threading.Event]] = deque()

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting)

    def acquire(self, timeout: float = -1) -> bool:
        """Waits for the turn, at most ``timeout`` seconds (-1: for ever); gives back whether it came."""
        me = threading.get_ident()
        with self._lock:
            if self._owner in (None, me):
                self._owner = me
                self._depth += 1
                return True
            granted = threading.Event()
            self._waiting.append((me, granted))
        if granted.wait(None if timeout < 0 else timeout):
            return True
        with self._lock:
            if granted.is_set():  # it came at the last moment
                return True
            self._waiting.remove((me, granted))
        return False

    def release(self) -> None:
        with self._lock:
            if self._owner != threading.get_ident():
                raise RuntimeError("released by a thread whose turn it is not")
            self._depth -= 1
            if self._depth:
                return
            self._owner = None
            if self._waiting:
                self._owner, granted = self._waiting.popleft()
                self._depth = 1
                granted.set()

    def __enter__(self) -> Turns:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
