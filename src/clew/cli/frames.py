"""What the command line and the owner of the store say to each other, and how it travels: a length of 4 bytes, then msgpack.

The owner speaks first (Hello). Then, per request of the client: any number of Progress, and one Result or Failure. Nothing but data
crosses the socket: values are typed again on arrival, errors travel by name, and a name that is not in the tables is an error.
"""

from __future__ import annotations

import select
import socket
from typing import Any

import msgspec

from clew import errors

LONGEST_BYTES = (1 << 32) - 1


class Hello(msgspec.Struct, tag=True, frozen=True):
    """First word of an owner: who it is and what it serves with."""

    pid: int
    version: str
    prices: str
    """Which price override file it reads, with its age and size."""
    url: str = ""
    """Address of a server, which stays whoever comes; empty for an owner that the command line started."""
    store: str = ""
    """Which store it has, when it is not the one in the data directory."""


class Request(msgspec.Struct, tag=True, frozen=True):
    operation: str
    arguments: dict[str, Any] = {}


class Leave(msgspec.Struct, tag=True, frozen=True):
    """Asks the owner to go once its other clients are served: it is of another version, or reads other prices."""


class Progress(msgspec.Struct, tag=True, frozen=True):
    done: int
    size: int
    records: int


class Result(msgspec.Struct, tag=True, frozen=True):
    value: msgspec.Raw


class Failure(msgspec.Struct, tag=True, frozen=True):
    """An error of the tree in clew.errors, or a built-in one, by class name."""

    error: str
    message: str
    details: dict[str, Any] = {}
    number: int | None = None
    """``errno`` of an OSError."""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        plain = (str, int, float, bool, dict, type(None))
        details = {name: value for name, value in getattr(error, "__dict__", {}).items() if isinstance(value, plain)}
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, errors.ClewError):
            message = error.strerror or str(error)
            return cls("OSError", f"{message}: {error.filename}" if error.filename else message, number=error.errno)
        return cls(type(error).__name__, str(error), details)

    def exception(self) -> Exception:
        """The error, to be raised again. One that is not of the tree arrives as StoreError: it is a fault of ours, and says its class."""
        kind = getattr(errors, self.error, None)
        if isinstance(kind, type) and issubclass(kind, errors.ClewError):
            error = kind.__new__(kind)
            Exception.__init__(error, self.message)
            for name, value in self.details.items():
                setattr(error, name, value)
            return error
        if self.number is not None:
            return OSError(self.number, self.message)
        return errors.StoreError(f"the store's owner failed with {self.error}: {self.message}")


ToOwner = Request | Leave
ToClient = Hello | Progress | Result | Failure

_to_owner: msgspec.msgpack.Decoder[ToOwner] = msgspec.msgpack.Decoder(ToOwner)
_to_client: msgspec.msgpack.Decoder[ToClient] = msgspec.msgpack.Decoder(ToClient)


class Closed(Exception):
    """The other side has closed the connection."""


def frame(message: ToOwner | ToClient) -> bytes:
    """The bytes of one message.

    :raises StoreError: it is longer than LONGEST_BYTES
    """
    body = msgspec.msgpack.encode(message)
    if len(body) > LONGEST_BYTES:
        raise errors.StoreError("the answer is larger than 4 GiB; ask for less at a time")
    return len(body).to_bytes(4, "big") + body


def receive_from_owner(connection: socket.socket) -> ToClient:
    """:raises Closed: the owner is gone"""
    body, _ = _receive(connection, descriptors=0)
    return _to_client.decode(body)


def receive_from_client(connection: socket.socket) -> tuple[ToOwner, list[int]]:
    """A message and the open file that came with it, if any.

    :raises Closed: the client is gone
    """
    body, descriptors = _receive(connection, descriptors=1)
    return _to_owner.decode(body), descriptors


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has gone, when it is known to have nothing to say."""
    readable, _, _ = select.select([connection], [], [], 0)
    if not readable:
        return False
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True


def _receive(connection: socket.socket, *, descriptors: int) -> tuple[bytearray, list[int]]:
    head = b""
    given: list[int] = []
    try:
        while len(head) < 4:
            part, more, _, _ = socket.recv_fds(connection, 4 - len(head), descriptors)
            given += more
            if not part:
                raise Closed
            head += part
        body = bytearray(int.from_bytes(head, "big"))
        view = memoryview(body)
        while view:
            count = connection.recv_into(view)
            if count == 0:
                raise Closed
            view = view[count:]
    except ConnectionError:
        raise Closed from None
    return body, given
