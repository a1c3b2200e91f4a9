"""The web UI in Chromium, with 10 million spans behind it: how long until a view is painted, how a large run scrolls, what a live tail keeps.

The store is that of large.py; a run of 50,000 spans is sent to it over OTLP. Each view is opened ``--repeat`` times by its link in a fresh profile
(*cold*: nothing cached), and as often again in one that has seen it (*again*); searches are typed as well, and counted from the Enter. Every time another word,
agent or run is asked for, so no answer was warm. A view counts as painted when all of it is there: the last panel, the last column; of a search, the
rows (*all of it*: also the facets, the passages and how many match, which are asked for once the rows are there).

    python benchmarks/ui.py [--spans N] [--dir DIR --keep] [--repeat N] [--tail-minutes N] [--phoenix-minutes N] [--json]

--dir and --keep are those of large.py, which leaves a store that is used here; it then also keeps what is sent here. --tail-minutes leaves three pages open (Now, Runs and a
run that goes on) while spans arrive, and looks at their memory. --phoenix-minutes sends spans to Phoenix (peers.py) for that time, then opens its pages of the same
kind in the same browser. The goals are printed as met or missed, never asserted: the machine may have other work, which the load average beside the figures shows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import browser
import large
import phoenix_ui
import spans
from serve import Server

LARGE_RUN = 50_000
SCROLL_STEPS = 600
"""Frames in which all of the large run passes: about 83 rows each."""
SAMPLE_S = 20.0
SETTLED_SHARE = 1 / 3
"""Of a tail's time, that in which a page fills its caches; the slope counts from then on."""

Values = dict[str, list[str]]


@dataclass(frozen=True)
class View:
    """A view, and what is on it when it is painted: expressions of JavaScript by name. The last one is all of it; the goals are for ``counts``."""

    name: str
    path: str
    """With {} for a value of ``values``."""
    marks: dict[str, str]
    values: str = ""
    counts: str = "all"
    must_ms: float = 1000.0
    goal_ms: float = 300.0
    typed: bool = False
    """Whether it is also typed: the value into the filter, on a page that lists nothing."""


def has(*selectors: str) -> str:
    return " && ".join(f"document.querySelector({json.dumps(one)})" for one in selectors)


ROWS = has(".table-row")
COUNTED = "/^[0-9,]+ spans?( and more)? match/.test(document.querySelector('.page-title p')?.textContent)"
FOUND = {"rows": ROWS, "facets": f"{ROWS} && {has('.facet-row')}", "all": f"{ROWS} && {has('.facet-row')} && {COUNTED}"}
"""What is found; its facets come after it and say how many match, or that the newest 2,000 and more do."""
WORDS = FOUND | {"all": f"{FOUND['all']} && {has('.table-row mark')}"}
BEGUN = f"window.__drawn('waterfall') && {has('.minimap canvas', '.run-figures')}"
RUN = {"drawn": BEGUN, "all": f"{BEGUN} && !document.querySelector('.run-coming')"}
"""Of a large one first the beginning; then all of it."""

PANELS = f"{has('.panel-body')} && !document.querySelector('.panel-skeleton, .panel-body[aria-busy=true]')"
DASHBOARDS = ("agent-overview", "task-analytics", "performance", "cost-tracking", "errors", "persona-overview", "workflow-performance")

VIEWS = (
    *(
        View(f"dashboard {name}, {title}", f"/dashboards/{name}?time={period}", {"all": PANELS})
        for name, period, title in ((DASHBOARDS[0], "30d", "30 days"), *((name, "1d", "a day") for name in DASHBOARDS))
    ),
    View(
        "Now",
        "/now",
        {
            "sentence": has(".now-sentence strong"),
            "all": "document.querySelectorAll('.now .uplot canvas').length === 3 && document.querySelectorAll('.now-lists section').length === 3"
            " && !document.querySelector('.now-lists .skeleton')",
        },
    ),
    View("Runs", "/runs", {"rows": ROWS, "all": f"{ROWS} && {has('.runs-histogram svg', '.facet-row', '.table-row .spark')}"}),
    View("a run of 20 spans", "/runs/{}", RUN, "run"),
    View(f"a run of {LARGE_RUN:,} spans", "/runs/{}", RUN, "large_run", "drawn"),
    View("search: a rare word", "/search?filter={}", WORDS, "rare", "rows", 500, 150, True),
    View("search: a word in 10 to 50 %", "/search?filter={}", WORDS, "common", "rows", 500, 150, True),
    View("search: an attribute", "/search?filter={}", FOUND, "attribute", "rows", 500, 150, True),
    View("search: errors of an agent", "/search?filter={}", FOUND, "failed", "rows", 500, 150, True),
)

