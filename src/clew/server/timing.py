"""How long requests to the interface take: one of the catalogue's metrics, measured here."""

from __future__ import annotations

import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clew.model.catalogue import BY_NAME
from clew.model.catalogue.figures import Figures

DURATION: Final = BY_NAME["api_request_duration"]
UNKNOWN: Final = "other"
"""Path of what no route answers to: else whoever asks for nonsense made a series of it."""


class Timing:
    """Times every request until its answer begins: a stream goes on for as long as its reader stays."""

    def __init__(self, app: ASGIApp, figures: Figures) -> None:
        self._app = app
        self._figures = figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                path = getattr(scope.get("route"), "path", UNKNOWN)
                labels = (scope["method"], str(path), str(message["status"]))
                self._figures.add(DURATION, labels, time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, timed)
