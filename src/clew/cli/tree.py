"""The tree of a run as lines: repeats collapsed, errors told once, where they began."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clew.model.attributes import DECISION_CHOICE
from clew.observe.query.traces import Span

REPEATS_FROM = 4
"""Fewer equal siblings than this are shown one by one."""


@dataclass(frozen=True, slots=True)
class Line:
    """A span, or ``times`` siblings in a row of the same kind, name and choice without a fault, as one."""

    span: Span
    times: int
    more: bool
    """Whether the first of the siblings stands, with its children, in the lines above."""
    spans: Sequence[Span]
    """Every span that the line stands for."""
    message: str
    """What went wrong, unless a span below it says the same."""


def lines(spans: Sequence[Span], *, collapse: bool = True) -> Iterator[Line]:
    """The lines of a tree; ``spans`` depth-first with their depths, as a Trace holds them. Takes time linear in their number."""
    last = ends(spans)
    faults = sums([1 if span.status == "error" or span.state != "ended" else 0 for span in spans])
    messages = [message(span) for span in spans]
    passed_on = _passed_on(spans, messages)
    told: dict[str, list[int]] = {}
    for index, text in enumerate(messages):
        if text:
            told.setdefault(text, []).append(index)

    def own_message(index: int) -> str:
        text = messages[index]
        if not text or passed_on[index]:
            return ""
        places = told[text]
        after = bisect_right(places, index)
        return "" if after < len(places) and places[after] < last[index] else text

    repeats: dict[int, tuple[int, int]] = {}  # where the first of some siblings ends -> (how many more, where the last one ends)
    index = 0
    while index < len(spans):
        if index in repeats:
            times, end = repeats.pop(index)
            yield Line(spans[index], times, True, spans[index:end], "")
            index = end
            continue
        times, end = _repeats(spans, last, faults, index) if collapse else (1, last[index])
        is_leaf = last[index] == index + 1
        if times >= REPEATS_FROM and is_leaf:
            yield Line(spans[index], times, False, spans[index:end], "")
            index = end
            continue
        if times >= REPEATS_FROM:
            repeats[last[index]] = (times - 1, end)
        yield Line(spans[index], 1, False, spans[index : index + 1], own_message(index))
        index += 1


def _passed_on(spans: Sequence[Span], messages: Sequence[str]) -> list[bool]:
    """For each span whether its message ends as that of a child does, its class left out: the child tells it."""
    found = [False] * len(spans)
    path: list[int] = []
    for index, span in enumerate(spans):
        del path[span.depth :]
        if path and messages[index]:
            above, said = messages[path[-1]], heart(messages[index])
            found[path[-1]] |= above == said or above.endswith(f": {said}")
        path.append(index)
    return found


def _repeats(spans: Sequence[Span], last: Sequence[int], faults: Sequence[int], first: int) -> tuple[int, int]:
    span, times, place = spans[first], 0, first
    is_leaf = last[first] == first + 1
    while place < len(spans):
        found = spans[place]
        if (
            found.depth != span.depth
            or found.kind != span.kind
            or found.name != span.name
            or found.model != span.model
            or found.tool != span.tool
            or found.attributes.get(DECISION_CHOICE) != span.attributes.get(DECISION_CHOICE)
        ):
            break
        if faults[last[place]] - faults[place] or (last[place] == place + 1) != is_leaf:
            break
        times, place = times + 1, last[place]
    return times, place


def ends(spans: Sequence[Span]) -> list[int]:
    """For each span the index after its last descendant."""
    found = [len(spans)] * len(spans)
    open_: list[int] = []
    for index, span in enumerate(spans):
        while open_ and spans[open_[-1]].depth >= span.depth:
            found[open_.pop()] = index
        open_.append(index)
    return found


def sums(numbers: Sequence[int]) -> list[int]:
    """Sums of the first 0, 1, 2, … numbers."""
    found = [0]
    for number in numbers:
        found.append(found[-1] + number)
    return found


def heart(text: str) -> str:
    """A message without the class before it."""
    return re.sub(r"^[\w.]+(?:Error|Exception|Warning|Failed)?: ", "", text)


def message(span: Span) -> str:
    """What a span says went wrong: its status message, and each exception whose message is not in it."""
    if span.status != "error":
        return ""
    texts = [span.status_message.strip()] if span.status_message.strip() else []
    for event in span.events:
        if event.name != "exception":
            continue
        text = event.attributes.get("exception.message", "").strip()
        kind = event.attributes.get("exception.type", "").rpartition(".")[2]
        if kind and text and texts == [text]:
            texts = [f"{kind}: {text}"]
        if text and any(text in known for known in texts):
            continue
        whole = f"{kind}: {text}" if kind and text else kind or text
        if whole and whole not in texts:
            texts.append(whole)
    return "\n".join(texts)
