"""``clew report``: one run as a page of Markdown that says what failed and why."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from clew.cli import invocation
from clew.errors import ClewError


@click.command("report")
@click.argument("run")
@click.option("-o", "--output", "file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file.")
@invocation.common
def command(run: str, file: Path | None) -> None:
    """Write a run as a short page of Markdown: what failed and why, where time and money went, what to look at next.

    For a person or a coding agent. RUN is an id, which may be shortened, or `last` for the newest run.
    """
    text = report(run)
    if file is None:
        click.echo(text, nl=False)
        return
    try:
        with open(file, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
            out.write(text)
    except OSError as error:
        raise ClewError(f"{file} cannot be written: {error.strerror}; name another file with --output") from None


def report(run: str) -> str:
    """The report of a run in this invocation's store."""
    from clew.cli.digest import digest
    from clew.cli.operations import CONTENTS, ODDITIES, TRACE
    from clew.cli.report_page import page

    with invocation.reading("report") as client:
        trace = client.ask(TRACE, run_id=run)
        known: dict[str, dict[str, str]] = {}

        def contents(span_id: str) -> Mapping[str, str]:
            if span_id not in known:
                known[span_id] = client.ask(CONTENTS, run_id=trace.run.run_id, span_id=span_id)
            return known[span_id]

        return page(digest(trace, client.ask(ODDITIES, run_id=trace.run.run_id), contents))
