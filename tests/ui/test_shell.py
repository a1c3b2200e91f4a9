"""What stands around every page, in Chromium: a phone's navigation, dialogs, and a filter that came along."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect", "fastapi", "grpc", "uvicorn", "playwright")

_spec = importlib.util.spec_from_file_location("ui_shell_fixtures", Path(__file__).parent / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
ui: Any = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = ui  # where dataclasses look
_spec.loader.exec_module(ui)

Open = Callable[..., Any]


def expect(of: Any) -> Any:
    from playwright.sync_api import expect

    return expect(of)


def test_a_phone_reaches_every_page_without_scrolling_sideways(open_page: Open) -> None:
    page = open_page("/runs", width=390)
    page.locator("h1").wait_for()
    bar = page.get_by_role("navigation", name="Pages")
    assert bar.evaluate("bar => bar.scrollWidth <= bar.clientWidth")
    bar.get_by_role("link", name="Errors").click()
    expect(page).to_have_url(re.compile("/errors"))
    bar.get_by_role("button", name="More").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("link", name="Budgets")).to_be_visible()
    expect(dialog.get_by_role("link")).to_have_count(page.locator(".rail ul li:not(.rail-more)").count())
    assert ui.serious(page) == []
    dialog.get_by_role("link", name="System").click()
    expect(page).to_have_url(re.compile("/system"))
    expect(dialog).to_have_count(0)


@pytest.mark.parametrize("dark", [False, True])
def test_help_and_the_palette_are_accessible(open_page: Open, dark: bool) -> None:
    page = open_page("/runs", dark=dark)
    page.locator("h1").wait_for()
    for keys in ("?", "Control+k"):
        page.keyboard.press(keys)
        expect(page.get_by_role("dialog")).to_be_visible()
        assert ui.serious(page) == []
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("time", ["", "&time=1d"])
def test_a_field_that_came_along_and_is_not_known_here_is_left_out(open_page: Open, time: str) -> None:
    page = open_page(f"/runs?filter=status:error scope:test{time}")
    alert = page.get_by_role("alert").first
    expect(alert).to_contain_text("This page has no scope:test")
    alert.get_by_role("button", name="Leave it out").click()
    expect(page.get_by_label("Filter", exact=True)).to_have_value("status:error")
    expect(page.locator("[role=grid] .table-row").first).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


LISTS = {
    "/runs": ("/api/v1/runs", "/api/v1/runs/summary"),
    "/search?filter=kind:llm": ("/api/v1/spans", "/api/v1/facets"),
    "/search?tab=logs": ("/api/v1/logs", "/api/v1/facets"),
    "/sessions": ("/api/v1/sessions", "/api/v1/facets"),
    "/errors": ("/api/v1/errors", "/api/v1/facets"),
}


@pytest.mark.parametrize("path", LISTS)
def test_what_stands_beside_a_list_is_asked_for_once_the_list_is_there(open_page: Open, server: Any, path: str) -> None:
    of_list, beside = LISTS[path]
    page = open_page("/system")
    page.locator("h1").wait_for()
    asked: list[str] = []

    def held(route: Any) -> None:
        asked.append(f"{urlsplit(route.request.url).path} is asked")
        route.fulfill(response=route.fetch())
        asked.append(f"{urlsplit(route.request.url).path} is answered")

    page.route(re.compile(f"({of_list}|{beside})[?]"), held)
    with page.expect_response(lambda answer: urlsplit(answer.url).path == beside):
        page.goto(server.url + path)
    assert asked.index(f"{of_list} is answered") < asked.index(f"{beside} is asked")
