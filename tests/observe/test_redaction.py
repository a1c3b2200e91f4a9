"""What any program sends is masked before it is stored, when that is turned on, by the rules that the recorder has. The cases are the
recorder's."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from clew.observe.store import redaction
from clew.observe.store.store import Store
from clew.wire.redaction import MASK, redact_text

_spec = importlib.util.spec_from_file_location("recorder_cases", Path(__file__).parents[1] / "wire" / "test_redaction.py")
assert _spec is not None
assert _spec.loader is not None
recorder = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(recorder)

A = recorder.A


def cases(test: Any) -> list[Any]:
    return list(test.pytestmark[0].args[1])


def ask(store: Store, expression: str, texts: list[str]) -> list[Any]:
    """The expression over ``t`` for each text."""
    query = f"SELECT {expression} AS r FROM (SELECT arrayJoin(arrayEnumerate({{texts:Array(String)}})) AS n, {{texts:Array(String)}}[n] AS t) ORDER BY n"
    return [row[0] for row in store.query(query, {"texts": texts}).result_rows]


def test_the_rules_are_those_of_the_recorder(store: Store) -> None:
    wrapped = [
        (next(part for part in secret.split("\n") if not part.startswith("-----"))[6:], text)
        for secret in recorder.SECRETS.values()
        for text in (secret, f"use {secret} please", f"key={secret}", json.dumps({"a": json.dumps([secret])}))
    ]
    for (body, text), clean in zip(wrapped, ask(store, redaction.clean("t"), [text for _, text in wrapped]), strict=True):
        assert MASK in clean, text
        assert body not in clean, text
    pairs = cases(recorder.test_a_secret_under_a_telling_name_is_masked_in_text)
    for (_, expected), clean in zip(pairs, ask(store, redaction.clean("t"), [text for text, _ in pairs]), strict=True):
        if expected.startswith('{"') and expected.endswith(
            "}"
        ):  # the recorder writes JSON anew, and masks each member of a list; here the text around stays
            value = json.loads(expected)
            assert json.loads(clean) == ({"credentials": [MASK]} if "credentials" in value else value)
        else:
            assert clean == expected
    harmless = cases(recorder.test_what_only_looks_like_a_secret_is_left_alone)
    assert ask(store, redaction.clean("t"), harmless) == harmless
    names = cases(recorder.test_names_that_hold_secrets)
    assert ask(store, redaction.is_secret_name("t"), [name for name, _ in names]) == [secret for _, secret in names]
    inner = json.dumps({"api_key": 'a"b\\', "q": "x"})
    [clean] = ask(store, redaction.clean("t"), [json.dumps({"arguments": inner})])
    assert json.loads(json.loads(clean)["arguments"]) == {"api_key": MASK, "q": "x"}
    once = ask(store, redaction.clean("t"), [text for text, _ in pairs])
    assert ask(store, redaction.clean("t"), once) == once


def send(store: Store, otlp: Any) -> None:
    secrets = {"api_key": "k1-hidden", "n": f"use sk-{A}", "password": 12345, "token": 5, "long": f"PASSWORD=k2-hidden {'x' * 300}"}
    span = otlp.span(
        1,
        1,
        0,
        secrets | {"gen_ai.input.messages": '{"password": "k3-hidden"}', "authorization": ["k4-hidden"], "m": {"apiKey": "k5-hidden"}},
        events=[{"timeUnixNano": "1", "name": "e", "attributes": otlp.attributes({"secret": "k6-hidden"})}],
        links=[{"traceId": otlp.trace_id(2), "spanId": otlp.span_id(2), "attributes": otlp.attributes({"cookie": "k7-hidden"})}],
        status={"code": 2, "message": "postgres://u:k8-hidden@db"},
    )
    resource = {"service.name": "program", "db.password": "k9-hidden"}
    log = otlp.log("Authorization: Bearer k10-hidden", {"jwt": "k11-hidden"})
    point = {"timeUnixNano": "5", "asDouble": 1.0, "attributes": otlp.attributes({"auth": "k12-hidden"})}
    metric = {"resourceMetrics": [{"resource": {}, "scopeMetrics": [{"metrics": [{"name": "m", "gauge": {"dataPoints": [point]}}]}]}]}
    otlp.take(store, otlp.lines(otlp.traces(span, resource=resource), otlp.logs(log, resource=resource), metric))
    otlp.take(store, otlp.frames([otlp.protobuf(otlp.traces(span | {"spanId": otlp.span_id(7)}, resource=resource))]))


EVERYTHING = (
    "SELECT * FROM spans ORDER BY span_id",
    "SELECT * FROM span_records ORDER BY span_id",
    "SELECT * FROM payloads",
    "SELECT * FROM logs",
    "SELECT * FROM points",
)


def everything(store: Store) -> str:
    return str([store.query(query).result_rows for query in EVERYTHING])


def test_no_table_gets_to_see_a_secret_and_the_rest_is_as_it_was_sent(tmp_path: Path, otlp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_REDACT_INGEST", "1")
    with Store.open(tmp_path) as store:
        send(store, otlp)
        seen = everything(store)
        assert "hidden" not in seen
        assert A not in seen
        [attributes] = store.query("SELECT DISTINCT attributes FROM spans").result_rows[0]
        assert {key: attributes[key] for key in ("api_key", "n", "password", "token")} == {
            "api_key": MASK,
            "n": f"use {MASK}",
            "password": MASK,
            "token": "5",
        }
        assert store.value("SELECT DISTINCT status_message FROM spans") == f"postgres://u:{MASK}@db"
        assert store.value("SELECT body FROM logs") == redact_text("Authorization: Bearer k10-hidden")
    monkeypatch.delenv("CLEW_REDACT_INGEST")
    with Store.open(tmp_path) as store:  # it stays on for this directory
        otlp.take(store, otlp.lines(otlp.traces(otlp.span(1, 5, 0, {"password": "hidden"}))))
        assert "hidden" not in everything(store)
    monkeypatch.setenv("CLEW_REDACT_INGEST", "0")
    with Store.open(tmp_path) as store:
        otlp.take(store, otlp.lines(otlp.traces(otlp.span(1, 6, 0, {"password": "hidden"}))))
        assert "hidden" in everything(store)


def test_it_is_off_at_first(store: Store, otlp: Any) -> None:
    send(store, otlp)
    assert all(f"k{number}-hidden" in everything(store) for number in range(1, 13))
