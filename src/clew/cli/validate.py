"""``clew validate``: every mistake of workflow documents at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from clew.cli import figures, invocation
from clew.cli.terminal import Page, safe

if TYPE_CHECKING:
    from clew.act.workflow.nodes.node import NodeType
    from clew.act.workflow.problem import Problem


@click.command("validate")
@click.argument("files", metavar="FILE...", nargs=-1)
@click.option("--schema", "with_schema", is_flag=True, help="Write the JSON Schema of workflow documents instead, for editors.")
@invocation.as_json
@invocation.common
def command(files: tuple[str, ...], with_schema: bool, as_json: bool) -> int:
    """Check workflow documents: every mistake at once, with its line and the nearest valid name.

    FILE is YAML or JSON, or - for stdin. Nothing is run.
    """
    if with_schema and files:
        raise click.UsageError("--schema takes no FILE; it writes the schema that every document follows")
    if not with_schema and not files:
        raise click.UsageError("Missing argument 'FILE...'.")
    from clew.act.workflow.registry import node_types

    page = invocation.page()
    if with_schema:
        from clew.act.workflow.schema import schema

        page.line(written(schema(node_types())))
        return 0
    types = node_types()
    found = [(file, *examined(file, types)) for file in files]
    if as_json:
        page.json([_as_json(file, problems) for file, problems, _ in found])
    else:
        for file, problems, nodes in found:
            write(page, file, problems, nodes)
    return 1 if any(problems for _, problems, _ in found) else 0


def written(schema: dict[str, Any]) -> str:
    """The schema as the text that is published."""
    import json

    return json.dumps(schema, indent=2, ensure_ascii=False)


def examined(file: str, types: Mapping[str, type[NodeType]]) -> tuple[list[Problem], int]:
    """The mistakes of a file, and how many nodes it has; a file that cannot be read is one mistake."""
    from clew.act.workflow import source
    from clew.act.workflow.check import problems
    from clew.act.workflow.problem import Problem
    from clew.errors import DocumentError

    try:
        read = source.read(file)
    except DocumentError as error:
        return [Problem("", text) for text in error.problems], 0
    nodes = read.data.get("nodes")
    return problems(read, types), len(nodes) if isinstance(nodes, list) else 0


def write(page: Page, file: str, problems: Sequence[Problem], nodes: int) -> None:
    """One line for each mistake, ``FILE:LINE: place: message``, and one for the file."""
    for problem in problems:
        where = f"{problem.file or file}{f':{problem.line}' if problem.line else ''}"
        place = f" {safe(problem.place)}:" if problem.place else ""
        page.line(f"{page.style(safe(where), 'strong')}:{place} {safe(problem.message)}")
    if problems:
        page.line(page.style(f"{safe(file)} has {figures.plural(len(problems), 'mistake')}", "error"))
    else:
        page.line(f"{safe(file)} is fine: {figures.plural(nodes, 'node')}")


def _as_json(file: str, problems: Sequence[Problem]) -> dict[str, Any]:
    told = [
        {"file": problem.file or file, "line": problem.line, "place": problem.place, "message": problem.message, "nearest": problem.nearest}
        for problem in problems
    ]
    return {"file": file, "ok": not problems, "problems": told}
