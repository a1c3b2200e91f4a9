"""``clew ui``: the web UI of the data directory, in a browser."""

from __future__ import annotations

import urllib.request
import webbrowser
from dataclasses import replace
from pathlib import Path

import click

from clew import settings
from clew.cli import invocation


@click.command("ui")
@click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="Port of the server that is started; 6360 unless given.")
@click.option("--no-open", is_flag=True, help="Only write the address; open no browser.")
@invocation.common
def command(port: int | None, no_open: bool) -> int:
    """Open the web UI in a browser.

    When clew serve runs for the data directory, its address is opened. Else a server is started here, for this machine only, until Ctrl-C.
    """
    from clew.cli import serve

    def show(url: str) -> None:
        serve.say(url)
        if not no_open:
            webbrowser.open(url)

    url = _served(invocation.data_dir())
    if url:
        show(url)
        return 0
    serve.require("clew ui")
    places = replace(serve.Places.of_settings(), host="127.0.0.1", port=settings.get("port", port))
    serve.begin(places, ready=lambda: show(places.url))
    return 0


def _served(data_dir: Path) -> str | None:
    """The address of the server that owns the data directory, when there is one and it answers."""
    from clew.observe.store.lock import holder

    url = (holder(data_dir / "store.lock") or {}).get("url")
    if not url:
        return None
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=5):
            return str(url)
    except OSError:
        return None
