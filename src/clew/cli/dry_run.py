"""``clew run --dry-run``: what a run would do, as it is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from clew.act.workflow.document import Document
from clew.act.workflow.plan import History, Load, Past, Plan, Step, plan
from clew.cli import figures, invocation
from clew.cli.terminal import Cell, Column, Page, safe
from clew.errors import ClewError


def planned(document: Document, load: Load) -> Plan:
    """The plan of a document, with the history of this invocation's store; without a store, or when it cannot be read, without history.

    :param load: what a node of type ``workflow`` would run
    """
    if not _has_records(invocation.data_dir()):
        return plan(document, lambda name: None, now_ns=time.time_ns(), load=load)
    try:
        from clew.cli.operations import HISTORY

        with invocation.reading("run --dry-run") as client:

            def history(name: str) -> Past | None:
                return client.ask(HISTORY, workflow=name)

            return plan(document, remembered(history), now_ns=time.time_ns(), load=load)
    except (ClewError, OSError) as error:
        invocation.warn(f"warning: earlier runs could not be read, so nothing is known of time and cost: {safe(str(error))}")
        return plan(document, lambda name: None, now_ns=time.time_ns(), load=load)


def _has_records(data_dir: Path) -> bool:
    return any((data_dir / name).exists() for name in ("store", "spool"))


def remembered(history: History) -> Callable[[str], Past | None]:
    """Asks once for each workflow."""
    known: dict[str, Past | None] = {}

    def ask(name: str) -> Past | None:
        if name not in known:
            known[name] = history(name)
        return known[name]

    return ask


COLUMNS = (
    Column("node", shrink_to=12),
    Column("type"),
    Column("runs"),
    Column("time", "right"),
    Column("cost", "right"),
    Column("last time", "right", drop=2),
    Column("last cost", "right", drop=3),
    Column("last run", drop=1),
    Column("", shrink_to=10, drop=4),
)
_RUNS = {"execute": "yes", "conditional": "perhaps", "on_error": "after an error"}


def write(page: Page, found: Plan) -> None:
    """Writes the plan as a table, the sums, and what they do not know."""
    summary = found.summary
    page.line(
        f"{page.style(safe(found.workflow), 'strong')} would run {figures.plural(summary.total - summary.on_error_count, 'node')}; nothing was run"
    )
    page.line()
    page.table(COLUMNS, [_cells(step) for step in found.steps])
    page.line()
    time_ = (
        figures.duration(_ns(summary.estimated_duration_ms))
        if summary.estimated_duration_ms is not None
        else _least(summary.partial_duration_ms)
    )
    page.line(f"about {time_}, {figures.cost(summary.estimated_cost_usd, summary.partial_cost_usd)}: {summary.cost_basis}")
    for nodes, what in (
        (summary.nodes_without_duration_history, "the time is not known of"),
        (summary.nodes_without_history, "the cost is not known of"),
        (summary.unknown_batches, "the number of items is known only at run time, and taken as before, in"),
    ):
        if nodes:
            page.note(f"{what} {', '.join(nodes[:12])}{f' and {len(nodes) - 12} more' if len(nodes) > 12 else ''}")
    if summary.failed_runs:
        page.note(f"{summary.failed_runs} of the {figures.plural(summary.runs, 'earlier run')} failed")


def _cells(step: Step) -> tuple[Cell, ...]:
    facts = [f"batch of {step.batch if step.batch is not None else '?'}"] if step.is_batch else []
    facts += [f"runs {safe(step.sub_workflow)}"] if step.sub_workflow else []
    return (
        Cell(step.node_id, "strong"),
        Cell(safe(step.node_type)),
        Cell(_RUNS[step.status]),
        Cell(figures.duration(_ns(step.estimated_duration_ms))),
        Cell(figures.money(step.estimated_cost_usd)),
        Cell(figures.duration(_ns(step.last_duration_ms)), "faint"),
        Cell(figures.money(step.last_cost_usd), "faint"),
        Cell(figures.ago(0, round(step.last_run_age_sec * 1e9)) if step.last_run_age_sec is not None else "never", "faint"),
        Cell(", ".join(facts), "faint"),
    )


def _ns(ms: float | None) -> int | None:
    return None if ms is None else round(ms * 1e6)


def _least(ms: float) -> str:
    return f"≥ {figures.duration(_ns(ms))}" if ms else figures.UNKNOWN
