"""``clew import``: OTLP files and exported runs into the store."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from clew.cli import figures, invocation
from clew.cli.import_langfuse import is_source, take
from clew.cli.terminal import safe
from clew.errors import LangfuseError, MalformedRecord
from clew.observe.ingest.files import Taken

if TYPE_CHECKING:
    from clew.cli.client import Reporter

MOST_FAULTS = 20
"""Broken lines of one file that are written out; --json has up to a hundred."""


@click.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@invocation.as_json
@invocation.common
def command(files: tuple[str, ...], as_json: bool) -> int:
    """Take files into the store: traces, logs and metrics in OTLP, and runs that `clew export` wrote.

    FILE is OTLP/JSON lines, OTLP protobuf or an exported run, plain, gzip, xz or zstd, or - for stdin. Importing a file twice changes nothing. A line that is
    broken costs that line: it is reported with its number, and the exit code is 1.

    langfuse://HOST takes the traces, observations and scores of a Langfuse project, whose keys are in LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY.
    """
    found: list[Taken] = []
    failed = False
    if "-" in files and sys.stdin.isatty():
        raise click.UsageError("stdin is a terminal; give a file, or send one: gzip -dc FILE | clew import -")
    with invocation.client("import") as client:
        for name in files:
            try:
                if is_source(name):
                    with _progress(name) as report:
                        found.append(take(client, name, invocation.data_dir(), report))
                    _report(found[-1], as_json)
                    continue
                with _open(name) as file, _progress(name) as report:
                    taken = client.import_file(file, name="stdin" if name == "-" else name, report=report)
            except LangfuseError as error:
                invocation.warn(safe(f"{error}; what came before is in the store: run this again to go on"))
                failed = True
                continue
            except (MalformedRecord, OSError) as error:
                if isinstance(error, OSError) and not isinstance(error, MalformedRecord):
                    error = OSError(error.errno, f"{name} cannot be read: {error.strerror}")
                invocation.warn(safe(error.strerror or "" if isinstance(error, OSError) else str(error)))
                failed = True
                continue
            found.append(taken)
            _report(taken, as_json)
    if as_json:
        invocation.page().json(found)
    elif len(files) > 1:
        _say(f"{figures.plural(len(found), 'file')}: {_counts(found)}")
    return 1 if failed or any(taken.faulty for taken in found) else 0


@contextmanager
def _open(name: str) -> Iterator[IO[bytes]]:
    if name == "-":
        yield sys.stdin.buffer
        return
    path = Path(name)
    if path.is_dir():
        raise IsADirectoryError(21, "it is a directory; name the files in it")
    with path.open("rb", buffering=0) as file:
        yield file


def _report(taken: Taken, as_json: bool) -> None:
    name = safe(taken.name)
    for fault in taken.faults[:MOST_FAULTS]:
        invocation.warn(f"{name}:{fault.line}: {safe(fault.reason)}")
    if taken.faulty > MOST_FAULTS:
        invocation.warn(f"{name}: {taken.faulty - MOST_FAULTS:,} more could not be read")
    if not as_json:
        requests = "" if taken.format == "empty" else f" in {figures.plural(taken.requests, 'request')}"
        _say(f"{name}: {_counts([taken])}{requests} ({taken.format})")


def _counts(found: list[Taken]) -> str:
    spans, logs, points, faulty = (sum(getattr(taken, what) for taken in found) for what in ("spans", "logs", "points", "faulty"))
    counts = [figures.plural(spans, "span")] if spans or not (logs or points) else []
    counts += [figures.plural(count, noun) for count, noun in ((logs, "log record"), (points, "point")) if count]
    if faulty:
        counts.append(f"{faulty:,} that could not be read")
    return ", ".join(counts)


def _say(text: str) -> None:
    click.echo(text)
    sys.stdout.flush()  # one line for each file as it is done


@contextmanager
def _progress(name: str) -> Iterator[Reporter]:
    """A bar on a terminal; in a pipe nothing, the line of each file follows when it is done."""
    if not sys.stderr.isatty():
        yield lambda done, size, records: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[records]:,} records"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task(safe(os.path.basename(name)), total=None, records=0)
        yield lambda done, size, records: progress.update(task, completed=done, total=size or None, records=records)
