"""Loops and fan-out at work: the same again, no progress, too much at once."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from clew.cost.budgets.runaway import Rule, Runaway
from clew.cost.budgets.verdicts import Verdict
from clew.errors import LoopDetected
from clew.model import attributes as names
from clew.model.reading import REFUSED
from clew.record.limits import reading
from clew.record.limits.tree import Frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clew.record.span import Span

MOST_REMEMBERED: Final = 10_000
"""Different calls of tools that are counted in one run; beyond it the one that came longest ago is forgotten."""

applied: Final[dict[str, Runaway]] = {}
"""Limits that code declared for the whole process, by name."""

_REPEATED: Final = frozenset({"tool", "llm"})


class _Seen:
    """What was seen of one run, or inside one block."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.calls: OrderedDict[tuple[str, str], int] = OrderedDict()
        self.results: dict[tuple[str, str], tuple[str, int]] = {}
        self.agents = 0

    def count(self, tool: str, arguments: str) -> int:
        key = tool, arguments
        with self.lock:
            count = self.calls[key] = self.calls.get(key, 0) + 1
            self.calls.move_to_end(key)
            if len(self.calls) > MOST_REMEMBERED:
                self.calls.popitem(last=False)
            return count

    def result(self, key: tuple[str, str], result: str) -> int:
        """How often the same has come in a row."""
        with self.lock:
            last, times = self.results.get(key, ("", 0))
            times = times + 1 if last == result else 1
            self.results[key] = result, times
            return times


class Loops:
    """The limits of repetition and fan-out that hold for a span."""

    def start(self, frame: Frame, span: Span, everywhere: Iterable[Runaway]) -> list[Verdict]:
        """:returns: what is told; :raises LoopDetected: a hard limit is reached"""
        if frame.parent is not None:
            frame.parent.children += 1
        told: list[Verdict] = []
        for limits, seen in _holding(frame, everywhere):
            for rule, count, subject, message in self._reached(frame, span, limits, seen):
                limit = getattr(limits, rule)
                attributes = {names.LOOP_RULE: rule, names.LOOP_COUNT: count, names.LOOP_LIMIT: limit, names.LOOP_SUBJECT: subject}
                if limits.hard:
                    raise LoopDetected(f"{message}; the limit is {limit} ({rule})", rule=rule, count=count, attributes=attributes)
                if count == limit + 1:
                    told.append(Verdict("tell", names.LOOP_EVENT, f"{message}; the limit is {limit} ({rule})", attributes))
        return told

    def _reached(self, frame: Frame, span: Span, limits: Runaway, seen: _Seen) -> Iterator[tuple[Rule, int, str, str]]:
        parent = frame.parent
        if limits.children is not None and parent is not None and parent.children > limits.children:
            above = parent.span()
            name = above.name if above is not None else "a span"
            yield "children", parent.children, name, f"{name} has started {parent.children} spans directly below it"
        if frame.kind == "agent":
            seen.agents += 1
            depth = frame.agents_above + 1
            if limits.depth is not None and depth > limits.depth:
                yield "depth", depth, span.name, f"agent {span.name} is {depth} agents deep"
            if limits.agents is not None and seen.agents > limits.agents:
                yield "agents", seen.agents, span.name, f"agent {span.name} is number {seen.agents} of this run"
        if frame.kind == "tool" and limits.repeats is not None:
            arguments = _arguments(span)
            if arguments is not None:
                count = seen.count(span.name, arguments)
                frame.state[id(seen)] = True
                if count > limits.repeats:
                    yield "repeats", count, span.name, f"tool {span.name} is called with the same arguments for the {_nth(count)} time"
            else:  # they may be known by the end: what that found out meets the next call
                count = seen.results.get(("repeats", span.name), ("", 0))[1]
                if count > limits.repeats:
                    yield "repeats", count, span.name, f"tool {span.name} was called {count} times with the same arguments"
        if frame.kind in _REPEATED and limits.no_progress is not None:
            times = seen.results.get((frame.kind, _what(span, frame)), ("", 0))[1]
            if times >= limits.no_progress:
                what = _what(span, frame)
                yield (
                    "no_progress",
                    times + 1,
                    what,
                    f"{'tool' if frame.kind == 'tool' else 'model'} {what} gave the same {times} times in a row",
                )

    def end(self, frame: Frame, span: Span, everywhere: Iterable[Runaway]) -> None:
        """Remembers what came of it."""
        if frame.kind not in _REPEATED or span.given.get(names.ERROR_TYPE) in REFUSED:
            return
        result = _result(span)
        for limits, seen in _holding(frame, everywhere):
            if result is not None and limits.no_progress is not None:
                seen.result((frame.kind, _what(span, frame)), result)
            if frame.kind == "tool" and limits.repeats is not None and id(seen) not in frame.state:
                arguments = _arguments(span)
                if arguments is not None:
                    count = seen.count(span.name, arguments)
                    with seen.lock:
                        seen.results["repeats", span.name] = arguments, count


def _holding(frame: Frame, everywhere: Iterable[Runaway]) -> Iterator[tuple[Runaway, _Seen]]:
    """The limits that hold for a span, each with what was seen where they hold: in the run, or in the block."""
    root = frame.root
    for limits in everywhere:
        yield limits, root.state.setdefault(id(limits), _Seen())
    for outer in frame.path():
        if outer is not frame:
            for limits in outer.blocks:
                if isinstance(limits, Runaway):
                    yield limits, outer.state.setdefault(id(limits), _Seen())


def _what(span: Span, frame: Frame) -> str:
    return span.name if frame.kind == "tool" else reading.text(span, "request_model") or span.name


def _arguments(span: Span) -> str | None:
    return _digest(span.given.get(span.instrument.input if span.instrument.kind else names.TOOL_ARGUMENTS))


def _result(span: Span) -> str | None:
    error = span.given.get(names.ERROR_TYPE)
    if error is not None:
        return _digest(f"{error} {span.status_message}")
    return _digest(span.given.get(span.instrument.output if span.instrument.kind else names.TOOL_RESULT))


def _digest(value: Any) -> str | None:
    return None if value is None else hashlib.blake2b(repr(value).encode(errors="replace"), digest_size=16).hexdigest()


def _nth(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
