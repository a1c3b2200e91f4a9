"""What the routes work with: the store, and a few threads that may ask it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar, cast

import msgspec
from fastapi import Depends
from starlette.requests import HTTPConnection
from starlette.responses import Response

from clew.errors import QueryError, StoreError
from clew.model.catalogue.figures import Figures
from clew.observe.ingest.collector import Collector
from clew.observe.store.store import Store
from clew.server.live import Live

READERS = 4
"""Threads that ask the store. Each keeps a handle of the engine until the store is closed, so they are few and live as long as it does:
never ask it from a thread of the web framework, which come and go."""

PATIENT = 2
"""Threads for SQL of users, and for exports and imports."""
LONGEST_S = 20
"""Seconds that one query of a reading thread may take. What people wait for takes milliseconds; this ends what reads everything."""
MEMORY_BYTES = 4 << 30

_LIMITS = {"max_execution_time": LONGEST_S, "max_memory_usage": MEMORY_BYTES}
_TOO_MUCH = ("TIMEOUT_EXCEEDED", "MEMORY_LIMIT_EXCEEDED")

P = ParamSpec("P")
T = TypeVar("T")


class Served:
    """An open store as the routes see it."""

    def __init__(self, store: Store, collector: Collector | None = None) -> None:
        self.store = store
        self.collector = collector
        """None where nothing is received."""
        self.own_figures = Figures()
        """What this server measures itself and is not in the store's totals yet."""
        self.live = Live(self.ask)
        store.on_stored.append(self.live.note)
        self._readers = ThreadPoolExecutor(READERS, "clew-ask", initializer=self._bound)
        self._patient = ThreadPoolExecutor(PATIENT, "clew-sql")

    async def ask(self, question: Callable[Concatenate[Store, P], T], /, *arguments: P.args, **named: P.kwargs) -> T:
        """The answer of ``question(store, …)``, such as a public function of clew.observe.query, from one of the reading threads.

        :raises ClewError: as the question does; the app turns it into an answer (answers.py)
        """
        return await self._within(self._readers, question, *arguments, **named)

    async def reply(self, question: Callable[Concatenate[Store, P], object], /, *arguments: P.args, **named: P.kwargs) -> Response:
        """The answer as JSON, encoded in the reading thread: a large one does not hold up the others."""
        return Response(await self._within(self._readers, _encoded, question, *arguments, **named), media_type="application/json")

    async def reply_at_leisure(
        self, question: Callable[Concatenate[Store, P], object], /, *arguments: P.args, **named: P.kwargs
    ) -> Response:
        """The same for a question of the user's own making, which may take a minute: not from the threads that all else waits for."""
        return Response(await self._within(self._patient, _encoded, question, *arguments, **named), media_type="application/json")

    async def ask_at_leisure(self, question: Callable[Concatenate[Store, P], T], /, *arguments: P.args, **named: P.kwargs) -> T:
        """As ask(), for what may take long: not from the threads that all else waits for."""
        return await self._within(self._patient, question, *arguments, **named)

    async def _within(
        self, threads: ThreadPoolExecutor, question: Callable[Concatenate[Store, P], T], /, *arguments: P.args, **named: P.kwargs
    ) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, partial(question, self.store, *arguments, **named))
        except StoreError as error:
            if any(sign in str(error) for sign in _TOO_MUCH):
                raise QueryError(
                    f"this takes more than {LONGEST_S} s or {MEMORY_BYTES >> 30} GiB; ask for less, such as since:1d or one run"
                ) from None
            raise

    def close(self) -> None:
        """Waits for the questions under way. Idempotent."""
        if self.live.note in self.store.on_stored:
            self.store.on_stored.remove(self.live.note)
        self.live.close()
        self._readers.shutdown()
        self._patient.shutdown()

    def _bound(self) -> None:
        """Sets the limits of a reading thread's handle, once."""
        for name, value in _LIMITS.items():
            self.store.command(f"SET {name} = {value}")


def _encoded(store: Store, question: Callable[..., object], /, *arguments: Any, **named: Any) -> bytes:
    return msgspec.json.encode(question(store, *arguments, **named))


def _served(connection: HTTPConnection) -> Served:
    return cast(Served, cast(Any, connection.app).state.served)


Asking = Annotated[Served, Depends(_served)]
"""Parameter type of a route that asks the store: ``async def runs(asking: Asking) -> …: return await asking.ask(runs.runs)``."""
