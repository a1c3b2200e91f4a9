"""Takes the pictures of the UI that docs/ui.md shows, of a server of its own with data made up for it (story.py):

    python tests/ui/pictures.py [NAME…]

Without a name it takes all.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import story
from conftest import Server, chromium, serving

HERE = Path(__file__).parents[2] / "docs" / "ui"
PHONE = (390, 844)
DATA_SHOWN = "/var/lib/clew"
"""Instead of the temporary directory."""


@dataclass(frozen=True)
class Picture:
    """How a picture is taken.

    :ivar path: the address, with what :func:`story.fill` names in braces
    :ivar size: of the window
    :ivar before: what is done with the page first
    """

    path: str
    size: tuple[int, int] = (1280, 800)
    dark: bool = False
    before: Callable[[Any], None] | None = None


def press(*keys: str) -> Callable[[Any], None]:
    def pressed(page: Any) -> None:
        for key in keys:
            page.keyboard.press(key)

    return pressed


def preview(text: str) -> Callable[[Any], None]:
    """Shows what is behind the first row that has a text, by the keyboard."""

    def shown(page: Any) -> None:
        rows = page.locator("[role=grid] .table-row").all_inner_texts()
        page.locator("[role=grid]").focus()
        press(*["j"] * (1 + next(at for at, row in enumerate(rows) if text in row)), " ")(page)

    return shown


def lanes(page: Any) -> None:
    page.locator(".lanes .handoff").first.wait_for()


def why_not(page: Any) -> None:
    page.get_by_role("button", name="Why not?").nth(1).click()


def add_panel(page: Any) -> None:
    page.get_by_role("button", name="Add a panel", exact=True).click()
    page.get_by_label("Title").fill("Calls by model, hour by hour")
    page.get_by_label("One SELECT").fill(
        "SELECT toStartOfHour(start_time) AS at, model, count() AS calls\nFROM model_calls\n"
        "WHERE start_ns BETWEEN {from:Int64} AND {to:Int64}\nGROUP BY at, model ORDER BY at"
    )
    page.get_by_label("Drawn as").select_option("line")
    page.get_by_role("button", name="Preview").click()
    page.get_by_role("region", name="Preview").locator("canvas").wait_for()


PICTURES = {
    "now": Picture("/now", (1280, 1100), before=lanes),
    "now-lanes": Picture("/now", (1280, 436), before=lanes),
    "runs": Picture("/runs?time=1d&preview={mended}"),
    "runs-dark": Picture("/runs?time=7d", dark=True),
    "waterfall": Picture("/runs/{mended}?span={red}"),
    "waterfall-dark": Picture("/runs/{stopped}?span={red_tester}", dark=True),
    "tree": Picture("/runs/{mended}?tab=tree"),
    "timeline": Picture("/runs/{mended}?tab=timeline"),
    "transcript": Picture("/runs/{mended}?tab=transcript"),
    "decisions": Picture("/runs/{mended}?tab=decisions&span={decision}", before=why_not),
    "graph": Picture("/runs/{stopped}?tab=graph&with=tool&span={red_tester}"),
    "logs": Picture("/runs/{mended}?tab=logs"),
    "compare": Picture("/compare/{mended}/{again}"),
    "help": Picture("/runs?time=1d", before=press("?")),
    "errors": Picture("/errors?time=1d&error={timeout}"),
    "errors-dark": Picture("/errors?time=1d&error={timeout}", dark=True),
    "errors-phone": Picture("/errors?time=1d", PHONE),
    "agents": Picture("/agents?filter=service:till&time=1d&with=tool&at=agent:tester"),
    "agents-profile": Picture("/agents/coder?time=1d"),
    "agents-many": Picture("/agents?filter=run:{many}"),
    "agents-errors-dark": Picture("/agents?filter=service:till&time=1d&with=tool&by=errors&at={edge}", dark=True),
    "search": Picture("/search?filter=umlauts+kind:llm", before=preview("chat")),
    "search-logs": Picture("/search?tab=logs&time=1d", dark=True),
    "sessions": Picture("/sessions?time=7d", before=preview("grace")),
    "dashboard-agents": Picture("/dashboards/agent-overview", (1280, 860)),
    "dashboard-cost": Picture("/dashboards/cost-tracking", (1280, 860)),
    "dashboard-performance": Picture("/dashboards/performance", (1280, 860)),
    "dashboard-errors": Picture("/dashboards/errors", (1280, 860)),
    "dashboard-tasks": Picture("/dashboards/task-analytics", (1280, 860), dark=True),
    "dashboard-personas": Picture("/dashboards/persona-overview", (1280, 860), dark=True),
    "dashboard-workflows": Picture("/dashboards/workflow-performance", (1280, 860)),
    "dashboard-own": Picture("/dashboards/my-team", (1280, 860), before=add_panel),
    "budgets": Picture("/budgets"),
    "budgets-dark": Picture("/budgets", dark=True, before=preview("coder")),
    "system": Picture("/system"),
    "phone-agents": Picture("/agents?filter=service:till&time=1d", PHONE),
    "phone-budgets": Picture("/budgets", PHONE),
    "phone-dashboard": Picture("/dashboards/cost-tracking", PHONE),
    "phone-graph": Picture("/runs/{stopped}?tab=graph", PHONE),
    "phone-run": Picture("/runs/{mended}", PHONE),
    "phone-runs": Picture("/runs?time=1d", PHONE, dark=True),
    "phone-search": Picture("/search?filter=umlauts", PHONE),
    "phone-system": Picture("/system", PHONE),
    "phone-transcript": Picture("/runs/{mended}?tab=transcript", PHONE),
}


def settled(page: Any) -> None:
    """Waits until the page shows what it asked for."""
    page.locator("main h1").first.wait_for()
    page.wait_for_function("() => !document.querySelector('[aria-busy=true], .skeleton')")
    if page.locator(".graph").count():
        page.locator(".graph[data-laid=yes] .graph-node").first.wait_for()
    page.wait_for_timeout(700)


def take(browser: Any, server: Server, data: Path, name: str, known: dict[str, str]) -> None:
    picture = PICTURES[name]
    width, height = picture.size
    look = {"viewport": {"width": width, "height": height}, "color_scheme": "dark" if picture.dark else "light"}
    context = browser.new_context(**look, reduced_motion="reduce", locale="en-GB", timezone_id="UTC")

    def elsewhere(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace(str(data), DATA_SHOWN))

    context.route(re.compile("/api/v1/(stats|budgets|health)"), elsewhere)
    page = context.new_page()
    page.goto(server.url + picture.path.format(**known))
    settled(page)
    if picture.before:
        picture.before(page)
        settled(page)
    page.screenshot(path=HERE / f"{name}.png")
    context.close()


def main(names: list[str]) -> None:
    unknown = [name for name in names if name not in PICTURES]
    if unknown:
        sys.exit(f"no such picture: {', '.join(unknown)}; there are {', '.join(PICTURES)}")
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory) / "clew"
        with serving(data) as server:
            known = story.fill(server, data)
        with serving(data) as server, chromium() as browser:  # anew, for it accounts for what is kept when it starts
            for name in names or PICTURES:
                take(browser, server, data, name, known)
                print(name)


if __name__ == "__main__":
    main(sys.argv[1:])
