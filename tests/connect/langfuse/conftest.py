"""A Langfuse for tests: an HTTP server on this machine that speaks its public interface and refuses what Langfuse would refuse. Requests and answers are checked
against the models of Langfuse's own package, where that is installed."""

from __future__ import annotations

import base64
import gzip
import importlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from clew.connect.langfuse import reset_langfuse_integration
from clew.connect.langfuse.mapping import attributes_of
from clew.record import state

AT = "2026-01-31T12:00:00.000Z"


def fits(path: str, value: Any) -> None:
    """``value`` is what Langfuse's own model at ``module:name`` says: it has what is needed, and nothing that the model does not know."""
    module, _, name = path.partition(":")
    try:
        model = getattr(importlib.import_module(f"langfuse.api.{module}"), name)
        core = importlib.import_module("langfuse.api.core.pydantic_utilities")
    except ImportError:
        return
    read = core.parse_obj_as(model, value)
    extra = set(getattr(read, "model_extra", None) or {}) - {"type", "dataType", "data_type"}  # they tell which of several models it is
    assert not extra, f"{name} has no {', '.join(sorted(extra))}"


class Langfuse:
    """The server, with what it was given.

    :ivar version: 4 or 3; an older one does not know ``v2/observations``, ``v3/scores``, and knows ``traces`` and ``dataset-run-items``
    :ivar spans: those that came by OTLP, as dicts of OTLP/JSON with hex ids and ``attributes`` by name
    :ivar refusals: statuses to answer the next requests with
    """

    def __init__(self, version: int = 4) -> None:
        self.version = version
        self.spans: list[dict[str, Any]] = []
        self.scores: list[dict[str, Any]] = []
        self.run_items: list[dict[str, Any]] = []
        self.prompts: dict[str, list[dict[str, Any]]] = {}
        self.datasets: dict[str, dict[str, Any]] = {}
        self.items: dict[str, dict[str, Any]] = {}
        self.observations: list[dict[str, Any]] = []
        self.given_scores: list[dict[str, Any]] = []
        self.traces: list[dict[str, Any]] = []
        self.refusals: list[int] = []
        self.answers: int | None = None
        """So many requests are answered, then the keys are refused."""
        self.asked: list[str] = []
        self.page = 100
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"langfuse": self}))
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.keys = (f"pk-lf-{self.port}", "sk-lf-secret")
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def span(self, name: str) -> dict[str, Any]:
        (found,) = [span for span in self.spans if span["name"] == name]
        return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    langfuse: Langfuse

    def do_GET(self) -> None:
        self._answer("GET", None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer("POST", gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)

    def _answer(self, method: str, body: bytes | None) -> None:
        url = urlsplit(self.path)
        path = url.path.removeprefix("/api/public/")
        self.langfuse.asked.append(f"{method} {path}")
        given = {name: values[0] for name, values in parse_qs(url.query).items()}
        if self.langfuse.refusals:
            self._send(self.langfuse.refusals.pop(0), {"message": "not now"})
        elif self.langfuse.answers is not None and len(self.langfuse.asked) > self.langfuse.answers:
            self._send(401, {"message": "Invalid credentials"})
        elif self.headers.get("Authorization") != "Basic " + base64.b64encode(":".join(self.langfuse.keys).encode()).decode():
            self._send(401, {"message": "Invalid credentials", "error": "UnauthorizedError"})
        else:
            for route, pattern in ROUTES.items():
                match = re.fullmatch(pattern, f"{method} {path}")
                if match:
                    try:
                        status, answer = getattr(self, route)(*map(unquote, match.groups()), given, body)
                    except Exception as error:
                        status, answer = 400, {"message": f"{type(error).__name__}: {error}"}
                    self._send(status, answer)
                    return
            self._send(404, {"message": "Not found", "error": "LangfuseNotFoundError"})

    def traces_in(self, given: dict[str, str], body: bytes) -> tuple[int, Any]:
        if self.headers["Content-Type"] == "application/json":
            document = json.loads(body)
        else:
            from google.protobuf.json_format import MessageToDict
            from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

            document = MessageToDict(ExportTraceServiceRequest.FromString(body), use_integers_for_enums=True)
        binary = self.headers["Content-Type"] != "application/json"
        for resource in document.get("resourceSpans", ()):
            for scoped in resource["scopeSpans"]:
                for span in scoped["spans"]:
                    ids = {key: span.get(key, "") for key in ("traceId", "spanId", "parentSpanId")}
                    if binary:
                        ids = {key: base64.b64decode(value).hex() for key, value in ids.items()}
                    self.langfuse.spans.append({**span, **ids, "attributes": attributes_of(span), "status": span.get("status", {})})
        return 200, {}

    def score_in(self, given: dict[str, str], body: bytes) -> tuple[int, Any]:
        score = json.loads(body)
        fits("scores.types.create_score_request:CreateScoreRequest", score)
        self.langfuse.scores.append(score)
        return 200, {"id": score["id"]}

    def prompt_out(self, name: str, given: dict[str, str], body: None) -> tuple[int, Any]:
        wanted = [
            prompt
            for prompt in self.langfuse.prompts.get(name, [])
            if str(prompt["version"]) == given.get("version")
            or given.get("label", "production" if "version" not in given else "") in prompt["labels"]
        ]
        if not wanted:
            return 404, {"message": f"Prompt not found: {name}", "error": "LangfuseNotFoundError"}
        fits("prompts:Prompt", wanted[-1])
        return 200, wanted[-1]

    def prompt_in(self, given: dict[str, str], body: bytes) -> tuple[int, Any]:
        made = json.loads(body)
        fits("prompts:CreatePromptRequest", made)
        versions = self.langfuse.prompts.setdefault(made["name"], [])
        for other in versions:
            other["labels"] = [label for label in other["labels"] if label not in made["labels"]]
        versions.append({**made, "version": len(versions) + 1, "tags": []})
        return 201, versions[-1]

    def dataset_in(self, given: dict[str, str], body: bytes) -> tuple[int, Any]:
        made = {**json.loads(body), "id": "ds-1", "projectId": "p", "createdAt": AT, "updatedAt": AT}
        self.langfuse.datasets[made["name"]] = made
        return 200, made

    def dataset_out(self, name: str, given: dict[str, str], body: None) -> tuple[int, Any]:
        found = self.langfuse.datasets.get(name)
        return (200, found) if found else (404, {"message": "Dataset not found"})

    def item_in(self, given: dict[str, str], body: bytes) -> tuple[int, Any]:
        made = json.loads(body)
        if made["datasetName"] not in self.langfuse.datasets:
            return 404, {"message": "Dataset not found"}
        item = {
            "status": "ACTIVE",
            "datasetId": "ds-1",
            "createdAt": AT,
            "updatedAt": AT,
            "mediaReferences": [],
            "expectedOutput": None,
            "metadata": None,
            **made,
        }
        fits("commons:DatasetItem", item)
        self.langfuse.items[item["id"]] = item
        return 200, item

    def items_out(self, given: dict[str, str], body: None) -> tuple[int, Any]:
        found = [item for item in self.langfuse.items.values() if item["datasetName"] == given["datasetName"]]
        return 200, _page(found, given)

    def run_item_in(self, given: dict[str, str], body: bytes) -> tuple[int, Any]:
        if self.langfuse.version >= 4:
            return 410, {"message": "this endpoint has been removed"}
        self.langfuse.run_items.append(json.loads(body))
        return 200, {}

    def observations_out(self, given: dict[str, str], body: None) -> tuple[int, Any]:
        if self.langfuse.version < 4:
            return 404, {"message": "Not found"}
        found = [item for item in self.langfuse.observations if _within(item["startTime"], given, "fromStartTime", "toStartTime")]
        answer = self._cursor(found, given)
        fits("observations:ObservationsV2Response", answer)
        return 200, answer

    def scores_out(self, given: dict[str, str], body: None) -> tuple[int, Any]:
        if self.langfuse.version < 4:
            return 404, {"message": "Not found"}
        answer = self._cursor(self.langfuse.given_scores, given)
        fits("scores:GetScoresV3Response", answer)
        return 200, answer

    def _cursor(self, found: list[Any], given: dict[str, str]) -> dict[str, Any]:
        start, size = int(given.get("cursor", 0)), min(int(given["limit"]), self.langfuse.page)
        rest = {"cursor": str(start + size)} if start + size < len(found) else {}
        return {"data": found[start : start + size], "meta": {"limit": size, **rest}}

    def traces_out(self, given: dict[str, str], body: None) -> tuple[int, Any]:
        if self.langfuse.version >= 4:
            return 404, {"message": "Not found"}
        found = [trace for trace in self.langfuse.traces if _within(trace["timestamp"], given, "fromTimestamp", "toTimestamp")]
        assert given["orderBy"] == "timestamp.asc"
        shown = [{**trace, "observations": [item["id"] for item in trace["observations"]], "scores": []} for trace in found]
        return 200, _page(shown, {**given, "limit": str(min(int(given["limit"]), self.langfuse.page))})

    def trace_out(self, trace_id: str, given: dict[str, str], body: None) -> tuple[int, Any]:
        return 200, next(trace for trace in self.langfuse.traces if trace["id"] == trace_id)

    def _send(self, status: int, answer: Any) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


def _page(found: list[Any], given: dict[str, str]) -> dict[str, Any]:
    page, limit = int(given.get("page", 1)), int(given["limit"])
    pages = -(-len(found) // limit) or 1
    meta = {"page": page, "limit": limit, "totalItems": len(found), "totalPages": pages}
    return {"data": found[(page - 1) * limit : page * limit], "meta": meta}


def _within(time: str, given: dict[str, str], since: str, until: str) -> bool:
    return given.get(since, "") <= time <= given.get(until, "9")


ROUTES = {
    "traces_in": "POST otel/v1/traces",
    "score_in": "POST scores",
    "prompt_out": "GET v2/prompts/([^/]+)",
    "prompt_in": "POST v2/prompts",
    "dataset_in": "POST v2/datasets",
    "dataset_out": "GET v2/datasets/([^/]+)",
    "item_in": "POST dataset-items",
    "items_out": "GET dataset-items",
    "run_item_in": "POST dataset-run-items",
    "observations_out": "GET v2/observations",
    "scores_out": "GET v3/scores",
    "traces_out": "GET traces",
    "trace_out": "GET traces/([^/]+)",
}


@pytest.fixture
def server() -> Iterator[Langfuse]:
    server = Langfuse()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    yield
    reset_langfuse_integration()
    for sink in list(state.sinks):
        state.send_no_more(sink)
