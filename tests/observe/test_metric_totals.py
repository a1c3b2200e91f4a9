"""The server's metrics are those of the processes that report: the same figures, each span once, and no counter ever falls."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clew
from clew.errors import StoreError
from clew.model.catalogue import CATALOGUE
from clew.observe.ingest.files import import_file
from clew.observe.ingest.intake import Intake
from clew.observe.query.metrics import reading
from clew.observe.store import totals
from clew.observe.store.store import Store
from clew.record.metrics import derive, live
from clew.testing import recording
from clew.wire.check import check_json

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect")

Shown = dict[tuple[str, tuple[str, ...]], tuple[Any, dict[int, int]]]

OURS = "database_connections"
"""What the server says of itself."""


def shown(figures: Any) -> Shown:
    """Value and slots of every series that is not zero."""
    return {
        (metric.name, labels): (pytest.approx(series.value), {slot: n for slot, n in sorted(series.slots.items()) if n})
        for metric, found in figures
        for labels, series in found
        if (series.value or series.slots) and metric.name != OURS
    }


def of_server(store: Store) -> Shown:
    return shown(reading(store))


def take(store: Store, data: bytes) -> None:
    """Takes in OTLP/JSON lines as a server does."""
    with Intake(store, sender="test", compact=False) as intake:
        for number, line in enumerate(data.splitlines(), 1):
            intake.add(number, check_json(line), "json")


@pytest.fixture
def _process() -> Iterator[None]:
    live.forget()
    derive.start()
    yield
    derive.stop()
    live.forget()


def call(**given: Any) -> Callable[[], None]:
    def run() -> None:
        error = given.get("error")
        with clew.llm("answer", model=given["model"], provider="openai", cache_hit=given.get("cached")) as span:
            if given.get("tokens") is not None:
                span.usage(input_tokens=given["tokens"], output_tokens=given["tokens"] // 3, cache_read_tokens=given["tokens"] // 2)
            if given.get("cost") is not None:
                span.cost(given["cost"])
            if given.get("stream"):
                span.first_chunk()
            if error is not None:
                raise error

    return quiet(run)


def quiet(run: Callable[[], None]) -> Callable[[], None]:
    def inner() -> None:
        with suppress(TimeoutError, ValueError):
            run()

    return inner


def refused() -> None:
    with suppress(clew.BudgetExceeded), clew.budget(calls=0), clew.llm("answer", model="gpt-4o", provider="openai"):
        pass


def inside(kind: str, name: str, steps: list[Callable[[], None]], **attributes: Any) -> Callable[[], None]:
    def run() -> None:
        with clew.span(name, kind=kind, **attributes) as span:  # type: ignore[arg-type]
            for step in steps:
                step()
            if attributes.get("error"):
                span.fail("broken")

    return run


def measure(name: str, how: str, value: float, **labels: str) -> Callable[[], None]:
    return lambda: getattr(clew.metric(name).labels(**labels), how)(value)


names = st.sampled_from(["a", "b", 'Ünïcode "quoted"', "x" * 300])
errors = st.sampled_from([None, TimeoutError("slow"), ValueError("bad")])
calls = st.builds(
    call,
    model=st.sampled_from(["gpt-4o", "gpt-4o-mini", "unknown-model"]),
    tokens=st.one_of(st.none(), st.integers(0, 10**6)),
    cost=st.one_of(st.none(), st.floats(0, 10)),
    cached=st.sampled_from([None, True, False]),
    stream=st.booleans(),
    error=errors,
)
points = st.one_of(
    st.builds(measure, st.just("git_lock_wait_duration_seconds"), st.just("observe"), st.floats(0, 100)),
    st.builds(measure, st.just("memory_operation_duration"), st.just("observe"), st.floats(0, 1e6), operation=names, memory_type=names),
    st.builds(measure, st.just("hitl_escalation_total"), st.just("inc"), st.floats(0, 100), reason=names),
    st.builds(measure, st.just("task_queue_size"), st.sampled_from(["set", "inc", "dec"]), st.floats(-9, 9), priority=names),
    st.builds(measure, st.just("hypertool_persona_token_budget_remaining"), st.just("set"), st.floats(-99, 99), persona=names),
)
spans = st.builds(
    inside,
    st.sampled_from(["agent", "tool", "workflow", "memory", "git", "task", "gate", "node", "embedding", "llm", "other"]),
    st.one_of(names, st.sampled_from(["merge", "checkout", "worktree_add", "resolve"])),
    st.lists(st.one_of(calls, points, st.just(refused)), max_size=3),
    error=st.booleans(),
    **{
        "clew.stage": st.sampled_from(["", "build"]),
        "clew.git.conflicts": st.sampled_from([0, 3]),
        "clew.git.result": st.sampled_from(["", "conflict", "nonsense"]),
        "clew.task.worker_profile": names,
        "clew.task.retries": st.integers(0, 7),
        "gen_ai.usage.input_tokens": st.sampled_from([5, "7", 9.0]),
        "clew.metric.git_merge_duration_seconds": st.floats(0, 200),
    },
)  # fmt: skip


@pytest.mark.usefixtures("_process")
def test_a_process_and_the_server_give_the_same_figures_for_any_program(store: Store, otlp: Any) -> None:
    with recording() as record:
        taken = 0

        @settings(max_examples=6, deadline=None)
        @given(st.lists(st.one_of(spans, calls, points), min_size=1, max_size=5), st.integers(0, 5))
        def check(program: list[Callable[[], None]], seen_at: int) -> None:
            nonlocal taken
            for number, step in enumerate(program):
                step()
                if number == seen_at:  # what is open, and what has been measured, goes out in the middle
                    record.flush()
                    taken = send(taken)
            taken = send(taken)
            assert of_server(store) == shown(live.reading())

        def send(already: int) -> int:
            lines = record.lines
            take(store, b"".join(lines[already:]))
            return len(lines)

        check()
        again = of_server(store)
        take(store, b"".join(record.lines))  # all of it once more
        assert of_server(store) == again


@pytest.mark.usefixtures("_process")
def test_a_refused_call_is_no_model_call_and_hides_none(store: Store) -> None:
    with recording() as record:
        with clew.span("planner", kind="agent", **{"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 1, "clew.cost.usd": 0.5}):
            refused()
        take(store, b"".join(record.lines))
    [(_, calls)] = [(metric, found) for metric, found in live.reading() if metric.name == "clew_model_calls_total"]
    assert sum(series.value for _, series in calls) == 1
    assert of_server(store) == shown(live.reading())


@pytest.mark.usefixtures("_process")
def test_every_derived_metric_is_the_same_on_both_sides(store: Store, otlp: Any) -> None:
    """One span of each derivation, with the attributes that make it count."""
    with recording() as record:
        for metric in CATALOGUE:
            for row in metric.derived:
                if row.take == "active":
                    continue
                given: dict[str, Any] = {name: (values or ("x",))[0] for name, values in row.where.items()}
                given |= {name: 3 for name in row.attributes if "." in name} | {"gen_ai.usage.output_tokens": 2}
                with clew.span("x", kind="llm" if row.kind == "model_call" else row.kind, **given):  # type: ignore[arg-type]
                    pass
        take(store, b"".join(record.lines))
    server, process = of_server(store), shown(live.reading())
    assert server == process
    assert {name for name, _ in process} >= {metric.name for metric in CATALOGUE if metric.derived and metric.type != "gauge"} - {
        "llm_cost_dollars_total"
    }


def counter(store: Store, name: str) -> dict[tuple[str, ...], float]:
    return {labels: series.value for metric, found in reading(store) if metric.name == name for labels, series in found}


def test_a_store_has_no_tables_for_metrics_until_somebody_asks(store: Store, otlp: Any) -> None:
    take(store, otlp.lines(otlp.traces(otlp.span(1, attributes={"clew.span.kind": "tool"}))))
    tables = "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name LIKE '%totals'"
    assert store.value(tables) == 0
    assert counter(store, "tool_usage_total") == {("", "true"): 1}
    assert store.value(tables) == 4


def test_counters_never_fall_by_retention_deletion_repetition_or_correction(store: Store, otlp: Any) -> None:
    def tools(*numbers: int, **fields: Any) -> bytes:
        attributes = {"clew.span.kind": "tool", "gen_ai.tool.name": "search"}
        return bytes(otlp.lines(otlp.traces(*[otlp.span(number, attributes=attributes, **fields) for number in numbers])))

    def seconds() -> float:
        return sum(counter(store, "gen_ai_execute_tool_duration_seconds").values())

    take(store, tools(1, 2, 3))
    assert counter(store, "tool_usage_total") == {("search", "true"): 3}
    take(store, tools(1, 2, 3))
    take(store, tools(3, 4))
    assert counter(store, "tool_usage_total") == {("search", "true"): 4}
    assert seconds() == 4
    take(store, tools(4, endTimeUnixNano=str(otlp.START + 9 * otlp.SECOND)))
    assert seconds() == 4
    assert counter(store, "clew_metric_corrections_total") == {(): 1}
    store.command("DELETE FROM span_records WHERE 1")
    store.command("DELETE FROM settled WHERE 1")
    take(store, tools(5))
    assert counter(store, "tool_usage_total") == {("search", "true"): 5}
    assert counter(store, "clew_metric_corrections_total") == {(): 1}


def test_a_span_counts_when_it_has_ended(store: Store, otlp: Any) -> None:
    attributes = {"clew.span.kind": "agent", "gen_ai.agent.name": "coder"}
    now = time.time_ns()
    times = {"startTimeUnixNano": str(now - 10**9), "endTimeUnixNano": "0"}
    take(store, otlp.lines(otlp.traces(otlp.span(1, attributes=attributes, **times))))
    assert counter(store, "agent_active") == {("coder",): 1}
    assert counter(store, "agent_execution_total") == {}
    take(store, otlp.lines(otlp.traces(otlp.span(1, attributes=attributes, **times | {"endTimeUnixNano": str(now)}))))
    assert counter(store, "agent_active") == {}
    assert counter(store, "agent_execution_total") == {("coder", "success"): 1}


def test_totals_outlive_the_process_that_counted_and_its_death_in_the_middle(
    store: Store, otlp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tool(number: int) -> bytes:
        return bytes(otlp.lines(otlp.traces(otlp.span(number, attributes={"clew.span.kind": "tool", "gen_ai.tool.name": "search"}))))

    take(store, tool(1))
    assert counter(store, "tool_usage_total") == {("search", "true"): 1}
    insert = store.insert_rows

    def dies(table: str, *rest: Any) -> None:
        if table == "metric_totals":
            raise StoreError("killed")
        insert(table, *rest)

    monkeypatch.setattr(store, "insert_rows", dies)
    with pytest.raises(StoreError, match="killed"):
        take(store, tool(2))
    monkeypatch.undo()
    store.totals = None  # as another process finds it
    for number in (2, 3):
        take(store, tool(number))
    assert counter(store, "tool_usage_total") == {("search", "true"): 3}
    store.totals = None
    assert counter(store, "tool_usage_total") == {("search", "true"): 3}


def test_a_beginning_that_was_cut_short_is_made_up_for(store: Store, otlp: Any) -> None:
    take(store, otlp.lines(otlp.traces(otlp.span(1, attributes={"clew.span.kind": "tool", "gen_ai.tool.name": "search"}))))
    store.make("totals")  # and nothing was counted
    assert totals.of(store) is None
    take(store, otlp.lines(otlp.traces(otlp.span(2, attributes={"clew.span.kind": "tool", "gen_ai.tool.name": "search"}))))
    assert counter(store, "tool_usage_total") == {("search", "true"): 2}


def test_gauges_of_several_processes_add_up_and_those_of_dead_ones_do_not(store: Store, otlp: Any) -> None:
    def gauge(process: str, name: str, value: float, second: int, **labels: str) -> dict[str, Any]:
        point = {"timeUnixNano": str(otlp.START + second * otlp.SECOND), "attributes": otlp.attributes(labels), "asDouble": value}
        resource = {"attributes": otlp.attributes({"service.name": "p", "service.instance.id": process})}
        metrics = [{"name": name, "gauge": {"dataPoints": [point]}}]
        return {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"scope": {"name": "clew"}, "metrics": metrics}]}]}

    take(
        store,
        otlp.lines(
            gauge("one", "git_merge_queue_depth", 9, 1),
            gauge("one", "git_merge_queue_depth", 2, 2),
            gauge("two", "git_merge_queue_depth", 3, 1),
            gauge("one", "tasks_by_state", 5, 3, status="active"),
            gauge("two", "tasks_by_state", 4, 4, status="active"),
        ),
    )
    assert counter(store, "git_merge_queue_depth") == {(): 5}
    assert counter(store, "tasks_by_state") == {("active",): 4}
    store.insert_rows("processes", ["process", "ended_ns"], [("two", 1)])
    assert counter(store, "git_merge_queue_depth") == {(): 2}
    assert counter(store, "tasks_by_state") == {("active",): 4}


def test_figures_that_spans_give_are_not_taken_from_points_of_others(store: Store, otlp: Any) -> None:
    """A program with OpenTelemetry's own instrumentation sends both."""
    point = {
        "timeUnixNano": "2",
        "startTimeUnixNano": "1",
        "attributes": [],
        "count": "1",
        "sum": 5.0,
        "explicitBounds": [],
        "bucketCounts": ["1"],
    }
    metric = {"name": "gen_ai.client.operation.duration", "histogram": {"aggregationTemporality": 1, "dataPoints": [point]}}
    request = {"resourceMetrics": [{"scopeMetrics": [{"scope": {"name": "other"}, "metrics": [metric]}]}]}
    take(store, otlp.lines(otlp.traces(otlp.span(1, attributes={"clew.span.kind": "llm"})), request))
    [(_, series)] = [
        found for metric, each in reading(store) if metric.name == "gen_ai_client_operation_duration_seconds" for found in each
    ]
    assert (series.count, series.value) == (1, 1.0)


