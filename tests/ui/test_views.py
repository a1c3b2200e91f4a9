"""Each view of the UI in Chromium: what a person reads and does there, by pointer and by keyboard."""

from __future__ import annotations

import gzip
import importlib.util
import re
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect", "fastapi", "grpc", "uvicorn", "playwright")

_spec = importlib.util.spec_from_file_location("ui_fixtures", Path(__file__).parent / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
ui: Any = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = ui  # where dataclasses look
_spec.loader.exec_module(ui)

Open = Callable[..., Any]

LANES, EVIL = 50, 51
"""Numbers of runs of this file."""


def rows(page: Any) -> Any:
    return page.locator("[role=grid] .table-row")


def expect(of: Any) -> Any:
    from playwright.sync_api import expect

    return expect(of)


def test_runs_are_listed_filtered_and_previewed_by_the_keyboard(open_page: Open) -> None:
    page = open_page("/runs")
    expect(rows(page).filter(has_text="mend it again")).to_be_visible()
    expect(page.locator(".page-title p")).to_contain_text("failed")
    page.keyboard.press("/")
    page.keyboard.type("name:mend* status:err")
    expect(page.get_by_role("option", name="error", exact=True)).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"status(:|%3A)error"))
    expect(rows(page)).to_have_count(1)
    expect(rows(page).first).to_contain_text("mend it again")
    page.locator("[role=grid]").focus()
    page.keyboard.press("j")
    page.keyboard.press(" ")
    expect(page.get_by_role("complementary", name="Selected")).to_contain_text("tests are red")
    page.keyboard.press("Escape")
    expect(page.get_by_role("complementary", name="Selected")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/runs/{ui.run_id(ui.FAILED)}"))
    page.go_back()
    expect(rows(page)).to_have_count(1)


def test_a_filter_that_is_not_understood_is_pointed_at(open_page: Open) -> None:
    page = open_page("/runs?filter=agnet:x")
    expect(page.get_by_role("alert").first).to_contain_text("did you mean agent?")


def test_a_facet_includes_and_excludes_a_value_and_a_view_is_saved(open_page: Open) -> None:
    page = open_page("/runs")
    value = page.locator(".facet-value", has_text="mend the bill")
    value.click()
    expect(rows(page)).to_have_count(1)
    value.click(modifiers=["Alt"])
    expect(page.get_by_label("Filter", exact=True)).to_have_value('-name:"mend the bill"')
    expect(rows(page).filter(has_text="mend the bill")).to_have_count(0)
    expect(rows(page).filter(has_text="looper")).to_have_count(1)
    page.get_by_text("Views", exact=True).click()
    page.get_by_label("Name of this view").fill("not that one")
    page.keyboard.press("Enter")
    page.goto(page.url.split("?")[0])
    expect(rows(page).filter(has_text="looper")).to_have_count(1)
    page.keyboard.press("Control+k")
    page.keyboard.type("not that")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Filter", exact=True)).to_have_value('-name:"mend the bill"')


def test_two_runs_are_compared(open_page: Open) -> None:
    page = open_page("/runs?filter=name:mend*")
    expect(rows(page)).to_have_count(2)
    page.locator("[role=grid]").focus()
    for key in ("j", "c", "j", "c"):
        page.keyboard.press(key)
    expect(page).to_have_url(re.compile("/compare/"))
    expect(page.locator(".page-title p")).to_contain_text("The second")
    expect(rows(page).filter(has_text="run_tests").first).to_be_visible()
    first = page.locator(".side-head").first.inner_text()
    page.keyboard.press("x")
    expect(page.locator(".side-head").last).to_contain_text(first.splitlines()[1])


def test_a_run_says_what_failed_and_its_spans_are_walked_with_the_keyboard(open_page: Open) -> None:
    page = open_page(f"/runs/{ui.run_id(ui.FAILED)}")
    expect(page.locator(".run-sentence")).to_contain_text("Failed after 6 s; 2 spans failed, first run_tests: tests are red")
    tree = page.get_by_role("tree")
    expect(tree.get_by_role("treeitem")).to_have_count(7)
    tree.focus()
    page.keyboard.press("e")
    panel = page.get_by_role("complementary", name="Selected")
    expect(panel).to_contain_text("tests are red")
    page.keyboard.press("k")
    page.keyboard.press("k")
    expect(panel).to_contain_text("Cost, line by line")
    expect(panel.locator(".lines")).to_contain_text("input")
    expect(panel).to_contain_text("It is split")
    expect(page).to_have_url(re.compile(f"span={ui.span_id(5)}"))
    page.reload()
    expect(panel).to_contain_text("Cost, line by line")
    for key in ("w", "d", "0", "f"):
        page.keyboard.press(key)
    expect(page).to_have_url(re.compile("zoom="))
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)


