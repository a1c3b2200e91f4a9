"""Read-only SQL over the public views (docs/sql.md)."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import math
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from clew.errors import QueryError, StoreError
from clew.observe.store.store import Store

MEMORY_BYTES = 4 << 30
"""Most memory of one query; the engine ends a query that needs more, with a message that says so."""

LONGEST_MESSAGE = 450
"""Characters of the engine's message that are shown: a few of its messages list hundreds of names."""

_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`|(\$\w*\$).*?\1|--[^\n]*|\#[^\n]*|/\*.*?\*/""", re.DOTALL)
"""What a query quotes or comments out: what ``readonly`` lets through is looked for in the rest."""
_START = re.compile(r"[\s(]*(\w+)")
READING = ("SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS")
"""How a query may begin. ``readonly`` refuses what changes data or settings, but not SYSTEM STOP MERGES or USE."""
ONLY_READING = "only reading is allowed here: SELECT, SHOW, DESCRIBE and EXPLAIN, no settings, no files and no addresses"
_OUTFILE = re.compile(r"\boutfile\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Table:
    """The result of a query."""

    columns: list[str]
    types: list[str]
    rows: list[list[Any]]
    """JSON-ready values: ints, floats, text, None, lists and maps; times as ISO text in UTC."""
    truncated: bool


def refused(query: str) -> Iterator[str]:
    """Why a query is not let to the engine."""
    bare = _QUOTED.sub(" ", query)
    if (start := _START.match(bare)) and start[1].upper() not in READING:
        yield f"{start[1].upper()} is refused: {ONLY_READING}"
    if ";" in bare.rstrip("; \t\r\n"):
        yield "a second statement after ; is refused: send one at a time"
    if _OUTFILE.search(bare):
        yield "INTO OUTFILE writes a file, which is refused here; redirect the output instead: clew sql --json QUERY > FILE"


def sql(
    store: Store, query: str, *, max_rows: int = 100_000, timeout_s: float = 60.0, parameters: Mapping[str, Any] | None = None
) -> Table:
    """The result of one SELECT; the engine itself refuses anything that writes, and any access to files or the network.

    :param parameters: values of places such as ``{name:Int64}`` in the query
    :raises QueryError: the engine's message, shortened to what the user can act on
    """
    limits = {
        "max_execution_time": timeout_s,
        "max_result_rows": max_rows + 1,
        "result_overflow_mode": "break",
        "max_memory_usage": MEMORY_BYTES,
    }
    for reason in refused(query):
        raise QueryError(reason)
    try:
        with store.read_only(limits) as client:
            result = client.query(query, parameters=dict(parameters or {}))
    except StoreError as error:
        raise QueryError(_readable(str(error))) from None
    rows = [[_plain(value) for value in row] for row in result.result_rows[:max_rows]]
    return Table(list(result.column_names), [kind.name for kind in result.column_types], rows, len(result.result_rows) > max_rows)


def _readable(message: str) -> str:
    """The engine's message without its wrapping."""
    text = message.partition("DB::Exception: ")[2] or message
    if "(READONLY)" in text:
        return ONLY_READING
    text = text.partition(" In scope ")[0].strip()
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]} …"


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):  # beyond 64 bits JSON readers lose digits
        return value if -(1 << 63) <= value < 1 << 64 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dt.datetime):
        return (value if value.tzinfo is None else value.astimezone(dt.UTC).replace(tzinfo=None)).isoformat() + "Z"
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, uuid.UUID | ipaddress.IPv4Address | ipaddress.IPv6Address | dt.timedelta):
        return str(value)
    return str(value)
