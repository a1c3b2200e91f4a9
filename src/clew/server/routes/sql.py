"""Read-only SQL over the public views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from clew.errors import QueryError
from clew.observe.query import sql
from clew.server.served import Asking

router = APIRouter(prefix="/api/v1/sql")

BODY_BYTES = 256 << 10
"""Most of a query's body; the engine itself takes no longer text."""

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": "One SELECT over the views of docs/sql.md"}},
    "required": ["query"],
}
_BODY: dict[str, Any] = {"requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}}


@dataclass(frozen=True, slots=True)
class Asked:
    query: str


@router.post("", response_model=sql.Table, openapi_extra=_BODY)
async def ask_sql(
    asking: Asking,
    request: Request,
    max_rows: Annotated[int, Query(ge=1, le=100_000, description="Most rows; `truncated` says that there were more.")] = 10_000,
    timeout_s: Annotated[float, Query(gt=0, le=60, description="Longest time it may take, seconds.")] = 30.0,
) -> Response:
    """The rows of one SELECT (docs/sql.md). Nothing that writes, reads a file, opens a connection or changes a setting is possible."""
    try:
        asked = msgspec.json.decode(await _body(request), type=Asked)
    except msgspec.DecodeError as error:
        raise QueryError(f'the body is not {{"query": TEXT}}: {error}') from None
    return await asking.reply_at_leisure(sql.sql, asked.query, max_rows=max_rows, timeout_s=timeout_s)


async def _body(request: Request) -> bytes:
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > BODY_BYTES:
            raise QueryError(f"a query has at most {BODY_BYTES >> 10} KiB")
    return data
