"""Jaeger's query API: the shapes that its UI and Grafana read, and tags found wherever OpenTelemetry puts them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "fastapi", "httpx")

Get = Callable[..., Any]


@pytest.fixture
def client(store: Any) -> Iterator[Any]:
    from starlette.testclient import TestClient

    from clew.server.app import app

    with TestClient(app(store), base_url="http://127.0.0.1") as made:
        yield made


@pytest.fixture
def get(client: Any) -> Get:
    def ask(path: str, status: int = 200, /, **parameters: Any) -> Any:
        answer = client.get(f"/api/{path}", params=parameters)
        assert answer.status_code == status, answer.text
        return answer.json()

    return ask


def shop(otlp: Any) -> bytes:
    """Trace 1: web (1) calls billing (2), which fails after an event and links to trace 9. Trace 2: web alone, in 1975."""
    event = {"timeUnixNano": str(otlp.START + 2_500_000_000), "name": "retry", "attributes": otlp.attributes({"attempt": 2})}
    link = {"traceId": otlp.trace_id(9), "spanId": otlp.span_id(9), "attributes": otlp.attributes({"reason": "batch", "share": 0.25})}
    values = {"http.status_code": 500, "cached": True, "ratio": 0.5, "big": 1 << 60, "list": ["a", 1], "prompt": "x" * 2000}
    web = {"service.name": "web/shop", "host": "h1", "process.pid": 77}
    failed = {"status": {"code": 2, "message": "no"}, "events": [event], "links": [link], "kind": 2}
    billing = otlp.traces(otlp.span(2, 1, 1, attributes=values, name="charge", **failed), resource={"service.name": "billing"}, scope="pay")
    billing["resourceSpans"][0]["scopeSpans"][0]["scope"]["attributes"] = otlp.attributes({"region": "eu", "sharded": True})
    old = otlp.span(3, 2, name="visit", startTimeUnixNano=str(157_766_400 * otlp.SECOND), endTimeUnixNano=str(157_766_402 * otlp.SECOND))
    return bytes(
        otlp.lines(
            otlp.traces(otlp.span(1, name="visit", kind=3), resource=web),
            billing,
            otlp.traces(old, resource=web),
        )
    )


@pytest.fixture
def sold(store: Any, otlp: Any) -> Any:
    assert otlp.take(store, shop(otlp)).faulty == 0
    return otlp


def test_a_trace_has_jaegers_shape(get: Get, sold: Any) -> None:
    start = (sold.START + 2 * sold.SECOND) // 1000

    def tag(key: str, kind: str, value: Any) -> dict[str, Any]:
        return {"key": key, "type": kind, "value": value}

    assert get(f"traces/{sold.trace_id(1)}") == {
        "data": [
            {
                "traceID": sold.trace_id(1),
                "spans": [
                    {
                        "traceID": sold.trace_id(1),
                        "spanID": sold.span_id(1),
                        "operationName": "visit",
                        "references": [],
                        "startTime": start - 1_000_000,
                        "duration": 1_000_000,
                        "tags": [tag("span.kind", "string", "client"), tag("otel.scope.name", "string", "test")],
                        "logs": [],
                        "processID": "p1",
                        "warnings": None,
                    },
                    {
                        "traceID": sold.trace_id(1),
                        "spanID": sold.span_id(2),
                        "operationName": "charge",
                        "references": [
                            {"refType": "CHILD_OF", "traceID": sold.trace_id(1), "spanID": sold.span_id(1)},
                            {"refType": "FOLLOWS_FROM", "traceID": sold.trace_id(9), "spanID": sold.span_id(9)},
                        ],
                        "startTime": start,
                        "duration": 1_000_000,
                        "tags": [
                            tag("span.kind", "string", "server"),
                            tag("otel.status_code", "string", "ERROR"),
                            tag("error", "bool", True),
                            tag("otel.status_description", "string", "no"),
                            tag("otel.scope.name", "string", "pay"),
                            tag("region", "string", "eu"),
                            tag("sharded", "bool", True),
                            tag("http.status_code", "int64", 500),
                            tag("cached", "bool", True),
                            tag("ratio", "float64", 0.5),
                            tag("big", "int64", str(1 << 60)),
                            tag("list", "string", '["a",1]'),
                            tag("prompt", "string", "x" * 2000),
                            tag("reason", "string", "batch"),
                            tag("share", "float64", 0.25),
                        ],
                        "logs": [{"timestamp": start + 500_000, "fields": [tag("event", "string", "retry"), tag("attempt", "int64", 2)]}],
                        "processID": "p2",
                        "warnings": None,
                    },
                ],
                "processes": {
                    "p1": {"serviceName": "web/shop", "tags": [tag("host", "string", "h1"), tag("process.pid", "int64", 77)]},
                    "p2": {"serviceName": "billing", "tags": []},
                },
                "warnings": None,
            }
        ],
        "total": 1,
        "limit": 0,
        "offset": 0,
        "errors": None,
    }


def test_an_id_may_lack_its_leading_zeros_and_be_in_capitals(get: Get, sold: Any) -> None:
    assert get("traces/1") == get(f"traces/{sold.trace_id(1).upper()}")
    found = get("traces", traceID=["1", "2", "77"])
    assert [trace["traceID"] for trace in found["data"]] == [sold.trace_id(1), sold.trace_id(2)]


def test_services_operations_and_dependencies(get: Get, sold: Any) -> None:
    assert get("services") == {"data": ["billing", "web/shop"], "total": 2, "limit": 0, "offset": 0, "errors": None}
    assert get("services/web%2Fshop/operations")["data"] == get("services/web/shop/operations")["data"] == ["visit"]
    assert get("services/nobody/operations")["data"] == []
    assert get("operations", service="billing")["data"] == [{"name": "charge", "spanKind": "server"}]
    assert get("operations", service="billing", spanKind="client")["data"] == []
    end_ms = sold.START // 1_000_000 + 60_000
    assert get("dependencies", endTs=end_ms, lookback=120_000)["data"] == [{"parent": "web/shop", "child": "billing", "callCount": 1}]
    assert get("dependencies", endTs=end_ms - 60_000, lookback=1000)["data"] == []


FOUND: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"operation": "charge"}, True),
    ({"operation": "visit"}, False),
    ({"tag": "http.status_code:500"}, True),
    ({"tag": "http.status_code:404"}, False),
    ({"tag": "cached:true"}, True),
    ({"tag": "ratio:0.5"}, True),
    ({"tag": "error:true"}, True),
    ({"tag": "span.kind:server"}, True),
    ({"tag": "otel.status_code:ERROR"}, True),
    ({"tag": "service.name:billing"}, True),
    ({"tag": "attempt:2"}, True),
    ({"tag": "event:retry"}, True),
    ({"tag": "reason:batch"}, True),
    ({"tag": "otel.scope.name:pay"}, True),
    ({"tag": "list:" + '["a",1]'}, True),
    ({"tag": "prompt:" + "x" * 2000}, True),
    ({"tag": "sharded:true"}, True),
    ({"tag": "share:0.25"}, True),
    ({"tag": ["attempt:2", "reason:batch", "cached:true", "service.name:billing", "region:eu"]}, True),
    ({"tags": '{"attempt":2,"reason":"batch","cached":true,"service.name":"billing","sharded":true,"share":0.25,"error":true}'}, True),
    ({"tag": ["attempt:2", "reason:batch", "cached:true", "service.name:billing", "region:us"]}, False),
    ({"tag": ["attempt:2", "reason:none"]}, False),
    ({"tag": "nothing:"}, False),
    ({"tags": '{"http.status_code":500,"cached":true,"error":"true"}'}, True),
    ({"tags": '{"http.status_code":"500","cached":false}'}, False),
    ({"minDuration": "1s", "maxDuration": "1000ms"}, True),
    ({"minDuration": "1.1s"}, False),
    ({"maxDuration": "999ms"}, False),
    ({"service": "web/shop"}, True),
    ({"service": "nobody"}, False),
]


def test_traces_are_found_by_what_a_span_of_theirs_has_anywhere(get: Get, sold: Any) -> None:
    times = {"start": sold.START // 1000, "end": sold.START // 1000 + 60_000_000}
    for question, is_found in FOUND:
        data = get("traces", **({"service": "billing"} | times | question))["data"]
        assert [trace["traceID"] for trace in data] == [sold.trace_id(1)] * is_found, question
        assert all(len(trace["spans"]) == 2 for trace in data), question


def test_a_search_covers_its_time_and_any_year(get: Get, sold: Any) -> None:
    def found(**parameters: Any) -> list[str]:
        return [trace["traceID"][-1] for trace in get("traces", service="web/shop", **parameters)["data"]]

    old = 157_766_400 * 1_000_000
    assert found() == []  # the last two days
    assert found(start=0) == ["1", "2"]
    assert found(start=0, limit=1) == ["1"]
    assert found(start=old, end=old) == ["2"]
    assert found(start=old + 1, end=old + 10) == []
    assert found(start=old - 10, end=old - 1) == []


def test_a_list_of_traces_cuts_long_content_and_one_trace_does_not(get: Get, sold: Any) -> None:
    def prompt(answer: Any) -> str:
        return next(str(tag["value"]) for tag in answer["data"][0]["spans"][1]["tags"] if tag["key"] == "prompt")

    assert prompt(get("traces", service="billing", start=0)) == "x" * 500 + " … (cut)"
    assert prompt(get("traces/1")) == "x" * 2000


def test_spans_that_have_not_ended_or_lack_a_parent_say_so(get: Get, store: Any, otlp: Any) -> None:
    otlp.take(store, otlp.lines(otlp.traces(otlp.span(1, 1, 7, endTimeUnixNano="0"))))
    [span] = get("traces/1")["data"][0]["spans"]
    assert (span["duration"], len(span["warnings"])) == (0, 2)
    assert [reference["spanID"] for reference in span["references"]] == [otlp.span_id(7)]


WRONG: list[tuple[str, dict[str, Any], int, str]] = [
    ("traces", {}, 400, "parameter 'service' is required"),
    ("operations", {}, 400, "parameter 'service' is required"),
    ("traces", {"service": "a", "start": "yesterday"}, 400, "parameter 'start' is no number: 'yesterday'"),
    ("traces", {"service": "a", "limit": "-1"}, 400, "parameter 'limit' is no number: '-1'"),
    ("traces", {"service": "a", "minDuration": "5"}, 400, "parameter 'minDuration' is no duration: '5'; write one as in 1.2s or 100ms"),
    ("traces", {"service": "a", "tag": "x"}, 400, "malformed 'tag' parameter, expecting key:value, received: 'x'"),
    ("dependencies", {"endTs": "x"}, 400, "parameter 'endTs' is no number: 'x'"),
    ("traces/abc", {}, 404, "trace not found"),
]


@pytest.mark.parametrize(("path", "parameters", "status", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_mistakes_are_told_in_jaegers_shape(get: Get, path: str, parameters: dict[str, Any], status: int, message: str) -> None:
    answer = get(path, status, **parameters)
    assert (answer["data"], answer["errors"][0]["code"], answer["errors"][0]["msg"]) == (None, status, message)


def test_tags_that_are_no_object_are_refused(get: Get) -> None:
    for tags in ("[]", "{", '"x"'):
        assert get("traces", 400, service="a", tags=tags)["errors"][0]["msg"].startswith("malformed 'tags' parameter")


# --- version 3 ----------------------------------------------------------------------------------------------------------------------------


def test_version_3_has_services_and_operations(get: Get, sold: Any) -> None:
    assert get("v3/services") == {"services": ["billing", "web/shop"]}
    assert get("v3/operations", service="web/shop") == {
        "operations": [{"name": "visit", "spanKind": "internal"}, {"name": "visit", "spanKind": "client"}]
    }
    assert get("v3/operations", service="billing", span_kind="client") == {"operations": []}


def test_version_3_has_traces_in_short(get: Get, store: Any, sold: Any) -> None:
    orphan = sold.span(7, 3, 99, name="lonely", startTimeUnixNano=str(sold.START), endTimeUnixNano="0")
    sold.take(store, sold.lines(sold.traces(orphan, resource={"service.name": "billing"})))
    asked = {"query.service_name": "billing", "query.start_time_min": "2001-01-01T00:00:00Z"}
    lonely, sale = sorted(get("v3/trace-summaries", **asked)["summaries"], key=lambda one: -int(one["traceId"], 16))
    start = sold.START + sold.SECOND
    assert sale == {
        "traceId": sold.trace_id(1),
        "traceID": sold.trace_id(1),
        "rootServiceName": "web/shop",
        "rootOperationName": "visit",
        "minStartTimeUnixNano": str(start),
        "maxEndTimeUnixNano": str(start + 2 * sold.SECOND),
        "spanCount": 2,
        "errorSpanCount": 1,
        "orphanSpanCount": 0,
        "services": [
            {"name": "billing", "spanCount": 1, "errorSpanCount": 1},
            {"name": "web/shop", "spanCount": 1, "errorSpanCount": 0},
        ],
    }
    assert (lonely["orphanSpanCount"], lonely["rootOperationName"], lonely["maxEndTimeUnixNano"]) == (1, "lonely", str(sold.START))
    for more, count in (
        ({"query.num_traces": 1}, 1),
        ({"query.span_name": "charge"}, 1),
        ({"query.operation_name": "nothing"}, 0),
        ({"query.attributes": '{"attempt":2,"cached":true}'}, 1),
        ({"query.duration_min": "1s", "query.duration_max": "1s"}, 1),
        ({"query.start_time_max": "2001-01-01T00:00:00.000001 01:00"}, 0),  # the + of the zone came unescaped
        ({"query.service_name": ""}, 2),
        ({"query.service_name": "", "query.span_name": "visit"}, 1),
    ):
        assert len(get("v3/trace-summaries", **asked | more)["summaries"]) == count, more


def test_version_3_takes_names_as_the_ui_writes_them(get: Get, sold: Any) -> None:
    window = {"query.startTimeMin": "2001-01-01T00:00:00.000Z", "query.startTimeMax": "2038-01-01T00:00:00.000Z"}
    for more, count in (
        ({"query.serviceName": "billing"}, 1),
        ({"query.serviceName": "nobody"}, 0),
        ({"query.operationName": "charge", "query.searchDepth": "20"}, 1),
        ({"query.serviceName": "billing", "query.attributes": '{"attempt":2}'}, 1),
        ({"query.durationMin": "1s", "query.durationMax": "1s"}, 1),
        ({"query.durationMin": "3s"}, 0),
    ):
        assert len(get("v3/trace-summaries", **window | more)["summaries"]) == count, more
    assert get("v3/operations", service="web/shop", spanKind="client")["operations"] == [{"name": "visit", "spanKind": "client"}]


def test_version_3_has_a_trace_as_otlp_that_another_store_takes_in(get: Get, sold: Any) -> None:
    import json

    from clew.wire.check import check_json

    found = get(f"v3/traces/{sold.trace_id(1)}", start_time="2001-01-01T00:00:00Z")["result"]
    assert check_json(json.dumps(found).encode()).records == 2
    (web, [visit]), (billing, [charge]) = ((one["resource"]["attributes"], one["scopeSpans"][0]["spans"]) for one in found["resourceSpans"])
    assert {"key": "service.name", "value": {"stringValue": "web/shop"}} in web
    assert {"key": "process.pid", "value": {"intValue": "77"}} in web
    assert billing == [{"key": "service.name", "value": {"stringValue": "billing"}}]
    assert "parentSpanId" not in visit
    assert (charge["parentSpanId"], charge["kind"], charge["status"]) == (sold.span_id(1), 2, {"code": 2, "message": "no"})
    assert {"key": "prompt", "value": {"stringValue": "x" * 2000}} in charge["attributes"]
    asked = {"query.service_name": "billing", "query.start_time_min": "2001-01-01T00:00:00Z"}
    assert get("v3/traces", **asked)["result"] == found


WRONG_3: list[tuple[str, dict[str, Any], int, str]] = [
    ("operations", {}, 400, "parameter 'service' is required"),
    *(
        ("trace-summaries", {"query.service_name": "a", f"query.{name}": value}, 400, message)
        for name, value, message in (
            ("start_time_min", "noon", "parameter 'query.start_time_min' is no time: 'noon'; write one as in 2026-01-31T12:00:00Z"),
            ("duration_min", "5", "parameter 'query.duration_min' is no duration: '5'; write one as in 1.2s or 100ms"),
            ("num_traces", "few", "parameter 'query.num_traces' is no number: 'few'"),
        )
    ),
    ("traces/abc", {}, 404, "trace not found"),
]


@pytest.mark.parametrize(("path", "parameters", "status", "message"), WRONG_3, ids=lambda value: str(value)[:40])
def test_mistakes_are_told_in_version_3s_shape(get: Get, path: str, parameters: dict[str, Any], status: int, message: str) -> None:
    assert get(f"v3/{path}", status, **parameters) == {"error": {"httpCode": status, "message": message}}
