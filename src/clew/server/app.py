"""The ASGI app: the routes, and what they are given."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, FastAPI

from clew.observe.ingest.collector import Collector
from clew.observe.store.store import Store
from clew.server import answers, pages
from clew.server.routes import (
    agents,
    aggregates,
    budgets,
    bundles,
    completion,
    costs,
    dashboards,
    deletion,
    errors,
    facets,
    health,
    jaeger,
    jaeger_v3,
    live,
    logs,
    metrics,
    resources,
    runs,
    sessions,
    spans,
    sql,
    stats,
)
from clew.server.served import Served
from clew.server.timing import Timing

ROUTERS: tuple[APIRouter, ...] = tuple(
    module.router
    for module in (
        health,
        stats,
        resources,
        runs,
        spans,
        sessions,
        logs,
        costs,
        sql,
        budgets,
        aggregates,
        dashboards,
        agents,
        errors,
        facets,
        completion,
        live,
        bundles,
        deletion,
        jaeger,
        jaeger_v3,
        metrics,
    )
)
"""Each file of routes/ declares one ``router``; to add one is to list it here."""


def app(store: Store, collector: Collector | None = None) -> FastAPI:
    """The server of an open store, as an ASGI app. It closes its own threads when it shuts down, and leaves store and collector open."""
    served = Served(store, collector)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        served.close()

    made = FastAPI(
        title="Clew", version=version("clew"), openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None, lifespan=lifespan
    )
    made.state.served = served
    made.add_middleware(Timing, figures=served.own_figures)
    answers.install(made)
    for router in ROUTERS:
        made.include_router(router, responses=answers.PROBLEMS)
    made.include_router(pages.router)
    return made
