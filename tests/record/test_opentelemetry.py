"""The OpenTelemetry bridge: its spans and ours nest in each other; real instrumentors and a real client feed the recorder."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import clew
from clew.testing import START_NS, RecordedSpan, recording

pytest.importorskip("opentelemetry.trace", reason="not applicable: opentelemetry-api is not installed")

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState


def tracer(name: str = "lib", version: str = "1.2", **more: Any) -> trace.Tracer:
    return clew.tracer_provider().get_tracer(name, version, **more)  # type: ignore[no-any-return]


def test_spans_of_the_api_and_ours_nest_in_each_other_both_ways() -> None:
    with recording() as record, clew.workflow("w"), tracer().start_as_current_span("api"):
        with clew.agent("ours") as ours, tracer().start_as_current_span("inner"):
            assert trace.get_current_span(otel_context.get_current()).is_recording()
            with clew.tool("innermost"):
                pass
        assert ours.traceparent is not None
    assert record.tree() == ["workflow w", "  other api", "    agent ours", "      other inner", "        tool innermost"]
    assert len({span.trace_id for span in record.spans}) == 1


def test_a_span_of_the_api_whole() -> None:
    with recording() as record:
        link = trace.Link(SpanContext(7, 8, True, TraceFlags(1), TraceState.from_header(["k=v"])), {"why": "x"})
        span = tracer("lib", "1.2", schema_url="https://s/1").start_span(
            "GET",
            kind=SpanKind.CLIENT,
            attributes={"http.method": "GET", "list": [1, 2], "model": "kept as named"},
            links=[link],
            start_time=START_NS + 5,
        )
        span.set_attributes({"n": 1, "nested": {"a": [1]}, "bytes": b"x"})
        span.add_event("sent", {"size": 3}, timestamp=START_NS + 6)
        span.record_exception(ValueError("seen"), {"own": 1})
        span.set_status(Status(StatusCode.ERROR, "went wrong"))
        span.update_name("GET /x")
        span.end(end_time=START_NS + 9)
        span.end()
        span.set_attribute("late", 1)
        assert not span.is_recording()
    (found,) = record.spans
    assert (found.name, found.kind, found.status, found.message, found.scope) == ("GET /x", "other", "error", "went wrong", "lib")
    assert (found.start_ns, found.end_ns) == (START_NS + 5, START_NS + 9)
    assert found.attributes == {
        "http.method": "GET",
        "list": [1, 2],
        "model": "kept as named",
        "n": 1,
        "nested": '{"a":[1]}',
        "bytes": "x",
    }
    assert found.links == [{"trace_id": f"{7:032x}", "span_id": f"{8:016x}", "attributes": {"why": "x"}}]
    assert [event["name"] for event in found.events] == ["sent", "exception"]
    assert found.events[0]["time_ns"] == START_NS + 6
    assert found.events[1]["attributes"]["own"] == 1
    raw = json.loads(record.lines[0])["resourceSpans"][0]["scopeSpans"][0]
    assert (raw["scope"], raw["schemaUrl"]) == ({"name": "lib", "version": "1.2"}, "https://s/1")
    assert raw["spans"][0]["kind"] == 3
    assert raw["spans"][0]["links"][0]["traceState"] == "k=v"


def test_status_follows_the_apis_rules() -> None:
    with recording() as record:
        with tracer().start_as_current_span("ok") as span:
            span.set_status(StatusCode.OK)
            span.set_status(StatusCode.ERROR, "too late")
        with tracer().start_as_current_span("unset"):
            pass
        with pytest.raises(KeyError), tracer().start_as_current_span("raised"):
            raise KeyError("k")
        with pytest.raises(KeyError), tracer().start_span("raised, by span"):
            raise KeyError("k")
        with pytest.raises(KeyError), tracer().start_as_current_span("quiet", record_exception=False, set_status_on_exception=False):
            raise KeyError("k")
    assert [(span.name, span.status, len(span.events)) for span in record.spans] == [
        ("ok", "ok", 0),
        ("unset", "unset", 0),
        ("raised", "error", 1),
        ("raised, by span", "error", 1),
        ("quiet", "unset", 0),
    ]


def remote(*, sampled: bool = True) -> otel_context.Context:
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return trace.set_span_in_context(NonRecordingSpan(SpanContext(0xAB, 0xCD, True, flags, TraceState.from_header(["v=1"]))))


def test_a_remote_parent_is_taken_from_the_context() -> None:
    with recording() as record:
        tracer().start_span("explicit", context=remote()).end()
        token = otel_context.attach(remote())
        try:
            with clew.tool("ours"):
                assert clew.current_span() is not None
            assert clew.current_span() is None
            assert clew.traceparent() == f"00-{0xAB:032x}-{0xCD:016x}-01"
        finally:
            otel_context.detach(token)
    assert [(int(span.trace_id, 16), int(span.parent_span_id or "0", 16)) for span in record.spans] == [(0xAB, 0xCD)] * 2
    assert b'"traceState":"v=1"' in record.lines[0]


def test_a_remote_parent_that_is_not_sampled_is_heeded() -> None:
    with recording(sample_errors=False) as record:
        span = tracer().start_span("s", context=remote(sampled=False))
        assert not span.get_span_context().trace_flags.sampled
        span.end()
    assert record.spans == []
    assert record.stats().sampled_out == 1


def test_an_explicit_empty_context_starts_a_trace() -> None:
    with recording() as record, clew.workflow("w"):
        tracer().start_span("root", context=otel_context.Context()).end()
    assert record.tree() == ["workflow w", "other root"]


def test_the_api_sees_our_ids() -> None:
    with recording(), clew.tool("t") as tool:
        found = trace.get_current_span().get_span_context()
        assert (found.trace_id, found.span_id, found.trace_flags.sampled) == (tool.trace_id, tool.span_id, True)


def test_a_foreign_sdks_spans_and_ours_nest_by_their_ids() -> None:
    sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="not applicable: opentelemetry-sdk is not installed")
    foreign = sdk.TracerProvider().get_tracer("foreign")
    with (
        recording() as record,
        foreign.start_as_current_span("outer") as outer,
        clew.agent("ours") as ours,
        foreign.start_as_current_span("inner") as inner,
    ):
        assert inner.parent.span_id == ours.span_id
    assert record.span("ours").trace_id == f"{outer.get_span_context().trace_id:032x}"
    assert record.span("ours").parent_span_id == f"{outer.get_span_context().span_id:016x}"


def test_off_passes_the_parent_on() -> None:
    from clew.record import state

    state.use(None)
    try:
        span = tracer().start_span("s", context=remote())
        assert not span.is_recording()
        assert span.get_span_context().trace_id == 0xAB
    finally:
        state.forget()


def fresh(code: str, tmp_path: Path) -> str:
    script = f"import clew\nclew.init(data_dir={str(tmp_path)!r})\n{code}"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout


def test_a_program_that_loads_opentelemetry_in_the_middle_keeps_its_tree(tmp_path: Path) -> None:
    code = """
