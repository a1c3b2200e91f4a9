"""Search, sessions, budgets and the collector's account in Chromium, by pointer and by keyboard."""

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

_spec = importlib.util.spec_from_file_location("ui_account_fixtures", Path(__file__).parent / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
ui: Any = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = ui  # where dataclasses look
_spec.loader.exec_module(ui)

Open = Callable[..., Any]
TALK, TALK_AGAIN, CUT = 70, 71, 72
WIDTHS = [(1280, False), (1280, True), (390, False)]


def rows(page: Any) -> Any:
    return page.locator("[role=grid] .table-row")


def expect(of: Any) -> Any:
    from playwright.sync_api import expect

    return expect(of)


def fits(page: Any) -> bool:
    """Whether neither the page nor its table is wider than the window."""
    made: bool = page.evaluate(
        "() => [document.documentElement, ...document.querySelectorAll('.table-scroll')].every(one => one.scrollWidth <= one.clientWidth + 1)"
    )
    return made


@pytest.fixture(scope="module")
def talks(server: Any) -> Iterator[Any]:
    """The server with two runs of one session and a log record of one of them; their run, session and record go afterwards."""
    said = {"session.id": "talk-1", "user.id": "ada", "gen_ai.agent.name": "host"}
    for run in (TALK, TALK_AGAIN):
        server.send(
            ui.span(1, run, kind="agent", name="talk", at=0, seconds=3, **said, **({"failed": "it stopped"} if run == TALK_AGAIN else {})),
            ui.call(2, run, 1, 1, ui.message("user", "Where is the lighthouse keeper?"), answer="In the Lighthouse <b>tower</b>"),
        )
    record = {
        "timeUnixNano": "1700000000000000000",
        "severityNumber": 17,
        "body": {"stringValue": "the lighthouse went dark"},
        "traceId": ui.run_id(TALK),
        "spanId": ui.span_id(2),
    }
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()
    request = urllib.request.Request(f"{server.url}/v1/logs", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
    server.until("sessions?filter=session:talk-1", lambda page: page["sessions"] and page["sessions"][0]["runs"] == 2)
    server.until("logs?filter=lighthouse", lambda page: page["logs"])
    yield server
    for run in (TALK, TALK_AGAIN):
        with urllib.request.urlopen(urllib.request.Request(f"{server.url}/api/v1/runs/{ui.run_id(run)}", method="DELETE")) as answer:
            assert answer.status == 200


def test_words_are_found_in_what_models_said_and_the_span_opens_in_its_run(open_page: Open, talks: Any) -> None:
    page = open_page("/search")
    expect(rows(page).first).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("lighthouse kind:llm")
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(2)
    expect(page.locator(".page-title p")).to_contain_text("2 spans match, none failed, in 2 runs")
    expect(rows(page).first.locator("mark").first).to_have_text(re.compile("lighthouse", re.IGNORECASE))
    page.locator("[role=grid]").focus()
    page.keyboard.press("j")
    page.keyboard.press(" ")
    panel = page.get_by_role("complementary", name="Selected")
    expect(panel.locator("mark", has_text=re.compile("^Lighthouse$"))).to_be_visible()
    expect(panel).to_contain_text("<b>tower</b>")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/runs/{ui.run_id(TALK)[:24]}.*span={ui.span_id(2)}"))
    page.go_back()
    expect(rows(page)).to_have_count(2)
    page.keyboard.press("2")
    page.get_by_label("Filter", exact=True).fill("lighthouse")
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(1)
    expect(rows(page).locator("mark")).to_have_text("lighthouse")
    expect(page.locator(".page-title p")).to_contain_text("1 error")
    rows(page).click()
    expect(page).to_have_url(re.compile(f"/runs/{ui.run_id(TALK)}"))


def test_a_search_goes_on_as_the_reader_scrolls_and_each_span_is_there_once(open_page: Open, talks: Any) -> None:
    page = open_page("/search")
    answers: list[Any] = []
    page.on(
        "response", lambda answer: answers.append(answer) if "/api/v1/spans?" in answer.url and ui.run_id(ui.DEEP) in answer.url else None
    )
    page.get_by_label("Filter", exact=True).fill(f"run:{ui.run_id(ui.DEEP)}")
    page.keyboard.press("Enter")
    expect(page.locator(".page-title p")).to_contain_text("1,000 spans match; of the newest 100")
    page.locator("[role=grid]").focus()
    page.keyboard.press("Shift+G")
    expect(page.locator("[role=grid]")).to_have_attribute("aria-rowcount", "201")
    page.keyboard.press("Shift+G")
    expect(page.locator("[role=grid]")).to_have_attribute("aria-rowcount", "301")
    found = [hit["span_id"] for answer in answers for hit in answer.json()["hits"]]
    assert len(found) == len(set(found)) >= 300


def test_a_search_without_a_hit_says_so_and_leads_back(open_page: Open, talks: Any) -> None:
    page = open_page("/search?filter=nowhereatall")
    expect(page.get_by_role("heading", name="No span matches")).to_be_visible()
    page.get_by_role("button", name="Show all spans").click()
    expect(rows(page).first).to_be_visible()
    page.goto(page.url.split("?")[0] + "?filter=agnet:x")
    expect(page.get_by_role("alert").first).to_contain_text("did you mean agent?")


def test_a_session_shows_its_runs_and_leads_to_them(open_page: Open, talks: Any) -> None:
    page = open_page("/sessions")
    expect(page.locator(".page-title p")).to_contain_text("1 session with 2 runs; 1 had a run that failed; talk-1 cost most")
    page.locator("[role=grid]").focus()
    page.keyboard.press("j")
    page.keyboard.press(" ")
    expect(page.get_by_role("complementary", name="Selected").get_by_role("link", name="talk")).to_have_count(2)
    page.locator(".facet-value", has_text="ada").click()
    expect(page).to_have_url(re.compile(r"filter=user(:|%3A)ada"))
    page.locator("[role=grid]").focus()
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/runs\?filter=session(:|%3A)talk-1"))
    expect(rows(page)).to_have_count(2)


def test_budgets_say_how_to_make_one_and_then_how_they_stand(open_page: Open, server: Any) -> None:
    file = Path(server.get("health")["data_dir"]) / "budgets.toml"
    page = open_page("/budgets")
    expect(page.get_by_role("heading", name="No budget is declared")).to_be_visible()
    expect(page.locator(".empty code")).to_have_text("clew budgets set daily --usd 5 --window day")
    file.write_text('[[budget]]\nname = "daily"\nusd = 5.0\nwindow = "day"\n[[budget]]\nname = "crew"\ntokens = 20000\nhard = false\n')
    try:
        page.reload()
        expect(rows(page)).to_have_count(2)
        expect(page.locator(".page-title p")).to_contain_text("nothing was spent of them yet")
        daily = rows(page).filter(has_text="daily")
        expect(daily).to_contain_text("of $5.00")
        expect(daily.get_by_role("img")).to_have_attribute("aria-label", re.compile(r"\$0 of \$5.00 spent; Tells at 80 %, 95 %, 100 %"))
        expect(rows(page).filter(has_text="crew").locator(".unknown")).to_have_attribute("data-hint", "It has no end to project to.")
        daily.click()
        expect(page.get_by_role("complementary", name="Selected")).to_contain_text("refuses the call before it is made")
        page.keyboard.press("Escape")
        expect(page.get_by_role("complementary", name="Selected")).to_have_count(0)
        assert ui.serious(page) == []
        page.goto(page.url.split("/budgets")[0] + "/now")
        section = page.get_by_role("region", name="Budgets")
        expect(section.get_by_role("listitem").filter(has_text="daily")).to_contain_text("$0 of $5.00")
        assert ui.serious(page) == []
    finally:
        file.unlink()


def test_the_system_accounts_for_all_that_was_received(open_page: Open, talks: Any) -> None:
    talks.until("stats", lambda stats: stats["waiting"] == 0)
    page = open_page("/system")
    stats = talks.get("stats")
    expect(page.locator(".page-title p")).to_contain_text(f"All {stats['received']:,} records that were received are accounted for")
    for line in stats["lines"]:
        row = rows(page).filter(has_text=line["signal"])
        assert row.locator("[role=gridcell]").nth(1).inner_text() == f"{line['received']:,}"
    for part in ("Storage", "Retention", "Faults"):
        expect(page.get_by_role("region", name=part)).to_be_visible()
    expect(page.get_by_role("region", name="Retention")).to_contain_text("30 days")


def test_the_system_says_what_was_cut_beyond_the_limits_of_a_record(open_page: Open, talks: Any) -> None:
    page = open_page("/system")
    note = page.locator(".system-cut")
    expect(note).to_contain_text("No record was cut")
    many = {f"attribute.{number}": number for number in range(10_001)}
    talks.send(ui.span(1, CUT, kind="tool", name="chatty", at=0, seconds=1, **many))
    cut = talks.until("stats", lambda stats: stats["cut"].get("attributes") and stats)["cut"]
    try:
        page.reload()
        expect(note).to_contain_text(f"{cut['attributes']} attribute")
        expect(note).to_contain_text("left out. The records are stored.")
        expect(rows(page).filter(has_text="traces").locator("[role=gridcell]").nth(5)).to_contain_text(f"▲ {sum(cut.values())}")
    finally:
        request = urllib.request.Request(f"{talks.url}/api/v1/runs/{ui.run_id(CUT)}", method="DELETE")
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("path", ["/search?filter=lighthouse", "/search?tab=logs", "/sessions", "/budgets", "/system"])
def test_it_is_accessible_and_fits_in_light_and_dark_and_on_a_phone(open_page: Open, talks: Any, path: str) -> None:
    for width, dark in WIDTHS:
        page = open_page(path, width=width, dark=dark)
        expect(page.locator("[role=grid] .table-row, .empty").first).to_be_visible()
        assert fits(page), (width, dark)
        assert ui.serious(page) == [], (width, dark)


def test_a_phone_has_the_facets_behind_a_button(open_page: Open, talks: Any) -> None:
    page = open_page("/search?filter=lighthouse", width=390)
    expect(page.get_by_role("complementary", name=re.compile("Facets"))).to_be_hidden()
    page.get_by_role("button", name="Facets").click()
    page.locator(".facet-value", has_text="llm").click()
    page.get_by_role("button", name="Facets").click()
    expect(page).to_have_url(re.compile(r"kind(:|%3A)llm"))
    expect(rows(page)).to_have_count(2)