def test_a_run_is_asked_for_once_and_before_the_scripts_ask(open_page: Open) -> None:
    page = open_page(f"/runs/{ui.run_id(ui.FAILED)}")
    expect(page.get_by_role("tree")).to_be_visible()
    asked = "performance.getEntriesByType('resource').filter(one => one.name.includes('/api/v1/runs/')).map(one => one.initiatorType)"
    assert page.evaluate(asked) == ["link"]


def test_repeats_are_shown_together_until_they_are_opened(open_page: Open) -> None:
    page = open_page(f"/runs/{ui.run_id(ui.REPEATS)}")
    tree = page.get_by_role("tree")
    expect(tree.get_by_role("treeitem")).to_have_count(2)
    expect(tree.get_by_role("treeitem").last).to_contain_text("fetch ×37")
    tree.focus()
    for key in ("j", "j", "ArrowRight"):
        page.keyboard.press(key)
    expect(tree).to_have_attribute("data-rows", "38")
    page.keyboard.press("ArrowLeft")
    expect(tree).to_have_attribute("data-rows", "2")


def test_a_transcript_folds_what_was_said_before(open_page: Open) -> None:
    page = open_page(f"/runs/{ui.run_id(ui.TEAM)}?tab=transcript")
    turns = page.get_by_role("article")
    expect(turns.nth(0)).to_contain_text("Be brief")
    expect(turns.nth(1)).to_contain_text("till/split.py:4")
    expect(turns.nth(2)).to_contain_text("3 messages as before")
    expect(turns.nth(2)).not_to_contain_text("Be brief")
    page.locator(".transcript").focus()
    page.keyboard.press("j")
    expect(page).to_have_url(re.compile(f"span={ui.span_id(3)}"))


def test_a_decision_shows_the_road_not_taken_and_says_why_not(open_page: Open) -> None:
    page = open_page(f"/runs/{ui.run_id(ui.TEAM)}")
    page.get_by_role("tab", name="Decisions").wait_for()
    page.keyboard.press("5")
    card = page.locator(".decision")
    expect(card.locator(".taken")).to_contain_text("spread")
    expect(card.locator(".taken")).to_contain_text("0.9")
    card.get_by_role("button", name="Why not?").click()
    expect(card.get_by_role("note")).to_have_text("it loses cents")
    expect(card).to_contain_text("Then")


def test_tree_timeline_and_logs_show_the_same_run(open_page: Open) -> None:
    page = open_page(f"/runs/{ui.run_id(ui.TEAM)}?tab=tree")
    expect(rows(page)).to_have_count(7)
    expect(rows(page).first).to_contain_text("2.20k")  # tokens of all below
    page.keyboard.press("3")
    expect(page.get_by_role("group", name="Timeline")).to_be_visible()
    page.keyboard.press("j")
    expect(page).to_have_url(re.compile("span="))
    page.keyboard.press("7")
    expect(page.get_by_text("This run wrote no log records")).to_be_visible()


def test_the_newest_runs_and_the_last_hour_stand_on_the_first_page(open_page: Open) -> None:
    page = open_page("/")
    expect(page).to_have_url(re.compile("/now"))
    expect(page.locator(".now-sentence")).to_contain_text("was spent")
    expect(page.locator(".now-run").filter(has_text="mend it again").first).to_be_visible()
    expect(page.locator(".chart canvas").first).to_be_visible()


