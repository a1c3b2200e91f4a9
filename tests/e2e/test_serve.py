"""``clew serve`` as a user has it: the real program, real exporters, kills, and the other commands beside it."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import resource
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "fastapi", "grpc", "httpx", "uvicorn", "zstandard")

Until = Callable[..., Any]
JSON = {"content-type": "application/json"}
KILLS = int(os.environ.get("KILLS", "3"))
"""Rounds of the test that kills the server; 50 for a long run."""


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@dataclass
class Server:
    """A running ``clew serve`` on the data directory of a command line."""

    process: subprocess.Popen[bytes]
    port: int
    otlp_http: int
    otlp_grpc: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stats(self) -> Any:
        import httpx

        return httpx.get(f"{self.url}/api/v1/stats", timeout=30).json()

    def settled(self) -> Any:
        """The account, when everything that was acknowledged is stored and settled; else None."""
        stats = self.stats()
        return stats if stats["waiting"] == 0 and stats["settled"] else None

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(60)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        return code


Start = Callable[..., Server]


@pytest.fixture
def serve(clew: Any) -> Iterator[Start]:
    """Starts a server and waits until it says that it is ready."""
    started: list[Server] = []

    def start(**environment: str) -> Server:
        ports = free_ports(3)
        flags = [*("--port", ports[0]), *("--otlp-http", ports[1]), *("--otlp-grpc", ports[2])]
        process = clew.start("serve", *map(str, flags), env=environment)
        server = Server(process, *ports)
        started.append(server)
        line = process.stdout.readline().decode()
        assert line.startswith(f"Clew serves {clew.data_dir} at {server.url} "), process.stderr.read().decode()
        return server

    yield start
    for server in started:
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)


def test_it_collects_and_the_other_commands_work_meanwhile(
    clew: Any, serve: Start, make_request: Any, until: Until, tmp_path: Path
) -> None:
    import httpx

    server = serve()
    body = make_request(1, 4)
    for port in (server.port, server.otlp_http):
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/traces", content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()) == (200, {})
    until(
        lambda: clew.rows("SELECT count() AS n FROM spans") == [{"n": "4"}] or clew.rows("SELECT count() AS n FROM spans") == [{"n": 4}],
        "the spans",
    )
    file = tmp_path / "two.jsonl"
    file.write_bytes(make_request(2, 3))
    clew.run("import", file)
    assert len(clew.json("runs")) == 2
    assert "All is well." in clew.run("doctor")[0]
    assert clew.owner == server.process.pid
    code = server.stop()
    assert code == 0
    assert not (clew.data_dir / "owner.sock").exists()
    assert len(clew.json("runs")) == 2


def test_a_second_server_is_refused_by_name(clew: Any, serve: Start) -> None:
    server = serve()
    _, err = clew.run("serve", "--port", str(free_ports(1)[0]), code=1)
    assert re.fullmatch(
        rf"clew: {clew.data_dir} is served by process {server.process.pid} at {server.url} since \d\d:\d\d:\d\d; "
        r"use that, or stop it, then run this again\n",
        err,
    )


def test_an_owner_of_the_command_line_makes_way(clew: Any, serve: Start) -> None:
    clew.environment["CLEW_OWNER_LINGER_S"] = "600"
    clew.run("runs")
    before = clew.owner
    server = serve()
    assert clew.owner == server.process.pid != before


def test_an_address_that_cannot_be_had_is_named(clew: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        other = str(free_ports(1)[0])
        _, err = clew.run("serve", "--port", other, "--otlp-http", str(port), code=2)
        assert (
            err
            == f"clew: 127.0.0.1:{port} cannot be listened on: Address already in use; choose another with --otlp-http, or 0 to turn it off\n"
        )
        _, err = clew.run("serve", "--port", other, "--otlp-http", "0", "--otlp-grpc", str(port), code=2)
        assert f"127.0.0.1:{port} cannot be listened on" in err.splitlines()[-1]


def test_other_machines_are_let_in_only_with_keys(clew: Any) -> None:
    _, err = clew.run("serve", "--host", "0.0.0.0", code=2)
    assert err == "clew: 0.0.0.0 lets other machines in, and there is no API key; make one first: clew keys add NAME --role admin\n"
    token, _ = clew.run("keys", "add", "me", "--role", "admin")
    assert token.startswith("clew_")
    assert [(key["name"], key["role"]) for key in clew.json("keys", "list")] == [("me", "admin")]
    clew.run("keys", "remove", "me")
    assert clew.run("keys", "list")[0] == "There are no keys.\n"


def test_what_programs_record_is_taken_in_as_it_comes(clew: Any, serve: Start, until: Until) -> None:
    import sys

    serve()
    code = "import clew\nwith clew.workflow('recorded'): pass\nclew.shutdown()"
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"CLEW_DATA_DIR": str(clew.data_dir)}, check=True)
    spool = clew.data_dir / "spool"
    until(lambda: not list(spool.glob("*.jsonl")), "the spool to be taken in")
    assert [run["name"] for run in clew.json("runs")] == ["recorded"]


@pytest.mark.needs("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
def test_the_opentelemetry_sdk_sends_unmodified(clew: Any, serve: Start, until: Until, compression: str) -> None:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    server = serve()
    exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{server.otlp_http}/v1/traces", compression=Compression(compression))
    provider = TracerProvider(resource=Resource({"service.name": "sdk"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("agent", attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}):
        for number in range(100):
            with tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": number}):
                pass
    provider.shutdown()
    until(server.settled, "the spans to be stored")
    [row] = clew.rows("SELECT count() AS calls, sum(input_tokens) AS tokens, any(agent) AS agent, any(service) AS service FROM model_calls")
    assert {name: str(value) for name, value in row.items()} == {"calls": "100", "tokens": "4950", "agent": "planner", "service": "sdk"}


class Sender(threading.Thread):
    """Sends numbered requests, a few spans each, one after the other until it is stopped; knows which were acknowledged."""

    numbers = itertools.count()

    def __init__(self, server: Server, make_request: Any) -> None:
        super().__init__()
        self._url = f"http://127.0.0.1:{server.otlp_http}/v1/traces"
        self._make_request = make_request
        self.stopping = threading.Event()
        self.acknowledged: set[int] = set()
        self.sent: set[int] = set()

    def run(self) -> None:
        import httpx

        with httpx.Client(timeout=10) as client:
            while not self.stopping.is_set():
                number = next(self.numbers)
                self.sent.add(number)
                try:
                    body = self._make_request(number, 5, text="x" * 200)
                    answer = client.post(self._url, content=body, headers={"content-type": "application/json"})
                except httpx.TransportError:
                    return  # it was killed
                if answer.status_code == 200:
                    self.acknowledged.add(number)


def test_killed_under_load_it_has_every_acknowledged_span_once(clew: Any, serve: Start, make_request: Any, until: Until) -> None:
    rnd = random.Random(7)
    acknowledged: set[int] = set()
    sent: set[int] = set()
    for _ in range(KILLS):
        server = serve()
        senders = [Sender(server, make_request) for _ in range(3)]
        for sender in senders:
            sender.start()
        goal = rnd.randrange(1, 400)
        until(lambda goal=goal, senders=senders: sum(len(sender.acknowledged) for sender in senders) >= goal, "requests to be acknowledged")
        server.stop(signal.SIGKILL)
        for sender in senders:
            sender.join()
            acknowledged |= sender.acknowledged
            sent |= sender.sent
    server = serve()
    stats = until(server.settled, "the log of all rounds to be drained", 600)
    rows = clew.rows("SELECT trace_id, count() AS n, uniqExact(span_id) AS distinct FROM spans GROUP BY trace_id")
    there = {int(row["trace_id"][:8], 16) - 1: (int(row["n"]), int(row["distinct"])) for row in rows}
    assert acknowledged - set(there) == set()
    assert set(there) - sent == set()
    assert {number: counts for number, counts in there.items() if counts != (5, 5)} == {}
    assert (stats["gap"], stats["received"], stats["stored"]) == (0, 5 * len(there), 5 * len(there))
    assert clew.rows("SELECT count() AS n FROM model_calls")[0]["n"] in (4 * len(there), str(4 * len(there)))
    server.stop()


def test_on_a_full_disk_nothing_acknowledged_is_lost_and_there_is_room_again_later(
    clew: Any, serve: Start, make_request: Any, until: Until
) -> None:
    """A limit on the size of files stands for the full disk: neither the log nor the store can grow."""
    import httpx

    server = serve()
    acknowledged = []
    no_limit = resource.RLIM_INFINITY
    with httpx.Client(timeout=60) as client:

        def send(number: int) -> int:
            answer = client.post(f"{server.url}/v1/traces", content=make_request(number, 200, text=os.urandom(200).hex()), headers=JSON)
            if answer.status_code == 200:
                acknowledged.append(number)
            return answer.status_code

        assert send(0) == 200
        until(server.settled, "the first request to be stored")
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (20_000, no_limit))
        refused = [send(number) for number in range(1, 6)]
        assert set(refused) <= {200, 503}
        assert 503 in refused
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (no_limit, no_limit))
        assert [send(number) for number in range(6, 9)] == [200] * 3
    stats = until(server.settled, "the log to be drained")
    assert (stats["stored"], stats["rejected"], stats["gap"]) == (200 * len(acknowledged), {}, 0)
    assert stats["refused_requests"] == {"disk": refused.count(503)}
    assert sorted(int(run["run_id"][:8], 16) - 1 for run in clew.json("runs")) == acknowledged
    assert not (clew.data_dir / "quarantine").exists()


@pytest.fixture
def small_disk(tmp_path: Path, clew: Any) -> Iterator[Path]:
    """The data directory lies on a file system of 48 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("not applicable: mounting a small file system needs more rights")
    before, clew.data_dir = clew.data_dir, place / "data"
    yield place
    clew.stop_owner()
    clew.data_dir = before
    subprocess.run(["umount", "-l", place], check=True)


