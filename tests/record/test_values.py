"""Any value costs a bounded amount and none gets out."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import uuid
from collections import OrderedDict, namedtuple
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clew
from clew.record.snapshots import MAX_DEPTH, MAX_ITEMS
from clew.record.span import MAX_ATTRIBUTES, MAX_EVENTS
from clew.record.values import snapshot
from clew.testing import recording

LIMIT = 10_000


class Hostile:
    def __repr__(self) -> str:
        raise ValueError("no repr")

    def __str__(self) -> str:
        raise ValueError("no str")


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: Any = None


class Struct:
    __struct_fields__ = ("a", "b")

    def __init__(self) -> None:
        self.a = 1


class Text(str):
    def __str__(self) -> str:
        raise ValueError


Pair = namedtuple("Pair", "left right")  # what users have

CYCLE: dict[str, Any] = {"n": 1}
CYCLE["self"] = CYCLE


@pytest.mark.parametrize(
    ("value", "recorded"),
    [
        (None, None),
        ("x", "x"),
        (True, True),
        ([1, "a", 0.5], (1, "a", 0.5)),
        ([], "[]"),
        ({}, "{}"),
        ([1, None], "[1,null]"),
        ({"a": {"b": [1, {"c": "é"}]}}, '{"a":{"b":[1,{"c":"é"}]}}'),
        ({1: 2, None: 3, (1, 2): 4}, '{"1":2,"None":3,"(1, 2)":4}'),
        (OrderedDict(a=1), '{"a":1}'),
        (Pair(1, "x"), '{"left":1,"right":"x"}'),
        (Point(1, [Point(2)]), '{"x":1,"y":[{"x":2,"y":null}]}'),
        (Struct(), '{"a":1}'),
        (Color.RED, "red"),
        (datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), "2026-01-02T00:00:00+00:00"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (pathlib.PurePosixPath("/a"), "/a"),
        (b"abc", "abc"),
        (b"\xff", "base64:/w=="),
        ({3}, "[3]"),
        ({"f": float("nan"), "i": float("-inf")}, '{"f":"nan","i":"-inf"}'),
        ({"n": 1 << 80}, '{"n":"1208925819614629174706176"}'),
        (CYCLE, '{"n":1,"self":"<cycle>"}'),
        (ValueError("no"), "ValueError: no"),
        (len, "<builtins.len>"),
        (Text("x"), "x"),
    ],
)
def test_values(value: Any, recorded: Any) -> None:
    assert snapshot(value, LIMIT) == recorded


def test_a_hostile_value_is_named() -> None:
    assert "repr() raised ValueError" in str(snapshot(Hostile(), LIMIT))
    assert "str() raised ValueError" in str(snapshot({Hostile(): 1}, LIMIT))


def test_nothing_lazy_is_consumed() -> None:
    def generate() -> Any:
        yield 1

    async def coroutine() -> None: ...

    class Query:
        def __iter__(self) -> Any:
            raise AssertionError("the database was asked")

        __repr__ = __len__ = __iter__

    lazy, waiting = generate(), coroutine()
    assert snapshot(lazy, LIMIT) == "<generator>"
    assert snapshot({"a": [lazy, map(str, [1]), range(3), Query()]}, LIMIT) == (
        '{"a":["<generator>","<map>","<range>","<' + f"{__name__}.{Query.__qualname__}" + '>"]}'
    )
    assert snapshot(waiting, LIMIT) == "<coroutine>"
    waiting.close()
    assert next(lazy) == 1


def test_pydantic_models_show_their_fields() -> None:
    pydantic = pytest.importorskip("pydantic", reason="not applicable: pydantic is not installed")

    class Model(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        model_config = {"extra": "allow"}  # noqa: RUF012  # as pydantic has it
        a: int
        b: str | None = None

    assert snapshot(Model(a=1, c=2), LIMIT) == '{"a":1,"c":2}'


class Counting(list[int]):
    def __init__(self, items: Any) -> None:
        super().__init__(items)
        self.read = 0


def test_what_is_huge_is_cut_and_says_so() -> None:
    cases = [
        "x" * 10_000_000,
        ["x" * 1_000_000] * 100,
        [0] * 10_000_000,
        {str(n): n for n in range(200_000)},
        [[["a" * 10] * 100] * 100] * 100,
        [{"k": "v" * 100}] * 1_000_000,
    ]
    for case in cases:
        recorded = snapshot(case, 1 << 20)
        assert isinstance(recorded, str)
        assert len(recorded) < (1 << 20) + 20 * MAX_ITEMS
        assert "[cut: " in recorded
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    assert str(snapshot(deep, 1 << 20)).count("[") == MAX_DEPTH
    assert "cut: nested deeper" in str(snapshot(deep, 1 << 20))


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.floats(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_plain_json_is_kept_as_it_is(value: Any) -> None:
    recorded = snapshot({"v": value}, 1 << 20)
    assert isinstance(recorded, str)
    if "nan" not in repr(value) and "inf" not in repr(value):
        assert json.loads(recorded) == json.loads(
            json.dumps({"v": value}), parse_int=lambda n: int(n) if -(1 << 63) <= int(n) < 1 << 64 else n
        )


def test_a_span_holds_so_much_and_counts_the_rest() -> None:
    with recording(value_bytes=1000) as record, clew.tool("t") as span:
        span.set("long", "x" * 5000)
        for n in range(100_000):
            span.set(f"a{n}", n)
        for _ in range(MAX_EVENTS + 5):
            span.event("e")
    found = record.span("t")
    assert found.attributes["long"] == "x" * 1000 + "… [cut: 5000 characters]"
    assert sum(name.startswith("a") for name in found.attributes) == MAX_ATTRIBUTES - 1
    assert len(found.events) == MAX_EVENTS
    line = json.loads(record.lines[-2])["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert line["droppedAttributesCount"] == 100_000 - MAX_ATTRIBUTES + 1
    assert line["droppedEventsCount"] == 5


def test_a_hundred_thousand_keywords() -> None:
    with recording() as record, clew.tool("t", **{f"a{n}": n for n in range(100_000)}):
        pass
    assert len(record.span("t").attributes) == MAX_ATTRIBUTES + 2


def test_many_large_values_on_one_span_are_bounded() -> None:
    with recording(value_bytes=1000) as record, clew.tool("t") as span:
        for n in range(100):
            span.set(f"a{n}", "x" * 1000)
    assert sum(len(value) for value in record.span("t").attributes.values() if isinstance(value, str)) < 5_000
