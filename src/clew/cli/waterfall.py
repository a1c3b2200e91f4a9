"""The tree of a run over its time axis: one line for each span, or for a row of repeats, and errors below theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from clew.cli import decisions, figures
from clew.cli.runs import id_digits, style_of
from clew.cli.terminal import Cell, Page, cell_width, safe, safe_lines
from clew.cli.tree import Line, lines
from clew.model.attributes import GATE_RESULT, PERSONA, STAGE
from clew.observe.query.traces import Span, Trace

MOST_LINES = 1_000
"""Lines of a tree that are shown unless all are asked for: more than anybody reads, and quick."""

MOST_ERRORS = 10
"""Errors that are named out of what is not shown."""

DEEPEST = 24
"""Levels that are indented, fewer on a narrow page; a deeper span says its depth instead."""

BAR_WIDTH = 24
LEAST_BAR_WIDTH, LEAST_NAME_WIDTH = 10, 12
LONGEST_NAME = 60
"""Columns for a name in a pipe; there a longer one moves the rest of its line."""

_KIND_WIDTH = 9
_TITLES = ("span", "duration", "tokens", "cost", "status")
_ALIGN = ("left", "right", "right", "right", "left")


def write(page: Page, trace: Trace, *, now_ns: int, everything: bool = False, reasons: Mapping[str, str] | None = None) -> None:
    """Writes the tree; beyond MOST_LINES, unless ``everything``, how much more there is and which of it failed.

    :param reasons: why it was decided so, by the span id of the decision
    """
    if not trace.spans:
        return
    shown: list[Line] = []
    rest: list[Line] = []
    for line in lines(trace.spans, collapse=not everything):
        (shown if everything or len(shown) < MOST_LINES else rest).append(line)
    _write_lines(page, trace, shown, now_ns, reasons or {})
    if rest:
        _write_rest(page, trace, rest)


def _write_lines(page: Page, trace: Trace, shown: Sequence[Line], now_ns: int, reasons: Mapping[str, str]) -> None:
    start = min(span.start_ns for span in trace.spans)
    end = max(_end(span, now_ns) for span in trace.spans)
    several_models = len({span.model for span in trace.spans if span.model}) > 1  # one is named in the header
    deepest = DEEPEST if page.width is None else min(DEEPEST, page.width // 8)
    digits = id_digits([span.span_id for span in trace.spans], most=16)
    rows = [_Row(line, with_model=several_models, deepest=deepest, digits=digits) for line in shown]
    widths = [max(len(title), *(cell_width(row.figures[index]) for row in rows)) for index, title in enumerate(_TITLES)]
    name_width = max(len("name"), *(cell_width(row.name) for row in rows))
    bar_width = BAR_WIDTH
    if page.width is None:
        name_width = min(name_width, LONGEST_NAME)
    else:
        free = page.width - _KIND_WIDTH - 4 - sum(widths) - 2 * len(widths)
        bar_width = min(max(free - name_width, LEAST_BAR_WIDTH), bar_width)
        name_width = max(min(name_width, free - bar_width), LEAST_NAME_WIDTH)
    frame = list(zip((_KIND_WIDTH, name_width, bar_width, *widths), ("left", "left", "left", *_ALIGN), strict=True))

    def put(*cells: Cell) -> None:
        page.line(page.row([(cell, width, align) for cell, (width, align) in zip(cells, frame, strict=True)]))

    put(*(Cell(title, "faint") for title in ("kind", "name", "", *_TITLES)))
    for row in rows:
        span = row.line.span
        bar = _bar(row.line, start, end, bar_width, now_ns, page)
        put(Cell(span.kind, span.kind), Cell(row.name), Cell(bar, span.kind), *map(Cell, row.figures, row.styles))
        indent = " " * (_KIND_WIDTH + 4 + 2 * min(span.depth, deepest))
        decided = decisions.lines(span, reasons.get(span.span_id, ""), repeated=row.line.times > 1)
        page.lines(indent + page.style(text, "" if index else span.kind) for index, text in enumerate(decided))
        if row.line.message:
            page.lines(indent + page.style(text, "error") for text in safe_lines(row.line.message))


def _write_rest(page: Page, trace: Trace, rest: Sequence[Line]) -> None:
    hidden = sum(len(line.spans) for line in rest)
    failed = [line for line in rest if line.span.status == "error"]
    errors = f", {len(failed):,} of them with an error" if failed else ""
    page.line()
    page.line(f"{figures.plural(hidden, 'more span')} of {len(trace.spans):,}{errors}; --all shows them")
    for line in [line for line in failed if line.message][:MOST_ERRORS]:
        page.line(f"  {line.span.span_id} {line.span.kind} {safe(line.span.name)}: {page.style(safe(line.message), 'error')}")


class _Row:
    """The texts of one line of the tree."""

    def __init__(self, line: Line, *, with_model: bool, deepest: int, digits: int) -> None:
        span = line.span
        self.line = line
        deep = span.depth > deepest
        name = "  " * min(span.depth, deepest) + (f"({span.depth:,}) " if deep else "") + (safe(span.name) or "(no name)")
        more = next(
            (
                safe(text)
                for text in (span.model if with_model else "", span.tool, span.agent if span.kind == "agent" else "", *_said(span))
                if text and text not in span.name
            ),
            "",
        )
        self.name = name + (f" · {more}" if more else "")
        if line.more:
            self.name += f" \N{MULTIPLICATION SIGN}{line.times:,} more"
        elif line.times > 1:
            self.name += f" \N{MULTIPLICATION SIGN}{line.times:,}"
        calls = [found for found in line.spans if found.is_model_call]
        outcome = span.state if span.state != "ended" else "error" if span.status == "error" else ""
        self.figures = (
            "" if line.times > 1 or line.more else span.span_id[:digits],
            figures.duration(_sum(found.duration_ns for found in line.spans if found.depth == span.depth)),
            figures.tokens(_sum(call.input_tokens for call in calls), _sum(call.output_tokens for call in calls)) if calls else "",
            cost_of(calls) if calls else "",
            outcome,
        )
        self.styles = ("faint", "", "", "", style_of(outcome))


def _said(span: Span) -> tuple[str, ...]:
    """What else tells a span from others like it: who was at work in a stage, what a gate found."""
    if span.kind == "gate":
        return (span.attributes.get(GATE_RESULT, ""),)
    return (span.attributes.get(PERSONA, ""),) if STAGE in span.attributes and span.kind == "node" else ()


def _sum(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def cost_of(calls: Sequence[Span]) -> str:
    """What some model calls cost together; says so when a local cache answered all of them."""
    known = [call.cost_usd for call in calls if call.cost_usd is not None]
    text = figures.cost(sum(known) if len(known) == len(calls) else None, sum(known))
    return text + " cached" if all(call.cost_source == "cached" for call in calls) else text


def _end(span: Span, now_ns: int) -> int:
    if span.duration_ns is not None:
        return span.start_ns + span.duration_ns
    return max(now_ns, span.start_ns) if span.state == "running" else span.start_ns


def _bar(line: Line, start: int, end: int, width: int, now_ns: int, page: Page) -> str:
    """Where on the run's time axis the span lies; at least one cell."""
    whole = max(end - start, 1)
    first = (line.span.start_ns - start) * width // whole
    last = -((start - max(_end(span, now_ns) for span in line.spans)) * width // whole)
    first = min(first, width - 1)
    mark = ("━" if line.span.state == "ended" else "╍") if page.is_terminal else "=" if line.span.state == "ended" else "-"
    return " " * first + mark * max(min(last, width) - first, 1)
