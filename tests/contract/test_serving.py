"""``clew`` with a ClickHouse server behind it: the same commands, and what was acknowledged while that server was away."""

from __future__ import annotations

import signal
import socket
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "fastapi", "grpc", "httpx", "uvicorn", "zstandard")


def test_commands_work_on_a_server_and_leave_no_store_in_the_data_directory(
    clew: Any, clickhouse: Any, make_request: Any, tmp_path: Any
) -> None:
    clew.environment["CLEW_STORE"] = clickhouse.new_database()
    file = tmp_path / "two.jsonl"
    file.write_bytes(make_request(1, 3) + make_request(2, 4))
    assert "7 spans in 2 requests" in clew.run("import", file)[0]
    assert [run["spans"] for run in clew.json("runs")] == [4, 3]
    assert not (clew.data_dir / "store").exists()
    assert f"{clew.environment['CLEW_STORE'].replace('default:@', '')}" in clew.run("doctor")[0]
    clew.stop_owner()
    del clew.environment["CLEW_STORE"]
    assert clew.json("runs") == []


def test_what_is_acknowledged_while_the_server_is_away_is_stored_once_it_is_back(
    clew: Any, clickhouse: Any, make_request: Any, until: Any
) -> None:
    import httpx

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ports = ("--port", str(port), "--otlp-http", "0", "--otlp-grpc", "0")
    serving = clew.start("serve", *ports, "--store", clickhouse.new_database())
    try:
        assert b"Clew serves clickhouse://127.0.0.1" in serving.stdout.readline()

        def send(trace: int) -> int:
            headers = {"content-type": "application/json"}
            return httpx.post(f"http://127.0.0.1:{port}/v1/traces", content=make_request(trace, 5), headers=headers, timeout=30).status_code

        def stats() -> Any:
            return httpx.get(f"http://127.0.0.1:{port}/api/v1/stats", timeout=30).json()

        assert send(1) == 200
        until(lambda: stats()["stored"] == 5, "the first spans")
        clickhouse.kill()
        assert send(2) == 200
        until(lambda: stats()["trouble"], "the server to be missed")
        assert stats()["waiting"] == 5
        clickhouse.start()
        until(lambda: stats()["stored"] == 10 and stats()["settled"], "the rest")
        assert clew.rows("SELECT count() AS n, uniqExact(span_id) AS ids FROM spans") == [{"n": 10, "ids": 10}]
        assert (stats()["gap"], stats()["rejected"]) == (0, {})
    finally:
        serving.send_signal(signal.SIGTERM)
        _, err = serving.communicate(timeout=60)
    assert serving.returncode == 0, err
