"""A real ``clew serve`` with a few runs of every sort behind it, and Chromium in front."""

from __future__ import annotations

import importlib.util
import json
import lzma
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
NODE_MODULES = Path(__file__).parents[2] / "web" / "node_modules"

_spec = importlib.util.spec_from_file_location("observe_fixtures", Path(__file__).parents[1] / "observe" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
Otlp = _fixtures.Otlp

TEAM, FAILED, REPEATS, DEEP, HOSTILE, LARGE, RUNNING, LATER = range(1, 9)
"""Numbers of the runs that are sent."""


@cache
def now_ns() -> int:
    """When the first span was made: the tests before those of the UI may take longer than the times that views show."""
    return int(time.time()) * 1_000_000_000


@dataclass(frozen=True)
class Server:
    url: str

    def send(self, *spans: dict[str, Any], resource: dict[str, Any] | None = None) -> None:
        self.post("v1/traces", Otlp.traces(*spans, resource=resource))

    def post(self, path: str, body: Any, method: str = "POST") -> None:
        request = urllib.request.Request(
            f"{self.url}/{path}", json.dumps(body).encode(), {"content-type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}") as answer:
            return json.load(answer)

    def until(self, path: str, condition: Callable[[Any], Any]) -> Any:
        deadline = time.monotonic() + 60
        while not (found := condition(self.get(path))):
            assert time.monotonic() < deadline, f"waited in vain for {path}"
            time.sleep(0.05)
        return found


def message(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def span(number: int, run: int, parent: int = 0, *, kind: str, name: str, at: float, seconds: float | None, **attributes: Any) -> Any:
    """A span from ``at`` seconds after the run's start; its ids are those of the run and the number. ``failed`` is its error message."""
    start = now_ns() - 600_000_000_000 - run * 20_000_000_000 + int(at * 1e9)
    failed = attributes.pop("failed", None)
    made = Otlp.span(number, run, parent, attributes={"clew.span.kind": kind, **attributes}, name=name)
    made |= {"startTimeUnixNano": str(start), "endTimeUnixNano": str(start + int(seconds * 1e9)) if seconds is not None else "0"}
    return made | ({"status": {"code": 2, "message": failed}} if failed else {})


def call(number: int, run: int, parent: int, at: float, *said: dict[str, Any], answer: str) -> Any:
    return span(
        number,
        run,
        parent,
        kind="llm",
        name="chat",
        at=at,
        seconds=1,
        **{
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.provider.name": "openai",
            "gen_ai.usage.input_tokens": 1000,
            "gen_ai.usage.output_tokens": 100,
            "gen_ai.input.messages": json.dumps(said),
            "gen_ai.output.messages": json.dumps([message("assistant", answer)]),
        },
    )


def fill(server: Server) -> None:
    agent: dict[str, Any] = {"gen_ai.agent.name": "planner"}
    looper: dict[str, Any] = {"gen_ai.agent.name": "looper"}
    system, ask = message("system", "Be brief"), message("user", "Mend the bill")
    options = json.dumps([{"name": "round", "score": 0.2, "reason": "it loses cents"}, {"name": "spread", "score": 0.9}])
    decided: dict[str, Any] = {
        "clew.decision.question": "How to mend it?",
        "clew.decision.options": options,
        "clew.decision.choice": "spread",
        "clew.decision.reason": "the tests ask for it",
        "clew.decision.confidence": 0.86,
    }
    tool: dict[str, Any] = {
        "gen_ai.tool.name": "search",
        "gen_ai.tool.call.arguments": '{"text": "def split"}',
        "gen_ai.tool.call.result": "till/split.py:4",
    }
    for run, name, failed in ((TEAM, "mend the bill", None), (FAILED, "mend it again", "tests are red")):
        server.send(
            span(1, run, kind="workflow", name=name, at=0, seconds=6, failed=failed),
            span(2, run, 1, kind="agent", name="planner", at=0, seconds=4, **agent),
            call(3, run, 2, 0, system, ask, answer="I look for it"),
            span(4, run, 2, kind="tool", name="search", at=1, seconds=0.5, **tool),
            call(5, run, 2, 2, system, ask, message("assistant", "I look for it"), message("user", "found"), answer="It is split"),
            span(6, run, 2, kind="decision", name="decide", at=3, seconds=0.1, **decided),
            span(7, run, 1, kind="tool", name="run_tests", at=4, seconds=2, failed=failed),
        )
    server.send(
        span(1, REPEATS, kind="agent", name="looper", at=0, seconds=40, **looper),
        *(span(number + 2, REPEATS, 1, kind="tool", name="fetch", at=number, seconds=0.9) for number in range(37)),
    )
    server.send(*(span(number + 1, DEEP, number, kind="tool", name=f"level {number}", at=0, seconds=10) for number in range(1000)))
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    server.send(
        span(1, HOSTILE, kind="agent", name=f"{evil}\u202egnp.exe\u202c\x00\x1b[31m", at=0, seconds=2),
        call(
            2,
            HOSTILE,
            1,
            0,
            message("user", evil + "\u0007 شكرا " + "\u202e" + "x" * 10_000_000),
            answer=f"[click](javascript:alert(1)) {evil}",
        ),
        span(3, HOSTILE, 1, kind="tool", name="a" * 5000, at=1, seconds=1, failed=evil, **{"gen_ai.tool.call.result": evil, evil: evil}),
    )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def serving(data: Path) -> Iterator[Server]:
    """A server of the built UI over a data directory, in a process of its own."""
    subprocess.run([sys.executable, Path(__file__).parents[2] / "web" / "build.py"], check=True)
    port = _free_port()
    environment = os.environ | {"CLEW_DATA_DIR": str(data), "CLEW_OTLP_HTTP": "0", "CLEW_OTLP_GRPC": "0"}
    command = [sys.executable, "-m", "clew.cli.main", "serve", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        try:
            said = process.stdout.readline().decode()
            assert "Clew serves" in said, said
            yield Server(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.communicate(timeout=60)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server, filled."""
    with serving(tmp_path_factory.mktemp("ui") / "clew") as made:
        fill(made)
        made.until("stats", lambda stats: stats["waiting"] == 0 and stats["settled"])
        yield made


@pytest.fixture(scope="session")
def trail(server: Server, shared_data: Callable[[str], Path]) -> Server:
    """The same with the TRAIL traces of agents at work on a benchmark."""
    file = shared_data("trail/swe_bench.traces.otlp.jsonl.xz")
    with lzma.open(file, "rb") as lines:
        bodies = list(lines)
    for line in bodies:
        request = urllib.request.Request(f"{server.url}/v1/traces", line, {"content-type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
    server.until("stats", lambda stats: stats["waiting"] == 0 and stats["settled"])
    return server


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium at {CHROMIUM}: apt-get install chromium")
    with chromium() as started:
        yield started


Open = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, server: Server) -> Iterator[Open]:
    """Opens an address in a fresh browser profile; fails the test for errors of the page and for requests to other machines."""
    troubles: list[str] = []
    contexts = []

    def opened(path: str, *, width: int = 1280, dark: bool = False) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light", reduced_motion="reduce"
        )
        context.set_default_timeout(30_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(f"{path}: {error}"))
        page.on(
            "console",
            lambda said: troubles.append(f"{path}: {said.text}") if said.type == "error" and "status of 4" not in said.text else None,
        )
        page.on("request", lambda asked: troubles.append(asked.url) if not asked.url.startswith((server.url, "blob:", "data:")) else None)
        page.goto(server.url + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert troubles == []


AXE = NODE_MODULES / "axe-core" / "axe.min.js"


def serious(page: Any) -> list[str]:
    """What axe finds that is serious or critical, WCAG A and AA."""
    page.context.new_cdp_session(page).send("Page.setBypassCSP", {"enabled": True})
    page.evaluate(AXE.read_text("utf-8") + "; undefined")
    found = page.evaluate(
        "async () => (await axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})).violations"
    )
    return [f"{one['id']}: {node['html'][:110]}" for one in found if one["impact"] in ("serious", "critical") for node in one["nodes"][:2]]


def run_id(number: int) -> str:
    made: str = Otlp.trace_id(number)
    return made


def span_id(number: int) -> str:
    made: str = Otlp.span_id(number)
    return made
