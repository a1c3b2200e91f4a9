"""A running ``clew serve``, a model server, and programs in processes of their own that send to the one about the other."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clew.model.usage import Usage
from clew.testing import Answer, ModelServer

PROGRAMS = Path(__file__).parent / "programs"
WAIT_S = 60.0


def _weather(request: dict[str, Any]) -> Answer:
    """Calls the tool; then, given its result, answers."""
    if request["messages"][-1]["role"] != "tool":
        usage = Usage(input_tokens=90, output_tokens=17, cache_read_tokens=64)
        return Answer(calls=(("get_weather", {"city": "Lisbon"}),), usage=usage, model="gpt-4o-mini-2024-07-18")
    return Answer("Sunny.", usage=Usage(input_tokens=120, output_tokens=3), model="gpt-4o-mini-2024-07-18")


@dataclass
class Collector:
    """A running server, and what programs that send to it are told."""

    url: str
    environment: dict[str, str]

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        import httpx

        answer = httpx.post(f"{self.url}/api/v1/sql", json={"query": query}, timeout=60)
        assert answer.status_code == 200, answer.text
        return [tuple(row) for row in answer.json()["rows"]]

    def get(self, path: str) -> Any:
        import httpx

        answer = httpx.get(f"{self.url}/api/v1/{path}", timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def settle(self) -> None:
        """Waits until all that was acknowledged is stored and settled."""
        deadline = time.monotonic() + WAIT_S
        while (stats := self.get("stats"))["waiting"] or not stats["settled"]:
            assert time.monotonic() < deadline, stats
            time.sleep(0.05)

    def run(self, program: str, *arguments: str, service: str, **environment: str) -> None:
        """Runs one of the programs to its end; what it has sent is in the store then."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("CLEW_", "OTEL_"))}
        done = subprocess.run(
            [sys.executable, str(PROGRAMS / f"{program}.py"), *arguments],
            env=own | self.environment | {"OTEL_SERVICE_NAME": service} | environment,
            capture_output=True,
            text=True,
            timeout=WAIT_S * 2,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.settle()


@pytest.fixture(scope="session")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with ExitStack() as closing:
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
        port, http, grpc = (one.getsockname()[1] for one in sockets)
        for one in sockets:
            one.close()
        model = closing.enter_context(ModelServer(_weather))
        command = [sys.executable, "-m", "clew.cli.main", "serve", "--port", str(port), "--otlp-http", str(http), "--otlp-grpc", str(grpc)]
        data_dir = tmp_path_factory.mktemp("senders")
        server = subprocess.Popen(command, env=os.environ | {"CLEW_DATA_DIR": str(data_dir)}, stdout=subprocess.PIPE)
        closing.callback(server.wait, 60)
        closing.callback(server.terminate)
        assert server.stdout is not None
        closing.callback(server.stdout.close)
        assert server.stdout.readline(), "the server did not start"
        yield Collector(
            f"http://127.0.0.1:{port}",
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{http}",
                "GRPC_ENDPOINT": f"http://127.0.0.1:{grpc}",
                "OPENAI_BASE_URL": model.url,
                "OPENAI_API_KEY": "none",
                "TRACELOOP_TELEMETRY": "false",
            },
        )


Sent = Callable[..., Any]


@pytest.fixture
def sent(collector: Collector) -> Callable[[str], dict[str, Any]]:
    """What the store shows of a service: its only run, model calls, tool calls and messages."""

    def show(service: str) -> dict[str, Any]:
        [[run_id]] = collector.sql(f"SELECT DISTINCT trace_id FROM spans WHERE service = '{service}'")
        of = f"WHERE trace_id = '{run_id}'"
        [run] = [one for one in collector.get(f"runs?filter=service:{service}")["runs"] if one["run_id"] == run_id]
        messages = collector.get(f"runs/{run_id}/messages")["messages"]
        calls = {span for (span,) in collector.sql(f"SELECT span_id FROM model_calls {of}")}
        return {
            "run": run,
            "calls": collector.sql(
                "SELECT model, provider, input_tokens, output_tokens, cache_read_tokens, round(cost_usd, 8), agent FROM model_calls "
                f"{of} ORDER BY start_ns, span_id"
            ),
            "tools": collector.sql(f"SELECT tool, arguments, result, agent FROM tool_calls {of} ORDER BY start_ns"),
            "kinds": dict(collector.sql(f"SELECT kind, count() FROM spans {of} GROUP BY kind")),
            "messages": [(one["direction"], one["role"], one["content"]) for one in messages if one["span_id"] in calls],
            "text": json.dumps(messages) + json.dumps(collector.sql(f"SELECT value FROM contents {of}")),
        }

    return show