FIRST = next(view for view in VIEWS if view.path == "/now")
"""Where / leads."""
FIELD = "[role=search] input, [role=search] textarea"
NOTHING = "/search?filter=name:nothing-has-this-name"


def values(url: str, large_run: str) -> Values:
    """What is asked for in the views, from all over the store."""
    rnd = random.Random(1)
    runs = sorted({run for _ in range(30) for run in some_runs(url, rnd.uniform(0.5, large.DAYS - 0.5))})
    of_runs = f"WHERE trace_id IN ({', '.join(map(repr, runs))})"
    texts = ask(url, f"SELECT DISTINCT extract(value, 'err[0-9a-f]{{8}}x?[0-9]*') AS e FROM contents {of_runs} AND e != ''")
    calls = ask(url, f"SELECT tool_call_id FROM tool_calls {of_runs}")
    found = {
        "rare": texts,
        "common": spans.WORDS[:40],
        "attribute": [f"@gen_ai.tool.call.id:{call}" for call in calls],
        "failed": [f"status:error agent:agent-{number}" for number in range(20)],
        "run": runs,
        "large_run": [large_run],
        "": [""],
    }
    for given in found.values():
        rnd.shuffle(given)
    return found


def some_runs(url: str, days_ago: float) -> list[str]:
    first, last = (f"{datetime.fromtimestamp(time.time() - days * 86400, UTC):%Y-%m-%dT%H:%M:%S}" for days in (days_ago, days_ago - 0.1))
    query = urllib.parse.urlencode({"filter": f"start:{first}..{last}", "limit": 4})
    return [run["run_id"] for run in browser.get(f"{url}/api/v1/runs?{query}")["runs"]]


def ask(url: str, query: str) -> list[str]:
    answer = json.loads(browser.post(f"{url}/api/v1/sql?timeout_s=60", json.dumps({"query": query}).encode(), "application/json"))
    return sorted(str(row[0]) for row in answer["rows"])


def measure_view(started: browser.Browser, url: str, view: View, given: Sequence[str], repeat: int) -> dict[str, Any]:
    """Milliseconds to each mark: cold, again and typed."""
    place = 0

    def address() -> tuple[str, str]:
        nonlocal place
        place += 1
        value = given[place % len(given)]
        return url + view.path.format(urllib.parse.quote(value)), value

    found: dict[str, list[dict[str, Any]]] = {"cold": [], "again": []}
    for _ in range(repeat):
        with started.profile() as profile:
            found["cold"].append(browser.load(profile, address()[0], view.marks))
    with started.profile() as profile:
        browser.load(profile, address()[0], view.marks)
        for _ in range(repeat):
            found["again"].append(browser.load(profile, address()[0], view.marks))
        if view.typed:
            for _ in range(repeat):
                found.setdefault("typed", []).append(browser.typed(profile, url + NOTHING, FIELD, address()[1], view.marks, ".empty"))
    return {
        "marks": {how: {mark: summary([one["marks"][mark] for one in every]) for mark in view.marks} for how, every in found.items()},
        "asked": asked(found["again"]),
        "counts": view.counts,
        "must_ms": view.must_ms,
        "goal_ms": view.goal_ms,
    }


def summary(times: Sequence[float]) -> dict[str, float]:
    ordered = sorted(times)
    p95 = statistics.quantiles(ordered, n=20, method="inclusive")[18] if len(ordered) > 1 else ordered[0]
    return {"p50_ms": statistics.median(ordered), "p95_ms": p95, "least_ms": ordered[0], "most_ms": ordered[-1]}


