"""``clew import langfuse://HOST``: a Langfuse project into the store, a batch at a time; a later call goes on where this one ended."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import click

from clew import settings
from clew.observe.ingest.files import Taken
from clew.observe.ingest.intake import Fault
from clew.wire.whole import write_whole

if TYPE_CHECKING:
    from clew.cli.client import Client, Reporter

SCHEMES: Final = ("langfuse", "langfuse+http", "langfuse+https")
_OPTIONS: Final = ("from", "to", "again")
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def is_source(name: str) -> bool:
    """Whether a name on the command line means a Langfuse."""
    return name.partition("://")[0] in SCHEMES


def take(client: Client, name: str, data_dir: Path, report: Reporter) -> Taken:
    """Everything that is not in the store yet. After each batch, what has been taken in is noted; an import that breaks off goes on there.

    :raises LangfuseError: Langfuse refuses, or cannot be reached
    """
    from clew.connect.langfuse.importing import batches
    from clew.connect.langfuse.rest import Rest

    url = urlsplit(name)
    options = dict(parse_qsl(url.query, keep_blank_values=True))
    if unknown := [option for option in options if option not in _OPTIONS]:
        raise click.UsageError(
            f"{name} has the option {unknown[0]!r}; there are {', '.join(_OPTIONS)}, as in langfuse://HOST?from=2026-01-31"
        )
    public, secret = settings.get("langfuse_public_key"), settings.get("langfuse_secret_key")
    if not public or not secret:
        raise click.UsageError(f"{name} needs the keys of the project; set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY")
    host = _host(url.scheme, url.netloc) or settings.get("langfuse_host")
    since, until = _time(options.get("from")), _time(options.get("to"))
    marks = _marks(data_dir, host, public, since, until)
    mark = None if "again" in options else _read(marks)
    whole = Taken(name, "langfuse", 0, 0, 0, 0, [], 0)
    for batch in batches(Rest(host, public, secret), since=since, until=until, mark=mark):
        if batch.lines:
            with tempfile.TemporaryFile(prefix="clew-langfuse-") as file:
                file.write(batch.lines)
                file.flush()
                file.seek(0)
                taken = client.import_file(file, name=name)
            whole = dataclasses.replace(
                whole,
                requests=whole.requests + taken.requests,
                spans=whole.spans + taken.spans,
                faults=[*whole.faults, *taken.faults][:100],
                faulty=whole.faulty + taken.faulty,
            )
        faults = [Fault(0, text) for text in batch.faults]
        whole = dataclasses.replace(whole, faults=[*whole.faults, *faults][:100], faulty=whole.faulty + len(faults))
        if batch.mark.get("stage") == "done":
            marks.unlink(missing_ok=True)  # the next import begins anew: Langfuse changes traces that it has
        else:
            marks.parent.mkdir(parents=True, exist_ok=True)
            write_whole(marks, json.dumps(batch.mark).encode())
        report(0, 0, whole.spans)
    return whole


def _host(scheme: str, place: str) -> str | None:
    if not place:
        return None
    if "+" in scheme:
        return f"{scheme.partition('+')[2]}://{place}"
    return f"{'http' if urlsplit(f'//{place}').hostname in _LOOPBACK else 'https'}://{place}"


def _time(given: str | None) -> str | None:
    if given is None:
        return None
    from datetime import UTC, datetime

    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise click.UsageError(f"{given!r} is not a time; write a date such as 2026-01-31, or 2026-01-31T12:00:00Z") from None
    found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return found.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _marks(data_dir: Path, *about: Any) -> Path:
    return data_dir / "imports" / f"langfuse-{hashlib.sha256(repr(about).encode()).hexdigest()[:16]}.json"


def _read(marks: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(marks.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
