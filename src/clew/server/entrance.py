"""The way in: the gate, then OTLP or the routes of the app."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from clew.server.guard import Guard
from clew.server.keys import Access
from clew.server.otlp_http import OtlpHttp
from clew.server.receiving import Receiving


def entrance(app: ASGIApp, receiving: Receiving, access: Access, *, exposed: bool) -> ASGIApp:
    """The whole server as one ASGI app: OTLP/HTTP under ``/v1/``, everything else in ``app``, nothing past the gate."""
    otlp = OtlpHttp(receiving)

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        to_otlp = scope["type"] == "http" and scope["path"].startswith("/v1/")
        await (otlp if to_otlp else app)(scope, receive, send)

    return Guard(choose, access, exposed=exposed)
