"""What a check has found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Result = Literal["passed", "failed", "error"]
"""``error``: the check itself could not be made, so nothing is known."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A check's verdict, and what it rests on.

    :ivar reason: why, in one line
    :ivar score: what was measured; ``threshold``: what it had to be at least
    :ivar evidence: what may be looked at: counts, names of failed tests, the end of an output
    :ivar check: sort of check: command, junit, coverage, function, model or manual
    """

    result: Result
    reason: str = ""
    score: float | None = None
    threshold: float | None = None
    evidence: Any = None
    check: str = "manual"


def finding(value: Any, at_least: float | None = None) -> Finding:
    """What a function's value says: a Finding; True or False; a number, to be ``at_least``; a mapping with ``passed`` and, if it likes,
    ``reason``, ``score`` and ``evidence``; None, which is passed: it raised nothing."""
    if isinstance(value, Finding):
        return value
    if value is None or isinstance(value, bool):
        return Finding("failed" if value is False else "passed", check="function")
    if isinstance(value, (int, float)):
        if at_least is None:
            return Finding("error", f"the check gave {value!r}, and nothing says what is enough; give at_least=", check="function")
        passed = value >= at_least
        reason = f"{value:g} is {'at least' if passed else 'below'} {at_least:g}"
        return Finding("passed" if passed else "failed", reason, float(value), at_least, check="function")
    if isinstance(value, Mapping) and isinstance(value.get("passed"), bool):
        score = value.get("score")
        return Finding(
            "passed" if value["passed"] else "failed",
            str(value.get("reason") or ""),
            float(score) if isinstance(score, (int, float)) and not isinstance(score, bool) else None,
            evidence=value.get("evidence"),
            check="function",
        )
    return Finding(
        "error", f"the check gave {value!r:.200}, no verdict; give True, False, a number or a mapping with 'passed'", check="function"
    )
