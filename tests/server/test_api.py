"""The API answers with what was recorded: lists in pages, one run, its spans and their content, costs, SQL; and says what it cannot answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "fastapi", "httpx", "lark")

Get = Callable[..., Any]


@pytest.fixture
def client(store: Any) -> Iterator[Any]:
    from starlette.testclient import TestClient

    from clew.server.app import app

    with TestClient(app(store), base_url="http://127.0.0.1") as made:
        yield made


@pytest.fixture
def get(client: Any) -> Get:
    def ask(path: str, /, **parameters: Any) -> Any:
        answer = client.get(f"/api/v1/{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


@pytest.fixture
def refusal(client: Any) -> Get:
    def ask(path: str, /, **parameters: Any) -> Any:
        answer = client.get(f"/api/v1/{path}", params=parameters)
        return answer.status_code, answer.json()

    return ask


def follow(get: Get, path: str, rows: str, **parameters: Any) -> list[Any]:
    """All rows of a list, page by page."""
    found: list[Any] = []
    page = get(path, **parameters)
    while True:
        assert len(page[rows]) <= parameters["limit"]
        found += page[rows]
        assert page["more"] == (page["next"] is not None)
        if page["next"] is None:
            return found
        page = get(path, after=page["next"], **parameters)


def agents_at_work(otlp: Any) -> bytes:
    """Run 1: an agent (span 1) that calls a model (2) and a tool (3); run 2 has failed; run 3 is of another session."""
    llm = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai"}
    usage = {"gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.output_tokens": 0, "gen_ai.conversation.id": "s1"}
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.tool.call.result": "a merge conflict"}
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner", "gen_ai.conversation.id": "s1", "retries": 3}
    failed = {"status": {"code": 2, "message": "no such file"}}
    messages = '[{"role":"user","parts":[{"type":"text","content":"Fix it"}]}]'
    return bytes(
        otlp.lines(
            otlp.traces(
                otlp.span(1, 1, attributes=agent, name="plan"),
                otlp.span(2, 1, 1, attributes=llm | usage | {"gen_ai.input.messages": messages}),
                otlp.span(3, 1, 1, attributes=tool),
            ),
            otlp.traces(otlp.span(4, 2, attributes={"gen_ai.conversation.id": "s1", "error.type": "OSError"}, **failed)),
            otlp.traces(otlp.span(5, 3, attributes=llm | {"gen_ai.conversation.id": "s2"}), resource={"service.name": "other"}),
            otlp.logs(
                otlp.log("started", severityNumber=9, traceId=otlp.trace_id(1), spanId=otlp.span_id(1)),
                otlp.log("the Disk is full", {"disk": "sda"}, severityNumber=17, timeUnixNano=str(otlp.START + 5)),
            ),
        )
    )


@pytest.fixture
def work(store: Any, otlp: Any) -> Any:
    assert otlp.take(store, agents_at_work(otlp)).faulty == 0
    return otlp


RUN_FILTERS = {
    "": [3, 2, 1],
    "status:error": [2],
    "agent:planner": [1],
    "agent:pl*": [1],
    "-agent:*": [3, 2],
    "model:(gpt-4o,o3)": [3, 1],
    "session:s1": [2, 1],
    "service:other": [3],
    "spans:>1": [1],
    "cost:>1": [1],
    "tool:search": [1],
    "kind:llm": [3, 1],
    "error:OSError": [2],
    '"merge conflict"': [1],
    "conflict": [1],
    "@retries:3": [1],
    "@retries:>=4": [],
    "start:2025-10-09T08:53:24": [2],
    "start:>2025-10-09T08:53:24": [3],
    "since:2025-10-09T08:53:24": [3, 2],
    "status:error OR agent:planner": [2, 1],
    "run:0000*": [3, 2, 1],
}


def test_runs_are_found_by_what_they_are_and_by_what_is_in_them(get: Get, work: Any) -> None:
    numbers = {work.trace_id(number): number for number in (1, 2, 3)}
    found = {text: [numbers[run["run_id"]] for run in get("runs", filter=text)["runs"]] for text in RUN_FILTERS}
    assert found == RUN_FILTERS


LOG_FILTERS = {
    "": ["the Disk is full", "started"],
    "level:error": ["the Disk is full"],
    "severity:<10": ["started"],
    "disk": ["the Disk is full"],
    '"disk is"': ["the Disk is full"],
    '"is disk"': [],
    "@disk:sda": ["the Disk is full"],
    "@disk:*": ["the Disk is full"],
    "run:*0001": ["started"],
    "start:<2025-10-09": [],
    "body:started service:program": ["started"],
}


def test_logs_are_found_by_what_they_say(get: Get, work: Any) -> None:
    found = {text: [log["body"] for log in get("logs", filter=text)["logs"]] for text in LOG_FILTERS}
    assert found == LOG_FILTERS


SESSION_FILTERS = {
    "": ["s2", "s1"],
    "runs:2": ["s1"],
    "failed:>0": ["s1"],
    "agent:planner": ["s1"],
    "calls:1": ["s2", "s1"],
    "cost:>2": ["s1"],
}


def test_sessions_are_found_by_what_their_runs_are(get: Get, work: Any) -> None:
    found = {text: [session["session_id"] for session in get("sessions", filter=text)["sessions"]] for text in SESSION_FILTERS}
    assert found == SESSION_FILTERS


def test_a_session_sums_its_runs(get: Get, work: Any) -> None:
    [session] = get("sessions", filter="session:s1")["sessions"]
    assert session == {
        "session_id": "s1",
        "user_id": "",
        "runs": 2,
        "first_ns": work.START + work.SECOND,
        "last_ns": work.START + 4 * work.SECOND,
        "spans": 4,
        "errors": 1,
        "failed_runs": 1,
        "agents": ["planner"],
        "models": ["gpt-4o"],
        "model_calls": 1,
        "input_tokens": 1_000_000,
        "output_tokens": 0,
        "cost_usd": 2.5,
        "partial_cost_usd": 2.5,
    }


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 40])
def test_pages_hold_every_row_once_and_in_order(get: Get, store: Any, otlp: Any, limit: int) -> None:
    """Also where many start at the same time."""
    spans = [
        otlp.span(number, number // 3 + 1, attributes={"session.id": f"s{number // 6}"}, startTimeUnixNano=str(otlp.START + number // 8))
        for number in range(1, 24)
    ]
    logs = [otlp.log(f"log {number}", timeUnixNano=str(otlp.START + number // 5)) for number in range(23)]
    otlp.take(store, otlp.lines(*(otlp.traces(span) for span in spans), otlp.logs(*logs)))
    for path, rows in (("runs", "runs"), ("spans", "hits"), ("logs", "logs"), ("sessions", "sessions")):
        assert follow(get, path, rows, limit=limit) == get(path, limit=1000)[rows], path
    assert (len(get("spans", limit=1000)["hits"]), len(get("logs", limit=1000)["logs"]), get("spans/count")) == (23, 23, {"count": 23})
    assert follow(get, "runs", "runs", limit=limit, filter="start:2025-10 spans:>1")


def test_a_corrected_span_is_on_one_page(get: Get, store: Any, otlp: Any) -> None:
    """Its earlier version, which started at another time, is on none."""
    otlp.take(store, otlp.lines(otlp.traces(otlp.span(1), otlp.span(2))))
    otlp.take(store, otlp.lines(otlp.traces(otlp.span(1, startTimeUnixNano=str(otlp.START + 9 * otlp.SECOND)))))
    assert [hit["span_id"][-1] for hit in follow(get, "spans", "hits", limit=1)] == ["1", "2"]


def test_the_structure_of_a_run_is_columns_of_its_tree(get: Get, work: Any) -> None:
    found = get("runs/last", limit=2)  # run 3 is the newest
    assert found["spans"]["span_id"] == [work.span_id(5)]
    found = get(f"runs/{work.trace_id(1)}")
    spans = found["spans"]
    assert {
        name: spans[name] for name in ("span_id", "parent", "depth", "kind", "agent", "tool", "is_model_call", "cost_usd", "contents")
    } == {
        "span_id": [work.span_id(1), work.span_id(2), work.span_id(3)],
        "parent": [-1, 0, 0],
        "depth": [0, 1, 1],
        "kind": ["agent", "llm", "tool"],
        "agent": ["planner", "planner", "planner"],
        "tool": ["", "", "search"],
        "is_model_call": [False, True, False],
        "cost_usd": [None, 2.5, None],
        "contents": [0, 1, 1],
    }
    assert (spans["offset_ns"], found["start_ns"], found["orphans"], found["more"]) == (
        [0, work.SECOND, 2 * work.SECOND],
        work.START + work.SECOND,
        0,
        False,
    )
    assert len({len(column) for column in spans.values()}) == 1
    assert found["run"] == next(run for run in get("runs")["runs"] if run["run_id"] == work.trace_id(1))


def test_a_run_that_is_cut_says_so(get: Get, work: Any) -> None:
    found = get(f"runs/{work.trace_id(1)}", limit=2)
    assert (found["spans"]["span_id"], found["more"], found["run"]["spans"]) == ([work.span_id(1), work.span_id(2)], True, 3)


def test_spans_without_parents_and_in_circles_are_in_the_structure(get: Get, store: Any, otlp: Any) -> None:
    otlp.take(store, otlp.lines(otlp.traces(otlp.span(1), otlp.span(2, 1, 99), otlp.span(3, 1, 4), otlp.span(4, 1, 3), otlp.span(5, 1, 2))))
    found = get("runs/last")
    assert [span_id[-1] for span_id in found["spans"]["span_id"]] == ["1", "2", "5", "3", "4"]
    assert (found["spans"]["parent"], found["spans"]["depth"], found["orphans"]) == ([-1, -1, 1, -1, 3], [0, 1, 2, 0, 1], 1)


def test_a_span_is_given_without_its_content_which_is_fetched_by_itself(get: Get, work: Any) -> None:
    run, span = work.trace_id(1), work.span_id(3)
    detail = get(f"runs/{run}/spans/{span}")
    assert (detail["name"], detail["attributes"]["gen_ai.tool.name"], detail["resource"]) == (
        "span 3",
        "search",
        {"service.name": "program"},
    )
    assert detail["contents"] == [{"key": "gen_ai.tool.call.result", "type": "string", "bytes": len("a merge conflict")}]
    assert get(f"runs/{run}/spans/{span}/contents") == {"gen_ai.tool.call.result": "a merge conflict"}


def test_events_and_links_of_a_span(get: Get, store: Any, otlp: Any) -> None:
    event = {"timeUnixNano": str(otlp.START), "name": "retry", "attributes": otlp.attributes({"n": 1})}
    link = {"traceId": otlp.trace_id(7), "spanId": otlp.span_id(8), "attributes": otlp.attributes({"why": "cause"})}
    otlp.take(store, otlp.lines(otlp.traces(otlp.span(1, events=[event], links=[link]))))
    detail = get(f"runs/last/spans/{otlp.span_id(1)}")
    assert detail["events"] == [{"time_ns": otlp.START, "name": "retry", "attributes": {"n": "1"}}]
    assert detail["links"] == [{"run_id": otlp.trace_id(7), "span_id": otlp.span_id(8), "attributes": {"why": "cause"}}]


def test_messages_come_in_the_order_of_the_run(get: Get, work: Any) -> None:
    found = get(f"runs/{work.trace_id(1)}/messages")
    assert [(one["span_id"], one["direction"], one["role"], one["content"]) for one in found["messages"]] == [
        (work.span_id(2), "input", "user", "Fix it")
    ]
    assert get(f"runs/{work.trace_id(1)}/messages", span=work.span_id(3)) == {"messages": [], "more": False}


def test_costs_are_those_of_the_calls_that_match(get: Get, work: Any) -> None:
    whole = get("costs", by="session")
    assert [(row["key"], row["calls"], row["cost_usd"]) for row in whole["rows"]] == [("s1", 1, 2.5), ("s2", 1, None)]
    assert (whole["total"]["calls"], whole["total"]["cost_usd"], whole["total"]["partial_cost_usd"], whole["more"]) == (2, None, 2.5, False)
    some = get("costs", by="model", filter="session:s1 since:2025-10-09")
    assert [(row["key"], row["cost_usd"]) for row in some["rows"]] == [("gpt-4o", 2.5)]
    assert get("costs", filter="start:<2025-10-09")["total"]["calls"] == 0
    cut = get("costs", by="session", limit=1)
    assert ([row["key"] for row in cut["rows"]], cut["total"]["calls"], cut["more"]) == (["s1"], 2, True)


def test_sql_gives_columns_and_rows(client: Any, work: Any) -> None:
    query = "SELECT kind, count() AS n FROM spans GROUP BY kind ORDER BY n DESC, kind"
    answer = client.post("/api/v1/sql", json={"query": query})
    assert answer.json() == {
        "columns": ["kind", "n"],
        "types": ["String", "UInt64"],
        "rows": [["llm", 2], ["agent", 1], ["other", 1], ["tool", 1]],
        "truncated": False,
    }
    cut = client.post("/api/v1/sql", params={"max_rows": 1}, json={"query": query}).json()
    assert (cut["rows"], cut["truncated"]) == ([["llm", 2]], True)


BAD_SQL: list[Any] = [
    {"query": "DROP TABLE span_records"},
    {"query": "SELECT * FROM file('/etc/passwd')"},
    {"query": "SELECT sleep(3) FROM numbers(100) SETTINGS max_execution_time = 1000"},
    {"query": "SELEC 1"},
    {"query": ""},
    {"query": 1},
    {},
    [],
    "x" * (300 << 10),
]


@pytest.mark.parametrize("body", BAD_SQL, ids=lambda body: str(body)[:40])
def test_sql_that_is_none_or_does_more_than_read_is_refused(client: Any, work: Any, body: Any) -> None:
    answer = client.post("/api/v1/sql", json=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "QueryError"), answer.text
    assert client.get("/api/v1/spans/count").json() == {"count": 5}


REFUSED: dict[tuple[str, str], tuple[int, str]] = {
    ("runs/ffff", ""): (404, "NotFound"),
    ("runs/0000", ""): (409, "AmbiguousId"),
    ("runs/last/spans/ffff", ""): (404, "NotFound"),
    ("runs/last/messages", "span=ffff"): (404, "NotFound"),
    ("nothing", ""): (404, "HTTPException"),
    ("runs", "filter=agnet:x"): (400, "FilterError"),
    ("runs", "after=x"): (400, "QueryError"),
    ("spans", "limit=0"): (400, "QueryError"),
    ("spans", "limit=1001"): (400, "QueryError"),
    ("spans", "limit=many"): (400, "QueryError"),
    ("sessions", "filter=word"): (400, "FilterError"),
    ("sessions", "filter=@a:b"): (400, "QueryError"),
    ("logs", "filter=level:loud"): (400, "FilterError"),
    ("costs", "by=colour"): (400, "QueryError"),
}


@pytest.mark.parametrize(("path", "query"), REFUSED, ids=lambda text: text or "-")
def test_what_cannot_be_answered_says_why(client: Any, work: Any, path: str, query: str) -> None:
    answer = client.get(f"/api/v1/{path}?{query}")
    said = answer.json()
    assert (answer.status_code, said["error"]) == REFUSED[path, query]
    assert len(said["message"]) > 10


def test_a_mistake_in_a_filter_is_pointed_at(refusal: Get) -> None:
    status, said = refusal("spans", filter="status:ok agnet:planner")
    assert (status, said["position"], said["message"].splitlines()[1:]) == (400, 10, ["  status:ok agnet:planner", f"  {' ' * 10}^"])


def test_a_cursor_of_one_list_is_none_of_another(get: Get, refusal: Get, work: Any) -> None:
    after = get("spans", limit=1)["next"]
    assert refusal("runs", after=after)[0] == refusal("logs", after=after)[0] == 400


def test_a_question_that_would_take_too_long_ends_with_advice(client: Any, store: Any) -> None:
    served = client.app.state.served

    def endless(asked: Any) -> Any:
        return asked.query("SELECT sum(sipHash64(number)) FROM numbers(1000000000000)", settings={"max_execution_time": 0.1}).result_rows

    async def route() -> Any:
        return await served.reply(endless)

    client.app.add_api_route("/endless", route)
    answer = client.get("/endless")
    assert (answer.status_code, answer.json()["error"]) == (400, "QueryError")
    assert "since:1d" in answer.json()["message"]


def test_health_counts_what_is_stored(get: Get, work: Any) -> None:
    assert (get("health")["spans"], get("health")["model_calls"]) == (5, 2)


def test_a_run_is_exported_and_imported(client: Any, store: Any, work: Any) -> None:
    answer = client.get(f"/api/v1/runs/{work.trace_id(1)}/bundle")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zstd")
    assert answer.headers["content-disposition"] == f'attachment; filename="{work.trace_id(1)}.clew"'
    assert int(answer.headers["content-length"]) == len(answer.content)
    store.command("TRUNCATE TABLE span_records")
    taken = client.post("/api/v1/bundles", content=answer.content).json()
    assert (taken["format"], taken["spans"], taken["faulty"]) == ("bundle+zstd", 3, 0)
    assert client.get("/api/v1/spans/count").json() == {"count": 3}
    assert client.post("/api/v1/bundles", content=answer.content).json()["spans"] == 0


@pytest.mark.parametrize("body", [b"", b"{}", b"\x28\xb5\x2f\xfd\x00", b"\x1f\x8b", b"x" * 100])
def test_what_is_no_bundle_is_refused(client: Any, body: bytes) -> None:
    answer = client.post("/api/v1/bundles", content=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "MalformedRecord")
