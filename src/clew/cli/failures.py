"""What went wrong in a run: each fault once, where it began, with the way down to it and how far up it went."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from clew.cli.tree import heart, message
from clew.observe.query.traces import Span

Outcome = Literal["ended the run", "came before the end", "was survived", "may have been survived", "was cut off", "is under way"]

_VARYING = re.compile(r"0x[0-9a-fA-F]+|[0-9a-f]{8,}|\d+")
"""What differs between two reports of the same fault: addresses, ids, numbers."""
LONGEST_KEY = 2_000
"""Characters of a message that tell faults apart."""
MOST_MESSAGES = 16
"""Messages of the spans below that are remembered, for each level of the tree, to tell what is only passed on."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A fault, and how often it came."""

    span: Span
    """Where it began: the first of its spans."""
    path: tuple[Span, ...]
    """The span's ancestors, the root first."""
    message: str
    """'' when the span says nothing."""
    outcome: Outcome
    kept_by: Span | None
    """The nearest ancestor that the fault did not reach."""
    times: int = 1


def failures(spans: Sequence[Span]) -> list[Failure]:
    """The faults of a run, those that ended it first, then those that came most often; ``spans`` depth-first, as a Trace holds them.

    A span that failed counts as the beginning of a fault unless a failed span below it says the same. Faults that differ only
    in numbers are one. Where a run was cut off, the innermost spans that were open then count too. A fault that all spans above it share
    ended the run when the run says the same, or when nothing began after it.
    """
    beginnings = set(_beginnings(spans))
    last = max((span.start_ns for span in spans), default=0)
    whole = message(spans[0]) if spans else ""
    found: dict[tuple[str, str, str, Outcome], Failure] = {}
    path: list[Span] = []
    keepers: list[Span | None] = []  # for each span of the path, the nearest one from it up that did not fail
    for index, span in enumerate(spans):
        del path[span.depth :], keepers[span.depth :]
        above = keepers[-1] if keepers else None
        if index in beginnings:
            text = message(span)
            outcome = _outcome(span, above)
            if (
                outcome == "ended the run"
                and span.start_ns + (span.duration_ns or 0) < last
                and not (whole and text and _same(text, whole))
            ):
                outcome = "came before the end"
            key = (span.kind, span.name, _VARYING.sub("#", text[:LONGEST_KEY]), outcome)
            known = found.get(key)
            found[key] = replace(known, times=known.times + 1) if known else Failure(span, tuple(path), text, outcome, above)
        path.append(span)
        keepers.append(above if span.status == "error" else span)
    return sorted(found.values(), key=_weight)


def _outcome(span: Span, keeper: Span | None) -> Outcome:
    if span.state != "ended":
        return "was cut off" if span.state == "lost" else "is under way"
    if keeper is None:
        return "ended the run"
    return "was survived" if keeper.status == "ok" else "may have been survived"


_ORDER: dict[Outcome, int] = {
    "ended the run": 0,
    "was cut off": 1,
    "is under way": 2,
    "came before the end": 3,
    "may have been survived": 4,
    "was survived": 5,
}


def _weight(failure: Failure) -> tuple[int, int, int, str]:
    span = failure.span
    if failure.outcome == "ended the run":  # the last one did it
        return 0, 0, -(span.start_ns + (span.duration_ns or 0)), span.span_id
    return _ORDER[failure.outcome], -failure.times, span.start_ns, span.span_id


def _beginnings(spans: Sequence[Span]) -> Iterator[int]:
    """Indexes of the spans where a fault began, from the last to the first."""
    below: dict[int, set[str]] = {}  # depth -> messages of the spans there and below whose parent is still to come
    open_below: set[int] = set()
    for index in range(len(spans) - 1, -1, -1):
        span = spans[index]
        told = below.pop(span.depth + 1, set())
        has_open = span.depth + 1 in open_below
        open_below.discard(span.depth + 1)
        if span.state != "ended":
            if not has_open:
                yield index
            has_open = True
        elif span.status == "error":
            text = message(span)
            if not told if not text else not any(_same(text, other) for other in told):
                yield index
            if len(told) < MOST_MESSAGES:
                told.add(text)
        if told:
            above = below.setdefault(span.depth, set())
            above.update(sorted(told)[: MOST_MESSAGES - len(above)])
        if has_open:
            open_below.add(span.depth)


def _same(text: str, other: str) -> bool:
    """Whether one of the two says what the other says, and perhaps more."""
    return not other or text in other or other in text or heart(other) in text or heart(text) in other