def test_a_disk_that_is_full_is_answered_503_with_when_to_try_again_and_works_once_there_is_room(
    clew: Any, small_disk: Path, serve: Start, make_request: Any, until: Until
) -> None:
    import httpx

    server = serve()
    acknowledged = set()

    def send(number: int) -> Any:
        answer = httpx.post(
            f"{server.url}/v1/traces", content=make_request(number, 50, text=os.urandom(300).hex()), headers=JSON, timeout=60
        )
        if answer.status_code == 200:
            acknowledged.add(number)
        return answer

    assert send(0).status_code == 200
    until(server.settled, "the first request to be stored")
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as stream:  # all that is left
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    stream.write(b"x" * size)
            except OSError:
                pass
    refused = until(lambda: (answer := send(len(acknowledged))).status_code != 200 and answer, "the disk to be full")
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    assert httpx.get(f"{server.url}/healthz", timeout=30).status_code == 200
    ballast.unlink()
    until(lambda: send(1000).status_code == 200, "the server to take in again")
    stats = until(server.settled, "the log to be drained")
    assert (stats["stored"], stats["gap"]) == (stats["received"], 0)
    assert server.stop() == 0
    rows = clew.rows("SELECT trace_id, count() AS spans FROM spans GROUP BY trace_id")
    found = {int(row["trace_id"][:8], 16) - 1: row["spans"] for row in rows}
    assert found == dict.fromkeys(acknowledged, 50)


