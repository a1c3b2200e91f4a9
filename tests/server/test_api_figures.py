"""Figures over spans, agent traces, agent graphs, differences and completion: the arithmetic is checked against a second one, in Python."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "fastapi", "httpx", "lark")

Get = Callable[..., Any]


@pytest.fixture
def get(store: Any) -> Iterator[Get]:
    from starlette.testclient import TestClient

    from clew.server.app import app

    with TestClient(app(store), base_url="http://127.0.0.1") as client:

        def ask(path: str, status: int = 200, /, **parameters: Any) -> Any:
            answer = client.get(f"/api/v1/{path}", params=parameters)
            assert answer.status_code == status, answer.text
            return answer.json()

        yield ask


def percentile(durations: list[int], level: float) -> int | None:
    return sorted(durations)[min(int(level * len(durations)), len(durations) - 1)] if durations else None


def figures(spans: list[dict[str, Any]]) -> dict[str, Any]:
    """What the API should say of these, from what they were made of."""
    calls = [span for span in spans if span["tool"] == ""]
    ended = [span["duration"] for span in spans if span["duration"] is not None]
    costs = [span["cost"] for span in calls]
    tokens = [span["tokens"] for span in calls]
    return {
        "spans": len(spans),
        "errors": sum(span["failed"] for span in spans),
        **{f"p{percent}_ns": percentile(ended, percent / 100) for percent in (50, 95, 99)},
        "model_calls": len(calls),
        "input_tokens": sum(tokens) if tokens else None,
        "output_tokens": sum(tokens) if tokens else None,
        "partial_cost_usd": pytest.approx(sum(cost for cost in costs if cost is not None)),
        "cost_usd": None if None in costs else pytest.approx(sum(costs)),
    }


def some_spans(otlp: Any, seed: int) -> tuple[bytes, list[dict[str, Any]]]:
    """Model calls and tool calls in five traces over three hours: some fail, some have no price, some have not ended."""
    chance = random.Random(seed)
    made, spans = [], []
    for number in range(1, 120):
        tool = chance.choice(["", "", "search", "shell"])
        one = {
            "tool": tool,
            "failed": chance.random() < 0.3,
            "duration": chance.choice([None, 0, *(chance.randrange(10**9) for _ in range(6))]),
            "tokens": chance.randrange(1000),
            "cost": chance.choice([None, 0.0, chance.random(), chance.random(), chance.random()]),
            "start": otlp.START + chance.randrange(3 * 3600) * otlp.SECOND,
            "model": chance.choice(["a", "b", "c"]),
        }
        attributes: dict[str, Any] = {"colour": chance.choice(["red", "blue"])}
        one["colour"] = attributes["colour"]
        if tool:
            attributes |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}
        else:
            attributes |= {"gen_ai.operation.name": "chat", "gen_ai.request.model": one["model"], "gen_ai.provider.name": "nobody"}
            attributes |= {"gen_ai.usage.input_tokens": one["tokens"], "gen_ai.usage.output_tokens": one["tokens"]}
            attributes |= {} if one["cost"] is None else {"clew.cost.usd": one["cost"]}
        end = "0" if one["duration"] is None else str(one["start"] + one["duration"])
        fields = {"startTimeUnixNano": str(one["start"]), "endTimeUnixNano": end, "status": {"code": 2} if one["failed"] else {}}
        spans.append(otlp.span(number, number % 5 + 1, attributes=attributes, **fields))
        made.append(one)
    return otlp.lines(*(otlp.traces(span) for span in spans)), made


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_figures_are_those_of_the_spans(get: Get, store: Any, otlp: Any, seed: int) -> None:
    data, made = some_spans(otlp, seed)
    otlp.take(store, data)

    def shown(rows: list[Any]) -> dict[Any, Any]:
        return {(row.pop("key"), row.pop("start_ns")): row for row in rows}

    assert shown(get("aggregates")["rows"]) == {("", None): figures(made)}
    tools = {name: [one for one in made if one["tool"] == name] for name in ("", "search", "shell")}
    assert shown(get("aggregates", by="tool")["rows"]) == {(name, None): figures(some) for name, some in tools.items()}
    red = [one for one in made if one["colour"] == "red" and one["tool"] == ""]
    assert shown(get("aggregates", by="@colour", filter="@colour:red kind:llm")["rows"]) == {("red", None): figures(red)}
    hour = 3600 * otlp.SECOND
    buckets: dict[Any, list[Any]] = {}
    for one in made:
        buckets.setdefault((one["tool"], one["start"] // hour * hour), []).append(one)
    answer = get("aggregates", by="tool", bucket="1h")
    assert [row["start_ns"] for row in answer["rows"]] == sorted(row["start_ns"] for row in answer["rows"])
    assert shown(answer["rows"]) == {key: figures(some) for key, some in buckets.items()}
    since = "2025-10-09T10:00:00"
    late = [one for one in made if one["start"] >= 1_760_004_000 * otlp.SECOND]
    assert shown(get("aggregates", filter=f"since:{since}")["rows"]) == {("", None): figures(late)}


def test_figures_that_are_cut_say_so(get: Get, store: Any, otlp: Any) -> None:
    otlp.take(store, otlp.lines(otlp.traces(*(otlp.span(number, name=f"n{number % 3}") for number in range(1, 9)))))
    for bucket in ({}, {"bucket": "1d"}):
        cut = get("aggregates", by="name", limit=2, **bucket)
        assert ([row["key"] for row in cut["rows"]], cut["more"]) == (["n1", "n2"], True)
        assert get("aggregates", by="name", limit=3, **bucket)["more"] is False


@pytest.mark.parametrize(
    "wrong", [{"by": "cost"}, {"by": "agnet"}, {"bucket": "5"}, {"bucket": "0s"}, {"bucket": "1ns"}, {"filter": "a:b"}]
)
def test_figures_that_cannot_be_had_say_why(get: Get, wrong: dict[str, str]) -> None:
    assert get("aggregates", 400, **wrong)["error"] in ("QueryError", "FilterError")


def test_figures_of_an_agent_include_what_it_calls(get: Get, store: Any, otlp: Any) -> None:
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}
    otlp.take(store, otlp.lines(otlp.traces(otlp.span(1, attributes=agent), otlp.span(2, 1, 1), otlp.span(3, 2))))
    assert {row["key"]: row["spans"] for row in get("aggregates", by="agent")["rows"]} == {"planner": 2, "": 1}


def test_a_profile_says_how_fast_how_often_and_how_well(get: Get, store: Any, otlp: Any) -> None:
    agent = {"gen_ai.agent.name": "coder"}
    spans = [
        otlp.span(
            number,
            attributes=agent,
            name="write",
            endTimeUnixNano=str(otlp.START + number * otlp.SECOND + number * 1_000_000),
            status={"code": 2} if number == 1 else {},
        )
        for number in range(1, 101)
    ]
    otlp.take(store, otlp.lines(otlp.traces(*spans)))
    answer = get("profiles")
    assert answer == {
        "profiles": [
            {
                "agent": "coder",
                "operation": "write",
                "p50Latency": 51.0,
                "p95Latency": 96.0,
                "p99Latency": 100.0,
                "errorRate": 0.01,
                "throughput": pytest.approx(100 / 99),
                "count": 100,
            }
        ],
        "from_ns": otlp.START + otlp.SECOND,
        "to_ns": otlp.START + 100 * otlp.SECOND,
        "more": False,
    }
    some = get("profiles", filter="start:2025-10-09T08:53:30..2025-10-09T08:53:39")  # ten seconds, both ends included
    assert (some["profiles"][0]["count"], some["profiles"][0]["throughput"]) == (10, pytest.approx(1.0))
    assert get("profiles", filter="agent:nobody") == {"profiles": [], "from_ns": None, "to_ns": None, "more": False}


def decision(otlp: Any, number: int, parent: int, choice: str, *, trace: int = 1, **more: Any) -> Any:
    options = '[{"name":"a.py","score":0.9,"reason":"near"},{"name":"b.py","score":0.2},{"name":"c.py"}]'
    attributes = {
        "clew.span.kind": "decision",
        "clew.decision.question": "which file?",
        "clew.decision.options": options,
        "clew.decision.choice": choice,
        "clew.decision.reason": f"because {choice}",
        "clew.decision.confidence": 0.75,
    }
    return otlp.span(number, trace, parent, attributes=attributes | more, name="pick")


def team(otlp: Any, *, trace: int = 1, choice: str = "a.py", cost: float = 0.5, base: int = 0) -> list[Any]:
    """A director (1) calls a coder (2), whose model call costs 0.5, hands a task (4) to a tester (5) that fails, and writes to the coder (6)."""

    def agent(name: str) -> dict[str, Any]:
        return {"clew.span.kind": "agent", "gen_ai.agent.name": name}

    call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 10, "clew.cost.usd": cost}
    message = {"clew.span.kind": "message", "messaging.destination.name": "coder"}
    return [
        otlp.span(1, trace, attributes=agent("director"), name="direct"),
        otlp.span(2, trace, 1, attributes=agent("coder"), name="code"),
        otlp.span(3, trace, 2, attributes=call, name="ask"),
        otlp.span(4, trace, 1, attributes={"clew.span.kind": "task"}, name="test it"),
        otlp.span(5, trace, 4, attributes=agent("tester"), name="test", status={"code": 2, "message": "red"}),
        otlp.span(6, trace, 1, attributes=message, name="say"),
        decision(otlp, 7, 2, choice, trace=trace),
        decision(otlp, 8, 2, "b.py", trace=trace),
        decision(otlp, 9, 5, "c.py", trace=trace),
    ]


def test_an_agent_trace_has_every_decision_of_every_agent(get: Get, store: Any, otlp: Any) -> None:
    otlp.take(store, otlp.lines(otlp.traces(*team(otlp))))
    answer = get(f"runs/{otlp.trace_id(1)}/agent-trace")
    agents = {trace["agentId"]: trace for trace in answer["agents"]}
    assert (list(agents), answer["more"], answer["runId"]) == (["coder", "tester"], False, otlp.trace_id(1))
    coder, tester = agents["coder"], agents["tester"]
    assert [one["choice"]["option"] for one in coder["decisions"]] == ["a.py", "b.py"]
    assert coder["reasoning"] == ["because a.py", "because b.py"]
    assert [(one["option"], one["score"], one["reason"], one["spanId"][-1]) for one in coder["alternatives"]] == [
        ("b.py", 0.2, "", "7"),
        ("c.py", None, "", "7"),
        ("a.py", 0.9, "near", "8"),
        ("c.py", None, "", "8"),
    ]
    assert coder["finalChoice"] == {
        "option": "b.py",
        "reason": "because b.py",
        "confidence": 0.75,
        "decidedBy": "",
        "spanId": otlp.span_id(8),
        "score": 0.2,
    }
    assert (coder["confidence"], coder["taskId"]) == (0.75, otlp.trace_id(1))
    assert coder["tokenUsage"] == {
        "modelCalls": 1,
        "inputTokens": 10,
        "outputTokens": None,
        "cacheReadTokens": None,
        "reasoningTokens": None,
        "totalTokens": 10,
        "costUsd": 0.5,
    }
    assert (tester["taskId"], tester["tokenUsage"]) == (otlp.span_id(4), None)


@pytest.mark.parametrize("options", ["not json", "5", '["a", {"score": true}]', "{}", "null"])
def test_options_of_any_shape_are_taken(get: Get, store: Any, otlp: Any, options: str) -> None:
    given: dict[str, Any] = {"clew.decision.options": options}
    odd = decision(otlp, 1, 0, "", **given)
    otlp.take(store, otlp.lines(otlp.traces(odd)))
    [agent] = get("runs/last/agent-trace")["agents"]
    assert (agent["finalChoice"], agent["confidence"], len(agent["decisions"])) == (None, None, 1)


def test_a_graph_says_who_called_delegated_and_messaged(get: Get, store: Any, otlp: Any) -> None:
    otlp.take(store, otlp.lines(otlp.traces(*team(otlp))))
    answer = get(f"runs/{otlp.trace_id(1)}/agents")
    second = otlp.SECOND
    timed = {"p50_ns": second, "p95_ns": second, "p99_ns": second}
    unspent = {"input_tokens": None, "output_tokens": None, "cost_usd": 0.0, "partial_cost_usd": 0.0}
    free = timed | unspent | {"calls": 1, "errors": 0, "model_calls": 0, "calls_with_usage": 0, "unpriced_models": []}
    paid = free | {"model_calls": 1, "calls_with_usage": 1, "input_tokens": 10, "cost_usd": 0.5, "partial_cost_usd": 0.5}
    assert {(edge["source"], edge["relation"], edge["target"]): edge["weight"] for edge in answer["edges"]} == {
        ("director", "called", "coder"): paid,
        ("director", "delegated", "tester"): free | {"errors": 1},
        ("director", "messaged", "coder"): free,
    }
    nodes = {node["name"]: node for node in answer["nodes"]}
    assert (nodes["coder"]["weight"], nodes["director"]["weight"], nodes["tester"]["weight"]) == (paid, free, free | {"errors": 1})
    assert {name: (node["kind"], node["spans"], node["failed_spans"], node["runs"]) for name, node in nodes.items()} == {
        "coder": ("agent", 4, 0, 1),
        "director": ("agent", 3, 0, 1),
        "tester": ("agent", 2, 1, 1),
    }
    assert (sum(nodes["tester"]["starts"]), sum(nodes["tester"]["failed_starts"]), len(nodes["tester"]["starts"])) == (1, 1, 24)
    assert nodes["coder"]["last_ns"] == otlp.START + 8 * second
    assert (answer["from_ns"], answer["to_ns"]) == (otlp.START + second, otlp.START + 9 * second)
    otlp.take(store, otlp.lines(otlp.traces(*team(otlp, trace=2))))
    both = get("agents")
    assert (both["runs"], {edge["weight"]["calls"] for edge in both["edges"]}) == (2, {2})
    assert get("agents", filter="run:*2")["runs"] == 1
    assert get("agents", filter="agent:nobody") == {"nodes": [], "edges": [], "runs": 0, "more": False, "from_ns": None, "to_ns": None}


def test_a_graph_names_the_calls_behind_its_figures(get: Get, store: Any, otlp: Any) -> None:
    """Of one run in the order of time; of many the newest ten first."""
    for trace in range(1, 13):
        otlp.take(store, otlp.lines(otlp.traces(*team(otlp, trace=trace))))
    of_one, of_all = ({edge["relation"]: edge for edge in get(path)["edges"]} for path in (f"runs/{otlp.trace_id(1)}/agents", "agents"))
    [failed] = of_one["delegated"]["listed"]
    assert failed == {
        "run_id": otlp.trace_id(1),
        "span_id": otlp.span_id(5),
        "start_ns": otlp.START + 5 * otlp.SECOND,
        "duration_ns": otlp.SECOND,
        "failed": True,
    }
    assert [call["span_id"] for call in of_one["messaged"]["listed"]] == [otlp.span_id(6)]
    assert (of_all["called"]["weight"]["calls"], len(of_all["called"]["listed"])) == (12, 10)
    starts = [call["start_ns"] for call in of_all["called"]["listed"]]
    assert starts == sorted(starts, reverse=True)


def test_tools_and_models_are_in_a_graph_on_request(get: Get, store: Any, otlp: Any) -> None:
    tool = {"clew.span.kind": "tool", "gen_ai.tool.name": "search"}
    used = [
        otlp.span(20, 1, 2, attributes=tool),
        otlp.span(21, 1, 2, attributes=tool, status={"code": 2}),
        otlp.span(22, 1, attributes=tool),
    ]
    unpriced = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "own", "gen_ai.usage.input_tokens": 5}
    otlp.take(store, otlp.lines(otlp.traces(*team(otlp), *used, otlp.span(23, 1, 2, attributes=unpriced))))
    assert {node["kind"] for node in get("agents")["nodes"]} == {"agent"}
    assert {node["kind"] for node in get("agents", **{"with": "tool"})["nodes"]} == {"agent", "tool"}
    answer = get("agents", **{"with": ["tool", "model"]})
    nodes = {(node["kind"], node["name"]): node for node in answer["nodes"]}
    edges = {(edge["source"], edge["relation"], edge["target"]): edge["weight"] for edge in answer["edges"]}
    assert (nodes["tool", "search"]["weight"]["calls"], nodes["tool", "search"]["weight"]["errors"]) == (2, 1)  # that of no agent is not in
    assert edges["coder", "used", "search"]["calls"] == 2
    assert (edges["coder", "asked", "m"]["cost_usd"], nodes["model", "m"]["weight"]["cost_usd"]) == (0.5, 0.5)
    assert nodes["model", "own"]["weight"]["unpriced_models"] == nodes["agent", "coder"]["weight"]["unpriced_models"] == ["own"]
    assert (edges["coder", "asked", "own"]["cost_usd"], nodes["agent", "coder"]["weight"]["partial_cost_usd"]) == (None, 0.5)
    assert "'tool' or 'model'" in get("agents", 400, **{"with": "git"})["message"]


def test_a_graph_of_many_runs_says_when_it_is_cut(get: Get, store: Any, otlp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from clew.observe.query import agent_graph

    for trace in (1, 2, 3):
        otlp.take(store, otlp.lines(otlp.traces(*team(otlp, trace=trace))))
    assert (get("agents", limit=2)["runs"], get("agents", limit=2)["more"], get("agents")["more"]) == (2, True, False)
    monkeypatch.setattr(agent_graph, "MOST_SPANS", 20)
    assert (get("agents")["runs"], get("agents")["more"]) == (2, True)
    monkeypatch.setattr(agent_graph, "MOST_NODES", 2)
    cut = get("agents")
    assert ([node["name"] for node in cut["nodes"]], {edge["target"] for edge in cut["edges"]}) == (["coder", "director"], {"coder"})


def test_a_graph_of_spans_in_circles_ends(get: Get, store: Any, otlp: Any) -> None:
    a, b = ({"clew.span.kind": "agent", "gen_ai.agent.name": name} for name in "ab")
    otlp.take(
        store,
        otlp.lines(otlp.traces(otlp.span(1, 1, 2, attributes=a), otlp.span(2, 1, 1, attributes=b), otlp.span(3, 1, 4), otlp.span(4, 1, 3))),
    )
    assert [node["name"] for node in get("runs/last/agents")["nodes"]] == ["a", "b"]


def test_a_profile_of_an_agent_has_its_operations_decisions_and_runs(get: Get, store: Any, otlp: Any) -> None:
    otlp.take(store, otlp.lines(otlp.traces(*team(otlp)), otlp.traces(*team(otlp, trace=2, choice="c.py"))))
    answer = get("agents/profile", agent="coder")
    assert [(one["kind"], one["name"], one["count"], one["errors"]) for one in answer["operations"]] == [
        ("decision", "pick", 4, 0),
        ("agent", "code", 2, 0),
        ("llm", "ask", 2, 0),
    ]
    picks = answer["operations"][0]
    assert (picks["p50_ns"], picks["p99_ns"], picks["last_span_id"]) == (otlp.SECOND, otlp.SECOND, otlp.span_id(8))
    assert picks["per_second"] == pytest.approx(4 / 6)  # from the first span's start, at 2 s, to the last one's, at 8 s
    assert (answer["from_ns"], answer["to_ns"]) == (otlp.START + 2 * otlp.SECOND, otlp.START + 8 * otlp.SECOND)
    assert ([one["choice"] for one in answer["decisions"]].count("c.py"), answer["decided"]) == (1, 4)
    assert {one["reason"] for one in answer["decisions"]} == {"because a.py", "because b.py", "because c.py"}
    assert [run["run_id"] for run in answer["runs"]] == [otlp.trace_id(1), otlp.trace_id(2)]
    assert get("agents/profile", agent="coder", filter="run:*2 OR run:none")["operations"][0]["count"] == 2
    assert get("agents/profile", agent="coder", limit=1)["more"] is True
    nobody = get("agents/profile", agent='no "body" \\ ' + "x" * 5000)
    assert (nobody["operations"], nobody["runs"], nobody["from_ns"]) == ([], [], None)


def test_a_diff_sets_steps_and_decisions_side_by_side(get: Get, store: Any, otlp: Any) -> None:
    extra = otlp.span(10, 2, 1, name="more")
    otlp.take(store, otlp.lines(otlp.traces(*team(otlp)), otlp.traces(*team(otlp, trace=2, choice="c.py", cost=2.0), extra)))
    answer = get(f"runs/{otlp.trace_id(1)}/diff/{otlp.trace_id(2)}")
    steps = {"/".join(step["path"]): step for step in answer["steps"]}
    assert (steps["direct/code/ask"]["before"]["cost_usd"], steps["direct/code/ask"]["after"]["cost_usd"]) == (0.5, 2.0)
    assert (steps["direct/code/pick"]["before"]["spans"], steps["direct/code/pick"]["before"]["duration_ns"]) == (2, 2 * otlp.SECOND)
    assert (steps["direct/more"]["before"]["spans"], steps["direct/more"]["after"]["span_id"]) == (0, otlp.span_id(10))
    assert steps["direct/test it/test"]["before"]["first_error"] == "red"
    assert (answer["only_before"], answer["only_after"], answer["more"]) == (0, 1, False)
    assert answer["turns"] == [{"agent": "coder", "question": "which file?", "before": "a.py", "after": "c.py"}]
    same = get(f"runs/{otlp.trace_id(1)}/diff/{otlp.trace_id(1)}")
    assert (same["turns"], same["only_before"], all(step["before"] == step["after"] for step in same["steps"])) == ([], 0, True)


def test_completion_knows_fields_values_and_attributes(get: Get, store: Any, otlp: Any) -> None:
    otlp.take(store, otlp.lines(otlp.traces(*team(otlp), resource={"service.name": "Builder"}), otlp.logs(otlp.log("x", {"disk": "sda"}))))

    def texts(path: str, **parameters: Any) -> list[str]:
        return [one["text"] for one in get(f"completion/{path}", **parameters)["suggestions"]]

    assert "agent" in [field["name"] for field in get("completion/fields", of="runs")]
    assert texts("values", field="agent") == ["coder", "director", "tester"]
    assert texts("values", field="agent", prefix="D", of="runs") == ["director"]
    assert texts("values", field="service", prefix="bui") == ["Builder"]
    assert texts("values", field="kind", prefix="de") == ["decision"]
    assert texts("values", field="@messaging.destination.name") == ["coder"]
    assert texts("attributes", prefix="messaging") == ["messaging.destination.name"]
    assert texts("attributes", of="logs") == ["disk"]
    assert texts("values", field="@disk", of="logs") == ["sda"]
    assert get("completion/values", field="agent", limit=1)["more"] is True
    assert get("completion/values", 400, field="cost")["error"] == get("completion/values", 400, field="colour")["error"] == "QueryError"


def test_every_text_field_of_every_list_can_be_completed(get: Get) -> None:
    for of in ("spans", "runs", "sessions", "logs"):
        for field in get("completion/fields", of=of):
            if field["type"] in ("text", "enum"):
                assert get("completion/values", field=field["name"], of=of)["more"] is False, (of, field["name"])