def test_keys_pages_and_themes_are_found_without_a_pointer(open_page: Open) -> None:
    page = open_page("/now")
    page.locator("h1").wait_for()
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page).to_have_url(re.compile("/runs"))
    rows(page).first.wait_for()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Compare with another run")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("t")
    page.keyboard.press("t")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.reload()
    rows(page).first.wait_for()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.keyboard.press("Control+k")
    page.keyboard.type(ui.run_id(ui.DEEP))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/runs/{ui.run_id(ui.DEEP)}"))


def test_a_run_grows_while_it_goes_on(open_page: Open, server: Any) -> None:
    number = ui.RUNNING
    here = {"service.name": "program", "service.instance.id": "one"}
    server.send(ui.span(1, number, kind="agent", name="at work", at=0, seconds=None), resource=here)
    server.until(f"runs?filter=run:{ui.run_id(number)}", lambda page: page["runs"])
    page = open_page(f"/runs/{ui.run_id(number)}")
    expect(page.locator(".run-sentence")).to_contain_text("Running")
    expect(page.get_by_role("treeitem")).to_have_count(1)
    server.send(ui.span(2, number, 1, kind="tool", name="a new step", at=1, seconds=1), resource=here)
    expect(page.get_by_role("treeitem").filter(has_text="a new step")).to_have_count(1)
    server.send(ui.span(1, number, kind="agent", name="at work", at=0, seconds=3), resource=here)
    expect(page.locator(".run-sentence")).to_contain_text("Ended well after 3 s", timeout=30_000)


def test_a_new_run_appears_in_the_list_and_on_the_first_page(open_page: Open, server: Any) -> None:
    page, now = open_page("/runs"), open_page("/now")
    for one in (page, now):
        expect(one.locator(".live-live")).to_be_visible()
    server.send(ui.span(1, ui.LATER, kind="agent", name="came later", at=300, seconds=None))
    expect(rows(page).filter(has_text="came later")).to_be_visible()
    expect(now.locator(".thread", has_text="came later")).to_be_visible()
    expect(now.locator(".now-sentence")).to_contain_text("active")


def test_agents_of_a_running_run_are_lanes_with_their_hand_offs(open_page: Open, server: Any) -> None:
    here = {"service.name": "program", "service.instance.id": "one"}

    def agent(number: int, parent: int, name: str, at: float, seconds: float | None, **more: Any) -> Any:
        return ui.span(number, LANES, parent, kind="agent", name=name, at=at, seconds=seconds, **{"gen_ai.agent.name": name}, **more)

    server.send(agent(1, 0, "director", 0, None), resource=here)
    server.until(f"runs?filter=run:{ui.run_id(LANES)}", lambda page: page["runs"])
    page = open_page("/now")
    thread = page.locator(".thread", has_text="director")
    expect(thread).to_be_visible()
    expect(thread.locator(".lanes")).to_have_count(0)
    try:
        server.send(agent(2, 1, "coder", 5, 20), agent(3, 1, "tester", 26, 3, failed="tests are red"), resource=here)
        lanes = page.locator(".thread .lanes")
        expect(lanes.locator(".lane-names li")).to_have_text(["director", "coder", "tester"], timeout=30_000)
        expect(lanes.locator(".handoff")).to_have_count(2)
        expect(lanes.locator(".lane-call.open")).to_have_count(1)
        expect(lanes.locator(".lane-failed")).to_have_count(1)
        assert ui.serious(page) == []
        lanes.get_by_role("link", name="Timeline of director, coder, tester; 2 hand-offs").press("Enter")
        expect(page).to_have_url(re.compile(f"/runs/{ui.run_id(LANES)}.*tab=timeline"))
    finally:
        request = urllib.request.Request(f"{server.url}/api/v1/runs/{ui.run_id(LANES)}", method="DELETE")
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200


