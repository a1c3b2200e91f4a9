"""Bad input costs what is bad and nothing else: a message names the place, neighbours are kept, nothing crashes."""

from __future__ import annotations

import copy
import gzip
import hashlib
import json
import lzma
from typing import Any

import pytest

from clew.errors import MalformedRecord
from clew.observe.query.health import health
from clew.observe.query.runs import runs
from clew.observe.query.search import search
from clew.observe.store.store import Store
from clew.wire.check import check_json
from clew.wire.otlp import MESSAGES, Field, camel

OPTIONAL = {"sender", "arrivalTimeUnixNano", "jsonValue"}


def spans(store: Store) -> dict[int, str]:
    """Number -> name of every span of trace 1."""
    return {int(span, 16): name for span, name in store.query("SELECT span_id, name FROM spans WHERE trace_id LIKE '%01'").result_rows}


def reasons(taken: Any) -> list[tuple[int, str]]:
    return [(fault.line, fault.reason) for fault in taken.faults]


# --- lines and files ---------------------------------------------------------------------------------------------------------------------

BROKEN_LINES = {
    "not JSON": (b"{resourceSpans: []}", "not"),
    "cut off": (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0000', "not JSON"),
    "another thing": (b'{"hello":"world"}', "none of resourceSpans, resourceLogs, resourceMetrics"),
    "a number": (b"17", "none of resourceSpans"),
    "binary": (bytes(range(256)).replace(b"\n", b""), "not JSON"),
    "invalid UTF-8": (
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"%s","spanId":"%s","name":"\xff\xfe"}]}]}]}' % (b"1" * 32, b"1" * 16),
        "UTF-8",
    ),
    "a lone surrogate": (
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"%s","spanId":"%s","name":"\\ud800"}]}]}]}' % (b"1" * 32, b"1" * 16),
        "surrogate",
    ),
    "deep outside of values": (b'{"resourceSpans":' + b"[" * 5000 + b"]" * 5000 + b"}", "not OTLP/JSON"),
    "deep in an unknown field": (b'{"resourceSpans":[],"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deep"),
}


def test_a_broken_line_costs_that_line(store: Store, otlp: Any) -> None:
    good = [otlp.lines(otlp.traces(otlp.span(number))) for number in range(1, len(BROKEN_LINES) + 2)]
    data = b"".join(line + bad + b"\n" for line, (bad, _) in zip(good, BROKEN_LINES.values(), strict=False)) + good[-1]
    taken = otlp.take(store, data)
    assert len(spans(store)) == len(good) == taken.spans
    found = {name: [reason for line, reason in reasons(taken) if line == 2 * at] for at, name in enumerate(BROKEN_LINES, 1)}
    assert {name: len(texts) for name, texts in found.items()} == dict.fromkeys(BROKEN_LINES, 1)
    assert [name for name, (_, part) in BROKEN_LINES.items() if part.lower() not in found[name][0].lower()] == []
    assert all(len(reason) < 300 for _, reason in reasons(taken))


@pytest.mark.parametrize("length", [1, 17, 100, 250])
def test_a_file_that_is_cut_off_gives_what_came_before(store: Store, otlp: Any, length: int) -> None:
    lines = otlp.lines(*(otlp.traces(otlp.span(number)) for number in (1, 2, 3)))
    last = lines.rindex(b'{"resourceSpans"')
    taken = otlp.take(store, lines[: last + length])
    assert set(spans(store)) == {1, 2}
    [(line, reason)] = reasons(taken)
    assert line == 3
    assert "cut off" in reason


