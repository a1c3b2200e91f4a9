"""What the recording process uses, as points in its spool: for programs that ask for it (the setting ``resources``)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from clew.wire.resources import ProcessResources, request

if TYPE_CHECKING:
    from clew.record.writer import Sink


class OwnResources:
    """Written by the writer in its turns: at the first one, every ``every_s`` seconds, and when the recorder is closed.

    :raises MissingExtra: psutil is not installed
    """

    def __init__(self, every_s: float) -> None:
        self._every_ns = round(every_s * 1e9)
        self._process = ProcessResources()
        self._pid = os.getpid()
        self._written_ns = 0

    def write(self, sinks: Iterable[Sink], resource: str, now_ns: int, *, last: bool) -> None:
        """Hands one line to the sinks, when it is time or it is the last."""
        if not last and now_ns - self._written_ns < self._every_ns:
            return
        if self._pid != os.getpid():  # a forked child measures itself
            self._process, self._pid = ProcessResources(), os.getpid()
        self._written_ns = now_ns
        line = request(self._process.read(), resource, start_ns=self._process.start_ns, now_ns=now_ns)
        for sink in sinks:
            sink.write(line, 0, starts=False)
