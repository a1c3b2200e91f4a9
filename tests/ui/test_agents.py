"""Agents and the graph of a run in Chromium, by pointer and by keyboard."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect", "fastapi", "grpc", "uvicorn", "playwright")

_spec = importlib.util.spec_from_file_location("ui_agent_fixtures", Path(__file__).parent / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
ui: Any = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = ui  # where dataclasses look
_spec.loader.exec_module(ui)

Open = Callable[..., Any]
CREW = range(100, 112)
"""Runs of a director with a planner, a coder, a tester and a reviewer."""
CROWD, ODD, GROWING = 120, 121, 122
"""A run of two hundred agents; one whose names are hostile; one that goes on."""
EVIL = "<img src=x onerror=\"document.title='owned'\">\u202egnp.exe\u202c"
LONG = "شكرا " + "w" * 10_000


def agent(name: str) -> dict[str, Any]:
    return {"gen_ai.agent.name": name}


def crew(run: int) -> list[Any]:
    """A director (2) asks a planner (3) and hands tasks to a coder (6, 10) and a tester (14), who fails in every third run; a reviewer writes to the coder."""
    red = "2 tests are red" if run % 3 == 0 else None
    chosen: dict[str, Any] = {
        "clew.decision.question": "Which file?",
        "clew.decision.options": '["split.py", "bill.py"]',
        "clew.decision.choice": "split.py",
        "clew.decision.reason": "the trace ends there",
        "clew.decision.confidence": 0.8,
    }
    made = [
        ui.span(1, run, kind="workflow", name="mend the till", at=0, seconds=17, failed=red),
        ui.span(2, run, 1, kind="agent", name="direct", at=0, seconds=17, **agent("director")),
        ui.span(3, run, 2, kind="agent", name="plan", at=0.5, seconds=2, **agent("planner")),
        ui.call(4, run, 3, 0.6, ui.message("user", "Mend the till"), answer="Split the bill anew"),
    ]
    for step, at in ((5, 3.0), (9, 10.0)):
        made += [
            ui.span(step, run, 2, kind="task", name="write it", at=at, seconds=4),
            ui.span(step + 1, run, step, kind="agent", name="code", at=at, seconds=3 + run % 4 * 0.2, **agent("coder")),
            ui.call(step + 2, run, step + 1, at + 0.2, ui.message("user", "Write it"), answer="Written"),
            ui.span(step + 3, run, step + 1, kind="tool", name="edit", at=at + 1.5, seconds=0.4, **{"gen_ai.tool.name": "edit_file"}),
        ]
    made += [
        ui.span(13, run, 2, kind="task", name="test it", at=14, seconds=2),
        ui.span(14, run, 13, kind="agent", name="test", at=14, seconds=2, failed=red, **agent("tester")),
        ui.span(15, run, 14, kind="tool", name="tests", at=14.5, seconds=1, failed=red, **{"gen_ai.tool.name": "run_tests"}),
        ui.span(16, run, 2, kind="agent", name="review", at=16, seconds=1, **agent("reviewer")),
        ui.span(17, run, 16, kind="message", name="say", at=16.2, seconds=0.1, **{"messaging.destination.name": "coder"}),
        ui.span(18, run, 10, kind="decision", name="decide", at=10.1, seconds=0.1, **chosen),
    ]
    return made


def crowd() -> list[Any]:
    """One agent calls each of 199 others, each of which has called a tenth of its number."""
    made = [ui.span(1, CROWD, kind="agent", name="lead", at=0, seconds=30, **agent("lead"))]
    for number in range(1, 200):
        parent = 1 + number // 10
        calls = 3 if number < 30 else 1
        made += [
            ui.span(
                number * 10 + one,
                CROWD,
                1 if parent == 1 else (parent - 1) * 10,
                kind="agent",
                name="work",
                at=number / 10,
                seconds=2,
                **agent(f"worker {number:03}"),
            )
            for one in range(calls)
        ]
    return made


def rows(page: Any) -> Any:
    return page.locator("[role=grid] .table-row")


def expect(of: Any) -> Any:
    from playwright.sync_api import expect

    expect.set_options(timeout=30_000)
    return expect(of)


@pytest.fixture(scope="module")
def crews(server: Any) -> Iterator[Any]:
    """The server with these runs; they go afterwards."""
    for run in CREW:
        server.send(*crew(run))
    server.send(*crowd())
    server.send(
        ui.span(1, ODD, kind="agent", name="odd", at=0, seconds=2, **agent(EVIL)),
        ui.span(2, ODD, 1, kind="agent", name="odd", at=0.5, seconds=1, failed=EVIL, **agent(LONG)),
        ui.span(3, ODD, 1, kind="agent", name="odd", at=0.7, seconds=1, **agent('a "b"/c\\ ?#&%')),
    )
    server.until("stats", lambda stats: stats["waiting"] == 0 and stats["settled"])
    yield server
    sent = ",".join(ui.run_id(run) for run in (*CREW, CROWD, ODD, GROWING))
    body = json.dumps({"filter": f"run:({sent})"}).encode()
    request = urllib.request.Request(f"{server.url}/api/v1/delete", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["runs"] >= len(CREW) + 2


def drawn(page: Any) -> Any:
    """The graph, when it has been laid out."""
    graph = page.locator(".graph[data-laid=yes]")
    expect(graph.locator(".graph-node").first).to_be_visible()
    return graph


def places(page: Any) -> dict[str, str]:
    """Node -> where it is, and edge -> its curve up to the arrow, which is as long as the edge is wide."""
    made: dict[str, str] = drawn(page).evaluate(
        """graph => {
            const nodes = [...graph.querySelectorAll('.react-flow__node')];
            const edges = [...graph.querySelectorAll('.graph-edge')];
            const curve = edge => edge.querySelector('.graph-hit').getAttribute('d').replace(/ [^ ]*$/, '');
            return Object.fromEntries([
                ...nodes.map(node => [node.querySelector('.graph-name').textContent, node.style.transform]),
                ...edges.map(edge => [edge.dataset.hint.split('\\n')[0], curve(edge)]),
            ]);
        }"""
    )
    return made


def test_agents_are_drawn_with_who_calls_whom_and_listed_with_their_figures(open_page: Open, crews: Any) -> None:
    page = open_page("/agents?filter=agent:director")
    expect(page.locator(".page-title p")).to_contain_text(
        "5 agents in 12 runs; tester failed 4 of 12 calls (33 %); coder cost most, $0.0840"
    )
    graph = drawn(page)
    expect(graph.locator(".graph-node")).to_have_count(5)
    expect(graph.locator(".graph-edge")).to_have_count(5)
    expect(graph.locator(".graph-node", has_text="tester")).to_contain_text("✕ 33 %")
    expect(graph.locator(".graph-delegated", has=page.locator(".graph-line"))).to_have_count(2)
    coder = rows(page).filter(has_text="coder")
    assert coder.locator("[role=gridcell]").all_inner_texts()[1:7] == ["24", "0", "3.40 s", "3.60 s", "26k", "$0.0840"]
    expect(coder.locator("[data-hint]", has_text="3.60 s")).to_have_attribute(
        "data-hint", "95 % of its calls that ended took at most this."
    )
    page.get_by_role("button", name="Tools").click()
    expect(drawn(page).locator(".graph-node.graph-tool")).to_have_count(2)
    page.get_by_role("button", name="Models").click()
    expect(drawn(page).locator(".graph-node.graph-model")).to_have_text(re.compile("gpt-4o"))
    expect(page).to_have_url(re.compile("with=tool(,|%2C)model"))


def test_agents_are_sorted_by_any_figure_which_the_address_keeps(open_page: Open, crews: Any) -> None:
    page = open_page("/agents?filter=agent:director")
    names = rows(page).locator("[role=gridcell]:first-child")
    expect(names).to_have_count(5)
    came = names.all_inner_texts()
    table = page.get_by_role("grid", name="Agents")
    for title, most, least in (
        ("Failed", "tester", None),
        ("Cost", "coder", None),
        ("Calls", "coder", "director"),
        ("p95", "director", "reviewer"),
        ("Tokens", "coder", None),
        ("Last seen", None, None),
    ):
        head = table.get_by_role("columnheader").filter(has=page.get_by_role("button", name=title, exact=True))
        button = head.get_by_role("button")
        button.click()
        expect(head).to_have_attribute("aria-sort", "descending")
        if most:
            expect(names.first).to_have_text(most)
        button.press("Enter")
        expect(head).to_have_attribute("aria-sort", "ascending")
        expect(page).to_have_url(re.compile(rf"sort={title.lower().replace(' ', '-')}\.up"))
        upward = names.all_inner_texts()
        if least:
            assert upward[0] == least
        page.reload()
        expect(head).to_have_attribute("aria-sort", "ascending")
        expect(names).to_have_text(upward)
        button.click()
        expect(head).to_have_attribute("aria-sort", "none")
        expect(names).to_have_text(came)
    expect(table.get_by_role("columnheader", name="Activity")).not_to_have_attribute("aria-sort", "none")


def test_the_same_data_give_the_same_picture_whatever_its_edges_show(open_page: Open, crews: Any) -> None:
    page = open_page("/agents?filter=agent:director")
    first = places(page)
    assert len(first) == 10
    widths = drawn(page).locator(".graph-line").evaluate_all("all => all.map(one => one.getAttribute('stroke-width'))")
    page.get_by_role("button", name="Errors").click()
    expect(page).to_have_url(re.compile("by=errors"))
    assert drawn(page).locator(".graph-line").evaluate_all("all => all.map(one => one.getAttribute('stroke-width'))") != widths
    assert places(page) == first
    page.reload()
    expect(drawn(page).locator(".graph-label")).to_have_text(["✕ 4 of 12"])
    assert places(page) == first


def test_what_is_behind_a_node_or_an_edge_is_one_click_away(open_page: Open, crews: Any) -> None:
    page = open_page("/agents?filter=agent:director")
    drawn(page).locator(".graph-node", has_text="tester").click()
    panel = page.get_by_role("complementary", name="Selected")
    expect(panel).to_contain_text("✕ 4 33 %")
    expect(panel.locator(".agents-calls li")).to_have_count(10)
    panel.get_by_role("button", name="given by").click()
    expect(panel.locator("h2")).to_have_text("director → tester")
    expect(page).to_have_url(re.compile("at=.*delegated"))
    page.reload()
    expect(panel.locator("h2")).to_have_text("director → tester")
    expect(panel.get_by_role("link", name="Runs with both")).to_have_attribute("href", re.compile("agent(:|%3A)director"))
    panel.get_by_role("button", name="tester").click()
    panel.get_by_role("link", name=re.compile("8 failed")).click()
    expect(page).to_have_url(re.compile(r"/search\?filter="))
    expect(page.locator(".page-title p")).to_contain_text("8 spans match")
    page.go_back()
    panel.locator(".agents-calls a").first.click()
    expect(page).to_have_url(re.compile(f"/runs/{ui.run_id(CREW[0])}.*span={ui.span_id(14)}"))
    expect(page.get_by_role("complementary", name="Selected").locator("h2")).to_have_text("test")


def test_agents_are_walked_and_opened_with_the_keyboard(open_page: Open, crews: Any) -> None:
    page = open_page("/runs?filter=agent:director")
    rows(page).first.wait_for()
    for key in ("g", "a"):
        page.keyboard.press(key)
    expect(page).to_have_url(re.compile(r"/agents\?filter="))
    drawn(page)
    for key in ("j", " "):
        page.keyboard.press(key)
    panel = page.get_by_role("complementary", name="Selected")
    expect(panel.locator("h2")).to_have_text("coder")
    page.keyboard.press("j")
    expect(panel.locator("h2")).to_have_text("director")
    expect(drawn(page).locator(".graph-node.chosen")).to_contain_text("director")
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    page.keyboard.press("v")
    expect(page).to_have_url(re.compile("by=cost"))
    page.keyboard.press("o")
    expect(page).to_have_url(re.compile("with=tool"))
    drawn(page).locator(".react-flow__node", has_text="planner").focus()
    page.keyboard.press("Enter")
    expect(panel.locator("h2")).to_have_text("planner")
    page.keyboard.press("Escape")
    page.locator("[role=grid]").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/agents/director"))
    page.go_back()
    expect(page).to_have_url(re.compile(r"/agents\?"))


def test_a_profile_says_what_an_agent_does_with_whom_in_which_runs_and_what_it_decided(open_page: Open, crews: Any) -> None:
    page = open_page("/agents/coder")
    expect(page.locator(".page-title p")).to_contain_text("24 calls in 12 runs, none failed; slowest is chat, p95 1 s")
    expect(rows(page)).to_have_count(4)
    edit = rows(page).filter(has_text="edit").locator("[role=gridcell]").all_inner_texts()
    assert edit[2:7] == ["24", "0", "400 ms", "400 ms", "400 ms"]
    expect(page.locator(".agents-figures")).to_contain_text("$0.0840")
    page.keyboard.press("2")
    expect(rows(page)).to_have_text([re.compile("edit_file"), re.compile("gpt-4o"), re.compile("director"), re.compile("reviewer")])
    page.keyboard.press("4")
    expect(rows(page)).to_have_count(12)
    expect(rows(page).first).to_contain_text("the trace ends there")
    page.keyboard.press("3")
    expect(rows(page)).to_have_count(12)
    page.locator("[role=grid]").focus()
    for key in ("j", "Enter"):
        page.keyboard.press(key)
    expect(page).to_have_url(re.compile(f"/runs/{ui.run_id(CREW[0])}.*tab=graph"))
    page.goto(page.url.split("/runs")[0] + "/agents/tester?filter=status:error")
    expect(page.locator(".page-title p")).to_contain_text("4 calls in 4 runs, 4 failed (100 %)")
    rows(page).filter(has_text="tests").locator("a.error").click()
    expect(page.locator(".page-title p")).to_contain_text("4 spans match")
    page.goto(page.url.split("/search")[0] + "/agents/nobody")
    expect(page.get_by_role("heading", name="No such agent in these runs")).to_be_visible()


def test_the_graph_of_a_run_follows_it_step_by_step(open_page: Open, crews: Any) -> None:
    run = ui.run_id(CREW[2])
    page = open_page(f"/runs/{run}")
    page.get_by_role("tab", name="Graph").wait_for()
    page.keyboard.press("6")
    graph = drawn(page)
    expect(rows(page)).to_have_count(6)
    expect(graph.locator(".graph-label", has_text="#2–3 · 2")).to_be_visible()
    expect(graph.locator(".graph-label", has_text="#4 · 1 · ✕ 100 %")).to_be_visible()
    panel = page.get_by_role("complementary", name="Selected")
    page.locator("[role=grid]").focus()
    for _ in range(4):
        page.keyboard.press("j")
    expect(page).to_have_url(re.compile(f"span={ui.span_id(14)}"))
    expect(panel.locator("h2")).to_have_text("test")
    expect(graph.locator(".graph-edge.chosen")).to_have_attribute("data-hint", re.compile("director delegated tester"))
    for expected in (6, 10, 6):  # one call of the coder after the other
        graph.locator(".graph-node", has_text="coder").click()
        expect(page).to_have_url(re.compile(f"span={ui.span_id(expected)}"))
    page.keyboard.press("1")
    expect(panel.locator("h2")).to_have_text("code")
    page.goto(page.url.split("?")[0] + f"?tab=graph&span={ui.span_id(15)}")
    expect(drawn(page).locator(".graph-node.chosen")).to_contain_text("tester")


def test_the_graph_of_a_run_grows_while_it_goes_on(open_page: Open, crews: Any) -> None:
    here = {"service.name": "program", "service.instance.id": "crew"}
    crews.send(ui.span(1, GROWING, kind="agent", name="lead", at=0, seconds=None, **agent("lead")), resource=here)
    crews.until(f"runs?filter=run:{ui.run_id(GROWING)}", lambda page: page["runs"])
    page = open_page(f"/runs/{ui.run_id(GROWING)}?tab=graph")
    expect(drawn(page).locator(".graph-node")).to_have_count(1)
    expect(page.get_by_text("1 agent, and none called another")).to_be_visible()
    crews.send(ui.span(2, GROWING, 1, kind="agent", name="help", at=1, seconds=1, **agent("helper")), resource=here)
    expect(drawn(page).locator(".graph-node")).to_have_count(2)
    expect(rows(page)).to_have_count(1)
    crews.send(ui.span(1, GROWING, kind="agent", name="lead", at=0, seconds=3, **agent("lead")), resource=here)
    expect(page.locator(".run-sentence")).to_contain_text("Ended well")


def test_two_hundred_agents_are_cut_and_it_says_so(open_page: Open, crews: Any) -> None:
    page = open_page(f"/agents?filter=run:{ui.run_id(CROWD)}")
    expect(page.locator(".page-title p")).to_contain_text("200 agents in 1 run")
    expect(page.get_by_role("note")).to_contain_text("Only the 24 busiest of 200 nodes are drawn, and ")
    expect(drawn(page).locator(".graph-node")).to_have_count(24)
    size = drawn(page).locator(".graph-name").first.bounding_box()
    assert size["height"] >= 10  # as large as can be read
    expect(page.locator("[role=grid]")).to_have_attribute("aria-rowcount", "201")
    page.get_by_role("button", name="Draw 48").click()
    expect(drawn(page).locator(".graph-node")).to_have_count(48)
    expect(page).to_have_url(re.compile("draw=48"))
    page.goto(page.url.split("?")[0] + "?runs=5")
    expect(page.get_by_role("note").first).to_contain_text("Only the newest 5 runs are counted here")


def test_hostile_names_are_drawn_as_text(open_page: Open, crews: Any) -> None:
    page = open_page(f"/runs/{ui.run_id(ODD)}?tab=graph")
    graph = drawn(page)
    expect(graph.locator(".graph-node")).to_have_count(3)
    expect(graph).to_contain_text("<img src=x onerror")
    names = {node["name"] for node in crews.get(f"runs/{ui.run_id(ODD)}/agents")["nodes"]}
    assert names == {EVIL, LONG, 'a "b"/c\\ ?#&%'}
    page.goto(page.url.split("/runs")[0] + f"/agents?filter=run:{ui.run_id(ODD)}")
    for place in range(3):
        drawn(page)
        rows(page).nth(place).click()
        expect(page.locator(".agents-figures")).to_contain_text("calls")
        expect(rows(page)).to_have_count(1)
        assert page.title() == "Clew"
        assert page.locator("main img, main script").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.go_back()
    drawn(page).locator(".graph-node", has_text="www").click()
    expect(page.get_by_role("complementary", name="Selected")).to_contain_text("called by")


def test_without_agents_it_says_how_to_name_one(open_page: Open, crews: Any) -> None:
    page = open_page("/agents?filter=name:nothing")
    expect(page.get_by_role("heading", name="No agent matches")).to_be_visible()
    page.get_by_role("button", name="Show all agents").click()
    drawn(page)
    page.goto(page.url.split("/agents")[0] + f"/runs/{ui.run_id(ui.DEEP)}?tab=graph")
    expect(page.get_by_role("heading", name="No span of this run names an agent")).to_be_visible()
    expect(page.locator(".empty pre code")).to_have_text('with clew.agent("planner"):')


def test_real_traces_are_drawn(open_page: Open, crews: Any, trail: Any) -> None:
    page = open_page("/agents?filter=agent:CodeAgent.run&with=tool,model&runs=1000")
    expect(drawn(page).locator(".graph-agent", has_text="CodeAgent.run")).to_be_visible()
    expect(drawn(page).locator(".graph-model", has_text="claude-3-7")).to_be_visible()
    expect(rows(page).filter(has_text="CodeAgent.run").first).to_be_visible()


VIEWS = {
    "agents": "/agents?filter=agent:director&with=tool,model",
    "selected": "/agents?filter=agent:director&by=errors&at=agent:tester",
    "crowd": f"/agents?filter=run:{ui.run_id(CROWD)}",
    "profile": "/agents/coder",
    "works with": "/agents/tester?tab=works",
    "decisions": "/agents/coder?tab=decisions",
    "run": f"/runs/{ui.run_id(CREW[2])}?tab=graph&with=tool",
}


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_it_is_accessible_and_fits(open_page: Open, crews: Any, look: str) -> None:
    page = open_page("/now", width=390 if look == "phone" else 1280, dark=look == "dark")
    base = page.url.removesuffix("/now")
    found = {}
    for name, path in VIEWS.items():
        page.goto(base + path)
        rows(page).first.wait_for()
        if "/agents/" not in path:
            drawn(page)
        page.locator("[aria-busy=true]").first.wait_for(state="detached")
        trouble = ui.serious(page)
        if page.evaluate(
            "() => [document.documentElement, ...document.querySelectorAll('.table-scroll')].some(one => one.scrollWidth > one.clientWidth + 1)"
        ):
            trouble.append("it is wider than the window")
        if trouble:
            found[name] = trouble
    assert not found, "\n".join(f"{name}: {line}" for name, lines in found.items() for line in lines)
