"""``clew serve`` under sustained load: generated agent spans over OTLP from client processes on the same machine.

The clients send encoded requests that were made beforehand, as fast as they are acknowledged, for a time. Acknowledged means on disk. Then
the last acknowledged span is asked for until it is there, and every stored span is counted. What is timed is from the first request until the
last acknowledged span is answered by a query: acknowledged, durable, full-text indexed and queryable.

    python benchmarks/serve.py [--seconds S] [--clients N] [--per-request N] [--rate N] [--protocol http|json|grpc] [--peers] [--json]

Without --rate the clients are faster than the store, and the log takes the difference until it is full; the time to drain it counts. With --rate
they offer so many spans a second, which shows what the store keeps up with.

--peers sends the same load to Phoenix and MLflow afterwards (peers.py), over OTLP/HTTP with protobuf.

The clients' ids and times differ with each pass over the file, so no span is sent twice. The goals are printed as met or missed, never
asserted: the machine may have other work, which the load average beside the figures shows.
"""

from __future__ import annotations

import argparse
import base64
import json
import multiprocessing
import os
import platform
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import peers
import psutil
import spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

GOAL_RATE = 100_000
LEAST_RATE = 50_000
QUERYABLE_S = 5.0
READY_S = 2.0
IDLE_MIB = 400
TEMPLATES = 40
"""Requests that are made beforehand for each client; each pass over them gets new ids."""
IDLE_S = 20.0
INDEXED_S = 60.0
"""Longest wait for the index of what came in under full load."""


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Template:
    """An encoded request, and where its ids stand: a pass changes four bytes of each, which costs the client next to nothing."""

    def __init__(self, body: bytes, *, json: bool) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        self._json = json
        self.body = bytearray(_as_json(request) if json else body)
        ids: set[bytes] = set()
        self.spans = 0
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans += 1
                    ids |= {span.trace_id, span.span_id}
                    self.last = span
        shown = [found.hex().encode() if json else found for found in ids]
        self._ends = [at + len(found) for found in shown for at in _all(bytes(self.body), found)]

    def renew(self, number: int) -> None:
        """Ids of their own for this pass; parents and traces still fit."""
        mark = b"%08x" % number if self._json else number.to_bytes(4, "big")
        for end in self._ends:
            self.body[end - len(mark) : end] = mark

    def last_span(self, number: int) -> str:
        return str((self.last.span_id[:-4] + number.to_bytes(4, "big")).hex())


def _as_json(request: ExportTraceServiceRequest) -> bytes:
    """OTLP/JSON: protobuf's own JSON, with ids in hex."""
    from google.protobuf.json_format import MessageToDict

    def turn(value: Any) -> Any:
        if isinstance(value, list):
            return [turn(item) for item in value]
        if isinstance(value, dict):
            return {key: base64.b64decode(inner).hex() if key in IDS else turn(inner) for key, inner in value.items()}
        return value

    return json.dumps(turn(MessageToDict(request)), separators=(",", ":")).encode()


IDS = ("traceId", "spanId", "parentSpanId")


def _all(body: bytes, found: bytes) -> list[int]:
    places, at = [], body.find(found)
    while at >= 0:
        places.append(at)
        at = body.find(found, at + 1)
    return places


def client(seed: int, settings: dict[str, Any], go: Any, stop: Any, results: Any) -> None:
    """Sends until told to stop; reports what was acknowledged."""
    as_json = settings["protocol"] == "json"
    made = [
        Template(body, json=as_json)
        for body in spans.requests(TEMPLATES * settings["per_request"], per_request=settings["per_request"], seed=seed)
    ]
    send = _sender(settings)
    results.put("ready")
    go.wait()
    before = time.process_time()
    begun_at = time.perf_counter()
    acknowledged = refused = passes = 0
    last = ""
    waits: list[float] = []
    while not stop.is_set():
        passes += 1
        for template in made:
            if stop.is_set():
                break
            template.renew(passes)
            body = bytes(template.body)
            if settings["rate"] and (early := begun_at + acknowledged / settings["rate"] - time.perf_counter()) > 0:
                time.sleep(early)
            while not stop.is_set():
                begun = time.perf_counter()
                if send(body):
                    waits.append(time.perf_counter() - begun)
                    acknowledged += template.spans
                    last = template.last_span(passes)
                    break
                refused += 1
                time.sleep(0.05)
    waits.sort()
    used = time.process_time() - before
    p50, p99 = (waits[int(len(waits) * share)] * 1000 if waits else None for share in (0.5, 0.99))
    results.put(
        {
            "acknowledged": acknowledged,
            "refused": refused,
            "last": last,
            "p50_ms": p50,
            "p99_ms": p99,
            "cpu_s": used,
            "bytes": sum(len(t.body) for t in made) / sum(t.spans for t in made),
        }
    )


