"""The metrics of every process that reports here, for Prometheus."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.responses import Response

from clew.observe.query.metrics import reading
from clew.observe.store.store import Store
from clew.record.metrics.exposition import Collector
from clew.server.served import Asking

router = APIRouter()


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}, "application/openmetrics-text": {}}}})
async def metrics(
    asking: Asking,
    accept: Annotated[str, Header(max_length=1000, description="The format: text/plain, or application/openmetrics-text.")] = "",
) -> Response:
    """Every metric of the catalogue that has figures, in Prometheus's text format, or OpenMetrics with exemplars where that is accepted.

    Counters count from the making of the store; the first scrape counts what is stored already, which may take a while.
    """
    ask = asking.ask_at_leisure if asking.store.totals is None else asking.ask
    return await ask(_written, asking, accept)


def _written(store: Store, asking: Asking, accept: str) -> Response:
    registry = CollectorRegistry()
    registry.register(Collector(lambda: reading(store, asking.own_figures)))
    encode, kind = choose_encoder(accept)
    return Response(encode(registry), media_type=kind)
