"""The web UI's files: who gets them, how they are cached, and what a browser may do with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clew.server.guard import role_for

pytestmark = pytest.mark.needs("chdb", "fastapi", "httpx", "uvicorn")


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of built files in place of the real one."""
    from clew.server import pages

    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Clew</title>")
    (folder / "theme.js").write_text("let theme")
    (folder / "assets" / "index-abc.js").write_text("let app;" * 100)
    (tmp_path / "secret.txt").write_text("secret")
    monkeypatch.setattr(pages, "STATIC", folder)
    return folder


@pytest.fixture
def get(start: Callable[..., Any], built: Path) -> Callable[..., Any]:
    import httpx

    running = start()
    return lambda path, **headers: httpx.get(running.url + path, headers={name.replace("_", "-"): text for name, text in headers.items()})


def test_every_address_of_the_ui_gives_its_first_file_and_no_other_does(get: Callable[..., Any]) -> None:
    pages = {path: get(path) for path in ("/", "/now", "/runs", "/runs/abc123", "/compare/a/b", "/system")}
    assert {path: (found.status_code, "Clew" in found.text) for path, found in pages.items()} == dict.fromkeys(pages, (200, True))
    missing = {path: get(path).status_code for path in ("/nothing", "/api/v1/nothing", "/api", "/runsx", "/favicon.ico", "/assets/none.js")}
    assert missing == dict.fromkeys(missing, 404)
    assert get("/api/v1/nothing").json()["message"] == "there is no '/api/v1/nothing'"


def test_the_page_of_a_run_has_the_browser_ask_for_the_run_where_no_key_is_needed(
    get: Callable[..., Any], start: Callable[..., Any]
) -> None:
    import httpx

    assert get("/runs/abc123").headers["link"] == "</api/v1/runs/abc123?limit=1000>; rel=preload; as=fetch; crossorigin"
    again = get("/runs/abc123", if_none_match=get("/runs/abc123").headers["etag"])
    assert (again.status_code, "link" in again.headers) == (304, True)
    odd = ("/runs", "/runs/", "/runs/a/b", "/runs/%3E;%0d%0ax:", "/runs/a%20b", "/now", "/compare/a/b")
    assert [path for path in odd if "link" in get(path).headers] == []
    exposed = start(exposed=True)
    assert "link" not in httpx.get(f"{exposed.url}/runs/abc123").headers
    assert get("/dashboards/mine").headers["link"] == (
        "</api/v1/dashboards>; rel=preload; as=fetch; crossorigin, </api/v1/dashboards/mine>; rel=preload; as=fetch; crossorigin"
    )


def test_the_files_of_a_page_are_named_with_it(get: Callable[..., Any], start: Callable[..., Any], built: Path) -> None:
    import httpx

    rows = [{"path": "/runs", "files": ["assets/Runs.js", "assets/Runs.css"]}, {"path": "/runs/$runId", "files": ["assets/Run.js"]}]
    (built / "pages.json").write_text(json.dumps(rows))
    assert get("/runs").headers["link"] == "</assets/Runs.js>; rel=modulepreload, </assets/Runs.css>; rel=preload; as=style"
    assert "link" not in get("/now").headers
    assert httpx.get(f"{start(exposed=True).url}/runs/abc").headers["link"] == "</assets/Run.js>; rel=modulepreload"  # files need no key


def test_the_page_may_run_and_load_nothing_but_files_of_the_server(get: Callable[..., Any]) -> None:
    headers = get("/").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_what_has_a_hash_in_its_name_is_kept_and_the_rest_is_asked_for_each_time(get: Callable[..., Any]) -> None:
    asset = get("/assets/index-abc.js", accept_encoding="gzip")
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert asset.headers["content-type"].startswith("text/javascript")
    assert (asset.headers["content-encoding"], asset.text) == ("gzip", "let app;" * 100)
    first = get("/")
    assert first.headers["cache-control"] == "no-cache"
    assert get("/", if_none_match=first.headers["etag"]).status_code == 304
    assert get("/theme.js").text == "let theme"


@pytest.mark.parametrize("path", ["/assets/..%2f..%2fsecret.txt", "/assets/%2e%2e/%2e%2e/secret.txt", "/..%2fsecret.txt", "/assets/%00"])
def test_no_file_beside_them_can_be_had(get: Callable[..., Any], path: str) -> None:
    found = get(path)
    assert found.status_code == 404
    assert "secret" not in found.text.replace("secret.txt", "")


def test_an_interface_that_is_not_built_says_what_to_run(get: Callable[..., Any], built: Path) -> None:
    (built / "index.html").unlink()
    found = get("/runs")
    assert found.status_code == 503
    assert "make ui" in found.text


def test_the_ui_needs_no_key_and_everything_it_shows_does(start: Callable[..., Any], built: Path) -> None:
    import httpx

    running = start(exposed=True)
    assert httpx.get(f"{running.url}/runs").status_code == 200
    assert httpx.get(f"{running.url}/api/v1/runs").status_code == 401
    assert [role_for("GET", path) for path in ("/", "/assets/x.js", "/runs/x", "/metrics", "/api/v1/runs")] == [
        None,
        None,
        None,
        "view",
        "view",
    ]
    assert role_for("POST", "/runs") == "admin"


def test_the_ui_has_no_page_that_the_server_does_not_know() -> None:
    import re

    from clew.server.pages import PAGES

    features = (Path(__file__).parents[2] / "web" / "src" / "features.ts").read_text("utf-8")
    assert set(re.findall(r'path: "/(\w+)', features)) <= set(PAGES)
