"""Dashboards in Chromium: what they show, where a click leads, and panels of one's own."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect", "fastapi", "grpc", "uvicorn", "playwright")

_spec = importlib.util.spec_from_file_location("ui_dashboard_fixtures", Path(__file__).parent / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
ui: Any = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = ui  # where dataclasses look
_spec.loader.exec_module(ui)

Open = Callable[..., Any]
TASKS = 90
EVIL = "<img src=x onerror=\"document.title='owned'\">"
NAMES = ("agent-overview", "task-analytics", "performance", "cost-tracking", "errors", "persona-overview", "workflow-performance")


def expect(of: Any) -> Any:
    from playwright.sync_api import expect

    return expect(of)


def panel(page: Any, title: str) -> Any:
    return page.get_by_role("region", name=title, exact=True).first


def shown(page: Any) -> None:
    """Waits until every panel has its answer."""
    page.locator(".panel header").first.wait_for()
    page.locator(".panel-body[aria-busy=true]").first.wait_for(state="detached")


def send(server: Any, path: str, body: Any, method: str = "PUT") -> Any:
    request = urllib.request.Request(f"{server.url}{path}", json.dumps(body).encode(), {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def points() -> dict[str, Any]:
    """A queue, and a persona's switches and tokens left."""

    def gauge(name: str, value: float, **labels: str) -> dict[str, Any]:
        return {"name": name, "gauge": {"dataPoints": [point(value, labels)]}}

    def point(value: float, labels: dict[str, str]) -> dict[str, Any]:
        times = {"timeUnixNano": str(ui.now_ns() - 60_000_000_000), "startTimeUnixNano": str(ui.now_ns() - 90_000_000_000)}
        return {"asDouble": value, "attributes": ui.Otlp.attributes(labels), **times}

    switched = point(3.0, {"from_persona": "none", "to_persona": "builder", "chatmode": "x"})
    switches = {"dataPoints": [switched], "aggregationTemporality": 1, "isMonotonic": True}
    metrics = [
        gauge("task_queue_size", 140, priority="high"),
        gauge("hypertool_persona_token_budget_remaining", -20, persona="builder"),
        {"name": "hypertool_persona_switches_total", "sum": switches},
    ]
    resource = {"attributes": ui.Otlp.attributes({"service.name": "program", "service.instance.id": "one"})}
    return {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"scope": {"name": "clew"}, "metrics": metrics}]}]}


@pytest.fixture(scope="module")
def busy(server: Any) -> Iterator[Any]:
    """The server with tasks, stages, gates and points; its runs go afterwards, as other tests count."""
    spans = [ui.span(1, TASKS, kind="workflow", name="orchestrate", at=0, seconds=60, **{"gen_ai.workflow.name": "release"})]
    for number in range(12):
        status = "failed" if number % 4 == 0 else "success"
        done = {
            "clew.task.status": status,
            "clew.task.phase": "build",
            "clew.task.worker_profile": "coder",
            "clew.task.retries": number % 3,
        }
        spans.append(ui.span(10 + number, TASKS, 1, kind="task", name=f"task {number}", at=number, seconds=1 + number * 2, **done))
        gate = {"gen_ai.workflow.name": "release", "clew.stage": "build", "clew.gate.result": "failed" if number % 4 == 0 else "passed"}
        spans.append(ui.span(40 + number, TASKS, 1, kind="gate", name="tests", at=number, seconds=1, **gate))
        stage = {"gen_ai.workflow.name": "release", "clew.stage": "build", "clew.persona": "builder"}
        spans.append(ui.span(70 + number, TASKS, 1, kind="node", name="build", at=number, seconds=20 + number * 5, **stage))
    spans.append(
        ui.span(99, TASKS, 1, kind="tool", name=EVIL, at=1, seconds=1, failed=EVIL, **{"gen_ai.tool.name": EVIL, "error.type": EVIL})
    )
    server.send(*spans)
    send(server, "/v1/metrics", points(), "POST")
    server.until("stats", lambda stats: stats["waiting"] == 0 and stats["settled"])
    yield server
    for path in (f"/api/v1/runs/{ui.run_id(TASKS)}", "/api/v1/dashboards/agent-overview-mine"):
        with suppress(urllib.error.HTTPError):  # it is gone already
            send(server, path, None, "DELETE")


