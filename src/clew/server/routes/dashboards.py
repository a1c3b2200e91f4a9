"""Dashboards: ours and those of users, and what their panels show."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from clew.errors import ClewError, NotFound, QueryError
from clew.model.dashboards import BY_NAME, DASHBOARDS
from clew.model.dashboards.panel import Dashboard, Panel
from clew.observe.query.dashboards import as_sql, panels
from clew.observe.query.dashboards.answer import Answer, Answers
from clew.observe.query.dashboards.asking import Asked, Need, widest
from clew.observe.query.dashboards.period import period
from clew.server import own_dashboards
from clew.server.parameters import Filter
from clew.server.served import Asking, Served

router = APIRouter(prefix="/api/v1/dashboards")

Name = Annotated[str, Path(max_length=100, description="Dashboard: its name.")]
Time = Annotated[
    str, Query(max_length=100, description="The period: 1h, 7d or 2026-01-31T15:00..2026-01-31T16:00 (UTC); nothing is a day.")
]


@dataclass(frozen=True, slots=True)
class Listed:
    name: str
    title: str
    about: str
    is_own: bool
    """Whether it is a user's: it can be replaced and deleted."""
    panels: int
    trouble: str = ""
    """Why its file cannot be used."""


@dataclass(frozen=True, slots=True)
class Dashboards:
    dashboards: list[Listed]
    """Ours, then those of users by name."""


@dataclass(frozen=True, slots=True)
class Kept:
    """``is_new``: there was none of that name."""

    dashboard: Dashboard
    is_new: bool


@dataclass(frozen=True, slots=True)
class Removed:
    name: str


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


_OF_DASHBOARD = _body({"$ref": "#/components/schemas/Dashboard"})
_OF_PREVIEW = _body(
    {
        "type": "object",
        "properties": {
            "panel": {"$ref": "#/components/schemas/Panel"},
            "filter": {"type": "string", "description": "The filter of the dashboard."},
            "time": {"type": "string", "description": "Its period."},
        },
        "required": ["panel"],
    }
)


@dataclass(frozen=True, slots=True)
class Previewed:
    panel: dict[str, Any]
    filter: str = ""
    time: str = ""


@router.get("", response_model=Dashboards)
async def list_dashboards(asking: Asking) -> Response:
    """All dashboards."""
    return await asking.reply(
        lambda store: Dashboards([*(_listed(one) for one in DASHBOARDS), *map(_listed, own_dashboards.own(store.data_dir))])
    )


def _listed(one: Dashboard | own_dashboards.Unusable) -> Listed:
    if isinstance(one, own_dashboards.Unusable):
        return Listed(one.name, one.name, "", True, 0, one.reason)
    return Listed(one.name, one.title, one.about, one.name not in BY_NAME, len(one.panels))


@router.get("/{name}", response_model=Dashboard)
async def get_dashboard(asking: Asking, name: Name) -> Response:
    """One dashboard as it is declared: its panels and their questions."""
    return await asking.reply(lambda store: own_dashboards.find(store.data_dir, name))


@router.put("/{name}", response_model=Kept, openapi_extra=_OF_DASHBOARD)
async def put_dashboard(asking: Asking, name: Name, request: Request) -> Response:
    """Keeps a dashboard of one's own under that name, in place of the one that had it."""
    made = own_dashboards.read(await _read(request), name)
    return await asking.reply_at_leisure(lambda store: Kept(made, own_dashboards.write(store.data_dir, made)))


@router.delete("/{name}", response_model=Removed)
async def delete_dashboard(asking: Asking, name: Name) -> Response:
    """Deletes a dashboard of one's own."""
    await asking.ask_at_leisure(lambda store: own_dashboards.delete(store.data_dir, name))
    return _encoded(Removed(name))


@router.get("/{name}/answers", response_model=Answers)
async def answer_dashboard(
    asking: Asking,
    name: Name,
    filter: Filter = "",
    time: Time = "",
    panel: Annotated[list[str], Query(max_length=40, description="Only these panels, by id.")] = [],  # noqa: B006 - the framework copies it
    choose: Annotated[list[str], Query(max_length=40, description="PANEL:KEY, for a panel with several keys.")] = [],  # noqa: B006 - as above
) -> Response:
    """What the panels show over one period and one filter (of spans). A panel that cannot be answered says why in `trouble`."""
    dashboard = await asking.ask(lambda store: own_dashboards.find(store.data_dir, name))
    known = {one.id: one for one in dashboard.panels}
    for one in panel:
        if one not in known:
            raise NotFound(f"{name} has no panel {one[:80]!r}; it has {', '.join(known) or 'none'}")
    asked = _asked(filter, time, {one.partition(":")[0]: one.partition(":")[2] for one in choose})
    answers = await _answered(asking, [one for one in dashboard.panels if not panel or one.id in panel], asked)
    end_ns = min(asked.period.last_ns, asked.period.now_ns)
    return _encoded(Answers(name, asked.period.first_ns, end_ns, asked.period.bucket_ns, answers))


@router.post("/preview", response_model=Answer, openapi_extra=_OF_PREVIEW)
async def preview_panel(asking: Asking, request: Request) -> Response:
    """What a panel would show; nothing is kept."""
    try:
        given = msgspec.json.decode(await _read(request), type=Previewed)
    except msgspec.DecodeError as error:
        raise QueryError(f'the body is not {{"panel": {{...}}}}: {error}') from None
    panel = own_dashboards.read_panel(given.panel)
    [answer] = await _answered(asking, [panel], _asked(given.filter, given.time, {}))
    return _encoded(answer)


def _asked(filter: str, time: str, choices: dict[str, str]) -> Asked:
    as_sql.condition(filter)  # says what is no filter, and where
    return Asked(period(time, datetime.now(UTC)), filter.strip(), choices)


async def _answered(asking: Served, chosen: Sequence[Panel], asked: Asked) -> list[Answer]:
    """Each question once, all at a time as far as there are threads."""
    needed = [(need, panels.KINDS[panel.question.of].is_patient) for panel in chosen for need in panels.needs(panel, asked)]
    asked_for = widest(need for need, _ in needed)
    wanted = {asked_for[need]: is_patient for need, is_patient in needed}

    async def answer(need: Need, is_patient: bool) -> Any:
        try:
            ask = asking.ask_at_leisure if is_patient else asking.ask
            return await ask(lambda store: need(store))
        except ClewError as error:
            return error

    answers = dict(zip(wanted, await asyncio.gather(*(answer(*one) for one in wanted.items())), strict=True))
    found = {need: answers[wide] for need, wide in asked_for.items()}
    return [panels.answer(panel, asked, found) for panel in chosen]


def _encoded(answer: object) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json")


async def _read(request: Request) -> bytes:
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > own_dashboards.LARGEST:
            raise QueryError(f"a dashboard has at most {own_dashboards.LARGEST >> 10} KiB")
    return data
