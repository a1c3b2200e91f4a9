"""``clew backup``: a copy of the data directory, made while it is used."""

from __future__ import annotations

import os
from pathlib import Path

import click

from clew.cli import figures, invocation
from clew.cli.terminal import safe


@click.command("backup")
@click.argument("target", type=click.Path(path_type=Path))
@invocation.as_json
@invocation.common
def command(target: Path, as_json: bool) -> int:
    """Write a backup to TARGET, which must not exist: one file when its name ends in .tar, else a folder.

    It holds all that was acknowledged before, also while clew serve runs. API keys are left out. clew restore brings it back.
    """
    from clew.cli.operations import BACKUP

    with invocation.client("backup") as client:
        made = client.ask(BACKUP, target=os.fsencode(target.absolute()))
    page = invocation.page()
    if as_json:
        page.json(made)
    else:
        page.line(f"{safe(made.path)}: {figures.plural(made.files, 'file')}, {figures.size(made.bytes)}, schema {made.schema}")
    return 0
