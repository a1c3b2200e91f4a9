"""Is the server up, and does its store answer."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

from fastapi import APIRouter
from starlette.responses import Response

from clew.observe.query import health
from clew.observe.store.store import Store
from clew.server.served import Asking

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Alive:
    status: str
    version: str


def _answers(store: Store) -> None:
    store.value("SELECT 1")


@router.get("/healthz")
async def healthz(asking: Asking) -> Alive:
    """200 when the store answers; 503 when it does not."""
    await asking.ask(_answers)
    return Alive("ok", version("clew"))


@router.get("/api/v1/health", response_model=health.Health)
async def state(asking: Asking) -> Response:
    """What the store holds, what came in, and what was lost on the way."""
    return await asking.reply(health.health)
