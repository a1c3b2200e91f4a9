"""``clew prune``: drops what is older than it is to be kept."""

from __future__ import annotations

import click

from clew.cli import figures, invocation
from clew.cli.terminal import Cell


@click.command("prune")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@invocation.as_json
@invocation.common
def command(dry_run: bool, as_json: bool) -> int:
    """Drop the days that are older than CLEW_RETENTION_TRACES_DAYS and its fellows, or that are beyond CLEW_RETENTION_BYTES.

    Whole days of arrival go, oldest first. clew serve does the same by itself, every hour. The settings are those of the process that
    owns the store: of the server while one runs.
    """
    from clew.cli.operations import PRUNE

    with invocation.client("prune") as client:
        pruned = client.ask(PRUNE, dry_run=dry_run)
    page = invocation.page()
    if as_json:
        page.json(pruned)
        return 0
    for day in pruned.dropped:
        sizes = f"{figures.plural(day.records, 'record')}, {figures.size(day.bytes)}"
        page.line(page.row([(Cell(day.day), 10, "left"), (Cell(day.signal), 7, "left"), (Cell(f"{sizes}, {day.reason}"), 1, "left")]))
    total = figures.size(sum(day.bytes for day in pruned.dropped))
    verb = "would be dropped" if dry_run else "dropped"
    page.line(f"{total} of {figures.size(pruned.bytes)} {verb}" if pruned.dropped else "Nothing is old enough to go.")
    if pruned.left_over:
        invocation.warn(f"warning: {figures.size(pruned.left_over)} beyond the size cap stay: what arrived today is never dropped for it")
    return 0
