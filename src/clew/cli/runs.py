"""``clew runs``: the newest runs."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from clew.cli import figures, invocation
from clew.cli.terminal import Cell, Column, Page, headline, safe
from clew.observe.query.runs import Run

NO_RUNS = """No runs yet. To get some:
  record a program     put `import clew` in it, wrap its parts with clew.workflow, clew.agent, clew.llm, …, and run it
  or import a record   clew import FILE…   (OTLP/JSON lines or protobuf)"""


@click.command("runs")
@invocation.limit(20, "runs")
@click.option("--session", metavar="ID", help="Only runs of this session.")
@click.option("--failed", is_flag=True, help="Only runs with an error.")
@invocation.as_json
@invocation.common
def command(limit: int, session: str | None, failed: bool, as_json: bool) -> None:
    """List the newest runs.

    Each with its status, when it started, how long it took, its tokens and its cost.
    """
    from clew.cli.operations import RUNS

    with invocation.reading("runs") as client:
        found = client.ask(RUNS, limit=limit, session=session, failed=failed)
    page = invocation.page()
    if as_json:
        page.json(found)
    elif found:
        write(page, found, now_ns=time.time_ns())
    elif session or failed:
        page.line(
            "No runs with an error."
            if failed and not session
            else f"No runs {'with an error ' if failed else ''}in session {safe(session or '')}."
        )
    else:
        page.line(NO_RUNS)


COLUMNS = (
    Column("run"),
    Column("status"),
    Column("started", drop=1),
    Column("", drop=5),
    Column("name", shrink_to=12),
    Column("agents", shrink_to=10, drop=4),
    Column("duration", "right"),
    Column("spans", "right", drop=6),
    Column("calls", "right", drop=7),
    Column("tokens", "right", drop=3),
    Column("cost", "right"),
    Column("error", shrink_to=16, drop=2),
)


def write(page: Page, found: Sequence[Run], *, now_ns: int) -> None:
    digits = id_digits([run.run_id for run in found])
    rows = []
    for run in found:
        outcome = state(run)
        rows.append(
            (
                Cell(run.run_id[:digits]),
                Cell(outcome, style_of(outcome)),
                Cell(figures.moment(run.start_ns)),
                Cell(figures.ago(run.start_ns, now_ns), "faint"),
                Cell(safe(run.name) or figures.UNKNOWN, "strong"),
                Cell(safe(", ".join(run.agents))),
                Cell(figures.duration(run.duration_ns)),
                Cell(figures.count(run.spans)),
                Cell(figures.count(run.model_calls)),
                Cell(figures.tokens(run.input_tokens, run.output_tokens) if run.model_calls else ""),
                Cell(figures.cost(run.cost_usd, run.partial_cost_usd) if run.model_calls else ""),
                Cell(headline(run.error), "error" if outcome == "error" else "faint"),
            )
        )
    page.table(COLUMNS, rows)
    for note in doubts(found):
        page.note(note)


def state(run: Run) -> str:
    """One word: error, running, lost, or ok."""
    if run.state != "ended":
        return run.state
    return "error" if run.status == "error" else "ok"


def style_of(outcome: str) -> str:
    return {"error": "error", "lost": "warning", "running": "strong"}.get(outcome, "faint")


def id_digits(ids: Sequence[str], *, most: int = 32) -> int:
    """How many digits tell these ids apart: 8 or more."""
    digits = 8
    while digits < most and len({found[:digits] for found in ids}) < len(set(ids)):
        digits += 1
    return digits


def doubts(found: Sequence[Run]) -> list[str]:
    """Why the cost of some runs is not known, or only in part."""
    notes = []
    models = sorted({model for run in found for model in run.unpriced_models})
    if models:
        notes.append(no_price(models))
    missing = sum(run.model_calls - run.calls_with_usage for run in found)
    if missing:
        notes.append(f"{figures.plural(missing, 'model call')} recorded no usage: the cost there is not known")
    return notes


def no_price(models: Sequence[str], calls: int | None = None) -> str:
    names = ", ".join(safe(model) or "(no name)" for model in models[:8])
    more = f" and {len(models) - 8} more" if len(models) > 8 else ""
    subject = (
        "no price is known for" if calls is None else f"{figures.plural(calls, 'model call')} {'has' if calls == 1 else 'have'} no price:"
    )
    return f"{subject} {names}{more}; give one in prices.toml in the data directory"
