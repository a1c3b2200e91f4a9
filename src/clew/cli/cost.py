"""``clew cost``: what model calls cost."""

from __future__ import annotations

import click

from clew.cli import figures, invocation
from clew.cli.runs import no_price
from clew.cli.terminal import Cell, Column, Page, safe
from clew.observe.query.costs import KEYS, Cost, Costs


@click.command("cost")
@click.option("--by", type=click.Choice(KEYS), default="model", show_default=True, help="What to add up by; days are in UTC.")
@invocation.limit(50, "rows")
@invocation.as_json
@invocation.common
def command(by: str, limit: int, as_json: bool) -> None:
    """Say what model calls cost, by model, agent, run, session, commit or day.

    A cost that the provider reported counts before one computed from prices. What is not known is not guessed: ≥ stands before a sum of
    which some calls have no price or no usage.
    """
    from clew.cli.operations import COSTS

    with invocation.reading("cost") as client:
        found = client.ask(COSTS, by=by, limit=limit)
    page = invocation.page()
    if as_json:
        page.json(found)
    elif found.total.calls:
        write(page, found)
    else:
        page.line(
            "No model calls yet: nothing was spent that Clew knows of. clew import FILE… takes in a record; clew runs lists what there is."
        )


def write(page: Page, found: Costs) -> None:
    columns = (
        Column(found.by, shrink_to=12),
        Column("", shrink_to=10, drop=5),
        Column("calls", "right"),
        Column("input", "right"),
        Column("cached", "right", drop=3),
        Column("output", "right"),
        Column("reasoning", "right", drop=4),
        Column("cost", "right"),
        Column("reported", "right", drop=2),
        Column("computed", "right", drop=1),
    )
    rows = [_cells(cost, found.by) for cost in found.rows]
    shown = sum(cost.calls for cost in found.rows)
    page.table(columns, [*rows, _cells(found.total, found.by, total=True)])
    if shown < found.total.calls:
        page.note(f"{figures.plural(found.total.calls - shown, 'model call')} are in rows that are not shown: --limit N shows more")
    total = found.total
    if total.unpriced_calls:
        page.note(no_price(total.unpriced_models, total.unpriced_calls))
    missing = total.calls - total.calls_with_usage
    if missing:
        page.note(f"{missing:,} of {figures.plural(total.calls, 'model call')} recorded no usage: the cost there is not known")
    page.note(f"Computed with {safe(found.prices)}")


def _cells(cost: Cost, by: str, *, total: bool = False) -> tuple[Cell, ...]:
    style = "strong" if total else ""
    key = "total" if total else safe(cost.key) or "(none)"
    if by in ("run", "commit") and not total and cost.key:
        key = key[:8]
    return (
        Cell(key, style),
        Cell(safe(cost.label), "faint"),
        Cell(figures.count(cost.calls), style),
        Cell(figures.count(cost.input_tokens), style),
        Cell(figures.count(cost.cache_read_tokens) if cost.cache_read_tokens else "", "faint"),
        Cell(figures.count(cost.output_tokens), style),
        Cell(figures.count(cost.reasoning_tokens) if cost.reasoning_tokens else "", "faint"),
        Cell(figures.cost(cost.cost_usd, cost.partial_cost_usd), style),
        Cell(figures.money(cost.reported_usd) if cost.reported_usd else "", "faint"),
        Cell(figures.money(cost.computed_usd) if cost.computed_usd else "", "faint"),
    )
