"""``clew graph``: a workflow as a Mermaid flowchart."""

from __future__ import annotations

import click

from clew.cli import invocation
from clew.cli.terminal import safe_lines


@click.command("graph")
@click.argument("file")
@invocation.common
def command(file: str) -> None:
    """Write a workflow as a Mermaid flowchart.

    FILE is a workflow document in YAML or JSON, or - for stdin. It must be without mistakes.
    """
    from clew.act.workflow import source
    from clew.act.workflow.check import checked
    from clew.act.workflow.graph import mermaid
    from clew.act.workflow.registry import node_types

    document = checked(source.read(file), node_types())
    invocation.page().lines(safe_lines(mermaid(document).rstrip("\n")))
