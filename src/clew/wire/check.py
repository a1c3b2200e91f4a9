"""Checks OTLP requests before they are stored: one parse for validity, counts and ids; deep values become JSON text (values.py).

A checked body is what the engine can take as it is. Python looks at a span's ids, and at values only of requests that have deep ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any

import msgspec

from clew.errors import MalformedRecord, MissingExtra
from clew.wire.limits import Limits, cut
from clew.wire.otlp import LOGS, MESSAGES, METRIC_KINDS, METRICS, SIGNALS, TRACES, Field, Signal, camel
from clew.wire.values import json_text, parse_json, protobuf_text


@dataclass(slots=True)
class Checked:
    """A request that can be stored."""

    signal: Signal
    body: bytes
    records: int
    """Spans, log records or points in it."""
    rejected: list[str] = field(default_factory=list)
    """Why single records were left out of it."""
    cut: dict[str, int] = field(default_factory=dict)
    """What was left out of its records: attributes, events, links, and values that were cut."""


_LENGTHS = {"trace_id": 16, "span_id": 8}
_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
_NEEDED = "16 and 8 bytes are needed, not all of them zero"


# --- OTLP/JSON ---------------------------------------------------------------------------------------------------------------------------

_DEEP_JSON = re.compile(rb'"kvlistValue"\s*:|[\[,]\s*\{\s*"arrayValue"\s*:|"arrayValue"\s*:\s*\{\s*(?:"values"\s*:\s*\[\s*\]\s*)?\}')
"""Values that the engine cannot take: maps, lists in lists, empty lists. Inside JSON strings quotes are escaped, so text cannot match."""

_ID = {"trace_id": r"^(?!0{32})[0-9a-fA-F]{32}$", "span_id": r"^(?!0{16})[0-9a-fA-F]{16}$", "parent_span_id": r"^([0-9a-fA-F]{16})?$"}
_PYTHON: dict[str, Any] = {
    "string": str,
    "bytes": str,
    "bool": bool,
    "int64": Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)],
    "int32": Annotated[int, msgspec.Meta(ge=-(1 << 31), le=(1 << 31) - 1)],
    "sint32": Annotated[int, msgspec.Meta(ge=-(1 << 31), le=(1 << 31) - 1)],
    "uint32": Annotated[int, msgspec.Meta(ge=0, le=(1 << 32) - 1)],
    "uint64": Annotated[int, msgspec.Meta(ge=0)],
    "sfixed64": Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)],
    "fixed64": Annotated[int, msgspec.Meta(ge=0)],
    "fixed32": Annotated[int, msgspec.Meta(ge=0, le=(1 << 32) - 1)],
    "double": float,
}


def _json_type(message: str, item: Field) -> Any:
    if item.type in MESSAGES:
        inner = json_struct(item.type)
        return list[inner] if item.label == "repeated" else inner  # type: ignore[valid-type]
    if message == "Span" and item.name in _ID:
        return Annotated[str, msgspec.Meta(pattern=_ID[item.name])]
    if item.name in ("kind", "code", "severity_number", "aggregation_temporality"):
        return int | str
    plain: Any = _PYTHON[item.type]
    return list[plain] if item.label == "repeated" else plain


@cache
def json_struct(message: str) -> type[msgspec.Struct]:
    """A message as it is in OTLP/JSON."""
    fields: list[tuple[str, Any, Any]] = []
    for item in MESSAGES[message]:
        kind = _json_type(message, item)
        required = message == "Span" and item.name in _LENGTHS
        fields.append((camel(item.name), kind if required else kind | None, msgspec.NODEFAULT if required else None))
    fields.sort(key=lambda row: row[2] is None)
    return msgspec.defstruct(f"Json{message}", fields, omit_defaults=True, gc=False)


@cache
def _json_decoder(signal: Signal) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(json_struct(signal.request), strict=False)


_RESOURCES = {b'"%b"' % camel(signal.resources).encode(): signal for signal in SIGNALS}


def json_signal(line: bytes) -> Signal:
    """Traces, logs or metrics, by the key that the request has: the first one, since text may hold the others.

    :raises MalformedRecord: none
    """
    found = {at: signal for key, signal in _RESOURCES.items() if (at := line.find(key)) >= 0}
    if found:
        return found[min(found)]
    parse_json(line)  # a line that is cut off is no JSON first of all
    raise MalformedRecord("none of resourceSpans, resourceLogs, resourceMetrics: not an OTLP/JSON request")


def check_json(line: bytes, signal: Signal | None = None, limits: Limits | None = None) -> Checked:
    """One OTLP/JSON request.

    :param signal: what it must be a request for; default: what it looks like
    :param limits: of its records; default: none
    :raises MalformedRecord: it is not one; names the place and the value
    """
    signal = signal or json_signal(line)
    if _DEEP_JSON.search(line):
        whole = parse_json(line)
        _flatten_json(signal.request, whole)
        line = msgspec.json.encode(whole)
    rejected: list[str] = []
    try:
        request = _decode_json(signal, line)
    except MalformedRecord:
        line, rejected = _without_bad_ids(signal, line)
        if not rejected:
            raise
        request = _decode_json(signal, line)
    found = cut(signal, line, lambda: request, limits, camel) if limits else {}
    if found:
        line = msgspec.json.encode(request)
    records = 0
    for group in getattr(request, camel(signal.resources)) or ():
        for scope in getattr(group, camel(signal.scopes)) or ():
            held = getattr(scope, camel(signal.records)) or ()
            records += _points(held, camel) if signal is METRICS else len(held)
    return Checked(signal, line.strip(), records, rejected, found)


def _without_bad_ids(signal: Signal, line: bytes) -> tuple[bytes, list[str]]:
    """The request without the spans whose ids cannot be used, and why each was left out. It has been refused: this may take its time."""
    if signal is not TRACES:
        return line, []
    whole = parse_json(line)
    rejected: list[str] = []
    for group in _list_in(whole, "resourceSpans"):
        for scope in _list_in(group, "scopeSpans"):
            spans = _list_in(scope, "spans")
            reasons = [_bad_json_ids(span) if isinstance(span, dict) else "" for span in spans]
            rejected += [reason for reason in reasons if reason]
            if any(reasons):
                scope["spans"] = [span for span, reason in zip(spans, reasons, strict=True) if not reason]
    return msgspec.json.encode(whole) if rejected else line, rejected


def _list_in(holder: Any, key: str) -> list[Any]:
    held = holder.get(key) if isinstance(holder, dict) else None
    return held if isinstance(held, list) else []


def _bad_json_ids(span: dict[str, Any]) -> str:
    ids = [span.get(camel(name)) or "" for name in _LENGTHS]
    if not all(isinstance(value, str) for value in ids):
        return ""  # another mistake, which is told with its place
    if all(re.search(_ID[name], value) for name, value in zip(_LENGTHS, ids, strict=True)):
        return ""
    shown = " and ".join(f"{camel(name)} {value[:40]!r}" for name, value in zip(_LENGTHS, ids, strict=True))
    return f"span {str(span.get('name') or '')[:80]!r} has {shown}; {_NEEDED}"


def _points(metrics: Iterable[Any], spell: Callable[[str], str]) -> int:
    """How many points some metrics have. ``spell`` makes a field's name that of the encoding."""
    kinds = [getattr(metric, spell(kind)) for metric in metrics for kind in METRIC_KINDS]
    return sum(len(getattr(kind, spell("data_points")) or ()) for kind in kinds if kind is not None)


