"""The command line's side of the store: finds the owner of the data directory, or starts it, and asks it."""

from __future__ import annotations

import importlib.util
import os
import select
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeVar

import msgspec

from clew import settings
from clew.cli import address
from clew.cli.frames import Closed, Failure, Hello, Leave, Progress, Request, Result, ToClient, frame, receive_from_owner
from clew.cli.operations import IMPORT, Operation
from clew.errors import MissingExtra, StoreBusy, StoreUnavailable
from clew.observe.ingest.files import Taken
from clew.observe.store.lock import holder

T = TypeVar("T")
Reporter = Callable[[int, int, int], None]

LONGEST_START_S = 120.0
"""A start that takes longer than this (a huge migration on a slow disk takes seconds) has failed."""


def _no_report(done: int, size: int, records: int) -> None: ...


class Client:
    """A connection to the owner of a data directory. Not for several threads at once."""

    def __init__(self, connection: socket.socket, hello: Hello, data_dir: Path) -> None:
        self._connection = connection
        self.owner = hello
        self.data_dir = data_dir

    @classmethod
    def connect(cls, data_dir: Path, *, function: str = "The store", prices: Path | None = None) -> Client:
        """Connects to the owner of ``data_dir``, starting one if there is none.

        :param function: what the user called, for the message of a missing extra
        :raises MissingExtra: the store's packages are not installed
        :raises StoreBusy: another process owns the directory and does not serve; after ``owner_wait_s``
        :raises StoreError: the store cannot be opened; the reason is the owner's
        """
        _require(function)
        data_dir = data_dir.expanduser().resolve()
        prices = prices or settings.get("prices")
        prices = prices.resolve() if prices else None
        wait_s, linger_s = settings.get("owner_wait_s"), settings.get("owner_linger_s")
        deadline = time.monotonic() + wait_s
        start: _Start | None = None
        busy: StoreBusy | None = None
        try:
            while True:
                found = _greet(data_dir, deadline)
                if found is not None:
                    connection, hello = found
                    same_store = bool(hello.url) or hello.store == address.store_mark()
                    if same_store and hello.version == address.own_version() and hello.prices == address.price_mark(data_dir, prices):
                        return cls(connection, hello, data_dir)
                    if hello.url:  # a server stays
                        connection.close()
                        raise StoreBusy(
                            f"{data_dir} is served by process {hello.pid} at {hello.url} with Clew {hello.version} and the prices "
                            f"{hello.prices or '(none of your own)'}; this is Clew {address.own_version()}: stop the server, or use the same"
                        )
                    with connection, suppress(OSError):  # it may just have left
                        connection.sendall(frame(Leave()))
                    busy = StoreBusy(
                        f"{data_dir} is served by process {hello.pid} with Clew {hello.version}, which is asked to leave "
                        "but still has other clients; run this again when they are done"
                    )
                if start is None and (busy is None or time.monotonic() < deadline):
                    start = _Start(data_dir, prices, wait_s, linger_s)
                said = start.wait(0.02) if start else None
                if isinstance(said, Failure):
                    error, start = said.exception(), None
                    if not isinstance(error, StoreBusy):
                        raise error
                    busy = error  # who has it may answer by now
                elif said is not None:
                    start = None
                elif start is not None and start.is_late():
                    raise StoreUnavailable(
                        f"the store's owner has not opened {data_dir} in {LONGEST_START_S:.0f} s; see {data_dir / 'owner.log'}"
                    )
                if busy is not None and time.monotonic() >= deadline:
                    raise busy
        finally:
            if start is not None:
                start.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent."""
        self._connection.close()

    def ask(self, operation: Operation[T], /, *, report: Reporter = _no_report, file: int | None = None, **arguments: Any) -> T:
        """The owner's answer. Every operation can be repeated without harm.

        :param report: told of the progress of an import
        :param file: an open file that the owner is to read
        :raises ClewError: as the function of the operation does
        :raises StoreUnavailable: the owner died meanwhile
        """
        try:
            message = frame(Request(operation.name, arguments))
            if file is None:
                self._connection.sendall(message)
            else:
                sent = socket.send_fds(self._connection, [message], [file])
                self._connection.sendall(message[sent:])
            while True:
                answer = receive_from_owner(self._connection)
                if isinstance(answer, Result):
                    result: T = msgspec.msgpack.decode(answer.value, type=operation.result)
                    return result
                if isinstance(answer, Failure):
                    raise answer.exception()
                if isinstance(answer, Progress):
                    report(answer.done, answer.size, answer.records)
        except (Closed, ConnectionError):
            raise StoreUnavailable(
                f"the store's owner (process {self.owner.pid}) ended while it worked; what it had acknowledged is stored, "
                f"and running this again is safe; see {self.data_dir / 'owner.log'}"
            ) from None

    def import_file(self, file: IO[bytes], *, name: str, report: Reporter = _no_report) -> Taken:
        """Has the owner take in an open file: a regular one from its beginning, a pipe until its end.

        :raises MalformedRecord: the file is in no known format
        :raises OSError: it cannot be read
        """
        regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        path = os.fsencode(os.path.realpath(file.name)) if regular and isinstance(file.name, (str, bytes)) else b""
        return self.ask(IMPORT, report=report, file=file.fileno(), name=name, path=path)


class _Start:
    """A child that was started to own the data directory, until it has said Hello or why not."""

    def __init__(self, data_dir: Path, prices: Path | None, wait_s: float, linger_s: float) -> None:
        ready, write = os.pipe()
        command = [sys.executable, "-P", "-m", "clew.cli.owner", os.fspath(data_dir), "--ready", str(write)]
        command += ["--wait-s", str(wait_s), "--linger-s", str(linger_s)]
        if prices is not None:
            command += ["--prices", os.fspath(prices)]
        self._ready = ready
        self._deadline = time.monotonic() + LONGEST_START_S + wait_s
        self._data_dir = data_dir
        try:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[write],
                start_new_session=True,
            )
        except OSError as error:
            os.close(ready)
            raise StoreUnavailable(f"the store's owner cannot be started: {error.strerror}") from None
        finally:
            os.close(write)

    def wait(self, seconds: float) -> Hello | Failure | None:
        """What the child said, or None when it has not yet."""
        readable, _, _ = select.select([self._ready], [], [], seconds)
        if not readable:
            return None
        said = b"".join(iter(lambda: os.read(self._ready, 65536), b""))
        code = self._child.poll()
        self.close()
        if said:
            return msgspec.msgpack.decode(said[4:], type=Hello | Failure)
        how = f" with exit code {code}" if code is not None else ""
        return Failure("StoreUnavailable", f"the store's owner ended before it was ready{how}; see {self._data_dir / 'owner.log'}")

    def is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def close(self) -> None:
        os.close(self._ready)
        if self._child.poll() is None:
            self._child.returncode = 0  # it outlives us; init takes it over, and Popen need not warn of it


def _greet(data_dir: Path, deadline: float) -> tuple[socket.socket, Hello] | None:
    """A connection to the owner and its first word, or None when nobody listens or the one who did is just going."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(max(0.2, deadline - time.monotonic()))
        connection.connect(os.fspath(address.socket_path(data_dir)))
        hello: ToClient = receive_from_owner(connection)
        connection.settimeout(None)
        if isinstance(hello, Hello):
            return connection, hello
    except TimeoutError:
        connection.close()
        who = holder(data_dir / "store.lock") or {}
        raise StoreBusy(
            f"{data_dir} is owned by process {who.get('pid', '?')}, a store's owner that does not answer; stop it, then run this again"
        ) from None
    except (OSError, Closed):
        pass
    except BaseException:
        connection.close()
        raise
    connection.close()
    return None


def _require(function: str) -> None:
    for package, module in (("chdb", "chdb"), ("clickhouse-connect", "clickhouse_connect")):
        if importlib.util.find_spec(module) is None:
            raise MissingExtra(function, package, "server")
