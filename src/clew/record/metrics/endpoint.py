"""Showing this process's metrics: an HTTP endpoint of its own, or a collector for a registry that the program has."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from threading import Thread
from types import TracebackType
from typing import Any, Final, Self

from clew.record.metrics import derive, live

log: Final = logging.getLogger("clew")

_MISSING: Final = "prometheus_client is not installed; run: pip install 'clew[metrics]'"


class MetricsServer:
    """The endpoint that :func:`clew.serve_metrics` started; a context manager that closes it.

    :ivar port: where it listens; None: nowhere
    """

    def __init__(self, server: Any = None, thread: Thread | None = None) -> None:
        self._server = server
        self._thread = thread
        self.port: int | None = server.server_address[1] if server is not None else None

    def close(self) -> None:
        """Answer no more. Idempotent."""
        server, self._server = self._server, None
        self.port = None
        if server is not None:
            server.shutdown()
            server.server_close()
            if self._thread is not None:
                self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class _Nothing:
    """The collector where there is no prometheus_client."""

    def collect(self) -> Iterable[Any]:
        return ()

    def describe(self) -> Iterable[Any]:
        return ()


def serve_metrics(port: int = 9464, *, host: str = "127.0.0.1") -> MetricsServer:
    """Answer ``GET /metrics`` with the metrics of this process, as text or OpenMetrics with exemplars, from a thread of its own.

    Figures that spans give count from the first call on. Where several processes do the same work, each shows only its own; ``/metrics`` of
    ``clew serve`` shows all of them together.

    Never raises: without prometheus_client, or where the port is taken (by another worker of the same program, say), the log says so and the
    server that is given back is nowhere.

    :param port: 0: any free one
    """
    collector = metrics_collector()
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError:
        log.warning("clew: metrics are not served: %s", _MISSING)
        return MetricsServer()
    registry = CollectorRegistry()
    registry.register(collector)
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        log.warning("clew: metrics of this process are not served: %s:%s: %s", host, port, error.strerror or error)
        return MetricsServer()
    return MetricsServer(server, thread)


def metrics_collector() -> Any:
    """A collector of this process's metrics for a registry of prometheus_client: ``registry.register(clew.metrics_collector())``.

    Any number may be registered, in one registry or in several. Without prometheus_client it collects nothing.
    """
    derive.start()
    try:
        from clew.record.metrics.exposition import Collector
    except ImportError:
        return _Nothing()
    return Collector(live.reading)
