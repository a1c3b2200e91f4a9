"""``clew delete``: takes runs out of the store for good."""

from __future__ import annotations

import sys
from typing import Any

import click

from clew.cli import figures, invocation
from clew.errors import SettingError


@click.command("delete")
@click.argument("what", metavar="[run|session]", required=False, type=click.Choice(("run", "session")))
@click.argument("name", metavar="[ID]", required=False)
@click.option("--filter", "text", metavar="FILTER", help="Every run that clew runs lists for this filter.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@invocation.as_json
@invocation.common
def command(what: str | None, name: str | None, text: str | None, yes: bool, dry_run: bool, as_json: bool) -> int:
    """Delete one run, the runs of a session, or all runs that match a filter: whole, with their content and logs, for good.

    Says first how much that is, and asks. What arrives of a run afterwards is kept: delete a run once it has ended.
    """
    if (what is None or name is None) == (text is None) or (what is None) != (name is None):
        raise click.UsageError("say what to delete: run ID, session ID, or --filter FILTER")
    from clew.cli.operations import DELETE

    asked: dict[str, Any] = {"what": what or "filter", "name": name if name is not None else text}
    page = invocation.page()
    with invocation.client("delete") as client:
        found = client.ask(DELETE, **asked, dry_run=True)
        if not found.spans and not found.logs:
            dry_run = True
        elif not dry_run and not yes:
            if not sys.stdin.isatty():
                raise SettingError(f"this would delete {_amount(found)}; give --yes to do it without being asked")
            click.confirm(f"Delete {_amount(found)} for good?", abort=True, err=True)
        if not dry_run:
            found = client.ask(DELETE, **asked, dry_run=False)
    if as_json:
        page.json(found)
    elif found.done:
        page.line(f"Deleted {_amount(found)}.")
    else:
        page.line(f"{_amount(found)} would be deleted." if found.spans or found.logs else "There is nothing to delete.")
    return 0


def _amount(found: Any) -> str:
    nouns = ((found.runs, "run"), (found.spans, "span"), (found.logs, "log record"), (found.payloads, "piece"))
    texts = [figures.plural(count, noun) for count, noun in nouns]
    return ", ".join([*texts[:-1], f"{texts[-1]} of content".replace("pieces", "pieces")])
