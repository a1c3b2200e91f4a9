"""``clew retry``: what the engine refused, once more."""

from __future__ import annotations

import click

from clew.cli import figures, invocation
from clew.cli.terminal import safe


@click.command("retry")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@invocation.as_json
@invocation.common
def command(names: tuple[str, ...], as_json: bool) -> int:
    """Try again what the engine refused: all that is set aside in the quarantine folder, or the files of these names.

    What is stored then leaves the quarantine; the exit code is 1 when something was refused again.
    """
    from clew.cli.operations import RETRY

    with invocation.client("retry") as client:
        tried = client.ask(RETRY, names=list(names))
    page = invocation.page()
    if as_json:
        page.json(tried)
    else:
        for one in tried:
            if one.reason:
                invocation.warn(f"{safe(one.name)}: {safe(one.reason)}")
        stored = sum(one.records for one in tried if one.reason is None)
        left = sum(one.reason is not None for one in tried)
        page.line(f"{figures.plural(stored, 'record')} stored" + (f", {figures.plural(left, 'request')} refused again" if left else ""))
    return 1 if any(one.reason for one in tried) else 0
