"""Errors in Chromium: groups with their history, one of them with the way to its failures; facets with counts of all that matches."""

from __future__ import annotations

import importlib.util
import re
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect", "fastapi", "grpc", "uvicorn", "playwright")

_spec = importlib.util.spec_from_file_location("ui_error_fixtures", Path(__file__).parent / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
ui: Any = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = ui  # where dataclasses look
_spec.loader.exec_module(ui)

Open = Callable[..., Any]
FIRST = 200
FAILURES = 4
FILTER = "service:shop"
WIDTHS = [(1280, False), (1280, True), (390, False)]


def rows(page: Any) -> Any:
    return page.locator("[role=grid] .table-row")


def panel(page: Any) -> Any:
    return page.get_by_role("complementary", name="Selected")


def expect(of: Any) -> Any:
    from playwright.sync_api import expect

    return expect(of)


@pytest.fixture(scope="module")
def shop(server: Any) -> Iterator[Any]:
    """Runs of a program of its own: calls of a tool, of which those in one region fail alike, and travel up. They are deleted afterwards."""
    for run in range(FIRST, FIRST + 16):
        failing = run < FIRST + FAILURES
        said = {"gen_ai.tool.name": "pay", "region": "north" if failing else "south", "error.type": "PayError" if failing else ""}
        text = f"card {run} was refused by <b>bank</b> after {run} ms" if failing else None
        payment = ui.span(3, run, 2, kind="tool", name="pay", at=1, seconds=1, failed=text, **{key: said[key] for key in said if said[key]})
        if failing:
            stack = {
                "exception.type": "PayError",
                "exception.message": text,
                "exception.stacktrace": f"Traceback\n  pay.py, line 7\nPayError: {text}",
            }
            payment["events"] = [{"timeUnixNano": payment["endTimeUnixNano"], "name": "exception", "attributes": ui.Otlp.attributes(stack)}]
        server.send(
            ui.span(1, run, kind="workflow", name="order", at=0, seconds=3, failed=text and f"the order failed: PayError: {text}"),
            ui.span(2, run, 1, kind="agent", name="clerk", at=0, seconds=3, failed=text, **{"gen_ai.agent.name": "clerk"}),
            payment,
            *(
                ui.span(4 + n, run, 2, kind="tool", name="pay", at=2, seconds=0.5, **{"gen_ai.tool.name": "pay", "region": "south"})
                for n in range(2)
            ),
            resource={"service.name": "shop"},
        )
    server.until(f"spans/count?filter={FILTER}", lambda found: found["count"] == 16 * 5)
    server.until("stats", lambda stats: stats["waiting"] == 0 and stats["settled"])
    yield server
    for run in range(FIRST, FIRST + 16):
        urllib.request.urlopen(urllib.request.Request(f"{server.url}/api/v1/runs/{ui.run_id(run)}", method="DELETE")).close()


def test_failures_are_grouped_counted_once_and_opened_by_the_keyboard(open_page: Open, shop: Any) -> None:
    page = open_page(f"/errors?filter={FILTER}")
    expect(rows(page)).to_have_count(1)
    expect(rows(page).first).to_contain_text("card # was refused by <b>bank</b> after # ms")
    expect(page.locator(".page-title p")).to_contain_text("4 failures of 1 error in 4 runs")
    page.locator("[role=grid]").focus()
    page.keyboard.press("j")
    page.keyboard.press(" ")
    expect(panel(page)).to_contain_text("PayError")
    expect(panel(page)).to_contain_text("clerk")
    expect(panel(page).locator(".apart")).to_contain_text("@region")
    expect(panel(page).locator(".apart")).to_contain_text("north")
    expect(panel(page).locator(".error-stack")).to_contain_text("pay.py, line 7")
    expect(page).to_have_url(re.compile("error=[0-9a-f]{16}"))
    page.reload()
    expect(panel(page).locator(".failure")).to_have_count(FAILURES)
    panel(page).locator(".failure a").first.click()
    expect(page).to_have_url(re.compile(rf"/runs/{ui.run_id(FIRST)[:29]}.*span={ui.span_id(3)}"))
    page.go_back()
    expect(panel(page)).to_contain_text("PayError")
    page.keyboard.press("Escape")
    expect(panel(page)).to_have_count(0)


def test_what_sets_an_error_apart_becomes_a_filter_and_its_spans_are_found(open_page: Open, shop: Any) -> None:
    page = open_page(f"/errors?filter={FILTER}")
    rows(page).first.click()
    panel(page).get_by_role("button", name="north").click()
    expect(page.get_by_label("Filter", exact=True)).to_have_value(f"{FILTER} @region:north")
    expect(rows(page)).to_have_count(1)
    panel(page).get_by_role("link", name="Its spans").click()
    expect(page).to_have_url(re.compile("/search"))
    expect(rows(page)).to_have_count(FAILURES)
    page.go_back()
    panel(page).get_by_role("link", name="Its runs").click()
    expect(page).to_have_url(re.compile("/runs"))
    expect(rows(page)).to_have_count(FAILURES)


def test_what_is_new_is_told_from_what_is_not(open_page: Open, shop: Any) -> None:
    page = open_page(f"/errors?filter={FILTER}&time=1d")
    expect(rows(page).first.locator(".error-state")).to_contain_text("new")
    page.get_by_role("button", name="gone").click()
    expect(page.get_by_text("Nothing failed here")).to_be_visible()
    page.get_by_role("button", name=re.compile("^new")).click()
    expect(rows(page)).to_have_count(1)
    page.get_by_label("Order").select_option("last")
    expect(page).to_have_url(re.compile("order=last"))
    expect(rows(page)).to_have_count(1)


def test_an_error_that_is_not_there_and_a_filter_without_failures_say_so(open_page: Open, shop: Any) -> None:
    page = open_page("/errors?error=0000000000000000")
    expect(panel(page)).to_contain_text("no error has a fingerprint")
    page.goto(page.url.split("?")[0] + "?filter=name:none")
    expect(page.get_by_text("Nothing failed here")).to_be_visible()
    page.get_by_role("button", name="Show all errors").click()
    expect(rows(page).filter(has_text="PayError")).to_be_visible()


@pytest.mark.parametrize(("width", "dark"), WIDTHS)
def test_errors_are_accessible_and_fit(open_page: Open, shop: Any, width: int, dark: bool) -> None:
    page = open_page(f"/errors?filter={FILTER}", width=width, dark=dark)
    expect(rows(page)).to_have_count(1)
    assert ui.serious(page) == []
    rows(page).first.click()
    expect(panel(page).locator(".failure")).to_have_count(FAILURES)
    assert ui.serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_hostile_failures_are_shown_as_text(open_page: Open, shop: Any) -> None:
    page = open_page(f"/errors?filter=run:{ui.run_id(ui.HOSTILE)}")
    expect(rows(page).first).to_contain_text("<script>")
    rows(page).first.click()
    expect(panel(page).locator(".message")).to_contain_text("<img src=x")
    assert page.title() == "Clew"
    assert page.locator("main img, main script, main b").count() == 0
    assert page.evaluate(r"/[\u0000-\u0008\u001b\u202e]/.test(document.body.innerText)") is False


def test_facets_count_all_that_matches_and_not_only_what_is_listed(open_page: Open, shop: Any) -> None:
    page = open_page(f"/search?filter=kind:tool run:{ui.run_id(ui.DEEP)}")
    expect(rows(page).first).to_be_visible()
    expect(page.locator(".facet-value", has_text="tool")).to_contain_text("1k")
    page.goto(page.url.split("/search")[0] + f"/errors?filter={FILTER}")
    expect(page.locator(".facet-value", has_text="PayError")).to_contain_text(str(FAILURES))
    page.locator(".facet-value", has_text="clerk").click()
    expect(page.get_by_label("Filter", exact=True)).to_have_value(f"{FILTER} agent:clerk")
    expect(rows(page)).to_have_count(1)
