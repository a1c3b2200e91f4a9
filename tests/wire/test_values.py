"""Reading JSON of any depth, and the canonical text of values that are malformed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clew.errors import MalformedRecord
from clew.wire import values
from clew.wire.values import json_text, parse_json, protobuf_text

pytestmark = pytest.mark.needs("msgspec")

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
    max_leaves=20,
)


@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_the_deep_reader_agrees_with_the_ordinary_one(value: Any, indent: int | None, ascii: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii)
    assert repr(values._parse_deep(text)) == repr(json.loads(text))


@given(st.text(alphabet='[]{}",:0123456789.eE+-truefalsn \n\\u"', max_size=30))
@example("[1,]")
@example('{"a":1,}')
@example("1 2")
@example("")
@example('["\\ud800"]')
@example('{"')
@example("[" + "1" * 5000 + "]")
def test_the_deep_reader_refuses_what_the_ordinary_one_refuses(text: str) -> None:
    try:
        wanted = repr(json.loads(text, parse_constant=lambda name: pytest.fail(name)))
    except ValueError:
        with pytest.raises(MalformedRecord, match="not JSON"):
            values._parse_deep(text)
    else:
        assert repr(values._parse_deep(text)) == wanted


@pytest.mark.parametrize("depth", [10, 900, 5_000, 100_000])
def test_any_depth_is_read(depth: int) -> None:
    value = parse_json(b"[" * depth + b'{"a":[]}' + b"]" * depth)
    for _ in range(depth):
        [value] = value
    assert value == {"a": []}


@pytest.mark.parametrize("text", [b"[" * 5000, b"[" * 5000 + b"}" + b"]" * 4999, b'{"a":' * 5000 + b"1", b"\xff"])
def test_a_deep_text_that_is_broken_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedRecord, match="not JSON"):
        parse_json(text)


MALFORMED: dict[str, Any] = {
    "no object": {"arrayValue": {"values": [7]}},
    "no list": {"arrayValue": {"values": 7}},
    "no list object": {"kvlistValue": 7},
    "no pair": {"kvlistValue": {"values": [7]}},
    "no integer": {"arrayValue": {"values": [{"intValue": "many"}]}},
    "no number": {"arrayValue": {"values": [{"doubleValue": [1]}]}},
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_value_that_is_none_is_named(name: str) -> None:
    with pytest.raises(MalformedRecord, match=r"Value|expected an AnyValue"):
        json_text(MALFORMED[name])


def test_values_that_are_odd_and_readable() -> None:
    assert json_text({}) == "null"
    assert json_text({"unknownValue": 1}) == "null"
    assert json_text({"stringValue": None, "intValue": "7"}) == "7"
    assert json_text({"arrayValue": {}}) == "[]"
    assert json_text({"arrayValue": None}) == "null"
    assert json_text({"kvlistValue": {"values": [{"value": {"boolValue": True}}, {"key": "k"}]}}) == '{"":true,"k":null}'
    assert (
        json_text({"arrayValue": {"values": [None, {"doubleValue": "NaN"}, {"doubleValue": 1}, {"intValue": 1}]}}) == '[null,"nan",1.0,1]'
    )


@given(st.binary(max_size=60))
@example(b"\x08")
@example(b"\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
def test_any_bytes_are_a_value_or_refused(data: bytes) -> None:
    try:
        text = protobuf_text(data)
    except MalformedRecord:
        return
    json.loads(text)