def test_a_disk_that_is_read_only_is_named_at_the_start_and_nothing_is_changed(clew: Any, small_disk: Path, serve: Start) -> None:
    assert serve().stop() == 0
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    _, said = clew.run("serve", "--port", str(free_ports(1)[0]), code=1)
    assert "Read-only file system" in said
    assert said.count("\n") == 1
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    assert serve().stop() == 0


def test_a_user_deletes_backs_up_restores_and_prunes_while_it_serves(
    clew: Any, serve: Start, make_request: Any, until: Until, tmp_path: Path, command_line: Any
) -> None:
    import httpx

    server = serve()
    for number in range(4):
        assert httpx.post(f"{server.url}/v1/traces", content=make_request(number, 5), headers=JSON, timeout=60).status_code == 200
    run = f"{1:08x}{0:024x}"
    _, said = clew.run("delete", "run", run, code=2)
    assert "would delete 1 run, 5 spans, 0 log records, 4 pieces of content; give --yes" in said
    assert clew.json("delete", "run", run[:8], "--dry-run")["spans"] == 5
    assert clew.run("delete", "run", run, "--yes")[0] == "Deleted 1 run, 5 spans, 0 log records, 4 pieces of content.\n"
    assert clew.run("delete", "run", run, "--yes")[0] == "There is nothing to delete.\n"
    asked = {"filter": f"run:{2:08x}*", "dry_run": True}
    counted = httpx.post(f"{server.url}/api/v1/delete", json=asked, timeout=60).json()
    assert counted == {"runs": 1, "spans": 5, "logs": 0, "payloads": 4, "done": False}
    deleted = httpx.delete(f"{server.url}/api/v1/runs/{2:08x}{0:024x}", timeout=60)
    assert (deleted.status_code, deleted.json()) == (200, counted | {"done": True})
    assert httpx.delete(f"{server.url}/api/v1/sessions/none", timeout=60).json()["runs"] == 0
    assert httpx.post(f"{server.url}/api/v1/delete", json={"filter": ""}, timeout=60).status_code == 400
    made = clew.json("backup", tmp_path / "b.tar")
    assert made["files"] > 20
    assert "there is something already" in clew.run("backup", tmp_path / "b.tar", code=1)[1]
    assert clew.run("prune")[0] == "Nothing is old enough to go.\n"
    stats = server.stats()
    assert (stats["stored"], stats["removed"]) == (20, {"traces": {"deleted": 10}})
    assert stats["retention"]["traces_days"] == 30
    until(lambda: server.stats()["retention"]["pruned_ns"], "retention to have run")
    shown = clew.json("doctor", env={"CLEW_RETENTION_BITES": "1"})["findings"]
    assert [one["advice"] for one in shown if one["subject"] == "settings"] == ["did you mean CLEW_RETENTION_BYTES?"]
    assert any(one["subject"] == "kept" and one["text"].startswith("traces 30 days") for one in shown)
    restored = command_line(tmp_path / "new")
    assert "Restored" in restored.run("restore", tmp_path / "b.tar")[0]
    assert "is not empty" in clew.run("restore", tmp_path / "b.tar", code=1)[1]
    query = "SELECT trace_id, span_id, input_tokens FROM spans ORDER BY 1, 2"
    assert restored.rows(query) == clew.rows(query)
    restored.stop_owner()


