"""Questions that name a time or a run do not read the rest of the store: the engine's own plan says which granules it reads."""

from __future__ import annotations

from typing import Any

import pytest

from clew.observe.query.search import condition_of

pytestmark = pytest.mark.needs("chdb", "lark")

HOUR_NS = 3600 * 1_000_000_000


@pytest.fixture
def busy(store: Any, otlp: Any) -> Any:
    """Forty hours with 200 runs of one span each, in one part of the table."""
    spans = [
        otlp.span(number, number, startTimeUnixNano=str(otlp.START + number // 200 * HOUR_NS + number), attributes={"n": number})
        for number in range(1, 8001)
    ]
    otlp.take(store, otlp.lines(otlp.traces(*spans)))
    return store


def granules(store: Any, query: str, parameters: dict[str, Any]) -> tuple[int, int]:
    """How many granules of span_records are read, and of how many."""
    plan = [line for (line,) in store.query(f"EXPLAIN indexes = 1 {query}", parameters).result_rows]
    at = next(number for number, line in enumerate(plan) if "ReadFromMergeTree" in line and "span_records" in line)
    counts = [line.split("Granules: ")[1] for line in plan[at:] if "Granules: " in line and "/" in line]
    pairs = [tuple(map(int, count.split("/"))) for count in counts]
    return min(read for read, _ in pairs), max(of for _, of in pairs)


@pytest.mark.parametrize(
    "text", ["start:2025-10-10T05:53 kind:other", "since:2025-10-10T23:00", "start:2025-10-09T10:00..2025-10-09T12:00 span"]
)
def test_a_filter_with_a_time_reads_that_time(busy: Any, text: str) -> None:
    condition = condition_of(busy, text)
    read, of = granules(busy, f"SELECT count() FROM span_records WHERE {condition.sql}", condition.parameters)
    assert of >= 7
    assert read <= 2
    open_ = condition_of(busy, "kind:other")
    assert granules(busy, f"SELECT count() FROM span_records WHERE {open_.sql}", open_.parameters) == (of, of)


def test_a_page_after_a_cursor_reads_what_comes_after_it(busy: Any, otlp: Any) -> None:
    from clew.observe.query.search import AFTER

    given = {"at_ns": otlp.START + HOUR_NS, "at_span": "", "at_trace": ""}
    read, of = granules(busy, f"SELECT count() FROM span_records WHERE {AFTER}", given)
    assert (read <= 2, of >= 7) == (True, True)


def test_one_run_is_read_by_its_time(busy: Any, otlp: Any) -> None:
    from clew.observe.query.runs import places
    from clew.observe.query.structure import SPANS

    trace_id = otlp.trace_id(4000)
    read, of = granules(busy, SPANS, {"trace": trace_id, **places(busy, [trace_id]), "ask": 10})
    assert (read <= 2, of >= 7) == (True, True)