def _sender(settings: dict[str, Any]) -> Any:
    if settings["protocol"] == "grpc":
        import grpc

        channel = grpc.insecure_channel(f"127.0.0.1:{settings['grpc']}")
        export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")

        def call(body: bytes) -> bool:
            try:
                export(body, timeout=60)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
                return False
            return True

        return call
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", settings["http"], timeout=300)
    headers = {"Content-Type": "application/json" if settings["protocol"] == "json" else "application/x-protobuf", **settings["headers"]}

    def post(body: bytes) -> bool:
        try:
            connection.request("POST", "/v1/traces", body, headers)
            answer = connection.getresponse()
            answer.read()
        except (http.client.HTTPException, OSError):  # some peers close a connection now and then
            connection.close()
            return False
        if answer.status not in (200, 429, 500, 503):
            raise SystemExit(f"the server answered {answer.status}")
        return answer.status == 200

    return post


class Server:
    """A fresh ``clew serve`` in a process of its own; the peak of its memory is watched."""

    def __init__(self, data_dir: Path) -> None:
        self.http, second, self.grpc = free_ports(3)
        command = [sys.executable, "-m", "clew.cli.main", "serve", "--data-dir", str(data_dir)]
        command += ["--port", str(self.http), "--otlp-http", str(second), "--otlp-grpc", str(self.grpc)]
        begun = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            raise SystemExit("the server did not start")
        self.ready_s = time.perf_counter() - begun
        self.seen = psutil.Process(self.process.pid)
        self.peak_rss = 0
        self._watching = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._watching.wait(0.1):
            self.peak_rss = max(self.peak_rss, self.seen.memory_info().rss)

    def cpu_s(self) -> float:
        used = self.seen.cpu_times()
        return float(used.user + used.system)

    def stats(self) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/api/v1/stats") as answer:
            return json.load(answer)

    def unindexed(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/api/v1/health") as answer:
            return int(json.load(answer)["unindexed"])

    def stop(self) -> float:
        self._watching.set()
        begun = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        return time.perf_counter() - begun


def count(data_dir: Path, where: str = "") -> int:
    from clew.cli.client import Client
    from clew.cli.operations import SQL

    with Client.connect(data_dir) as asked:
        return int(asked.ask(SQL, query=f"SELECT count() FROM spans {where}").rows[0][0])


class Clients:
    """Processes that send for a time."""

    def __init__(self, arguments: argparse.Namespace, settings: dict[str, Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self._go, self._stop, self._results = context.Event(), context.Event(), context.Queue()
        self._seconds = arguments.seconds
        given = {"rate": arguments.rate / arguments.clients, "per_request": arguments.per_request, "headers": {}, **settings}
        self._processes = [
            context.Process(target=client, args=(random.randrange(1 << 30), given, self._go, self._stop, self._results))
            for _ in range(arguments.clients)
        ]
        for one in self._processes:
            one.start()
        for _ in self._processes:
            assert self._results.get() == "ready"

    def send(self) -> tuple[list[dict[str, Any]], float]:
        """What each has to say, and how long all of it took."""
        begun = time.perf_counter()
        self._go.set()
        time.sleep(self._seconds)
        self._stop.set()
        found = [self._results.get() for _ in self._processes]
        took = time.perf_counter() - begun
        for one in self._processes:
            one.join()
        return found, took


def measure(arguments: argparse.Namespace, data_dir: Path) -> dict[str, Any]:
    server = Server(data_dir)
    time.sleep(IDLE_S)  # what the start has begun ends
    before = server.cpu_s()
    time.sleep(IDLE_S)
    idle = {"idle_cpu_share": (server.cpu_s() - before) / IDLE_S, "idle_rss_mib": server.seen.memory_info().rss / 2**20}
    clients = Clients(arguments, {"protocol": arguments.protocol, "http": server.http, "grpc": server.grpc})
    used = server.cpu_s()
    begun = time.perf_counter()
    found, sent_s = clients.send()
    waiting = server.stats()["waiting"]
    while server.stats()["waiting"]:
        time.sleep(0.02)
    last = [one["last"] for one in found if one["last"]]
    while count(data_dir, f"WHERE span_id IN ({', '.join(repr(span) for span in last)})") < len(last):
        time.sleep(0.02)
    queryable_s = time.perf_counter() - begun
    cpu = server.cpu_s() - used
    while not server.stats()["settled"]:
        time.sleep(0.02)
    settled_s = time.perf_counter() - begun
    unindexed = left = server.unindexed()
    while left and time.perf_counter() - begun - settled_s < INDEXED_S:
        time.sleep(0.5)
        left = server.unindexed()
    indexed_s = time.perf_counter() - begun
    acknowledged = sum(one["acknowledged"] for one in found)
    stats = server.stats()
    stored = count(data_dir)
    if not (stored == acknowledged == stats["stored"] == stats["received"]) or stats["gap"]:
        raise SystemExit(f"{acknowledged} acknowledged, {stored} in the store, account {stats}")
    closing_s = server.stop()
    return {
        **idle,
        "ready_s": server.ready_s,
        "acknowledged": acknowledged,
        "acknowledged_per_s": acknowledged / sent_s,
        "spans_per_s": acknowledged / queryable_s,
        "sent_s": sent_s,
        "waiting_at_the_end": waiting,
        "queryable_after_s": queryable_s - sent_s,
        "settled_after_s": settled_s - sent_s,
        "unindexed": unindexed,
        "unindexed_left": left,
        "indexed_after_s": indexed_s - sent_s,
        "server_cpu_us_per_span": cpu / acknowledged * 1e6,
        "clients_cpu_us_per_span": sum(one["cpu_s"] for one in found) / acknowledged * 1e6,
        "bytes_on_the_wire": found[0]["bytes"],
        "asked_to_wait": sum(one["refused"] for one in found),
        "p50_ms": max(one["p50_ms"] or 0 for one in found),
        "p99_ms": max(one["p99_ms"] or 0 for one in found),
        "peak_rss_mib": server.peak_rss / 2**20,
        "closing_s": closing_s,
    }


def measure_peers(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    def load(port: int, headers: dict[str, str]) -> dict[str, Any]:
        found, took = Clients(arguments, {"protocol": "http", "http": port, "headers": headers}).send()
        return {"acknowledged": sum(one["acknowledged"] for one in found), "refused": sum(one["refused"] for one in found), "sent_s": took}

    environments = Path(arguments.environments or folder / "environments")
    http, grpc = free_ports(2)
    return {name: peers.measure(name, load, folder, environments, (http, grpc)) for name in peers.PEERS}


def report_peers(found: dict[str, Any], ours: float) -> None:
    print()
    for name, figures in found.items():
        print(
            f"{name + ' ' + figures['version']:28}{figures['stored_per_s']:>12,.0f} spans/s   {figures['stored']:,} in its database of "
            f"{figures['acknowledged']:,} acknowledged, {figures['bytes_per_span']:,.0f} bytes each; Clew {ours / max(figures['stored_per_s'], 1e-9):,.0f} times"
        )


def report(figures: dict[str, Any], machine: dict[str, Any]) -> None:
    before, after = machine["load_average"]
    offered = f"{machine['rate']:,} spans/s offered" if machine["rate"] else "as fast as they are acknowledged"
    print(
        f"{machine['seconds']} s of OTLP/{machine['protocol']} from {machine['clients']} client processes, {offered}, {machine['per_request']} spans a request "
        f"of {figures['bytes_on_the_wire']:.0f} bytes each; {machine['cpus']} CPUs shared with the clients, load {before:.1f} → {after:.1f}"
    )
    rows = (
        (
            "acknowledged and queryable",
            f"{figures['spans_per_s']:,.0f} spans/s",
            f"{figures['acknowledged']:,} in {figures['sent_s']:.1f} s, all there {figures['queryable_after_s']:.1f} s later, settled {figures['settled_after_s']:.1f} s later",
        ),
        (
            "read by searches, not indexed",
            f"{figures['unindexed']:,} texts",
            f"when all was settled; {figures['unindexed_left']:,} of them {figures['indexed_after_s']:.1f} s after the end",
        ),
        (
            "acknowledged",
            f"{figures['acknowledged_per_s']:,.0f} spans/s",
            f"p50 {figures['p50_ms']:.0f} ms, p99 {figures['p99_ms']:.0f} ms a request; asked to wait {figures['asked_to_wait']} times",
        ),
        (
            "CPU of the server",
            f"{figures['server_cpu_us_per_span']:.1f} µs/span",
            f"clients {figures['clients_cpu_us_per_span']:.1f} µs/span",
        ),
        (
            "memory at most",
            f"{figures['peak_rss_mib']:,.0f} MiB",
            f"idle {figures['idle_rss_mib']:.0f} MiB, {figures['idle_cpu_share']:.2%} CPU",
        ),
        ("ready after", f"{figures['ready_s']:.2f} s", f"closed in {figures['closing_s']:.1f} s"),
    )
    for name, figure, rest in rows:
        print(f"{name:28}{figure:>20}   {rest}")
    print()
    for goal, met in machine["goals"].items():
        print(f"{'met   ' if met else 'MISSED'} {goal}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--per-request", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=0, help="spans a second that the clients offer; 0: as many as are acknowledged")
    parser.add_argument(
        "--protocol", choices=("http", "json", "grpc"), default="http", help="http: OTLP/HTTP with protobuf; json: OTLP/HTTP with JSON"
    )
    parser.add_argument(
        "--peers", action="store_true", help="then send the same to Phoenix and MLflow (installs them; needs a package index)"
    )
    parser.add_argument("--environments", help="folder for the peers' environments, to keep them; default: made anew")
    parser.add_argument("--json", action="store_true", help="also write benchmarks/results/serve.json")
    arguments = parser.parse_args()
    load = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory(prefix="clew-benchmark-") as folder:
        figures = measure(arguments, Path(folder) / "data")
        of_peers = measure_peers(arguments, Path(folder)) if arguments.peers else {}
    load.append(os.getloadavg()[0])
    goals = {
        f"{GOAL_RATE:,} spans/s": figures["spans_per_s"] >= GOAL_RATE,
        f"at least {LEAST_RATE:,} spans/s": figures["spans_per_s"] >= LEAST_RATE,
        f"queryable within {QUERYABLE_S:.0f} s": figures["queryable_after_s"] <= QUERYABLE_S,
        f"ready in {READY_S:.0f} s": figures["ready_s"] < READY_S,
        f"idle ≤ {IDLE_MIB} MiB and < 1 % CPU": figures["idle_rss_mib"] <= IDLE_MIB and figures["idle_cpu_share"] < 0.01,
    }
    given = {name: getattr(arguments, name) for name in ("seconds", "clients", "per_request", "rate", "protocol")}
    machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "load_average": load, **given, "goals": goals}
    report(figures, machine)
    report_peers(of_peers, figures["spans_per_s"])
    if arguments.json:
        results = Path(__file__).parent / "results"
        results.mkdir(exist_ok=True)
        (results / "serve.json").write_text(
            json.dumps({"machine": machine, "clew": figures, **of_peers}, indent=2) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
