"""The web UI: the built files of web/, and the first of them for every address that is a page of it."""

from __future__ import annotations

import gzip
import json
import mimetypes
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

STATIC = Path(__file__).parent / "static"
"""Written by web/build.py; part of the wheel."""

PAGES = ("", "now", "runs", "compare", "dashboards", "errors", "agents", "sessions", "search", "alerts", "budgets", "system")
"""First segments of the UI's addresses (web/src/features.ts); everything else that is not there stays a 404."""
FILES = ("icon.svg", "theme.js")
"""What lies beside the first file under its own name; what lies in assets/ carries a hash of its content in its name."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Nothing from elsewhere, nothing inline: recorded text that got into the page as HTML could still run nothing and load nothing."""

_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
_ASKED = (
    (re.compile(r"/runs/([\w.~%-]+)"), ("/api/v1/runs/{}?limit=1000",)),
    (re.compile(r"/dashboards/([\w.~%-]+)"), ("/api/v1/dashboards", "/api/v1/dashboards/{}")),
)
"""What pages ask for first, whatever stands behind the ?."""
_FOREVER = "public, max-age=31536000, immutable"
_ASK_FIRST = "no-cache"

router = APIRouter(include_in_schema=False)


def is_page(path: str) -> bool:
    """Whether the address is one of the UI: files without any recorded data, which need no key."""
    segment = path.strip("/").partition("/")[0]
    return segment in PAGES or path.startswith("/assets/") or path.removeprefix("/") in FILES


@router.get("/assets/{name}")
async def asset(name: str, request: Request) -> Response:
    return _file(f"assets/{name}", request, _FOREVER) or Response("there is no such file", 404, _HEADERS)


async def file(request: Request) -> Response:
    return _file(request.url.path.removeprefix("/"), request, _ASK_FIRST) or Response("there is no such file", 404, _HEADERS)


async def page(request: Request) -> Response:
    found = _file("index.html", request, _ASK_FIRST) or Response(NOT_BUILT, 503, _HEADERS, "text/html")
    links = [*_files_of(request.url.path)]
    if request.scope.get("clew.open"):  # the browser cannot send a key with what it asks for by itself
        links += _asked_of(request.url.path)
    if links:
        found.headers["link"] = ", ".join(links)
    return found


def _files_of(path: str) -> Iterable[str]:
    """Links to the scripts and styles of a page: asked for beside the first script, and not after it has run."""
    try:
        made = (STATIC / "pages.json").stat().st_mtime_ns
    except OSError:  # not built
        return ()
    segments = path.split("/")
    for known, links in _pages(made):
        if len(known) == len(segments) and all(one.startswith("$") or one == other for one, other in zip(known, segments, strict=True)):
            return links
    return ()


@lru_cache(maxsize=1)
def _pages(_: int) -> list[tuple[list[str], list[str]]]:
    """Of each page the segments of its address, and its links; as web/pages.ts wrote them."""
    how = {".js": "modulepreload", ".css": "preload; as=style"}
    return [
        (row["path"].split("/"), [f"</{file}>; rel={how[Path(file).suffix]}" for file in row["files"]])
        for row in json.loads((STATIC / "pages.json").read_bytes())
    ]


def _asked_of(path: str) -> Iterable[str]:
    """Links to what a page asks for: beside its scripts too, for of a large run it takes as long as these."""
    for pattern, asked in _ASKED:
        if found := pattern.fullmatch(path):
            yield from (f"<{one.format(found[1])}>; rel=preload; as=fetch; crossorigin" for one in asked)


for _name in FILES:
    router.add_api_route(f"/{_name}", file)
for _segment in PAGES:
    router.add_api_route(f"/{_segment}", page)
    if _segment:
        router.add_api_route(f"/{_segment}/{{rest:path}}", page)


def _file(name: str, request: Request, caching: str) -> Response | None:
    path = STATIC / name
    try:
        if STATIC not in path.resolve().parents and STATIC.resolve() not in path.resolve().parents:
            return None
        found = path.stat()
    except (OSError, ValueError):
        return None
    mark = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
    headers = {**_HEADERS, "cache-control": caching, "etag": mark, "vary": "accept-encoding"}
    if request.headers.get("if-none-match") == mark:
        return Response(None, 304, headers)
    packed = "gzip" in request.headers.get("accept-encoding", "")
    if packed:
        headers["content-encoding"] = "gzip"
    kind = "text/javascript" if path.suffix == ".js" else mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Response(_content(path, found.st_mtime_ns, packed), 200, headers, kind)


@lru_cache(maxsize=256)
def _content(path: Path, _: int, packed: bool) -> bytes:
    content = path.read_bytes()
    return gzip.compress(content, 6, mtime=0) if packed else content


NOT_BUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Clew: the interface is not built</title>
<h1>The interface is not built</h1>
<p>This is a source checkout whose <code>web/</code> has not been built. Run this in it, then load the page again:</p>
<pre>make ui</pre>
<p>The <a href="/api/v1/openapi.json">API</a> and the command line answer all the same.</p>
</html>
"""
