"""A filter as SQL: parameters hold all that the user wrote, and the engine finds what a reader of the filter would."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.errors import FilterError
from clew.observe.query.filter import parse
from clew.observe.query.filter_sql import AttributeKind, AttributeOperator, Bind, Condition, Field, compile
from clew.observe.query.filter_values import span_of_time_ns

pytestmark = pytest.mark.needs("lark")

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
FIELDS = {
    field.name: field
    for field in (
        Field("name", "name", "text"),
        Field("model", "model", "text"),
        Field("status", "status", "enum", ("ok", "error", "unset")),
        Field("tokens", "tokens", "number"),
        Field("cost", "cost", "usd"),
        Field("duration", "duration_ns", "duration_ns"),
        Field("start", "start_ns", "time"),
    )
}


def text(text: str, is_phrase: bool, bind: Bind) -> str:
    return f"{'hasPhrase' if is_phrase else 'hasToken'}(body, {bind('String', text)})"


def attribute(key: str, operator: AttributeOperator, value: str | None, kind: AttributeKind | None) -> str:
    return f"attribute[{key}] {operator} {kind} {value}"


def sql(filter_: str) -> tuple[str, list[Any]]:
    found = compile(parse(filter_), FIELDS, now=NOW, text=text, attribute=attribute)
    return found.sql, list(found.parameters.values())


DAY = 86_400_000_000_000
JANUARY_1 = 1_767_225_600_000_000_000
NOW_NS = JANUARY_1 + 9 * DAY + DAY // 2

COMPILED: dict[str, tuple[str, list[Any]]] = {
    "": ("1", []),
    "merge": ("hasToken(body, {p0:String})", ["merge"]),
    '"merge conflict"': ("hasPhrase(body, {p0:String})", ["merge conflict"]),
    "status:error": ("status = {p0:String}", ["error"]),
    "model:gpt-4o*": ("model LIKE {p0:String}", ["gpt-4o%"]),
    r"model:50%_\*": ("model LIKE {p0:String}", [r"50\%\_\\%"]),
    'model:"a*"': ("model = {p0:String}", ["a*"]),
    "model:(a,b*)": ("(model = {p0:String} OR model LIKE {p1:String})", ["a", "b%"]),
    "model:*": ("ifNull(model, '') != ''", []),
    "cost:*": ("isNotNull(cost)", []),
    "-cost:>1": ("NOT ifNull(cost > {p0:Float64}, 0)", [1.0]),
    "cost:>$0.05": ("cost > {p0:Float64}", [0.05]),
    "cost:0.1..0.2": ("(cost >= {p0:Float64} AND cost <= {p1:Float64})", [0.1, 0.2]),
    "cost:0.1..": ("cost >= {p0:Float64}", [0.1]),
    "tokens:>=10k": ("tokens >= {p0:Float64}", [10_000.0]),
    "tokens:..2KiB": ("tokens <= {p0:Float64}", [2048.0]),
    "duration:>2s": ("duration_ns > {p0:Int64}", [2_000_000_000]),
    "duration:1h30m": ("duration_ns = {p0:Int64}", [5_400_000_000_000]),
    "duration:<1.5ms": ("duration_ns < {p0:Int64}", [1_500_000]),
    "start:2026-01-01": ("(start_ns >= {p0:Int64} AND start_ns <= {p1:Int64})", [JANUARY_1, JANUARY_1 + DAY - 1]),
    "start:2026-01..2026-02": ("(start_ns >= {p0:Int64} AND start_ns <= {p1:Int64})", [JANUARY_1, JANUARY_1 + 59 * DAY - 1]),
    "start:>2026-01-01": ("start_ns > {p0:Int64}", [JANUARY_1 + DAY - 1]),
    "start:>=2026-01-01": ("start_ns >= {p0:Int64}", [JANUARY_1]),
    "start:<2026-01-01": ("start_ns < {p0:Int64}", [JANUARY_1]),
    "start:<=2026-01-01": ("start_ns <= {p0:Int64}", [JANUARY_1 + DAY - 1]),
    "start:>=2026-01-01T01:00+01:00": ("start_ns >= {p0:Int64}", [JANUARY_1]),
    "start:>=-1h": ("start_ns >= {p0:Int64}", [NOW_NS - DAY // 24]),
    "start:today": ("(start_ns >= {p0:Int64} AND start_ns <= {p1:Int64})", [JANUARY_1 + 9 * DAY, JANUARY_1 + 10 * DAY - 1]),
    "start:<yesterday": ("start_ns < {p0:Int64}", [JANUARY_1 + 8 * DAY]),
    "since:1h": ("start_ns >= {p0:Int64}", [NOW_NS - DAY // 24]),
    "since:2026-01-01": ("start_ns >= {p0:Int64}", [JANUARY_1]),
    "@k:x": ("attribute[{p0:String}] = text {p1:String}", ["k", "x"]),
    "@k:5": ("(attribute[{p0:String}] = text {p1:String} OR attribute[{p0:String}] = number {p2:Float64})", ["k", "5", 5.0]),
    '@k:"5"': ("attribute[{p0:String}] = text {p1:String}", ["k", "5"]),
    "@k:true": ("(attribute[{p0:String}] = text {p1:String} OR attribute[{p0:String}] = bool {p2:Bool})", ["k", "true", True]),
    "@k:a*": ("attribute[{p0:String}] like text {p1:String}", ["k", "a%"]),
    "@k:*": ("attribute[{p0:String}] present None None", ["k"]),
    "@k:1..2": ("(attribute[{p0:String}] >= number {p1:Float64} AND attribute[{p0:String}] <= number {p2:Float64})", ["k", 1.0, 2.0]),
    "status:ok OR -merge (cost:<1 a)": (
        "(status = {p0:String} OR (NOT ifNull(hasToken(body, {p1:String}), 0) AND cost < {p2:Float64} AND hasToken(body, {p3:String})))",
        ["ok", "merge", 1.0, "a"],
    ),
}


@pytest.mark.parametrize("filter_", COMPILED)
def test_a_filter_becomes_a_condition_with_parameters(filter_: str) -> None:
    assert sql(filter_) == COMPILED[filter_]


def test_from_a_quarter_of_an_hour_on_a_time_before_now_begins_a_minute() -> None:
    at = NOW + timedelta(seconds=30)
    second = 10**9
    found = {text: span_of_time_ns(text, at) for text in ("-14m", "-15m", "-1d")}
    assert found == {
        text: (NOW_NS + seconds * second,) * 2 for text, seconds in {"-14m": 30 - 14 * 60, "-15m": -15 * 60, "-1d": -24 * 3600}.items()
    }


REFUSED: dict[str, tuple[str, int]] = {
    "statsu:error": ("there is no field statsu; did you mean status?", 0),
    "a zzzz:1": ("there is no field zzzz; there are cost, duration, model, name, start, status, tokens", 2),
    "http://a": ("there is no field http", 0),
    "status:eror": ("status is never 'eror'; did you mean error?", 7),
    "status:zzzzz": ("status is never 'zzzzz'; expected one of ok, error, unset", 7),
    "name:>a": ("name is text and has no order; write name:value or name:val*", 0),
    "name:../x": ("name is text and has no range; quote a value that holds two dots", 0),
    "duration:>2": ("'2' is no duration; write a number and a unit (ns, us, µs, ms, s, m, h, d, w), as in 2s", 10),
    "duration:1s2": ("'1s2' is no duration", 9),
    "duration:999999999999h": ("'999999999999h' is no duration", 9),
    "cost:cheap": ("'cheap' is no number; write one as in 0.05 or 10k", 5),
    "cost:nan": ("'nan' is no number", 5),
    "tokens:1e999": ("'1e999' is no number", 7),
    "tokens:5q": ("'5q' is no number", 7),
    "start:>soon": ("'soon' is no time; write one as in 2026-01-31, 2026-01-31T15:30, today or -1h (an hour ago)", 7),
    "start:2026-02-30": ("'2026-02-30' is no time", 6),
    "start:9999-12-31": ("'9999-12-31' is no time", 6),
    "start:-99999999h": ("'-99999999h' is no time", 6),
    "since:>1h": ("since takes one time, as in since:1h or since:2026-01-31", 0),
    "@k:>x": ("'x' is no number, and attributes are compared as numbers", 4),
}


@pytest.mark.parametrize("filter_", REFUSED)
def test_what_does_not_exist_is_pointed_at(filter_: str) -> None:
    message, position = REFUSED[filter_]
    with pytest.raises(FilterError) as refused:
        sql(filter_)
    assert str(refused.value).startswith(message)
    assert refused.value.position == position
    assert f"\n  {filter_}\n" in str(refused.value)


_pieces = st.sampled_from(
    ["status:", "name:", "cost:", "start:", "duration:", "since:", "@k:", "tokens:", " ", "-", "(", ")", "..", ">", "<=", "*", ",", '"']
)


@given(st.lists(_pieces | st.text(max_size=6), max_size=12).map("".join))
def test_any_text_becomes_a_condition_or_a_filter_error(filter_: str) -> None:
    try:
        found = compile(parse(filter_), FIELDS, now=NOW, text=text, attribute=attribute)
    except FilterError:
        return
    assert sorted(found.parameters) == sorted(f"p{n}" for n in range(len(found.parameters)))
    assert all(-(2**63) <= value < 2**63 for value in found.parameters.values() if isinstance(value, int))


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_what_the_user_wrote_is_never_in_the_sql(words: str) -> None:
    quoted = '"' + words.replace("\\", "\\\\").replace('"', '\\"') + '"'
    expected = sql('name:"x" @"y":"z"')[0]
    assert sql(f"name:{quoted} @{quoted}:{quoted}") == (expected, [words, words, words])


# In the engine -----------------------------------------------------------------------------------------------------------------------------

ROWS: list[dict[str, Any]] = [
    {"id": 1, "name": "plan", "model": "gpt-4o-mini", "status": "ok", "tokens": 10, "cost": 0.01, "duration_ns": 10**9, "start_ns": JANUARY_1},
    {"id": 2, "name": "a_b%c\\d*", "model": "", "status": "error", "tokens": None, "cost": None, "duration_ns": None, "start_ns": JANUARY_1 + DAY},
    {"id": 3, "name": "o'brien\t\"x\"\n{p0}", "model": "claude", "status": "unset", "tokens": 10_000, "cost": 0.5, "duration_ns": 3 * 10**9,
     "start_ns": NOW_NS - 1000},
    {"id": 4, "name": "axb%c\\d*", "model": "GPT-4o", "status": "ok", "tokens": 0, "cost": 0.0, "duration_ns": 0, "start_ns": 0},
]  # fmt: skip

FOUND: dict[str, list[int]] = {
    "": [1, 2, 3, 4],
    "name:plan": [1],
    "name:PLAN": [],
    "model:gpt*": [1],
    "model:*": [1, 3, 4],
    "-model:*": [2],
    r'name:"a_b%c\d*"': [2],
    r"name:a_b*": [2],
    r"name:*%c\d*": [2, 4],
    "name:*'brien*": [3],
    'name:"o\'brien\t\\"x\\"\n{p0}"': [3],
    "name:(plan,axb*)": [1, 4],
    "cost:>0.01": [3],
    "-cost:>0.01": [1, 2, 4],
    "cost:0..0.01": [1, 4],
    "-cost:*": [2],
    "tokens:>=10k": [3],
    "duration:>2s": [3],
    "duration:0": [4],
    "start:2026-01-01": [1],
    "start:>2026-01-01": [2, 3],
    "since:1h": [3],
    "status:error OR (model:claude tokens:10000)": [2, 3],
    "-(status:ok OR status:error)": [3],
}

_SCRIPT = """
import json, sys
import clickhouse_connect

rows, conditions = json.load(sys.stdin)
client = clickhouse_connect.get_client(dsn="chdb://:memory:")
client.command(
    "CREATE TABLE span (id UInt8, name String, model String, status String, tokens Nullable(Int64), cost Nullable(Float64), "
    "duration_ns Nullable(Int64), start_ns Int64) ENGINE = Memory"
)
client.insert("span", [list(row.values()) for row in rows], column_names=list(rows[0]))
json.dump(
    [
        [row[0] for row in client.query(f"SELECT id FROM span WHERE {sql} ORDER BY id", parameters=parameters).result_rows]
        for sql, parameters in conditions
    ],
    sys.stdout,
)
"""


@pytest.mark.needs("chdb", "clickhouse_connect")
def test_the_engine_finds_what_the_filter_says() -> None:
    conditions: list[Condition] = [compile(parse(filter_), FIELDS, now=NOW, text=text, attribute=attribute) for filter_ in FOUND]
    request = json.dumps([ROWS, [(condition.sql, condition.parameters) for condition in conditions]])
    done = subprocess.run([sys.executable, "-c", _SCRIPT], input=request, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert dict(zip(FOUND, json.loads(done.stdout), strict=True)) == FOUND
