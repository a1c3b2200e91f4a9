"""What the engine refuses: set aside with its reason, and tried again on request (``clew retry``)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clew.errors import NotFound
from clew.observe.store.engine import Encoding
from clew.wire.check import Checked
from clew.wire.otlp import SIGNALS, Signal
from clew.wire.whole import write_whole

_SUFFIXES: dict[Encoding, str] = {"json": "jsonl", "protobuf": "pb"}


@dataclass(frozen=True, slots=True)
class Kept:
    """One request in quarantine."""

    name: str
    signal: str
    encoding: Encoding
    records: int
    sender: str
    arrival_ns: int
    collected: bool
    """Whether it came through the collector, whose account has it."""
    error: str


def set_aside(
    data_dir: Path, request: Checked, encoding: Encoding, *, sender: str, line: int, arrival_ns: int, collected: bool, error: str
) -> Path:
    """Keeps the request, durably; the same one twice is kept once. Beside it lies a file ``.error`` that says why and from whom."""
    folder = data_dir / "quarantine"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{hashlib.sha256(request.body).hexdigest()[:16]}.{_SUFFIXES[encoding]}"
    about = {
        "sender": sender,
        "line": line,
        "records": request.records,
        "signal": request.signal.name,
        "arrival_ns": arrival_ns,
        "collected": collected,
        "error": error,
    }
    write_whole(path, request.body)
    write_whole(path.with_name(path.name + ".error"), json.dumps(about).encode() + b"\n")
    return path


def set_damage_aside(data_dir: Path, name: str, damaged: bytes, error: str) -> Path:
    """Keeps bytes of the log that cannot be read; how many records they held is not known."""
    folder = data_dir / "quarantine"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{name}.damaged"
    write_whole(path, damaged)
    write_whole(path.with_name(path.name + ".error"), json.dumps({"sender": "log", "error": error}).encode() + b"\n")
    return path


def kept(data_dir: Path) -> list[Kept]:
    """Every request in quarantine that can be tried again, by name."""
    return list(_kept(data_dir / "quarantine"))


def one(data_dir: Path, name: str) -> Kept:
    """:raises NotFound: no request of that name is in quarantine"""
    found = next((item for item in kept(data_dir) if item.name == name), None)
    if found is None:
        raise NotFound(f"no request {name!r} is in {data_dir / 'quarantine'}; clew retry without a name tries all that are there")
    return found


def request_of(data_dir: Path, item: Kept) -> Checked:
    """The request as it was set aside.

    :raises OSError: it cannot be read
    """
    return Checked(signal_named(item.signal), (data_dir / "quarantine" / item.name).read_bytes(), item.records)


def discard(data_dir: Path, name: str) -> None:
    """Takes a request out, once it is stored. Idempotent."""
    path = data_dir / "quarantine" / name
    path.with_name(path.name + ".error").unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def signal_named(name: str) -> Signal:
    return next(signal for signal in SIGNALS if signal.name == name)


def _kept(folder: Path) -> Iterator[Kept]:
    for about in sorted(folder.glob("*.error")):
        name = about.name.removesuffix(".error")
        found: dict[str, Any] = json.loads(about.read_text())
        encoding: Encoding | None = next((encoding for encoding, suffix in _SUFFIXES.items() if name.endswith(f".{suffix}")), None)
        if encoding is None or not (folder / name).exists():
            continue
        yield Kept(
            name,
            found.get("signal", "traces"),
            encoding,
            found["records"],
            found["sender"],
            found.get("arrival_ns", 0),
            found.get("collected", False),
            found["error"],
        )
