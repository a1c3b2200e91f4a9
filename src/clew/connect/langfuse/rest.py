"""Langfuse's public REST interface (its API reference, ``/api/public``), with the standard library: no package is needed for it."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from clew.errors import LangfuseError

TIMEOUT_S: Final = 20.0
MOST_TRIES: Final = 6
LONGEST_WAIT_S: Final = 60.0
_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})


class Rest:
    """One project of one Langfuse.

    :param host: its address, such as https://cloud.langfuse.com
    :param sleep: waits, in seconds; what Langfuse asks by ``Retry-After``, else one second, doubled each time
    """

    def __init__(self, host: str, public_key: str, secret_key: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.host = host.rstrip("/")
        url = urlsplit(self.host)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise LangfuseError(f"LANGFUSE_HOST {host!r} is not an http or https address")
        self._url = url
        self._sleep = sleep
        self.headers = {"Authorization": authorization(public_key, secret_key)}

    def get(self, path: str, **parameters: Any) -> Any:
        """``GET /api/public/{path}``; parameters that are None are left out.

        :raises LangfuseError: refused, after :data:`MOST_TRIES` tries where that may pass
        """
        query = urlencode({name: value for name, value in parameters.items() if value is not None})
        return self._ask("GET", f"{path}?{query}" if query else path)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """``POST /api/public/{path}``, repeated where that may pass: every body that Clew sends has an id or is an upsert.

        :raises LangfuseError: as :meth:`get`
        """
        return self._ask("POST", path, {name: value for name, value in body.items() if value is not None})

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        pause = 1.0
        for left in reversed(range(MOST_TRIES)):
            status, said, retry_after = self._once(method, path, body)
            if status is not None and 200 <= status < 300:
                return said
            if not left or (status is not None and status not in _AGAIN):
                raise self._error(path, status, said)
            self._sleep(min(retry_after if retry_after is not None else pause, LONGEST_WAIT_S))
            pause *= 2
        raise AssertionError("the last try returns or raises")

    def _once(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int | None, Any, float | None]:
        headers = {**self.headers, "Accept": "application/json"}
        data = None
        if body is not None:
            data = json.dumps(body, default=str).encode()
            headers["Content-Type"] = "application/json"
        connection = self._connect()
        try:
            connection.request(method, f"{self._url.path}/api/public/{path}", data, headers)
            response = connection.getresponse()
            text = response.read()
            return response.status, _json(text), _seconds(response.getheader("Retry-After"))
        except (OSError, http.client.HTTPException) as error:
            return None, f"{type(error).__name__}: {error}", None
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        host, port = str(self._url.hostname), self._url.port
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)

    def _error(self, path: str, status: int | None, said: Any) -> LangfuseError:
        told = said.get("message", said.get("error", said)) if isinstance(said, Mapping) else said
        place = f"{self._url.scheme}://{self._url.netloc.rpartition('@')[2]}"
        where = f"{place}/api/public/{path.partition('?')[0]}"
        if status is None:
            return LangfuseError(f"Langfuse at {place} cannot be reached ({told}); check LANGFUSE_HOST")
        if status in (401, 403):
            return LangfuseError(
                f"Langfuse at {place} refused the keys; check LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY and LANGFUSE_HOST", status=status
            )
        return LangfuseError(f"{where} answered {status}: {str(told)[:400]}", status=status)


def authorization(public_key: str, secret_key: str) -> str:
    """Langfuse's basic authentication."""
    return "Basic " + base64.b64encode(f"{public_key}:{secret_key}".encode()).decode()


def part(name: str) -> str:
    """A name as a part of a path; folders in names of prompts are kept as one part."""
    return quote(name, safe="")


def _json(text: bytes) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text.decode("utf-8", "replace")


def _seconds(header: str | None) -> float | None:
    try:
        return max(float(header), 0.0)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
