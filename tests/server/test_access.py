"""Who may enter: by address, by the name that is asked for, by key and role."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from clew.errors import SettingError
from clew.server.guard import is_loopback, role_for
from clew.server.keys import Access, Denied, Keys

pytestmark = pytest.mark.needs("chdb", "fastapi", "httpx", "uvicorn")


def get(running: Any, path: str, **headers: str) -> Any:
    import httpx

    return httpx.get(running.url + path, headers=headers)


def test_a_key_is_kept_hashed_and_shown_once(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "data")
    token = keys.add("one", "view")
    path = tmp_path / "data" / "keys.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token not in path.read_text()
    assert len(token) > 40
    found = Keys(tmp_path / "data").find(token)
    assert found is not None
    assert (found.name, found.role) == ("one", "view")
    assert keys.find(token[:-1]) is None
    with pytest.raises(SettingError, match="'one' already"):
        keys.add("one", "admin")
    keys.remove("one")
    assert keys.find(token) is None
    with pytest.raises(SettingError, match="no key named 'one'; there are: none"):
        keys.remove("one")


def test_a_damaged_file_of_keys_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("[{")
    with pytest.raises(SettingError, match="not usable"):
        Access(Keys(tmp_path), exposed=False).admit("", "view")


def test_without_keys_only_a_server_of_this_machine_lets_in(tmp_path: Path) -> None:
    assert Access(Keys(tmp_path), exposed=False).admit("", "admin") is None
    with pytest.raises(Denied):
        Access(Keys(tmp_path), exposed=True).admit("", "view")


ROLES = [
    ("GET", "/healthz", None),
    ("POST", "/v1/traces", "ingest"),
    ("GET", "/api/v1/stats", "view"),
    ("POST", "/api/v1/sql", "view"),
    ("DELETE", "/api/v1/runs/1", "admin"),
    ("POST", "/healthz", "admin"),
    ("GET", "/", None),
    ("GET", "/metrics", "view"),
]


@pytest.mark.parametrize(("method", "path", "role"), ROLES)
def test_each_request_needs_its_role(method: str, path: str, role: str | None) -> None:
    assert role_for(method, path) == role


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *((host, True) for host in ("127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost")),
        *((host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.example.org", "127.0.0.1.example.org", "")),
    ],
)
def test_what_counts_as_this_machine(host: str, local: bool) -> None:
    assert is_loopback(host) == local


def test_a_page_with_a_name_of_its_own_is_turned_away(start: Any) -> None:
    running = start()
    assert get(running, "/healthz").status_code == 200
    assert get(running, "/healthz", host=f"localhost:{running.port}").status_code == 200
    answer = get(running, "/healthz", host=f"attacker.example:{running.port}")
    assert (answer.status_code, "not 'attacker.example'" in answer.json()["message"]) == (403, True)


def test_no_answer_lets_other_origins_read_it(start: Any) -> None:
    import httpx

    running = start()
    ask = {"origin": "http://attacker.example", "access-control-request-method": "POST"}
    answers = [
        get(running, "/healthz", **ask),
        httpx.options(f"{running.url}/v1/traces", headers=ask),
        httpx.options(f"{running.url}/healthz", headers=ask),
    ]
    assert [name for answer in answers for name in answer.headers if name.startswith("access-control")] == []


def test_with_keys_every_request_needs_one_that_fits(start: Any, otlp: Any) -> None:
    running = start()
    tokens = {role: running.keys.add(role, role) for role in ("ingest", "view", "admin")}
    body = otlp.protobuf(otlp.traces(otlp.span(1)))
    asked: dict[str, tuple[int, int]] = {}
    for name, token in {"none": "", "wrong": "clew_x", **tokens}.items():
        headers = {"authorization": f"Bearer {token}"} if token else {}
        asked[name] = (running.post(body, **headers).status_code, get(running, "/api/v1/stats", **headers).status_code)
    assert asked == {"none": (401, 401), "wrong": (401, 401), "ingest": (200, 403), "view": (403, 200), "admin": (200, 200)}
    assert get(running, "/healthz").status_code == 200
    refused = running.post(json.dumps({}).encode(), kind="application/json")
    assert (refused.json()["code"], refused.headers["www-authenticate"]) == (16, "Bearer")
    assert {line.sender for line in running.settled().lines} == {"key:ingest", "key:admin"}
