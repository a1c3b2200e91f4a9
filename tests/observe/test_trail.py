"""Real traces of two agents (TRAIL): what goes in comes out, to the token, the byte and the cent."""

from __future__ import annotations

import json
import lzma
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from clew.observe.ingest.files import import_file
from clew.observe.query.costs import costs
from clew.observe.query.traces import contents
from clew.observe.store.store import Store

SharedData = Callable[[str], Path]

FILES = tuple(f"trail/{agent}.{signal}.otlp.jsonl.xz" for agent in ("gaia", "swe_bench") for signal in ("traces", "logs"))
LOGS = {"trail/gaia.logs.otlp.jsonl.xz": 148, "trail/swe_bench.logs.otlp.jsonl.xz": 15}

COUNTS = """SELECT count() AS spans, uniqExact(trace_id) AS traces, countIf(status = 'error') AS errors, countIf(state != 'ended') AS not_ended,
    countIf(kind = 'llm') AS llm, countIf(kind = 'tool') AS tool, countIf(kind = 'agent') AS agent, countIf(kind = 'node') AS node,
    countIf(kind = 'other') AS other FROM spans WHERE service IN {services:Array(String)}"""
CALLS = """SELECT count() AS calls, countIf(usage_source != 'missing') AS with_usage, sum(input_tokens) AS input, sum(output_tokens) AS output,
    sum(cost_usd) AS cost_usd, arraySort(groupUniqArrayIf(cost_source, usage_source != 'missing')) AS sources, groupUniqArray(kind) AS kinds,
    arraySort(groupUniqArray(model)) AS models FROM model_calls WHERE service IN {services:Array(String)}"""


class Expected(NamedTuple):
    """What the README of the test data says."""

    spans: dict[str, int]
    calls: dict[str, Any]


EXPECTED = {
    "gaia": Expected(
        {"spans": 911, "traces": 37, "errors": 75, "not_ended": 0, "llm": 381, "tool": 134, "agent": 56, "node": 192, "other": 148},
        {
            "calls": 381,
            "with_usage": 380,
            "input": 1_884_082,
            "output": 357_419,
            "cost_usd": pytest.approx(3.6451338, abs=1e-6),
            "sources": ["computed"],
            "kinds": ["llm"],
            "models": ["", "o3-mini"],
        },
    ),
    "swe_bench": Expected(
        {"spans": 225, "traces": 8, "errors": 20, "not_ended": 0, "llm": 99, "tool": 5, "agent": 7, "node": 99, "other": 15},
        {
            "calls": 99,
            "with_usage": 97,
            "input": 1_622_036,
            "output": 44_953,
            "cost_usd": pytest.approx(5.540403, abs=1e-6),
            "sources": ["computed"],
            "kinds": ["llm"],
            "models": ["", "anthropic/claude-3-7-sonnet-latest"],
        },
    ),
}


class Source(NamedTuple):
    """The files as they are, read without any part of the program under test."""

    spans: dict[tuple[str, str], dict[str, Any]]
    services: dict[str, list[str]]
    bytes: int


@pytest.fixture(scope="module")
def source(shared_data: SharedData) -> Source:
    spans: dict[tuple[str, str], dict[str, Any]] = {}
    services: dict[str, set[str]] = {}
    size = 0
    for name in FILES:
        text = lzma.decompress(shared_data(name).read_bytes())
        size += len(text)
        for line in text.splitlines() if "traces" in name else ():
            for group in json.loads(line)["resourceSpans"]:
                attributes = {item["key"]: item["value"]["stringValue"] for item in group["resource"]["attributes"]}
                services.setdefault(name.split("/")[1].split(".")[0], set()).add(attributes["service.name"])
                for scope in group["scopeSpans"]:
                    spans |= {(span["traceId"], span["spanId"]): span | {"resource": attributes} for span in scope["spans"]}
    return Source(spans, {name: sorted(found) for name, found in services.items()}, size)


