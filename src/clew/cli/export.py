"""``clew export``: one run as a file that another store can import."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import click

from clew.cli import figures, invocation
from clew.errors import ClewError


@click.command("export")
@click.argument("run")
@click.option("-o", "--output", "file", metavar="FILE", required=True, help="Write it to this file; - is stdout.")
@invocation.common
def command(run: str, file: str) -> None:
    """Write a run to one file: its spans, their content, its log records, and what its models cost.

    RUN is an id, which may be shortened, or `last` for the newest run. `clew import FILE` takes it into another store.
    """
    from clew.cli.operations import EXPORT

    if file == "-" and sys.stdout.isatty():
        raise click.UsageError("stdout is a terminal, and the file is binary; name a file with --output")
    with invocation.reading("export") as client:
        if file == "-":
            sys.stdout.flush()
            client.ask(EXPORT, run_id=run, file=sys.stdout.fileno())
            return
        path = Path(file)
        new = path.with_name(path.name + ".new")
        try:
            with open(new, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as out:
                written = client.ask(EXPORT, run_id=run, file=out.fileno())
            new.replace(path)
        except OSError as error:
            if isinstance(error, ClewError):
                raise
            raise ClewError(f"{file} cannot be written: {error.strerror}; name another file with --output") from None
        finally:
            with suppress(OSError):
                new.unlink()
    click.echo(
        f"{file}: run {written.run_id}, {figures.plural(written.spans, 'span')}, {figures.plural(written.logs, 'log record')}, "
        f"{written.bytes:,} bytes"
    )
