"""How long a node may wait for something outside this process."""

from __future__ import annotations

from typing import Final, overload

from clew.act.workflow import running

SHARE: Final = 0.1
MOST_S: Final = 0.25
"""What is kept of a try's time, so that the node itself can end what it waits for and say so before it is given up: a tenth, at most this."""


@overload
def within(timeout_s: float) -> float: ...
@overload
def within(timeout_s: None) -> float | None: ...
def within(timeout_s: float | None) -> float | None:
    """The shorter of ``timeout_s`` and what this try of the node has left; more than 0. None: as long as it likes."""
    left = running.remaining_s()
    if left is None:
        return timeout_s
    left = max(left - min(left * SHARE, MOST_S), 0.001)
    return left if timeout_s is None else min(timeout_s, left)