@pytest.fixture(scope="module")
def filled(shared_data: SharedData, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(tmp_path_factory.mktemp("trail")) as store:
        for name in FILES:
            taken = import_file(store, shared_data(name))
            assert (taken.faulty, taken.logs) == (0, LOGS.get(name, 0))
        yield store


def picture(store: Store) -> dict[str, Any]:
    """Everything that the public views say, but for when and from where it arrived; floats summed in any order."""
    found: dict[str, Any] = {}
    for view, skipped in {
        "spans": "sender, arrival_time",
        "logs": "sender",
        "runs": "partial_cost_usd, cost_usd",
        "sessions": "first_time",
        "model_calls": "start_time",
        "tool_calls": "start_time",
        "messages": "parts",
        "contents": "type",
    }.items():
        found[view] = store.value(f"SELECT (count(), groupBitXor(cityHash64(*))) FROM (SELECT * EXCEPT ({skipped}) FROM {view})")
    found["cost"] = pytest.approx(store.value("SELECT sum(cost_usd) FROM runs"))
    found["conflicts"] = store.value("SELECT count() FROM conflicts FINAL")
    return found


@pytest.mark.parametrize("agent", EXPECTED)
def test_counts_tokens_and_cost_are_those_of_the_data(filled: Store, source: Source, agent: str) -> None:
    services = {"services": source.services[agent]}
    assert filled.rows(COUNTS, services) == [EXPECTED[agent].spans]
    assert filled.rows(CALLS, services) == [EXPECTED[agent].calls]


def test_both_files_together(filled: Store) -> None:
    found = costs(filled, by="model")
    assert (found.total.calls, found.total.calls_with_usage, found.total.input_tokens, found.total.output_tokens) == (
        480,
        477,
        1_884_082 + 1_622_036,
        357_419 + 44_953,
    )
    assert found.total.partial_cost_usd == pytest.approx(9.1855368, abs=1e-6)
    assert filled.value("SELECT sum(spans) FROM runs") == 1136
    assert filled.value("SELECT count() FROM conflicts FINAL") == 0  # the span that is there twice is the same twice


def test_a_run_with_a_call_without_usage_has_no_total_and_says_what_is_known(filled: Store) -> None:
    rows = filled.rows("SELECT cost_usd, partial_cost_usd, unpriced_models FROM runs WHERE calls_with_usage < model_calls")
    assert len(rows) == 3
    assert {(row["cost_usd"], tuple(row["unpriced_models"])) for row in rows} == {(None, ())}
    assert all(row["partial_cost_usd"] > 0 for row in rows)
    whole = filled.rows("SELECT cost_usd, partial_cost_usd FROM runs WHERE calls_with_usage = model_calls AND model_calls > 0")
    assert all(row["cost_usd"] == row["partial_cost_usd"] > 0 for row in whole)


def test_agent_spans_repeat_tokens_that_are_not_added(filled: Store, source: Source) -> None:
    repeated = {
        agent: filled.value(
            "SELECT sum(input_tokens) FROM spans WHERE kind = 'agent' AND service IN {services:Array(String)}", {"services": s}
        )
        for agent, s in source.services.items()
    }
    assert repeated == {"gaia": 1_378_210, "swe_bench": 1_342_384}
    assert filled.value("SELECT count() FROM model_calls WHERE kind = 'agent'") == 0


def test_log_records_keep_their_trace_and_span(filled: Store, source: Source) -> None:
    rows = filled.rows("SELECT trace_id, span_id, body, body_type FROM logs")
    assert len(rows) == 163
    assert all((row["trace_id"], row["span_id"]) in source.spans for row in rows)
    assert {row["body_type"] for row in rows} == {"json"}
    assert all(set(json.loads(row["body"])) >= {"function.name", "function.arguments"} for row in rows)


MESSAGE = re.compile(r"llm\.(input|output)_messages\.(\d+)\.message\.content")


def test_every_attribute_is_read_back_byte_for_byte(filled: Store, source: Source) -> None:
    wanted = {ids: {item["key"]: item["value"]["stringValue"] for item in span["attributes"]} for ids, span in source.spans.items()}
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in filled.rows("SELECT trace_id, span_id, attributes, attribute_types FROM spans"):
        assert set(row["attribute_types"]) <= {"string"}
        found[row["trace_id"], row["span_id"]] = dict(row["attributes"])
    content = 0
    for row in filled.rows("SELECT trace_id, span_id, key, type, value FROM contents"):
        attributes = found[row["trace_id"], row["span_id"]]
        assert row["type"] == "string"
        assert row["key"] not in attributes
        attributes[row["key"]] = row["value"]
        content += 1
    assert found == wanted
    assert content > 9_600


def test_every_message_is_read_back_byte_for_byte(filled: Store, source: Source) -> None:
    wanted: dict[tuple[str, str, str, int], tuple[str, str]] = {}
    for (trace, span), record in source.spans.items():
        attributes = {item["key"]: item["value"]["stringValue"] for item in record["attributes"]}
        for key, text in attributes.items():
            if match := MESSAGE.fullmatch(key):
                role = attributes.get(key.removesuffix("content") + "role", "")
                wanted[trace, span, match[1], int(match[2])] = (role, text)
    rows = filled.rows("SELECT trace_id, span_id, direction, position, role, content FROM messages")
    found = {(row["trace_id"], row["span_id"], row["direction"], row["position"]): (row["role"], row["content"]) for row in rows}
    assert len(wanted) > 5_900
    assert {key: found.get(key) for key in wanted} == wanted
    assert len(found) == len(rows)


def test_content_of_one_span_by_shortened_ids(filled: Store, source: Source) -> None:
    chosen = sorted(source.spans)[:: len(source.spans) // 12]
    for trace, span in chosen:
        attributes = {item["key"]: item["value"]["stringValue"] for item in source.spans[trace, span]["attributes"]}
        texts = contents(filled, trace[:12], span[:12])
        assert texts == {key: attributes[key] for key in texts}
        assert set(texts) >= {key for key in attributes if key in ("input.value", "output.value") or MESSAGE.fullmatch(key)}


def test_names_times_status_parents_and_resources_are_read_back(filled: Store, source: Source) -> None:
    rows = filled.rows(
        "SELECT trace_id, span_id, parent_span_id, name, status, status_message, start_ns, duration_ns, resource, event_names, event_attributes FROM spans"
    )
    codes = {"unset": 0, "ok": 1, "error": 2}
    for row in rows:
        span = source.spans[row["trace_id"], row["span_id"]]
        assert (row["parent_span_id"], row["name"], row["status_message"]) == (
            span["parentSpanId"],
            span["name"],
            span["status"].get("message", ""),
        )
        assert (codes[row["status"]], row["start_ns"]) == (span["status"].get("code", 0), int(span["startTimeUnixNano"]))
        assert row["duration_ns"] == int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])
        assert row["resource"] == span["resource"]
        assert row["event_names"] == [event["name"] for event in span["events"]]
        assert row["event_attributes"] == [
            {item["key"]: item["value"]["stringValue"] for item in event["attributes"]} for event in span["events"]
        ]


