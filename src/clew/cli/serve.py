"""``clew serve``: the collector and its interface, as the owner of the data directory."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib.util
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from clew import settings
from clew.cli import invocation
from clew.errors import MissingExtra, SettingError

if TYPE_CHECKING:
    from clew.observe.store.store import Store

PRUNE_S = 3600.0
"""Seconds between two looks at what is old enough to go."""
SWEEP_S = 1.0
"""Seconds between two looks at the spool."""

KEPT_AT_ONCE = 32 << 20
"""Largest piece of memory that is kept for the next that asks: glibc allows no larger."""
KEPT_BYTES = 256 << 20
"""Most free memory that is kept."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""As malloc.h has them."""

log = logging.getLogger("clew.serve")


@dataclass(frozen=True, slots=True)
class Places:
    """Where a server listens; port 0 of the OTLP ports: not there."""

    host: str
    port: int
    otlp_http: int
    otlp_grpc: int

    @classmethod
    def of_settings(
        cls, host: str | None = None, port: int | None = None, otlp_http: int | None = None, otlp_grpc: int | None = None
    ) -> Places:
        """What is given goes before the settings."""
        given = {"host": host, "port": port, "otlp_http": otlp_http, "otlp_grpc": otlp_grpc}
        return cls(**{name: settings.get(name, value) for name, value in given.items()})

    @property
    def url(self) -> str:
        return f"http://{self._shown}:{self.port}"

    @property
    def _shown(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def grpc_address(self) -> str:
        return f"{self._shown}:{self.otlp_grpc}"

    def sentence(self, store: str) -> str:
        """What is served where.

        :param store: the name of its engine: the data directory, or the address of a server
        """
        also = [f"OTLP/HTTP also on port {self.otlp_http}"] if self.otlp_http else []
        also += [f"OTLP/gRPC on port {self.otlp_grpc}"] if self.otlp_grpc else []
        return f"Clew serves {store} at {self.url}" + (f" ({', '.join(also)})" if also else "")


@click.command("serve")
@click.option("--host", metavar="ADDRESS", help="Address to listen on; 127.0.0.1 unless given.")
@click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="Port of the interface and of OTLP/HTTP; 6360 unless given.")
@click.option("--otlp-http", type=click.IntRange(0, 65535), metavar="N", help="Second port for OTLP/HTTP; 4318 unless given, 0: none.")
@click.option("--otlp-grpc", type=click.IntRange(0, 65535), metavar="N", help="Port for OTLP/gRPC; 4317 unless given, 0: none.")
@click.option("--store", metavar="URL", help="ClickHouse server that has the tables, as clickhouse://user:password@host:8123/database.")
@click.option("--watch", multiple=True, metavar="URL", help="Redis or PostgreSQL server that is measured too; repeatable.")
@invocation.common
def command(
    host: str | None, port: int | None, otlp_http: int | None, otlp_grpc: int | None, store: str | None, watch: tuple[str, ...]
) -> int:
    """Receive telemetry from any program, and answer for the data directory, until stopped.

    Programs send OTLP over HTTP or gRPC. What programs recorded by Clew write to the spool is taken in as it comes. The other commands
    work meanwhile. Ctrl-C or SIGTERM ends it; what was acknowledged is kept.
    """
    places = Places.of_settings(host, port, otlp_http, otlp_grpc)
    require("clew serve")
    begin(places, ready=lambda: say(places.sentence(store_name(store))), store=store, watch=watch)
    return 0


def store_name(url: str | None = None) -> str:
    """What is served, for people: the data directory, or the address of a server without its password."""
    from clew.observe.store.engine import engine_of

    return engine_of(settings.get("store", url), invocation.data_dir()).name


def begin(places: Places, *, ready: Callable[[], None], store: str | None = None, watch: Sequence[str] = ()) -> None:
    """Serves the data directory of this invocation, as the process that the user started."""
    logging.basicConfig(stream=sys.stderr, format="clew: %(message)s", level=logging.WARNING)
    logging.getLogger("clew").setLevel(logging.INFO)
    os.umask(0o077)
    watched = settings.get("watch", watch or None) or ()
    serve(invocation.data_dir(), places, ready=ready, store_url=settings.get("store", store), watch=watched)


def say(text: str) -> None:
    click.echo(text)
    sys.stdout.flush()


