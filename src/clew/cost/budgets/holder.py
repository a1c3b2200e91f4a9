"""Which process holds a reservation, and whether it still lives: a process id alone comes round again."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Final

LONGEST_S: Final = 3600.0
"""How long a reservation counts whose holder cannot be judged: one of another container, or of another machine."""


@lru_cache(maxsize=4)
def own(pid: int) -> str:
    """Names this process (``pid`` is its own, so that a forked child is asked anew): id, start, and the namespace that both are of."""
    return f"{pid} {_start(pid)} {_namespace()}"


def lives(holder: str) -> bool | None:
    """None: it cannot be judged from here."""
    pid, start, namespace = holder.split(" ", 2)
    if namespace != _namespace():
        return None
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    now = _start(int(pid))
    return now == start or now == ""


def _start(pid: int) -> str:
    """When a process started, in ticks since boot; "" where the system does not say. A dead one that nobody has waited for has none."""
    if not sys.platform.startswith("linux"):
        return ""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
    except OSError:
        return "gone"
    return "gone" if fields[0] in (b"Z", b"X") else fields[19].decode()


@lru_cache(maxsize=1)
def _namespace() -> str:
    """What a process id means something in: one boot, and one namespace of process ids, of one machine."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return os.uname().nodename
