"""OTLP/gRPC: the three Export services, handed bytes and giving bytes: no message is decoded into Python objects on the way."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from clew.errors import StoreUnavailable
from clew.server import otlp_answers
from clew.server.bodies import BodyError
from clew.server.keys import Access, Denied
from clew.server.otlp_answers import CODES
from clew.server.receiving import RETRY_AFTER_S, Receiving
from clew.wire.otlp import SIGNALS, Signal

THREADS = 16
"""Requests that are worked on at once; each waits for the disk most of its time. They never touch the store."""
METHODS: dict[str, Signal] = {f"/{signal.service}/Export": signal for signal in SIGNALS}
_GZIP = b"\x1f\x8b"
"""How a gzip body begins; no protobuf message does (field 3 has no wire type 7)."""
_STATUS = {code.value[0]: code for code in grpc.StatusCode}

log = logging.getLogger("clew.server")


class OtlpGrpc:
    """A gRPC server on one port.

    :raises OSError: the port cannot be had
    """

    def __init__(self, receiving: Receiving, address: str, access: Access) -> None:
        self._receiving = receiving
        self._access = access
        limits = receiving.limits
        self._threads = ThreadPoolExecutor(THREADS, "clew-grpc")
        self._server = grpc.server(
            self._threads,
            handlers=[_Handlers(self._export)],
            maximum_concurrent_rpcs=limits.requests,
            options=[
                ("grpc.max_receive_message_length", limits.body_bytes),
                ("grpc.max_metadata_size", 16 << 10),
                ("grpc.so_reuseport", 0),
                # Left compressed, so that it is decompressed within bounds here: gRPC itself would follow a bomb to its end.
                ("grpc.per_message_decompression", 0),
                ("grpc.http2.max_pings_without_data", 4),
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 20_000),
                ("grpc.max_connection_idle_ms", 600_000),
            ],
        )
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(98, f"{address}: {error}") from None
        if self.port == 0:
            raise OSError(98, "Address already in use")

    def start(self) -> None:
        self._server.start()

    def close(self, grace_s: float) -> None:
        """Takes no new call and waits for those under way. Idempotent."""
        self._server.stop(grace_s).wait()
        self._threads.shutdown()

    def _export(self, signal: Signal, data: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            sender = self._sender(context)
            with self._receiving.room.share() as take:
                take(len(data))
                compression = "gzip" if data.startswith(_GZIP) else ""
                checked = self._receiving.check(signal, "protobuf", compression, data, take)
                written = self._receiving.submit(checked, "protobuf", sender)
                if written is not None:
                    written.result()
            return otlp_answers.response(checked, "protobuf")
        except StoreUnavailable as error:
            self._refuse(context, BodyError(503, "disk", str(error)))
        except BodyError as error:
            self._refuse(context, error)
        except Exception:
            log.exception("a call failed")
            self._refuse(context, BodyError(500, "failed", "the server failed; its log says why"))
        return b""

    def _sender(self, context: grpc.ServicerContext) -> str:
        given = dict(context.invocation_metadata()).get("authorization", "")
        try:
            key = self._access.admit(given if isinstance(given, str) else "", "ingest")
        except Denied as error:
            raise BodyError(error.status, error.reason, str(error)) from None
        if key is not None:
            return f"key:{key.name}"
        peer = context.peer()  # such as ipv4:127.0.0.1:40000 or ipv6:%5B::1%5D:40000
        host = peer.partition(":")[2].rpartition(":")[0].replace("%5B", "").replace("%5D", "")
        return f"otlp:{host}" if host else "otlp"

    def _refuse(self, context: grpc.ServicerContext, error: BodyError) -> None:
        self._receiving.collector.refuse(error.reason)
        code = CODES[error.status]
        if error.status in (429, 503):
            detail = otlp_answers.status_with_retry(code, str(error), RETRY_AFTER_S)
            context.set_trailing_metadata((("grpc-status-details-bin", detail),))
        context.set_code(_STATUS[code])
        context.set_details(str(error))


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Finds the handler of a method by its path."""

    def __init__(self, export: Callable[[Signal, bytes, grpc.ServicerContext], bytes]) -> None:
        def handler(signal: Signal) -> Any:
            # Without serialisers, bytes come in and go out as they are.
            return grpc.unary_unary_rpc_method_handler(lambda data, context: export(signal, data, context))

        self._handlers = {path: handler(signal) for path, signal in METHODS.items()}

    def service(self, handler_call_details: Any) -> Any:
        return self._handlers.get(handler_call_details.method)
