"""Import of an exported run (wire/bundle.py). What the store has of it already is left as it is, so that importing it again changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from clew.errors import MalformedRecord
from clew.observe.ingest.intake import Intake
from clew.observe.store.store import Store
from clew.wire.bundle import Manifest, any_value
from clew.wire.check import Checked, check_json
from clew.wire.values import parse_json

_SPANS = "SELECT span_id FROM span_records FINAL WHERE trace_id = {trace:String} AND end_ns > 0"
_LOGS = "SELECT span_id, time_ns, event_name, body, toString(body_type) FROM log_records FINAL WHERE trace_id = {trace:String}"


def requests(store: Store, manifest: Manifest, lines: Iterator[tuple[int, bytes]], intake: Intake) -> Iterator[tuple[int, Checked]]:
    """The requests of a bundle's lines, without the spans and log records that the store has. A broken line costs that line."""
    known = _Known(store, manifest.run_id)
    number = 1
    for number, line in lines:
        try:
            rest = known.without(parse_json(line))
            if rest is not None:
                yield number, check_json(rest)
        except MalformedRecord as error:
            intake.fault(number, str(error))
    expected = manifest.spans + manifest.logs
    if known.seen < expected:
        intake.fault(number + 1, f"the file ends early or is damaged: {known.seen} of {expected} spans and log records can be read")


class _Known:
    """What the store has of one run."""

    def __init__(self, store: Store, trace_id: str) -> None:
        given = {"trace": trace_id}
        self._trace_id = trace_id
        self.seen = 0
        """Records of the requests so far, known ones included."""
        self._spans = {span_id for (span_id,) in store.query(_SPANS, given).result_rows}
        self._logs = {
            (span_id, time_ns, event, _text(any_value(body, kind)))
            for span_id, time_ns, event, body, kind in store.query(_LOGS, given).result_rows
        }

    def without(self, request: Any) -> bytes | None:
        """The request without what is known; None when nothing is left of it."""
        if not isinstance(request, dict):
            raise MalformedRecord("this line is no request")
        left = 0
        for group, scopes, records, is_known in (
            ("resourceSpans", "scopeSpans", "spans", self._has_span),
            ("resourceLogs", "scopeLogs", "logRecords", self._has_log),
        ):
            for scope in _each(request, group, scopes):
                self.seen += len(_list(scope, records))
                scope[records] = [record for record in _list(scope, records) if not is_known(record)]
                left += len(scope[records])
        return msgspec.json.encode(request) if left else None

    def _has_span(self, span: Any) -> bool:
        return isinstance(span, dict) and span.get("traceId") == self._trace_id and span.get("spanId") in self._spans

    def _has_log(self, record: Any) -> bool:
        if not self._logs or not isinstance(record, dict) or record.get("traceId") != self._trace_id:
            return False
        time_ns = str(record.get("timeUnixNano"))
        return time_ns.isdigit() and (record.get("spanId"), int(time_ns), record.get("eventName"), _text(record.get("body"))) in self._logs


def _text(body: Any) -> bytes:
    return msgspec.json.encode(body, order="deterministic")


def _each(request: dict[str, Any], group: str, scopes: str) -> Iterator[dict[str, Any]]:
    for resource in _list(request, group):
        for scope in _list(resource, scopes):
            if isinstance(scope, dict):
                yield scope


def _list(value: Any, key: str) -> list[Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def price(store: Store, manifest: Manifest) -> None:
    """Gives the models that have no price here the one of the bundle, until the price data here is another."""
    rows = store.query(
        "SELECT provider, request_model, response_model, fingerprint FROM prices FINAL WHERE empty(flat) AND empty(rules)"
    ).result_rows
    unpriced = {(provider, request, response): fingerprint for provider, request, response, fingerprint in rows}
    store.insert_rows(
        "prices",
        ("provider", "request_model", "response_model", "resolved_ns", "matched", "source", "fingerprint", "flat", "rules"),
        [
            (*key, time.time_ns(), one.matched, f"{one.source} (bundle)", unpriced[key], one.flat, [_rule(rule) for rule in one.rules])
            for one in manifest.prices
            if (key := (one.provider, one.request_model, one.response_model)) in unpriced
        ],
    )


def _rule(rule: dict[str, Any]) -> tuple[Any, ...]:
    tiers = [[(tier["above"], tier["usd"]) for tier in tiers] for tiers in rule["per_million"]]
    return (rule["starts_s"], rule["day_from_s"], rule["day_to_s"], tiers)