VIEWS = {
    "now": "/now",
    "runs": "/runs?preview={team}",
    "nothing": "/runs?filter=name:none",
    "waterfall": "/runs/{team}?span={call}",
    "tree": "/runs/{team}?tab=tree",
    "timeline": "/runs/{team}?tab=timeline",
    "transcript": "/runs/{team}?tab=transcript",
    "decisions": "/runs/{team}?tab=decisions",
    "logs": "/runs/{team}?tab=logs",
    "compare": "/compare/{team}/{failed}",
}


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_every_view_is_accessible_and_fits(open_page: Open, look: str) -> None:
    names = {"team": ui.run_id(ui.TEAM), "failed": ui.run_id(ui.FAILED), "call": ui.span_id(5)}
    page = open_page("/now", width=390 if look == "phone" else 1280, dark=look == "dark")
    base = page.url.removesuffix("/now")
    found = {}
    for name, path in VIEWS.items():
        page.goto(base + path.format(**names))
        page.locator("main h1, main .empty").first.wait_for()
        page.locator("[aria-busy=true]").first.wait_for(state="detached")
        trouble = ui.serious(page)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            trouble.append("it is wider than the window")
        if trouble:
            found[name] = trouble
    assert not found, "\n".join(f"{name}: {line}" for name, lines in found.items() for line in lines)


def test_hostile_content_is_shown_and_does_nothing(open_page: Open) -> None:
    run = ui.run_id(ui.HOSTILE)
    page = open_page("/runs")
    expect(rows(page).filter(has_text="<script>")).to_be_visible()
    for path in (
        f"/runs/{run}",
        f"/runs/{run}?tab=tree",
        f"/runs/{run}?tab=transcript",
        f"/runs/{run}?span={ui.span_id(3)}",
        f"/compare/{run}/{run}",
    ):
        page.goto(page.url.split("/runs")[0].split("/compare")[0] + path)
        expect(page.locator("main")).to_contain_text("<img src=x")
        assert page.title() == "Clew"
        assert page.locator("img, main script, a[href^=javascript]").count() == 0
    page.goto(page.url.split("/compare")[0] + f"/runs/{run}?span={ui.span_id(2)}")
    panel = page.get_by_role("complementary", name="Selected")
    panel.get_by_role("button", name=re.compile("Load .* MiB")).click()
    expect(panel).to_contain_text("Show more")
    assert page.evaluate("document.body.innerText.length") < 100_000
    assert page.evaluate(r"/[\u0000-\u0008\u001b]/.test(document.body.innerText)") is False


def evil_name(number: int) -> str:
    """Names of every bad sort: script, control characters, text from right to left, without end, empty."""
    sorts = (
        f"<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>{number}",
        f"\u202egnp.exe\u202c شكرا \u0007\x1b[31m{number}",
        f"{number}{'w' * 5000}",
        f"{number} {'a b ' * 500}",
        f'"{number}" OR ) \\ -agent:* ?#&%/..',
        "\u200b" * 50 + str(number),
    )
    return sorts[number % len(sorts)]


@pytest.fixture
def evil(server: Any) -> Iterator[list[str]]:
    """A run of agents with such names, each below the last, a thousand deep, that end in a failure of 10 MB; the names. It goes afterwards."""
    names = [evil_name(number) for number in range(24)]
    server.send(
        *(
            ui.span(number + 1, EVIL, number, kind="agent", name=name, at=0, seconds=10, **{"gen_ai.agent.name": name})
            for number, name in ((number, names[number % len(names)]) for number in range(1000))
        )
    )
    script = names[0]
    failed = script + "\u202e\x00\u0007" + "x" * 10_000_000
    worst: dict[str, Any] = {"gen_ai.agent.name": script, "error.type": script, "gen_ai.tool.name": names[1]}
    server.send(ui.span(1001, EVIL, 1000, kind="tool", name=script, at=1, seconds=1, failed=failed, **worst))
    server.until("stats", lambda stats: stats["waiting"] == 0 and stats["settled"])
    yield names
    request = urllib.request.Request(f"{server.url}/api/v1/runs/{ui.run_id(EVIL)}", method="DELETE")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200


