"""Chromium, and what is seen in it: when something is painted, how smoothly something scrolls, how much memory a page keeps.

Times are taken in the page. A look at every frame says whether what is waited for is there; the time counts once that frame is on the screen (the
first task after it). Nothing of the page's own is changed.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage"]
VIEWPORT = {"width": 1280, "height": 800}
LONGEST_MS = 60_000
"""What is not painted by then is not waited for, and counts as that long."""

_WATCH = """
(() => {
  const marks = __MARKS__, waiting = new Set(Object.keys(marks)), seen = {};
  let begun = 0, done;
  window.__painted = new Promise((resolve) => (done = resolve));
  // The first text that is drawn into a canvas of this class: a canvas has no content that a selector could find.
  const drawn = new Set(), fillText = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (...given) {
    for (let at = this.canvas; at; at = at.parentElement) if (at.className) drawn.add(String(at.className));
    return fillText.apply(this, given);
  };
  window.__drawn = (name) => [...drawn].some((one) => one.split(" ").includes(name));
  const asked = () => performance.getEntriesByType("resource").map((one) => ({
    path: new URL(one.name).pathname, ms: one.responseEnd - one.startTime, from: one.startTime - begun, bytes: one.encodedBodySize, kind: one.initiatorType,
  }));
  const look = () => {
    const found = [...waiting].filter((name) => marks[name]());
    for (const name of found) waiting.delete(name);
    if (found.length) {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => {
        for (const name of found) seen[name] = performance.now() - begun;
        if (!waiting.size) end();
      };
      channel.port2.postMessage(0);
    }
    if (waiting.size && performance.now() - begun < __LONGEST__) requestAnimationFrame(look);
    else if (waiting.size) end();
  };
  const end = () => {
    CanvasRenderingContext2D.prototype.fillText = fillText;
    done({ marks: seen, missing: [...waiting], asked: asked() });
  };
  const start = () => requestAnimationFrame(look);
  // Counted from the page's start, or, where a key sets it off, from that key.
  const entered = (event) => {
    if (event.key !== "Enter") return;
    removeEventListener("keydown", entered, true);
    begun = event.timeStamp;
    start();
  };
  if (__FROM_KEY__) addEventListener("keydown", entered, true);
  else start();
})()
"""

_SCROLL = """
async ([selector, steps]) => {
  const place = document.querySelector(selector), most = place.scrollHeight - place.clientHeight, tasks = [], frames = [];
  const watch = new PerformanceObserver((list) => tasks.push(...list.getEntries().map((one) => one.duration)));
  watch.observe({ type: "longtask" });
  const frame = () => new Promise(requestAnimationFrame);
  let before = await frame();
  for (let step = 0; step <= steps; step++) {
    if (most > 0) place.scrollTop = (most * step) / steps;
    const now = await frame();
    frames.push(now - before);
    before = now;
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
  watch.disconnect();
  return { frames, tasks, height: most };
}
"""


class Browser:
    """A started Chromium without a window; ``page`` measures in a fresh profile."""

    def __init__(self, started: Any) -> None:
        self._started = started
        self.version = started.version

    @contextmanager
    def profile(self) -> Iterator[Any]:
        """A profile of its own: empty caches."""
        context = self._started.new_context(viewport=VIEWPORT, color_scheme="light")
        context.set_default_timeout(LONGEST_MS)
        try:
            yield context
        finally:
            context.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        raise SystemExit(f"needs Chromium at {CHROMIUM}; install it (apt-get install chromium), or name another in CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield Browser(started)
        finally:
            started.close()


def watching(marks: Mapping[str, str], *, from_key: bool = False) -> str:
    """A script for a new page that notes when each of the marks, expressions of JavaScript, first holds on a painted frame."""
    named = ", ".join(f"{json.dumps(name)}: () => ({expression})" for name, expression in marks.items())
    given = {"__MARKS__": f"{{ {named} }}", "__LONGEST__": str(LONGEST_MS), "__FROM_KEY__": json.dumps(from_key)}
    script = _WATCH
    for name, value in given.items():
        script = script.replace(name, value)
    return script


def load(profile: Any, url: str, marks: Mapping[str, str]) -> dict[str, Any]:
    """Opens the address in a new tab of the profile: milliseconds from there to each mark, and what was asked of the server."""
    page = profile.new_page()
    try:
        page.add_init_script(watching(marks))
        page.goto(url, wait_until="commit")
        return _seen(page, url)
    finally:
        page.close()


def typed(profile: Any, url: str, field: str, text: str, marks: Mapping[str, str], ready: str) -> dict[str, Any]:
    """Types a text into a field of the page and presses Enter: milliseconds from that key to each mark."""
    page = profile.new_page()
    try:
        page.add_init_script(watching(marks, from_key=True))
        page.goto(url)
        page.wait_for_selector(ready, state="attached")
        page.locator(field).first.click()
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.insert_text(text)
        page.keyboard.press("Enter")
        return _seen(page, f"{text!r} typed at {url}")
    finally:
        page.close()


def _seen(page: Any, what: str) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("() => window.__painted")
    for mark in found["missing"]:
        print(f"{what}: {mark!r} is not painted after {LONGEST_MS // 1000} s, and counts as that long", file=sys.stderr)
        found["marks"][mark] = float(LONGEST_MS)
    return found


def scroll(page: Any, selector: str, steps: int) -> dict[str, Any]:
    """Scrolls an element from its top to its end, a step each frame: lengths of the frames and of the page's long tasks, milliseconds."""
    found: dict[str, Any] = page.evaluate(_SCROLL, [selector, steps])
    frames = found["frames"]
    return {
        "frames": len(frames),
        "height_px": found["height"],
        "p50_ms": statistics.median(frames),
        "p95_ms": statistics.quantiles(frames, n=20, method="inclusive")[18],
        "longest_ms": max(frames),
        "over_50_ms": sum(frame > 50 for frame in frames),
        "longest_task_ms": max(found["tasks"], default=0.0),
    }


class Tab:
    """One page in a Chromium of its own, so that its renderer's memory is its own; looked at from time to time, and else left alone.

    A browser that is driven keeps every answer for whoever drives it, and Playwright leaves 0.15 MiB in a page each time that it connects. Both would look
    like the page's own memory: so nobody listens between two samples, and a sample asks Chromium itself.
    """

    def __init__(self, url: str) -> None:
        self._profile = tempfile.mkdtemp(prefix="clew-tab-")
        command = [CHROMIUM, "--headless=new", *ARGUMENTS, f"--user-data-dir={self._profile}", "--remote-debugging-port=0"]
        command += ["--no-first-run", f"--window-size={VIEWPORT['width']},{VIEWPORT['height']}", url]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        said = Path(self._profile) / "DevToolsActivePort"
        deadline = time.monotonic() + 60
        while not said.exists() or not said.read_text().strip():
            if time.monotonic() > deadline:
                raise SystemExit("Chromium did not start")
            time.sleep(0.05)
        self._address = f"http://127.0.0.1:{said.read_text().split()[0]}"

    def sample(self) -> dict[str, float]:
        """Memory after a collection of garbage, MiB, and the number of nodes of the page."""
        from websockets.sync.client import connect

        [page] = [one for one in get(f"{self._address}/json") if one["type"] == "page"]
        with connect(page["webSocketDebuggerUrl"], max_size=None) as socket:
            for number, method in enumerate(("HeapProfiler.collectGarbage", "Performance.enable", "Performance.getMetrics")):
                socket.send(json.dumps({"id": number, "method": method}))
                while (answer := json.loads(socket.recv())).get("id") != number:
                    pass
        found = {one["name"]: one["value"] for one in answer["result"]["metrics"]}
        return {"heap_mib": found["JSHeapUsedSize"] / 2**20, "nodes": found["Nodes"], "rss_mib": self._rss() / 2**20}

    def _rss(self) -> int:
        """Of the renderer; Chromium keeps a spare one ready, so the largest counts."""
        sizes = []
        for one in psutil.Process(self._process.pid).children(recursive=True):
            try:
                if "--type=renderer" in one.cmdline():
                    sizes.append(one.memory_info().rss)
            except psutil.Error:
                continue
        return max(sizes, default=0)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self._profile, ignore_errors=True)


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


def post(url: str, body: bytes, kind: str = "application/x-protobuf") -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": kind}), timeout=60) as answer:
        content: bytes = answer.read()
        return content
