"""``clew tail``: what programs record, live, straight from the spool: no store is needed and none is disturbed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import click
import msgspec

from clew.cli import figures, invocation
from clew.cli.terminal import Page, headline, safe
from clew.model import attributes as a
from clew.model.dialects import COLUMNS, KIND_SOURCES
from clew.model.kinds import KINDS

LOOK_EVERY_S = 0.1
LOOK_BACK_BYTES = 1 << 18
"""How much of each file that is already there is read for the last lines to begin with."""


@click.command("tail")
@click.option(
    "-n", "--lines", "count", type=click.IntRange(0), default=10, show_default=True, metavar="N", help="Earlier spans to begin with."
)
@click.option("--no-follow", is_flag=True, help="Write what is there and end.")
@invocation.as_json
@invocation.common
def command(count: int, no_follow: bool, as_json: bool) -> None:
    """Follow what programs record, live: one line for each span as it ends, and for those that run longer one when they are first seen.

    --json writes the records as they are in the spool: one OTLP/JSON request a line, which clew import reads.
    """
    directory = invocation.data_dir() / "spool"
    page = invocation.page()
    with Follower(directory) as follower:
        seen: set[str] = set()
        earlier = [line for line in follower.read(look_back=True) if as_json or spans(line)]
        if as_json:
            _pass_through(earlier[-count:] if count else [])
        else:
            found = sorted((span for line in earlier for span in spans(line)), key=lambda span: span.end_ns or span.start_ns)
            _write(page, found[-count:] if count else [], seen)
            if not found and sys.stderr.isatty():
                invocation.warn(f"nothing in {directory} yet{'' if no_follow else '; waiting for programs to record'}")
        while not no_follow:
            sys.stdout.flush()
            time.sleep(LOOK_EVERY_S)
            for line in follower.read():
                if as_json:
                    _pass_through([line])
                else:
                    _write(page, spans(line), seen)


def _pass_through(found: list[bytes]) -> None:
    for line in found:
        sys.stdout.write(line.decode("utf-8", "replace") + "\n")


class Follower:
    """Reads whole lines from the files of a spool as they are written. A file that is deleted is read to its end first."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[str, tuple[BufferedReader, bytes]] = {}

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_: object) -> None:
        for file, _rest in self._files.values():
            file.close()

    def read(self, *, look_back: bool = False) -> Iterator[bytes]:
        """The lines since the last call, oldest file first; with ``look_back`` only the end of each file that is there."""
        try:
            names = sorted(path.name for path in self._directory.iterdir() if path.suffix == ".jsonl")
        except (FileNotFoundError, NotADirectoryError):
            names = []
        for name in names:
            if name not in self._files:
                try:
                    file = (self._directory / name).open("rb")
                except OSError:
                    continue  # taken in and deleted this moment, or another user's
                rest = b""
                if look_back and (size := file.seek(0, 2)) > LOOK_BACK_BYTES:
                    file.seek(size - LOOK_BACK_BYTES)
                    file.readline()
                elif look_back:
                    file.seek(0)
                self._files[name] = (file, rest)
        for name, (file, rest) in list(self._files.items()):
            data = rest + file.read()
            whole, end, rest = data.rpartition(b"\n")
            if end:
                yield from (line for line in whole.split(b"\n") if line.strip())
            self._files[name] = (file, rest)
            if name not in names:
                file.close()
                del self._files[name]


@dataclass(frozen=True, slots=True)
class Seen:
    """A span as the spool has it."""

    span_id: str
    service: str
    kind: str
    name: str
    start_ns: int
    end_ns: int
    """0 while it runs."""
    is_error: bool
    message: str
    values: dict[str, str]
    """Normalised columns, by name (model.dialects)."""
    choice: str
    """What a decision chose."""


_NAMES = ("request_model", "response_model", "agent", "tool", "input_tokens", "output_tokens", "reported_cost_usd")
_KEYS = {column.name: column.keys for column in COLUMNS if column.name in _NAMES}


def spans(line: bytes) -> list[Seen]:
    """The spans in one line of a spool file; a line that cannot be read, or holds something else, has none."""
    try:
        request = msgspec.json.decode(line)
        return [
            _span(span, service)
            for resource in request.get("resourceSpans") or ()
            for service in (_attributes(resource.get("resource") or {}).get(a.SERVICE_NAME, ""),)
            for scope in resource.get("scopeSpans") or ()
            for span in scope.get("spans") or ()
        ]
    except (msgspec.DecodeError, AttributeError, TypeError, ValueError):
        return []


def _span(span: dict[str, Any], service: str) -> Seen:
    values = _attributes(span)
    status = span.get("status") or {}
    return Seen(
        str(span.get("traceId", "")) + str(span.get("spanId", "")),
        service,
        _kind(values),
        str(span.get("name", "")),
        int(span.get("startTimeUnixNano") or 0),
        int(span.get("endTimeUnixNano") or 0),
        status.get("code") in (2, "STATUS_CODE_ERROR"),
        str(status.get("message") or ""),
        {name: next((values[key] for key in keys if key in values), "") for name, keys in _KEYS.items()},
        values.get(a.DECISION_CHOICE, ""),
    )


def _attributes(owner: dict[str, Any]) -> dict[str, str]:
    found = {}
    for attribute in owner.get("attributes") or ():
        value = attribute.get("value") or {}
        found[str(attribute.get("key"))] = str(next(iter(value.values()), ""))
    return found


def _kind(values: dict[str, str]) -> str:
    for source in KIND_SOURCES:
        value = values.get(source.key, "").lower()
        if value and not source.values and value in KINDS:
            return value
        if value in source.values:
            return source.values[value]
    return "other"


def _write(page: Page, found: list[Seen], seen: set[str]) -> None:
    for span in found:
        if span.end_ns == 0:
            if span.span_id not in seen:
                seen.add(span.span_id)
                page.line(text(page, span))
        else:
            seen.discard(span.span_id)
            page.line(text(page, span))


def text(page: Page, span: Seen) -> str:
    """One span as a line: when it ended (or began), which program, kind, how long, what."""
    running = span.end_ns == 0
    took = "running" if running else figures.duration(max(span.end_ns - span.start_ns, 0))
    values = span.values
    model = values["response_model"] or values["request_model"]
    facts = [
        safe(span.name),
        *(
            safe(more)
            for more in (model, values["tool"], values["agent"] if span.kind == "agent" else "")
            if more and more not in span.name
        ),
    ]
    if span.choice:
        facts[0] += f" → {safe(span.choice)}"
    if values["input_tokens"] or values["output_tokens"]:
        facts.append(f"{figures.tokens(_number(values['input_tokens']), _number(values['output_tokens']))} tokens")
    if values["reported_cost_usd"]:
        facts.append(f"${safe(values['reported_cost_usd'])}")
    start = f"{figures.clock(span.end_ns or span.start_ns)}  {safe(span.service)[:16]:16}  "
    line = (
        start + page.style(f"{span.kind:10}", span.kind) + page.style(f"{took:>10}", "faint" if running else "") + "  " + " · ".join(facts)
    )
    if span.is_error:
        line += "  " + page.style(f"error: {headline(span.message)}".removesuffix(": "), "error")
    return line


def _number(text: str) -> int | None:
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return None