def require(function: str) -> None:
    for module in ("chdb", "clickhouse_connect", "fastapi", "grpc", "uvicorn", "zstandard"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtra(function, {"grpc": "grpcio", "clickhouse_connect": "clickhouse-connect"}.get(module, module), "server")


def serve(data_dir: Path, places: Places, *, ready: Callable[[], None], store_url: str | None = None, watch: Sequence[str] = ()) -> None:
    """Owns the data directory and serves it until SIGTERM or SIGINT. Runs no user code and never forks.

    :param ready: called once requests are answered
    :param store_url: address of the ClickHouse server that has the tables; none: the data directory has them
    :param watch: URLs of Redis and PostgreSQL servers to measure
    :raises StoreBusy: another process owns the directory; names it
    :raises StoreError: the store cannot be opened
    :raises SettingError: an address cannot be had, or lets other machines in and there is no key
    """
    from clew.cli import address, owner
    from clew.observe.ingest.collector import Collector
    from clew.observe.resources.databases import Watched
    from clew.server.guard import is_loopback
    from clew.server.keys import Access, Keys

    watched = [Watched(url) for url in watch]
    exposed = not is_loopback(places.host)
    keys = Keys(data_dir)
    if exposed and not keys.all():
        raise SettingError(
            f"{places.host} lets other machines in, and there is no API key; make one first: clew keys add NAME --role admin"
        )
    _raise_file_limit()
    _keep_memory()
    prices = settings.get("prices")
    with contextlib.ExitStack() as closing:
        with _thread("clew-load", _load):  # beside the opening of the store: most of a second
            store = owner.own(
                data_dir, prices.absolute() if prices else None, settings.get("owner_wait_s"), store_url=store_url, insist=True
            )
            closing.callback(store.close)
        data_dir = store.data_dir
        from clew.server.app import app
        from clew.server.entrance import entrance
        from clew.server.listening import GRACE_S, Bounds, HttpServer, listen
        from clew.server.otlp_grpc import OtlpGrpc
        from clew.server.receiving import Limits, Receiving

        listeners = [listen(places.host, places.port, "port")]
        if places.otlp_http:
            listeners.append(listen(places.host, places.otlp_http, "otlp_http"))
        for listener in listeners:
            closing.callback(listener.close)
        collector = Collector(store, log_bytes=settings.get("log_bytes"))
        closing.callback(collector.close)
        receiving = Receiving(collector, Limits.of_settings())
        closing.callback(receiving.close)
        access = Access(keys, exposed=exposed)
        grpc_server = None
        if places.otlp_grpc:
            try:
                grpc_server = OtlpGrpc(receiving, places.grpc_address(), access)
            except OSError as error:
                raise SettingError(
                    f"{places.grpc_address()} cannot be listened on: {error.strerror}; choose another with --otlp-grpc, or 0 to turn it off"
                ) from None
            closing.callback(grpc_server.close, GRACE_S)
        bounds = Bounds(settings.get("connections"), settings.get("body_s"), settings.get("idle_s"))

        def started() -> None:
            store.describe(url=places.url)
            collector.start()
            if grpc_server is not None:
                grpc_server.start()
            gc.freeze()  # what is loaded by now stays: the garbage collector need not look through it while a large answer is made
            ready()

        answering = app(store, collector)
        server = HttpServer(
            entrance(answering, receiving, access, exposed=exposed), bounds, ready=started, stopping=answering.state.served.live.close
        )
        local = owner.Owner(store, owner.listen(data_dir), _hello(store, prices, places.url), linger_s=None, collector=collector)
        closing.callback(address.remove_socket, data_dir)
        closing.enter_context(_thread("clew-owner", local.serve, local.stop))
        closing.enter_context(_sweeping(store))
        if every_s := settings.get("resources_s"):
            from clew.observe.resources.server import ServerResources

            measuring = ServerResources(store, collector, watched, every_s=every_s)
            closing.enter_context(_thread("clew-resources", measuring.run, measuring.stop))
        closing.enter_context(_pruning(store))
        with _signals(server.stop):
            server.run(listeners)
        log.info("stopping")


def _hello(store: Store, prices: Path | None, url: str) -> Callable[[], Any]:
    from clew.cli import address
    from clew.cli.frames import Hello

    def hello() -> Hello:
        """A server stays when the price file changes: it reads it anew."""
        default = store.data_dir / "prices.toml"
        if prices is None:
            store.prices = default if default.exists() else None
        return Hello(os.getpid(), address.own_version(), address.price_mark(store.data_dir, prices), url)

    return hello


def _load() -> None:
    # A plugin of pydantic that happens to be installed, such as logfire's, takes as long to load as a fifth of all else, and has nothing to do here.
    settings.tell_library("PYDANTIC_DISABLE_PLUGINS", "__all__")
    for module in ("clew.server.app", "clew.server.listening", "clew.server.otlp_grpc"):
        importlib.import_module(module)


@contextlib.contextmanager
def _thread(name: str, run: Callable[[], None], stop: Callable[[], None] = lambda: None) -> Iterator[None]:
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join()


@contextlib.contextmanager
def _sweeping(store: Store) -> Iterator[None]:
    """Takes in what programs write to the spool, as it comes."""
    from clew.errors import ClewError
    from clew.observe.ingest.spool import Watch

    stopping = threading.Event()

    def run() -> None:
        watch = Watch(store)
        while not stopping.wait(SWEEP_S):
            try:
                watch.look()
            except (ClewError, OSError) as error:
                log.warning("new records of the spool could not be taken in: %s", error)
                stopping.wait(10 * SWEEP_S)

    with _thread("clew-sweep", run, stopping.set):
        yield


@contextlib.contextmanager
def _pruning(store: Store) -> Iterator[None]:
    """Drops what is older than it is to be kept: once at the start, then every hour."""
    from clew.errors import ClewError
    from clew.observe.store.retention import Keep, prune

    if not store.engine.settles:  # the collector that does drops, too
        yield
        return
    stopping = threading.Event()
    keep = Keep.of_settings()

    def run() -> None:
        while not stopping.is_set():
            try:
                pruned = prune(store, keep)
                for day in pruned.dropped:
                    log.info("dropped the %s of %s: %d records, %d bytes, %s", day.signal, day.day, day.records, day.bytes, day.reason)
                if pruned.left_over:
                    log.warning("%d bytes beyond the size cap stay: what arrived today is never dropped for it", pruned.left_over)
            except (ClewError, OSError) as error:
                log.warning("what is old could not be dropped: %s; it is tried again", error)
            stopping.wait(PRUNE_S)

    with _thread("clew-prune", run, stopping.set):
        yield


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    def on_signal(_: int, __: FrameType | None) -> None:
        stop()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _keep_memory() -> None:
    """Has the allocator keep what bodies of requests took for those that follow. Given back and asked for anew, each page of each body is
    cleared by the kernel again: a tenth of what it costs to receive."""
    with contextlib.suppress(OSError, AttributeError):  # glibc has it
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, KEPT_AT_ONCE)
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)


def _raise_file_limit() -> None:
    """As many open files as this process may have: each connection is one, each part of the store several."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
