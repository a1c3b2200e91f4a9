"""A run as one portable file: OTLP/JSON lines after one line that says what is in it, compressed with zstd.

Without its first line it is what any reader of OTLP/JSON lines takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from clew.errors import MalformedRecord
from clew.wire.values import parse_json

FORMAT = 1
START = b'{"clewBundle":'
"""How the first line begins."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a model cost where the run was exported: the columns of the store's table ``prices``."""

    provider: str
    request_model: str
    response_model: str
    matched: str
    source: str
    flat: list[float]
    rules: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle holds."""

    clewBundle: int
    """Version of the format."""
    run_id: str
    name: str
    written_by: str
    """Version of Clew."""
    exported_ns: int
    spans: int
    logs: int
    prices: list[Price]

    def line(self) -> bytes:
        return msgspec.json.encode(self) + b"\n"


def read_manifest(line: bytes) -> Manifest:
    """:raises MalformedRecord: it is none, or of a later version"""
    try:
        manifest = msgspec.json.decode(line, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedRecord(f"this is no bundle that can be read: {error}") from None
    if manifest.clewBundle > FORMAT:
        raise MalformedRecord(f"this bundle was written by Clew {manifest.written_by} in a later format; upgrade to read it")
    return manifest


def any_value(text: str, kind: str) -> dict[str, Any]:
    """The OTLP/JSON AnyValue of a text and its type as the store keeps them: string, int, double, bool or json.

    JSON nested deeper than Python's own reader goes stays a text.
    """
    if kind == "int":
        return {"intValue": text}
    if kind == "double":
        return {"doubleValue": _NAMES.get(text) or float(text)}
    if kind == "bool":
        return {"boolValue": text == "true"}
    if kind == "json":
        try:
            return _value(parse_json(text.encode("utf-8", "replace")))
        except (MalformedRecord, RecursionError):
            pass
    return {"stringValue": text}


_NAMES = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _value(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case list():
            return {"arrayValue": {"values": [_value(item) for item in value]}}
        case _:
            return {"kvlistValue": {"values": [{"key": key, "value": _value(item)} for key, item in value.items()]}}
