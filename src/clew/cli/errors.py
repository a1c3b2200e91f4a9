"""``clew errors``: failures by what is alike in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from clew.cli import figures, invocation
from clew.cli.terminal import Cell, Column, Page, headline, safe, safe_lines

if TYPE_CHECKING:
    from clew.observe.query.errors.apart import Apart
    from clew.observe.query.errors.detail import ErrorDetail
    from clew.observe.query.errors.groups import Error, Errors

_ORDERS = ("count", "runs", "last", "first", "state")
_STATES = ("new", "ongoing", "regressed", "gone")
_DIGITS = 10
"""Of a fingerprint in a list: as good as unique."""


# No short options: "-tool:search" is a part of the filter.
@click.command("errors", context_settings={"ignore_unknown_options": True})
@click.argument("filter_", metavar="[FILTER]", nargs=-1, type=click.UNPROCESSED)
@click.option("--show", metavar="FINGERPRINT", help="Show one error: its failures, the stack of one, and what sets them apart.")
@click.option("--by", type=click.Choice(_ORDERS), default="count", show_default=True, help="What comes first.")
@click.option("--state", type=click.Choice(_STATES), help="Only errors of that state.")
@invocation.limit(20, "errors, or failures of one,")
@invocation.as_json
@invocation.common
def command(filter_: tuple[str, ...], show: str | None, by: str, state: str | None, limit: int, as_json: bool) -> None:
    """List failures by what is alike in them: class, message without numbers, ids and paths, and where they began.

    \b
    since:1d                 of the last day, compared with the day before
    agent:coder kind:tool    that began in such spans

    A failure that travelled up through the spans around it is counted once, where it began.
    """
    from clew.cli.operations import ERROR, ERRORS

    text = " ".join(filter_)
    page = invocation.page()
    with invocation.reading("errors") as client:
        found: Any = (
            client.ask(ERRORS, text=text, order=by, state=state, limit=limit)
            if show is None
            else client.ask(ERROR, fingerprint=show, text=text, limit=limit)
        )
    if as_json:
        page.json(found)
    elif show is not None:
        write_one(page, found)
    elif found.errors:
        write(page, found)
    else:
        page.line("No failure matches. clew runs lists what there is; docs/filter.md has the fields.")


_COLUMNS = (
    Column("error"),
    Column("state", drop=3),
    Column("count", "right"),
    Column("before", "right", drop=4),
    Column("runs", "right", drop=2),
    Column("over time", drop=5),
    Column("last"),
    Column("where", shrink_to=10),
    Column("what", shrink_to=24),
)
_STYLE = {"new": "error", "regressed": "warning", "gone": "faint"}


def write(page: Page, found: Errors) -> None:
    page.table(_COLUMNS, [_cells(error) for error in found.errors])
    changed = [
        f"{number:,} {name}" for name, number in (("new", found.new), ("regressed", found.regressed), ("gone", found.gone)) if number
    ]
    runs = f"in {figures.plural(found.runs, 'run')}"
    page.note(
        f"{figures.plural(found.count, 'failure')} of {figures.plural(found.groups, 'error')} {runs}{': ' if changed else ''}{', '.join(changed)}"
    )
    if found.more:
        page.note(f"{len(found.errors):,} errors are shown; there are more: --limit N shows them, a narrower filter finds them.")
    if found.since_ns is not None:
        page.note(f"The newest {found.looked_at:,} failures were looked at, back to {figures.moment(found.since_ns)}.")
    page.note(f"clew errors --show {found.errors[0].fingerprint[:_DIGITS]} says more of one.")


def _cells(error: Error) -> tuple[Cell, ...]:
    return (
        Cell(error.fingerprint[:_DIGITS]),
        Cell(error.state or "", _STYLE.get(error.state or "", "")),
        Cell(figures.count(error.count), "strong"),
        Cell(figures.count(error.before) if error.state is not None else "", "faint"),
        Cell(figures.count(error.runs)),
        Cell(spark(error.counts), "faint"),
        Cell(figures.moment(error.last_ns)),
        Cell(where(error)),
        Cell(what(error), "error"),
    )


def where(error: Error) -> str:
    place = safe(error.place)
    return f"{error.kind} {place}" if place else error.kind


def what(error: Error) -> str:
    text = headline(error.message)
    return f"{safe(error.type)}: {text}" if error.type and text else safe(error.type) or text or "(no message)"


_BARS = " ▁▂▃▄▅▆▇█"


def spark(counts: list[int]) -> str:
    """One character for each bucket of time."""
    most = max(counts, default=0)
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // most)] for count in counts) if most else ""


def write_one(page: Page, found: ErrorDetail) -> None:
    error = found.error
    page.line(page.style(what(error), "error"))
    page.line(
        f"{where(error)} · {f'{error.state} · ' if error.state else ''}{figures.plural(error.count, 'failure')} in {figures.plural(error.runs, 'run')}, {error.before:,} in the period before"
    )
    page.line(f"first {figures.moment(error.first_ns)} · last {figures.moment(error.last_ns)} · {spark(error.counts)}")
    for name, values in (("agents", error.agents), ("models", error.models), ("tools", error.tools), ("programs", error.services)):
        if values:
            page.line(f"{name}: {', '.join(map(safe, values))}")
    if found.apart is not None:
        _write_apart(page, found.apart)
    if found.stack is not None:
        page.line()
        page.line(page.style(f"Stack of span {found.stack.span_id[:8]} in run {found.stack.run_id[:8]}", "strong"))
        if found.stack.characters > len(found.stack.text):
            page.line(page.style(f"… the last {len(found.stack.text):,} of {found.stack.characters:,} characters", "faint"))
        page.lines(safe_lines(found.stack.text.rstrip()))
    page.line()
    columns = (
        Column("run"),
        Column("span"),
        Column("started"),
        Column("name", shrink_to=10),
        Column("agent", shrink_to=8, drop=1),
        Column("message", shrink_to=20),
    )
    rows = [
        (
            Cell(one.run_id[:8]),
            Cell(one.span_id[:8]),
            Cell(figures.moment(one.start_ns)),
            Cell(safe(one.name), "strong"),
            Cell(safe(one.agent)),
            Cell(headline(one.message), "error"),
        )
        for one in found.failures
    ]
    page.table(columns, rows)
    if found.more:
        page.note(f"The newest {len(found.failures):,} of {error.count:,} failures are shown; --limit N shows more.")


_REST = {"place": "other spans of the same tool or name", "kind": "other spans of the same kind", "all": "all other spans"}


def _write_apart(page: Page, apart: Apart) -> None:
    if not apart.values and not apart.numbers:
        return
    page.line()
    page.line(page.style(f"Apart from {_REST[apart.against]} ({apart.rest:,} looked at)", "strong"))
    rows = [
        (
            Cell(safe(one.field)),
            Cell(headline(one.value)),
            Cell(f"{one.failures / apart.failures:.0%}", "strong"),
            Cell(f"{one.rest / apart.rest:.0%}"),
        )
        for one in apart.values
    ]
    rows += [
        (
            Cell(number.field),
            Cell("the middle one"),
            Cell(_number(number.field, number.failures), "strong"),
            Cell(_number(number.field, number.rest)),
        )
        for number in apart.numbers
    ]
    page.table((Column("field"), Column("value", shrink_to=16), Column("failures", "right"), Column("rest", "right")), rows)


def _number(field: str, value: float) -> str:
    return figures.duration(round(value)) if field == "duration" else figures.count(round(value))
