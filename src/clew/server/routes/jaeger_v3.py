"""Jaeger's query API, version 3: what newer Jaeger UIs and Grafana ask. Names of parameters are those of its definition; the UI writes them as
proto3's JSON does (``query.serviceName`` for ``query.service_name``)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from fastapi import APIRouter, Depends, Path, Query
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from clew.connect import jaeger_v3
from clew.observe.query import bundle, classic, operations
from clew.observe.store.store import Store
from clew.server.answers import Problem
from clew.server.routes.jaeger import MOST_TRACES, Wrong, duration_of, number_of, tags_of, whole_id, window
from clew.server.served import Asking

_REFUSED: dict[int | str, dict[str, Any]] = {"4XX": {"model": Problem | dict[str, Any], "description": "Refused, as Jaeger says it"}}

_CAPITAL = re.compile("[A-Z]")


class _EitherSpelling(APIRoute):
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        as_defined = [(_CAPITAL.sub(lambda found: f"_{found[0].lower()}", name), value) for name, value in given]
        await super().handle({**scope, "query_string": urlencode(as_defined).encode()}, receive, send)


router = APIRouter(prefix="/api/v3", responses=_REFUSED, route_class=_EitherSpelling)

MOST_REQUESTS = classic.MOST_SPANS // bundle.CHUNK
"""Requests of one answer; of longer traces the earliest spans."""

Json = dict[str, Any]


def _query(name: str) -> Any:
    return Query(alias=f"query.{name}", max_length=10_000, description="As in Jaeger's API.")


Text = Annotated[str, Query(max_length=10_000, description="As in Jaeger's API.")]
TraceId = Annotated[str, Path(max_length=64, description="A trace's id; leading zeros may be left out.")]


def _asked(
    service: Annotated[str, _query("service_name")] = "",
    operation: Annotated[str, _query("operation_name")] = "",
    span_name: Annotated[str, _query("span_name")] = "",
    since: Annotated[str, _query("start_time_min")] = "",
    until: Annotated[str, _query("start_time_max")] = "",
    shortest: Annotated[str, _query("duration_min")] = "",
    longest: Annotated[str, _query("duration_max")] = "",
    attributes: Annotated[str, _query("attributes")] = "",
    traces: Annotated[str, _query("num_traces")] = "",
    depth: Annotated[str, _query("search_depth")] = "",
) -> Callable[[], classic.Wanted]:
    """Which traces are asked for; raises Wrong when it is called, so that the answer is Jaeger's."""

    def wanted() -> classic.Wanted:
        limit = traces or depth
        return classic.Wanted(
            service,
            window(_micros("query.start_time_min", since), _micros("query.start_time_max", until)),
            span_name or operation,
            tags_of([], attributes),
            duration_of("query.duration_min", shortest),
            duration_of("query.duration_max", longest),
            min(number_of("query.num_traces", limit) if limit else 20, MOST_TRACES),
        )

    return wanted


Asked = Annotated[Callable[[], classic.Wanted], Depends(_asked)]


def _reply(body: Json, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def _refuse(status: int, message: str) -> Response:
    return _reply(jaeger_v3.error(status, message), status)


@router.get("/services", response_model=Json)
async def services(asking: Asking) -> Response:
    """Names of the programs."""
    return _reply({"services": await asking.ask(operations.services)})


@router.get("/operations", response_model=Json)
async def operation_names(asking: Asking, service: Text = "", span_kind: Text = "") -> Response:
    """Names and kinds of the spans of a program."""
    if not service:
        return _refuse(400, "parameter 'service' is required")
    found = jaeger_v3.operations(await asking.ask(operations.operations, service))
    return _reply({"operations": [one for one in found["operations"] if span_kind in ("", one["spanKind"])]})


@router.get("/trace-summaries", response_model=Json)
async def trace_summaries(asking: Asking, asked: Asked) -> Response:
    """The newest traces with a span that fulfils everything, in short. Times are RFC 3339, durations as in `1.2s`."""
    return await _answer(asking, asked, _summaries)


@router.get("/traces", response_model=Json)
async def find_traces(asking: Asking, asked: Asked) -> Response:
    """The same traces, whole, as OTLP/JSON."""
    return await _answer(asking, asked, _search)


@router.get("/traces/{trace_id}", response_model=Json)
async def one_trace(asking: Asking, trace_id: TraceId, start_time: Text = "", end_time: Text = "") -> Response:
    """One trace as OTLP/JSON. It is found by its id; the times are taken and not needed."""
    found = await asking.ask(_traces, [whole_id(trace_id)])
    return _reply(found) if found["result"]["resourceSpans"] else _refuse(404, "trace not found")


async def _answer(asking: Asking, asked: Callable[[], classic.Wanted], of: Callable[[Store, classic.Wanted], Json]) -> Response:
    try:
        wanted = asked()
    except Wrong as error:
        return _refuse(400, str(error))
    return _reply(await asking.ask(of, wanted))


def _summaries(store: Store, wanted: classic.Wanted) -> Json:
    return jaeger_v3.summaries(classic.summaries(store, classic.find(store, wanted)))


def _search(store: Store, wanted: classic.Wanted) -> Json:
    return _traces(store, classic.find(store, wanted))


def _traces(store: Store, trace_ids: list[str]) -> Json:
    requests = chain.from_iterable(bundle.span_requests(store, trace_id) for trace_id in trace_ids)
    return jaeger_v3.traces(islice(requests, MOST_REQUESTS))


def _micros(name: str, text: str) -> str:
    """A time as microseconds since 1970, which the first version of the API has; '' for none."""
    if not text:
        return ""
    try:  # a + that came unescaped is a space
        found = datetime.fromisoformat(text.strip().replace(" ", "+"))
    except ValueError:
        raise Wrong(f"parameter '{name}' is no time: {text[:80]!r}; write one as in 2026-01-31T12:00:00Z") from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return str(max((found - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1), 0))
