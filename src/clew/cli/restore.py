"""``clew restore``: makes a data directory of a backup."""

from __future__ import annotations

from pathlib import Path

import click

from clew.cli import figures, invocation
from clew.cli.terminal import safe


@click.command("restore")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@invocation.as_json
@invocation.common
def command(source: Path, as_json: bool) -> int:
    """Make the data directory what it was when the backup SOURCE was made.

    The directory must not exist or be empty. Every file is checked. A backup of an earlier version is upgraded when the store is opened.
    """
    from clew.observe.ingest.backup import restore

    made = restore(source, invocation.data_dir())
    page = invocation.page()
    if as_json:
        page.json(made)
    else:
        text = f"{figures.plural(made.files, 'file')}, {figures.size(made.bytes)}"
        page.line(f"Restored {safe(str(invocation.data_dir()))} from {safe(made.path)}: {text}")
    return 0
