"""The node type ``http``: asks a server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, model_validator

from clew.act.workflow import running
from clew.act.workflow.document import DEFAULT
from clew.act.workflow.nodes import node
from clew.act.workflow.nodes.limit import within
from clew.errors import MissingExtra, WorkflowError
from clew.record.instruments.functions import tool

MOST_BYTES: Final = 10 << 20
TIMEOUT_S: Final = 60.0
_SHOWN: Final = 400


class HttpNode(node.NodeType):
    """Sends a request. A status other than 2xx fails the node, with its results published all the same."""

    type = "http"
    kind = "tool"
    outputs: ClassVar[Mapping[str, str]] = {
        "status": "HTTP status",
        "headers": "Headers of the answer, names in lower case",
        "body": "Body as text",
        "json": "Body as a value where it is JSON; otherwise null",
        "url": "Address that answered, after redirects",
    }

    class Params(node.Params):
        url: str = Field(pattern=r"^https?://")
        """Address, with ``http://`` or ``https://``."""
        method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] = "GET"
        """One of ``GET``, ``POST``, ``PUT``, ``PATCH``, ``DELETE``, ``HEAD``, ``OPTIONS``."""
        headers: dict[str, str] = Field(default_factory=dict)
        """Headers; what is recorded of them has secrets masked."""
        query: dict[str, str | int | float | bool | list[str]] = Field(default_factory=dict)
        """Parameters of the query."""
        json_body: Any = Field(default=None, alias="json")
        """Sent as JSON."""
        body: str | None = None
        """Sent as it is, instead of ``json``."""
        ok_statuses: list[Annotated[int, Field(ge=100, le=599)]] = Field(default_factory=list)
        """Statuses beside 2xx that do not fail the node."""
        check: bool = True
        """``false``: no status fails the node."""
        actions: dict[int, str] = Field(default_factory=dict)
        """Status → action of the edge to take; these statuses do not fail the node."""
        follow_redirects: bool = True
        """Go where a redirect leads."""
        timeout_s: Annotated[float, Field(gt=0)] = TIMEOUT_S
        """Longest wait to connect, and for each part of the answer."""
        max_bytes: Annotated[int, Field(ge=0)] = MOST_BYTES
        """A longer answer fails the node."""

        @model_validator(mode="after")
        def _one_body(self) -> HttpNode.Params:
            if self.body is not None and self.json_body is not None:
                raise ValueError("a request has one body: give json or body, not both")
            return self

    def execute(self, params: Params) -> dict[str, Any]:
        try:
            import httpx
        except ImportError as error:
            raise MissingExtra("an http node", "httpx", "workflow") from error
        timeout_s = within(params.timeout_s)
        sent = {"method": params.method, "url": params.url, "headers": params.headers, "query": params.query}
        with tool("http", arguments={**sent, "json": params.json_body, "body": params.body}) as span:
            client = httpx.Client(timeout=timeout_s, follow_redirects=params.follow_redirects)
            try:
                with client, running.on_abandon(client.close):
                    results = self._ask(client, params)
            except httpx.TimeoutException as error:
                raise RequestTimeout(
                    f"{params.method} {params.url} had no answer within {round(timeout_s, 2):g} s; raise timeout_s, or check the server"
                ) from error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise RequestFailed(
                    f"{params.method} {params.url} failed: {error or type(error).__name__}; check the address and that the server runs"
                ) from error
            span.output(results)
            if self._fails(params, results["status"]):
                span.fail(_reason(params, results))
            return results

    def _ask(self, client: Any, params: Params) -> dict[str, Any]:
        body: dict[str, Any] = {"content": params.body} if params.body is not None else {}
        if params.json_body is not None:
            body = {"json": params.json_body}
        with client.stream(params.method, params.url, headers=params.headers, params=params.query or None, **body) as response:
            content = bytearray()
            for piece in response.iter_bytes():
                content += piece
                if len(content) > params.max_bytes:
                    raise RequestFailed(
                        f"{params.method} {params.url} answered more than max_bytes ({params.max_bytes}); raise it, or ask for less"
                    )
            text = content.decode(response.charset_encoding or "utf-8", "replace")
            return {
                "status": response.status_code,
                "headers": {name.lower(): value for name, value in response.headers.items()},
                "body": text,
                "json": _json(text),
                "url": str(response.url),
            }

    def post(self, shared: dict[str, Any], prep_res: Params, exec_res: dict[str, Any]) -> str:
        super().post(shared, prep_res, exec_res)
        status = exec_res["status"]
        if self._fails(prep_res, status):
            raise RequestFailed(_reason(prep_res, exec_res))
        return prep_res.actions.get(status, DEFAULT)

    @staticmethod
    def _fails(params: Params, status: int) -> bool:
        return params.check and not 200 <= status < 300 and status not in params.ok_statuses and status not in params.actions


class RequestFailed(WorkflowError):
    """A request that was not answered, or with a status that fails its node."""


class RequestTimeout(RequestFailed, TimeoutError):
    """A request that was not answered in time."""


def _reason(params: HttpNode.Params, results: dict[str, Any]) -> str:
    said = " ".join(results["body"].split())[:_SHOWN]
    return f"{params.method} {params.url} answered {results['status']}{f': {said}' if said else ''}"


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
