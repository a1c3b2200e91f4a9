"""What OTLP answers: a response with what was left out of it, or a status; as protobuf or JSON, like the request.

By the OTLP specification 1.x (sections "OTLP/HTTP Response", "Failures" and "OTLP/gRPC Response").
"""

from __future__ import annotations

import json
from typing import Literal

from clew.wire.check import Checked, varint
from clew.wire.limits import sentence
from clew.wire.otlp import Signal

Encoding = Literal["protobuf", "json"]
CONTENT_TYPES: dict[Encoding, str] = {"protobuf": "application/x-protobuf", "json": "application/json"}

INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED, PERMISSION_DENIED = 3, 8, 12, 13, 14, 16, 7
CODES = {400: INVALID_ARGUMENT, 401: UNAUTHENTICATED, 403: PERMISSION_DENIED, 404: UNIMPLEMENTED, 405: UNIMPLEMENTED, 408: UNAVAILABLE} | {
    413: INVALID_ARGUMENT,
    415: INVALID_ARGUMENT,
    429: RESOURCE_EXHAUSTED,
    431: INVALID_ARGUMENT,
    500: INTERNAL,
    503: UNAVAILABLE,
}
"""Code of google.rpc.Status for a status of HTTP."""

LONGEST_REASONS = 1000
"""Characters of the message about records that were left out."""


def _rejected_name(signal: Signal) -> str:
    return {"spans": "rejectedSpans", "log_records": "rejectedLogRecords"}.get(signal.records, "rejectedDataPoints")


def response(checked: Checked, encoding: Encoding) -> bytes:
    """The body of an Export…ServiceResponse: how many records were left out and why, and what of the others was cut, which by OTLP is a
    message with no record rejected."""
    rejected = len(checked.rejected)
    message = "; ".join(filter(None, [sentence(checked.cut), *dict.fromkeys(checked.rejected)]))[:LONGEST_REASONS]
    if encoding == "json":
        partial = {"partialSuccess": {_rejected_name(checked.signal): str(rejected), "errorMessage": message}} if message else {}
        return json.dumps(partial, ensure_ascii=False).encode("utf-8", "replace")
    if not message:
        return b""
    inner = (b"\x08" + varint(rejected) if rejected else b"") + _text(2, message)
    return b"\x0a" + varint(len(inner)) + inner


def status(code: int, message: str, encoding: Encoding) -> bytes:
    """The body of a google.rpc.Status."""
    if encoding == "json":
        return json.dumps({"code": code, "message": message}, ensure_ascii=False).encode("utf-8", "replace")
    return b"\x08" + varint(code) + _text(2, message)


def status_with_retry(code: int, message: str, seconds: int) -> bytes:
    """The same with a google.rpc.RetryInfo among its details, as gRPC sends it in ``grpc-status-details-bin``."""
    delay = b"\x08" + varint(seconds)
    info = b"\x0a" + varint(len(delay)) + delay
    detail = _text(1, "type.googleapis.com/google.rpc.RetryInfo") + b"\x12" + varint(len(info)) + info
    return status(code, message, "protobuf") + b"\x1a" + varint(len(detail)) + detail


def _text(number: int, value: str) -> bytes:
    data = value.encode("utf-8", "replace")
    return bytes([number << 3 | 2]) + varint(len(data)) + data
