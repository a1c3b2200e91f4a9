"""Real clients read answers that real providers gave, whole and streamed; what is recorded of them is what the provider meant."""

from __future__ import annotations

import importlib
import json
import lzma
import tarfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

import clew
from clew.model.usage import Usage
from clew.testing import recording

WHERE = {
    "openai": ("api.openai.com/v1/chat/completions", "OpenAI", "/v1"),
    "anthropic": ("api.anthropic.com/v1/messages", "Anthropic", ""),
    "groq": ("api.groq.com/openai/v1/chat/completions", "Groq", ""),
}
MOST = 12
"""Answers of one provider and way: each is a request."""


@pytest.fixture(scope="module")
def answers(shared_data: Callable[[str], Path]) -> dict[tuple[str, bool], list[bytes]]:
    """(provider, whether it is a stream) -> bodies."""
    found: dict[tuple[str, bool], list[bytes]] = defaultdict(list)
    with lzma.open(shared_data("provider_responses.tar.xz")) as stream, tarfile.open(fileobj=stream) as archive:
        for member in archive:
            if not member.isfile() or not member.name.endswith((".yaml", ".yml")):
                continue
            content = archive.extractfile(member)
            assert content is not None
            for exchange in yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)).get("interactions", ()):
                uri, response = exchange["request"]["uri"].partition("?")[0], exchange["response"]
                provider = next((name for name, (place, _, _) in WHERE.items() if uri.endswith(place)), None)
                body = (response.get("body") or {}).get("string", "")
                parsed = response.get("parsed_body")
                data = json.dumps(parsed).encode() if parsed is not None else body if isinstance(body, bytes) else str(body).encode()
                if provider is not None and response["status"]["code"] == 200 and data.startswith((b"{", b"data:", b"event:")):
                    found[provider, not data.startswith(b"{")].append(data)
    return found


@pytest.fixture
def server() -> Iterator[Any]:
    class Handler(BaseHTTPRequestHandler):
        body = b""

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "application/json" if self.body.startswith(b"{") else "text/event-stream")
            self.send_header("Content-Length", str(len(self.body)))
            self.end_headers()
            self.wfile.write(self.body)

        def log_message(self, *_: Any) -> None: ...

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.mark.parametrize(
    ("provider", "stream"),
    [("openai", False), ("openai", True), ("anthropic", False), ("groq", False), ("groq", True)],
    ids=["openai", "openai, stream", "anthropic", "groq", "groq, stream"],
)
def test_what_a_provider_answered_is_recorded_as_it_means_it(
    provider: str, stream: bool, server: Any, answers: dict[tuple[str, bool], list[bytes]]
) -> None:
    library = pytest.importorskip(provider, reason=f"needs {provider}")
    _, kind, path = WHERE[provider]
    found = answers[provider, stream][:MOST]
    assert found
    make: Any = getattr(importlib.import_module(library.__name__), kind)
    with make(base_url=f"http://127.0.0.1:{server.server_port}{path}", api_key="none", max_retries=0) as plain:
        client = clew.observe_llm(plain, provider=provider)
        calls = client.messages if provider == "anthropic" else client.chat.completions
        for body in found:
            server.RequestHandlerClass.body = body
            with recording() as record:
                given = calls.create(model="m", max_tokens=10, messages=[{"role": "user", "content": "Hi"}], stream=stream)
                for _ in given if stream else ():
                    pass
            told = record.span("chat").attributes
            events = [
                json.loads(line[5:]) for line in body.decode().splitlines() if line.startswith("data:") and line[5:].strip()[:1] == "{"
            ]
            usage = Usage.from_stream(events, provider=provider) if stream else Usage.from_provider(json.loads(body), provider=provider)
            counts = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) if usage is not None else (None, None, None)
            keys = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.cache_read.input_tokens")
            assert tuple(told.get(key) for key in keys) == counts
            assert told["gen_ai.response.model"]
            assert told["gen_ai.response.finish_reasons"]
            assert record.span("chat").status == "ok"
