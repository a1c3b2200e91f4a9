"""OTLP/HTTP: POST /v1/traces, /v1/logs, /v1/metrics; protobuf or JSON; gzip, deflate, zstd or plain. Plain ASGI: no framework between wire and log."""

from __future__ import annotations

import logging
from typing import cast

from starlette.types import Receive, Scope, Send

from clew.observe.ingest.collector import Collector
from clew.server import bodies, otlp_answers
from clew.server.bodies import BodyError
from clew.server.otlp_answers import CODES, CONTENT_TYPES, Encoding
from clew.server.receiving import RETRY_AFTER_S, Receiving
from clew.wire.otlp import SIGNALS, Signal

PATHS: dict[str, Signal] = {f"/v1/{signal.name}": signal for signal in SIGNALS}
ENCODINGS: dict[str, Encoding] = {
    "application/x-protobuf": "protobuf",
    "application/protobuf": "protobuf",
    "application/json": "json",
}
RETRYABLE = {429, 503}

log = logging.getLogger("clew.server")


class OtlpHttp:
    """An ASGI app for the paths in PATHS. ``scope["clew.sender"]`` may name the sender (guard.py); else it is the peer's address."""

    def __init__(self, receiving: Receiving) -> None:
        self._receiving = receiving
        self._active = 0

    @property
    def collector(self) -> Collector:
        return self._receiving.collector

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        kind = headers.get(b"content-type", "").partition(";")[0].strip().lower()
        encoding = ENCODINGS.get(kind)
        signal = PATHS.get(scope["path"])
        status, extra = 200, []
        self._active += 1
        try:
            if signal is None:
                raise BodyError(404, "no such path", f"there is no {scope['path'][:80]!r}; OTLP is taken at {', '.join(PATHS)}")
            if scope["method"] != "POST":
                raise BodyError(405, "no such method", f"{signal.name} are sent with POST")
            if encoding is None:
                raise BodyError(415, "unsupported", f"content type {kind[:80]!r} is not known; use {' or '.join(CONTENT_TYPES.values())}")
            limits = self._receiving.limits
            if self._active > limits.requests:
                raise BodyError(429, "overload", f"{limits.requests} requests are being worked on; send it again later")
            announced = headers.get(b"content-length", "")
            if announced.isdigit() and int(announced) > limits.body_bytes:
                raise bodies.too_large(limits.body_bytes)
            compression = headers.get(b"content-encoding", "").strip().lower()
            if compression and compression != "identity" and compression not in bodies.DECOMPRESSORS:
                bodies.decompress(compression, b"", limit=0, take=lambda _: None)  # raises; nothing is read for it
            with self._receiving.room.share() as take:
                data = await bodies.read(receive, limit=limits.body_bytes, seconds=limits.body_s, take=take)
                checked = await self._receiving.take(signal, encoding, compression, data, _sender(scope), take)
            body = otlp_answers.response(checked, encoding)
        except BodyError as error:
            self.collector.refuse(error.reason)
            status, body, extra = error.status, *self._refusal(error, encoding or "json")
        except Exception:
            log.exception("a request failed")
            self.collector.refuse("failed")
            status, body = 500, otlp_answers.status(otlp_answers.INTERNAL, "the server failed; its log says why", encoding or "json")
        finally:
            self._active -= 1
        content_type = CONTENT_TYPES[encoding or "json"].encode()
        all_headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *extra]
        await send({"type": "http.response.start", "status": status, "headers": all_headers})
        await send({"type": "http.response.body", "body": body})

    def _refusal(self, error: BodyError, encoding: Encoding) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        extra = []
        if error.status in RETRYABLE:
            extra.append((b"retry-after", b"%d" % RETRY_AFTER_S))
        if error.status == 405:
            extra.append((b"allow", b"POST"))
        if error.status not in (400, 503):  # the rest of the body is not read
            extra.append((b"connection", b"close"))
        return otlp_answers.status(CODES[error.status], str(error), encoding), extra


def _sender(scope: Scope) -> str:
    named = scope.get("clew.sender")
    if named:
        return cast(str, named)
    client = scope.get("client")
    return f"otlp:{client[0]}" if client else "otlp"
