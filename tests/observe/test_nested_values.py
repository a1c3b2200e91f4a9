"""Values nested to any depth are kept as one JSON text, the same from protobuf and from JSON senders."""

from __future__ import annotations

import base64
import itertools
import json
import math
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from clew.observe.query.traces import span_attributes
from clew.observe.store.store import Store
from clew.wire.values import json_text, protobuf_text

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.binary(max_size=12),
)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)), max_leaves=15
)


def plain(value: Any) -> Any:
    """What a reader of the JSON text must get."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def read(text: str, kind: str) -> Any:
    readers: dict[str, Any] = {
        "string": str,
        "int": int,
        "double": float,
        "bool": {"true": True, "false": False}.__getitem__,
        "json": json.loads,
    }
    return readers[kind](text)


def same(found: Any, value: Any) -> bool:
    """Also for NaN, which stands alone as a number and as text within JSON."""
    if isinstance(value, float):
        return isinstance(found, float) and (found == value or (math.isnan(found) and math.isnan(value)))
    return repr(found) == repr(plain(value))


@given(value=VALUES)
@settings(max_examples=300)
def test_one_text_whatever_the_encoding(value: Any, otlp: Any) -> None:
    text = json_text(json.loads(json.dumps(otlp.value(value))))
    assert json.loads(text) == plain(value)
    assert text == json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
    encoded = otlp.protobuf({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": otlp.value(value)}]}]}]})
    assert protobuf_text(_innermost(encoded)) == text


def _innermost(body: bytes) -> bytes:
    """The body of the one log record: Request > Resources > Scopes > Log > AnyValue, each but a tag and a length."""
    for _ in range(4):
        at = 1
        while body[at] >= 0x80:
            at += 1
        body = body[at + 1 :]
    return body


TABLES = ("attributes", "resource", "events", "log body", "log attributes")


def everywhere(store: Store, number: int, otlp: Any) -> dict[str, list[tuple[str, str]]]:
    """Texts (and types, where they are kept) of the values that a trace holds in each place, by position."""
    trace = {"id": otlp.trace_id(number)}

    def texts(query: str) -> list[Any]:
        return list(store.query(query, trace).result_rows[0])

    attributes, kinds, resource, events = texts(
        "SELECT attributes, attribute_types, resource, event_attributes[1] FROM spans WHERE trace_id = {id:String}"
    )
    found = dict(zip(attributes, zip(attributes.values(), kinds, strict=True), strict=True))
    found |= {
        row["key"]: (row["value"], row["type"])
        for row in store.rows("SELECT key, value, type FROM contents WHERE trace_id = {id:String}", trace)
    }
    logged, log_kinds = texts(
        "SELECT attributes, attribute_types FROM logs WHERE trace_id = {id:String} AND NOT mapContains(attributes, 'number')"
    )
    bodies = store.query(
        "SELECT body, body_type FROM logs WHERE trace_id = {id:String} AND mapContains(attributes, 'number') ORDER BY toUInt32(attributes['number'])",
        trace,
    ).result_rows
    return {
        "attributes": [found[key] for key in sorted(found)],
        "resource": [(resource[key], "") for key in sorted(resource)],
        "events": [(events[key], "") for key in sorted(events)],
        "log body": [tuple(row) for row in bodies],
        "log attributes": [pair for _, pair in sorted(zip(logged, zip(logged.values(), log_kinds, strict=True), strict=True))],
    }


def requests(values: list[Any], number: int, otlp: Any) -> list[dict[str, Any]]:
    """The values in every place that may hold one."""
    named = {f"key {at:03}": value for at, value in enumerate(values)}
    ids = {"traceId": otlp.trace_id(number), "spanId": otlp.span_id(1)}
    event = {"timeUnixNano": "1", "name": "e", "attributes": otlp.attributes(named)}
    bodies = [otlp.log(value, {"number": at}, **ids) for at, value in enumerate(values)]
    return [
        otlp.traces(otlp.span(1, number, 0, named, events=[event]), resource=named),
        otlp.logs(otlp.log("", named, **ids), *bodies),
    ]


EDGES: list[Any] = [
    [],
    {},
    [[]],
    [{}],
    {"": []},
    {"a": None},
    [None],
    None,
    [[[]], [], {}],
    [math.nan, math.inf, -math.inf],
    {"x": math.nan},
    math.nan,
    math.inf,
    -0.0,
    1e308,
    5e-324,
    [0.1, 1.0, 1e22],
    {"n": [0.1, 1.0, 1e22]},
    2**63 - 1,
    -(2**63),
    [2**63 - 1, -(2**63)],
    {"n": 2**63 - 1},
    "",
    "\x00",
    ["a\x00b", "\x1f\x7f", "\u2028 \U0001f9f6 ‮"],
    {"a\x00b": "c\x00d"},
    b"",
    b"\x00\xff",
    [b"\x00\xff"],
    {"b": b"\x00\xff"},
    [True, False, None, 0, "", 1.5],
    '"}],"kvlistValue":{',
    ['{"arrayValue":{}}', "\\", '"'],
    {"__proto__": {"constructor": ["</script>"]}},
    [["mixed", 1], {"k": [2.5, {"z": None}]}],
]


def test_values_of_every_shape_in_every_place(store: Store, otlp: Any) -> None:
    pairs = [requests(EDGES, number, otlp) for number in (1, 2)]
    assert otlp.take(store, otlp.lines(*pairs[0])).faulty == 0
    for request in pairs[1]:
        assert otlp.take(store, otlp.protobuf(request)).faulty == 0
    from_json, from_protobuf = (everywhere(store, number, otlp) for number in (1, 2))
    for place in TABLES:
        assert list(zip(from_json[place], EDGES, strict=True)) == list(zip(from_protobuf[place], EDGES, strict=True)), place
    for place in ("attributes", "log body", "log attributes"):
        for value, (text, kind) in zip(EDGES, from_json[place], strict=True):
            assert same(read(text, kind), value), f"{value!r} became {text!r} in {place}"
    for value, (text, _), (plainly, _) in zip(EDGES, from_json["attributes"], from_json["resource"], strict=True):
        assert text == plainly, f"{value!r} is {plainly!r} in the resource"
    read_back = span_attributes(store, otlp.trace_id(1), otlp.span_id(1))
    assert all(same(read_back[f"key {at:03}"], value) for at, value in enumerate(EDGES))


def test_any_values_in_every_place(store: Store, otlp: Any) -> None:
    numbers = itertools.count(1)

    @given(st.lists(VALUES, min_size=5, max_size=12))
    @settings(max_examples=10, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # to shrink by whole imports takes minutes
    def check(values: list[Any]) -> None:
        first, second = next(numbers), next(numbers)
        otlp.take(store, otlp.lines(*requests(values, first, otlp)))
        for request in requests(values, second, otlp):
            otlp.take(store, otlp.protobuf(request))
        from_json, from_protobuf = everywhere(store, first, otlp), everywhere(store, second, otlp)
        assert from_json == from_protobuf
        for place in ("attributes", "log body", "log attributes"):
            wrong = [(value, pair) for value, pair in zip(values, from_json[place], strict=True) if not same(read(*pair), value)]
            assert wrong == []

    check()


DEPTH = 5000


@pytest.mark.parametrize("shape", ["lists", "maps"])
def test_five_thousand_levels(store: Store, otlp: Any, shape: str) -> None:
    """Deeper than Python's stack and than protobuf's own limit; the neighbours are kept."""
    if shape == "lists":
        text, message, wanted = '{"intValue":"7"}', b"\x18\x07", "[" * DEPTH + "7" + "]" * DEPTH
        for _ in range(DEPTH):
            text = '{"arrayValue":{"values":[' + text + "]}}"
            message = _field(5, _field(1, message))
    else:
        text, message, wanted = '{"intValue":"7"}', b"\x18\x07", '{"k":' * DEPTH + "7" + "}" * DEPTH
        for _ in range(DEPTH):
            text = '{"kvlistValue":{"values":[{"key":"k","value":' + text + "}]}}"
            message = _field(6, _field(1, _field(1, b"k") + _field(2, message)))
    body = json.dumps(otlp.traces(otlp.span(1, 1, 0, {"deep": "HERE", "flat": 1}), otlp.span(2, 1)))
    encoded = otlp.protobuf(otlp.traces(otlp.span(1, 2, 0, {"flat": 1})))
    deep = otlp.protobuf(otlp.traces(otlp.span(2, 2)))
    key_value = _field(1, b"deep") + _field(2, message)
    span = _field(1, bytes.fromhex(otlp.trace_id(2))) + _field(2, bytes.fromhex(otlp.span_id(3))) + _field(9, key_value)
    deep += _field(1, _field(2, _field(2, span)))
    for data in (body.replace('{"stringValue": "HERE"}', text).encode() + b"\n", encoded + deep):
        taken = otlp.take(store, data)
        assert (taken.faulty, taken.spans) == (0, 2 if data[:1] == b"{" else 3)
    assert store.query("SELECT DISTINCT value FROM contents WHERE key = 'deep'").result_rows == [(wanted,)]
    assert store.value("SELECT count() FROM contents WHERE key = 'deep'") == 2
    assert store.value("SELECT count() FROM spans WHERE attributes['flat'] = '1'") == 2
    assert span_attributes(store, otlp.trace_id(1), otlp.span_id(1))["deep"] == wanted


def _field(number: int, data: bytes) -> bytes:
    length, size = bytearray(), len(data)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + data
