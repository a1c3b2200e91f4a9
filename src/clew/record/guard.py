"""The one guard: a fault of the recorder never reaches the program it records. It is logged and counted; under test it is raised."""

from __future__ import annotations

from typing import Final

raising = False
"""True under test (:mod:`clew.testing`): a fault is raised instead of logged."""

_faults = 0
_LOGGED_WHOLE: Final = 10  # then only counted: a fault on a hot path must not flood the host's log


def fault(where: str) -> None:
    """To be called in an ``except`` block: logs and counts the exception at hand, or raises it again under test."""
    if raising:
        raise  # the caller's exception
    global _faults
    _faults += 1
    if _faults <= _LOGGED_WHOLE:
        last = " (further faults are only counted)" if _faults == _LOGGED_WHOLE else ""
        import logging  # 6 ms: not on `import clew`

        logging.getLogger("clew").warning("clew: %s failed; the program goes on%s", where, last, exc_info=True)


def faults() -> int:
    """Faults of this process so far."""
    return _faults