def test_no_page_is_harmed_by_what_runs_call_themselves(open_page: Open, server: Any, evil: list[str]) -> None:
    only = f"filter=run:{ui.run_id(EVIL)}"
    error = server.get(f"errors?{only}")["errors"][0]["fingerprint"]
    pages = {
        f"/errors?{only}": ".table-row",
        f"/errors?{only}&error={error}": ".side .facts, .side h2",
        f"/agents?{only}&with=tool": ".graph[data-laid=yes] .graph-node",
        f"/agents?{only}&sort=calls": ".table-row",
        f"/agents/{urllib.parse.quote(evil[0], safe='')}": ".table-row",
        f"/agents/{urllib.parse.quote(evil[4], safe='')}": ".table-row",
        f"/dashboards/agent-overview?{only}&time=1d": ".panel td",
        f"/dashboards/errors?{only}&time=1d": ".panel td",
        f"/dashboards/performance?{only}&time=1d": ".panel td",
        f"/runs/{ui.run_id(EVIL)}?tab=graph": ".graph[data-laid=yes] .graph-node",
        f"/runs/{ui.run_id(EVIL)}?span={ui.span_id(1001)}": ".side",
        "/now": ".now-run",
    }
    harmed = []
    for width in (1280, 390):
        page = open_page("/runs", width=width)
        for path, painted in pages.items():
            page.goto(server.url + path)
            page.locator(painted).first.wait_for()
            page.locator("[aria-busy=true]").first.wait_for(state="detached")
            wrong = {
                "a script ran": page.title() != "Clew",
                "markup came through": page.locator("main img, main script, main a[href^=javascript]").count() > 0,
                "it is wider than the window": page.evaluate("document.documentElement.scrollWidth > innerWidth"),
                "control characters are in it": page.evaluate(r"/[\u0000-\u0008\u001b\u202e]/.test(document.body.innerText)"),
                "all of the message is in it": page.evaluate("document.body.innerHTML.length > 2_000_000"),
            }
            harmed += [f"{path} at {width}: {what}" for what, is_so in wrong.items() if is_so]
    assert not harmed, "\n".join(harmed)


def test_a_tree_a_thousand_deep_is_shown(open_page: Open) -> None:
    page = open_page(f"/runs/{ui.run_id(ui.DEEP)}")
    tree = page.get_by_role("tree")
    expect(tree).to_have_attribute("data-rows", "1000")
    tree.focus()
    page.keyboard.press("j")
    expect(page.get_by_role("complementary", name="Selected")).to_contain_text("level 0")


SIZE = 1201
"""Spans of a run that are more than are asked for first."""


def large_run(server: Any, number: int) -> str:
    """A run that goes on; its id."""
    run: str = ui.run_id(number)
    server.send(
        ui.span(1, number, kind="workflow", name="a long day", at=0, seconds=None),
        *(ui.span(at + 2, number, 1, kind="tool", name=f"step {at}", at=at / 100, seconds=0.01) for at in range(SIZE - 1)),
        resource={"service.name": "program", "service.instance.id": "one"},
    )
    server.until(f"runs?filter=run:{run}", lambda page: page["runs"] and page["runs"][0]["spans"] == SIZE)
    return run


def test_a_large_run_is_painted_from_its_beginning_and_then_whole(open_page: Open, server: Any) -> None:
    run = large_run(server, 95)
    page = open_page("/system")
    page.locator("h1").wait_for()
    held: list[Any] = []
    whole = re.compile(f"/api/v1/runs/{run}$")
    page.route(whole, lambda route: held.append(route))
    with page.expect_request(whole):
        page.goto(f"{server.url}/runs/{run}")
    tree = page.get_by_role("tree")
    expect(tree).to_have_attribute("data-rows", "1000")
    expect(page.locator(".run-figures")).to_contain_text("1,201 (the first 1,000 are here)")
    tree.focus()
    page.keyboard.press("j")
    page.keyboard.press("j")
    selected = page.get_by_role("complementary", name="Selected")
    expect(selected).to_contain_text("step 0")
    held[0].continue_()
    expect(tree).to_have_attribute("data-rows", str(SIZE))
    expect(page.locator(".run-coming")).to_have_count(0)
    expect(selected).to_contain_text("step 0")

    page.unroute(whole)  # it goes on: from now on all of it is asked for, and its beginning no more
    again: list[str] = []
    page.on("request", lambda asked: again.append(asked.url) if f"/api/v1/runs/{run}?limit" in asked.url else None)
    server.send(
        ui.span(SIZE + 1, 95, 1, kind="tool", name="one more", at=20, seconds=1),
        resource={"service.name": "program", "service.instance.id": "one"},
    )
    expect(tree).to_have_attribute("data-rows", str(SIZE + 1))
    assert again == []