def test_what_is_beyond_the_bounds_of_a_label_is_counted(store: Store, otlp: Any) -> None:
    spans = [otlp.span(n, attributes={"clew.span.kind": "tool", "gen_ai.tool.name": f"tool {n}"}) for n in range(1, 121)]
    take(store, otlp.lines(otlp.traces(*spans)))
    found = counter(store, "tool_usage_total")
    assert (len(found), found["other", "true"]) == (101, 20)
    assert counter(store, "clew_metric_overflow_total")["tool_usage_total", "tool_name"] == 20
    store.totals = None
    assert counter(store, "clew_metric_overflow_total")["tool_usage_total", "tool_name"] == 20


def test_a_counted_figure_names_its_trace(store: Store, otlp: Any) -> None:
    take(store, otlp.lines(otlp.traces(otlp.span(1, 7, attributes={"clew.span.kind": "tool"}))))
    for _ in range(2):
        [(_, series)] = [
            found for metric, each in reading(store) if metric.name == "gen_ai_execute_tool_duration_seconds" for found in each
        ]
        assert [(one.trace_id, one.value) for one in series.exemplars.values()] == [(otlp.trace_id(7), 1.0)]
        store.totals = None


def test_an_agent_without_a_name_goes_by_that_of_its_span(store: Store, otlp: Any) -> None:
    take(store, otlp.lines(otlp.traces(otlp.span(1, attributes={"openinference.span.kind": "AGENT"}, name="CodeAgent.run"))))
    assert counter(store, "agent_execution_total") == {("CodeAgent.run", "success"): 1}


