"""The app answers for its store, and turns every error of ours into an answer with its name."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from clew import errors

pytestmark = pytest.mark.needs("chdb", "fastapi", "httpx")


def get(app: Any, path: str) -> Any:
    import httpx

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            return await client.get(path)

    return asyncio.run(ask())


def test_a_server_with_a_store_is_alive(store: Any) -> None:
    from clew.server.app import app

    answer = get(app(store), "/healthz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


CASES = [
    (errors.NotFound("no run abc"), 404, {"error": "NotFound", "message": "no run abc"}),
    (
        errors.FilterError("unexpected :", text="a:", position=1),
        400,
        {"error": "FilterError", "message": "unexpected :\n  a:\n   ^", "position": 1},
    ),
    (errors.StoreUnavailable("disk full"), 503, {"error": "StoreUnavailable", "message": "disk full"}),
    (errors.StoreError("odd"), 500, {"error": "StoreError", "message": "odd"}),
]


@pytest.mark.parametrize(("error", "status", "body"), CASES, ids=lambda case: type(case).__name__)
def test_an_error_of_a_question_is_an_answer(store: Any, error: errors.ClewError, status: int, body: dict[str, Any]) -> None:
    from clew.server.app import app
    from clew.server.served import Asking

    made = app(store)

    def question(_: Any) -> None:
        raise error

    async def route(asking: Any) -> None:
        await asking.ask(question)

    route.__annotations__["asking"] = Asking
    made.add_api_route("/fails", route)
    answer = get(made, "/fails")
    assert (answer.status_code, answer.json()) == (status, body)


def test_every_error_of_ours_has_a_status() -> None:
    from clew.server.answers import status_of

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ClewError)]
    assert {status_of(kind.__new__(kind)) for kind in kinds} == {400, 404, 409, 500, 503}
