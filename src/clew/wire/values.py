"""Values nested to any depth as one canonical JSON text, the same for protobuf and JSON senders.

The engine knows no recursive types, so a list that holds lists, or a map, reaches it as text. Nothing here recurses: a value may be nested
deeper than Python's stack. Canonical means: keys in the sender's order, no spaces, non-ASCII as it is, bytes as base64 text, NaN and
infinities as text.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]  # the C reader of one JSON string; typeshed leaves it out
from typing import Any, NamedTuple

import msgspec

from clew.errors import MalformedRecord


class Nested(NamedTuple):
    """A list (``keys`` is None) or a map of values not yet written."""

    keys: list[str] | None
    values: list[Any]


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else _text(str(value))


def _write(value: Any, read: Callable[[Any], str | Nested]) -> str:
    """JSON text of ``value``; ``read`` gives a scalar's text, or one level of a nested value."""
    out: list[str] = []
    stack: list[tuple[bool, Any]] = [(True, value)]
    while stack:
        is_value, item = stack.pop()
        if not is_value:
            out.append(item)
            continue
        level = read(item)
        if isinstance(level, str):
            out.append(level)
            continue
        out.append("[" if level.keys is None else "{")
        stack.append((False, "]" if level.keys is None else "}"))
        for index in range(len(level.values) - 1, -1, -1):
            stack.append((True, level.values[index]))
            comma = "," if index else ""
            stack.append((False, comma if level.keys is None else f"{comma}{_text(level.keys[index])}:"))
    return "".join(out)


def json_text(value: dict[str, Any]) -> str:
    """Canonical text of an OTLP/JSON AnyValue.

    :raises MalformedRecord: it is not one
    """
    return _write(value, _read_json)


def _read_json(value: Any) -> str | Nested:
    if value is None:
        return "null"
    if not isinstance(value, dict):
        raise MalformedRecord(f"expected an AnyValue object, got {str(value)[:80]!r}")
    for key, inner in value.items():
        if inner is None:
            continue
        if key == "stringValue":
            return _text(str(inner))
        if key == "boolValue":
            return "true" if inner in (True, "true") else "false"
        try:
            if key == "intValue":
                return str(int(inner))
            if key == "doubleValue":
                return _number(float(inner))
        except (TypeError, ValueError):
            raise MalformedRecord(f"{key} {str(inner)[:80]!r} is not a number") from None
        if key == "bytesValue":
            return _text(str(inner))
        if key in ("arrayValue", "kvlistValue"):
            items = inner.get("values") or [] if isinstance(inner, dict) else None
            if not isinstance(items, list):
                raise MalformedRecord(f"{key} has no list of values")
            if key == "arrayValue":
                return Nested(None, items)
            if not all(isinstance(item, dict) for item in items):
                raise MalformedRecord("kvlistValue holds something that is no key and value")
            return Nested([str(item.get("key", "")) for item in items], [item.get("value") for item in items])
    return "null"


def protobuf_text(value: bytes) -> str:
    """Canonical text of an encoded AnyValue message.

    :raises MalformedRecord: it is not one
    """
    return _write(value, _read_protobuf)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise MalformedRecord("a number in a nested value is cut off")
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7


_WIDTHS = {1: 8, 5: 4}


def protobuf_fields(data: bytes) -> Iterator[tuple[int, int, bytes | int]]:
    """(field number, wire type, value) of each field of an encoded message, one level deep.

    :raises MalformedRecord: the message is cut off or has a wire type that protobuf does not know
    """
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, wire, value
            continue
        if wire == 2:
            length, at = _varint(data, at)
        elif wire in _WIDTHS:
            length = _WIDTHS[wire]
        else:
            raise MalformedRecord(f"a nested value has wire type {wire}, which protobuf does not know")
        if at + length > len(data):
            raise MalformedRecord("a nested value is cut off")
        yield number, wire, data[at : at + length]
        at += length


