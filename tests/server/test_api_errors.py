"""Errors over HTTP: the list, one of them, and what cannot be answered."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "fastapi", "httpx", "lark")


def test_errors_are_listed_and_one_is_shown(store: Any, otlp: Any) -> None:
    from starlette.testclient import TestClient

    from clew.server.app import app

    spans = [otlp.span(number, number, name="fetch", status={"code": 2, "message": f"no {number}"}) for number in range(1, 4)]
    otlp.take(store, otlp.lines(otlp.traces(*spans)))
    with TestClient(app(store), base_url="http://127.0.0.1") as client:

        def ask(path: str, **parameters: Any) -> Any:
            answer = client.get(f"/api/v1/errors{path}", params=parameters)
            return answer.json() if answer.status_code == 200 else (answer.status_code, answer.json()["error"])

        found = ask("")
        assert (found["count"], found["groups"], found["runs"], found["more"]) == (3, 1, 3, False)
        [error] = found["errors"]
        assert (error["message"], error["kind"], error["place"], error["services"]) == ("no #", "other", "fetch", ["program"])
        assert error["sample"] == {
            "run_id": otlp.trace_id(3),
            "span_id": otlp.span_id(3),
            "name": "fetch",
            "message": "no 3",
            "start_ns": otlp.START + 3 * otlp.SECOND,
        }
        one = ask(f"/{error['fingerprint'][:6]}", limit=2)
        assert one["error"]["fingerprint"] == error["fingerprint"]
        assert ([failure["message"] for failure in one["failures"]], one["more"]) == (["no 3", "no 2"], True)
        assert [failure["message"] for failure in ask(f"/{error['fingerprint']}", limit=2, after=one["next"])["failures"]] == ["no 1"]
        assert ask("", filter=f"fingerprint:{error['fingerprint']}")["count"] == 3
        assert ask("", filter="status:ok")["errors"] == []
        assert ask("/0000") == (404, "NotFound")
        assert ask("", filter="agnet:x") == (400, "FilterError")
        assert ask("", filter="since:whenever") == (400, "FilterError")
        assert ask("", order="size") == (400, "QueryError")
        assert ask(f"/{error['fingerprint']}", after="x") == (400, "QueryError")
