"""``clew show``: one run as a tree."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from clew.cli import figures, invocation
from clew.cli.messages import Message, messages
from clew.cli.runs import no_price, state, style_of
from clew.cli.terminal import Cell, Page, cell_width, safe, safe_lines
from clew.cli.tree import Line, lines
from clew.errors import AmbiguousId, NotFound
from clew.observe.query.runs import Run
from clew.observe.query.traces import Span, Trace

if TYPE_CHECKING:
    from clew.cli.client import Client

MOST_LINES = 1_000
"""Lines of a tree that are shown unless all are asked for: more than anybody reads, and quick."""

DEEPEST = 24
"""Levels that are indented, fewer on a narrow page; a deeper span says its depth instead."""


@click.command("show")
@click.argument("run")
@click.option("--messages", "--content", "with_messages", is_flag=True, help="Also write the messages of the model calls.")
@click.option("--span", metavar="ID", help="Write everything about this one span of the run.")
@click.option("--all", "everything", is_flag=True, help="Collapse no repeats, cut nothing, fold no messages.")
@invocation.as_json
@invocation.common
def command(run: str, with_messages: bool, span: str | None, everything: bool, as_json: bool) -> None:
    """Show one run as a tree, with times, tokens, cost and errors.

    RUN is an id, which may be shortened, or `last` for the newest run.
    """
    from clew.cli.operations import ATTRIBUTES, CONTENTS, TRACE

    with invocation.reading("show") as client:
        trace = client.ask(TRACE, run_id=run)
        page = invocation.page()
        if span is not None:
            found = one(trace, span)
            contents = client.ask(CONTENTS, run_id=trace.run.run_id, span_id=found.span_id)
            if as_json:
                attributes = client.ask(ATTRIBUTES, run_id=trace.run.run_id, span_id=found.span_id)
                page.json({"span": found, "attributes": attributes, "contents": contents})
            else:
                write_span(page, trace, found, contents)
            return
        if as_json:
            page.json({"trace": trace, "contents": _contents(client, trace)} if with_messages else trace)
            return
        write(page, trace, now_ns=time.time_ns(), everything=everything)
        if with_messages:
            write_messages(
                page,
                trace,
                ((span, client.ask(CONTENTS, run_id=trace.run.run_id, span_id=span.span_id)) for span in _talking(trace)),
                everything,
            )
        elif page.is_terminal and any(_talking(trace)):
            page.line()
            page.note(f"clew show {trace.run.run_id[:8]} --messages   what was said; --span ID   everything about one span")


def one(trace: Trace, span_id: str) -> Span:
    """The span with that (possibly shortened) id.

    :raises NotFound: none has it
    :raises AmbiguousId: several do
    """
    found = [span for span in trace.spans if span.span_id.startswith(span_id.lower())]
    if not found:
        raise NotFound(
            f"no span of run {trace.run.run_id[:8]} has an id that starts with {span_id!r}; clew search run:{trace.run.run_id[:8]} lists them"
        )
    if len(found) > 1:
        some = ", ".join(span.span_id for span in found[:5])
        raise AmbiguousId(
            f"{len(found)} spans have an id that starts with {span_id!r}: {some}{', …' if len(found) > 5 else ''}; give more digits"
        )
    return found[0]


def _talking(trace: Trace) -> list[Span]:
    return [span for span in trace.spans if (span.is_model_call or span.kind == "llm") and span.content_keys]


def _contents(client: Client, trace: Trace) -> dict[str, dict[str, str]]:
    from clew.cli.operations import CONTENTS

    return {span.span_id: client.ask(CONTENTS, run_id=trace.run.run_id, span_id=span.span_id) for span in _talking(trace)}


def write(page: Page, trace: Trace, *, now_ns: int, everything: bool = False) -> None:
    """Writes the header, the tree, and what is in doubt."""
    write_header(page, trace.run, now_ns)
    page.line()
    write_tree(page, trace, now_ns=now_ns, everything=everything)
    notes = doubts(trace)
    if notes:
        page.line()
    for note in notes:
        page.note(note)


def write_header(page: Page, run: Run, now_ns: int) -> None:
    outcome = state(run)
    took = figures.duration(run.duration_ns)
    sentence = {
        "ok": f"done in {took}",
        "error": f"failed after {took}",
        "running": f"running for {figures.duration(max(now_ns - run.start_ns, 0))}",
        "lost": "lost: its process ended before the run did",
    }.get(outcome, outcome)
    errors = f", {figures.plural(run.errors, 'span')} with an error" if run.errors else ""
    page.line(
        f"{page.style(safe(run.name) or '(no name)', 'strong')} {page.style(sentence, style_of(outcome) if outcome != 'ok' else '')}{errors}"
    )
    facts = [figures.moment(run.start_ns), figures.ago(run.start_ns, now_ns), safe(run.service), figures.plural(run.spans, "span")]
    if run.model_calls:
        facts += [
            figures.plural(run.model_calls, "model call"),
            f"{figures.tokens(run.input_tokens, run.output_tokens)} tokens",
            figures.cost(run.cost_usd, run.partial_cost_usd),
            ", ".join(safe(model) for model in run.models),
        ]
    page.line(" · ".join(fact for fact in facts if fact))
    ids = [f"run {run.run_id}"] + ([f"session {safe(run.session_id)}"] if run.session_id else [])
    page.line(page.style(" · ".join(ids), "faint"))


def write_tree(page: Page, trace: Trace, *, now_ns: int, everything: bool = False) -> None:
    """Writes one line for each span or group of repeats, and errors below theirs."""
    if not trace.spans:
        return
    shown: list[Line] = []
    rest: list[Line] = []
    for line in lines(trace.spans, collapse=not everything):
        (shown if everything or len(shown) < MOST_LINES else rest).append(line)
    start = min(span.start_ns for span in trace.spans)
    end = max(_end(span, now_ns) for span in trace.spans)
    one_model = len({span.model for span in trace.spans if span.model}) == 1  # the header names it
    deepest = DEEPEST if page.width is None else min(DEEPEST, page.width // 8)
    rows = [_Row(line, with_model=not one_model, deepest=deepest) for line in shown]
    widths = [
        max(max(cell_width(cell) for cell in column), len(title))
        for title, column in zip(_TITLES, zip(*(row.right for row in rows), strict=True), strict=True)
    ]
    right = sum(widths) + 2 * len(widths)
    name_width = min(max(max(cell_width(row.name) for row in rows), 4), 60)
    bar_width = 24
    if page.width is not None:
        free = page.width - right - 2 - 11
        natural = max(cell_width(row.name) for row in rows)
        bar_width = min(max(free - natural, 10), bar_width)
        name_width = max(min(natural, free - bar_width), 12)
    heads = [(Cell("kind", "faint"), 9, "left"), (Cell("name", "faint"), name_width, "left"), (Cell("", "faint"), bar_width, "left")]
    heads += [(Cell(title, "faint"), width, align) for title, width, align in zip(_TITLES, widths, _ALIGN, strict=True)]
    page.line(page.row(heads))
    for row in rows:
        bar = _bar(row.line, start, end, bar_width, now_ns, page)
        cells = [
            (Cell(row.line.span.kind, row.line.span.kind), 9, "left"),
            (Cell(row.name), name_width, "left"),
            (Cell(bar, row.line.span.kind), bar_width, "left"),
        ]
        cells += [
            (Cell(text, style), width, align) for text, style, width, align in zip(row.right, row.styles, widths, _ALIGN, strict=True)
        ]
        page.line(page.row(cells))
        if row.line.message:
            indent = " " * (11 + 2 * min(row.line.span.depth, deepest) + 2)
            for text in safe_lines(row.line.message):
                page.line(indent + page.style(text, "error"))
    if rest:
        page.line()
        hidden = sum(len(line.spans) for line in rest)
        failed = [line for line in rest if line.span.status == "error"]
        page.line(
            f"{figures.plural(hidden, 'more span')} of {len(trace.spans):,}{f', {len(failed):,} of them with an error' if failed else ''}; --all shows them"
        )
        for line in failed[:10]:
            text = safe(line.message)
            page.line(
                f"  {line.span.span_id[:8]} {line.span.kind} {safe(line.span.name)}: {page.style(text, 'error')}"
                if text
                else f"  {line.span.span_id[:8]} {line.span.kind} {safe(line.span.name)}"
            )


_TITLES = ("span", "duration", "tokens", "cost", "status")
_ALIGN = ("left", "right", "right", "right", "left")


class _Row:
    """The texts of one line of the tree."""

    def __init__(self, line: Line, *, with_model: bool, deepest: int) -> None:
        span = line.span
        self.line = line
        deep = span.depth > deepest
        name = "  " * min(span.depth, deepest) + (f"({span.depth:,}) " if deep else "") + (safe(span.name) or "(no name)")
        more = next(
            (
                safe(text)
                for text in (span.model if with_model else "", span.tool, span.agent if span.kind == "agent" else "")
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
        self.right = (
            "" if line.times > 1 or line.more else span.span_id[:8],
            figures.duration(_sum(found.duration_ns for found in line.spans if found.depth == span.depth)),
            figures.tokens(_sum(call.input_tokens for call in calls), _sum(call.output_tokens for call in calls)) if calls else "",
            _cost(calls) if calls else "",
            outcome,
        )
        self.styles = ("faint", "", "", "", style_of(outcome))


def _sum(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _cost(calls: Sequence[Span]) -> str:
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


def doubts(trace: Trace) -> list[str]:
    """Why costs are not known, and what is odd about the tree."""
    calls = [span for span in trace.spans if span.is_model_call]
    notes = []
    unpriced = [span for span in calls if span.cost_source == "unpriced"]
    if unpriced:
        notes.append(no_price(sorted({span.model for span in unpriced}), len(unpriced)))
    missing = sum(span.cost_source == "missing" for span in calls)
    if missing:
        notes.append(f"{figures.plural(missing, 'model call')} recorded no usage: the cost there is not known")
    if trace.orphans:
        notes.append(f"{figures.plural(trace.orphans, 'span')} name{'s' if trace.orphans == 1 else ''} a parent that is not in the store")
    return notes


def write_messages(page: Page, trace: Trace, said: Iterable[tuple[Span, dict[str, str]]], everything: bool = False) -> None:
    """Writes the messages of model calls; those that an earlier call of the run has already shown at its beginning are folded."""
    known: set[Message] = set()
    for span, contents in said:
        page.line()
        facts = [f"{safe(span.name)}", safe(span.model), figures.clock(span.start_ns), figures.duration(span.duration_ns)]
        if span.is_model_call:
            facts += [figures.tokens(span.input_tokens, span.output_tokens) + " tokens", _cost([span])]
        page.line(
            page.style(span.kind, span.kind)
            + " "
            + page.style(" · ".join(fact for fact in [*facts, f"span {span.span_id[:8]}"] if fact), "strong")
        )
        found = messages(span.attributes, contents)
        folded = 0
        while not everything and folded < len(found) - 1 and found[folded] in known:
            folded += 1
        if folded:
            page.note(f"  {figures.plural(folded, 'message')} as before; --all shows {'it' if folded == 1 else 'them'} again")
        for message in found[folded:]:
            page.line(page.style(f"  {safe(message.role)}", "faint"))
            page.lines(f"    {text}" for text in safe_lines(message.text))
        if not found:
            page.note("  no messages were recorded")
        known.update(found)


def write_span(page: Page, trace: Trace, span: Span, contents: dict[str, str]) -> None:
    """Writes everything about one span."""
    outcome = span.state if span.state != "ended" else span.status
    page.line(f"{page.style(span.kind, span.kind)} {page.style(safe(span.name), 'strong')} {page.style(outcome, style_of(outcome))}")
    parent = next((found for found in trace.spans if found.span_id == span.parent_span_id), None)
    facts: list[tuple[str, Any]] = [
        ("run", trace.run.run_id),
        ("span", span.span_id),
        (
            "parent",
            f"{span.parent_span_id} {parent.kind + ' ' + parent.name if parent else '(not in the store)'}" if span.parent_span_id else "",
        ),
        ("started", f"{figures.moment(span.start_ns)}.{span.start_ns % 1_000_000_000:09}"),
        ("duration", figures.duration(span.duration_ns)),
        ("agent", span.agent),
        ("model", span.model),
        ("tool", span.tool),
    ]
    if span.is_model_call:
        facts += [
            ("tokens", figures.tokens(span.input_tokens, span.output_tokens)),
            ("cached", figures.count(span.cache_read_tokens) if span.cache_read_tokens else ""),
            ("reasoning", figures.count(span.reasoning_tokens) if span.reasoning_tokens else ""),
            ("cost", f"{figures.money(span.cost_usd)} {span.cost_source}"),
        ]
    for name, value in facts:
        if value:
            page.line(f"{page.style(f'{name:10}', 'faint')}{safe(str(value))}")
    if span.status_message:
        page.line()
        page.lines(page.style(text, "error") for text in safe_lines(span.status_message))
    for event in span.events:
        page.line()
        page.line(f"{page.style('event', 'faint')} {figures.clock(event.time_ns)} {page.style(safe(event.name), 'strong')}")
        _write_values(page, event.attributes)
    for title, values in (
        ("attributes", {key: value for key, value in span.attributes.items() if key not in contents}),
        ("content", contents),
    ):
        if values:
            page.line()
            page.line(page.style(title, "faint"))
            _write_values(page, values)


def _write_values(page: Page, values: dict[str, str]) -> None:
    for key in sorted(values):
        texts = safe_lines(values[key])
        if len(texts) == 1 and (page.width is None or len(key) + len(texts[0]) < page.width - 4):
            page.line(f"  {page.style(safe(key), 'faint')}  {texts[0]}")
        else:
            page.line(f"  {page.style(safe(key), 'faint')}")
            page.lines(f"    {text}" for text in texts)