def _read_protobuf(data: bytes) -> str | Nested:
    import struct

    result: str | Nested = "null"
    for number, _, value in protobuf_fields(data):  # of several members of a oneof the last counts
        if isinstance(value, int):
            if number == 2:
                result = "true" if value else "false"
            elif number == 3:
                result = str(value - (1 << 64) if value >> 63 else value)
        elif number == 1:
            result = _text(value.decode("utf-8", "replace"))
        elif number == 4 and len(value) == 8:
            result = _number(struct.unpack("<d", value)[0])
        elif number == 7:
            result = _text(base64.b64encode(value).decode())
        elif number == 5:
            result = Nested(None, [item for member, _, item in protobuf_fields(value) if member == 1])
        elif number == 6:
            pairs = [_pair(item) for member, _, item in protobuf_fields(value) if member == 1 and isinstance(item, bytes)]
            result = Nested([key for key, _ in pairs], [item for _, item in pairs])
    return result


def _pair(data: bytes) -> tuple[str, bytes]:
    key, value = "", b""
    for number, _, item in protobuf_fields(data):
        if isinstance(item, bytes):
            if number == 1:
                key = item.decode("utf-8", "replace")
            elif number == 2:
                value = item
    return key, value


_SPACE = re.compile(r"[ \t\r\n]*")
_LITERALS: dict[str, Any] = {"true": True, "false": False, "null": None}
_SCALAR = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?|true|false|null")


def parse_json(text: bytes) -> Any:
    """The value of a JSON text of any depth.

    :raises MalformedRecord: it is not JSON; names the place
    """
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        return _parse_deep(text.decode("utf-8", "replace"))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedRecord(f"not JSON: {error}") from None


def _parse_deep(text: str) -> Any:
    """A JSON reader with a stack of its own, for texts nested deeper than Python's."""
    top: list[Any] = []
    stack: list[list[Any] | dict[str, Any]] = [top]
    keys: list[str] = []
    at = 0

    def skip() -> str:
        nonlocal at
        match = _SPACE.match(text, at)
        at = match.end() if match else at
        if at >= len(text):
            raise MalformedRecord("not JSON: the text ends too early")
        return text[at]

    def put(value: Any) -> None:
        holder = stack[-1]
        if isinstance(holder, dict):
            holder[keys.pop()] = value
        else:
            holder.append(value)

    def string() -> str:
        nonlocal at
        try:
            found, at = scanstring(text, at + 1, True)
        except ValueError as error:
            raise MalformedRecord(f"not JSON: {error}") from None
        return str(found)

    def key() -> None:
        nonlocal at
        if skip() != '"':
            raise MalformedRecord(f"not JSON: expected a key at character {at}")
        name = string()
        if skip() != ":":
            raise MalformedRecord(f"not JSON: expected ':' at character {at}")
        at += 1
        keys.append(name)

    while True:
        sign = skip()
        if sign in "[{":
            value: list[Any] | dict[str, Any] = [] if sign == "[" else {}
            put(value)
            at += 1
            if skip() == ("]" if sign == "[" else "}"):
                at += 1
            else:
                stack.append(value)
                if sign == "{":
                    key()
                continue
        elif sign == '"':
            put(string())
        else:
            match = _SCALAR.match(text, at)
            if match is None:
                raise MalformedRecord(f"not JSON: unexpected {sign!r} at character {at}")
            word = match.group()
            try:
                put(_LITERALS[word] if word in _LITERALS else float(word) if match.group(1) or match.group(2) else int(word))
            except ValueError as error:  # more digits than Python turns into a number
                raise MalformedRecord(f"not JSON: {error}") from None
            at = match.end()
        while len(stack) > 1:  # after a value: a comma, or the end of what holds it
            holder = stack[-1]
            sign = skip()
            at += 1
            if sign == ",":
                if isinstance(holder, dict):
                    key()
                break
            if sign != ("}" if isinstance(holder, dict) else "]"):
                raise MalformedRecord(f"not JSON: unexpected {sign!r} at character {at - 1}")
            stack.pop()
        if len(stack) == 1:
            if text[at:].strip():
                raise MalformedRecord(f"not JSON: unexpected text at character {at}")
            return top[0]
