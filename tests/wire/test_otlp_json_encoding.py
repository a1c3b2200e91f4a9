"""Spans as OTLP/JSON lines: exact text, the same by the fast way and the general one."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.wire import otlp_json
from clew.wire.otlp_json import Encoder, Event, Link


def sort(**changes: Any) -> Any:
    row = {
        "otlp_kind": 3,
        "fixed": {"clew.span.kind": "llm"},
        "bare": {},
        "keywords": {"model": "gen_ai.request.model"},
        "name_attribute": None,
    }
    return SimpleNamespaceHashed(**{**row, **changes})


class SimpleNamespaceHashed(SimpleNamespace):
    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other


SORT = sort()
NAMED = sort(name_attribute="gen_ai.tool.name")


def span(given: dict[str, Any], instrument: Any = SORT, **changes: Any) -> Any:
    trace = SimpleNamespace(trace_id=0xABC, offset=1_000, state="")
    row = {"trace": trace, "span_id": 5, "parent_span_id": 0, "name": "chat", "started": 1, "ended": 3, "status_code": 1, "rare": None}
    return SimpleNamespace(**{**row, "instrument": instrument, "given": given, **changes})


def rare(**changes: Any) -> Any:
    return SimpleNamespace(**{"events": [], "links": [], "message": "", "dropped_attributes": 0, "dropped_events": 0, **changes})


def encode(*spans: Any, **settings: Any) -> list[Any]:
    encoded = Encoder(**settings).spans(spans)
    for item in encoded:
        if isinstance(item, Exception):
            raise item
    return [json.loads(item) for item in encoded]  # type: ignore[arg-type]


def attributes(document: dict[str, Any]) -> dict[str, Any]:
    return {pair["key"]: pair["value"] for pair in document["attributes"]}


def test_a_span_as_it_stands_in_the_spool() -> None:
    assert Encoder().spans([span({"model": "gpt-4o", "n": 2, "t": 0.5})]) == [
        '{"traceId":"00000000000000000000000000000abc","spanId":"0000000000000005","name":"chat","kind":3,'
        '"startTimeUnixNano":"1001","endTimeUnixNano":"1003","status":{"code":1},"attributes":['
        '{"key":"clew.span.kind","value":{"stringValue":"llm"}},{"key":"gen_ai.request.model","value":{"stringValue":"gpt-4o"}},'
        '{"key":"n","value":{"intValue":"2"}},{"key":"t","value":{"doubleValue":0.5}}]}'
    ]


def test_what_most_spans_do_not_have() -> None:
    more = rare(
        events=[Event("e", 7, {"x": True})], links=[Link(1, 2, {"why": "y"}, "a=b")], message="no", dropped_attributes=3, dropped_events=4
    )
    trace = SimpleNamespace(trace_id=1, offset=0, state="v=1")
    (document,) = encode(span({}, rare=more, trace=trace, parent_span_id=0x11, ended=0, status_code=2))
    assert document == {
        "traceId": "0" * 31 + "1",
        "spanId": "0" * 15 + "5",
        "parentSpanId": "0" * 14 + "11",
        "traceState": "v=1",
        "name": "chat",
        "kind": 3,
        "startTimeUnixNano": "1",
        "endTimeUnixNano": "0",
        "status": {"code": 2, "message": "no"},
        "attributes": [{"key": "clew.span.kind", "value": {"stringValue": "llm"}}],
        "events": [{"timeUnixNano": "7", "name": "e", "attributes": [{"key": "x", "value": {"boolValue": True}}]}],
        "links": [
            {
                "traceId": "0" * 31 + "1",
                "spanId": "0" * 15 + "2",
                "traceState": "a=b",
                "attributes": [{"key": "why", "value": {"stringValue": "y"}}],
            }
        ],
        "droppedAttributesCount": 3,
        "droppedEventsCount": 4,
    }


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("x", {"stringValue": "x"}),
        ('"\\\n\x00é\u2028', {"stringValue": '"\\\n\x00é\u2028'}),
        (True, {"boolValue": True}),
        (0, {"intValue": "0"}),
        (-(1 << 63), {"intValue": str(-(1 << 63))}),
        (1 << 63, {"stringValue": str(1 << 63)}),
        pytest.param(1 << 20_000, {"stringValue": "<int of 20001 bits>"}, id="huge"),
        (1e300, {"doubleValue": 1e300}),
        (float("nan"), {"doubleValue": "NaN"}),
        (float("-inf"), {"doubleValue": "-Infinity"}),
        (("a", 1, False), {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "1"}, {"boolValue": False}]}}),
    ],
)
def test_values(value: Any, encoded: Any) -> None:
    assert attributes(encode(span({"x": value}))[0])["x"] == encoded
    assert attributes(encode(span({"x": value}), span({"x": value}))[1])["x"] == encoded


def test_a_lone_surrogate_does_not_lose_the_line() -> None:
    line = otlp_json.trace_line('{"attributes":[]}', {otlp_json.scope("s"): [str(Encoder().spans([span({"x": "a\ud800b"})])[0])]})
    (found,) = json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert attributes(found)["x"] == {"stringValue": "a?b"}


def test_one_value_that_cannot_be_encoded_costs_its_span_only() -> None:
    encoded = Encoder().spans([span({"x": 1}), span({"x": object()}), span({"x": 2})])
    assert [type(item) for item in encoded] == [str, TypeError, str]


def test_the_name_stands_under_its_attribute_too_unless_that_is_set() -> None:
    first, second = encode(span({"n": 1}, NAMED, name='se"arch'), span({"gen_ai.tool.name": "other"}, NAMED, name="search"))
    assert attributes(first)["gen_ai.tool.name"] == {"stringValue": 'se"arch'}
    assert [pair["value"] for pair in second["attributes"] if pair["key"] == "gen_ai.tool.name"] == [{"stringValue": "other"}]


def test_content_is_hashed_or_left_out_in_every_dialect() -> None:
    given = {"gen_ai.input.messages": "hé", "llm.input_messages.0.message.content": "x", "gen_ai.usage.input_tokens": 5}
    kept = attributes(encode(span(given), capture="hash")[0])
    assert kept["gen_ai.input.messages"] == {"stringValue": otlp_json.digest("hé")}
    assert kept["llm.input_messages.0.message.content"] == {"stringValue": otlp_json.digest("x")}
    assert otlp_json.digest("abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad (3 bytes)"
    assert set(attributes(encode(span(given), capture="off")[0])) == {"clew.span.kind", "gen_ai.usage.input_tokens"}


def test_a_name_that_is_content_is_not_shown_when_content_is_off() -> None:
    question = sort(name_attribute="clew.decision.question", fixed={"clew.span.kind": "decision"})
    (document,) = encode(span({}, question, name="fire Bob?"), capture="off")
    assert document["name"] == "decision"
    assert "Bob" not in json.dumps(document)


def test_secrets_are_masked_in_every_place() -> None:
    key = "sk-proj-Ab3dE6gH9jK2mN5pQ8sT1vW4"
    more = rare(events=[Event(key, 1, {"x": key, "password": "hunter2"})], links=[Link(1, 2, {"x": key})], message=f"bad key {key}")
    spans = [span({"a": key, "b": ("x", key), key: 1, "api_key": "hunter2"}, name=key, rare=more), span({"a": "harmless"})]
    text = "".join(str(item) for item in Encoder().spans(spans))
    assert key not in text
    assert "hunter2" not in text
    assert "harmless" in text
    assert key in "".join(str(item) for item in Encoder(redact=False).spans(spans))


scalars = st.text(max_size=20) | st.booleans() | st.integers() | st.floats() | st.sampled_from(["password=hunter2", "100% of %s"])


@given(
    st.lists(
        st.dictionaries(st.text(max_size=10) | st.sampled_from(["model", "operation", "%d"]), scalars, max_size=5), min_size=1, max_size=6
    )
)
def test_the_fast_way_and_the_general_way_agree(given_: list[dict[str, Any]]) -> None:
    spans = [span(given, instrument, name=f"%s {at}") for at, given in enumerate(given_) for instrument in (SORT, NAMED)]
    encoder = Encoder()
    whole = [json.loads(encoder.span(item).encode("utf-8", "replace")) for item in spans]
    assert [json.loads(str(item).encode("utf-8", "replace")) for item in encoder.spans(spans)] == whole
