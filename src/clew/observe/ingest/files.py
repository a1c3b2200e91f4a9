"""Files into the store: OTLP/JSON lines, OTLP protobuf and exported runs, plain, gzip, xz or zstd, a file or stdin."""

from __future__ import annotations

import gzip
import io
import itertools
import lzma
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from clew.errors import MalformedRecord, MissingExtra
from clew.observe.ingest.bundle import price
from clew.observe.ingest.bundle import requests as unknown_requests
from clew.observe.ingest.intake import Fault, Intake
from clew.observe.store.store import Store
from clew.wire import bundle
from clew.wire.check import Checked, check_json, check_protobuf, protobuf_signal, varint
from clew.wire.otlp import Signal
from clew.wire.values import parse_json

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

LINE_BYTES = 256 << 20
"""Longest line of a bundle, which may come from anybody and be packed small."""

Progress = Callable[[int, int, int], None]
"""Called with (bytes read of the file, size of the file or 0 when unknown, records so far)."""

MESSAGE_BYTES = 1 << 30
"""A protobuf message that claims more than this is taken for damage."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of one file."""

    name: str
    format: str
    """``json``, ``protobuf`` or ``bundle`` (an exported run), with the compression: ``json+xz``."""
    requests: int
    spans: int
    logs: int
    points: int
    """Of metrics."""
    faults: list[Fault]
    """At most 100; ``faulty`` counts all."""
    faulty: int


def import_file(
    store: Store,
    path: Path | BinaryIO,
    *,
    name: str | None = None,
    progress: Progress = lambda done, size, records: None,
    stop: threading.Event | None = None,
    only_bundles: bool = False,
) -> Taken:
    """Takes in one file (or an open binary stream). Importing twice changes nothing: identity makes a record one.

    A broken line costs that line; a file that is cut off gives what came before the cut. ``stop`` ends the import at the next batch.

    :param only_bundles: refuse what is no exported run, for a file from anybody: the lines of other files may be of any length

    :raises MalformedRecord: the file is in no known format
    :raises OSError: it cannot be read
    :raises StoreError: the store refuses, or the import was stopped
    """
    if isinstance(path, Path):
        with path.open("rb") as stream:
            return _import(store, stream, name or str(path), path.stat().st_size, progress, stop, only_bundles)
    return _import(store, path, name or "stdin", 0, progress, stop, only_bundles)


_BUFFER = 1 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class _Zstd:
    """A zstd stream that names damage as the other decompressors do."""

    def __init__(self, stream: BinaryIO) -> None:
        try:
            import zstandard
        except ImportError:
            raise MissingExtra("Importing a zstd file", "zstandard", "server") from None
        self._damage = zstandard.ZstdError
        self._stream = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)

    def read1(self, size: int) -> bytes:
        try:
            return self._stream.read1(size)
        except self._damage as error:
            raise EOFError(str(error)) from None


_COMPRESSIONS: tuple[tuple[bytes, str, Callable[[Any], Any]], ...] = (
    (b"\x1f\x8b", "gzip", lambda stream: gzip.GzipFile(fileobj=stream)),
    (b"\xfd7zXZ\x00", "xz", lzma.LZMAFile),
    (b"\x28\xb5\x2f\xfd", "zstd", _Zstd),
)
_CUT = (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile)
"""What the decompressors raise for a file that is cut off or damaged."""