def test_the_first_dashboard_shows_agents_and_a_click_leads_to_their_spans(busy: Any, open_page: Open) -> None:
    page = open_page("/dashboards")
    expect(page.get_by_role("heading", level=1)).to_have_text("Agent overview")
    table = panel(page, "By agent")
    expect(table).to_contain_text("planner")
    expect(panel(page, "Tasks that wait")).to_contain_text("140")
    expect(panel(page, "Tasks that wait").locator(".tone-error")).to_be_visible()
    table.get_by_role("button", name="planner", exact=True).click()
    expect(page).to_have_url(re.compile("/search.*agent(:|%3A)planner"))
    expect(page.locator("[role=grid] .table-row").first).to_be_visible()
    page.go_back()
    shown(page)
    page.keyboard.press("g")
    page.keyboard.press("d")
    expect(page).to_have_url(re.compile("/dashboards"))


def test_a_dashboard_opens_with_what_matters_and_failures_lead_to_their_errors(busy: Any, open_page: Open) -> None:
    page = open_page("/dashboards/errors?time=1h&filter=agent:planner")
    said = page.locator(".page-title p")
    expect(said).to_have_text(re.compile("^Nothing"))
    page.goto(f"{busy.url}/dashboards/errors?time=1h")
    expect(said).to_contain_text(re.compile("^Most often .+ failed with .+×"))
    alike = panel(page, "Failures that are alike")
    alike.get_by_role("button", name="(no type)").first.click()
    expect(page).to_have_url(re.compile(r"/errors\?.*time=1h.*error=[0-9a-f]+"))
    expect(page.get_by_role("complementary", name="Selected")).to_contain_text("tests are red")
    page.go_back()
    panel(page, "Where it fails").get_by_role("button", name="run_tests").click()
    expect(page).to_have_url(re.compile(r"/errors\?filter=name(:|%3A)run_tests&time=1h"))
    expect(page.locator("[role=grid] .table-row")).to_have_count(1)
    page.go_back()
    said.get_by_role("button").first.click()
    expect(page).to_have_url(re.compile(r"/errors\?.*error="))
    page.goto(f"{busy.url}/dashboards/task-analytics?time=1h")
    expect(said).to_have_text(re.compile("waiting now is|now is 140", re.I))


def test_a_point_of_a_chart_leads_to_the_spans_of_its_time(busy: Any, open_page: Open) -> None:
    page = open_page("/dashboards/workflow-performance?time=1h")
    shown(page)
    chart = panel(page, "Gates over time").locator(".u-over")
    chart.wait_for()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page).to_have_url(re.compile(r"/search\?.*kind(:|%3A)gate.*time=\d{4}-"))


def test_the_filter_and_the_time_hold_for_all_panels_and_are_in_the_address(busy: Any, open_page: Open) -> None:
    page = open_page("/dashboards/agent-overview")
    shown(page)
    expect(page.get_by_label("Time range")).to_have_value("1d")
    page.get_by_label("Filter", exact=True).fill("agent:looper")
    page.keyboard.press("Enter")
    expect(panel(page, "By agent").locator("tbody tr")).to_have_count(1)
    page.get_by_label("Time range").select_option("1h")
    expect(page).to_have_url(re.compile(r"filter=agent(:|%3A)looper.*time=1h"))
    page.get_by_label("Filter", exact=True).fill("agnet:looper")
    page.keyboard.press("Enter")
    expect(page.locator(".filter-error")).to_contain_text("did you mean agent?")


