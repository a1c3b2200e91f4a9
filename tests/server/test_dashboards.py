"""Dashboards over HTTP: what panels show is what was recorded, as SQL says the same, and users keep their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

pytestmark = pytest.mark.needs("chdb", "fastapi", "httpx", "lark", "pydantic")

PERIOD = "2025-10-09T08:00..2025-10-09T11:59"
"""Four hours in buckets of five minutes; the spans of a test start at 08:53:20."""

Ask = Callable[..., Any]


@pytest.fixture
def ask(store: Any) -> Iterator[Ask]:
    from starlette.testclient import TestClient

    from clew.server.app import app

    with TestClient(app(store), base_url="http://127.0.0.1") as client:

        def asked(method: str, path: str, status: int = 200, /, body: Any = None, **parameters: Any) -> Any:
            given = {"content": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
            answer = client.request(method, f"/api/v1/{path}", params=parameters, **given)
            assert answer.status_code == status, answer.text
            return answer.json()

        yield asked


def agent_run(otlp: Any, trace: int, minute: float, *, agent: str, model: str, cost: float | None, failed: bool = False) -> list[Any]:
    """An agent that calls a model for two seconds and a tool for one."""
    start = otlp.START + int(minute * 60) * otlp.SECOND

    def times(at: int, seconds: int) -> dict[str, Any]:
        return {"startTimeUnixNano": str(start + at * otlp.SECOND), "endTimeUnixNano": str(start + (at + seconds) * otlp.SECOND)}

    call: dict[str, Any] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": model, "gen_ai.provider.name": "nobody"}
    call |= {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10} | ({} if cost is None else {"clew.cost.usd": cost})
    wrong = {"status": {"code": 2, "message": "no such file"}} if failed else {}
    return [
        otlp.span(1, trace, attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": agent}, name=agent, **times(0, 4)),
        otlp.span(2, trace, 1, attributes=call, name="chat", **times(0, 2)),
        otlp.span(
            3,
            trace,
            1,
            attributes={"gen_ai.tool.name": "search", "error.type": "OSError"} if failed else {"gen_ai.tool.name": "search"},
            name="search",
            **times(2, 1),
            **wrong,
        ),
    ]


def some(otlp: Any) -> bytes:
    spans = [
        *agent_run(otlp, 1, 0, agent="coder", model="a", cost=0.5),
        *agent_run(otlp, 2, 1, agent="coder", model="b", cost=None),
        *agent_run(otlp, 3, 70, agent="planner", model="a", cost=0.25, failed=True),
    ]
    made: bytes = otlp.lines(otlp.traces(*spans))
    return made


def panel(answers: Any, name: str) -> Any:
    [found] = [one for one in answers["answers"] if one["panel"] == name]
    assert found["trouble"] == ""
    return found


def shown(answer: Any) -> dict[str, list[Any]]:
    return {row["cells"][0]: row["cells"][1:] for row in answer["rows"]}


def values(answer: Any) -> dict[str, Any]:
    return {one["title"]: one["value"] for one in answer["values"]}


def test_panels_show_what_was_recorded_and_what_lies_behind(ask: Ask, store: Any, otlp: Any) -> None:
    otlp.take(store, some(otlp))
    answers = ask("GET", "dashboards/agent-overview/answers", time=PERIOD)
    assert (answers["bucket_ns"], answers["from_ns"]) == (300 * otlp.SECOND, 1_759_996_800 * otlp.SECOND)
    s = otlp.SECOND
    by_agent = panel(answers, "by-agent")
    assert [column["title"] for column in by_agent["columns"]][1:] == ["Spans", "Failed", "p50", "p95", "Model calls", "Tokens", "Cost"]
    assert shown(by_agent) == {"coder": [6, 0, 2 * s, 4 * s, 2, 220, 0.5], "planner": [3, 1, 2 * s, 4 * s, 1, 110, 0.25]}
    assert [row["partial"] for row in by_agent["rows"]] == [[7], []]  # the price of model b is not known
    assert by_agent["rows"][0]["filter"] == "agent:* agent:coder"
    assert ask("GET", "spans/count", filter=f"{by_agent['rows'][0]['filter']} start:{PERIOD}")["count"] == 6
    work = {one["label"]: one for one in panel(answers, "work")["series"]}
    assert {label: {place: value for place, value in enumerate(one["values"]) if value} for label, one in work.items()} == {
        "coder": {10: 6.0},
        "planner": {24: 3.0},
    }
    assert values(panel(answers, "agents")) == {"Spans": 3, "Failed share": 0}
    usage = panel(answers, "usage")["values"]
    assert [(one["value"], one["is_partial"]) for one in usage] == [(330, False), (0.75, True)]
    assert shown(panel(answers, "tools")) == {"search": [3, pytest.approx(1 / 3), s]}
    only = ask("GET", "dashboards/agent-overview/answers", time=PERIOD, filter="agent:planner", panel="by-agent")
    assert shown(panel(only, "by-agent")) == {"planner": [3, 1, 2 * s, 4 * s, 1, 110, 0.25]}
    assert len(only["answers"]) == 1


def test_every_panel_says_the_same_as_sql(ask: Ask, store: Any, otlp: Any) -> None:
    otlp.take(store, some(otlp))
    compared = 0
    for dashboard in ask("GET", "dashboards")["dashboards"]:
        name = dashboard["name"]
        for given in ("agent:coder -error:x model:* file",) if name == "agent-overview" else ("",):
            for answer in ask("GET", f"dashboards/{name}/answers", time=PERIOD, filter=given)["answers"]:
                assert answer["trouble"] == "", (name, answer["panel"])
                if answer["sql"]:
                    ask("POST", "sql", body={"query": answer["sql"]})
                    compared += 1
    assert compared > 40
    answers = ask("GET", "dashboards/agent-overview/answers", time=PERIOD)
    table = ask("POST", "sql", body={"query": panel(answers, "by-agent")["sql"]})
    assert {key: figures[:6] for key, *figures in table["rows"]} == {key: row[:6] for key, row in shown(panel(answers, "by-agent")).items()}
    assert {key: figures[6] for key, *figures in table["rows"]} == {"coder": 0.5, "planner": 0.25}
    lines = ask("POST", "sql", body={"query": panel(answers, "work")["sql"]})
    assert sorted((key, spans) for key, _, spans in lines["rows"]) == [("coder", 6), ("planner", 3)]
    cost = ask("GET", "dashboards/cost-tracking/answers", time=PERIOD, panel="cost-by", choose="cost-by:agent")
    rows = ask("POST", "sql", body={"query": panel(cost, "cost-by")["sql"]})["rows"]
    assert {row[0]: row[2] for row in rows} == {"coder": 0.5, "planner": 0.25}
    path, _, query = panel(answers, "by-agent")["api"].removeprefix("/api/v1/").partition("?")
    again = ask("GET", path, **dict(parse_qsl(query)))
    assert {row["key"]: row["spans"] for row in again["rows"]} == {"coder": 6, "planner": 3}


def test_cost_is_told_by_each_key_with_what_is_not_known(ask: Ask, store: Any, otlp: Any) -> None:
    otlp.take(store, some(otlp))
    answers = ask("GET", "dashboards/cost-tracking/answers", time=PERIOD)
    cost = panel(answers, "cost-by")
    assert (cost["chosen"], cost["choices"][:6]) == ("model", ["model", "agent", "persona", "workflow", "session", "commit"])
    assert shown(cost) == {
        "a": [0.75, 2, 200, None, 20, 0.75, 0, 0],
        "b": [0.0, 1, 100, None, 10, 0.0, 1, 0],
        "in all": [0.75, 3, 300, None, 30, 0.75, 1, 0],
    }
    assert [(row["partial"], row["hint"]) for row in cost["rows"]][1:] == [([1], "No price is known for b.")] * 2
    spend = {one["title"]: one for one in panel(answers, "spend")["values"]}
    assert (spend["In the period"]["value"], spend["In the period"]["is_partial"]) == (0.75, True)
    assert spend["Burn rate"]["value"] == pytest.approx(0.75 / 4)
    assert spend["Unpriced calls"]["value"] == 1
    assert spend["By the month's end"]["value"] is None  # the period is over: nothing follows from its rate
    for key in cost["choices"]:
        chosen = ask("GET", "dashboards/cost-tracking/answers", time=PERIOD, panel="cost-by", choose=f"cost-by:{key}")
        assert panel(chosen, "cost-by")["chosen"] == key
        assert panel(chosen, "cost-by")["rows"][-1]["cells"][1] == 0.75


def test_what_became_slower_is_told_beside_the_period_before(ask: Ask, store: Any, otlp: Any) -> None:
    def called(number: int, minute: int, seconds: int) -> Any:
        start = otlp.START + minute * 60 * otlp.SECOND
        times = {"startTimeUnixNano": str(start), "endTimeUnixNano": str(start + seconds * otlp.SECOND)}
        return otlp.span(number, number, name="step", attributes={"gen_ai.agent.name": "coder"}, **times)

    otlp.take(store, otlp.lines(otlp.traces(*(called(n, 10 + n, 1) for n in range(1, 7)), *(called(n, 60 + n, 3) for n in range(11, 17)))))
    answers = ask("GET", "dashboards/performance/answers", time="2025-10-09T10:00..2025-10-09T10:59")
    [row] = panel(answers, "regression")["rows"]
    assert row["cells"] == ["step", "coder", pytest.approx(2.0), 3000.0, 1000.0, 0.0, 0.0, 6, 6]
    latency = {one["title"]: one for one in panel(answers, "latency-now")["values"]}
    assert (latency["p95"]["value"], latency["p95"]["before"]) == (3 * otlp.SECOND, otlp.SECOND)
    load = {one["title"]: one for one in panel(answers, "load")["values"]}
    assert (load["Per minute"]["value"], load["Per minute"]["before"]) == (pytest.approx(0.1), pytest.approx(0.1))


def test_metrics_are_told_from_spans_and_from_points(ask: Ask, store: Any, otlp: Any) -> None:
    def gate(number: int, **attributes: Any) -> Any:
        return otlp.span(number, attributes={"clew.span.kind": "gate", "gen_ai.workflow.name": "release", **attributes})

    otlp.take(
        store,
        otlp.lines(
            otlp.traces(
                gate(1, **{"clew.stage": "build", "clew.gate.result": "passed"}),
                gate(2, **{"clew.stage": "build", "clew.gate.result": "passed"}),
                gate(3, **{"clew.stage": "ship", "clew.gate.result": "failed"}),
                otlp.span(4, attributes={"clew.span.kind": "node", "clew.stage": "build", "gen_ai.workflow.name": "release"}),
            ),
            measured(otlp, "hypertool_persona_switches_total", "sum", 2.0, from_persona="none", to_persona="coder", chatmode="x"),
            measured(otlp, "task_queue_size", "gauge", 7.0, priority="high"),
        ),
    )
    answers = ask("GET", "dashboards/workflow-performance/answers", time=PERIOD)
    assert values(panel(answers, "gates")) == {"passed of all": pytest.approx(2 / 3), "passed": 2}
    assert shown(panel(answers, "gates-of")) == {"release": [pytest.approx(2 / 3)]}
    failed = panel(answers, "failed")
    assert shown(failed) == {"release · ship": [1]}
    assert ask("GET", "spans/count", filter=failed["rows"][0]["filter"])["count"] == 1
    assert panel(answers, "slowest")["rows"][0]["cells"] == ["release", "build", "(none)", 1.0, 1.0, 1]
    table = ask("POST", "sql", body={"query": failed["sql"]})
    assert table["rows"][0][:4] == ["release", "ship", 1, 1.0]
    personas = ask("GET", "dashboards/persona-overview/answers", time=PERIOD)
    assert [row["cells"] for row in panel(personas, "transitions")["rows"]] == [["none", "coder", "x", 2.0]]
    assert panel(personas, "switches")["series"][0]["label"] == "none → coder"
    tasks = ask("GET", "dashboards/task-analytics/answers", time=PERIOD)
    assert values(panel(tasks, "waiting")) == {"Now": 7}
    queue = panel(tasks, "queue")["series"]
    assert [(one["label"], [value for value in one["values"] if value is not None]) for one in queue] == [("high", [7.0])]


def measured(otlp: Any, name: str, kind: str, value: float, **labels: str) -> Any:
    point = {
        "timeUnixNano": str(otlp.START),
        "startTimeUnixNano": str(otlp.START - otlp.SECOND),
        "asDouble": value,
        "attributes": otlp.attributes(labels),
    }
    more = {"aggregationTemporality": 1, "isMonotonic": True} if kind == "sum" else {}
    metric = {"name": name, kind: {"dataPoints": [point], **more}}
    resource = {"attributes": otlp.attributes({"service.name": "program", "service.instance.id": "one"})}
    return {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"scope": {"name": "clew"}, "metrics": [metric]}]}]}


def test_failures_say_where_since_when_and_whom_they_befell(ask: Ask, store: Any, otlp: Any) -> None:
    otlp.take(store, some(otlp))
    failed_ns = otlp.START + (70 * 60 + 2) * otlp.SECOND
    [row] = panel(ask("GET", "dashboards/errors/answers", time=PERIOD), "alike")["rows"]
    assert row["cells"] == ["OSError", "search", "no such file", "new", 1, 1, failed_ns, failed_ns, "planner"]
    assert ask("GET", "spans/count", filter=row["filter"])["count"] == 1


def test_budgets_are_those_of_the_ledger(ask: Ask, store: Any) -> None:
    folder: Path = store.data_dir
    (folder / "budgets.toml").write_text('[[budget]]\nname = "daily"\nusd = 5\nwindow = "day"\n')
    found = panel(ask("GET", "dashboards/cost-tracking/answers", panel="budgets"), "budgets")
    assert found["rows"][0]["cells"][:5] == ["daily", "usd", 0.0, 0.0, 5.0]
    assert panel(ask("GET", "dashboards/persona-overview/answers", panel="budgets"), "budgets")["rows"] == []


SQL_PANEL = {
    "id": "mine",
    "title": "Mine",
    "view": "line",
    "question": {
        "of": "sql",
        "query": "SELECT toStartOfFiveMinutes(start_time) AS at, model, count() AS calls FROM model_calls "
        "WHERE start_ns BETWEEN {from:Int64} AND {to:Int64} GROUP BY at, model ORDER BY at",
    },
}
FILTER_PANEL = {
    "id": "fails",
    "title": "Fails",
    "view": "bars",
    "question": {"of": "spans", "figures": ["spans"], "filter": "status:error", "by": "tool"},
}


def test_users_keep_dashboards_of_their_own(ask: Ask, store: Any, otlp: Any) -> None:
    otlp.take(store, some(otlp))
    body = {"title": "My team", "panels": [SQL_PANEL, FILTER_PANEL]}
    assert ask("PUT", "dashboards/my-team", body=body)["is_new"] is True
    assert ask("PUT", "dashboards/my-team", body=body)["is_new"] is False
    listed = ask("GET", "dashboards")["dashboards"]
    assert (len(listed), listed[-1]["name"], listed[-1]["is_own"], listed[-1]["panels"]) == (8, "my-team", True, 2)
    assert ask("GET", "dashboards/my-team")["panels"][1]["question"]["figures"] == ["spans"]
    answers = ask("GET", "dashboards/my-team/answers", time=PERIOD)
    assert {one["label"]: sum(filter(None, one["values"])) for one in panel(answers, "mine")["series"]} == {"a": 2, "b": 1}
    assert shown(panel(answers, "fails")) == {"search": [1]}
    assert "filter does not apply" in ask("GET", "dashboards/my-team/answers", filter="agent:x", panel="mine")["answers"][0]["notes"][0]
    file = store.data_dir / "dashboards" / "my-team.json"
    assert json.loads(file.read_text())["title"] == "My team"
    file.write_text("{")
    assert "no JSON" in ask("GET", "dashboards")["dashboards"][-1]["trouble"]
    assert "no JSON" in ask("GET", "dashboards/my-team", 400)["message"]
    assert ask("DELETE", "dashboards/my-team")["name"] == "my-team"
    assert ask("DELETE", "dashboards/my-team", 404)["error"] == "NotFound"


PREVIEWS = [
    ("table", "SELECT kind, count() FROM spans GROUP BY kind ORDER BY kind", ""),
    ("stat", "SELECT count() AS spans FROM spans", ""),
    ("bars", "SELECT name, count() AS spans FROM spans GROUP BY name", ""),
    ("line", "SELECT count() AS spans FROM spans", "a line needs a column of times"),
    ("bars", "SELECT count() AS spans FROM spans", "bars need a column of names"),
    ("stat", "SELECT name FROM spans", "a stat needs a column of numbers"),
    ("table", "SELECT * FROM no_such_table", "no_such_table"),
    ("table", "SELECT * FROM file('/etc/passwd')", "only reading"),
    ("table", "SELECT * FROM url('http://127.0.0.1:1/x')", "only reading"),
    ("table", "SELECT 1 SETTINGS max_memory_usage = 0", "only reading"),
]


def test_a_preview_shows_a_panel_or_says_why_not(ask: Ask, store: Any, otlp: Any) -> None:
    otlp.take(store, some(otlp))
    for view, query, said in PREVIEWS:
        answer = ask("POST", "dashboards/preview", body={"panel": {"title": "x", "view": view, "question": {"of": "sql", "query": query}}})
        assert said in answer["trouble"], query
        assert bool(answer["trouble"]) == bool(said), query


REFUSED: list[tuple[Any, str]] = [
    (b"{", "the body is no JSON"),
    (b"[]", "the body is no dashboard"),
    ({"panels": []}, "title: field required"),
    ({"title": "x", "panels": [], "name": "other"}, "that in the address 'mine'"),
    ({"title": "x", "panels": [SQL_PANEL, SQL_PANEL]}, "2 panels have the id 'mine'"),
    ({"title": "x", "panels": [SQL_PANEL | {"view": "lines"}]}, "panels[0].view: input should be 'line', 'bars'"),
    ({"title": "x", "panels": [SQL_PANEL | {"colour": "red"}]}, "'colour' means nothing here"),
    ({"title": "x", "panels": [SQL_PANEL | {"question": {"of": "psql"}}]}, "panels[0].question: of is 'psql'; choose from spans"),
    ({"title": "x", "panels": [SQL_PANEL | {"question": {"of": "sql"}}]}, "panels[0].question.query: field required"),
    ({"title": "x", "panels": [FILTER_PANEL | {"question": {"of": "spans", "figures": ["sapns"]}}]}, "did you mean spans?"),
    ({"title": "x", "panels": [SQL_PANEL | {"question": {"of": "sql", "query": "SYSTEM STOP MERGES"}}]}, "SYSTEM is refused"),
    ({"title": "x" * 200, "panels": []}, "the title is longer than 120"),
    ({"title": "x", "panels": [FILTER_PANEL | {"id": f"p{n}"} for n in range(41)]}, "41 panels: at most 40"),
    (b'{"title": "' + b"x" * 300_000 + b'"}', "at most 256 KiB"),
]


def test_a_dashboard_that_cannot_be_used_is_refused_with_the_place(ask: Ask) -> None:
    for body, said in REFUSED:
        assert said in ask("PUT", "dashboards/mine", 400, body=body)["message"]
    assert ask("GET", "dashboards/mine", 404)["error"] == "NotFound"


def test_what_cannot_be_asked_says_why(ask: Ask) -> None:
    for parameters, said in (
        ({"time": "soon"}, "'soon' is no time of a dashboard"),
        ({"time": "2025-10-09T12:00..2025-10-09T11:00"}, "ends before it begins"),
        ({"filter": "agnet:x"}, "did you mean agent?"),
    ):
        assert said in ask("GET", "dashboards/errors/answers", 400, **parameters)["message"]
    assert "it has failed" in ask("GET", "dashboards/errors/answers", 404, panel="x")["message"]
    assert "built in" in ask("PUT", "dashboards/errors", 400, body={"title": "x", "panels": []})["message"]
    assert "built in" in ask("DELETE", "dashboards/errors", 400)["message"]
    ask("GET", "dashboards/..%2Fkeys", 404)
    ask("PUT", "dashboards/A%20b", 400, body={"title": "x", "panels": []})


def test_reading_needs_the_role_view_and_keeping_the_role_admin() -> None:
    from clew.server.guard import role_for

    assert role_for("GET", "/api/v1/dashboards/errors/answers") == "view"
    assert role_for("POST", "/api/v1/dashboards/preview") == "view"
    assert role_for("PUT", "/api/v1/dashboards/mine") == "admin"
    assert role_for("DELETE", "/api/v1/dashboards/mine") == "admin"


def test_panels_that_need_the_same_ask_once(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import UTC, datetime

    from clew.model.dashboards import DASHBOARDS
    from clew.observe.query.dashboards.asking import Asked, widest
    from clew.observe.query.dashboards.panels import needs
    from clew.observe.query.dashboards.period import period

    asked = Asked(period("1d", datetime.now(UTC)))
    counted = {one.name: len(set(widest(need for panel in one.panels for need in needs(panel, asked)).values())) for one in DASHBOARDS}
    assert counted["performance"] <= 7
    assert counted["agent-overview"] <= 7
    assert counted["cost-tracking"] <= 4
