"""Runs asynchronous work to its end from synchronous nodes, wherever they run."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def complete(work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, or what it raises. Context variables are those of the caller, so spans and the ledger of calls are too.

    In a thread whose event loop is running already (a notebook, an asynchronous program), the work gets a thread of its own; that
    program waits meanwhile, as it does for any synchronous function.
    """
    if not _is_running():
        return asyncio.run(work)
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:  # raised again in the thread that waits
            failure.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), name="clew asynchronous node")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def _is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