def test_importing_again_changes_nothing_in_any_order_and_the_directory_stays_small(
    shared_data: SharedData, source: Source, tmp_path: Path, filled: Store
) -> None:
    """Last of the module: it closes the store that the others read."""
    before = picture(filled)
    for name in FILES:
        import_file(filled, shared_data(name))
    assert picture(filled) == before
    filled.close()
    assert_small(filled.data_dir, source.bytes)

    with Store.open(tmp_path / "other") as other:
        for name in reversed(FILES):
            lines = lzma.decompress(shared_data(name).read_bytes()).splitlines(keepends=True)
            turned = tmp_path / "turned.jsonl"
            turned.write_bytes(b"".join(reversed(lines)))
            import_file(other, turned)
        assert picture(other) == before
    assert_small(other.data_dir, source.bytes)


def assert_small(data_dir: Path, sent: int) -> None:
    """At most 5 % of what was sent, whether directories count (as for ``du -sb``) or not."""
    files = sum(path.lstat().st_size for path in data_dir.rglob("*") if path.is_file())
    everything = files + sum(path.lstat().st_size for path in [data_dir, *data_dir.rglob("*")] if path.is_dir())
    assert files <= everything <= 0.05 * sent, f"{files / sent:.2%}, with directories {everything / sent:.2%} of {sent:,} bytes"