def canonical_json(checked: Checked) -> bytes:
    """The request as only what the schema knows, without nulls; for the engine when it refuses the sender's own spelling."""
    return msgspec.json.encode(_decode_json(checked.signal, checked.body))


def _decode_json(signal: Signal, line: bytes) -> Any:
    try:
        return _json_decoder(signal).decode(line)
    except msgspec.ValidationError as error:
        raise MalformedRecord(f"not OTLP/JSON: {error}") from None
    except RecursionError:
        raise MalformedRecord("not OTLP/JSON: nested too deep outside of values") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedRecord(f"not JSON: {error}") from None


_ANY_VALUE_KEYS = ("arrayValue", "kvlistValue")


def _flatten_json(message: str, value: Any) -> None:
    """Replaces each deep value in place by its JSON text. Follows the schema, which does not recurse."""
    if isinstance(value, list):
        for element in value:
            _flatten_json(message, element)
        return
    if not isinstance(value, dict):
        return
    if message == "AnyValue":
        inner = value.get("arrayValue")
        items = inner.get("values") if isinstance(inner, dict) else None
        flat = (
            bool(items)
            and isinstance(items, list)
            and not any(isinstance(i, dict) and (_ANY_VALUE_KEYS[0] in i or _ANY_VALUE_KEYS[1] in i) for i in items)
        )
        if ("kvlistValue" in value or "arrayValue" in value) and not flat:
            text = json_text(value)
            value.clear()
            value["jsonValue"] = text
        return
    for item in MESSAGES[message]:
        if item.type in MESSAGES:
            _flatten_json(item.type, value.get(camel(item.name)))


