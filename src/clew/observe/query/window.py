"""The time that a filter bounds: what lies outside need not be read."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from clew.observe.query.filter import And, AnyOf, Compare, Equals, Node, Range, Term, Value, all_of
from clew.observe.query.filter_sql import SINCE
from clew.observe.query.filter_values import duration_ns, span_of_time_ns

FOREVER = (1 << 63) - 1


class Window(NamedTuple):
    """Nanoseconds since 1970, both ends included."""

    first_ns: int
    last_ns: int

    def __and__(self, other: Window) -> Window:
        return Window(max(self.first_ns, other.first_ns), min(self.last_ns, other.last_ns))

    @property
    def parameters(self) -> dict[str, int]:
        return {"window_first": self.first_ns, "window_last": self.last_ns}


ALWAYS = Window(0, FOREVER)

SPANS_WITHIN = "start_ns BETWEEN {window_first:Int64} AND {window_last:Int64}"
"""Of tables with start_ns, with the parameters of a window."""
TRACES_WITHIN = "trace_id IN (SELECT trace_id FROM traces WHERE last_ns >= {window_first:Int64} AND first_ns <= {window_last:Int64})"
"""The traces with a span that starts in a window."""


def window(node: Node, now: datetime) -> Window:
    """A window in which everything starts that the filter matches. A time that is none is left to filter_sql.compile to refuse."""
    found = ALWAYS
    for inner in node.nodes if isinstance(node, And) else (node,):
        if isinstance(inner, Term) and is_time(inner):
            found &= _of_term(inner, now)
    return found


def is_time(node: Node) -> bool:
    return isinstance(node, Term) and not node.attribute and node.name in (SINCE, "start")


def is_exact(node: Node) -> bool:
    """Whether the window of a time is all that it says."""
    return isinstance(node, Term) and isinstance(node.test, Equals | Compare | Range)


def timeless(node: Node) -> Node:
    """The filter without the times of which its window is all that they say."""
    nodes = node.nodes if isinstance(node, And) else (node,)
    return all_of(inner for inner in nodes if not (is_time(inner) and is_exact(inner)))


def _of_term(term: Term, now: datetime) -> Window:
    def named(value: Value) -> Window:
        ago = f"-{value.text}" if term.name == SINCE and duration_ns(value.text) is not None else value.text
        return Window(*(span_of_time_ns(ago, now) or ALWAYS))

    match term.test:
        case Equals(value):
            return Window(named(value).first_ns, FOREVER) if term.name == SINCE else named(value)
        case AnyOf(values):
            windows = [named(value) for value in values]
            return Window(min(one.first_ns for one in windows), max(one.last_ns for one in windows))
        case Compare(operator, value):
            given = named(value)
            if given == ALWAYS:
                return ALWAYS
            return {
                ">": Window(given.last_ns + 1, FOREVER),
                ">=": Window(given.first_ns, FOREVER),
                "<": Window(0, given.first_ns - 1),
                "<=": Window(0, given.last_ns),
            }[operator]
        case Range(low, high):
            return Window(named(low).first_ns if low else 0, named(high).last_ns if high else FOREVER)
        case _:
            return ALWAYS
