"""A store of the test's own, and OTLP requests made from plain values, in both encodings."""

from __future__ import annotations

import base64
import io
import json
import math
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from clew.observe.ingest.files import Taken, import_file
from clew.observe.store.store import Store

SECOND = 1_000_000_000
START = 1_760_000_000 * SECOND
"""When the first span of a test starts: 2025-10-09T08:53:20Z."""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of an empty store, for copying: its tables are made once."""
    path = tmp_path_factory.mktemp("made") / "data"
    command = "import sys, pathlib; from clew.observe.store.store import Store; Store.open(pathlib.Path(sys.argv[1])).close()"
    subprocess.run([sys.executable, "-c", command, path], check=True)  # elsewhere: this process may have a store open
    return path


@pytest.fixture
def store(tmp_path: Path, made: Path) -> Iterator[Store]:
    """An empty store. It is the only one of the process while it is open."""
    shutil.copytree(made, tmp_path / "data", symlinks=True)
    with Store.open(tmp_path / "data") as opened:
        yield opened
        opened._written = False  # nobody looks at the directory afterwards: no second is spent on tidying it


class Otlp:
    """OTLP requests as dicts in the form of OTLP/JSON, and their bytes in both encodings, written here by the published schema."""

    START = START
    SECOND = SECOND

    @staticmethod
    def trace_id(number: int) -> str:
        return f"{number:032x}"

    @staticmethod
    def span_id(number: int) -> str:
        return f"{number:016x}"

    @staticmethod
    def value(value: Any) -> dict[str, Any]:
        """An AnyValue."""
        if value is None:
            return {}
        if isinstance(value, bool):
            return {"boolValue": value}
        if isinstance(value, int):
            return {"intValue": str(value)}
        if isinstance(value, float):
            return {"doubleValue": value if math.isfinite(value) else {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]}
        if isinstance(value, bytes):
            return {"bytesValue": base64.b64encode(value).decode()}
        if isinstance(value, str):
            return {"stringValue": value}
        if isinstance(value, Mapping):
            return {"kvlistValue": {"values": Otlp.attributes(value)}}
        return {"arrayValue": {"values": [Otlp.value(item) for item in value]}}

    @staticmethod
    def attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [{"key": key, "value": Otlp.value(value)} for key, value in values.items()]

    @staticmethod
    def span(
        number: int = 1, trace: int = 1, parent: int = 0, /, attributes: Mapping[str, Any] | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Span ``number`` of trace ``trace``, from START + number seconds, one second long; ``fields`` as OTLP/JSON names them."""
        start = START + number * SECOND
        return {
            "traceId": Otlp.trace_id(trace),
            "spanId": Otlp.span_id(number),
            "parentSpanId": Otlp.span_id(parent) if parent else "",
            "name": f"span {number}",
            "kind": 1,
            "startTimeUnixNano": str(start),
            "endTimeUnixNano": str(start + SECOND),
            "attributes": Otlp.attributes(attributes or {}),
            "events": [],
            "links": [],
            "status": {},
        } | fields

    @staticmethod
    def log(body: Any = "", /, attributes: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        return {"timeUnixNano": str(START), "body": Otlp.value(body), "attributes": Otlp.attributes(attributes or {})} | fields

    @staticmethod
    def traces(*spans: dict[str, Any], resource: Mapping[str, Any] | None = None, scope: str = "test") -> dict[str, Any]:
        attributes = Otlp.attributes({"service.name": "program"} if resource is None else resource)
        return {
            "resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": [{"scope": {"name": scope}, "spans": list(spans)}]}]
        }

    @staticmethod
    def logs(*records: dict[str, Any], resource: Mapping[str, Any] | None = None) -> dict[str, Any]:
        attributes = Otlp.attributes({"service.name": "program"} if resource is None else resource)
        return {"resourceLogs": [{"resource": {"attributes": attributes}, "scopeLogs": [{"scope": {}, "logRecords": list(records)}]}]}

    @staticmethod
    def lines(*requests: dict[str, Any]) -> bytes:
        return b"".join(json.dumps(request).encode() + b"\n" for request in requests)

    @staticmethod
    def protobuf(request: dict[str, Any]) -> bytes:
        return encode("Request", request)

    @staticmethod
    def take(store: Store, data: bytes, *, name: str = "test") -> Taken:
        """Imports the bytes of a file."""
        return import_file(store, io.BytesIO(data), name=name)

    @staticmethod
    def frames(requests: Iterable[bytes]) -> bytes:
        """Protobuf requests as the OpenTelemetry collector's file exporter writes them."""
        return b"".join(len(body).to_bytes(4, "big") + body for body in requests)


