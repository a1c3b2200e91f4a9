"""The owner of a data directory: the one process that has the store open, and answers the command line over a socket.

``python -m clew.cli.owner DATA_DIR`` is started by the command line when nobody owns the directory, runs no user code and never forks
(a forked child of an open engine hangs). It ends ``owner_linger_s`` after its last client, on SIGTERM and SIGINT, or when a client of
another version asks it to; each time it closes the store first. What it has to say of itself goes to ``owner.log`` there.
"""

from __future__ import annotations

import argparse
import logging
import logging.handlers
import math
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from clew import settings
from clew.cli import address
from clew.cli.frames import Closed, Failure, Hello, Leave, Progress, Request, Result, frame, receive_from_client, receive_from_owner
from clew.cli.operations import TABLE, Call, Cancelled
from clew.errors import ClewError, StoreBusy, StoreError, StoreUnavailable
from clew.observe.ingest.backup import tidy
from clew.observe.ingest.collector import Collector
from clew.observe.store.store import Store

MOST_CLIENTS = 64
"""Clients served at once; the next one waits in the socket's queue. Each has a handle of the engine, some hundred kilobytes."""

FIRST_CLIENT_S = 10.0
"""How long a new owner waits for the client that started it: longer than any start, short if that client was killed."""

FINISH_S = 30.0
"""How long an owner that was told to go waits for clients to take their answers."""

REPORT_EVERY_S = 0.1

LOG_BYTES = 1 << 20

log = logging.getLogger("clew.owner")


class Owner:
    """Serves an open store on a listening socket until nobody has asked for ``linger_s`` seconds, or stop() is called.

    :param hello: makes the first word to each client
    :param linger_s: None for a server, which stays until stop(), also when a client asks it to leave
    :param collector: of a server
    """

    def __init__(
        self,
        store: Store,
        listener: socket.socket,
        hello: Callable[[], Hello],
        *,
        linger_s: float | None,
        collector: Collector | None = None,
    ) -> None:
        self._store = store
        self._listener = listener
        self._hello = hello
        self._linger_s = linger_s
        self._collector = collector
        self._connections: dict[socket.socket, bool] = {}
        """Each with whether a request of it is being served."""
        self._lock = threading.Lock()
        self._leaving = threading.Event()
        self._stopping = threading.Event()
        self._woken, self._wake = socket.socketpair()
        self._wake.setblocking(False)

    def stop(self) -> None:
        """Ends serve(): answers under way are finished, imports end at their next batch. Callable from a signal handler."""
        self._stopping.set()
        self._leave()

    def serve(self) -> None:
        """Returns when every client has been answered and nobody new came."""
        linger_s = math.inf if self._linger_s is None else self._linger_s
        deadline = time.monotonic() + max(FIRST_CLIENT_S, linger_s)
        threads = ThreadPoolExecutor(MOST_CLIENTS, "client")
        try:
            while not self._leaving.is_set():
                with self._lock:
                    busy = bool(self._connections)
                wait_s = None if busy or deadline == math.inf else max(0.0, deadline - time.monotonic())
                ready, _, _ = select.select([self._listener, self._woken], [], [], wait_s)
                if self._woken in ready:
                    self._woken.recv(4096)
                    with self._lock:
                        if not self._connections:
                            deadline = time.monotonic() + linger_s
                elif self._listener in ready:
                    connection, _ = self._listener.accept()
                    with self._lock:
                        self._connections[connection] = False
                    threads.submit(self._answer, connection)
                elif not ready and not busy:
                    return
        finally:
            self._listener.close()
            self._finish()
            threads.shutdown()

    def _finish(self) -> None:
        """Lets idle clients go, and gives those who wait for an answer FINISH_S seconds to take it."""
        with self._lock:
            for connection, serving in self._connections.items():
                if not serving:
                    _shut(connection, socket.SHUT_RD)
        deadline = time.monotonic() + FINISH_S
        while self._connections and (wait_s := deadline - time.monotonic()) > 0:
            select.select([self._woken], [], [], wait_s)
            self._woken.recv(4096)
        with self._lock:
            for connection in self._connections:
                _shut(connection, socket.SHUT_RDWR)

    def _leave(self) -> None:
        self._leaving.set()
        self._wakeup()

    def _wakeup(self) -> None:
        with suppress(OSError):  # when it is full, the loop is about to wake anyway
            self._wake.send(b".")

    def _answer(self, connection: socket.socket) -> None:
        try:
            connection.sendall(frame(self._hello()))
            while not self._leaving.is_set():
                request, descriptors = receive_from_client(connection)
                if isinstance(request, Leave):
                    log.info("asked to leave")
                    if self._linger_s is not None:
                        self._leave()
                    return
                with self._lock:
                    self._connections[connection] = True
                try:
                    connection.sendall(self._serve(connection, request, descriptors))
                finally:
                    for descriptor in descriptors:
                        os.close(descriptor)
                with self._lock:
                    self._connections[connection] = False
        except (Closed, OSError):
            pass  # the client has gone; it is the only one who could be told
        except Exception:
            log.exception("a connection failed")
        finally:
            with self._lock:
                del self._connections[connection]
            connection.close()
            self._wakeup()

    def _serve(self, connection: socket.socket, request: Request, descriptors: list[int]) -> bytes:
        reported = 0.0

        def report(done: int, size: int, records: int) -> None:
            nonlocal reported
            now = time.monotonic()
            if now - reported >= REPORT_EVERY_S:
                reported = now
                try:
                    connection.sendall(frame(Progress(done, size, records)))
                except OSError:
                    raise Cancelled("the client has gone") from None

        operation = TABLE.get(request.operation)
        try:
            if operation is None:
                raise StoreError(f"the store's owner knows no operation {request.operation!r}")
            value = operation.serve(
                Call(self._store, connection, self._stopping, report, descriptors, self._collector), **request.arguments
            )
            return frame(Result(msgspec.Raw(msgspec.msgpack.encode(value))))
        except Cancelled as error:
            log.info("%s: %s", request.operation, error)
            return frame(Failure("StoreError", str(error)))
        except (ClewError, OSError) as error:
            return frame(Failure.of(error))
        except Exception as error:
            log.exception("%s failed", request.operation)
            return frame(Failure.of(error))