@pytest.mark.needs("genai_prices")
def test_real_traces_give_the_figures_that_are_known_of_them(store: Store, shared_data: Callable[[str], Path]) -> None:
    import_file(store, shared_data("trail/gaia.traces.otlp.jsonl.xz"), name="gaia")
    assert counter(store, "llm_tokens_total") == {("o3-mini", "prompt"): 1_884_082, ("o3-mini", "completion"): 357_419}
    assert counter(store, "llm_cost_dollars_total") == {("o3-mini", ""): pytest.approx(3.6451338, abs=1e-6)}
    assert counter(store, "clew_model_calls_total") == {("o3-mini", "computed"): 380, ("", "missing"): 1}
    assert sum(counter(store, "tool_usage_total").values()) == 134


def test_a_measured_figure_names_its_trace_too(store: Store) -> None:
    with recording() as record:
        with clew.tool("wait"):
            clew.metric("git_lock_wait_duration_seconds").observe(0.3)
        take(store, b"".join(record.lines))
        trace_id = record.span("wait").trace_id
    [(_, series)] = [found for metric, each in reading(store) if metric.name == "git_lock_wait_duration_seconds" for found in each]
    assert [(one.trace_id, one.value) for one in series.exemplars.values()] == [(trace_id, 0.3)]


def test_the_generated_sql_stays_within_what_the_engine_takes() -> None:
    from clew.observe.store.figures_sql import active, counted

    assert len(counted("1", "1")) + len(active()) < 128 << 10  # half of the engine's max_query_size
