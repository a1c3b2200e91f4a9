"""``clew sql``: a read-only query over the public views."""

from __future__ import annotations

import sys

import click

from clew.cli import invocation
from clew.cli.terminal import Cell, Column, Page, safe
from clew.observe.query.sql import Table


@click.command("sql")
@click.argument("query")
@invocation.as_json
@invocation.common
def command(query: str, as_json: bool) -> None:
    """Run one SELECT over the public views: spans, model_calls, tool_calls, runs, sessions, messages, decisions, logs.

    QUERY is the text, or - to read it from stdin. --json writes an array of objects, one for each row. Nothing can be changed: the engine
    refuses it.
    """
    from clew.cli.operations import SQL

    if query == "-":
        query = sys.stdin.read()
    with invocation.reading("sql") as client:
        found = client.ask(SQL, query=query)
    page = invocation.page()
    if as_json:
        page.json([dict(zip(found.columns, row, strict=True)) for row in found.rows])
    else:
        write(page, found)
    if found.truncated:
        invocation.warn(f"warning: only the first {len(found.rows):,} rows are shown; add a LIMIT, or aggregate")


_NUMBERS = ("Int", "UInt", "Float", "Decimal")


def write(page: Page, found: Table) -> None:
    columns = []
    for name, kind in zip(found.columns, found.types, strict=True):
        bare = kind.removeprefix("LowCardinality(").removeprefix("Nullable(")
        is_number = bare.startswith(_NUMBERS)
        columns.append(Column(safe(name), "right" if is_number else "left", None if is_number else max(8, len(name))))
    page.table(columns, [[_cell(value) for value in row] for row in found.rows])
    if not found.rows:
        page.note("no rows")


def _cell(value: object) -> Cell:
    if value is None:
        return Cell("NULL", "faint")
    if isinstance(value, str):
        return Cell(safe(value))
    if isinstance(value, (bool, list, dict)):
        import msgspec

        return Cell(safe(msgspec.json.encode(value).decode()))
    return Cell(str(value))
