"""Phoenix and MLflow under the same load: their newest releases, each in an environment of its own, with SQLite as they come.

What counts is what their database holds in the end, by their own table of spans.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

START_S = 120.0
STILL_S = 5.0
"""A count that has stood still for so long is the last one."""
DRAIN_S = 300.0


class Peer(NamedTuple):
    """How a peer is installed, started, sent to and counted."""

    package: str
    program: str
    arguments: Callable[[int, int], Sequence[str]]
    environment: Callable[[Path, int, int], dict[str, str]]
    ready: str
    headers: dict[str, str]
    database: str


PEERS: dict[str, Peer] = {
    "phoenix": Peer(
        "arize-phoenix",
        "phoenix",
        lambda http, grpc: ("serve",),
        lambda folder, http, grpc: {
            "PHOENIX_WORKING_DIR": str(folder),
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(http),
            "PHOENIX_GRPC_PORT": str(grpc),
            "PHOENIX_TELEMETRY_ENABLED": "false",
        },
        "/healthz",
        {},
        "phoenix.db",
    ),
    "mlflow": Peer(
        "mlflow",
        "mlflow",
        lambda http, grpc: ("server", "--host", "127.0.0.1", "--port", str(http)),
        lambda folder, http, grpc: {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"},
        "/health",
        {"x-mlflow-experiment-id": "0"},
        "mlflow.db",
    ),
}

Load = Callable[[int, dict[str, str]], dict[str, Any]]
"""Sends to the port with the headers for a time; gives back what was acknowledged and how long that took."""


@contextmanager
def running(name: str, folder: Path, environments: Path, ports: tuple[int, int]) -> Iterator[tuple[Path, str]]:
    """The peer, installed when it is not there yet, with an empty database; gives its data directory and its version."""
    peer = PEERS[name]
    environment = environments / name
    if not (environment / "bin" / peer.program).exists():
        print(f"installing {peer.package} into {environment}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        pip = [environment / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", peer.package]
        subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
    data = folder / name
    data.mkdir()
    command = [str(environment / "bin" / peer.program), *peer.arguments(*ports)]
    path = f"{environment / 'bin'}:{os.environ['PATH']}"
    own = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    settings = own | peer.environment(data, *ports) | {"PATH": path}
    server = subprocess.Popen(command, cwd=data, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        _wait_until_ready(f"http://127.0.0.1:{ports[0]}{peer.ready}")
        yield data, _version(environment, peer.package)
    finally:
        os.killpg(server.pid, 15)
        server.wait()


def measure(name: str, load: Load, folder: Path, environments: Path, ports: tuple[int, int]) -> dict[str, Any]:
    """Spans per second from the first request until the peer's database stands still."""
    peer = PEERS[name]
    with running(name, folder, environments, ports) as (data, version):
        begun = time.perf_counter()
        sent = load(ports[0], peer.headers)
        stored, stood_at = last_count(data / peer.database)
        took = stood_at - begun
    size = sum(file.stat().st_blocks * 512 for file in data.rglob("*") if file.is_file())
    return {"version": version, "stored": stored, "stored_per_s": stored / took, "bytes_per_span": size / max(stored, 1), **sent}


def last_count(database: Path) -> tuple[int, float]:
    """The count once it stands still, and since when it has."""
    deadline = time.perf_counter() + DRAIN_S
    count, since = -1, 0.0
    while time.perf_counter() < deadline:
        try:
            with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30) as opened:
                [(now,)] = opened.execute("SELECT count(*) FROM spans").fetchall()
        except sqlite3.OperationalError:
            now = count  # it is locked
        if now != count:
            count, since = now, time.perf_counter()
        elif time.perf_counter() - since >= STILL_S:
            break
        time.sleep(0.2)
    return count, since


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise SystemExit(f"nothing answers at {url}") from None
            time.sleep(0.2)


def _version(environment: Path, package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([environment / "bin" / "python", "-c", code], capture_output=True, text=True, check=True).stdout.strip()