@pytest.fixture(scope="session")
def otlp() -> type[Otlp]:
    return Otlp


# --- protobuf, from opentelemetry-proto 1.x ----------------------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _delimited(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def _text(number: int, value: str) -> bytes:
    return _delimited(number, value.encode("utf-8", "surrogatepass"))


def _hex(number: int, value: str) -> bytes:
    return _delimited(number, bytes.fromhex(value))


def _base64(number: int, value: str) -> bytes:
    return _delimited(number, base64.b64decode(value))


def _int(number: int, value: int | str) -> bytes:
    return varint(number << 3) + varint(int(value))


def _fixed64(number: int, value: int | str) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<Q", int(value))


def _double(number: int, value: float | str) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", float(value))


Writer = Callable[[int, Any], bytes]

_SCHEMA: dict[str, dict[str, tuple[int, str | Writer]]] = {
    "Request": {"resourceSpans": (1, "Resources"), "resourceLogs": (1, "Resources")},
    "Resources": {"resource": (1, "Resource"), "scopeSpans": (2, "Scopes"), "scopeLogs": (2, "Scopes")},
    "Resource": {"attributes": (1, "KeyValue")},
    "Scopes": {"scope": (1, "Scope"), "spans": (2, "Span"), "logRecords": (2, "Log")},
    "Scope": {"name": (1, _text), "version": (2, _text), "attributes": (3, "KeyValue")},
    "Span": {
        "traceId": (1, _hex),
        "spanId": (2, _hex),
        "traceState": (3, _text),
        "parentSpanId": (4, _hex),
        "name": (5, _text),
        "kind": (6, _int),
        "startTimeUnixNano": (7, _fixed64),
        "endTimeUnixNano": (8, _fixed64),
        "attributes": (9, "KeyValue"),
        "events": (11, "Event"),
        "links": (13, "Link"),
        "status": (15, "Status"),
    },
    "Event": {"timeUnixNano": (1, _fixed64), "name": (2, _text), "attributes": (3, "KeyValue")},
    "Link": {"traceId": (1, _hex), "spanId": (2, _hex), "traceState": (3, _text), "attributes": (4, "KeyValue")},
    "Status": {"message": (2, _text), "code": (3, _int)},
    "Log": {
        "timeUnixNano": (1, _fixed64),
        "severityNumber": (2, _int),
        "severityText": (3, _text),
        "body": (5, "AnyValue"),
        "attributes": (6, "KeyValue"),
        "traceId": (9, _hex),
        "spanId": (10, _hex),
        "observedTimeUnixNano": (11, _fixed64),
        "eventName": (12, _text),
    },
    "KeyValue": {"key": (1, _text), "value": (2, "AnyValue")},
    "AnyValue": {
        "stringValue": (1, _text),
        "boolValue": (2, _int),
        "intValue": (3, _int),
        "doubleValue": (4, _double),
        "arrayValue": (5, "ArrayValue"),
        "kvlistValue": (6, "KeyValueList"),
        "bytesValue": (7, _base64),
    },
    "ArrayValue": {"values": (1, "AnyValue")},
    "KeyValueList": {"values": (1, "KeyValue")},
}


def encode(message: str, value: dict[str, Any]) -> bytes:
    """An OTLP/JSON object as protobuf. Members of a oneof are written even when they are zero; other empty values are left out."""
    out = b""
    for name, inner in value.items():
        number, writer = _SCHEMA[message][name]
        for item in inner if isinstance(inner, list) else [inner]:
            if isinstance(writer, str):
                out += _delimited(number, encode(writer, item))
            elif message == "AnyValue" or item not in ("", 0):
                out += writer(number, item)
    return out