def test_a_command_with_other_prices_names_the_server(clew: Any, serve: Start, tmp_path: Path) -> None:
    server = serve()
    prices = tmp_path / "other.toml"
    prices.write_text("")
    _, err = clew.run("runs", code=1, env={"CLEW_PRICES": str(prices)})
    assert f"is served by process {server.process.pid} at {server.url} with Clew" in err
    (clew.data_dir / "prices.toml").write_text("")
    clew.run("runs")  # the server's own file may change
    assert clew.owner == server.process.pid


def requests_of(path: Path, rnd: random.Random) -> list[bytes]:
    """Small requests with some spans of a file each: every span at least once, some repeatedly, in any order."""
    import lzma

    found: list[bytes] = []
    for line in lzma.decompress(path.read_bytes()).splitlines():
        for group in json.loads(line)["resourceSpans"]:
            for scope in group["scopeSpans"]:
                for span in scope["spans"]:
                    one = {"resourceSpans": [{**group, "scopeSpans": [{**scope, "spans": [span]}]}]}
                    found.append(json.dumps(one).encode())
    found += rnd.sample(found, len(found) // 3)
    rnd.shuffle(found)
    return found


FIGURES = """SELECT count() AS calls, countIf(usage_source != 'missing') AS with_usage, sum(input_tokens) AS input, sum(output_tokens) AS output,
    round(sum(cost_usd), 6) AS cost FROM model_calls"""
SPANS = "SELECT count() AS spans, uniqExact(trace_id) AS traces, countIf(status = 'error') AS errors, groupBitXor(cityHash64(trace_id, span_id, name, kind, agent)) AS content FROM spans"


def test_real_traces_in_small_requests_repeated_and_in_any_order_give_the_figures_of_an_import(
    clew: Any, command_line: Any, serve: Start, until: Until, shared_data: Any, tmp_path: Path
) -> None:
    import httpx

    files = [shared_data(f"trail/{agent}.traces.otlp.jsonl.xz") for agent in ("gaia", "swe_bench")]
    imported = command_line(tmp_path / "imported")
    imported.run("import", *files)
    expected = [imported.rows(FIGURES), imported.rows(SPANS)]
    imported.stop_owner()
    assert {int(expected[0][0]["input"]), int(expected[0][0]["calls"])} == {1_884_082 + 1_622_036, 480}

    rnd = random.Random(11)
    bodies = [body for file in files for body in requests_of(file, rnd)]
    rnd.shuffle(bodies)
    server = serve()
    at = 0
    with httpx.Client(timeout=60) as client:
        for body in bodies:
            answer = client.post(f"{server.url}/v1/traces", content=body, headers={"content-type": "application/json"})
            assert answer.status_code == 200
            at += 1
    stats = until(server.settled, "the log to be drained")
    assert [clew.rows(FIGURES), clew.rows(SPANS)] == expected
    assert (stats["received"], stats["stored"], stats["gap"]) == (at, at, 0)
    server.stop()