def _shut(connection: socket.socket, how: int) -> None:
    with suppress(OSError):  # the client was faster
        connection.shutdown(how)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m clew.cli.owner", description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--prices", type=Path)
    parser.add_argument("--linger-s", type=float)
    parser.add_argument("--wait-s", type=float)
    parser.add_argument("--ready", type=int, help="descriptor to write Hello or Failure to, once")
    given = parser.parse_args(arguments)
    try:
        hello, owner, store = _open(given)
    except BaseException as error:
        _tell(given.ready, Failure.of(error))
        raise SystemExit(0 if isinstance(error, StoreBusy) else 1) from None
    try:
        stop = owner.stop

        def on_signal(number: int, _: FrameType | None) -> None:
            stop()

        signal.signal(signal.SIGTERM, on_signal)
        signal.signal(signal.SIGINT, on_signal)
        _tell(given.ready, hello)
        log.info("serving %s", given.data_dir)
        owner.serve()
    except Exception:
        log.exception("the owner failed")
        raise SystemExit(1) from None
    finally:
        address.remove_socket(given.data_dir)
        store.close()
        log.info("closed")


def _open(given: Any) -> tuple[Hello, Owner, Store]:
    data_dir: Path = given.data_dir
    linger_s = settings.get("owner_linger_s", given.linger_s)
    store = own(data_dir, given.prices, settings.get("owner_wait_s", given.wait_s), store_url=settings.get("store"))
    try:
        _write_log(data_dir / "owner.log")
        listener = listen(data_dir)
    except BaseException:
        store.close()
        raise
    os.chdir(data_dir)  # the directory that the client happened to be in stays free
    hello = Hello(os.getpid(), address.own_version(), address.price_mark(data_dir, given.prices), store=address.store_mark())
    return hello, Owner(store, listener, lambda: hello, linger_s=linger_s), store


def listen(data_dir: Path) -> socket.socket:
    """The socket on which the owner of a data directory answers. Call it only with the store open.

    :raises StoreUnavailable: it cannot be made
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path = address.place_socket(data_dir)
        listener.bind(os.fspath(path))
        path.chmod(0o600)
        listener.listen(MOST_CLIENTS)
    except OSError as error:
        listener.close()
        raise StoreUnavailable(f"the store's owner cannot listen in {data_dir}: {error.strerror}") from None
    return listener


def own(data_dir: Path, prices: Path | None, wait_s: float, *, store_url: str | None = None, insist: bool = False) -> Store:
    """Opens the store, or leaves it to the process that has it: one that answers is served by, one that is closing is waited for.

    :param store_url: address of the ClickHouse server that has the tables; none: the data directory has them
    :param insist: ask an owner that the command line started to leave, and wait for that
    :raises StoreBusy: another process has it
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            store = Store.open(data_dir, url=store_url, prices=prices)
            tidy(store.data_dir)
            return store
        except StoreBusy:
            leaves = insist and _ask_to_leave(data_dir)
            if (not leaves and _answers(data_dir)) or time.monotonic() >= deadline:
                raise
        time.sleep(0.05)


def _ask_to_leave(data_dir: Path) -> bool:
    """Whether the owner is one that leaves when it is asked."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(os.fspath(address.socket_path(data_dir)))
            hello = receive_from_owner(connection)
            if not isinstance(hello, Hello) or hello.url:
                return False
            connection.sendall(frame(Leave()))
        except (OSError, Closed):
            return False
    return True


def _answers(data_dir: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(address.socket_path(data_dir)))
            return probe.recv(1) != b""
        except OSError:
            return False


def _write_log(path: Path) -> None:
    """From here on, words of ours and of the engine (its last ones, should it crash) go to the log."""
    logging.raiseExceptions = False  # a full disk is told to the client, not to a log on the same disk
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    with open(path, "ab") as file:
        os.dup2(file.fileno(), 2)


def _tell(descriptor: int | None, message: Hello | Failure) -> None:
    if descriptor is None:
        if isinstance(message, Failure):
            print(f"clew: {message.message}", file=sys.stderr)
        return
    with os.fdopen(descriptor, "wb") as pipe, suppress(BrokenPipeError):  # the client that started us has gone
        pipe.write(frame(message))
        pipe.flush()


if __name__ == "__main__":
    os.umask(0o077)
    main()
