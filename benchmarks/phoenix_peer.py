"""Phoenix (arize-phoenix) as the peer: the same generated spans over OTLP/HTTP into a fresh server, until they can be queried.

The newest release is installed into an environment of its own, so the figures say which one it was.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import spans

SPANS = 4000
"""Enough for a steady rate; more only takes minutes."""
PER_REQUEST = 100
WAIT_S = 300.0

COUNT = {"query": "{ projects { edges { node { recordCount } } } }"}


def measure(folder: Path) -> dict[str, Any]:
    """Spans per second until the server counts them all, and the bytes of its directory per span."""
    environment = folder / "phoenix-environment"
    data_dir = folder / "phoenix"
    data_dir.mkdir()
    print("installing arize-phoenix into an environment of its own", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    install = [environment / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "arize-phoenix"]
    subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
    http, grpc = free_port(), free_port()
    settings = {
        "PHOENIX_WORKING_DIR": str(data_dir),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(http),
        "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    server = subprocess.Popen(
        [environment / "bin" / "phoenix", "serve"], env=os.environ | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{http}"
        wait_for(url, 0)
        requests = list(spans.requests(SPANS, per_request=PER_REQUEST))
        start = time.perf_counter()
        for request in requests:
            send(f"{url}/v1/traces", request, "application/x-protobuf")
        wait_for(url, SPANS)
        took = time.perf_counter() - start
    finally:
        server.terminate()
        server.wait()
    size = sum(file.stat().st_blocks * 512 for file in data_dir.rglob("*") if file.is_file())
    return {"version": version(environment), "spans": SPANS, "spans_per_s": SPANS / took, "bytes_per_span": size / SPANS}


def send(url: str, body: bytes, kind: str) -> bytes:
    """Sends until the server has room: it answers 503 while its queue is full."""
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": kind}), timeout=60) as response:
                return response.read()  # type: ignore[no-any-return]
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503):
                raise
            time.sleep(0.05)


def wait_for(url: str, count: int) -> None:
    """Waits until the server counts so many spans."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        try:
            answer = json.loads(send(f"{url}/graphql", json.dumps(COUNT).encode(), "application/json"))
            if sum(edge["node"]["recordCount"] for edge in answer["data"]["projects"]["edges"]) >= count:
                return
        except (urllib.error.URLError, ConnectionError):
            pass  # it is still starting
        time.sleep(0.1)
    raise SystemExit(f"Phoenix does not count {count} spans after {WAIT_S:.0f} s")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def version(environment: Path) -> str:
    code = "import importlib.metadata as m; print(m.version('arize-phoenix'))"
    return subprocess.run([environment / "bin" / "python", "-c", code], capture_output=True, text=True, check=True).stdout.strip()
