"""What the views of the UI ask for: what a list of runs is made of, a run as it reads, how a cost comes about."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "fastapi", "httpx", "lark")

Get = Callable[..., Any]

LLM = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai"}


@pytest.fixture
def get(store: Any) -> Iterator[Get]:
    from starlette.testclient import TestClient

    from clew.server.app import app

    with TestClient(app(store), base_url="http://127.0.0.1") as client:

        def ask(path: str, /, **parameters: Any) -> Any:
            answer = client.get(f"/api/v1/runs/{path}", params=parameters)
            return answer.json() if answer.status_code == 200 else (answer.status_code, answer.json()["error"])

        yield ask


@pytest.fixture
def settle(store: Any, otlp: Any) -> Callable[[Any], None]:
    return lambda request: otlp.take(store, otlp.lines(request))


def started(otlp: Any, second: float) -> dict[str, str]:
    at = otlp.START + int(second * otlp.SECOND)
    return {"startTimeUnixNano": str(at), "endTimeUnixNano": str(at + 1)}


def message(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def test_runs_are_counted_by_time_and_by_value(get: Get, otlp: Any, settle: Any) -> None:
    failed = {"status": {"code": 2, "message": "no"}}
    agent = {"clew.span.kind": "agent", "gen_ai.agent.name": "planner"}
    hour = 3600 * otlp.SECOND
    late = started(otlp, 7200)
    settle(
        otlp.traces(
            otlp.span(1, 1, name="plan", attributes=agent),
            otlp.span(2, 1, 1, attributes=LLM | {"gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.output_tokens": 0}),
            otlp.span(3, 2, name="plan", **late, **failed),
            otlp.span(4, 3, name="other", **late, **failed),
        )
    )
    found = get("summary", bars=3)
    assert {name: found[name] for name in ("runs", "failed", "running", "lost", "more", "looked_at", "cost_usd")} == {
        "runs": 3,
        "failed": 2,
        "running": 0,
        "lost": 0,
        "more": False,
        "looked_at": 3,
        "cost_usd": 2.5,
    }
    assert found["starts"] == {
        "first_ns": otlp.START // hour * hour,
        "bucket_ns": hour,
        "ok": [1, 0, 0],
        "error": [0, 0, 2],
        "running": [0, 0, 0],
        "lost": [0, 0, 0],
    }
    facets = {facet["field"]: [(value["value"], value["count"]) for value in facet["values"]] for facet in found["facets"]}
    assert facets["name"] == [("plan", 2), ("other", 1)]
    assert facets["agent"] == [("planner", 1)]
    assert facets["model"] == [("gpt-4o", 1)]
    some = get("summary", filter="-name:plan", values=1)
    assert (some["runs"], [facet["values"] for facet in some["facets"] if facet["field"] == "name"]) == (
        1,
        [[{"value": "other", "count": 1}]],
    )
    assert get("summary", filter="name:none") == {**some, "runs": 0, "failed": 0, "cost_usd": 0.0, "starts": None, "facets": []}
    assert get("summary", filter="nme:x") == (400, "FilterError")


def test_the_shape_of_a_run_counts_each_span_once(get: Get, otlp: Any, settle: Any) -> None:
    spans = [otlp.span(number + 1, 1, 1 if number else 0) for number in range(24)]
    spans[-1]["status"] = {"code": 2}
    settle(otlp.traces(*spans))
    settle(otlp.traces(*spans))
    [shape] = get("shapes", run=[otlp.trace_id(1), otlp.trace_id(9)])["shapes"]
    assert (shape["run_id"], sum(shape["spans"]), shape["errors"]) == (otlp.trace_id(1), 24, [0] * 23 + [1])


def test_a_transcript_leaves_out_what_was_shown_and_pairs_tools_with_their_results(get: Get, otlp: Any, settle: Any) -> None:
    first = [message("system", "Be brief"), message("user", "Fix it" + "!" * 10_000)]
    answer, second = message("assistant", "done"), message("user", "Thanks")
    call = LLM | {"gen_ai.input.messages": json.dumps(first), "gen_ai.output.messages": json.dumps([answer])}
    later = LLM | {"gen_ai.input.messages": json.dumps([*first, answer, second]), "gen_ai.output.messages": json.dumps([answer])}
    tool = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "gen_ai.tool.call.arguments": '{"q":1}',
        "gen_ai.tool.call.result": "found",
    }
    wrapper = {"clew.span.kind": "agent", "gen_ai.input.messages": json.dumps(first)}
    settle(
        otlp.traces(
            otlp.span(1, 1, attributes=wrapper),
            otlp.span(2, 1, 1, attributes=call),
            otlp.span(3, 1, 1, attributes=tool),
            otlp.span(4, 1, 1, attributes=later),
        )
    )
    found = get(f"{otlp.trace_id(1)}/transcript")
    assert [
        (turn["folded"], [(said["direction"], said["role"], said["content"]["text"][:8]) for said in turn["said"]])
        for turn in found["turns"]
    ] == [
        (0, [("input", "system", "Be brief"), ("input", "user", "Fix it!!"), ("output", "assistant", "done")]),
        (0, []),
        (3, [("input", "user", "Thanks"), ("output", "assistant", "done")]),
    ]
    long = found["turns"][0]["said"][1]["content"]
    assert (len(long["text"]), long["characters"]) == (8_000, 10_006)
    assert [found["turns"][1][part]["text"] for part in ("arguments", "result")] == ['{"q":1}', "found"]
    page = get(f"{otlp.trace_id(1)}/transcript", limit=1, offset=1)
    assert ([turn["span_id"] for turn in page["turns"]], page["more"]) == ([otlp.span_id(3)], True)


def test_the_cost_of_a_call_is_told_line_by_line(get: Get, otlp: Any, settle: Any) -> None:
    usage = {"gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.output_tokens": 100_000, "gen_ai.usage.cache_read.input_tokens": 400_000}
    unknown = LLM | {"gen_ai.request.model": "house-model", "gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 5}
    settle(otlp.traces(otlp.span(3, 1), otlp.span(1, 1, 3, attributes=LLM | usage), otlp.span(2, 1, 3, attributes=unknown)))
    found = get(f"{otlp.trace_id(1)}/spans/{otlp.span_id(1)}/cost")
    assert [(line["name"], line["count"], line["price"]) for line in found["lines"]] == [
        ("input", 600_000, 2.5),
        ("cache_read", 400_000, 1.25),
        ("output", 100_000, 10.0),
    ]
    assert found["cost_usd"] == pytest.approx(3.0)
    assert found["computed_usd"] == pytest.approx(3.0)
    assert (found["source"], found["priced_as"]) == ("computed", "openai:gpt-4o")
    none = get(f"{otlp.trace_id(1)}/spans/{otlp.span_id(2)}/cost")
    assert (none["cost_usd"], none["source"], none["lines"], none["prices"]) == (None, "unpriced", [], "")
    assert get(f"{otlp.trace_id(1)}/spans/{otlp.span_id(3)}/cost") == (404, "NotFound")


def test_a_page_of_a_transcript_folds_what_was_said_before_it_and_reads_no_content_but_its_own(
    get: Get, otlp: Any, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clew.observe.query import transcript

    said = [message("user", f"question {number}") for number in range(6)]
    settle(
        otlp.traces(
            *(otlp.span(number, 1, attributes=LLM | {"gen_ai.input.messages": json.dumps(said[:number])}) for number in range(1, 7)),
            otlp.span(
                7, 1, attributes={"gen_ai.tool.name": "find", "clew.span.kind": "tool", "gen_ai.tool.call.result": "found " + "x" * 300}
            ),
        )
    )

    def pages(size: int) -> list[tuple[int, list[str]]]:
        found: list[tuple[int, list[str]]] = []
        for offset in range(0, 7, size):
            page = get(f"{otlp.trace_id(1)}/transcript", limit=size, offset=offset)
            assert page["more"] == (offset + size < 7)
            found += [(turn["folded"], [one["content"]["text"] for one in turn["said"]]) for turn in page["turns"]]
        return found

    whole = [(number, [f"question {number}"]) for number in range(6)]
    assert pages(7)[:6] == pages(2)[:6] == whole
    assert get(f"{otlp.trace_id(1)}/transcript", limit=1, offset=6)["turns"][0]["result"]["characters"] == 306
    monkeypatch.setattr(transcript, "REMEMBERED", 0)
    assert pages(2)[2] == (0, ["question 0", "question 1", "question 2"])
    assert [one["content"] for one in get(f"{otlp.trace_id(1)}/messages", span=otlp.span_id(1))["messages"]] == ["question 0"]
