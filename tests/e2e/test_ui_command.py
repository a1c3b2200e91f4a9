"""``clew ui``: the address of the server that runs, or a server of its own."""

from __future__ import annotations

import os
import signal
import socket
import urllib.request
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect", "fastapi", "grpc", "uvicorn")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def test_it_starts_a_server_and_names_it_to_the_next_one(clew: Any) -> None:
    clew.environment |= {"CLEW_OTLP_HTTP": "0", "CLEW_OTLP_GRPC": "0"}
    port = free_port()
    with clew.start("ui", "--no-open", "--port", str(port)) as process:
        url = process.stdout.readline().decode().strip()
        assert url == f"http://127.0.0.1:{port}"
        assert clew.run("ui", "--no-open")[0].strip() == url
        with urllib.request.urlopen(f"{url}/healthz") as answer:
            assert answer.status == 200
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == 0
