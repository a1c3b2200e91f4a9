"""What the commands share: their common options, the page they write on, the way to the store, and remarks to the user."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from clew import settings
from clew.cli.terminal import Page, safe

if TYPE_CHECKING:
    from clew.cli.client import Client

F = TypeVar("F", bound=Callable[..., Any])


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value:
        context.meta[f"clew.{parameter.name}"] = value


def common(command: F) -> F:
    """Adds the options that may stand before and after a command's name."""
    for option in (
        click.option("--debug", is_flag=True, expose_value=False, callback=_keep, help="Show the traceback of an error."),
        click.option(
            "--data-dir",
            metavar="DIR",
            expose_value=False,
            callback=_keep,
            help="Directory that holds the spool and the store; default: CLEW_DATA_DIR, else ~/.clew.",
        ),
    ):
        command = option(command)
    return command


def as_json(command: F) -> F:
    """Adds ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON.")(command)


def limit(default: int, what: str) -> Callable[[F], F]:
    return click.option("--limit", type=click.IntRange(1), default=default, show_default=True, metavar="N", help=f"Most {what} to show.")


def data_dir() -> Path:
    """The data directory of this invocation."""
    path: Path = settings.get("data_dir", click.get_current_context().meta.get("clew.data_dir"))
    return path.absolute()


def page() -> Page:
    return Page.of(sys.stdout)


def warn(text: str) -> None:
    """A remark on stderr, one line and its continuation lines."""
    click.echo(f"clew: {text}", err=True)


def client(function: str) -> Client:
    """A connection to the owner of the data directory."""
    from clew.cli.client import Client

    return Client.connect(data_dir(), function=f"clew {function}")


@contextmanager
def reading(function: str) -> Iterator[Client]:
    """A connection for reading, after the newest records of recording programs were taken in.

    What stands in the way of that (a full disk) is a remark: what the store holds can be read all the same.
    """
    from clew.cli.operations import SWEEP
    from clew.errors import StoreError

    with client(function) as connection:
        try:
            with _patience("taking in new records"):
                swept = connection.ask(SWEEP)
            if swept is None:
                warn("warning: an import is under way; records that arrive meanwhile are shown when it is done")
            elif swept.faulty:
                warn(f"warning: {swept.faulty:,} new records could not be read and were set aside; clew doctor says more")
        except (StoreError, OSError) as error:
            reason = safe(error.strerror or str(error)) if isinstance(error, OSError) else safe(str(error))
            warn(f"warning: new records could not be taken in; this is what the store holds already: {reason}")
        yield connection


@contextmanager
def _patience(text: str) -> Iterator[None]:
    """Says on a terminal what is being waited for, once it has taken a second."""
    if not sys.stderr.isatty():
        yield
        return
    import threading

    def show() -> None:
        sys.stderr.write(f"\r{text} …")
        sys.stderr.flush()
        shown.set()

    shown = threading.Event()
    timer = threading.Timer(1.0, show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if shown.is_set():
            sys.stderr.write("\r\x1b[K")