def test_spellings_of_a_file_that_are_no_fault(store: Store, otlp: Any) -> None:
    one, two, three, four = (otlp.traces(otlp.span(number)) for number in (1, 2, 3, 4))
    files = {
        "windows": otlp.lines(one).replace(b"\n", b"\r\n") + b"\r\n \t\r\n",
        "pretty": json.dumps(two, indent=2).encode(),
        "byte order mark": b"\xef\xbb\xbf" + otlp.lines(three),
        "no line end": json.dumps(four).encode(),
        "empty": b"",
        "blank": b"\n\n",
        "no spans": b'{"resourceSpans":[]}\n{"resourceSpans":[{}]}\n{"resourceSpans":[{"scopeSpans":[{}]}]}\n{"resourceLogs":null}\n',
    }
    faults = {}
    for name, data in files.items():
        try:
            faults[name] = reasons(otlp.take(store, data))
        except MalformedRecord as error:
            faults[name] = [(0, str(error))]
    assert faults == {name: [] for name in files}
    assert set(spans(store)) == {1, 2, 3, 4}


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress], ids=["gzip", "xz"])
def test_compressed_files_whole_cut_off_and_damaged(store: Store, otlp: Any, compress: Any) -> None:
    def packed(start: int) -> bytes:
        noise = [otlp.span(number, 1, 0, {"noise": hashlib.sha512(b"%d" % number).hexdigest()}) for number in range(start, start + 800)]
        return bytes(compress(otlp.lines(*(otlp.traces(span) for span in noise))))

    whole = packed(1000)
    assert otlp.take(store, whole).spans == 800
    cut = otlp.take(store, packed(2000)[:-2000])
    assert 0 < cut.spans < 800
    assert "damaged or cut off" in cut.faults[-1].reason
    damaged = bytearray(packed(3000))
    damaged[len(damaged) // 2] ^= 0xFF
    taken = otlp.take(store, bytes(damaged))
    assert taken.faulty >= 1
    with pytest.raises(MalformedRecord, match="test is not a readable"):
        otlp.take(store, whole[:14])
    assert len(spans(store)) == 800 + cut.spans + taken.spans


@pytest.mark.parametrize(
    "data", [b"\x7fELF" + bytes(500), b"PK\x03\x04 zip", b"hello\n" * 50, b"<html>", b"[1, 2]"], ids=["elf", "zip", "text", "html", "array"]
)
def test_a_file_of_another_kind_is_named_and_leaves_the_store_as_it_was(store: Store, otlp: Any, data: bytes) -> None:
    with pytest.raises(MalformedRecord, match="test is neither OTLP/JSON lines nor OTLP protobuf"):
        otlp.take(store, data)
    assert store.value("SELECT count() FROM spans") == 0


# --- protobuf ----------------------------------------------------------------------------------------------------------------------------


def test_protobuf_bare_and_framed_traces_and_logs(store: Store, otlp: Any) -> None:
    ids = {"traceId": otlp.trace_id(1), "spanId": otlp.span_id(1)}
    traces, logs = [otlp.protobuf(otlp.traces(otlp.span(n))) for n in (1, 2, 3)], otlp.protobuf(otlp.logs(otlp.log("hello", **ids)))
    assert otlp.take(store, b"".join(traces[:2])).spans == 2
    assert otlp.take(store, otlp.frames([traces[2], logs])).logs == 1
    assert otlp.take(store, gzip.compress(otlp.protobuf(otlp.logs(otlp.log("bare"))))).logs == 1
    assert set(spans(store)) == {1, 2, 3}
    assert {row[0] for row in store.query("SELECT body FROM logs").result_rows} == {"hello", "bare"}


def test_broken_protobuf_keeps_the_neighbours(store: Store, otlp: Any) -> None:
    good = [otlp.protobuf(otlp.traces(otlp.span(n))) for n in (1, 2, 3)]
    broken = b"\x0a\x05\x12\xff\xff\xff\x7f"
    taken = otlp.take(store, otlp.frames([good[0], broken, good[1], b"", good[2][:-3], good[2]]))
    assert set(spans(store)) == {1, 2, 3}
    assert [line for line, _ in reasons(taken)] == [2, 5]
    cut = otlp.take(store, otlp.frames(good)[:-5])
    assert [line for line, _ in reasons(cut)] == [3]
    bare = otlp.take(store, good[0] + good[1][:-5])
    assert (bare.spans, [line for line, _ in reasons(bare)]) == (1, [2])


def test_invalid_utf8_in_protobuf_is_refused_with_the_field(store: Store, otlp: Any) -> None:
    good, bad = otlp.protobuf(otlp.traces(otlp.span(1))), otlp.protobuf(otlp.traces(otlp.span(2))).replace(b"span 2", b"sp\xffn 2")
    taken = otlp.take(store, otlp.frames([good, bad]))
    assert 1 in spans(store)
    assert taken.faulty == 1 or spans(store)[2]


@pytest.mark.parametrize("announced", [2**31, 2**32 - 1])
def test_an_absurd_length_is_damage(store: Store, otlp: Any, announced: int) -> None:
    data = otlp.frames([otlp.protobuf(otlp.traces(otlp.span(1)))]) + announced.to_bytes(4, "big") + b"x"
    if data[0] == 0:
        assert "announced" in otlp.take(store, data).faults[0].reason
    assert set(spans(store)) == {1}


# --- every field with every wrong type ---------------------------------------------------------------------------------------------------

WRONG: dict[str, Any] = {
    "null": None,
    "text": "abc",
    "empty text": "",
    "number text": "7",
    "int": 7,
    "negative": -1,
    "huge": 10**30,
    "float": 1.5,
    "true": True,
    "list": [],
    "list of int": [1],
    "list of null": [None],
    "object": {},
    "object of junk": {"junk": 1},
}


def whole(message: str, otlp: Any, number: int) -> dict[str, Any]:
    """A message with every field that the schema knows."""
    values: dict[str, Any] = {"string": "s", "bool": True, "double": 0.5, "bytes": "AAAA"}
    out: dict[str, Any] = {}
    for field in MESSAGES[message]:
        name = camel(field.name)
        if name in OPTIONAL or (message in ("AnyValue", "Scalar") and name != "stringValue"):
            continue
        inner = whole(field.type, otlp, number) if field.type in MESSAGES else values.get(field.type, 1)
        out[name] = [inner] if field.label == "repeated" else inner
    if "traceId" in out:
        out |= {"traceId": otlp.trace_id(2), "spanId": otlp.span_id(number)}
    if "parentSpanId" in out:
        out["parentSpanId"] = ""
    return out


def places(message: str, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], Field]]:
    """Every field of a request, by its path in ``whole``."""
    found: list[tuple[tuple[str | int, ...], Field]] = []
    for field in MESSAGES[message]:
        name = camel(field.name)
        if name in OPTIONAL or message == "Scalar":
            continue
        here = (*path, name)
        found.append((here, field))
        if field.type in MESSAGES and message != "AnyValue":
            found += places(field.type, (*here, 0) if field.label == "repeated" else here)
    return found