class _Counted(io.RawIOBase):
    """A stream that counts what is read of it."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.done = 0

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        data = self._raw.read(len(view))
        view[: len(data)] = data
        self.done += len(data)
        return len(data)

    def readable(self) -> bool:
        return True


class _Decompressed(io.RawIOBase):
    """A decompressor as a stream that gives what there is before it says that the file is cut off."""

    def __init__(self, stream: gzip.GzipFile | lzma.LZMAFile | _Zstd) -> None:
        self._stream = stream

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        data = self._stream.read1(len(view))
        view[: len(data)] = data
        return len(data)

    def readable(self) -> bool:
        return True


def _import(
    store: Store, raw: BinaryIO, name: str, size: int, progress: Progress, stop: threading.Event | None, only_bundles: bool
) -> Taken:
    counted = _Counted(raw)
    buffered: io.BufferedReader[Any] = io.BufferedReader(counted, _BUFFER)
    compression = ""
    for magic, label, opener in _COMPRESSIONS:
        if buffered.peek(8).startswith(magic):
            buffered, compression = io.BufferedReader(_Decompressed(opener(buffered)), _BUFFER), f"+{label}"
            break
    try:
        if buffered.peek(3).startswith(_BYTE_ORDER_MARK):
            buffered.read(3)
        start = buffered.peek(64)
    except _CUT as error:
        raise MalformedRecord(f"{name} is not a readable {compression[1:]} file: {error}") from None
    if only_bundles and not start.startswith(bundle.START):
        raise MalformedRecord(f"{name} is no exported run; send OTLP to /v1/traces, /v1/logs and /v1/metrics")
    if not start:
        return Taken(name, "empty" + compression, 0, 0, 0, 0, [], 0)
    is_json = start.lstrip()[:1] in (b"{", b"")
    if not is_json and start[:1] not in (b"\n", b"\x00"):
        raise MalformedRecord(
            f"{name} is neither OTLP/JSON lines nor OTLP protobuf (it starts with {start[:16]!r}); export it from your program as OTLP and import that"
        )
    requests = 0
    manifest = bundle.read_manifest(buffered.readline(LINE_BYTES)) if start.startswith(bundle.START) else None
    with Intake(store, sender=name, stop=stop) as intake:
        read: _Requests = _bundle_requests(store, manifest) if manifest else _json_requests if is_json else _protobuf_requests
        for number, checked in read(buffered, intake):
            requests += 1
            intake.add(number, checked, "json" if is_json else "protobuf")
            progress(counted.done, size, intake.records)
    progress(counted.done, size, intake.records)
    if manifest is not None:
        price(store, manifest)
    if not is_json and requests == 0:
        raise MalformedRecord(f"{name} is not OTLP protobuf: {intake.faults[0].reason if intake.faults else 'it holds no request'}")
    return Taken(
        name,
        ("bundle" if manifest else "json" if is_json else "protobuf") + compression,
        requests,
        intake.stored["traces"],
        intake.stored["logs"],
        intake.stored["metrics"],
        intake.faults,
        intake.faulty,
    )


_Requests = Callable[["io.BufferedReader[Any]", Intake], Iterator[tuple[int, Checked]]]


def _bundle_requests(store: Store, manifest: bundle.Manifest) -> _Requests:
    def read(stream: io.BufferedReader[Any], intake: Intake) -> Iterator[tuple[int, Checked]]:
        return unknown_requests(store, manifest, _lines(stream, intake), intake)

    return read


def _lines(stream: io.BufferedReader[Any], intake: Intake) -> Iterator[tuple[int, bytes]]:
    """The lines of a bundle after the first."""
    for number in itertools.count(2):
        try:
            line = stream.readline(LINE_BYTES)
        except _CUT as error:
            intake.fault(number, f"the file is damaged or cut off here: {error}")
            return
        if not line:
            return
        if len(line) == LINE_BYTES:
            intake.fault(number, f"this line has more than {LINE_BYTES >> 20} MiB; what follows is left out")
            return
        yield number, line


def _json_requests(stream: io.BufferedReader[Any], intake: Intake) -> Iterator[tuple[int, Checked]]:
    number = 0
    while True:
        number += 1
        try:
            line = stream.readline()
        except _CUT as error:
            intake.fault(number, f"the file is damaged or cut off here: {error}")
            return
        if not line:
            return
        if not line.strip():
            continue
        if number == 1 and line.strip() == b"{":  # one document, written over many lines
            line = msgspec.json.encode(parse_json(line + stream.read()))
        try:
            yield number, check_json(line)
        except MalformedRecord as error:
            is_cut = not line.endswith(b"\n") and str(error).startswith("not JSON")
            intake.fault(number, f"{error}{' (the last line, without a line end: probably cut off)' if is_cut else ''}")


def _protobuf_requests(stream: io.BufferedReader[Any], intake: Intake) -> Iterator[tuple[int, Checked]]:
    """Requests as the OpenTelemetry collector's file exporter frames them (four bytes of length each), or one bare request of any size,
    read resource by resource."""
    framed = stream.peek(1)[:1] == b"\x00"
    signal: Signal | None = None
    number = 0
    while True:
        number += 1
        try:
            body = _frame(stream) if framed else _field(stream)
        except (MalformedRecord, *_CUT) as error:
            intake.fault(number, f"the file is damaged or cut off here: {error}")
            return
        if body is None:
            return
        try:
            if signal is None or framed:
                signal = protobuf_signal(body)
            yield number, check_protobuf(signal, body)
        except MalformedRecord as error:
            intake.fault(number, str(error))


def _exactly(stream: io.BufferedReader[Any], length: int) -> bytes:
    if length > MESSAGE_BYTES:
        raise MalformedRecord(f"a message of {length} bytes is announced")
    data = stream.read(length)
    if len(data) < length:
        raise MalformedRecord(f"{length} bytes are announced and {len(data)} are there")
    return data


def _frame(stream: io.BufferedReader[Any]) -> bytes | None:
    head = stream.read(4)
    if not head:
        return None
    if len(head) < 4:
        raise MalformedRecord("the length of a message is cut off")
    return _exactly(stream, int.from_bytes(head, "big"))


def _field(stream: io.BufferedReader[Any]) -> bytes | None:
    """The next resource of a bare request, as a request of its own."""
    tag = stream.read(1)
    if not tag:
        return None
    if tag != b"\n":
        raise MalformedRecord(f"expected the tag of a resource, found {tag!r}")
    length = shift = 0
    while True:
        byte = _exactly(stream, 1)[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
        if shift > 35:
            raise MalformedRecord("the length of a resource is no number")
    return b"\n" + varint(length) + _exactly(stream, length)
