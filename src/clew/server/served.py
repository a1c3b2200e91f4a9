"""What the routes work with: the store, and a few threads that may ask it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from clew.observe.ingest.collector import Collector
from clew.observe.store.store import Store

READERS = 4
"""Threads that ask the store. Each keeps a handle of the engine until the store is closed, so they are few and live as long as it does:
never ask it from a thread of the web framework, which come and go."""

P = ParamSpec("P")
T = TypeVar("T")


class Served:
    """An open store as the routes see it."""

    def __init__(self, store: Store, collector: Collector | None = None) -> None:
        self.store = store
        self.collector = collector
        """None where nothing is received."""
        self._readers = ThreadPoolExecutor(READERS, "clew-ask")

    async def ask(self, question: Callable[Concatenate[Store, P], T], /, *arguments: P.args, **named: P.kwargs) -> T:
        """The answer of ``question(store, …)``, such as a public function of clew.observe.query, from one of the reading threads.

        :raises ClewError: as the question does; the app turns it into an answer (answers.py)
        """
        return await asyncio.get_running_loop().run_in_executor(self._readers, partial(question, self.store, *arguments, **named))

    def close(self) -> None:
        """Waits for the questions under way. Idempotent."""
        self._readers.shutdown()


def _served(connection: HTTPConnection) -> Served:
    return cast(Served, cast(Any, connection.app).state.served)


Asking = Annotated[Served, Depends(_served)]
"""Parameter type of a route that asks the store: ``async def runs(asking: Asking) -> …: return await asking.ask(runs.runs)``."""