# --- protobuf ----------------------------------------------------------------------------------------------------------------------------

_EMPTY_ARRAY = {TRACES: (b"\x12\x02\x2a\x00",), LOGS: (b"\x12\x02\x2a\x00", b"\x2a\x02\x2a\x00"), METRICS: (b"\x12\x02\x2a\x00",)}
"""An attribute, or a log's body, that is an empty list: to the engine it looks absent."""


@cache
def _classes(*, deep: bool) -> dict[str, Any]:
    """Message classes made from the declared table. With ``deep``, lists and maps stay the sender's bytes."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError:
        raise MissingExtra("Reading OTLP protobuf", "protobuf", "server") from None
    package = "clew.deep" if deep else "clew.otlp"
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for message, fields in MESSAGES.items():
        described = file.message_type.add(name=message)
        if deep and message == "AnyValue":
            raw = (Field("array_value", 5, "bytes", "optional"), Field("kvlist_value", 6, "bytes", "optional"))
            fields = (*(item for item in fields if item.name != "array_value"), *raw)
        for item in fields:
            kind = "message" if item.type in MESSAGES else item.type
            added = described.field.add(
                name=item.name,
                number=item.number,
                type=getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{kind.upper()}"),
                label=descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
                if item.label == "repeated"
                else descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
            )
            if kind == "message":
                added.type_name = f".{package}.{item.type}"
            if item.label == "optional":
                added.proto3_optional = True
                added.oneof_index = len(described.oneof_decl)
                described.oneof_decl.add(name=f"_{item.name}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {message: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{message}")) for message in MESSAGES}


def check_protobuf(signal: Signal, body: bytes, limits: Limits | None = None) -> Checked:
    """One encoded export request, or several concatenated.

    :param limits: of its records; default: none
    :raises MalformedRecord: it does not parse
    """
    from google.protobuf.message import DecodeError

    request = _classes(deep=False)[signal.request]()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise MalformedRecord(f"not an OTLP protobuf message: {error}") from None
    checked = Checked(signal, body, 0)
    changed = False
    for group in getattr(request, signal.resources):
        for scope in getattr(group, signal.scopes):
            records = getattr(scope, signal.records)
            checked.records += _points(records, str) if signal is METRICS else len(records)
            if signal is TRACES:
                bad = [
                    i
                    for i, span in enumerate(records)
                    if len(span.trace_id) != 16 or len(span.span_id) != 8 or span.trace_id == _NO_TRACE or span.span_id == _NO_SPAN
                ]
                for index in reversed(bad):
                    checked.rejected.append(_bad_ids(records[index]))
                    changed = True
                    del records[index]
                checked.records -= len(bad)
    if changed:
        checked.body = body = request.SerializeToString()
    # What the schema does not know (maps, lists in lists) is unknown fields: without them the message is shorter. Looking once, in C,
    # is cheaper than looking at each value in Python. A sender's longer spelling of the same message costs only the slower way.
    request.DiscardUnknownFields()
    if request.ByteSize() != len(body) or any(sign in body for sign in _EMPTY_ARRAY[signal]):
        checked.body = _flatten_protobuf(signal, body)
    if limits:

        def decoded() -> Any:
            if checked.body is not body:
                request.ParseFromString(checked.body)
            return request

        checked.cut = cut(signal, checked.body, decoded, limits, str)
        if checked.cut:
            checked.body = request.SerializeToString()
    return checked


def protobuf_signal(body: bytes) -> Signal:
    """Traces, logs or metrics. The requests have the same outer form; what tells them apart is where a record has its time."""
    from google.protobuf.message import DecodeError

    for signal, marks in (
        (TRACES, ("start_time_unix_nano",)),
        (LOGS, ("time_unix_nano", "observed_time_unix_nano")),
        (METRICS, METRIC_KINDS),
    ):
        request = _classes(deep=False)[signal.request]()
        try:
            request.ParseFromString(body)
        except DecodeError:
            continue
        for group in getattr(request, signal.resources):
            for scope in getattr(group, signal.scopes):
                if any(_has_time(getattr(record, mark)) for record in getattr(scope, signal.records) for mark in marks):
                    return signal
    return TRACES


def _has_time(found: Any) -> bool:
    """Of a record's time, or the points of a metric."""
    return found > 0 if isinstance(found, int) else any(point.time_unix_nano for point in found.data_points)