def asked(loads: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Median of each question to the server: how long, and when after the start."""
    times: dict[str, list[dict[str, float]]] = {}
    for one in loads:
        for question in one["asked"]:
            if question["path"].startswith(("/api/", "/graphql")) and question["path"] != "/api/v1/live":
                path = "/".join("ID" if len(part) == 32 else part for part in question["path"].split("/"))
                times.setdefault(path, []).append(question)
    return {path: {key: statistics.median(one[key] for one in every) for key in ("ms", "from", "bytes")} for path, every in times.items()}


def first_view(started: browser.Browser, url: str) -> dict[str, float]:
    """Bytes of the first view as they come over the wire."""
    with started.profile() as profile:
        found = browser.load(profile, url + "/", FIRST.marks)["asked"]
    sizes = {suffix: sum(one["bytes"] for one in found if one["path"].endswith(suffix)) for suffix in (".js", ".css")}
    return {"js_bytes": sizes[".js"], "css_bytes": sizes[".css"], "files": sum(one["path"].endswith((".js", ".css")) for one in found)}


def scrolled(started: browser.Browser, url: str, run: str, repeat: int) -> dict[str, Any]:
    """The large run from top to end, and the same frames at rest, which is what the machine itself gives."""
    found: dict[str, list[dict[str, Any]]] = {"scrolling": [], "at rest": []}
    with started.profile() as profile:
        for _ in range(repeat):
            page = profile.new_page()
            page.goto(f"{url}/runs/{run}")
            page.wait_for_selector(".waterfall[data-rows]")
            page.wait_for_timeout(1000)
            found["at rest"].append(browser.scroll(page, "html", SCROLL_STEPS // 4))
            found["scrolling"].append(browser.scroll(page, ".waterfall", SCROLL_STEPS))
            page.close()
    return {how: {key: statistics.median(one[key] for one in every) for key in every[0]} for how, every in found.items()}


@dataclass
class Traffic:
    """Spans that arrive over OTLP while pages are open: runs of 20 spans one after the other, and one that goes on all the time."""

    url: str
    rate: float
    sent: int = 0
    long_run: bytes = field(default_factory=lambda: _trace_id())
    _stop: threading.Event = field(default_factory=threading.Event)

    def post(self, body: bytes) -> None:
        browser.post(f"{self.url}/v1/traces", body)

    def run(self) -> None:
        rnd = random.Random(2)
        run, at, long_at = _trace_id(), 0, 0
        while True:
            stopped = self._stop.wait(1.0)
            count = max(1, round(self.rate))
            now = time.time_ns()
            self.post(spans.live(rnd, trace_id=self.long_run, first=long_at, count=1, now_ns=now, done=stopped))
            long_at += 1
            while count:
                part = min(count, spans.SPANS_PER_TRACE - at)
                done = at + part == spans.SPANS_PER_TRACE or stopped
                self.post(spans.live(rnd, trace_id=run, first=at, count=part, now_ns=now, done=done))
                count, at, self.sent = count - part, at + part, self.sent + part
                if done:
                    run, at = _trace_id(), 0
            if stopped:
                return

    @contextmanager
    def arriving(self) -> Iterator[None]:
        thread = threading.Thread(target=self.run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()


def _trace_id() -> bytes:
    """Begins with the time, which is when the run began."""
    return time.time_ns().to_bytes(8, "big") + random.randbytes(8)


def tail(url: str, minutes: float, rate: float, server_rss: Callable[[], float]) -> dict[str, Any]:
    """Memory of pages that are open while spans arrive, over time."""
    traffic = Traffic(url, rate)
    pages = {"Now": "/now", "Runs": "/runs", "a run that goes on": f"/runs/{traffic.long_run.hex()}"}
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in pages}
    with traffic.arriving():
        time.sleep(3)
        tabs = {name: browser.Tab(url + path) for name, path in pages.items()}
        try:
            begun = time.monotonic()
            while (passed := time.monotonic() - begun) < minutes * 60:
                time.sleep(min(SAMPLE_S, minutes * 60 - passed))
                for name, tab in tabs.items():
                    at = {"minute": (time.monotonic() - begun) / 60, "server_rss_mib": server_rss()}
                    samples[name].append(at | tab.sample())
                print(f"\rtail: {passed / 60:.0f} of {minutes:g} minutes", end="", file=sys.stderr)
        finally:
            for tab in tabs.values():
                tab.close()
    print(file=sys.stderr)
    return {
        "minutes": minutes,
        "rate": rate,
        "sent": traffic.sent,
        "pages": {name: slopes(every) for name, every in samples.items()},
        "samples": samples,
    }


def slopes(samples: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Of each figure: first, last, most, and how much more it was a minute, once settled."""
    last = samples[-1]["minute"]
    settled = [one for one in samples if one["minute"] >= last * SETTLED_SHARE]
    found = {}
    for key in ("heap_mib", "rss_mib", "nodes", "server_rss_mib"):
        every = [one[key] for one in settled]
        slope = statistics.linear_regression([one["minute"] for one in settled], every).slope if len(settled) > 1 else 0.0
        found[key] = {
            "start": samples[0][key],
            "settled": every[0],
            "end": every[-1],
            "most": max(one[key] for one in samples),
            "per_minute": slope,
        }
    return found


def send_large_run(url: str) -> str:
    """The run of LARGE_RUN spans, sent as any program would; its id."""
    trace_id = _trace_id()
    for body in spans.large_run(LARGE_RUN, trace_id=trace_id, start_ns=time.time_ns() - LARGE_RUN * 50_000_000):
        browser.post(f"{url}/v1/traces", body)
    settle(url)
    return trace_id.hex()


def settle(url: str) -> None:
    """Waits until all that was sent is stored and counted."""
    while (stats := browser.get(f"{url}/api/v1/stats"))["waiting"] or not stats["settled"]:
        time.sleep(0.2)


def measure(arguments: argparse.Namespace, data_dir: Path) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    server = Server(data_dir)
    url = f"http://127.0.0.1:{server.http}"
    try:
        if arguments.repeat:
            run = send_large_run(url)
            figures["spans"] = browser.get(f"{url}/api/v1/spans/count")["count"]
            given = values(url, run)
            with browser.chromium() as started:
                figures["chromium"] = started.version
                figures["first_view"] = first_view(started, url)
                figures["scroll"] = scrolled(started, url, run, min(arguments.repeat, 5))
                figures["views"] = {}
                for view in VIEWS:
                    figures["views"][view.name] = found = measure_view(started, url, view, given[view.values], arguments.repeat)
                    print(line(view.name, found), file=sys.stderr)
                if arguments.phoenix_minutes:
                    figures["phoenix"] = phoenix(started, arguments)
        if arguments.tail_minutes:
            figures["tail"] = tail(url, arguments.tail_minutes, arguments.tail_rate, lambda: server.seen.memory_info().rss / 2**20)
    finally:
        server.stop()
    return figures


def phoenix(started: browser.Browser, arguments: argparse.Namespace) -> dict[str, Any]:
    def look(name: str, url: str, path: str, painted: str, given: list[str]) -> dict[str, Any]:
        found = measure_view(started, url, View(name, path, {"all": painted}), given, arguments.repeat)
        print(line(name, found), file=sys.stderr)
        return found

    return phoenix_ui.measure(started, arguments.phoenix_minutes, arguments.environments, look)


def goals(figures: dict[str, Any]) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for name, view in figures.get("views", {}).items():
        for how, marks in view["marks"].items():
            p95 = marks[view["counts"]]["p95_ms"]
            for limit in (view["must_ms"], view["goal_ms"]):
                found[f"{name}, {how}: p95 {p95:.0f} ms < {limit:.0f} ms"] = p95 < limit
    if scroll := figures.get("scroll"):
        longest = scroll["scrolling"]["longest_ms"]
        found[f"scrolling {LARGE_RUN:,} spans: longest frame {longest:.0f} ms ≤ {LONGEST_FRAME_MS:.0f} ms"] = longest <= LONGEST_FRAME_MS
        size = figures["first_view"]["js_bytes"]
        found[f"first view: {size / 1000:.0f} kB of JavaScript ≤ {FIRST_VIEW_BYTES / 1000:.0f} kB"] = size <= FIRST_VIEW_BYTES
    for name, one in figures.get("tail", {}).get("pages", {}).items():
        slope = one["heap_mib"]["per_minute"]
        found[f"live tail, {name}: heap {slope:+.3f} MiB a minute ≤ {STEADY_MIB}"] = slope <= STEADY_MIB
    return found


LONGEST_FRAME_MS = 50.0
FIRST_VIEW_BYTES = 300_000
STEADY_MIB = 0.1
"""A minute. What a page of some MiB may add and still be called stable: 3 MiB in half an hour is within what garbage collection leaves lying about."""


def line(name: str, view: dict[str, Any]) -> str:
    counts = view["counts"]
    shown = "".join(f"   {how} {marks[counts]['p50_ms']:6.0f} {marks[counts]['p95_ms']:6.0f}" for how, marks in view["marks"].items())
    if counts != "all":
        shown += f"   all of it, again {view['marks']['again']['all']['p50_ms']:6.0f}"
    slowest = max(view["asked"].items(), key=lambda item: item[1]["ms"], default=None)
    return f"{name:30}{shown}" + (f"   longest question {slowest[0]} {slowest[1]['ms']:.0f} ms" if slowest else "")


def report(figures: dict[str, Any]) -> None:
    before, after = figures["load_average"]
    print(
        f"{figures.get('spans', 0):,} spans, Chromium {figures.get('chromium', '')}, {os.cpu_count()} CPUs, load {before:.1f} → {after:.1f}"
    )
    if "views" in figures:
        print("\nmilliseconds until it is painted, p50 and p95")
        for name, view in figures["views"].items():
            print(line(name, view))
        if peer := figures.get("phoenix"):
            print(
                f"Phoenix {peer['version']} with the {peer['spans']:,} spans that it stored of what was sent in {peer['minutes']:g} minutes:"
            )
            for name, view in peer["views"].items():
                print(line(name, view))
        size = figures["first_view"]
        print(
            f"\nfirst view: {size['js_bytes'] / 1000:.1f} kB of JavaScript and {size['css_bytes'] / 1000:.1f} kB of CSS over the wire, {size['files']:.0f} files"
        )
        for how, one in figures["scroll"].items():
            print(
                f"{how:10} {one['frames']:.0f} frames over {one['height_px']:,.0f} px: p50 {one['p50_ms']:.1f}, p95 {one['p95_ms']:.1f}, longest {one['longest_ms']:.0f} ms,"
                f" {one['over_50_ms']:.0f} over 50 ms; longest task {one['longest_task_ms']:.0f} ms"
            )
    if "tail" in figures:
        tailed = figures["tail"]
        print(
            f"\n{tailed['minutes']:g} minutes of live tail, {tailed['sent']:,} spans at {tailed['rate']:g}/s; MiB at the start, once settled, at the end, at most, a minute"
        )
        for name, one in tailed["pages"].items():
            for key, shown in (("heap_mib", "heap"), ("rss_mib", "renderer"), ("nodes", "nodes"), ("server_rss_mib", "server")):
                row = one[key]
                print(
                    f"{name:20}{shown:10}{row['start']:9.1f}{row['settled']:9.1f}{row['end']:9.1f}{row['most']:9.1f}{row['per_minute']:+10.3f}"
                )
    print()
    for goal, met in figures["goals"].items():
        print(f"{'met   ' if met else 'MISSED'} {goal}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    large.add_arguments(parser)
    parser.add_argument("--repeat", type=int, default=10, help="how often each view is opened, cold and again; 0: only the tail (10)")
    parser.add_argument("--tail-minutes", type=float, default=0, help="how long pages stay open while spans arrive; 0: not at all (0)")
    parser.add_argument("--tail-rate", type=float, default=20, help="spans a second that arrive then (20)")
    parser.add_argument("--phoenix-minutes", type=float, default=0, help="how long spans are sent to Phoenix; 0: without Phoenix (0)")
    parser.add_argument("--environments", type=Path, help="folder for the peer's environment, to keep it; default: made anew")
    parser.add_argument("--json", action="store_true", help="also write benchmarks/results/ui.json")
    arguments = parser.parse_args()
    load = [os.getloadavg()[0]]
    with large.folder(arguments) as made:
        large.ready(made / "data", arguments.spans, arguments.base)
        figures = measure(arguments, made / "data")
    figures["load_average"] = [*load, os.getloadavg()[0]]
    figures["goals"] = goals(figures)
    report(figures)
    if arguments.json:
        results = Path(__file__).parent / "results"
        results.mkdir(exist_ok=True)
        (results / "ui.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
