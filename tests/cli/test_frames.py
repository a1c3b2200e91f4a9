"""What travels between the command line and the owner arrives as it was sent; errors keep their class, text and details."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew import errors
from clew.cli import frames
from clew.cli.frames import Closed, Failure, Hello, Progress, Request

WORKFLOW = errors.WorkflowError  # raised by runs, which never talk to the owner
TREE = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.ClewError) and not issubclass(kind, WORKFLOW)
]


def sent(error: BaseException) -> Exception:
    """The error as the client raises it."""
    left, right = socket.socketpair()
    with left, right:
        left.sendall(frames.frame(Failure.of(error)))
        failure = frames.receive_from_owner(right)
    assert isinstance(failure, Failure)
    return failure.exception()


def made(kind: type[errors.ClewError]) -> errors.ClewError:
    if kind is errors.FilterError:
        return errors.FilterError("expected a value", text="cost:>", position=6)
    if kind is errors.MissingExtra:
        return errors.MissingExtra("clew runs", "chdb", "server")
    if kind is errors.MissingLibrary:
        return errors.MissingLibrary("clew.instrument", "crewai", "pip install crewai")
    return kind("a value, and the next step")


@pytest.mark.parametrize("kind", TREE)
def test_every_error_of_the_tree_arrives_as_itself(kind: type[errors.ClewError]) -> None:
    error = made(kind)
    arrived = sent(error)
    assert type(arrived) is kind
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)


def test_an_operating_system_error_keeps_its_number() -> None:
    with pytest.raises(OSError, match="No such file") as caught:
        Path("/no/such/file").read_text()
    arrived = sent(caught.value)
    assert isinstance(arrived, FileNotFoundError)
    assert arrived.strerror == "No such file or directory: /no/such/file"


def test_a_fault_of_ours_says_its_class() -> None:
    arrived = sent(KeyError("depth"))
    assert type(arrived) is errors.StoreError
    assert str(arrived) == "the store's owner failed with KeyError: 'depth'"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.text(), st.dictionaries(st.text(), JSON))
def test_a_request_arrives_whole_however_it_is_cut(operation: str, arguments: dict[str, Any]) -> None:
    left, right = socket.socketpair()
    with left, right:
        data = frames.frame(Request(operation, arguments))
        piece = max(7, len(data) // 100)  # a socket holds some 270 unread pieces, however small, and then its sender waits
        for start in range(0, len(data), piece):
            left.sendall(data[start : start + piece])
        assert frames.receive_from_client(right) == (Request(operation, arguments), [])


def test_messages_keep_their_order_and_the_end_is_told() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(frames.frame(Hello(1, "0.1.0", "")) + frames.frame(Progress(1, 2, 3)) + b"\x00\x00")
        left.close()
        assert [frames.receive_from_owner(right) for _ in range(2)] == [Hello(1, "0.1.0", ""), Progress(1, 2, 3)]
        assert frames.is_closed(right) is False  # two bytes are still there
        with pytest.raises(Closed):
            frames.receive_from_owner(right)
        assert frames.is_closed(right) is True
