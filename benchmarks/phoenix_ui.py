"""Phoenix's pages of the same kind as those of ui.py, in the same browser: spans are sent to it for a time, and what it holds then is looked at."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import browser
import peers
import spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from phoenix_peer import COUNT, send
from serve import free_ports

PER_REQUEST = 100
RANGE = "timeRangeKey=7d"
ROWS = "document.querySelectorAll('tbody tr').length > 1"
SPANS_OF_TRACE = "[...document.querySelectorAll('ul')].some((list) => list.querySelectorAll('li').length >= 19)"

VIEWS: dict[str, tuple[str, str, str]] = {
    "metrics of a project": (f"/metrics?{RANGE}", "document.querySelectorAll('.recharts-wrapper').length >= 15", ""),
    "spans of a project": (f"/spans?{RANGE}", f"{ROWS} && document.querySelector('.recharts-wrapper')", ""),
    "spans by a filter": (f"/spans?{RANGE}&spanFilterCondition={{}}", ROWS, "filter"),
    # Opened by its address in the project, it shows the list only.
    "a trace of 20 spans": ("/redirects/traces/{}", SPANS_OF_TRACE, "trace"),
}
"""Address, within the project unless it leads there, when it is painted, and of what values {} is one. Its metrics are fifteen charts."""


def measure(
    started: browser.Browser, minutes: float, environments: Path | None, look: Callable[[str, str, str, str, list[str]], dict[str, Any]]
) -> dict[str, Any]:
    """:param look: opens a page several times: its name, the server, the path, when it is painted, and the values for {} in the path"""
    with tempfile.TemporaryDirectory(prefix="clew-phoenix-") as made:
        folder = Path(made)
        http, grpc = free_ports(2)
        with peers.running("phoenix", folder, environments or folder / "environments", (http, grpc)) as (data, version):
            url = f"http://127.0.0.1:{http}"
            traces = _fill(url, minutes * 60)
            held, _ = peers.last_count(data / peers.PEERS["phoenix"].database)
            project = _project(url)
            values = {
                "filter": [f"name == 'chat {model}'" for model in spans.MODELS]
                + [f"name == 'execute_tool {tool}'" for tool in spans.TOOLS],
                "trace": traces,
                "": [""],
            }
            views = {
                name: look(name, url, path if path.startswith("/redirects/") else f"/projects/{project}{path}", painted, values[of])
                for name, (path, painted, of) in VIEWS.items()
            }
    return {"version": version, "spans": held, "minutes": minutes, "views": views}


def _fill(url: str, seconds: float) -> list[str]:
    """Sends what is taken in that time; gives back the ids of some of the traces, the earliest, which are there for sure."""
    print(f"sending spans to Phoenix for {seconds / 60:g} minutes", file=sys.stderr)
    traces: list[str] = []
    end = time.monotonic() + seconds
    for body in spans.requests(10_000_000, per_request=PER_REQUEST, start_ns=time.time_ns() - 10_000_000 * 1_000_000):
        if len(traces) < 40:
            traces.append(ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans[0].trace_id.hex())
        send(f"{url}/v1/traces", body, "application/x-protobuf")
        if time.monotonic() > end:
            return traces
    return traces


def _project(url: str) -> str:
    query = {"query": COUNT["query"].replace("recordCount", "id recordCount")}
    answer = json.loads(send(f"{url}/graphql", json.dumps(query).encode(), "application/json"))
    fullest = max((edge["node"] for edge in answer["data"]["projects"]["edges"]), key=lambda node: node["recordCount"])
    return str(fullest["id"])
