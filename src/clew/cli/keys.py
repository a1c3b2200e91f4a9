"""``clew keys``: who may send to a server and ask it."""

from __future__ import annotations

import time

import click

from clew.cli import invocation
from clew.cli.terminal import Cell, safe

ROLES = ("ingest", "view", "admin")


@click.group("keys")
def command() -> None:
    """Make, list and remove the API keys of clew serve.

    A server that only this machine can reach needs none; as soon as there is one, every request needs one. A server notices at once what
    is changed here.
    """


@command.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="ingest: send; view: ask; admin: everything.")
@invocation.common
def add(name: str, role: str) -> None:
    """Make a key and write it out, once: only a hash of it is kept."""
    from clew.server.keys import Keys

    click.echo(Keys(invocation.data_dir()).add(name, role))  # type: ignore[arg-type]  # click has checked it
    invocation.warn(f"this is the key {name!r} ({role}); it is not shown again. Programs send it as: Authorization: Bearer KEY")


@command.command("list")
@invocation.as_json
@invocation.common
def list_(as_json: bool) -> None:
    """List the keys: name, role and when each was made."""
    from clew.server.keys import Keys

    keys = Keys(invocation.data_dir()).all()
    page = invocation.page()
    if as_json:
        page.json([{"name": key.name, "role": key.role, "made_s": key.made_s} for key in keys])
        return
    width = max([len(safe(key.name)) for key in keys], default=0)
    for key in keys:
        made = time.strftime("%Y-%m-%d %H:%M", time.localtime(key.made_s))
        page.line(page.row([(Cell(safe(key.name)), width, "left"), (Cell(key.role), 6, "left"), (Cell(made, "faint"), len(made), "left")]))
    if not keys:
        page.line("There are no keys.")


@command.command("remove")
@click.argument("name")
@invocation.common
def remove(name: str) -> None:
    """Remove a key: requests with it are refused from now on."""
    from clew.server.keys import Keys

    Keys(invocation.data_dir()).remove(name)