def test_cost_is_chosen_by_a_key_and_says_what_is_not_known(busy: Any, open_page: Open) -> None:
    page = open_page("/dashboards/cost-tracking")
    cost = panel(page, "Cost by")
    expect(cost.locator("thead")).to_contain_text("Unpriced calls")
    cost.get_by_role("button", name="session", exact=True).click()
    expect(cost.locator("thead")).to_contain_text("session")
    expect(page).to_have_url(re.compile(r"keys=cost-by(:|%3A)session"))
    page.reload()
    expect(cost.get_by_role("button", name="session", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(panel(page, "Spend")).to_contain_text("By the month's end")


def test_a_panel_is_copied_as_query_and_as_sql(busy: Any, open_page: Open) -> None:
    page = open_page("/dashboards/workflow-performance?time=1h")
    shown(page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for entry, said in (("Copy as query", "kind:gate"), ("Copy as SQL", "SELECT")):
        panel(page, "Failed gates").locator("summary").click()
        panel(page, "Failed gates").get_by_role("button", name=entry).click()
        expect(page.locator("#announcement")).to_have_text("Copied")
        assert said in page.evaluate("() => navigator.clipboard.readText()")
    text = page.evaluate("() => navigator.clipboard.readText()")
    rows = send(busy, "/api/v1/sql", {"query": text}, "POST")["rows"]
    assert rows[0][:4] == ["release", "build", 3, 3]


def test_a_dashboard_of_ones_own_has_panels_from_sql_and_from_a_filter(busy: Any, open_page: Open) -> None:
    page = open_page("/dashboards")
    shown(page)
    page.get_by_role("button", name="Copy to edit").click()
    page.get_by_label("without the panels").check()
    page.get_by_role("button", name="Make it").click()
    expect(page).to_have_url(re.compile("/dashboards/agent-overview-mine"))
    expect(page.get_by_text("No panel yet")).to_be_visible()

    def add(title: str) -> None:
        page.get_by_role("button", name="Add a panel", exact=True).click()
        page.get_by_label("Title").fill(title)

    add("Kinds")
    page.get_by_label("One SELECT").fill("DROP TABLE span_records")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("alert")).to_contain_text("DROP is refused")
    page.get_by_label("One SELECT").fill(
        "SELECT name, count() AS spans FROM spans WHERE kind = 'tool' GROUP BY name ORDER BY spans DESC, name"
    )
    page.get_by_label("Drawn as").select_option("bars")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("region", name="Preview")).to_contain_text("fetch")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(panel(page, "Kinds")).to_contain_text("fetch")
    add("Slow tools")
    page.get_by_role("button", name="From a filter").click()
    page.get_by_role("dialog").get_by_label("Filter", exact=True).fill("kind:tool agent:looper")
    page.get_by_label("By", exact=True).select_option("name")
    page.get_by_label("p95").check()
    page.get_by_label("Drawn as").select_option("table")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(panel(page, "Slow tools")).to_contain_text("900 ms")
    panel(page, "Kinds").locator("summary").click()
    panel(page, "Kinds").get_by_role("button", name="Remove").click()
    expect(panel(page, "Kinds")).to_have_count(0)
    page.reload()
    expect(panel(page, "Slow tools")).to_contain_text("900 ms")
    page.once("dialog", lambda asked: asked.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page).to_have_url(re.compile("/dashboards/agent-overview"))
    expect(page.get_by_role("link", name="Agent overview, mine")).to_have_count(0)


def test_hostile_names_are_shown_as_text(busy: Any, open_page: Open) -> None:
    page = open_page("/dashboards/errors")
    expect(panel(page, "Failures that are alike")).to_contain_text("<img src=x")
    question = {"of": "sql", "query": f"SELECT '{EVIL.replace(chr(39), chr(92) + chr(39))}' AS name, 1 AS spans"}
    body = {"title": EVIL, "panels": [{"id": "evil", "title": EVIL, "view": "table", "question": question}]}
    send(busy, "/api/v1/dashboards/evil", body)
    try:
        page.goto(page.url.replace("/errors", "/evil"))
        expect(page.locator(".panel td").first).to_contain_text("<img src=x")
        assert page.title() == "Clew"
    finally:
        send(busy, "/api/v1/dashboards/evil", None, "DELETE")


def test_an_empty_panel_says_what_fills_it(busy: Any, open_page: Open) -> None:
    page = open_page("/dashboards/persona-overview?filter=service:none")
    expect(panel(page, "Tokens by persona")).to_contain_text("python examples/package_release/personas.py")
    page.goto(page.url.replace("persona-overview", "nothing-there"))
    expect(page.get_by_role("alert").first).to_contain_text("there is no dashboard 'nothing-there'")


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_each_dashboard_is_accessible_and_fits(busy: Any, trail: Any, open_page: Open, look: str) -> None:
    page = open_page("/dashboards", width=390 if look == "phone" else 1280, dark=look == "dark")
    found = {}
    for name in NAMES:
        page.goto(f"{busy.url}/dashboards/{name}")
        shown(page)
        trouble = ui.serious(page)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            trouble.append("it is wider than the window")
        if page.locator(".panel-trouble").count():
            trouble.append(page.locator(".panel-trouble").first.inner_text())
        if trouble:
            found[name] = trouble
    assert not found, "\n".join(f"{name}: {line}" for name, lines in found.items() for line in lines)