def test_a_large_run_of_which_the_rest_does_not_come_shows_its_beginning_and_why(open_page: Open, server: Any) -> None:
    run = large_run(server, 96)
    page = open_page("/system")
    page.locator("h1").wait_for()
    refused = {"error": "Busy", "message": "too much is asked at once"}
    page.route(re.compile(f"/api/v1/runs/{run}$"), lambda route: route.fulfill(status=429, json=refused))
    page.goto(f"{server.url}/runs/{run}")
    expect(page.locator(".cut-note")).to_contain_text("Only the first 1,000 spans of 1,201 are shown: too much is asked at once.")
    expect(page.get_by_role("tree")).to_have_attribute("data-rows", "1000")
    expect(page.locator(".run-coming")).to_have_count(0)


def test_a_scroll_draws_at_once_and_tells_screen_readers_when_it_rests(open_page: Open) -> None:
    page = open_page(f"/runs/{ui.run_id(ui.DEEP)}")
    tree = page.get_by_role("tree")
    expect(tree.get_by_role("treeitem").first).to_contain_text("level 0")
    drawn = "document.querySelector('.waterfall canvas').toDataURL()"
    before = page.evaluate(drawn)
    page.clock.install()
    page.clock.pause_at(page.evaluate("Date.now()") + 60_000)
    told = tree.get_by_role("treeitem").all_inner_texts()
    for _ in range(5):
        tree.evaluate(
            "(tree) => new Promise((done) => { tree.addEventListener('scroll', () => done(), {once: true}); tree.scrollTop += 2000; })"
        )
        page.clock.run_for(20)
    assert page.evaluate(drawn) != before
    assert tree.get_by_role("treeitem").all_inner_texts() == told
    page.clock.run_for(1000)
    expect(tree.get_by_role("treeitem").first).to_contain_text("level 454")
    tree.focus()
    page.keyboard.press("j")
    chosen = tree.get_attribute("aria-activedescendant")
    assert chosen is not None
    expect(page.locator(f"#{chosen}")).to_contain_text("level 0")


def test_real_traces_read_well(open_page: Open, trail: Any) -> None:
    run = trail.get("runs?filter=agent:CodeAgent.run%20errors:>0%20cost:>0.9&limit=1")["runs"][0]
    page = open_page(f"/runs/{run['run_id']}?tab=transcript")
    expect(page.get_by_role("article").first).to_contain_text("system")
    expect(page.locator(".run-figures")).to_contain_text("anthropic/claude-3-7-sonnet-latest")
    page.keyboard.press("1")
    page.get_by_role("tree").focus()
    page.keyboard.press("e")
    expect(page.get_by_role("complementary", name="Selected")).to_contain_text("AgentExecutionError")


def test_the_first_view_loads_little(server: Any) -> None:
    """At most 300 KB gzip for /now: the page, what it names, and what its route loads."""
    from clew.server.pages import STATIC

    first = (STATIC / "index.html").read_text()
    wanted = set(re.findall(r"/(assets/[\w.-]+)", first))
    wanted |= {
        f"assets/{path.name}" for path in (STATIC / "assets").iterdir() if re.match(r"(Now|Chart|uPlot|live|Figures|Empty|when)", path.name)
    }
    seen: set[str] = set()
    while wanted - seen:
        name = (wanted - seen).pop()
        seen.add(name)
        if name.endswith(".js") and "index" not in name:
            text = (STATIC / name).read_text()
            wanted |= {f"assets/{one}" for one in re.findall(r'from"\./([\w.-]+\.js)"', text)}
    size = sum(len(gzip.compress((STATIC / name).read_bytes(), 6)) for name in seen)
    assert len(seen) >= 4
    assert size <= 300_000, f"{size} bytes in {sorted(seen)}"
