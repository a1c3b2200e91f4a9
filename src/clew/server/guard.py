"""The gate before every route: who may enter, by address and key. Plain ASGI, so that it stands before OTLP too."""

from __future__ import annotations

import ipaddress
import json
from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from clew.server import otlp_answers
from clew.server.keys import Access, Denied, Role
from clew.server.otlp_answers import CODES, CONTENT_TYPES
from clew.server.pages import is_page


class Rule(NamedTuple):
    """Requests whose path begins so, with one of these methods (none: any), need this role (None: anybody may)."""

    prefix: str
    methods: tuple[str, ...]
    role: Role | None


RULES: tuple[Rule, ...] = (
    Rule("/healthz", ("GET", "HEAD"), None),
    Rule("/v1/", (), "ingest"),
    Rule("/api/v1/sql", ("POST",), "view"),
    Rule("/api/v1/dashboards/preview", ("POST",), "view"),
    Rule("/api/v1/bundles", ("POST",), "ingest"),
    Rule("/", ("GET", "HEAD"), "view"),
    Rule("/", (), "admin"),
)
"""The first that fits counts. What only asks, and is POST all the same, has a row of its own."""

LOCAL_NAMES = {"localhost"}


def role_for(method: str, path: str) -> Role | None:
    if method in ("GET", "HEAD") and is_page(path):  # the UI itself; all that it shows comes from the API, with a key
        return None
    return next(rule.role for rule in RULES if path.startswith(rule.prefix) and (not rule.methods or method in rule.methods))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address. A name other than ``localhost`` may mean anything, and is not taken for it."""
    if host in LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """Lets in who may enter.

    A server that listens on loopback only answers requests for loopback names only: a page from elsewhere that has its own name point here
    (DNS rebinding) is turned away. No answer has CORS headers, so no page of another origin can read one.
    """

    def __init__(self, app: ASGIApp, access: Access, *, exposed: bool) -> None:
        self._app = app
        self._access = access
        self._exposed = exposed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        try:
            if not self._exposed:
                self._check_host(headers.get(b"host", b"").decode("latin-1"))
            role = role_for(scope["method"], scope["path"])
            if role is None:
                scope["clew.open"] = self._access.is_open
            else:
                key = self._access.admit(headers.get(b"authorization", b"").decode("latin-1"), role)
                if key is not None:
                    scope["clew.sender"] = f"key:{key.name}"
        except Denied as error:
            await _deny(scope, headers, error, send)
            return
        await self._app(scope, receive, send)

    def _check_host(self, host: str) -> None:
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if host and not is_loopback(name):
            raise Denied(
                403, "wrong host", f"this server is for this machine only, and answers to localhost and 127.0.0.1, not {name[:80]!r}"
            )


async def _deny(scope: Scope, headers: dict[bytes, bytes], error: Denied, send: Send) -> None:
    """In the content type of the request for OTLP, else as answers.py has it."""
    message = str(error)
    if scope["path"].startswith("/v1/"):
        protobuf = b"protobuf" in headers.get(b"content-type", b"")
        kind = CONTENT_TYPES["protobuf" if protobuf else "json"]
        body = otlp_answers.status(CODES[error.status], message, "protobuf" if protobuf else "json")
    else:
        kind, body = "application/json", json.dumps({"error": "Denied", "message": message}).encode()
    answer_headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    if error.status == 401:
        answer_headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": error.status, "headers": answer_headers})
    await send({"type": "http.response.body", "body": body})
