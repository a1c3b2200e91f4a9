"""Jaeger's query API: Grafana's Jaeger data source and the Jaeger UI work against it."""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from clew.connect import jaeger
from clew.observe.query import classic, operations
from clew.observe.query.filter_values import duration_ns
from clew.observe.query.window import FOREVER, Window
from clew.observe.store.store import Store
from clew.server.answers import Problem
from clew.server.served import Asking

_REFUSED: dict[int | str, dict[str, Any]] = {"4XX": {"model": Problem | dict[str, Any], "description": "Refused, as Jaeger says it"}}

router = APIRouter(prefix="/api", responses=_REFUSED)

LOOKBACK_NS = 2 * 24 * 3600 * 1_000_000_000
"""How far a search without a start looks back, as in Jaeger."""
MOST_TRACES = 1500
"""As in Jaeger's own UI."""

LISTED_CHARACTERS = 500
"""Characters of a prompt or an answer that a list of traces shows; one trace has them all."""

Json = dict[str, Any]
Text = Annotated[str, Query(max_length=10_000, description="As in Jaeger's API.")]
Texts = Annotated[list[str] | None, Query(max_length=MOST_TRACES, description="As in Jaeger's API; may be given several times.")]


Service = Annotated[str, Path(max_length=1000, description="Name of a program.")]
TraceId = Annotated[str, Path(max_length=64, description="A trace's id; leading zeros may be left out.")]


class Wrong(Exception):
    """A parameter that cannot be used."""


def _reply(body: Json, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def _refuse(status: int, message: str, trace_id: str | None = None) -> Response:
    return _reply(jaeger.error(status, message, trace_id), status)


@router.get("/services", response_model=Json)
async def services(asking: Asking) -> Response:
    """Names of the programs."""
    return _reply(jaeger.answer(await asking.ask(operations.services)))


@router.get("/services/{service:path}/operations", response_model=Json)
async def operation_names(asking: Asking, service: Service) -> Response:
    """Names of the spans of a program."""
    found = await asking.ask(operations.operations, service)
    return _reply(jaeger.answer(sorted({name for name, _ in found})))


@router.get("/operations", response_model=Json)
async def operations_of(asking: Asking, service: Text = "", spanKind: Text = "") -> Response:
    """The same with their kinds."""
    if not service:
        return _refuse(400, "parameter 'service' is required")
    found = [jaeger.operation(name, kind) for name, kind in await asking.ask(operations.operations, service)]
    return _reply(jaeger.answer([one for one in found if spanKind in ("", one["spanKind"])]))


@router.get("/traces", response_model=Json)
async def find_traces(
    asking: Asking,
    service: Text = "",
    operation: Text = "",
    start: Text = "",
    end: Text = "",
    minDuration: Text = "",
    maxDuration: Text = "",
    limit: Text = "",
    tag: Texts = None,
    tags: Text = "",
    traceID: Texts = None,
) -> Response:
    """The newest traces with a span that fulfils everything, or those with the given ids. Times are microseconds, durations as in `1.2s`."""
    if traceID:
        return _reply(await asking.ask(_traces, [whole_id(trace_id) for trace_id in traceID]))
    try:
        wanted = classic.Wanted(
            service or required("service"),
            window(start, end),
            operation,
            tags_of(tag or [], tags),
            duration_of("minDuration", minDuration),
            duration_of("maxDuration", maxDuration),
            min(number_of("limit", limit) if limit else 20, MOST_TRACES),
        )
    except Wrong as error:
        return _refuse(400, str(error))
    return _reply(await asking.ask(_search, wanted))


@router.get("/traces/{trace_id}", response_model=Json)
async def one_trace(asking: Asking, trace_id: TraceId) -> Response:
    """One trace. Leading zeros of its id may be left out."""
    found = await asking.ask(_traces, [whole_id(trace_id)])
    return _reply(found) if found["data"] else _refuse(404, "trace not found", trace_id)


@router.get("/dependencies", response_model=Json)
async def dependencies(asking: Asking, endTs: Text = "", lookback: Text = "") -> Response:
    """Which program called which, in the `lookback` milliseconds before `endTs`."""
    try:
        end = number_of("endTs", endTs) * 1_000_000 if endTs else time.time_ns()
        length = number_of("lookback", lookback) * 1_000_000 if lookback else LOOKBACK_NS
    except Wrong as error:
        return _refuse(400, str(error))
    found = await asking.ask(operations.dependencies, Window(max(end - length, 0), min(end, FOREVER)))
    return _reply(jaeger.answer([jaeger.dependency(one) for one in found]))


def _search(store: Store, wanted: classic.Wanted) -> Json:
    return _traces(store, classic.find(store, wanted), content_characters=LISTED_CHARACTERS)


def _traces(store: Store, trace_ids: list[str], *, content_characters: int | None = None) -> Json:
    found = classic.spans_of(store, trace_ids, content_characters=content_characters)
    return jaeger.answer([jaeger.trace(trace_id, spans) for trace_id, spans in found.items()])


def whole_id(trace_id: str) -> str:
    return trace_id.strip().lower().zfill(32)[:64]


def required(name: str) -> str:
    raise Wrong(f"parameter '{name}' is required")


def number_of(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise Wrong(f"parameter '{name}' is no number: {text[:80]!r}")
    return int(text)


def window(start: str, end: str) -> Window:
    last = number_of("end", end) * 1000 + 999 if end else time.time_ns()
    first = number_of("start", start) * 1000 if start else max(last - LOOKBACK_NS, 0)
    return Window(min(first, FOREVER), min(last, FOREVER))


def duration_of(name: str, text: str) -> int | None:
    if not text:
        return None
    found = duration_ns(text)
    if found is None:
        raise Wrong(f"parameter '{name}' is no duration: {text[:80]!r}; write one as in 1.2s or 100ms")
    return found


def tags_of(pairs: list[str], text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        key, colon, value = pair.partition(":")
        if not colon:
            raise Wrong(f"malformed 'tag' parameter, expecting key:value, received: {pair[:80]!r}")
        found[key] = value
    if text:
        try:
            given = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise Wrong(f"malformed 'tags' parameter, expecting a JSON object: {error}") from None
        found |= jaeger.tags_of(given)
    if len(found) > 50:
        raise Wrong("at most 50 tags can be asked for at once")
    return found
