"""``clew persona``: who acts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from clew.cli import figures, invocation, reporting
from clew.cli.terminal import Cell, Column, Page, safe

if TYPE_CHECKING:
    from clew.record.instruments.personas.reported import Work


@click.group("persona")
def command() -> None:
    """Say who acts, from a shell or an editor's agent, and how much of each token budget is left."""


@command.command("switch")
@click.argument("name")
@click.option("--chatmode", metavar="MODE", help="In which mode; the workflow's name unless given.")
@invocation.common
def switch(name: str, chatmode: str | None) -> None:
    """Another persona acts from now on."""
    with reporting.reporting() as found:
        from clew.record.instruments.personas.profiles import profile

        known = profile(name, invocation.data_dir())
        reporting.run_of(found)
        switched = found.switch(name, chatmode)
        left = found.left(name)
        mode = found.work.chatmode or ""
    what = f"persona {safe(name)} acts {'now' if switched else 'already'}, chatmode {safe(mode)}"
    invocation.page().line(what + ("" if left is None else f", {left:,} of {known.tokens:,} tokens left"))


@command.command("tokens")
@click.argument("count", type=click.IntRange(0))
@click.option("--model", metavar="NAME", required=True, help="Model that they were used with.")
@click.option("--persona", metavar="NAME", help="Who used them; the persona that acts unless given.")
@invocation.common
def tokens(count: int, model: str, persona: str | None) -> None:
    """Report tokens that a persona used since this was last said, in and out."""
    from clew.errors import ReportError

    with reporting.reporting() as found:
        who = persona or found.work.persona
        if who is None:
            raise ReportError("no persona acts; clew persona switch NAME says who does, --persona who used the tokens")
        left = found.tokens(who, model, count)
    invocation.page().line(
        f"persona {safe(who)} used {count:,} tokens of {safe(model)}"
        + ("" if left is None else f", {left:,} left" if left >= 0 else f", {-left:,} too many")
    )


@command.command("status")
@invocation.as_json
@invocation.common
def status(as_json: bool) -> None:
    """Show what is open: the run, who acts, stages, and what is left of the budgets."""
    with reporting.reporting() as found:
        work, now = found.work, time.time_ns()
        left = found.remaining()
    page = invocation.page()
    if as_json:
        page.json(
            {
                "work": work.name,
                "run": work.run,
                "session": work.session,
                "stages": work.stages,
                "objections": work.objections,
                "remaining": left,
            }
        )
        return
    _write_status(page, work, left, now)


def _write_status(page: Page, work: Work, left: dict[str, int], now: int) -> None:
    if work.run is None:
        page.line(f"Nothing is open in {safe(work.name)}. clew workflows start NAME begins a run.")
        return
    page.line(f"run {safe(work.run.name)} for {reporting.took(work.run, now)} · {work.run.trace_id}")
    if work.session is not None:
        page.line(f"persona {safe(work.session.name)} for {reporting.took(work.session, now)}, chatmode {safe(work.chatmode or '')}")
    for stage in work.stages:
        page.line(f"stage {safe(stage.name)} for {reporting.took(stage, now)}")
    for objection in work.objections.values():
        page.line(page.style(safe(objection), "error"))
    if left:
        page.line()
        page.table(
            (Column("persona"), Column("tokens left", "right")),
            [(Cell(safe(name)), Cell(f"{number:,}", "error" if number < 0 else "")) for name, number in left.items()],
        )


@command.command("list")
@invocation.as_json
@invocation.common
def list_(as_json: bool) -> None:
    """List the personas with their budgets, and the file that says so."""
    from clew.record.instruments.personas.profiles import PACKAGED, own_file, profiles

    found = profiles(invocation.data_dir())
    page = invocation.page()
    if as_json:
        page.json([*found.values()])
        return
    page.table(
        (Column("persona"), Column("tokens", "right"), Column("window"), Column("budget"), Column("about", shrink_to=20)),
        [
            (
                Cell(safe(row.name), "strong"),
                Cell(figures.count(row.tokens)),
                Cell(safe(row.window)),
                Cell("" if row.tokens is None else "hard" if row.hard else "soft", "faint"),
                Cell(safe(row.about), "" if row.source == str(PACKAGED) else "strong"),
            )
            for row in found.values()
        ],
    )
    own = own_file(invocation.data_dir())
    page.note(f"{'changed by' if own.exists() else 'to change them or add others, write'} {safe(str(own))}")