def put(request: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(request)
    at: Any = changed
    for step in path[:-1]:
        at = at[step]
    if str(path[-1]).endswith("Value"):
        at.clear()
    at[path[-1]] = value
    return changed


@pytest.mark.parametrize("request_name", ["ExportTraceServiceRequest", "ExportLogsServiceRequest"])
def test_wrong_types_in_every_field(store: Store, otlp: Any, request_name: str) -> None:
    """Each is refused with the place, or taken in and harmless; the good neighbours are kept whatever the engine thinks of it."""
    lines, refused, number = [], {}, 0
    for path, _ in places(request_name):
        for name, value in WRONG.items():
            number += 1
            request = put(whole(request_name, otlp, number), path, value)
            line = json.dumps(request).encode() + b"\n"
            try:
                why = "".join(check_json(line).rejected)
            except MalformedRecord as error:
                why = str(error)
            if why:
                refused[number] = (".".join(map(str, path)), name, why)
            lines.append(line)
    assert number > 300
    good = otlp.lines(otlp.traces(otlp.span(1), otlp.span(2)))
    taken = otlp.take(store, good + b"".join(lines) + otlp.lines(otlp.traces(otlp.span(3))))
    assert set(spans(store)) == {1, 2, 3}
    assert {line - 1 for line, _ in reasons(taken)} <= set(refused)  # nothing that was checked is refused by the engine
    assert taken.faulty == len(refused)
    assert not (store.data_dir / "quarantine").exists()
    assert [text for *_, text in refused.values() if not any(word in text for word in ("$", "Value", "neither", "are needed"))] == []
    assert {name for _, name, _ in refused.values()} >= {"object", "list of int", "huge", "float", "text"}
    assert not any(name == "null" and path.count(".") and not path.endswith(("traceId", "spanId")) for path, name, _ in refused.values())
    store.rows("SELECT * FROM spans")
    store.rows("SELECT * FROM logs")


def test_nulls_wherever_protobuf_json_allows_them(store: Store, otlp: Any) -> None:
    span = dict.fromkeys(otlp.span(1)) | {"traceId": otlp.trace_id(1), "spanId": otlp.span_id(1)}
    sparse = otlp.span(2, 1, 0) | {
        "attributes": [{"key": "a", "value": None}, {"key": None, "value": {"stringValue": None}}],
        "status": {"code": None, "message": None},
    }
    sparse["events"] = [{"name": None, "timeUnixNano": None, "attributes": None}]
    sparse["links"] = [{"traceId": None, "spanId": None, "attributes": None}]
    request = {
        "resourceSpans": [
            {"resource": None, "schemaUrl": None, "scopeSpans": [{"scope": None, "spans": [span, sparse]}, {"spans": None}]},
            {"scopeSpans": None},
        ]
    }
    assert otlp.take(store, otlp.lines(request, otlp.traces(otlp.span(3)))).faulty == 0
    assert set(spans(store)) == {1, 2, 3}
    assert store.value(f"SELECT attributes['a'] FROM spans WHERE span_id = '{otlp.span_id(2)}'") == "null"


@pytest.mark.parametrize("field", ["traceId", "spanId"])
@pytest.mark.parametrize("value", ["", "00", "zz" * 16, "0" * 16, "0" * 31, "0" * 32, "0" * 33, None, "AAAAAAAAAAAAAAAAAAAAAA=="])
def test_an_id_that_is_none_costs_its_span_in_json(otlp: Any, field: str, value: Any) -> None:
    checked = check_json(otlp.lines(otlp.traces(otlp.span(1) | {field: value}, otlp.span(2))))
    assert (checked.records, len(checked.rejected)) == (1, 1)
    assert field in checked.rejected[0]


def test_an_id_that_is_no_text_costs_its_request_in_json(otlp: Any) -> None:
    with pytest.raises(MalformedRecord, match="traceId"):
        check_json(otlp.lines(otlp.traces(otlp.span(1) | {"traceId": 7})))


def test_an_id_that_is_none_costs_its_span_in_a_file(store: Store, otlp: Any) -> None:
    bad = [otlp.span(7) | {"traceId": ""}, otlp.span(8) | {"spanId": "00"}, otlp.span(9) | {"traceId": "00" * 17}]
    bad += [otlp.span(10) | {"traceId": "00" * 16}, otlp.span(11) | {"spanId": "00" * 8}]
    document = otlp.traces(otlp.span(1), *bad, otlp.span(2))
    for data in (otlp.protobuf(document), otlp.lines(document)):
        taken = otlp.take(store, data)
        assert (set(spans(store)), taken.spans, taken.faulty) == ({1, 2}, 2, 5)
        assert all("'span " in reason and "are needed" in reason for _, reason in reasons(taken))


def test_ids_in_capitals_are_the_same_ids(store: Store, otlp: Any) -> None:
    otlp.take(store, otlp.lines(otlp.traces(otlp.span(0xABCDEF), otlp.span(0xABCDEF) | {"spanId": otlp.span_id(0xABCDEF).upper()})))
    assert store.query("SELECT span_id FROM spans").result_rows == [(otlp.span_id(0xABCDEF),)]


# --- large, long ago, twice --------------------------------------------------------------------------------------------------------------


def test_a_large_attribute_many_attributes_and_many_events(store: Store, otlp: Any) -> None:
    text = "größe " * 1_800_000
    many = {f"key {number}": number for number in range(100_000)}
    events = [{"name": f"event {number}", "timeUnixNano": str(number)} for number in range(50_000)]
    large = [otlp.span(1, 1, 0, {"input.value": text}), otlp.span(2, 1, 0, many), otlp.span(3, events=events), otlp.span(4)]
    second = [span | {"traceId": otlp.trace_id(2)} for span in large]
    assert otlp.take(store, otlp.lines(otlp.traces(*large))).faulty == 0
    assert otlp.take(store, otlp.protobuf(otlp.traces(*second))).faulty == 0
    for trace in (1, 2):
        key = {"id": otlp.trace_id(trace)}
        assert store.value("SELECT value FROM contents WHERE trace_id = {id:String} AND key = 'input.value'", key) == text
        assert store.value("SELECT max(length(attributes)) FROM spans WHERE trace_id = {id:String}", key) == 100_000
        assert store.value(
            "SELECT sum(toUInt64(v)) FROM spans ARRAY JOIN mapValues(attributes) AS v WHERE trace_id = {id:String} AND span_id LIKE '%2'",
            key,
        ) == sum(many.values())
        assert store.value("SELECT max(length(event_names)) FROM spans WHERE trace_id = {id:String}", key) == 50_000
        assert store.value("SELECT count() FROM spans WHERE trace_id = {id:String}", key) == 4


def test_clocks_that_are_wrong(store: Store, otlp: Any) -> None:
    clocks = {1: (0, 1), 2: (2**64 - 1, 2**64 - 1), 3: (2**63, 2**63 + 5), 4: (10, 5), 5: (1, 2**64 - 1), 6: (otlp.START, otlp.START + 1)}
    wrong = [otlp.span(n) | {"startTimeUnixNano": str(start), "endTimeUnixNano": str(end)} for n, (start, end) in clocks.items()]
    before = otlp.span(7) | {"startTimeUnixNano": "-5"}
    taken = otlp.take(store, otlp.lines(otlp.traces(*wrong), otlp.traces(before), otlp.traces(otlp.span(9))))
    assert (taken.spans, [line for line, _ in reasons(taken)]) == (7, [2])
    assert otlp.take(store, otlp.protobuf(otlp.traces(*(span | {"traceId": otlp.trace_id(2)} for span in wrong)))).faulty == 0
    for trace in (1, 2):
        rows = store.rows(
            "SELECT span_id, start_ns, duration_ns, toString(start_time) AS at FROM spans WHERE trace_id = {id:String} AND span_id NOT LIKE '%9'",
            {"id": otlp.trace_id(trace)},
        )
        found = {int(row["span_id"], 16): (row["start_ns"], row["duration_ns"]) for row in rows}
        assert found[1] == (0, 1)
        assert found[3] == (2**63, 5)
        assert found[4] == (10, 0)
        assert all(duration is None or duration >= 0 for _, duration in found.values())
        assert {number: start for number, (start, _) in found.items()} == {number: start for number, (start, _) in clocks.items()}
    for view in ("spans", "runs", "model_calls", "sessions"):
        store.rows(f"SELECT * FROM {view}")


def conflicts(store: Store) -> int:
    return health(store).conflicts


@pytest.mark.parametrize("encoding", ["json", "protobuf"])
@pytest.mark.parametrize("apart", ["one request", "two requests", "two imports"])
@pytest.mark.parametrize("start", ["the same", "an hour later"])
def test_the_same_ids_with_other_content(store: Store, otlp: Any, encoding: str, apart: str, start: str) -> None:
    """The later one wins, wherever it lies in time, the conflict is counted once, and importing everything again changes nothing."""
    hour = 0 if start == "the same" else 3600 * otlp.SECOND
    first = otlp.span(1, name="first")
    second = otlp.span(1, name="second") | {key: str(int(first[key]) + hour) for key in ("startTimeUnixNano", "endTimeUnixNano")}
    neighbour, same = otlp.span(2), otlp.span(2)
    requests = (
        [otlp.traces(first, neighbour, second, same)]
        if apart == "one request"
        else [otlp.traces(first, neighbour), otlp.traces(same, second)]
    )
    encoded = [otlp.lines(request) if encoding == "json" else otlp.protobuf(request) for request in requests]
    for _ in range(3):
        for data in encoded if apart == "two imports" else [b"".join(encoded)]:
            otlp.take(store, data)
        assert (spans(store), conflicts(store)) == ({1: "second", 2: "span 2"}, 1)
        assert [(hit.name, hit.start_ns) for hit in search(store, "span:0000000000000001").hits] == [
            ("second", otlp.START + otlp.SECOND + hour)
        ]
        [run] = runs(store)
        assert (run.spans, run.run_id) == (2, otlp.trace_id(1))


def test_a_version_that_was_replaced_comes_back_when_it_arrives_last(store: Store, otlp: Any) -> None:
    late = otlp.span(
        1, name="late", startTimeUnixNano=str(otlp.START + 9000 * otlp.SECOND), endTimeUnixNano=str(otlp.START + 9001 * otlp.SECOND)
    )
    early = otlp.span(1, name="early")
    for span in (late, early, late, early, early):
        otlp.take(store, otlp.lines(otlp.traces(span)))
        assert spans(store) == {1: span["name"]}
        assert [hit.name for hit in search(store, "").hits] == [span["name"]]


def test_a_key_that_is_there_twice(store: Store, otlp: Any) -> None:
    twice = [
        *otlp.attributes({"a": "1", "gen_ai.request.model": "x", "input.value": "one"}),
        *otlp.attributes({"a": "2", "gen_ai.request.model": "y", "input.value": "two"}),
    ]
    for data in (
        otlp.lines(otlp.traces(otlp.span(1, attributes=None) | {"attributes": twice})),
        otlp.protobuf(otlp.traces(otlp.span(1) | {"attributes": twice})),
    ):
        assert otlp.take(store, data).faulty == 0
    [row] = store.rows("SELECT attributes, model, contents FROM spans")
    assert row["model"] in ("x", "y")
    assert "a" in row["attributes"]
    assert conflicts(store) == 0
    store.rows("SELECT * FROM contents")


def test_names_of_enums_instead_of_numbers(store: Store, otlp: Any) -> None:
    named = otlp.span(1) | {"kind": "SPAN_KIND_CLIENT", "status": {"code": "STATUS_CODE_ERROR", "message": "no"}}
    numbered = otlp.span(2) | {"kind": 3, "status": {"code": 2, "message": "no"}}
    unknown = otlp.span(3) | {"kind": "SPAN_KIND_MAGIC", "status": {"code": 77}}
    record = otlp.log("x", severityNumber="SEVERITY_NUMBER_WARN2")
    assert otlp.take(store, otlp.lines(otlp.traces(named, numbered, unknown), otlp.logs(record))).faulty == 0
    assert store.query("SELECT status, status_message FROM spans ORDER BY span_id").result_rows == [
        ("error", "no"),
        ("error", "no"),
        ("unset", ""),
    ]
    assert store.value("SELECT uniq(otel_kind) FROM span_records WHERE name != 'span 3'") == 1
    assert store.value("SELECT severity_number FROM logs") == 14