def _bad_ids(span: Any) -> str:
    sizes = f"a trace id of {len(span.trace_id)} bytes and a span id of {len(span.span_id)} bytes"
    return f"span {span.name[:80]!r} has {sizes}; {_NEEDED}"


def _flatten_protobuf(signal: Signal, body: bytes) -> bytes:
    request = _classes(deep=True)[signal.request]()
    request.ParseFromString(body)
    _flatten_message(signal.request, request)
    return bytes(request.SerializeToString())


def _flatten_message(name: str, message: Any) -> None:
    for item in MESSAGES[name]:
        if item.type not in MESSAGES:
            continue
        children = (
            getattr(message, item.name)
            if item.label == "repeated"
            else [getattr(message, item.name)]
            if message.HasField(item.name)
            else []
        )
        for child in children:
            if item.type == "AnyValue":
                _flatten_value(child)
            elif item.type not in ("ArrayValue", "Scalar"):
                _flatten_message(item.type, child)


def _flatten_value(value: Any) -> None:
    """Replaces a deep value in place by its JSON text; a list of scalars stays."""
    if not value.HasField("array_value") and not value.HasField("kvlist_value"):
        return
    if value.HasField("array_value"):
        flat = _classes(deep=False)["ArrayValue"]()
        flat.ParseFromString(value.array_value)
        size = flat.ByteSize()
        flat.DiscardUnknownFields()
        if flat.values and flat.ByteSize() == size:
            return
    text = protobuf_text(value.SerializeToString())
    value.Clear()
    value.json_value = text


def varint(number: int) -> bytes:
    """``number`` in protobuf's variable-length encoding."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def stamp_protobuf(signal: Signal, arrival_ns: int, sender: str) -> bytes:
    """Bytes that, appended to a request, say when it arrived and from whom."""
    request = _classes(deep=False)[signal.request](arrival_time_unix_nano=arrival_ns, sender=sender)
    return bytes(request.SerializeToString())


def stamp_json(line: bytes, arrival_ns: int, sender: str) -> bytes:
    """The same for one OTLP/JSON line."""
    stamp = b'"arrivalTimeUnixNano":%d,"sender":%b}' % (arrival_ns, msgspec.json.encode(sender))
    head = line.rstrip()[:-1].rstrip()
    return head + (stamp if head.endswith(b"{") else b"," + stamp)
