"""The API is what its documents say: docs/api.md, docs/filter.md and the OpenAPI document, which schemathesis tries out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "fastapi", "httpx", "lark")

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def app(store: Any) -> Any:
    from clew.server.app import app

    return app(store)


def test_every_route_is_documented_and_every_documented_route_is_there(app: Any) -> None:
    routes = {f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods}
    documented = re.findall(r"^### `([A-Z]+ /[^`]*)`$", (DOCS / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(documented) == sorted(routes)


def test_every_parameter_of_a_route_is_described(app: Any) -> None:
    bare = [
        f"{path} {parameter['name']}"
        for path, methods in app.openapi()["paths"].items()
        for operation in methods.values()
        for parameter in operation.get("parameters", ())
        if not parameter.get("description") and not path.startswith("/api/v1/stats")
    ]
    assert bare == []


def test_every_filter_field_of_a_list_is_documented() -> None:
    from clew.observe.query.logs import LOG_FIELDS
    from clew.observe.query.runs import RUN_FIELDS
    from clew.observe.query.sessions import SESSION_FIELDS

    kinds = {"duration_ns": "duration", "usd": "USD"}
    text = (DOCS / "filter.md").read_text(encoding="utf-8")
    for heading, fields in (("runs", RUN_FIELDS), ("sessions", SESSION_FIELDS), ("log records", LOG_FIELDS)):
        section = text.partition(f"## Fields of {heading}\n")[2].partition("\n## ")[0]
        rows = [
            f"| `{field.name}` | {', '.join(f'`{value}`' for value in field.values) if field.values else kinds.get(field.type, field.type)} | {field.help} |"
            for field in fields.values()
        ]
        assert [line for line in section.splitlines() if line.startswith("| `")] == rows


@pytest.fixture
def tried(store: Any, otlp: Any, app: Any) -> Iterator[Any]:
    """The app with a few records, and the OpenAPI document it describes itself with."""
    from starlette.testclient import TestClient

    usage = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 5, "session.id": "s"}
    spans = [otlp.span(number, number // 4 + 1, attributes=usage | {"prompt": "x" * 300}) for number in range(1, 9)]
    otlp.take(store, otlp.lines(otlp.traces(*spans), otlp.logs(otlp.log("said", traceId=otlp.trace_id(1)))))
    with TestClient(app):
        yield app


EXAMPLES = 12
"""Requests for each route and phase; each asks the engine."""


@pytest.mark.needs("schemathesis")
@pytest.mark.filterwarnings("ignore")  # of schemathesis's own parts
def test_no_request_makes_the_server_fail_or_leave_its_own_description(tried: Any) -> None:
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from schemathesis.checks import CheckFunction
    from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

    checks: list[CheckFunction] = [
        schemathesis.checks.not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    ]
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", tried)
    found = []
    for result in schema.get_all_operations():
        operation = result.ok()  # type: ignore[union-attr]  # a route that it cannot read fails here
        found.append(operation.label)
        if operation.label == "GET /api/v1/live":
            continue  # its answer does not end; test_live.py has it

        @seed(7)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            case.call_and_validate(checks=checks)

        ask()
    assert "GET /api/v1/runs/{run_id}" in found