with clew.workflow("w") as w:
    from opentelemetry import trace
    with clew.tracer_provider().get_tracer("t").start_as_current_span("api") as api, clew.tool("t") as t:
        print(api.span.parent_span_id == w.span_id, t.parent_span_id == api.span.span_id)
    with clew.tool("u") as u:
        print(u.parent_span_id == w.span_id)
print(clew.current_span(), trace.get_current_span() is trace.INVALID_SPAN)
"""
    assert fresh(code, tmp_path) == "True True\nTrue\nNone True\n"


def test_a_thread_that_loads_opentelemetry_ends_well(tmp_path: Path) -> None:
    code = """
import threading
seen = []
def work():
    from opentelemetry import trace
    with clew.tool("t") as t:
        seen.append(t.parent_span_id)
@clew.node
def steps():
    yield 1
    import opentelemetry.trace
    yield 2
with clew.workflow("w") as w:
    thread = threading.Thread(target=work); thread.start(); thread.join()
    assert list(steps()) == [1, 2]
    print(seen == [w.span_id], clew.stats().faults)
"""
    assert fresh(code, tmp_path) == "True 0\n"


def test_the_global_provider_is_set_only_when_asked(tmp_path: Path) -> None:
    code = "from opentelemetry import trace\nwith clew.tool('t'): pass\nprint(type(trace.get_tracer_provider()).__name__)"
    assert fresh(code, tmp_path) == "ProxyTracerProvider\n"
    code = "clew.init(install_opentelemetry=True)\nfrom opentelemetry import trace\nprint(trace.get_tracer_provider() is clew.tracer_provider())"
    assert fresh(code, tmp_path) == "True\n"


# -- real instrumentors, the real client, recorded answers ------------------------------------------------------------------------------

PLAIN = "pydantic+pydantic-ai/tests/cassettes/test_dbos/test_multiple_agents.yaml"
STREAMED = (
    "traceloop+openllmetry/packages/opentelemetry-instrumentation-openai/tests/traces/cassettes/test_streaming_with_api_usage/"
    "test_streaming_with_api_usage_capture.yaml"
)


class Provider(ThreadingHTTPServer):
    """Serves recorded answers over local HTTP: one for a plain request, one, as server-sent events, for a stream."""

    def __init__(self, plain: bytes, streamed: bytes) -> None:
        self.plain, self.streamed = plain, streamed
        super().__init__(("127.0.0.1", 0), _Answer)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        limited = request["model"] == "limited"
        body = b'{"error":{"message":"slow down"}}' if limited else server.streamed if request.get("stream") else server.plain
        self.send_response(429 if limited else 200)
        self.send_header("Content-Type", "text/event-stream" if request.get("stream") else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture(scope="module")
def provider(shared_data: Callable[[str], Path]) -> Iterator[Provider]:
    yaml = pytest.importorskip("yaml", reason="not applicable: pyyaml is not installed")
    with tarfile.open(shared_data("provider_responses.tar.xz")) as archive:

        def answer(name: str) -> Any:
            file = archive.extractfile(name)
            assert file is not None
            return yaml.safe_load(file)["interactions"][0]["response"]

        plain, streamed = answer(PLAIN)["parsed_body"], answer(STREAMED)["body"]["string"]
    server = Provider(json.dumps(plain).encode(), streamed.encode() if isinstance(streamed, str) else streamed)
    yield server
    server.shutdown()
    server.server_close()


MESSAGES: Any = [{"role": "user", "content": "What is the capital of Mexico?"}]


def call(provider: Provider, *, asynchronous: bool, stream: bool) -> str:
    openai = pytest.importorskip("openai", reason="not applicable: openai is not installed")
    options = {"base_url": provider.url, "api_key": "test", "max_retries": 0}
    request = {"model": "gpt-4o", "messages": MESSAGES, "stream": stream}
    if not asynchronous:
        with openai.OpenAI(**options) as client:
            answer = client.chat.completions.create(**request)
            if not stream:
                return str(answer.choices[0].message.content)
            return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)

    async def main() -> str:
        async with openai.AsyncOpenAI(**options) as client:
            answer = await client.chat.completions.create(**request)
            if not stream:
                return str(answer.choices[0].message.content)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in answer if chunk.choices])

    return asyncio.run(main())


@pytest.fixture(params=["openai_v2", "openinference"])
def instrumentor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "gen_ai_latest_experimental")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    module = {"openai_v2": "opentelemetry.instrumentation.openai_v2", "openinference": "openinference.instrumentation.openai"}[
        request.param
    ]
    try:
        installed = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        installed = False
    if not installed:
        pytest.skip(f"not applicable: {module} is not installed")
    semconv = importlib.import_module("opentelemetry.instrumentation._semconv")
    monkeypatch.setattr(semconv._OpenTelemetrySemanticConventionStability, "_initialized", False)  # it reads the environment once
    found = importlib.import_module(module).OpenAIInstrumentor()
    found.instrument(tracer_provider=clew.tracer_provider())
    yield request.param
    found.uninstrument()


def figures(span: RecordedSpan) -> dict[str, Any]:
    """Model and usage, whichever the dialect."""
    one = {
        "model": ("gen_ai.response.model", "llm.model_name"),
        "input": ("gen_ai.usage.input_tokens", "llm.token_count.prompt"),
        "output": ("gen_ai.usage.output_tokens", "llm.token_count.completion"),
    }
    return {name: next((span.attributes[key] for key in keys if key in span.attributes), None) for name, keys in one.items()}


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_instrumented_client_records_its_calls_inside_our_spans(
    provider: Provider, instrumentor: str, asynchronous: bool, stream: bool
) -> None:
    with recording() as record, clew.workflow("run"):
        with clew.agent("asker"):
            text = call(provider, asynchronous=asynchronous, stream=stream)
        with clew.tool("after"):
            pass
    by_name = {span.name: span for span in record.spans}
    assert [(span.kind, span.name) for span in record.spans if span.kind != "other"] == [
        ("workflow", "run"),
        ("agent", "asker"),
        ("tool", "after"),
    ]
    (model_call,) = [span for span in record.spans if span.kind == "other"]
    assert model_call.parent_span_id == by_name["asker"].span_id
    assert by_name["after"].parent_span_id == by_name["run"].span_id
    assert (
        model_call.scope
        == {"openai_v2": "opentelemetry.util.genai.handler", "openinference": "openinference.instrumentation.openai"}[instrumentor]
    )
    assert model_call.status != "error"
    expected = {"model": "deepseek-chat", "input": 12, "output": 89} if stream else {"model": "gpt-4o-2024-08-06", "input": 14, "output": 8}
    assert figures(model_call) == expected
    assert text.strip()
    everything = json.dumps(model_call.attributes)
    assert "What is the capital of Mexico?" in everything
    assert json.dumps(text)[1:20] in everything.replace("\\\\", "\\")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_instrumented_call_that_fails(provider: Provider, instrumentor: str) -> None:
    openai = pytest.importorskip("openai", reason="not applicable: openai is not installed")

    def limited() -> None:
        with openai.OpenAI(base_url=provider.url, api_key="test", max_retries=0) as client, clew.llm("mine", model="limited"):
            client.chat.completions.create(model="limited", messages=MESSAGES)

    with recording() as record, pytest.raises(openai.RateLimitError):
        limited()
    ours, theirs = record.spans
    assert ours.attributes["error.type"] == "rate_limit"
    assert theirs.parent_span_id == ours.span_id
    assert theirs.status == "error"
